"""The training loop: resident data through Lightning, resumable at every epoch, usable after Ctrl-C."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import pytorch_lightning as lightning
import torch
from numpy.typing import NDArray
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint

from hitlens.datasets.resident import Batch, ResidentData, ResidentLoader
from hitlens.errors import RunError
from hitlens.train.callbacks import History, KeepFew, moving_average, read_history
from hitlens.train.config import TrainConfig
from hitlens.train.hardware import keep_freed_memory, resolve_precision
from hitlens.train.module import TrainingModule
from hitlens.train.scores import monitored

log = logging.getLogger(__name__)

#: Events a batch where no gradient is needed.
_VALIDATION_BATCH = 2048


@dataclass(frozen=True)
class TrainingResult:
    """What a training left behind; the module holds the weights of one epoch.

    Attributes:
        best_epoch: that epoch, counted from 0: the best, or the last where the settings keep that.
        best_score: the monitored score of that epoch.
        monitor: its name.
        n_epochs: epochs completed.
        interrupted: whether Ctrl-C ended it early.
        precision: what it was computed in, "32-true" or "bf16-mixed".
    """

    best_epoch: int
    best_score: float
    monitor: str
    n_epochs: int
    interrupted: bool
    precision: str


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


def run_training(
    module: TrainingModule,
    data: ResidentData,
    train: NDArray[np.int64],
    validation: NDArray[np.int64],
    folder: Path,
    *,
    wanted: NDArray[np.float64] | None = None,
    resume: bool = False,
    progress: bool = True,
) -> TrainingResult:
    """Train until the last epoch, an early stop or Ctrl-C; leave one epoch's weights in the module.

    Args:
        module: network and everything a step needs; changed in place.
        data: all events.
        train: positions of the training split.
        validation: positions of the validation split.
        folder: run folder; gets ``history.csv`` and ``checkpoints/``.
        wanted: chance of each training event to be drawn, shape (n,), sum 1; None shows each once an epoch.
        resume: continue after the last complete epoch found in the folder.
        progress: show a bar.

    Raises:
        RunError: the loss diverged, or Ctrl-C came before the first epoch was complete.
    """
    keep_freed_memory()
    config = module.config
    precision = resolve_precision(config.precision, config.accelerator)
    monitor, mode = monitored(module.heads, config.monitor)
    checkpoints = ModelCheckpoint(
        dirpath=folder / "checkpoints",
        filename=f"{{epoch:03d}}-{{{monitor}:.5f}}",
        monitor=monitor,
        mode=mode,
        save_top_k=-1,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    last = _last_checkpoint(folder) if resume else None
    with _quiet_lightning():
        trainer = _trainer(
            config,
            precision,
            [checkpoints, KeepFew(checkpoints), *_callbacks(config, folder, monitor, mode)],
            progress,
        )
        interrupted = _fit(trainer, module, ResidentDataModule(data, train, validation, config, wanted), last)
    if not checkpoints.best_model_path:
        raise RunError(
            f"Training was interrupted before its first epoch was complete; {folder} holds no model."
        )
    kept = Path(checkpoints.best_model_path) if config.keep == "best" else _last_checkpoint(folder)
    best = torch.load(kept, weights_only=True)  # type: ignore[arg-type]
    module.load_state_dict(best["state_dict"])
    scores = {int(row["epoch"]): float(row["val_metric"]) for row in read_history(folder / "history.csv")}
    return TrainingResult(
        best_epoch=int(best["epoch"]),
        best_score=scores.get(int(best["epoch"]), float("nan")),
        monitor=monitor,
        n_epochs=trainer.current_epoch,
        interrupted=interrupted,
        precision=precision,
    )


def _callbacks(config: TrainConfig, folder: Path, monitor: str, mode: str) -> list[Callback]:
    callbacks: list[Callback] = [History(folder / "history.csv", monitor)]
    if config.ema_decay:
        callbacks.append(moving_average(config.ema_decay))
    if config.patience:
        callbacks.append(EarlyStopping(monitor, mode=mode, patience=config.patience))
    return callbacks


def _trainer(
    config: TrainConfig, precision: Any, callbacks: list[Callback], progress: bool
) -> lightning.Trainer:
    return lightning.Trainer(
        max_epochs=config.epochs,
        accelerator=config.accelerator,
        devices=1,
        precision=precision,
        callbacks=callbacks,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        logger=False,
        enable_model_summary=False,
        enable_progress_bar=progress,
    )


def _fit(
    trainer: lightning.Trainer, module: TrainingModule, data: ResidentDataModule, last: Path | None
) -> bool:
    """Run the loop; return whether Ctrl-C ended it."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, datamodule=data, ckpt_path=last, weights_only=True if last else None)
    except SystemExit:
        # Lightning ends the process on Ctrl-C after a clean shutdown; we still want to write the model.
        if not trainer.interrupted:
            raise
        signal.signal(signal.SIGINT, handler)
        return True
    return False


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keep Lightning's banners, and warnings no user can act on, off the screen."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            # torch renamed a class that Lightning still asks for.
            warnings.filterwarnings("ignore", message=".*LeafSpec.*")
            # A callback says that it restores averaged weights; that is what a resume is for.
            warnings.filterwarnings("ignore", message=".*WeightAveraging.*")
            # Checkpoints of the interrupted part are wanted where they are.
            warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
            yield
    finally:
        logger.setLevel(level)


def _last_checkpoint(folder: Path) -> Path | None:
    """Newest checkpoint that is whole; one cut off by the machine's end is passed over."""
    for path in sorted((folder / "checkpoints").glob("epoch=*.ckpt"), reverse=True):
        try:
            torch.load(path, weights_only=True, map_location="meta")
        except (RuntimeError, EOFError, UnpicklingError):
            log.warning("%s is not whole; the training goes on from the one before", path)
            continue
        return path
    return None
