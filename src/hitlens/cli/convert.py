"""`hitlens convert`: events from files of any readable layout to a file of any writable one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from hitlens.cli.cluster import CLUSTER, WORKERS, check_workers


def convert(
    paths: Annotated[
        list[Path], typer.Argument(metavar="IN... OUT", help="Files to read, then the one to write.")
    ],
    detector: Annotated[
        str | None,
        typer.Option(help="Detector of the events, or its YAML file; native files know theirs."),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(help="Layout of the files read; recognised unless given."),
    ] = None,
    out_layout: Annotated[
        str | None,
        typer.Option(help="Layout to write; follows from the name of OUT unless given."),
    ] = None,
    on_bad_event: Annotated[
        Literal["raise", "skip"], typer.Option(help="Refuse a file with a bad event, or skip and list it.")
    ] = "raise",
    axes: Annotated[
        Literal["xy", "yx"] | None,
        typer.Option(help="Order of the image axes in NumPy arrays."),
    ] = None,
    cluster: CLUSTER = "",
    workers: WORKERS = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace OUT if it exists, and parts of another conversion.")
    ] = False,
) -> None:
    """Convert event files from any layout that can be read to any that can be written.

    The name of OUT says which: .h5 is the native events file; for cebr, .txt and .txt.gz are the public text
    layout, and a name without an ending is a folder of NumPy arrays; for nova, neutrino1.h5 and the like are
    the public HDF5 layout. A folder of neutrino1.h5, neutrino2.h5, ... stands for these files, in that order.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from hitlens.workflow import data

    check_workers(cluster, workers)
    if len(paths) < 2:
        raise typer.BadParameter("give the files to read and then the one to write: IN... OUT")
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} events"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("convert", total=None)
        result = data.convert(
            paths[:-1],
            paths[-1],
            detector,
            layout=layout,
            out_layout=out_layout,
            on_bad_event=on_bad_event,
            options={"axes": axes} if axes else None,
            cluster=cluster,
            workers=workers,
            force=force,
            progress=lambda n: bar.advance(task, n),
        )
    for message in result.skipped:
        typer.echo(f"skipped {message}")
    typer.echo(str(result) + (f"; {len(result.skipped):,} bad events skipped" if result.skipped else ""))
