"""``hitlens gallery``: pictures of any selection of predicted events."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def gallery(
    source: Annotated[
        Path, typer.Argument(metavar="RUN|PREDICTIONS", help="Run folder or predictions file.")
    ],
    select: Annotated[
        str,
        typer.Option(
            "--select",
            "-s",
            help="SQL condition over the predictions' columns, for example "
            "\"score_multiplicity < .2 AND true_multiplicity = 'double'\".",
        ),
    ] = "",
    order: Annotated[
        str, typer.Option(help="SQL expression, lowest first; most wrong first if left out.")
    ] = "",
    n: Annotated[int, typer.Option("-n", min=1, max=400, help="At most so many events.")] = 32,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Page (.html) or picture (.png, .svg).")
    ] = Path("gallery.html"),
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", "-d", help="Event files; a run knows its own, a predictions file does not."),
    ] = None,
) -> None:
    """Draw events with their true and predicted positions, most wrong first."""
    from hitlens.workflow.galleries import gallery as draw

    typer.echo(f"Gallery: {draw(source, output, select=select, order=order, n=n, files=data)}")
