"""Resident data: a whole data set as a few tensors, dealt out in shuffled batches by index."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

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
    """

    images: dict[str, torch.Tensor]
    targets: dict[str, torch.Tensor]
    defined: dict[str, torch.Tensor]

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
        return cls(Batch(images, targets, defined))

    def __len__(self) -> int:
        return len(self.everything)

    def take(self, rows: torch.Tensor) -> Batch:
        """Return the events at these positions."""
        parts = (self.everything.images, self.everything.targets, self.everything.defined)
        return Batch(*({name: tensor[rows] for name, tensor in part.items()} for part in parts))

    def to(self, device: torch.device) -> ResidentData:
        """Return the same data on a device."""
        parts = (self.everything.images, self.everything.targets, self.everything.defined)
        return ResidentData(
            Batch(*({name: tensor.to(device) for name, tensor in part.items()} for part in parts))
        )


class ResidentLoader:
    """Iterates over resident data in batches by index; one pass is one epoch.

    Args:
        data: the resident events.
        rows: positions this loader may hand out, shape (n,).
        batch_size: events a batch; the last batch may be smaller.
        shuffle_seed: None keeps the order; the same numbers give the same order.
        drop_last: leave the smaller last batch out, for normalisation layers that need many events.
    """

    def __init__(
        self,
        data: ResidentData,
        rows: NDArray[np.int64],
        batch_size: int,
        *,
        shuffle_seed: tuple[int, ...] | None = None,
        drop_last: bool = False,
    ) -> None:
        self.data = data
        self.rows = torch.from_numpy(np.asarray(rows))
        self.batch_size = batch_size
        self.shuffle_seed = shuffle_seed
        self.drop_last = drop_last and len(rows) >= batch_size

    def __len__(self) -> int:
        n = len(self.rows)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        rows = self.rows
        if self.shuffle_seed is not None:
            rows = rows[torch.from_numpy(np.random.default_rng(self.shuffle_seed).permutation(len(rows)))]
        for number in range(len(self)):
            yield self.data.take(rows[number * self.batch_size : (number + 1) * self.batch_size])
