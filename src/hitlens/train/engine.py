"""The training loop: resident data through Lightning, resumable at every epoch, usable after Ctrl-C."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as lightning
from numpy.typing import NDArray
from pytorch_lightning.callbacks import Callback, EarlyStopping
from pytorch_lightning.loggers import Logger

from hitlens.datasets.resident import ResidentData
from hitlens.datasets.streaming import StreamedData
from hitlens.errors import InterruptedRunError, RunError
from hitlens.models.global_norm import normalised_together
from hitlens.train.callbacks import EpochBar, History, moving_average, read_history
from hitlens.train.checkpoints import (
    EpochCheckpoints,
    StayStopped,
    WholeFiles,
    epoch_checkpoints,
    epoch_of,
    last_epoch,
    read_checkpoint,
)
from hitlens.train.config import TrainConfig
from hitlens.train.data_module import EventDataModule
from hitlens.train.distributed import (
    EndTogether,
    connected,
    device_type,
    said_by_first,
    trainer_settings,
)
from hitlens.train.hardware import keep_freed_memory
from hitlens.train.module import TrainingModule
from hitlens.train.precision import training_precision
from hitlens.train.scores import monitored
from hitlens.train.watch import Interrupted, Watch, Watching
from hitlens.train.within_epoch import WITHIN, WithinEpoch, newest_checkpoint

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingResult:
    """What a training left behind; the module holds the weights of one epoch.

    Attributes:
        best_epoch: that epoch, counted from 0: the best, or the last where the settings keep that.
        best_score: the monitored score of that epoch.
        monitor: its name.
        n_epochs: epochs completed.
        interrupted: whether Ctrl-C ended it early.
        stopped: whether a watch ended it early.
        precision: what it was computed in, "32-true" or "bf16-mixed".
    """

    best_epoch: int
    best_score: float
    monitor: str
    n_epochs: int
    interrupted: bool
    precision: str
    stopped: bool = False


def run_training(
    module: TrainingModule,
    data: ResidentData | StreamedData,
    train: NDArray[np.int64],
    validation: NDArray[np.int64],
    folder: Path,
    *,
    wanted: NDArray[np.float64] | None = None,
    resume: bool = False,
    progress: bool = True,
    watch: Watch | None = None,
    loggers: Sequence[Logger] = (),
) -> TrainingResult:
    """Train until the last epoch, an early stop or Ctrl-C; leave one epoch's weights in the module.

    Processes connected by `hitlens.train.processes.started_together` train together; the kept weights are in
    the first one's module, what is returned is the same for all.

    Args:
        module: network and everything a step needs; changed in place.
        data: all events.
        train: positions of the training split.
        validation: positions of the validation split.
        folder: run folder; gets ``history.csv`` and ``checkpoints/``.
        wanted: chance of each training event to be drawn, shape (n,), sum 1; None shows each once an epoch.
        resume: continue after the newest checkpoint found in the folder.
        progress: show a bar.
        watch: told of every epoch; may end the training.
        loggers: of Lightning; get the settings and every epoch's scores.

    Raises:
        RunError: the loss diverged.
        InterruptedRunError: Ctrl-C came before the first epoch was complete.
    """
    keep_freed_memory()
    config = module.config
    processes = connected()
    precision = said_by_first(training_precision(module, data, train) if processes.is_first else "")
    monitor, mode = monitored(module.heads, config.monitor)
    keep_all = config.keep_epochs == "all"
    checkpoints = EpochCheckpoints(folder / "checkpoints", monitor, mode, keep_all=keep_all)
    resumed = newest_checkpoint(folder / "checkpoints") if resume and processes.is_first else None
    last = said_by_first(resumed)
    watching = [] if watch is None else [Watching(watch, monitor)]
    several = processes.n_processes > 1
    together = normalised_together(module.network, device_type(config)) if several else nullcontext()
    with _SILENCE.kept(), together:
        trainer = _trainer(
            config,
            precision,
            [checkpoints, *_callbacks(config, folder, monitor, mode), *watching],
            progress,
            loggers,
        )
        shard = (processes.rank, processes.n_processes)
        dealt = EventDataModule(data, train, validation, config, wanted, shard)
        interrupted = _fit(trainer, module, dealt, last)
    if not checkpoints.best:
        raise InterruptedRunError(
            f"Training was interrupted before its first epoch was complete; {folder} holds no model."
        )
    best_epoch, best_score = said_by_first(
        _keep_weights(module, folder, checkpoints.best) if processes.is_first else (0, 0.0)
    )
    return TrainingResult(
        best_epoch=best_epoch,
        best_score=best_score,
        monitor=monitor,
        n_epochs=trainer.current_epoch,
        interrupted=interrupted,
        precision=precision,
        stopped=any(one.stopped for one in watching),
    )


def load_epoch(module: TrainingModule, folder: Path, epoch: int) -> None:
    """Load the weights of an epoch whose checkpoint is kept.

    Args:
        module: gets them.
        folder: run folder.
        epoch: from 0.

    Raises:
        RunError: its checkpoint is gone or damaged.
    """
    kept = [path for path in epoch_checkpoints(folder / "checkpoints") if epoch_of(path) == epoch]
    if not kept:
        raise RunError(
            f"The checkpoint of epoch {epoch + 1} is no longer in {folder / 'checkpoints'}. Put it back, or "
            "start over with --force."
        )
    module.load_state_dict(read_checkpoint(kept[-1])["state_dict"])


def _keep_weights(module: TrainingModule, folder: Path, best: str) -> tuple[int, float]:
    """Load the weights of the best or the last epoch, as the settings say; return epoch and score."""
    checkpoints = folder / "checkpoints"
    last = last_epoch(checkpoints) if module.config.keep == "last" else None
    checkpoint = read_checkpoint(last or checkpoints / best)
    module.load_state_dict(checkpoint["state_dict"])
    scores = {int(row["epoch"]): float(row["val_metric"]) for row in read_history(folder / "history.csv")}
    epoch = int(checkpoint["epoch"])
    return epoch, scores.get(epoch, float("nan"))


def _callbacks(config: TrainConfig, folder: Path, monitor: str, mode: str) -> list[Callback]:
    callbacks: list[Callback] = [History(folder / "history.csv", monitor)]
    if config.ema_decay:
        callbacks.append(moving_average(config.ema_decay))
    if config.patience:
        patience = EarlyStopping(monitor, mode=mode, patience=config.patience)
        callbacks += [patience, StayStopped(patience)]
    if connected().n_processes > 1:
        callbacks.append(EndTogether())
    callbacks.append(WithinEpoch(folder / "checkpoints" / WITHIN, config.checkpoint_minutes))
    return callbacks


def _trainer(
    config: TrainConfig,
    precision: Any,
    callbacks: list[Callback],
    progress: bool,
    loggers: Sequence[Logger],
) -> lightning.Trainer:
    settings = trainer_settings(config)
    return lightning.Trainer(
        max_epochs=config.epochs,
        **settings | {"plugins": [*settings["plugins"], WholeFiles()]},
        precision=precision,
        callbacks=[*callbacks, EpochBar()] if progress else callbacks,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        logger=list(loggers) or False,
        log_every_n_steps=0,  # loggers are told of epochs, by History
        enable_model_summary=False,
        enable_progress_bar=progress,
    )


def _fit(
    trainer: lightning.Trainer, module: TrainingModule, data: EventDataModule, last: Path | None
) -> bool:
    """Run the loop; return whether Ctrl-C ended it."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, datamodule=data, ckpt_path=last, weights_only=True if last else None)
    except SystemExit:
        # Lightning ends the process on Ctrl-C after a clean shutdown; we still want to write the model.
        if not trainer.interrupted:
            raise
        if connected().n_processes == 1:  # launchers send the signal to all, and again
            signal.signal(signal.SIGINT, handler)
        return True
    except Interrupted:
        return True
    return False


class _Silence:
    """Quiet Lightning while trainings run, also several side by side: filters are the whole process'."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_inside = 0
        self._undo = ExitStack()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Let the first one in set the filters and the last one out undo them."""
        with self._lock:
            if not self._n_inside:
                self._undo.enter_context(_quiet_lightning())
            self._n_inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._n_inside -= 1
                if not self._n_inside:
                    self._undo.close()


_SILENCE = _Silence()


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
            # Scores are the same in all processes.
            warnings.filterwarnings("ignore", message=".*sync_dist=True.*")
            # A run that version 0.1.0 began had another callback for its checkpoints.
            warnings.filterwarnings("ignore", message=".*ModelCheckpoint.*")
            yield
    finally:
        logger.setLevel(level)
