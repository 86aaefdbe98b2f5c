"""What 1 and 2 workers simulate and predict, and what 10^9 events would cost at these rates.

Writes RESULTS.md beside this file. Rates are of workers that have started and loaded what they need. Besides
the time on the clock, the processor time of every task is taken: the cost of 10^9 events is worked out from
that, because it does not depend on what else the machine did.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hitlens import __version__
from hitlens.config import RunConfig, load_config
from hitlens.events import Events
from hitlens.workflow.data import convert, read_events
from hitlens.workflow.event_ranges import event_ranges
from hitlens.workflow.parts import PartTask, make_part
from hitlens.workflow.pool import Pool, available_cores, open_pool
from hitlens.workflow.prediction_files import PredictedRange, predict_part
from hitlens.workflow.production import SimulatedRange, simulate_part
from hitlens.workflow.reading import read_part
from hitlens.workflow.runs import describe_machine, file_checksums
from hitlens.workflow.simulation import get_simulator, simulate_output
from hitlens.workflow.sources import find_sources
from hitlens.workflow.training import train

HERE = Path(__file__).parent
EVENTS = 10**9
CORES = 1000


@dataclass(frozen=True)
class Sample:
    """How much of a detector is measured: events simulated, predicted and trained on; and with what."""

    recipe: str
    public: str
    n_simulated: int
    n_predicted: int
    n_trained: int


SAMPLES = {
    "cebr": Sample("cebr/multiplicity", "public.txt.gz", 65_536, 1200, 1024),
    "nova": Sample("nova/flavour", "neutrino1.h5", 4096, 192, 192),
}


@dataclass(frozen=True)
class Rate:
    """Events a second: by the clock with all workers, and by the processor time of one core."""

    by_clock: float
    by_core: float


def timed(task: PartTask[Any]) -> tuple[int, float, float]:
    """Make a part; return its events, the processor time, and the peak memory of the process in bytes."""
    before = time.process_time()
    record = make_part(task)
    seconds = time.process_time() - before
    return record.n_events, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def rate(pool: Pool, tasks: Sequence[PartTask[Any]], warm: int) -> tuple[Rate, float]:
    """Return the rate of the tasks after the first so many, and the peak memory of a worker."""
    list(pool.run(timed, tasks[:warm]))
    started = time.perf_counter()
    done = [one for _, one in pool.run(timed, tasks[warm:])]
    clock = time.perf_counter() - started
    n_events, core = sum(one[0] for one in done), sum(one[1] for one in done)
    return Rate(n_events / clock, n_events / core), max(one[2] for one in done)


def simulation_tasks(name: str, sample: Sample, folder: Path) -> list[PartTask[Any]]:
    simulator = get_simulator(name)
    settings = simulator.config().model_dump_json()
    size = simulator.block_events
    works = [
        SimulatedRange(name, settings, 1, first, (first + 1) * size)
        for first in range(sample.n_simulated // size)
    ]
    return [PartTask(folder / f"simulated{n}.h5", work, simulate_part) for n, work in enumerate(works)]


def prediction_tasks(files: Sequence[Path], sample: Sample, model: Path, folder: Path) -> list[PartTask[Any]]:
    checksum = file_checksums([model])[model.name]
    ranges = event_ranges(find_sources(files, None, None), sample.n_predicted // 6)
    return [
        PartTask(folder / f"predicted{n}.parquet", PredictedRange(model, checksum, one), predict_part)
        for n, one in enumerate(ranges)
    ]


@dataclass(frozen=True)
class Measured:
    """What was measured of one detector.

    Attributes:
        simulated: rate by number of workers.
        predicted: likewise.
        read: events of the public layout a second of one core.
        joined: events of native parts joined into one file a second of one core.
        trained: events of an epoch, training and validation, a second of one core.
        file_bytes: bytes an event in a native file.
        memory_bytes: bytes an event in memory.
        worker_bytes: peak memory of a worker that simulates or predicts.
    """

    simulated: dict[int, Rate]
    predicted: dict[int, Rate]
    read: float
    joined: float
    trained: float
    file_bytes: float
    memory_bytes: float
    worker_bytes: float


def measure(name: str, folder: Path) -> Measured:
    """Measure one detector."""
    sample = SAMPLES[name]
    folder.mkdir()
    native = folder / "events.h5"
    simulate_output(native, name, max(sample.n_predicted, sample.n_trained), workers=1)
    model, trained = train_rate(sample, native, folder)
    simulated, predicted, memory = {}, {}, 0.0
    for n_workers in (1, 2):
        parts = folder / f"parts{n_workers}"
        parts.mkdir()
        with open_pool("local", workers=n_workers, shared=parts) as pool:
            tasks = simulation_tasks(name, sample, parts)
            simulated[n_workers], one = rate(pool, tasks, n_workers)
            work = prediction_tasks([native], sample, model, parts)
            predicted[n_workers], two = rate(pool, work, n_workers)
        memory = max(memory, one, two)
    whole, public = folder / "whole.h5", folder / sample.public
    before = time.process_time()
    convert(sorted(parts.glob("simulated*.h5")), whole)
    joined = time.process_time() - before
    events = read_events(whole)
    convert([whole], public, name)
    public_read = event_ranges(find_sources([public], name, None), EVENTS)
    _, read, _ = timed(PartTask(folder / "read.h5", public_read[0], read_part))
    return Measured(
        simulated,
        predicted,
        read=len(events) / read,
        joined=len(events) / joined,
        trained=trained,
        file_bytes=whole.stat().st_size / len(events),
        memory_bytes=memory_of(events) / len(events),
        worker_bytes=memory,
    )


def memory_of(events: Events) -> int:
    """Return the bytes that images and truth take."""
    n_bytes = events.truth.estimated_size()
    for array in events.images.values():
        held = [array] if isinstance(array, np.ndarray) else [array.data, array.indices, array.indptr]
        n_bytes += sum(one.nbytes for one in held)
    return int(n_bytes)


def train_rate(sample: Sample, native: Path, folder: Path) -> tuple[Path, float]:
    """Return a model of the recipe after two epochs, and the events of the second a second of one core."""
    ends: list[float] = []

    def watch(epoch: int, score: float) -> bool:
        ends.append(time.process_time())
        return False

    settings = [f"data.files=['{native}']", "train.epochs=2", "train.accelerator=cpu", "train.batch_size=64"]
    config = load_config(sample.recipe, settings)
    assert isinstance(config, RunConfig)
    train(config, folder / "run", progress=False, watch=watch, predicted=("test",))
    return folder / "run" / "model.safetensors", sample.n_trained / (ends[1] - ends[0])


def scaling(found: dict[str, Measured]) -> list[str]:
    """Return the table of rates with 1 and 2 workers."""
    lines = [
        "| | 1 worker, events/s | 2 workers, events/s | ratio | events a core-second, 1 and 2 workers |",
        "|---|---|---|---|---|",
    ]
    for name, one in found.items():
        for what, rates in (("simulate", one.simulated), ("predict", one.predicted)):
            ratio = rates[2].by_clock / rates[1].by_clock
            lines.append(
                f"| {what} {name} | {rates[1].by_clock:,.0f} | {rates[2].by_clock:,.0f} | {ratio:.2f} "
                f"| {rates[1].by_core:,.0f}, {rates[2].by_core:,.0f} |"
            )
    return lines


def cost(one: Measured, n_events: int = EVENTS, cores: int = CORES) -> dict[str, str]:
    """Return what so many events would cost: measured rates times the number, nothing else.

    Args:
        one: what was measured.
        n_events: how many events.
        cores: that work side by side, one worker each.
    """

    def core_hours(by_core: float) -> str:
        hours = n_events / by_core / 3600
        return f"{hours:,.0f} core-hours ({hours / cores:,.1f} h)"

    return {
        "native files": f"{n_events * one.file_bytes / 1e12:.2f} TB",
        "all images in memory (a stream needs a few blocks)": f"{n_events * one.memory_bytes / 1e12:.2f} TB",
        "memory a worker": f"{one.worker_bytes / 1e9:.1f} GB",
        "simulate": core_hours(one.simulated[2].by_core),
        "read the public layout": core_hours(one.read),
        "predict": core_hours(one.predicted[2].by_core),
        "train, one epoch": core_hours(one.trained),
        "join into one file (one core, not shared)": f"{n_events / one.joined / 3600:,.1f} h",
    }


def basis(found: dict[str, Measured]) -> list[str]:
    """Return the table of measured figures that the cost is worked out from."""
    lines = [f"| | {' | '.join(found)} |", f"|---|{'---|' * len(found)}"]
    rows = {
        "bytes an event, native file": lambda one: one.file_bytes,
        "bytes an event, in memory": lambda one: one.memory_bytes,
        "events a core-second, simulate": lambda one: one.simulated[2].by_core,
        "events a core-second, read the public layout": lambda one: one.read,
        "events a core-second, predict": lambda one: one.predicted[2].by_core,
        "events a core-second, train": lambda one: one.trained,
        "events a core-second, join": lambda one: one.joined,
    }
    for text, value in rows.items():
        lines.append(f"| {text} | {' | '.join(f'{value(one):,.0f}' for one in found.values())} |")
    return lines


def page(found: dict[str, Measured], load: float) -> str:
    machine = describe_machine()
    costs = {name: cost(one) for name, one in found.items()}
    table = [f"| {EVENTS:,} events | {' | '.join(costs)} |", f"|---|{'---|' * len(costs)}"]
    table += [
        f"| {row} | {' | '.join(one[row] for one in costs.values())} |" for row in next(iter(costs.values()))
    ]
    recipes = ", ".join(f"{sample.recipe} ({name})" for name, sample in SAMPLES.items())
    lines = [
        "# Many processes: scaling, and the cost of 10^9 events",
        "",
        f"hitlens {__version__}; {machine['processor']}, {available_cores()} cores; Python "
        f"{machine['python']}, torch {machine['versions']['torch']}; load average {load:.1f}.",
        "",
        f"Networks of {recipes}, in bfloat16 where the machine has it and the task allows it, averaged over "
        "the symmetries where the recipe says so.",
        "",
        "## Measured: 1 and 2 workers",
        "",
        *scaling(found),
        "",
        "Workers are processes of one thread. The clock also counts what other programs did meanwhile: with "
        "a load average above the number of cores the ratio says little. Events a core-second say more: they "
        "stay equal as long as workers do not hinder each other.",
        "",
        "## Measured: what the cost is worked out from",
        "",
        *basis(found),
        "",
        "## Extrapolated: 10^9 events",
        "",
        *table,
        "",
        f"Hours in brackets: with {CORES:,} cores of this kind, if no disk or network is the limit, which "
        "was not measured. A GPU trains and predicts many times faster; that was not measured here either.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--detectors", nargs="+", default=list(SAMPLES), choices=list(SAMPLES))
    parser.add_argument("--print", action="store_true", help="print, and leave RESULTS.md alone")
    options = parser.parse_args()
    loads = [os.getloadavg()[0]]
    found = {}
    with tempfile.TemporaryDirectory() as name:
        for detector in options.detectors:
            found[detector] = measure(detector, Path(name) / detector)
            loads.append(os.getloadavg()[0])
    text = page(found, sum(loads) / len(loads))
    print(text)
    if not options.print:
        (HERE / "RESULTS.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
