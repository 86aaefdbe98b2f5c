"""`hitlens fetch`: public files of a detector into the cache."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def fetch(
    detector: Annotated[str, typer.Argument(help="Name of the detector, for example cebr, or its YAML file.")],
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE]...", help="Which of its files; all when not given.")
    ] = None,
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

    pooch.get_logger().setLevel("WARNING")
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        tasks = {}

        def show(name: str, n_bytes: int, n_total: int | None) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=n_total)
            bar.update(tasks[name], completed=n_bytes, total=n_total)

        fetched = fetch_files(
            detector, names or (), url=url, accept=accept, folder=folder, lock=lock, progress=show
        )
    for file in fetched:
        typer.echo(f"{file.path}  {file.n_bytes:,} bytes  sha256 {file.sha256}  {file.status}")
