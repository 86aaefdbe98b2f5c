"""Simulated events into memory or into a file of any layout that can be written."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import yaml

from hitlens import __version__
from hitlens.detector import Description, Detector, Layout, Simulator, Writer
from hitlens.detectors import get_detector
from hitlens.errors import ConfigError, NotFoundError
from hitlens.events import Events, concat
from hitlens.io.atomic import files_written_whole
from hitlens.io.names import has_ending
from hitlens.io.outputs import check_output
from hitlens.io.ownership import owned
from hitlens.settings import load_settings
from hitlens.simulate.comparison import Comparison
from hitlens.workflow.data import open_writer, read_events
from hitlens.workflow.growing import join_blocks
from hitlens.workflow.pool import available_cores
from hitlens.workflow.production import simulated_by_cluster
from hitlens.workflow.sources import NATIVE_SUFFIXES

#: Settings of a simulator: itself, a YAML file that states what differs from the defaults, or the defaults.
ConfigSource = Description | Path | str | None
#: Beside numbered files, which have no place for it: how they were made.
SIMULATION_RECORD = "simulation.json"
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
    return get_detector(detector).complete(join_blocks(blocks))


def simulate_to_file(
    path: Path | str,
    detector: str,
    n_events: int,
    seed: int = 1,
    *,
    config: ConfigSource = None,
    settings: Iterable[str] = (),
    workers: int | None = None,
    cluster: str = "",
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
        workers: as `simulate`; of a cluster as in `hitlens.workflow.pool.open_pool`.
        cluster: where; "" for threads of this process, else as in `hitlens.workflow.pool.open_pool`.
        progress: as `simulate`.
        force: replace a file that exists.

    Raises:
        NotFoundError: as `simulate`.
        ConfigError: as `simulate`; or the file exists, no layout has this suffix, or there is no cluster.
        RunError: parts of another sample are there, or the cluster failed.
    """
    path = Path(path)
    simulator = get_simulator(detector)
    model = _settings(simulator, config, settings)
    start = time.perf_counter()
    where = _Where(path, detector, cluster, workers, progress, force)
    with (
        _new(path, force),
        _made_blocks(where, simulator, model, n_events, seed) as blocks,
        open_writer(path, detector, provenance=_provenance(model, n_events, seed)) as writer,
    ):
        for block in blocks:
            writer.write(block)
    return SimulatedFile(path, n_events, time.perf_counter() - start)


