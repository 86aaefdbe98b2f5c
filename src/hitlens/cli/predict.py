"""``hitlens predict``: a trained model on event files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from hitlens.cli.cluster import CLUSTER, WORKERS, check_workers


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
    symmetrise: Annotated[
        bool | None,
        typer.Option(
            "--symmetrise/--no-symmetrise",
            help="Average over the detector's symmetries, as many times slower as there are; as the model's "
            "recipe said by default.",
            show_default=False,
        ),
    ] = None,
    epoch: Annotated[
        int | None,
        typer.Option(
            "--epoch",
            help="Of a run folder, the weights of this epoch, from 0 as in history.csv, instead of those "
            "shipped (train.keep_epochs=all keeps every one).",
            show_default=False,
        ),
    ] = None,
    cluster: CLUSTER = "",
    workers: WORKERS = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the output file, and parts of other settings.")
    ] = False,
) -> None:
    """Predict events and write one row each, keyed to the event.

    With --cluster, finished parts are kept in OUTPUT.parts until all are there: given again after an
    interruption, the same command goes on with the others.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from hitlens.workflow.prediction_files import predict_to_file

    check_workers(cluster, workers)
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} events"), TimeElapsedColumn())
    console = Console(stderr=True)
    # Where nobody watches, an empty line would be left of it.
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("predict", total=None)
        made = predict_to_file(
            model,
            files,
            output,
            layout=layout,
            on_bad_event=on_bad_event,
            symmetrise=symmetrise,
            epoch=epoch,
            cluster=cluster,
            workers=workers,
            progress=lambda n: bar.advance(task, n),
            force=force,
        )
    for message in made.skipped:
        typer.secho(f"skipped: {message}", fg=typer.colors.YELLOW, err=True)
    typer.echo(f"Wrote {made}.")
