"""``hitlens predict``: a trained model on event files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def predict(
    model: Annotated[Path, typer.Argument(help="Model file or run folder.")],
    files: Annotated[list[Path], typer.Argument(help="Event files; rows keep their order.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="FILE.parquet, .h5, .root or .csv.")],
    layout: Annotated[
        str | None, typer.Option("--layout", help="Layout of the files; recognised by default.")
    ] = None,
    on_bad_event: Annotated[
        Literal["raise", "skip"],
        typer.Option("--on-bad-event", help="'raise', or 'skip' to count and list malformed events."),
    ] = "raise",
    force: Annotated[bool, typer.Option("--force", help="Replace the output file.")] = False,
) -> None:
    """Predict events and write one row each, keyed to the event."""
    from hitlens.detector import ReadReport
    from hitlens.errors import RunError
    from hitlens.workflow.prediction import predict_files

    if output.exists() and not force:
        raise RunError(f"{output} exists. Choose another name, or --force to replace it.")
    report = ReadReport([])
    predictions = predict_files(model, files, output, layout=layout, on_bad_event=on_bad_event, report=report)
    for message in report.skipped:
        typer.secho(f"skipped: {message}", fg=typer.colors.YELLOW, err=True)
    typer.echo(f"Wrote {len(predictions)} predictions of '{predictions.task.name}' to {output}.")
