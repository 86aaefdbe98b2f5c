"""Streamed data: batches from native files larger than memory, read in blocks ahead of the training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hitlens.datasets.mix import Kinds
from hitlens.datasets.pixels import Pixels, view_pixels
from hitlens.datasets.prefetch import prefetched
from hitlens.datasets.regions import Region, region_of
from hitlens.datasets.resident import Batch, target_tensors
from hitlens.datasets.share import Share, share_of
from hitlens.datasets.shuffling import Kind, Shuffle, ShufflePool
from hitlens.datasets.stored import BLOCK, FileReader, StoredEvents, StoredPixels
from hitlens.detector import Detector, Task, View


@dataclass(frozen=True)
class StreamedData:
    """Events of a study in their files; targets in memory, pixels where they are asked for.

    Attributes:
        events: the events.
        views: geometry of the images.
        regions: part and coarseness of each view, by view.
        targets: by head, physical units or class index, shape (event, n_outputs).
        defined: by head, where the target has a meaning, shape (event,).
        shuffle_events: events shuffled together.
        kinds: of the training events, drawn in shares of their own; None for one kind.
    """

    events: StoredEvents
    views: tuple[View, ...]
    regions: dict[str, Region]
    targets: dict[str, torch.Tensor]
    defined: dict[str, torch.Tensor]
    shuffle_events: int
    kinds: Kinds | None = None

    @classmethod
    def from_events(
        cls,
        events: StoredEvents,
        detector: Detector,
        heads: tuple[Task, ...],
        regions: dict[str, Region] | None = None,
        *,
        shuffle_events: int,
        kinds: Kinds | None = None,
    ) -> StreamedData:
        """Put the targets of these heads into tensors; no image is read."""
        targets, defined = target_tensors(events.truth, heads)
        return cls(events, detector.views, regions or {}, targets, defined, shuffle_events, kinds)

    def __len__(self) -> int:
        return len(self.events)

    @property
    def pixels(self) -> dict[str, StoredPixels]:
        """Pixels of each view, read when they are asked for."""
        return {
            view.name: self.events.pixels(view, region_of(self.regions, view.name)) for view in self.views
        }

    def read(self, reader: FileReader, positions: NDArray[np.int64]) -> dict[str, Pixels]:
        """Read the pixels of the events at ascending positions, by view."""
        images = reader.images(self.events.rows[positions], [view.name for view in self.views])
        return {
            view.name: view_pixels(images[view.name], view, region_of(self.regions, view.name))
            for view in self.views
        }

    def batch(self, images: dict[str, torch.Tensor], rows: torch.Tensor, share: Share | None = None) -> Batch:
        """Return a batch of events whose images were read, or a share of one."""
        return Batch(
            images,
            {name: target[rows] for name, target in self.targets.items()},
            {name: defined[rows] for name, defined in self.defined.items()},
            rows,
            torch.ones(len(rows)),
            share,
        )

    def shuffle(self, rows: NDArray[np.int64], batch_size: int, n_draws: int, seed: int) -> Shuffle:
        """Return what deals out the events of each epoch.

        Args:
            rows: positions of the training events, ascending.
            batch_size: events a batch.
            n_draws: events an epoch, 0 for as many as there are.
            seed: of the order.
        """
        kinds = [Kind(rows)]
        if self.kinds is not None:
            kinds = [Kind(rows[self.kinds.labels == i], s) for i, s in enumerate(self.kinds.shares) if s]
        n_draws = n_draws or len(rows)
        if self.kinds is None:
            n_draws = min(n_draws, len(rows))
        edges, files = self._blocks(max(1, min(BLOCK, self.shuffle_events // 16)))
        return Shuffle(kinds, edges, files, batch_size, n_draws, self.shuffle_events, seed=seed)

    def _blocks(self, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Position at which each block begins, the number of events last, and the file of each block."""
        starts, files, first = [], [], 0
        for number, file in enumerate(self.events.files):
            begins = np.arange(0, file.n_events, size)
            starts.append(first + begins)
            files.append(np.full(len(begins), number))
            first += file.n_events
        edges = np.searchsorted(self.events.rows, np.concatenate(starts))
        return np.append(edges, len(self.events)).astype(np.int64), np.concatenate(files)


