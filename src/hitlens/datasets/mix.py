"""How often each training event is drawn: classes or kinds of events in chosen shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hitlens.datasets.targets import class_indices
from hitlens.detector import Task
from hitlens.errors import ConfigError, DataError
from hitlens.events import evaluate_condition


@dataclass(frozen=True)
class Kinds:
    """Kinds of events that are drawn in chosen shares.

    Attributes:
        labels: number of the kind of each event, -1 for none, shape (event,).
        shares: of all draws, by number of the kind, sum 1.
    """

    labels: NDArray[np.int64]
    shares: tuple[float, ...]

    @property
    def chances(self) -> NDArray[np.float64]:
        """Chance of each event to be drawn, shape (event,), sum 1; events of no kind are never drawn."""
        chances = np.zeros(len(self.labels))
        for number, share in enumerate(self.shares):
            mine = self.labels == number
            chances[mine] = share / max(1, mine.sum())
        return chances


def balanced_kinds(truth: pl.DataFrame, heads: tuple[Task, ...]) -> Kinds:
    """Return the classes of the events, each with the same share of the draws.

    The classes are those of the first head that classifies; events without one are never drawn.

    Args:
        truth: of the training events.
        heads: tasks learnt together.

    Raises:
        ConfigError: no head classifies.

    Examples:
        >>> task = Task(name="many", kind="binary", meaning="", target="n > 1", class_names=("one", "many"))
        >>> balanced_kinds(pl.DataFrame({"n": [1, 1, 1, 2]}), (task,)).chances.round(3).tolist()
        [0.167, 0.167, 0.167, 0.5]
    """
    labels = _class_numbers(truth, heads, "balanced")
    present, numbers = np.unique(labels, return_inverse=True)
    n_without = int((present < 0).sum())
    n_present = len(present) - n_without
    return Kinds(numbers.astype(np.int64) - n_without, (1 / max(1, n_present),) * n_present)


def undersampled(truth: pl.DataFrame, heads: tuple[Task, ...], seed: int) -> NDArray[np.int64]:
    """Return ascending positions of as many events of each class as the rarest has, chosen at random.

    The classes are those of the first head that classifies; events without one are never shown.

    Args:
        truth: of the training events.
        heads: tasks learnt together.
        seed: of the choice.

    Raises:
        ConfigError: no head classifies.

    Examples:
        >>> task = Task(name="many", kind="binary", meaning="", target="n > 1", class_names=("one", "many"))
        >>> len(undersampled(pl.DataFrame({"n": [1, 1, 1, 2, 2]}), (task,), seed=1))
        4
    """
    labels = _class_numbers(truth, heads, "undersampled")
    counts = np.unique(labels[labels >= 0], return_counts=True)[1]
    order = np.random.default_rng(seed).permutation(len(labels))
    shuffled = order[np.argsort(labels[order], kind="stable")]  # class by class, at random within each
    ordered = labels[shuffled]
    rank = np.arange(len(ordered)) - np.searchsorted(ordered, ordered, side="left")
    chosen: NDArray[np.int64] = np.sort(shuffled[(ordered >= 0) & (rank < counts.min(initial=len(labels)))])
    return chosen


def composition(
    truth: pl.DataFrame, heads: tuple[Task, ...], n_draws: int, chances: NDArray[np.float64] | None = None
) -> dict[str, dict[str, float]]:
    """Return how many events of each class an epoch shows, by head that classifies, expected where drawn.

    Args:
        truth: of the training events.
        heads: tasks learnt together.
        n_draws: events an epoch; 0 for as many as there are.
        chances: chance of each event to be drawn, sum 1; None for the same of all.

    Examples:
        >>> task = Task(name="many", kind="binary", meaning="", target="n > 1", class_names=("one", "many"))
        >>> truth = pl.DataFrame({"n": [1, 1, 1, 2]})
        >>> composition(truth, (task,), 100), composition(truth, (task,), 0)
        ({'many': {'one': 75.0, 'many': 25.0}}, {'many': {'one': 3.0, 'many': 1.0}})
    """
    weights = np.full(len(truth), 1 / max(1, len(truth))) if chances is None else chances
    found = {}
    for head in heads:
        if head.is_classification:
            labels = _class_numbers(truth, (head,), "balanced")
            shown = [weights[labels == number].sum() for number in range(len(head.class_names))]
            n_events = [round(float(share) * (n_draws or len(truth)), 1) for share in shown]
            found[head.name] = dict(zip(head.class_names, n_events, strict=True))
    return found


def _class_numbers(truth: pl.DataFrame, heads: tuple[Task, ...], mix: str) -> NDArray[np.int64]:
    """Class of each event in the first head that classifies, -1 where it has none."""
    classifying = [head for head in heads if head.is_classification]
    if not classifying:
        names = ", ".join(head.name for head in heads)
        raise ConfigError(f"train.mix = {mix} needs a task with classes. Got {names}.")
    return class_indices(truth, classifying[0])


def mixed_kinds(truth: pl.DataFrame, shares: Mapping[str, float]) -> Kinds:
    """Return the kinds of events that conditions name, with their shares.

    Args:
        truth: of the training events.
        shares: share by SQL condition; they are divided by their sum.

    Raises:
        ConfigError: shares below 0 or none above, or an event that fulfils two conditions.
        DataError: no event fulfils a condition with a share.

    Examples:
        >>> kinds = mixed_kinds(pl.DataFrame({"mode": [0, 2, 2, 4]}), {"mode = 0": 1, "mode = 2": 1})
        >>> kinds.chances.tolist()
        [0.5, 0.25, 0.25, 0.0]
    """
    total = sum(shares.values())
    if min(shares.values(), default=0) < 0 or not total > 0:
        raise ConfigError(f"train.mix must give shares of 0 or more, one above 0. Got {dict(shares)}.")
    labels = np.full(len(truth), -1, dtype=np.int64)
    for number, (condition, share) in enumerate(shares.items()):
        fulfilled = evaluate_condition(truth, condition, setting="train.mix")
        if (fulfilled & (labels >= 0)).any():
            raise ConfigError(
                f"train.mix: some events fulfil '{condition}' and an earlier condition as well."
            )
        if share and not fulfilled.any():
            raise DataError(f"train.mix: no event of the training split fulfils '{condition}'.")
        labels[fulfilled] = number
    return Kinds(labels, tuple(share / total for share in shares.values()))
