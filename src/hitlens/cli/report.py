"""``hitlens report``: the page of evaluated runs, studies, searches or cross-validations, written again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of these.")],
) -> None:
    """Write the pages of runs, studies, searches or cross-validations again; nothing is evaluated."""
    from hitlens.workflow.pages import write_page

    for run in runs:
        typer.echo(f"Report: {write_page(run)}")
