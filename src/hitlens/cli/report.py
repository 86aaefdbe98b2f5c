"""``hitlens report``: the page of evaluated runs, written again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of evaluated runs.")],
) -> None:
    """Write the report of evaluated runs again from their metrics.json; nothing is evaluated."""
    from hitlens.workflow.reporting import write_report

    for run in runs:
        typer.echo(f"Report: {write_report(run)}")
