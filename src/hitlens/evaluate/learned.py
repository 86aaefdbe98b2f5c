"""Baselines that learn: fitted on summary numbers of the training events, beside the model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hitlens.datasets.targets import encode_target
from hitlens.detector import Task
from hitlens.errors import NotFoundError, choose_from
from hitlens.evaluate.baselines import BaselineColumns
from hitlens.evaluate.boosting import fit_boosting
from hitlens.evaluate.calorimetric import fit_calorimetric

#: Summary numbers (event, feature) -> output by name, as in `BaselineColumns.columns`.
Fitted = Callable[[pl.DataFrame], dict[str, NDArray[np.float64]]]


@dataclass(frozen=True, eq=False)
class Learner:
    """A method that learns from summary numbers.

    Attributes:
        meaning: what it does, one line.
        fit: task, summary numbers, target, whether classes get equal weight, seed -> method; target has
            shape (event, 1), the class index, or (event, column).
        solves: whether it is a method for a task.
    """

    meaning: str
    fit: Callable[[Task, pl.DataFrame, NDArray[np.float64], bool, int], Fitted]
    solves: Callable[[Task], bool]


#: The methods by name.
LEARNERS: Mapping[str, Learner] = {
    "boosting": Learner(
        "gradient-boosted trees on hits, charge, extents and tracks of each view",
        fit_boosting,
        lambda head: head.kind != "set_regression",
    ),
    "calorimetric": Learner(
        "monotone curve through the total charge seen",
        fit_calorimetric,
        lambda head: head.kind == "regression",
    ),
}


@dataclass(frozen=True, eq=False)
class Summaries:
    """Events as numbers.

    Attributes:
        features: summary numbers, as `hitlens.datasets.summaries.summarise` gives them.
        truth: their truth under the detector's names.
        seconds: time it took to make the numbers.
    """

    features: pl.DataFrame
    truth: pl.DataFrame
    seconds: float = 0.0

    def __len__(self) -> int:
        return len(self.features)


def learned_baselines(
    names: Sequence[str],
    heads: Sequence[Task],
    training: Summaries,
    evaluated: Summaries,
    rows: NDArray[np.int64],
    *,
    balanced: bool = False,
    seed: int = 1,
) -> Iterator[BaselineColumns]:
    """Fit methods on training events and yield what they say of evaluated ones.

    A head for which no training event has a target gets no column.

    Args:
        names: keys of `LEARNERS`.
        heads: tasks to solve; those a method is not for are left out.
        training: events of the training split.
        evaluated: events to answer.
        rows: their positions in the evaluated split.
        balanced: whether classes get equal weight in fitting, as in the model's training.
        seed: of the methods that draw.

    Raises:
        NotFoundError: no such method.
    """
    for name in names:
        if name not in LEARNERS:
            raise NotFoundError(f"No baseline is called '{name}'. {choose_from(name, LEARNERS)}")
        learner, columns, seconds, n_used = LEARNERS[name], {}, evaluated.seconds, 0
        for head in heads:
            if not learner.solves(head):
                continue
            target = encode_target(training.truth, head)
            chosen = np.flatnonzero(target.defined)
            if not len(chosen):
                continue
            fitted = learner.fit(
                head,
                training.features[chosen],
                target.values[chosen].astype(np.float64),
                balanced,
                seed,
            )
            started = time.perf_counter()
            columns[head.name] = fitted(evaluated.features)
            seconds += time.perf_counter() - started
            n_used = max(n_used, len(chosen))
        if columns:
            meaning = f"{learner.meaning}, fitted on {n_used:,} events of the training split"
            yield BaselineColumns(name, meaning, rows, columns, seconds / len(columns))
