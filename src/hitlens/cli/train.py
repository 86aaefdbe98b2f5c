"""``hitlens train``: from a recipe and events to a run folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hitlens.config import Recipe, StudyConfig


def train(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe (see 'hitlens recipes') or a YAML file.")],
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", "-d", help="Event files; they replace data.files of the recipe."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Run folder; runs/<recipe> where left out.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Change a setting: --set train.epochs=5; repeatable.")
    ] = None,
    seeds: Annotated[
        str, typer.Option("--seeds", help="Train with each of these seeds and compare: 1-8, or 1,5,9.")
    ] = "",
    together: Annotated[
        int,
        typer.Option(
            min=1,
            help="With --seeds: models trained at once at most; more are faster, and equal to each alone but "
            "for rounding.",
        ),
    ] = 1,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Continue an interrupted run, or a finished one with a higher train.epochs."
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Throw away what the run folder holds.")] = False,
    track: Annotated[
        list[str] | None,
        typer.Option("--track", metavar="LOGGER", help="Report to mlflow or tensorboard too; repeatable."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress bar.")] = False,
) -> None:
    """Train a model, with one seed or several, or every variant of a study, into a run folder."""
    from hitlens.config import RunConfig, TuneConfig, load_config
    from hitlens.errors import ConfigError
    from hitlens.train.processes import refuse_several, started_together
    from hitlens.workflow.studies import train_study
    from hitlens.workflow.training import train as train_run

    overrides = list(settings or [])
    if data:
        overrides.append(f"data.files=[{', '.join(json.dumps(str(file)) for file in data)}]")
    if track:
        overrides.append(f"track.loggers=[{', '.join(track)}]")
    folder = output or Path("runs") / (Path(recipe).with_suffix("").name + ("_seeds" if seeds else ""))
    with started_together() as processes:
        config = load_config(recipe, overrides)
        if isinstance(config, TuneConfig):
            raise ConfigError(f"'{recipe}' describes a search for settings. Start it: hitlens tune {recipe}.")
        if seeds:
            config = _with_seeds(config, seeds, together)
        elif together > 1:
            raise ConfigError("--together is used only with --seeds; a study has a setting of that name.")
        if not isinstance(config, RunConfig):
            refuse_several("A study")
            page = train_study(config, folder, resume=resume, force=force, progress=not quiet)
            typer.echo(f"Study finished; its runs are in {folder}, their comparison in {page}.")
            return
        result = train_run(config, folder, resume=resume, force=force, progress=not quiet)
    if not processes.is_first:
        return
    state = "interrupted after" if result.interrupted else "finished,"
    typer.echo(
        f"Training {state} {result.n_epochs} epoch{'s' if result.n_epochs != 1 else ''}. "
        f"Best epoch {result.best_epoch + 1}: "
        f"{result.monitor} {result.best_score:.5g} ({result.precision})."
    )
    if result.interrupted:
        typer.echo(
            f"Model: {folder / 'model.safetensors'}, the best so far. Next: --resume continues the training. "
            f"'hitlens evaluate {folder} --interrupted' reads the test split with this model, and the one "
            "you get after --resume will be another."
        )
        raise typer.Exit(130)
    typer.echo(f"Model: {folder / 'model.safetensors'}. Next: hitlens evaluate {folder}")


def _with_seeds(config: Recipe, seeds: str, together: int) -> StudyConfig:
    """Return the study of a recipe with several seeds."""
    from hitlens.config import RunConfig
    from hitlens.errors import ConfigError
    from hitlens.workflow.seeds import read_seeds, seed_study

    if not isinstance(config, RunConfig):
        raise ConfigError("--seeds trains one recipe with several seeds; this one describes a study.")
    return seed_study(config, read_seeds(seeds), together)
