"""``hitlens evaluate``: the numbers and the report of a trained run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder, as 'hitlens train' left it.")],
    split: Annotated[
        str | None,
        typer.Option(help="Events to evaluate: test or validation; else the run's setting."),
    ] = None,
    cut: Annotated[
        float | None,
        typer.Option(help="Score from which an event is called signal; the run's setting if left out."),
    ] = None,
    baselines: Annotated[
        bool | None,
        typer.Option("--baselines/--no-baselines", help="Run the detector's own methods on the same events."),
    ] = None,
    baseline_events: Annotated[
        int | None, typer.Option(help="Give them at most so many events; 0 means all.")
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            "--data",
            "-d",
            help="The event files of the run, if they were moved; or other labelled files to evaluate.",
        ),
    ] = None,
    again: Annotated[
        bool,
        typer.Option("--again", help="Evaluate a split that was evaluated before; the report will say so."),
    ] = False,
    interrupted: Annotated[
        bool,
        typer.Option("--interrupted", help="Evaluate the model of a training that was interrupted."),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for other files; RUN/evaluations/NAME if left out."),
    ] = None,
    drop_seen: Annotated[
        bool,
        typer.Option("--drop-seen", help="Leave out events of other files that were in the training."),
    ] = False,
    epoch: Annotated[
        int | None,
        typer.Option(
            "--epoch",
            min=0,
            help="Evaluate the weights of this epoch, from 0 as in history.csv (train.keep_epochs=all keeps "
            "every one), into RUN/evaluations/epoch-NNN.",
            show_default=False,
        ),
    ] = None,
    numbers_only: Annotated[
        bool,
        typer.Option("--numbers-only", help="Do without the event files: no baselines and no gallery."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress bar.")] = False,
) -> None:
    """Evaluate a run: every number with its interval, beside baselines, and a report of one page."""
    from rich.console import Console
    from rich.progress import Progress

    from hitlens.cli.tables import terminal_table
    from hitlens.report.findings import findings_summary, findings_tables
    from hitlens.report.summary import summary_table, task_table
    from hitlens.workflow.evaluation import evaluate_run
    from hitlens.workflow.other_data import FOLDER

    asked = {"split": split, "cut": cut, "baselines": baselines, "baseline_events": baseline_events}
    changes = {name: value for name, value in asked.items() if value is not None}
    with Progress(console=Console(stderr=True), transient=True, disable=quiet) as bar:
        tasks = {}

        def show(words: str, done: int, total: int) -> None:
            if words not in tasks:
                tasks[words] = bar.add_task(words, total=total)
            bar.update(tasks[words], completed=done)

        results = evaluate_run(
            run,
            files=data,
            again=again,
            interrupted=interrupted,
            without_events=numbers_only,
            out=output,
            drop_seen=drop_seen,
            epoch=epoch,
            progress=show,
            **changes,
        )
    console = Console()
    console.print(terminal_table(summary_table(results)))
    if any(task.n_excluded for task in results.tasks):
        console.print(terminal_table(task_table(results)))
    if len(results.tasks) == 1:
        for found in findings_tables(results.tasks[0]):
            console.print(terminal_table(found))
    elif (summary := findings_summary(results)) is not None:
        console.print(terminal_table(summary))
    kept = Path(results.data.get(FOLDER, run))
    typer.echo(f"Numbers: {kept / 'metrics.json'}. Report: {kept / 'report.html'}")
