"""Somebody outside who is told of every epoch and may end the training: a search, a queue, a test."""

from __future__ import annotations

from collections.abc import Callable

import pytorch_lightning as lightning
from pytorch_lightning.callbacks import Callback

from hitlens.train.distributed import connected, said_by_first

#: Told of each complete epoch, counted from 0, and its monitored score; True ends the training there.
Watch = Callable[[int, float], bool]


class Interrupted(Exception):
    """Ends a training between two steps, as Ctrl-C does where one model is trained alone."""


class Watching(Callback):
    """Tells a watch of every epoch, and ends the training when it asks for that.

    Of several processes the first one tells it.

    Args:
        watch: told of every epoch.
        monitor: name of the score it is told.
    """

    def __init__(self, watch: Watch, monitor: str) -> None:
        self.watch = watch
        self.monitor = monitor
        #: Whether the watch ended the training.
        self.stopped = False

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Tell the score of the epoch that is over."""
        score = float(trainer.callback_metrics[self.monitor])
        if said_by_first(connected().is_first and self.watch(trainer.current_epoch, score)):
            self.stopped = trainer.should_stop = True
