"""Hands training its batches, one epoch at a time, and draws the hard events more often."""

from __future__ import annotations

import numpy as np
import pytorch_lightning as lightning
import torch
from numpy.typing import NDArray

from hitlens.datasets.resident import Batch, ResidentData, ResidentLoader
from hitlens.train.config import TrainConfig

#: Events a batch where no gradient is needed.
_VALIDATION_BATCH = 2048


class ResidentDataModule(lightning.LightningDataModule):
    """Hands Lightning one epoch at a time; the order of each epoch depends on seed and epoch number alone."""

    def __init__(
        self,
        data: ResidentData,
        train: NDArray[np.int64],
        validation: NDArray[np.int64],
        config: TrainConfig,
        wanted: NDArray[np.float64] | None = None,
    ) -> None:
        super().__init__()
        self.data = data
        self.rows = {"train": train, "validation": validation}
        self.config = config
        self.wanted = wanted

    def setup(self, stage: str) -> None:
        """Move the data to the device once."""
        if self.trainer is not None:
            self.data = self.data.to(self.trainer.strategy.root_device)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Return the batch as it is: resident data already lie on the device."""
        return batch

    def train_dataloader(self) -> ResidentLoader:
        """Return this epoch's shuffled batches."""
        epoch = 0 if self.trainer is None else self.trainer.current_epoch
        return ResidentLoader(
            self.data,
            self.rows["train"],
            self.config.batch_size,
            shuffle_seed=(self.config.seed, epoch),
            drop_last=True,
            chances=self._chances(),
            wanted=self.wanted,
            n_draws=self.config.draws,
        )

    def _chances(self) -> NDArray[np.float64] | None:
        """Chance of each training event in this epoch; None where every event is shown once."""
        share = self.config.hard_sampling
        known = torch.empty(0) if self.trainer is None else self.trainer.lightning_module.last_losses
        if not share or len(known) == 0:  # type: ignore[arg-type]
            return self.wanted
        return draw_chances(known.cpu().numpy(), self.rows["train"], share, self.wanted)  # type: ignore[operator]

    def val_dataloader(self) -> ResidentLoader:
        """Return the validation split in order."""
        return ResidentLoader(self.data, self.rows["validation"], _VALIDATION_BATCH)


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
