"""Around the epochs: averaged weights, the history file, a stop at the first sign of divergence."""

from __future__ import annotations

import csv
import logging
import math
import time
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import Callback, RichProgressBar, WeightAveraging

from hitlens.errors import RunError
from hitlens.io.atomic import written_whole
from hitlens.io.guard import damage_as_format_error
from hitlens.train.distributed import connected
from hitlens.train.module import TrainingModule

log = logging.getLogger(__name__)

#: First columns of history.csv; every other score of the validation split follows under its own name.
HISTORY_COLUMNS = ("epoch", "train_loss", "val_loss", "val_metric", "lr", "seconds")


def moving_average(decay: float) -> WeightAveraging:
    """Return a callback that validates and ships an exponential moving average of the weights.

    The average forgets faster at first, ``min(decay, (1 + n) / (10 + n))`` after n steps, so that the first
    epochs are not judged by the random weights they began with.

    Args:
        decay: share of the average kept a step in the long run.
    """

    def average(kept: torch.Tensor, new: torch.Tensor, n_averaged: torch.Tensor | int) -> torch.Tensor:
        n = int(n_averaged)
        share = min(decay, (1 + n) / (10 + n))
        return torch.lerp(kept, new, 1 - share) if kept.is_floating_point() else new

    return WeightAveraging(avg_fn=average)


class History(Callback):
    """Appends one row an epoch to history.csv, tells loggers, and ends a training whose loss is no number.

    Of several processes the first writes.

    Args:
        path: the CSV file; on resuming, rows from the resumed epoch on are dropped.
        metric: name of the score that chooses the best epoch, repeated in column ``val_metric``.
    """

    def __init__(self, path: Path, metric: str) -> None:
        self.path = path
        self.metric = metric
        self._started = 0.0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Drop rows of epochs that will be run again, and start the clock of one that is gone on with."""
        self._started = time.perf_counter()
        if not connected().is_first:
            return
        rows = [row for row in read_history(self.path) if int(row["epoch"]) < trainer.current_epoch]
        if rows:
            self._write(rows)
        else:
            self.path.unlink(missing_ok=True)

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Write this epoch's row."""
        scores = {name: float(value) for name, value in trainer.callback_metrics.items()}
        row: dict[str, Any] = {
            "epoch": trainer.current_epoch,
            "train_loss": cast(TrainingModule, pl_module).train_loss,
            "val_loss": scores["val_loss"],
            "val_metric": scores[self.metric],
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
            "seconds": time.perf_counter() - self._started,
        }
        row |= cast(TrainingModule, pl_module).train_scores
        row |= {name: value for name, value in scores.items() if name.startswith("val_") and name not in row}
        if connected().is_first:
            self._append(row, trainer)
        check_losses(row["epoch"] + 1, row["train_loss"], row["val_loss"])

    def _append(self, row: dict[str, Any], trainer: lightning.Trainer) -> None:
        rows = [*read_history(self.path), {name: _short(value) for name, value in row.items()}]
        self._write(rows)
        log.info("%s", "  ".join(f"{name} {value}" for name, value in rows[-1].items()))
        for logger in trainer.loggers:
            logger.log_metrics({k: v for k, v in row.items() if k != "epoch"}, step=row["epoch"])

    def _write(self, rows: list[dict[str, str]]) -> None:
        with written_whole(self.path) as partial, partial.open("w", newline="") as file:
            # Rows of an earlier version may lack a column.
            names = list(dict.fromkeys(name for row in reversed(rows) for name in row))
            writer = csv.DictWriter(file, fieldnames=names, restval="")
            writer.writeheader()
            writer.writerows(rows)


def read_history(path: Path) -> list[dict[str, str]]:
    """Return the rows of history.csv, none where the file is not there yet.

    Raises:
        FileFormatError: the file is damaged.
    """
    if not path.exists():
        return []
    with damage_as_format_error(path), path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _short(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.6g}"


class EpochBar(RichProgressBar):
    """The bar of an epoch, which counts epochs from 1 as everything else does."""

    def _get_train_description(self, current_epoch: int) -> str:
        return f"Epoch {current_epoch + 1}/{self.trainer.max_epochs}"


def check_losses(epoch: int, training: float, validation: float) -> None:
    """End a training whose loss is not a number any more; on validation events alone that is no divergence.

    Args:
        epoch: counted from 1.
        training: loss of the training events.
        validation: loss of the validation events.

    Raises:
        RunError: one of them is not finite.
    """
    if not math.isfinite(training):
        raise RunError(
            f"Training diverged in epoch {epoch}: the loss is not a number any more. "
            "Try a lower train.learning_rate, a longer train.warmup_epochs or train.precision=float32."
        )
    if not math.isfinite(validation):
        raise RunError(
            f"The loss of the validation events is {validation} after epoch {epoch}, that of the training "
            f"events {training:.4g}: the network answers some of them with no number. Look for pixels "
            "or targets far outside the training's range (hitlens inspect), or try train.precision=float32."
        )