def simulate_to_files(
    folder: Path | str,
    detector: str,
    n_events: int,
    n_files: int,
    seed: int = 1,
    *,
    config: ConfigSource = None,
    settings: Iterable[str] = (),
    workers: int | None = None,
    cluster: str = "",
    progress: Progress | None = None,
    force: bool = False,
) -> list[SimulatedFile]:
    """Write simulated events to the numbered files of a detector's own layout, all or none of them.

    Beside them comes `SIMULATION_RECORD`, which says how they were made. An event is the same whatever the
    number of files.

    Args:
        folder: where the files go, for example ``DIR`` for ``DIR/neutrino1.h5``, ``DIR/neutrino2.h5``, ...
        detector: name of the detector.
        n_events: how many in all; files differ by one event at most.
        n_files: how many files.
        seed: of all random numbers, 0 or more.
        config: as `simulate`.
        settings: as `simulate`.
        workers: as `simulate_to_file`.
        cluster: as `simulate_to_file`.
        progress: as `simulate`.
        force: replace the numbered files that are there, all of them: none of another sample stays.

    Raises:
        NotFoundError: as `simulate`.
        ConfigError: as `simulate`; or there are such files, the detector has no numbered files, or there are
            fewer events than files.
        RunError: as `simulate_to_file`.
    """
    folder = Path(folder)
    layout = numbered_layout(detector)
    if not 1 <= n_files <= n_events:
        raise ConfigError(f"The number of files must be from 1 to that of the events. Got {n_files}.")
    simulator = get_simulator(detector)
    model = _settings(simulator, config, settings)
    record = {"hitlens": __version__, **_provenance(model, n_events, seed), "n_files": n_files}
    made = []
    start = time.perf_counter()
    where = _Where(folder, detector, cluster, workers, progress, force)
    with (
        _new_parts(folder, layout, force) as outdated,
        _made_blocks(where, simulator, model, n_events, seed) as blocks,
        files_written_whole(folder, outdated) as partial,
    ):
        before = time.perf_counter() - start  # a cluster makes all events first
        for number, n_in_file in enumerate(_shares(n_events, n_files), 1):
            start = time.perf_counter()
            name = layout.part_name(number)
            with open_writer(partial / name, detector, layout=layout.name) as writer:
                blocks = _write_first(writer, blocks, n_in_file)
            seconds = time.perf_counter() - start + before * n_in_file / n_events
            made.append(SimulatedFile(folder / name, n_in_file, seconds))
        (partial / SIMULATION_RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return made


def simulate_output(
    path: Path | str,
    detector: str,
    n_events: int,
    seed: int = 1,
    *,
    n_files: int | None = None,
    config: ConfigSource = None,
    settings: Iterable[str] = (),
    workers: int | None = None,
    cluster: str = "",
    progress: Progress | None = None,
    force: bool = False,
) -> list[SimulatedFile]:
    """Write simulated events to one file, or to the numbered files of a folder.

    Args:
        path: a name for `simulate_to_file`; or a folder, for `simulate_to_files`, where ``n_files`` is given
            or the name has no ending and the detector has numbered files.
        detector: name of the detector.
        n_events: how many in all.
        seed: of all random numbers, 0 or more.
        n_files: how many numbered files; one where a folder is named without it.
        config: as `simulate`.
        settings: as `simulate`.
        workers: as `simulate_to_file`.
        cluster: as `simulate_to_file`.
        progress: as `simulate`.
        force: replace what exists.

    Raises:
        NotFoundError: as `simulate`.
        ConfigError: as `simulate_to_file` and `simulate_to_files`; or a number of files for the name of one.
        RunError: as `simulate_to_file`.
    """
    path = Path(path)
    options: dict[str, Any] = {"config": config, "settings": settings, "workers": workers}
    options |= {"cluster": cluster, "progress": progress, "force": force}
    numbered = any(layout.parts and layout.open_writer for layout in get_detector(detector).layouts)
    if n_files is None and not (numbered and (path.is_dir() or not path.suffix)):
        return [simulate_to_file(path, detector, n_events, seed, **options)]
    if has_ending(path, NATIVE_SUFFIXES):
        raise ConfigError(f"{path} is the name of one file; {n_files} files need the name of a folder.")
    return simulate_to_files(path, detector, n_events, n_files or 1, seed, **options)


def numbered_layout(detector: str) -> Layout:
    """Return the layout of a detector whose samples are numbered files.

    Raises:
        NotFoundError: no such detector.
        ConfigError: it has no such layout.

    Examples:
        >>> numbered_layout("nova").part_name(3)
        'neutrino3.h5'
    """
    for layout in get_detector(detector).layouts:
        if layout.parts and layout.open_writer is not None:
            return layout
    raise ConfigError(
        f"Detector '{detector}' has no layout of numbered files. Give the name of one file, such as "
        "events.h5."
    )


def _shares(n_events: int, n_files: int) -> list[int]:
    return [n_events // n_files + (k < n_events % n_files) for k in range(n_files)]


def _write_first(writer: Writer, blocks: Iterator[Events], n_events: int) -> Iterator[Events]:
    """Write so many events; return the blocks of those that come after them."""
    n_left = n_events
    while n_left:
        block = next(blocks)
        writer.write(block.select(slice(0, n_left)) if len(block) > n_left else block)
        if len(block) > n_left:
            return chain([block.select(slice(n_left, None))], blocks)
        n_left -= len(block)
    return blocks


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

    _check_new(Path(page), force, "file")
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


def _check_new(path: Path, force: bool, kind: Literal["file", "either"] = "either") -> None:
    if path.exists() and not force:
        raise ConfigError(f"{path} exists already. Choose another name, or replace it with --force.")
    check_output(path, kind)


@contextmanager
def _new(path: Path, force: bool) -> Iterator[None]:
    """Own a file that is new, or is to be replaced."""
    with owned(path, is_folder=False):
        _check_new(path, force)
        yield


@contextmanager
def _new_parts(folder: Path, layout: Layout, force: bool) -> Iterator[list[Path]]:
    """Own a folder for numbered files, and give those it holds that are to be replaced."""
    with owned(folder, is_folder=False):
        outdated = layout.parts_in(folder)
        if folder.is_file() or (outdated and not force):
            there = f"holds {len(outdated)} files such as {outdated[0].name}" if outdated else "is a file"
            raise ConfigError(f"{folder} {there}. Choose another name, or replace them with --force.")
        yield outdated


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


@dataclass(frozen=True)
class _Where:
    """Where events are made and what for; see `simulate_to_file`."""

    output: Path
    detector: str
    cluster: str
    workers: int | None
    progress: Progress | None
    force: bool


@contextmanager
def _made_blocks(
    where: _Where, simulator: Simulator, config: Description, n_events: int, seed: int
) -> Iterator[Iterator[Events]]:
    """Give blocks of events, in order, from threads of this process or from a cluster."""
    if not where.cluster:
        yield _blocks(simulator, config, n_events, seed, where.workers, where.progress)
        return
    _check_size(n_events, seed)
    with simulated_by_cluster(
        where.output,
        where.detector,
        simulator,
        config,
        n_events,
        seed,
        cluster=where.cluster,
        workers=where.workers,
        progress=where.progress,
        force=where.force,
    ) as blocks:
        yield blocks


def _check_size(n_events: int, seed: int) -> None:
    for name, value, low in (("n_events", n_events, 1), ("seed", seed, 0)):
        if value < low:
            raise ConfigError(f"{name} must be at least {low}. Got {value}.")


def _blocks(
    simulator: Simulator,
    config: Any,
    n_events: int,
    seed: int,
    workers: int | None,
    progress: Progress | None,
) -> Iterator[Events]:
    _check_size(n_events, seed)
    n_workers = available_cores() if workers is None else workers
    if n_workers < 1:
        raise ConfigError(f"workers must be at least 1. Got {n_workers}.")
    return _counted(simulator.blocks(config, n_events, seed, n_workers), progress)


def _counted(blocks: Iterator[Events], progress: Progress | None) -> Iterator[Events]:
    for block in blocks:
        if progress is not None:
            progress(len(block))
        yield block