class StreamingLoader:
    """One epoch of shuffled batches; the next events are read while a batch is trained with.

    A batch takes as many events from each lane, in order of the lanes. A process that shares the epoch with
    others hands out those of its own lanes only; the parts of all of them are the whole batch.

    Args:
        data: the streamed events.
        shuffle: deals out the events of each epoch.
        epoch: counted from 0.
        shard: number of this process, and how many share each batch; at most as many as there are lanes.

    Raises:
        ConfigError: the lanes cannot be dealt evenly to so many processes.
    """

    def __init__(
        self, data: StreamedData, shuffle: Shuffle, epoch: int, *, shard: tuple[int, int] = (0, 1)
    ) -> None:
        self.data = data
        self.epoch = epoch
        self.shuffle = shuffle
        self.lanes = shuffle.lanes_of(shard)
        n_events = min(shuffle.batch_size, shuffle.n_draws)
        self._share = share_of(n_events, shard) if shard[1] > 1 else None
        self._start, self._n_handed = 0, 0

    def __len__(self) -> int:
        return self.shuffle.n_batches

    def state_dict(self) -> dict[str, int]:
        """Return how many batches were handed out."""
        return {"n_batches": self._n_handed}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let the next pass begin after so many batches."""
        self._start = state["n_batches"]

    def __iter__(self) -> Iterator[Batch]:
        first, self._start = self._start, 0
        pools = [
            pool
            for pool in self.shuffle.pools(self.epoch, self.lanes)
            if pool.first_batch + pool.n_batches > first
        ]
        ready = prefetched(self._read(pools))
        try:
            held: dict[int, tuple[ShufflePool, dict[str, Pixels]]] = {}
            n_read = 0
            for number in range(first, len(self)):
                while n_read < len(pools) and pools[n_read].first_batch <= number:
                    pool, pixels = next(ready)
                    held[pool.lane] = (pool, pixels)
                    n_read += 1
                self._n_handed = number + 1
                yield self._batch([held[lane] for lane in self.lanes], number)
        finally:
            ready.close()

    def _read(self, pools: Sequence[ShufflePool]) -> Iterator[tuple[ShufflePool, dict[str, Pixels]]]:
        with self.data.events.reader() as reader:
            for pool in pools:
                yield pool, self.data.read(reader, pool.positions)

    def _batch(self, lanes: list[tuple[ShufflePool, dict[str, Pixels]]], number: int) -> Batch:
        rows, parts = [], [self._part(pool, number) for pool, _ in lanes]
        for (pool, _), part in zip(lanes, parts, strict=True):
            rows.append(pool.positions[part])
        images = {
            view.name: torch.cat(
                [
                    pixels[view.name][torch.from_numpy(part)]
                    for (_, pixels), part in zip(lanes, parts, strict=True)
                ]
            )
            for view in self.data.views
        }
        return self.data.batch(images, torch.from_numpy(np.concatenate(rows)), self._share)

    @staticmethod
    def _part(pool: ShufflePool, number: int) -> NDArray[np.int64]:
        per_batch = len(pool.order) // pool.n_batches
        start = (number - pool.first_batch) * per_batch
        return pool.order[start : start + per_batch]


class OrderedLoader:
    """Streamed events in order, read ahead.

    Args:
        data: the streamed events.
        rows: positions, ascending.
        batch_size: events a batch; the last one may be smaller.
        n_read: batches that are read in one go.
    """

    def __init__(
        self, data: StreamedData, rows: NDArray[np.int64], batch_size: int, *, n_read: int = 4
    ) -> None:
        self.data = data
        self.rows = rows
        self.batch_size = batch_size
        self.n_read = n_read

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        ready = prefetched(self._read())
        try:
            for positions, pixels in ready:
                for start in range(0, len(positions), self.batch_size):
                    part = torch.arange(start, min(start + self.batch_size, len(positions)))
                    images = {view: one[part] for view, one in pixels.items()}
                    yield self.data.batch(images, torch.from_numpy(positions)[part])
        finally:
            ready.close()

    def _read(self) -> Iterator[tuple[NDArray[np.int64], dict[str, Any]]]:
        step = self.n_read * self.batch_size
        with self.data.events.reader() as reader:
            for start in range(0, len(self.rows), step):
                positions = self.rows[start : start + step]
                yield positions, self.data.read(reader, positions)
