"""`hitlens simulate`: events from a detector's simulator into a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def simulate(
    detector: Annotated[str, typer.Argument(help="Name of the detector, for example cebr.")],
    n_events: Annotated[int, typer.Option("--n-events", "-n", help="How many events.")] = 10_000,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            dir_okay=False,
            help="File to write: .h5 for the native layout, else the detector's own (cebr: .txt, .txt.gz).",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed; the same events whatever the number of workers.")] = 1,
    workers: Annotated[int | None, typer.Option(help="Threads; all cores when not given.")] = None,
    config: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="YAML file with settings that differ from the defaults."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One setting, e.g. nuisance.width_scale=1.1."),
    ] = None,
    singles: Annotated[bool, typer.Option("--singles", help="Only singles.")] = False,
    doubles: Annotated[bool, typer.Option("--doubles", help="Only doubles.")] = False,
    single_fraction: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Chance of an event to be a single.")
    ] = None,
    show_settings: Annotated[
        bool, typer.Option("--show-settings", help="Print every setting as YAML, and make no events.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
) -> None:
    """Simulate events of a detector."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from hitlens.errors import ConfigError
    from hitlens.workflow.simulation import describe_settings, simulate_to_file

    changes = [*(settings or ()), *_mix(singles, doubles, single_fraction)]
    if show_settings:
        typer.echo(describe_settings(detector, config=config, settings=changes), nl=False)
        return
    if output is None:
        raise ConfigError("Nothing to write. Give --output FILE.")
    columns = (TextColumn("simulating"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("events", total=max(n_events, 1))
        made = simulate_to_file(
            output,
            detector,
            n_events,
            seed,
            config=config,
            settings=changes,
            workers=workers,
            progress=lambda n: bar.advance(task, n),
            force=force,
        )
    speed = f"{made.events_per_second:,.0f} events/s"
    typer.echo(f"{made.n_events:,} events to {made.path} in {made.seconds:.1f} s ({speed})")


def _mix(singles: bool, doubles: bool, single_fraction: float | None) -> list[str]:
    """Return the setting of the mix that the options ask for."""
    from hitlens.errors import ConfigError

    given = [value for on, value in ((singles, 1.0), (doubles, 0.0)) if on]
    given += [single_fraction] if single_fraction is not None else []
    if len(given) > 1:
        raise ConfigError("Give only one of --singles, --doubles and --single-fraction.")
    return [f"sample.single_fraction={given[0]}"] if given else []
