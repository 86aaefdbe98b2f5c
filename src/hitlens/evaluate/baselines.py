"""Methods without a network: constants from the training split, and columns a physics method computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hitlens.datasets.targets import class_indices
from hitlens.detector import Task
from hitlens.evaluate.predictions import Predictions
from hitlens.events import evaluate_condition

#: Name of the method that gives every event the same answer.
TRIVIAL = "constant"


@dataclass(frozen=True, eq=False)
class BaselineColumns:
    """What a physics method says of some of the evaluated events.

    Attributes:
        name: name of the method.
        meaning: what it does.
        rows: positions of its events among those of the evaluated split, shape (n,).
        columns: by head, then by output, values of shape (n,). The output of a classification is called
            like the head (score of the signal class, called signal from 0.5), of a regression like the
            truth column. NaN where the method found no answer.
        seconds: time it took for all of them, None where it was not measured.
    """

    name: str
    meaning: str
    rows: NDArray[np.int64]
    columns: Mapping[str, Mapping[str, NDArray[Any]]]
    seconds: float | None = None


def training_truth(predictions: Predictions, given: pl.DataFrame | None) -> tuple[pl.DataFrame, str]:
    """Return the truth a constant predictor may learn from, and in words where it is from.

    Args:
        predictions: those of a run; their training rows, or else their validation rows, serve.
        given: the truth of the training split, where it is at hand.
    """
    if given is not None:
        return given, "the training split"
    for split in ("train", "validation"):
        part = predictions.split(split)
        if len(part):
            return part.truth(), f"the {'training' if split == 'train' else split} split"
    return predictions.truth(), "the evaluated events themselves"


def class_shares(truth: pl.DataFrame, head: Task) -> NDArray[np.float64]:
    """Return the fraction of each class, shape (class,); equal where nothing is known.

    Examples:
        >>> task = Task(name="many", kind="binary", meaning="", target="n > 1", class_names=("one", "many"))
        >>> class_shares(pl.DataFrame({"n": [1, 1, 1, 2]}), task)
        array([0.75, 0.25])
    """
    classes = class_indices(truth, head)
    counts = np.bincount(classes[classes >= 0], minlength=len(head.class_names)).astype(np.float64)
    total = counts.sum()
    return counts / total if total else np.full(len(counts), 1 / len(counts))


def column_means(truth: pl.DataFrame, head: Task) -> NDArray[np.float64]:
    """Return the mean of each target column; the members of a set, being unordered, share theirs.

    Returns:
        Shape (column,) for a regression, (member, component) for a set.

    Examples:
        >>> members = (("a",), ("b",))
        >>> pair = Task(name="pair", kind="set_regression", meaning="", elements=members, units=("mm",))
        >>> column_means(pl.DataFrame({"a": [0.0, 2.0], "b": [3.0, 3.0]}), pair)
        array([[2.],
               [2.]])
    """
    chosen = truth.filter(pl.Series(evaluate_condition(truth, head.selection)))
    values = chosen.select(pl.col(head.target_columns).cast(pl.Float64)).to_numpy()
    means = np.nanmean(values, axis=0) if len(values) else np.zeros(values.shape[1])
    if head.kind != "set_regression":
        return np.asarray(means, dtype=np.float64)
    shape = (len(head.elements), len(head.elements[0]))
    return np.broadcast_to(means.reshape(shape).mean(0), shape).copy()
