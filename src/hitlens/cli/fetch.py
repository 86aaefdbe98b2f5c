"""`hitlens fetch`: public files of a detector into the cache."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hitlens.io.fetch import FetchedFile


def fetch(
    detector: Annotated[str, typer.Argument(help="Name of the detector, for example cebr.")],
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE]...", help="Which of its files; all when not given.")
    ] = None,
    files: Annotated[
        str | None,
        typer.Option(metavar="NUMBERS", help="Which files of a numbered series: 1-25, or 1,3,7-9."),
    ] = None,
    parallel: Annotated[int, typer.Option(min=1, help="Files downloaded at a time.")] = 4,
    url: Annotated[str | None, typer.Option(help="Download from this address in place of the usual.")] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            file_okay=False,
            help="Keep the files here. Else in HITLENS_DATA/DETECTOR, else in the user's cache folder.",
        ),
    ] = None,
    lock: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Lock file with the checksums; beside the files if not given."),
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Download again and record the new content as the right one.")
    ] = False,
) -> None:
    """Download a detector's public files, once; check their content ever after.

    The sha256 of a file is recorded at its first download, and compared each time afterwards. A download
    that broke off goes on where it stopped when the command is given again.
    """
    import pooch
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from hitlens.workflow.fetching import fetch as fetch_files
    from hitlens.workflow.fetching import read_numbers

    numbers = read_numbers(files) if files is not None else ()
    pooch.get_logger().setLevel("WARNING")
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    there: list[FetchedFile] = []
    try:
        with Progress(*columns, console=Console(stderr=True)) as bar:
            tasks = {}

            def show(name: str, n_bytes: int, n_total: int | None) -> None:
                if name not in tasks:
                    tasks[name] = bar.add_task(name, total=n_total)
                bar.update(tasks[name], completed=n_bytes, total=n_total)

            fetch_files(
                detector,
                names or (),
                numbers=numbers,
                url=url,
                accept=accept,
                folder=folder,
                lock=lock,
                parallel=parallel,
                progress=show,
                finished=there.append,
            )
    finally:  # also where others failed
        for file in there:
            typer.echo(f"{file.path}  {file.n_bytes:,} bytes  sha256 {file.sha256}  {file.status}")
