"""`hitlens simulate`: events from a detector's simulator into a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from hitlens.cli.cluster import CLUSTER


def simulate(
    detector: Annotated[str, typer.Argument(help="Name of the detector, for example cebr.")],
    n_events: Annotated[int, typer.Option("--n-events", "-n", help="How many events.")] = 10_000,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File to write: .h5 for the native layout, else the detector's own (cebr: .txt, .txt.gz; "
            "nova: a folder for neutrino1.h5, neutrino2.h5, ...).",
        ),
    ] = None,
    files: Annotated[
        int | None,
        typer.Option(min=1, help="Numbered files of the detector's own layout to write into the folder."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed; the same events whatever the number of workers.")] = 1,
    cluster: CLUSTER = "",
    workers: Annotated[
        int | None,
        typer.Option(help="Threads, by default one a core; with --cluster its workers (local: processes)."),
    ] = None,
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
    compare: Annotated[
        Path | None,
        typer.Option(dir_okay=False, metavar="PAGE", help="Page that shows the events beside real numbers."),
    ] = None,
    real: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="With --compare: real events to fit with the response; repeatable."
        ),
    ] = None,
    show_settings: Annotated[
        bool, typer.Option("--show-settings", help="Print every setting as YAML, and make no events.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
) -> None:
    """Simulate events of a detector."""
    from hitlens.errors import ConfigError
    from hitlens.workflow import simulation

    changes = [*(settings or ()), *_mix(singles, doubles, single_fraction)]
    if show_settings:
        typer.echo(simulation.describe_settings(detector, config=config, settings=changes), nl=False)
        return
    if output is None and compare is None:
        raise ConfigError("Nothing to write. Give --output FILE for events, or --compare PAGE.html.")
    if files is not None and output is None:
        raise ConfigError("--files N is used only with --output DIR.")
    if cluster and output is None:
        raise ConfigError("--cluster is used only with --output.")
    if real and compare is None:
        raise ConfigError("--real FILE is used only with --compare PAGE.html.")
    common: dict[str, Any] = {"config": config, "settings": changes, "workers": workers, "force": force}
    if output is not None:
        with _bar(n_events) as advance:
            made = simulation.simulate_output(
                output, detector, n_events, seed, n_files=files, progress=advance, cluster=cluster, **common
            )
        for file in made:
            speed = f"{file.events_per_second:,.0f} events/s"
            typer.echo(f"{file.n_events:,} events to {file.path} in {file.seconds:.1f} s ({speed})")
    if compare is not None:
        with _bar(n_events) as advance:
            result = simulation.compare_simulation(
                compare, detector, n_events, seed, real=real or (), progress=advance, **common
            )
        n_agree = sum(quantity.agrees for quantity in result.quantities)
        typer.echo(f"{n_agree} of {len(result.quantities)} quantities agree with the real events: {compare}")


@contextmanager
def _bar(n_events: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar while events are made."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("simulating"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("events", total=max(n_events, 1))
        yield lambda n: bar.advance(task, n)


def _mix(singles: bool, doubles: bool, single_fraction: float | None) -> list[str]:
    """Return the setting of the mix that the options ask for."""
    from hitlens.errors import ConfigError

    given = [value for on, value in ((singles, 1.0), (doubles, 0.0)) if on]
    given += [single_fraction] if single_fraction is not None else []
    if len(given) > 1:
        raise ConfigError("Give only one of --singles, --doubles and --single-fraction.")
    return [f"sample.single_fraction={given[0]}"] if given else []
