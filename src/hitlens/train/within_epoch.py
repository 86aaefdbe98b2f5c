"""Checkpoints within an epoch, for epochs that take hours: a resumed run goes on at the very batch."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import Callback

from hitlens.io.atomic import remove
from hitlens.train.checkpoints import last_epoch, steps_of
from hitlens.train.distributed import connected, summed
from hitlens.train.module import TrainingModule

log = logging.getLogger(__name__)

#: Name of the checkpoint, beside those of whole epochs.
WITHIN = "within.ckpt"

#: Key of what it holds besides a whole epoch's.
_KEY = "within_epoch"


class WithinEpoch(Callback):
    """Writes a checkpoint every few minutes, replaced as a whole, and sets a resumed training at its batch.

    It holds what a checkpoint between epochs can do without: the batches done, the state of the random
    numbers, the losses so far. It goes when the epoch's own checkpoint is there. Among the callbacks it must
    come after those that change weights.

    Args:
        path: of the checkpoint.
        minutes: between two of them; 0 writes none.
    """

    def __init__(self, path: Path, minutes: float) -> None:
        self.path = path
        self.minutes = minutes
        self._n_batches = 0
        self._last = time.monotonic()
        self._restored: dict[str, Any] | None = None

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Set the training at the batch a checkpoint was written after."""
        self._last = time.monotonic()
        state, self._restored = self._restored, None
        if state is None:
            return
        module = cast(TrainingModule, pl_module)
        loader = cast(Any, trainer.train_dataloader)
        loader.load_state_dict({"n_batches": state["n_batches"]})
        module.restore_epoch(trainer.current_epoch, state["draws"], state["train_losses"])
        log.info("going on in epoch %d after batch %d", trainer.current_epoch, state["n_batches"])

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Remove the checkpoint of the epoch before, which has its own now."""
        self._remove()

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Remove the checkpoint of the last epoch."""
        self._remove()

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Write a checkpoint where it is time; after an epoch's last batch its own one follows."""
        if not self.minutes or batch_idx + 1 >= trainer.num_training_batches or not self._is_due():
            return
        self._last = time.monotonic()
        self._n_batches = batch_idx + 1
        cast(TrainingModule, pl_module).remember_losses()
        try:
            trainer.save_checkpoint(self.path)
        finally:
            self._n_batches = 0

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add what a checkpoint within an epoch needs."""
        if self._n_batches:
            draws, losses = cast(TrainingModule, pl_module).epoch_state()
            checkpoint[_KEY] = {"n_batches": self._n_batches, "draws": draws, "train_losses": losses}

    def on_load_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep what was added until the training starts."""
        self._restored = checkpoint.get(_KEY)

    def _is_due(self) -> bool:
        """Whether it is time by the first process' clock, so that all write together."""
        due = time.monotonic() - self._last >= 60 * self.minutes
        if connected().n_processes == 1:
            return due
        return bool(summed(torch.tensor(float(due and connected().is_first))).item())

    def _remove(self) -> None:
        if connected().is_first:
            remove(self.path)


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the newest whole checkpoint of a folder, of an epoch or within one; None where there is none."""
    epoch, within = last_epoch(folder), folder / WITHIN
    steps = steps_of(within) if within.is_file() else None
    if steps is None:
        return epoch
    return within if epoch is None or steps > (steps_of(epoch) or 0) else epoch
