"""Resident data: a whole data set as a few tensors, dealt out in shuffled batches by index."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

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
    """

    images: dict[str, torch.Tensor]
    targets: dict[str, torch.Tensor]
    defined: dict[str, torch.Tensor]
    rows: torch.Tensor
    weights: torch.Tensor

    def __len__(self) -> int:
        return len(next(iter(self.images.values())))


@dataclass(frozen=True)
class ResidentData:
    """All events of a study in memory; pixels stay integers until the batch.

    Attributes:
        everything: the events as one `Batch`.
    """

    everything: Batch

    @classmethod
    def from_events(cls, events: Events, detector: Detector, heads: tuple[Task, ...]) -> ResidentData:
        """Put events and the targets of these heads into tensors; images are shared, not copied."""
        images = {
            view.name: torch.from_numpy(np.ascontiguousarray(events.dense(view.name, view.shape)))
            for view in detector.views
        }
        encoded = {head.name: encode_target(events.truth, head) for head in heads}
        targets = {name: torch.from_numpy(np.nan_to_num(target.values)) for name, target in encoded.items()}
        defined = {name: torch.from_numpy(target.defined) for name, target in encoded.items()}
        return cls(Batch(images, targets, defined, torch.arange(len(events)), torch.ones(len(events))))

    def __len__(self) -> int:
        return len(self.everything)

    def take(self, rows: torch.Tensor) -> Batch:
        """Return the events at these positions."""
        return self._each(lambda tensor: tensor[rows])

    def to(self, device: torch.device) -> ResidentData:
        """Return the same data on a device."""
        return ResidentData(self._each(lambda tensor: tensor.to(device)))

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Batch:
        whole = self.everything
        return Batch(
            {name: change(tensor) for name, tensor in whole.images.items()},
            {name: change(tensor) for name, tensor in whole.targets.items()},
            {name: change(tensor) for name, tensor in whole.defined.items()},
            change(whole.rows),
            change(whole.weights),
        )


class ResidentLoader:
    """Iterates over resident data in batches by index; one pass is one epoch.

    Args:
        data: the resident events.
        rows: positions this loader may hand out, shape (n,).
        batch_size: events a batch; the last batch may be smaller.
        shuffle_seed: None keeps the order; the same numbers give the same order.
        drop_last: leave the smaller last batch out, for normalisation layers that need many events.
        chances: chance of each row to be drawn, shape (n,), sum 1; rows are then drawn with replacement and
            weighted by the inverse, so that weighted means stay what they are.
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
    ) -> None:
        self.data = data
        self.rows = torch.from_numpy(np.asarray(rows))
        self.batch_size = batch_size
        self.shuffle_seed = shuffle_seed
        self.drop_last = drop_last and len(rows) >= batch_size
        self.chances = chances

    def __len__(self) -> int:
        n = len(self.rows)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        order = self._order()
        rows = self.rows[order]
        for number in range(len(self)):
            part = slice(number * self.batch_size, (number + 1) * self.batch_size)
            batch = self.data.take(rows[part])
            if self.chances is not None:
                weights = 1 / (len(rows) * self.chances[order[part].numpy()])
                batch = replace(batch, weights=torch.from_numpy(weights).to(batch.weights))
            yield batch

    def _order(self) -> torch.Tensor:
        """Positions among the rows, in the order they are handed out."""
        n = len(self.rows)
        if self.shuffle_seed is None:
            return torch.arange(n)
        rng = np.random.default_rng(self.shuffle_seed)
        return torch.from_numpy(
            rng.permutation(n) if self.chances is None else rng.choice(n, n, p=self.chances)
        )
