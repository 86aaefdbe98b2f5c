"""``hitlens rollback``: an earlier epoch as the model of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def rollback(
    run: Annotated[Path, typer.Argument(help="Run folder, as 'hitlens train' left it.")],
    epoch: Annotated[
        int,
        typer.Argument(
            min=0,
            help="Epoch, from 0 as in history.csv; train.keep_epochs=all keeps the checkpoint of every one.",
        ),
    ],
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", "-d", help="Where the event files are now, if they were moved."),
    ] = None,
) -> None:
    """Make an earlier epoch's weights the model of a finished run; what is of the other moves aside."""
    from hitlens.workflow.rollback import roll_back

    result = roll_back(run, epoch, files=data)
    typer.echo(
        f"The model of {run} is now that of epoch {epoch} (from 0), {result.monitor} "
        f"{result.best_score:.5g}. Next: hitlens evaluate {run}"
    )
