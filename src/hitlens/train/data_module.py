"""Hands training its batches, one epoch at a time, and draws the hard events more often."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytorch_lightning as lightning
import torch
from numpy.typing import NDArray

from hitlens.datasets.resident import Batch, ResidentData, ResidentLoader
from hitlens.datasets.share import share_of
from hitlens.datasets.shuffling import Shuffle
from hitlens.datasets.streaming import OrderedLoader, StreamedData, StreamingLoader
from hitlens.train.config import TrainConfig

#: Events a batch where no gradient is needed.
_VALIDATION_BATCH = 2048


class EventDataModule(lightning.LightningDataModule):
    """Hands Lightning one epoch at a time; the order of each epoch depends on seed and epoch number alone.

    Args:
        data: all events, in memory or in their files; every process has them all.
        train: positions of the training split.
        validation: positions of the validation split.
        config: settings of training.
        wanted: chance of each training event to be drawn, shape (n,), sum 1; None shows each once an epoch.
        shard: number of this process and how many there are: it takes its share of each training batch, and
            of the validation split.
    """

    def __init__(
        self,
        data: ResidentData | StreamedData,
        train: NDArray[np.int64],
        validation: NDArray[np.int64],
        config: TrainConfig,
        wanted: NDArray[np.float64] | None = None,
        shard: tuple[int, int] = (0, 1),
    ) -> None:
        super().__init__()
        self.data = data
        self.rows = {"train": train, "validation": validation}
        self.config = config
        self.wanted = wanted
        self.shard = shard
        self._shuffle: Shuffle | None = None
        #: Losses by which this epoch's events are drawn, with its number; what a checkpoint within it held.
        self._known: tuple[int, torch.Tensor] = (-1, torch.empty(0))
        self._restored: tuple[int, torch.Tensor] = (-1, torch.empty(0))

    def setup(self, stage: str) -> None:
        """Move resident data to the device once."""
        if self.trainer is not None and isinstance(self.data, ResidentData):
            self.data = self.data.to(self.trainer.strategy.root_device)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Return the batch on the device, where resident data already lie."""
        return batch if isinstance(self.data, ResidentData) else batch.to(device)

    def train_dataloader(self) -> ResidentLoader | StreamingLoader:
        """Return this epoch's shuffled batches."""
        epoch = 0 if self.trainer is None else self.trainer.current_epoch
        if isinstance(self.data, StreamedData):
            if self._shuffle is None:
                self._shuffle = self.data.shuffle(
                    self.rows["train"], self.config.batch_size, self.config.draws, self.config.seed
                )
            return StreamingLoader(self.data, self._shuffle, epoch, shard=self.shard)
        return ResidentLoader(
            self.data,
            self.rows["train"],
            self.config.batch_size,
            shuffle_seed=(self.config.seed, epoch),
            drop_last=self.config.last_batch == "drop",
            chances=self._chances(epoch),
            wanted=self.wanted,
            n_draws=self.config.draws,
            shard=self.shard,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return what the draws of this epoch depend on, where they depend on more than its number."""
        epoch, losses = self._known
        return {"epoch": epoch, "losses": losses} if self.config.hard_sampling else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Draw the events of an epoch that is gone on with as they were drawn."""
        self._restored = (state_dict["epoch"], state_dict["losses"])

    def _chances(self, epoch: int) -> NDArray[np.float64] | None:
        """Chance of each training event in this epoch; None where every event is shown once."""
        share = self.config.hard_sampling
        if not share:
            return self.wanted
        if self._restored[0] == epoch:
            self._known = self._restored
        else:
            known = torch.empty(0) if self.trainer is None else self.trainer.lightning_module.last_losses
            self._known = (epoch, cast(torch.Tensor, known).detach().cpu().clone())
        losses = self._known[1]
        if len(losses) == 0:
            return self.wanted
        return draw_chances(losses.numpy(), self.rows["train"], share, self.wanted)

    def val_dataloader(self) -> ResidentLoader | OrderedLoader:
        """Return the validation split in order; of several processes, each has a part without gaps."""
        rows = self.rows["validation"]
        own = rows[share_of(len(rows), self.shard).rows]
        if isinstance(self.data, StreamedData):
            return OrderedLoader(self.data, own, _VALIDATION_BATCH)
        return ResidentLoader(self.data, own, _VALIDATION_BATCH)


def draw_chances(
    losses: NDArray[np.float32],
    rows: NDArray[np.int64],
    share: float,
    wanted: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return the chance of each row: a share in proportion to its last loss, the rest the same for all.

    Importance sampling after A. Katharopoulos and F. Fleuret, "Not All Samples Are Created Equal", ICML 2018:
    most events are soon classified beyond doubt and teach nothing more.

    Args:
        losses: last loss by position in the data, NaN where unknown; positions beyond its end are unknown.
        rows: positions of the training events.
        share: from 0 to below 1.
        wanted: chance of each row without this, shape (n,); the same for all where left out.

    Examples:
        >>> losses = np.array([0.0, 3.0, np.nan], dtype=np.float32)
        >>> draw_chances(losses, np.array([0, 1, 2]), 0.5).round(3).tolist()
        [0.167, 0.5, 0.333]
    """
    found = np.full(len(rows), np.nan)
    inside = rows < len(losses)
    found[inside] = losses[rows[inside]]
    found = np.where(np.isfinite(found), found, np.nanmean(found))
    base = np.full(len(rows), 1 / len(rows)) if wanted is None else wanted
    chances: NDArray[np.float64] = share * base * found / (base * found).sum() + (1 - share) * base
    chances /= chances.sum()
    return chances
