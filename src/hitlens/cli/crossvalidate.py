"""``hitlens crossvalidate``: small samples, every event predicted by a model that never saw it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from hitlens.cli.cluster import CLUSTER, WORKERS, check_workers


def crossvalidate(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe (see 'hitlens recipes') or a YAML file.")],
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", "-d", help="Event files; they replace data.files of the recipe."),
    ] = None,
    folds: Annotated[int, typer.Option(min=2, help="Parts the events are dealt into.")] = 5,
    repeats: Annotated[
        int, typer.Option(min=1, help="How often they are dealt anew and everything is trained again.")
    ] = 1,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder; runs/<recipe>-cv where left out.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Change a setting: --set train.epochs=5; repeatable.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted one.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Throw away what the folder holds.")] = False,
    cluster: CLUSTER = "",
    workers: WORKERS = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress bar.")] = False,
) -> None:
    """Cross-validate a recipe: folds x repeats trainings, one page with intervals and baselines.

    With --cluster each worker trains a fold at a time.
    """
    from rich.console import Console

    from hitlens.cli.tables import terminal_table
    from hitlens.config import RunConfig, load_config
    from hitlens.errors import ConfigError
    from hitlens.evaluate.crossvalidation import read_cross_validation
    from hitlens.report.crossvalidation_page import summary_table
    from hitlens.train.processes import refuse_several
    from hitlens.workflow.crossvalidation import RESULTS, CrossValidationConfig, cross_validate

    refuse_several("A cross-validation")
    check_workers(cluster, workers)
    overrides = list(settings or [])
    if data:
        overrides.append(f"data.files=[{', '.join(json.dumps(str(file)) for file in data)}]")
    run = load_config(recipe, overrides)
    if not isinstance(run, RunConfig):
        raise ConfigError(f"'{recipe}' describes several runs. Cross-validate the recipe of one run.")
    folder = output or Path("runs") / f"{Path(recipe).with_suffix('').name}-cv"
    config = CrossValidationConfig(folds=folds, repeats=repeats, run=run)
    page = cross_validate(
        config, folder, resume=resume, force=force, progress=not quiet, cluster=cluster, workers=workers
    )
    Console().print(terminal_table(summary_table(read_cross_validation(folder / RESULTS))))
    typer.echo(f"Numbers: {folder / RESULTS}. Page: {page}")
