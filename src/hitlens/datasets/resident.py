"""Resident data: a whole data set as a few tensors, dealt out in shuffled batches by index."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from hitlens.datasets.pixels import Pixels, view_pixels
from hitlens.datasets.regions import Region, region_of
from hitlens.datasets.share import Share, share_of
from hitlens.datasets.targets import encode_target
from hitlens.detector import Detector, Task
from hitlens.events import Events


@dataclass(frozen=True)
class Batch:
    """Some events, ready for the network's preprocessing.

    Attributes:
        images: raw pixel values by view, in the stored type, shape (event, row, col).
        targets: by head, physical units or class index, shape (event, n_outputs).
        defined: by head, where the target has a meaning, shape (event,).
        rows: positions of the events in the resident data, shape (event,).
        weights: of each event in the loss, shape (event,).
        share: the part of a larger batch that this is; None for a whole one.
    """

    images: dict[str, torch.Tensor]
    targets: dict[str, torch.Tensor]
    defined: dict[str, torch.Tensor]
    rows: torch.Tensor
    weights: torch.Tensor
    share: Share | None = None

    def __len__(self) -> int:
        return len(next(iter(self.images.values())))

    def to(self, device: torch.device) -> Batch:
        """Return the same batch on a device."""
        return Batch(
            {name: images.to(device) for name, images in self.images.items()},
            {name: target.to(device) for name, target in self.targets.items()},
            {name: defined.to(device) for name, defined in self.defined.items()},
            self.rows.to(device),
            self.weights.to(device),
            self.share,
        )


def target_tensors(
    truth: pl.DataFrame, heads: tuple[Task, ...]
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Return by head the targets, shape (event, n_outputs), and where they are defined, shape (event,).

    Args:
        truth: of the events.
        heads: tasks with a head of their own.
    """
    encoded = {head.name: encode_target(truth, head) for head in heads}
    targets = {name: torch.from_numpy(np.nan_to_num(one.values)) for name, one in encoded.items()}
    return targets, {name: torch.from_numpy(one.defined) for name, one in encoded.items()}


@dataclass(frozen=True)
class ResidentData:
    """All events of a study in memory; pixels stay integers, and sparse views sparse, until the batch.

    Attributes:
        pixels: by view.
        targets: by head, physical units or class index, shape (event, n_outputs).
        defined: by head, where the target has a meaning, shape (event,).
    """

    pixels: dict[str, Pixels]
    targets: dict[str, torch.Tensor]
    defined: dict[str, torch.Tensor]

    @classmethod
    def from_events(
        cls,
        events: Events,
        detector: Detector,
        heads: tuple[Task, ...],
        regions: dict[str, Region] | None = None,
    ) -> ResidentData:
        """Put events and the targets of these heads into tensors; images are shared, not copied."""
        pixels = {
            view.name: view_pixels(events.images[view.name], view, region_of(regions or {}, view.name))
            for view in detector.views
        }
        return cls(pixels, *target_tensors(events.truth, heads))

    def __len__(self) -> int:
        return len(next(iter(self.pixels.values())))

    def take(self, rows: torch.Tensor) -> Batch:
        """Return the events at these positions."""
        return Batch(
            {name: pixels[rows] for name, pixels in self.pixels.items()},
            {name: target[rows] for name, target in self.targets.items()},
            {name: defined[rows] for name, defined in self.defined.items()},
            rows,
            torch.ones(len(rows), device=rows.device),
        )

    def to(self, device: torch.device) -> ResidentData:
        """Return the same data on a device."""
        return ResidentData(
            {name: pixels.to(device) for name, pixels in self.pixels.items()},
            {name: target.to(device) for name, target in self.targets.items()},
            {name: defined.to(device) for name, defined in self.defined.items()},
        )


class ResidentLoader:
    """Iterates over resident data in batches by index; one pass is one epoch.

    Args:
        data: the resident events.
        rows: positions this loader may hand out, shape (n,).
        batch_size: events a batch; the last batch may be smaller.
        shuffle_seed: None keeps the order; the same numbers give the same order.
        drop_last: leave the smaller last batch out, for normalisation layers that need many events.
        chances: chance of each row to be drawn, shape (n,), sum 1; rows are then drawn with replacement.
        wanted: chance of each row that weighted means are to follow, shape (n,), sum 1; the same for all
            where left out. Drawn events are weighted by wanted over chance.
        n_draws: events handed out in one pass, at most all rows unless there are chances; 0 for as many as
            there are rows.
        shard: of each batch, hand out the share of this process: its number and how many there are.
    """

    def __init__(
        self,
        data: ResidentData,
        rows: NDArray[np.int64],
        batch_size: int,
        *,
        shuffle_seed: tuple[int, ...] | None = None,
        drop_last: bool = False,
        chances: NDArray[np.float64] | None = None,
        wanted: NDArray[np.float64] | None = None,
        n_draws: int = 0,
        shard: tuple[int, int] = (0, 1),
    ) -> None:
        self.data = data
        self.rows = torch.from_numpy(np.asarray(rows))
        self.batch_size = batch_size
        self.shuffle_seed = shuffle_seed
        self.n_draws = n_draws or len(rows)
        if chances is None:
            self.n_draws = min(self.n_draws, len(rows))
        self.drop_last = drop_last and self.n_draws >= batch_size
        self.chances = chances
        self.shard = shard
        self._start, self._n_handed = 0, 0
        self.wanted = np.full(len(rows), 1 / max(1, len(rows))) if wanted is None else wanted

    def __len__(self) -> int:
        n = self.n_draws
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def state_dict(self) -> dict[str, int]:
        """Return how many batches were handed out."""
        return {"n_batches": self._n_handed}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let the next pass begin after so many batches."""
        self._start = state["n_batches"]

    def __iter__(self) -> Iterator[Batch]:
        order = self._order()
        rows = self.rows[order]
        first, self._start = self._start, 0
        for number in range(first, len(self)):
            self._n_handed = number + 1
            part = slice(number * self.batch_size, (number + 1) * self.batch_size)
            share = share_of(len(rows[part]), self.shard)
            batch = self.data.take(rows[part][share.rows])
            if self.shard[1] > 1:
                batch = replace(batch, share=share)
            if self.chances is not None:
                drawn = order[part][share.rows].numpy()
                weights = self.wanted[drawn] / self.chances[drawn]
                batch = replace(batch, weights=torch.from_numpy(weights).to(batch.weights))
            yield batch

    def _order(self) -> torch.Tensor:
        """Positions among the rows, in the order they are handed out."""
        n = len(self.rows)
        if self.shuffle_seed is None:
            return torch.arange(self.n_draws)
        rng = np.random.default_rng(self.shuffle_seed)
        order = rng.permutation(n) if self.chances is None else rng.choice(n, self.n_draws, p=self.chances)
        return torch.from_numpy(order[: self.n_draws])
