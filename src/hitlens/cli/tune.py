"""``hitlens tune``: a search for settings, from a recipe and events to the chosen model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from hitlens.cli.cluster import CLUSTER


def tune(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe (see 'hitlens recipes') or a YAML file.")],
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", "-d", help="Event files; they replace base.data.files of the recipe."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder; runs/<recipe> where left out.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Change a setting of all trials, --set train.epochs=5, or of the search, "
            "--set search.trials=50, finalists.count, longer.epochs; repeatable.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted search.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Throw away what the folder holds.")] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            "-w",
            min=1,
            help="Processes that train side by side, on this machine or those of --cluster.",
        ),
    ] = None,
    cluster: CLUSTER = "",
    storage: Annotated[
        str, typer.Option("--storage", help="SQL database of the trials, for example sqlite:///search.db.")
    ] = "",
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress bar.")] = False,
) -> None:
    """Search for settings: train trials, repeat the best over seeds, train the chosen one longer."""
    from hitlens.config import RunConfig, TuneConfig, load_config
    from hitlens.errors import ConfigError
    from hitlens.train.processes import refuse_several
    from hitlens.tune.results import read_tuning
    from hitlens.workflow.tune_results import BEST, RESULTS
    from hitlens.workflow.tuning import tune as search

    refuse_several("A search")
    overrides = list(settings or [])
    if data:
        overrides.append(f"data.files=[{', '.join(json.dumps(str(file)) for file in data)}]")
    if storage:
        overrides.append(f"search.storage={storage}")
    config = load_config(recipe, overrides)
    if not isinstance(config, TuneConfig):
        kind = "a single run" if isinstance(config, RunConfig) else "a study"
        raise ConfigError(f"'{recipe}' describes {kind}, not a search. Train it: hitlens train {recipe}.")
    folder = output or Path("runs") / Path(recipe).with_suffix("").name
    page = search(
        config,
        folder,
        resume=resume,
        force=force,
        workers=workers,
        cluster=cluster,
        progress=not quiet,
    )
    found = read_tuning(folder / RESULTS)
    failed = sum(trial.state == "failed" for trial in found.trials)
    typer.echo(f"{len(found.trials)} trainings{f', {failed} failed' if failed else ''}. {found.reason}")
    chosen = next(one for one in found.trials if one.number == found.chosen)
    typer.echo("Chosen: " + ", ".join(f"{path} = {value}" for path, value in chosen.values.items()))
    typer.echo(f"Numbers: {folder / RESULTS}. Page: {page}")
    if found.longer is not None and found.trials[found.longer].state == "finished":
        typer.echo(f"Next: hitlens evaluate {folder / BEST}")
