"""Simulated events into memory or into a file of any layout that can be written."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hitlens.detector import Description, Detector, Simulator
from hitlens.detectors import get_detector
from hitlens.errors import ConfigError, NotFoundError
from hitlens.events import Events, concat
from hitlens.settings import load_settings
from hitlens.simulate.comparison import Comparison
from hitlens.workflow.data import open_writer, read_events

#: Settings of a simulator: itself, a YAML file that states what differs from the defaults, or the defaults.
ConfigSource = Description | Path | str | None
#: Called with the number of events made since the last call.
Progress = Callable[[int], object]


@dataclass(frozen=True)
class SimulatedFile:
    """A file of simulated events.

    Attributes:
        path: where it is.
        n_events: how many events it holds.
        seconds: time it took, writing included.
    """

    path: Path
    n_events: int
    seconds: float

    @property
    def events_per_second(self) -> float:
        """Speed of making and writing them."""
        return self.n_events / max(self.seconds, 1e-9)


def simulate(
    detector: str,
    n_events: int,
    seed: int = 1,
    *,
    config: ConfigSource = None,
    settings: Iterable[str] = (),
    workers: int | None = None,
    progress: Progress | None = None,
) -> Events:
    """Return simulated events; the same for a seed whatever the number of workers.

    Args:
        detector: name of the detector.
        n_events: how many.
        seed: of all random numbers, 0 or more.
        config: the simulator's settings, or a YAML file that states what differs from the defaults.
        settings: changes to that, each ``key=value``, for example ``sample.single_fraction=1``.
        workers: threads; all cores when not given.
        progress: called with the number of events made since the last call.

    Raises:
        NotFoundError: no such detector or settings file, or the detector has no simulator.
        ConfigError: a setting is unknown or out of range.

    Examples:
        >>> events = simulate("cebr", 5, settings=["sample.single_fraction=1"])
        >>> len(events), events.truth["n_electrons"].to_list()
        (5, [1, 1, 1, 1, 1])
    """
    simulator = get_simulator(detector)
    blocks = _blocks(simulator, _settings(simulator, config, settings), n_events, seed, workers, progress)
    return get_detector(detector).complete(concat(list(blocks)))


def simulate_to_file(
    path: Path | str,
    detector: str,
    n_events: int,
    seed: int = 1,
    *,
    config: ConfigSource = None,
    settings: Iterable[str] = (),
    workers: int | None = None,
    progress: Progress | None = None,
    force: bool = False,
) -> SimulatedFile:
    """Write simulated events to a file, block by block; its suffix decides the layout.

    The file appears under its name when it is whole.

    Args:
        path: for example ``events.h5`` (native) or ``events.txt.gz`` (the detector's text layout).
        detector: name of the detector.
        n_events: how many.
        seed: of all random numbers, 0 or more.
        config: as `simulate`.
        settings: as `simulate`.
        workers: as `simulate`.
        progress: as `simulate`.
        force: replace a file that exists.

    Raises:
        NotFoundError: as `simulate`.
        ConfigError: as `simulate`; or the file exists, or no layout has this suffix.
    """
    path = Path(path)
    _check_new(path, force)
    simulator = get_simulator(detector)
    model = _settings(simulator, config, settings)
    start = time.perf_counter()
    blocks = _blocks(simulator, model, n_events, seed, workers, progress)
    with open_writer(path, detector, provenance=_provenance(model, n_events, seed)) as writer:
        for block in blocks:
            writer.write(block)
    return SimulatedFile(path, n_events, time.perf_counter() - start)


def compare_simulation(
    page: Path | str,
    detector: str,
    n_events: int,
    seed: int = 1,
    *,
    real: Sequence[Path | str] = (),
    config: ConfigSource = None,
    settings: Iterable[str] = (),
    workers: int | None = None,
    progress: Progress | None = None,
    force: bool = False,
) -> Comparison:
    """Simulate events, set them beside the real ones, and write a page that shows both.

    Args:
        page: HTML file to write.
        detector: name of the detector.
        n_events: how many; 200,000 make statistical errors small.
        seed: as `simulate`.
        real: files of real events with truth, each event of which is fitted with the response.
        config: as `simulate`.
        settings: as `simulate`.
        workers: as `simulate`.
        progress: as `simulate`.
        force: replace a page that exists.

    Raises:
        NotFoundError: as `simulate`.
        ConfigError: as `simulate`; or the page exists.
        DataError: real events without truth.
    """
    from hitlens.report.comparison import write_comparison_page  # draws figures: loaded only for this

    _check_new(Path(page), force)
    simulator = get_simulator(detector)
    model = _settings(simulator, config, settings)
    real_events = concat([read_events(path, detector) for path in real]) if real else None
    events = simulate(detector, n_events, seed, config=model, workers=workers, progress=progress)
    comparison = simulator.compare(events, model, real_events)
    write_comparison_page(page, comparison, get_detector(detector))
    return comparison


def describe_settings(detector: str, *, config: ConfigSource = None, settings: Iterable[str] = ()) -> str:
    """Return every setting of a detector's simulator as YAML; arguments as `simulate`.

    Examples:
        >>> described = describe_settings("cebr", settings=["sample.single_fraction=1"])
        >>> described.splitlines()[:3]
        ['response: m2', 'sample:', '  single_fraction: 1.0']
    """
    model = _settings(get_simulator(detector), config, settings)
    return yaml.safe_dump(model.model_dump(mode="json"), sort_keys=False)


def _provenance(config: Description, n_events: int, seed: int) -> dict[str, Any]:
    return {
        "made_by": "hitlens simulate",
        "n_events": n_events,
        "seed": seed,
        "settings": config.model_dump(mode="json"),
    }


def _check_new(path: Path, force: bool) -> None:
    if path.exists() and not force:
        raise ConfigError(f"{path} exists already. Choose another name, or replace it with --force.")


def get_simulator(detector: str) -> Simulator:
    """Return the simulator of a detector.

    Raises:
        NotFoundError: no such detector, or it has no simulator.

    Examples:
        >>> get_simulator("cebr").config.__name__
        'SimulationConfig'
    """
    found: Detector = get_detector(detector)
    if found.simulator is None:
        raise NotFoundError(f"Detector '{detector}' has no simulator. Read events from files in its place.")
    return found.simulator()


def _settings(simulator: Simulator, config: ConfigSource, settings: Iterable[str]) -> Description:
    if isinstance(config, Description):
        if not isinstance(config, simulator.config):
            raise ConfigError(f"config must be a {simulator.config.__name__}. Got {type(config).__name__}.")
        if tuple(settings):
            raise ConfigError("Give changes either in config or in settings, not in both.")
        return config
    return load_settings(simulator.config, None if config is None else Path(config), settings)


def _blocks(
    simulator: Simulator,
    config: Any,
    n_events: int,
    seed: int,
    workers: int | None,
    progress: Progress | None,
) -> Iterator[Events]:
    for name, value, low in (("n_events", n_events, 1), ("seed", seed, 0)):
        if value < low:
            raise ConfigError(f"{name} must be at least {low}. Got {value}.")
    n_workers = available_cores() if workers is None else workers
    if n_workers < 1:
        raise ConfigError(f"workers must be at least 1. Got {n_workers}.")
    return _counted(simulator.blocks(config, n_events, seed, n_workers), progress)


def _counted(blocks: Iterator[Events], progress: Progress | None) -> Iterator[Events]:
    for block in blocks:
        yield block
        if progress is not None:
            progress(len(block))


def available_cores() -> int:
    """Return how many cores this process may use.

    Examples:
        >>> available_cores() >= 1
        True
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
