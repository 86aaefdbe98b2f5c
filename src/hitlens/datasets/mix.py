"""How often each training event is drawn: classes or kinds of events in chosen shares."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hitlens.datasets.targets import encode_target
from hitlens.detector import Task
from hitlens.errors import ConfigError, DataError
from hitlens.events import evaluate_condition


def balanced_chances(truth: pl.DataFrame, heads: tuple[Task, ...]) -> NDArray[np.float64]:
    """Return the chance of each event with which classes are drawn equally often, shape (event,), sum 1.

    The classes are those of the first head that classifies; events without one are never drawn.

    Args:
        truth: of the training events.
        heads: tasks learnt together.

    Raises:
        ConfigError: no head classifies.

    Examples:
        >>> task = Task(name="many", kind="binary", meaning="", target="n > 1", class_names=("one", "many"))
        >>> balanced_chances(pl.DataFrame({"n": [1, 1, 1, 2]}), (task,)).round(3).tolist()
        [0.167, 0.167, 0.167, 0.5]
    """
    classifying = [head for head in heads if head.is_classification]
    if not classifying:
        names = ", ".join(head.name for head in heads)
        raise ConfigError(f"train.mix = balanced needs a task with classes. Got {names}.")
    target = encode_target(truth, classifying[0])
    labels = np.where(target.defined, target.values[:, 0].astype(np.int64), -1)
    chances = np.zeros(len(truth))
    present = [label for label in np.unique(labels) if label >= 0]
    for label in present:
        chances[labels == label] = 1 / len(present) / (labels == label).sum()
    return chances


def mixed_chances(truth: pl.DataFrame, shares: Mapping[str, float]) -> NDArray[np.float64]:
    """Return the chance of each event with which kinds of events are drawn in these shares.

    Events of no kind are never drawn. Shape (event,), sum 1.

    Args:
        truth: of the training events.
        shares: share by SQL condition; they are divided by their sum.

    Raises:
        ConfigError: shares below 0 or none above, or an event that fulfils two conditions.
        DataError: no event fulfils a condition with a share.

    Examples:
        >>> mixed_chances(pl.DataFrame({"mode": [0, 2, 2, 4]}), {"mode = 0": 1, "mode = 2": 1}).tolist()
        [0.5, 0.25, 0.25, 0.0]
    """
    total = sum(shares.values())
    if min(shares.values(), default=0) < 0 or not total > 0:
        raise ConfigError(f"train.mix must give shares of 0 or more, one above 0. Got {dict(shares)}.")
    chances, taken = np.zeros(len(truth)), np.zeros(len(truth), dtype=bool)
    for condition, share in shares.items():
        fulfilled = evaluate_condition(truth, condition)
        if (fulfilled & taken).any():
            raise ConfigError(
                f"train.mix: some events fulfil '{condition}' and an earlier condition as well."
            )
        if share and not fulfilled.any():
            raise DataError(f"train.mix: no event of the training split fulfils '{condition}'.")
        taken |= fulfilled
        chances[fulfilled] = share / total / max(1, fulfilled.sum())
    return chances
