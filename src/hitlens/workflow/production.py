"""Simulated events made by many workers: ranges of blocks as tasks, joined in order."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from hitlens.detector import Description, Simulator
from hitlens.detectors import get_detector
from hitlens.errors import NotFoundError
from hitlens.events import Events
from hitlens.workflow.data import BLOCK
from hitlens.workflow.parts import PartRecord, kept_parts
from hitlens.workflow.pool import open_pool
from hitlens.workflow.reading import native_blocks

#: A sample has about this many parts, unless that made one larger than a block of the native file.
_PARTS = 64


@dataclass(frozen=True)
class SimulatedRange:
    """Blocks of simulated events that one task makes.

    Attributes:
        detector: its name.
        settings: all settings of its simulator, as JSON.
        seed: of the whole sample.
        first: number of the first block.
        stop: number of events of the sample up to the last block's end.
    """

    detector: str
    settings: str
    seed: int
    first: int
    stop: int

    def __str__(self) -> str:
        return f"{self.detector} events with seed {self.seed}, block {self.first} to event {self.stop}"


def simulate_part(work: SimulatedRange, path: Path) -> PartRecord:
    """Write the events of some blocks to a native file.

    Args:
        work: which.
        path: the file.

    Raises:
        NotFoundError: the detector has no simulator here.
    """
    from hitlens.io.native import NativeWriter

    make = get_detector(work.detector).simulator
    if make is None:
        raise NotFoundError(f"Detector '{work.detector}' has no simulator on this machine.")
    simulator = make()
    config = simulator.config.model_validate_json(work.settings)
    n_events = 0
    with NativeWriter(path, work.detector) as writer:
        for block in simulator.blocks(config, work.stop, work.seed, 1, work.first):
            writer.write(block)
            n_events += len(block)
    return PartRecord(n_events)


@contextmanager
def simulated_by_cluster(
    output: Path,
    detector: str,
    simulator: Simulator,
    config: Description,
    n_events: int,
    seed: int,
    *,
    cluster: str,
    workers: int | None,
    progress: Callable[[int], object] | None = None,
    force: bool = False,
) -> Iterator[Iterator[Events]]:
    """Let a cluster make a sample, and give its events in order; the parts go when they have been used.

    Args:
        output: file or folder the events are for; the parts lie beside it.
        detector: its name.
        simulator: its simulator.
        config: every setting.
        n_events: how many.
        seed: of the whole sample.
        cluster: as `hitlens.workflow.pool.open_pool`.
        workers: as there.
        progress: called with the number of events of each part.
        force: throw away parts of another sample.

    Raises:
        RunError: there are parts of another sample and ``force`` is not given, or the cluster failed.
        ConfigError: as `hitlens.workflow.pool.open_pool`.
    """
    settings = config.model_dump_json()
    size = simulator.block_events
    n_blocks = -(-n_events // size)
    each = max(1, min(n_blocks // _PARTS, BLOCK // size))
    works = [
        SimulatedRange(detector, settings, seed, first, min((first + each) * size, n_events))
        for first in range(0, n_blocks, each)
    ]
    sample = {"detector": detector, "n_events": n_events, "seed": seed, "settings": json.loads(settings)}
    manifest = {"command": "simulate", **sample}
    with kept_parts(output, manifest, simulate_part, works, suffix=".h5", force=force) as parts:
        if parts.n_finished < len(parts):
            with open_pool(cluster, workers=workers, shared=parts.folder) as pool:
                parts.make(pool, progress)
        yield chain.from_iterable(map(native_blocks, parts.files))
