"""Checkpoints of epochs: whole or not there, numbered, and known by their names within their folder.

A run folder may be moved or copied between two parts of a training; so nothing in a checkpoint says where it
lies.
"""

from __future__ import annotations

import io
import logging
import math
import re
import zipfile
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from pytorch_lightning.callbacks import Callback, Checkpoint, EarlyStopping

from hitlens.errors import NotFoundError, RunError
from hitlens.io.atomic import remove, written_whole
from hitlens.train.distributed import connected

log = logging.getLogger(__name__)

_NAME = re.compile(r"epoch=(\d+)-.*\.ckpt")


class WholeFiles(TorchCheckpointIO):
    """Writes a checkpoint beside its place, under a temporary name until it is whole.

    Lightning's own writes it in the folder for temporary files, and copies it where that is another disk.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint in one piece."""
        # By way of memory: where the disk is full, what torch itself says is a riddle.
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with written_whole(path) as partial:
            partial.write_bytes(content.getbuffer())


class EpochCheckpoints(Checkpoint):
    """Writes a checkpoint at each epoch's end, and remembers which epoch was the best so far.

    Kept are the newest two and the best epoch as each of them knows it: the newest resumes the training, and
    should it be damaged, the one before does.

    Args:
        folder: of the checkpoints.
        monitor: name of the score by which epochs are compared.
        mode: "max" where a higher score is better, "min" where a lower one is.
        keep_all: keep the checkpoint of every epoch.

    Attributes:
        best: name of the best epoch's checkpoint; nothing before the first epoch is complete.
    """

    def __init__(self, folder: Path, monitor: str, mode: str, *, keep_all: bool = False) -> None:
        self.keep_all = keep_all
        self.folder = folder
        self.monitor = monitor
        self.mode = mode
        self.best = ""
        self._best_score = math.nan
        self._best_before = ""

    @property
    def state_key(self) -> str:
        """Name of what is kept of this in a checkpoint."""
        return "EpochCheckpoints"

    def state_dict(self) -> dict[str, Any]:
        """Return which epoch is the best so far."""
        return {"best": self.best, "best_score": self._best_score}

    def on_load_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Learn which epoch was the best; runs of version 0.1.0 hold its path, of which the name counts.

        Raises:
            RunError: the checkpoint of the best epoch is gone.
        """
        states = checkpoint["callbacks"]
        if self.state_key in states:
            self.best, self._best_score = (states[self.state_key][name] for name in ("best", "best_score"))
        else:
            state = next(state for name, state in states.items() if name.startswith("ModelCheckpoint"))
            self.best = Path(state["best_model_path"]).name
            self._best_score = float(
                "nan" if state["best_model_score"] is None else state["best_model_score"]
            )
        self._best_before = self.best
        if self.best and not (self.folder / self.best).is_file():
            raise RunError(
                f"The best epoch so far is that of {self.best}, which is no longer in {self.folder}: the run "
                "cannot be resumed to the same result. Put it back, or start over with --force."
            )

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Tidy up after the epoch before."""
        self._tidy()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Write this epoch's checkpoint."""
        score = float(trainer.callback_metrics[self.monitor])
        name = f"epoch={trainer.current_epoch:03d}-{self.monitor}={score:.5f}.ckpt"
        self._best_before = self.best
        if not self.best or self._is_better(score):
            self.best, self._best_score = name, score
        trainer.save_checkpoint(self.folder / name)

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Tidy up after the last epoch."""
        self._tidy()

    def _is_better(self, score: float) -> bool:
        if math.isnan(score) or math.isnan(self._best_score):
            return not math.isnan(score)
        return score > self._best_score if self.mode == "max" else score < self._best_score

    def _tidy(self) -> None:
        if connected().is_first and not self.keep_all:
            for path in epoch_checkpoints(self.folder)[:-2]:
                if path.name not in (self.best, self._best_before):
                    remove(path)


class StayStopped(Callback):
    """Lets a resumed training that had lost its patience end where it ended, not an epoch later.

    Args:
        patience: ends the training.
    """

    def __init__(self, patience: EarlyStopping) -> None:
        self.patience = patience

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """End a training that is over."""
        if self.patience.wait_count >= self.patience.patience:
            trainer.should_stop = True


def epoch_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of whole epochs, by number.

    Examples:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for epoch in (1000, 999):
        ...     (folder / f"epoch={epoch:03d}-val_loss=0.1.ckpt").touch()
        >>> [path.name[:10] for path in epoch_checkpoints(folder)]
        ['epoch=999-', 'epoch=1000']
    """
    named = [path for path in folder.glob("epoch=*.ckpt") if _NAME.fullmatch(path.name)]
    return sorted(named, key=lambda path: (epoch_of(path), path.name))


def epoch_of(path: Path) -> int:
    """Return the epoch of a checkpoint, from 0, which its name says.

    Examples:
        >>> epoch_of(Path("checkpoints/epoch=012-val_loss=0.10000.ckpt"))
        12
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise RunError(f"{path} is not the checkpoint of an epoch.")
    return int(match[1])


def epoch_checkpoint(folder: Path, epoch: int) -> Path:
    """Return the checkpoint of an epoch.

    Args:
        folder: of the checkpoints.
        epoch: counted from 0, as in history.csv.

    Raises:
        NotFoundError: it is not there, or not any more.
    """
    kept = {int(_NAME.fullmatch(path.name)[1]): path for path in epoch_checkpoints(folder)}  # type: ignore[index]
    if epoch not in kept:
        there = ", ".join(map(str, kept)) or "none"
        raise NotFoundError(
            f"{folder} has no checkpoint of epoch {epoch}. There are: {there}. Train with "
            "train.keep_epochs=all to keep every epoch."
        )
    return kept[epoch]


def last_epoch(folder: Path) -> Path | None:
    """Return the newest whole checkpoint of an epoch; one that is damaged is passed over."""
    return next((path for path in reversed(epoch_checkpoints(folder)) if steps_of(path) is not None), None)


def steps_of(path: Path) -> int | None:
    """Return the steps a checkpoint was written after; None, and a warning, where it is not whole."""
    try:
        return int(read_checkpoint(path)["global_step"])
    except RunError as error:
        log.warning("%s The training goes on from the one before.", error)
        return None


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return what a checkpoint holds, on the CPU.

    Raises:
        RunError: it is damaged, or not there.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # torch itself looks at no checksum
            damaged = archive.testzip()
        if damaged:
            raise zipfile.BadZipFile(damaged)
        content: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        content["global_step"], content["epoch"], content["state_dict"]
    except Exception as error:  # what torch raises depends on where a file was cut or changed
        log.debug("%s", path, exc_info=error)
        raise RunError(f"The checkpoint {path} is not whole or cannot be read.") from None
    return content
