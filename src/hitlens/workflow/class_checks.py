"""Can these events teach and judge the classes of a task? Told before the first step."""

from __future__ import annotations

import logging

import numpy as np
import polars as pl

from hitlens.datasets.targets import class_indices
from hitlens.detector import Task
from hitlens.errors import ConfigError, DataError
from hitlens.train.config import Monitor

log = logging.getLogger(__name__)

#: Scores of the validation split that need an event of each class.
_OF_EACH_CLASS = ("balanced_loss", "balanced_accuracy", "auc")


def check_classes(
    heads: tuple[Task, ...], training: pl.DataFrame, validation: pl.DataFrame, monitor: Monitor
) -> None:
    """Refuse training events all of one class, and a monitor that the validation events leave undefined.

    Classes without a training event are told in the log.

    Args:
        heads: tasks learnt together.
        training: truth of the events the network is shown.
        validation: truth of the validation split.
        monitor: the score that chooses the best epoch.

    Raises:
        DataError: all training events of a head are of one class.
        ConfigError: a class without a validation event, and a monitor that needs one.
    """
    for head in heads:
        if not head.is_classification:
            continue
        names = np.array(head.class_names)
        absent = names[_counts(training, head) == 0]
        if len(absent) >= len(names) - 1:
            there = " and ".join(set(names.tolist()) - set(absent.tolist())) or "none"
            raise DataError(
                f"Task '{head.name}' cannot be learnt: all training events are of one class ({there}). "
                "Add events of the others, or see data.selection, train.selection and the task's target."
            )
        if len(absent):
            log.warning("Task '%s': no training event is of class %s.", head.name, " or ".join(absent))
        unjudged = names[_counts(validation, head) == 0]
        if len(unjudged) and monitor in _OF_EACH_CLASS:
            raise ConfigError(
                f"train.monitor = {monitor} needs validation events of each class of task "
                f"'{head.name}'. There is none of {' and '.join(unjudged)}. Set train.monitor to loss or "
                "accuracy, or split otherwise."
            )


def _counts(truth: pl.DataFrame, head: Task) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    classes = class_indices(truth, head)
    return np.bincount(classes[classes >= 0], minlength=len(head.class_names))
