"""The numbers given of a classification, of the whole and of each of several classes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitlens import metrics
from hitlens.detector import Task
from hitlens.evaluate.compare import Measure
from hitlens.metrics.checking import divide


def called(scores: NDArray[np.float64], cut: float) -> NDArray[np.int64]:
    """Return the class each event is called, shape (event,).

    Args:
        scores: of the signal class, shape (event,), or of each class, shape (event, class).
        cut: score from which an event is called signal; several classes have none.

    Examples:
        >>> called(np.array([0.2, 0.5]), 0.5), called(np.array([[0.1, 0.2, 0.7]]), 0.5)
        (array([0, 1]), array([2]))
    """
    return np.asarray(scores.argmax(1) if scores.ndim == 2 else scores >= cut, dtype=np.int64)


def class_measures(head: Task, cut: float, min_events: int = 1) -> list[Measure]:
    """Return what is measured of a classification.

    Of several classes balanced accuracy, F1 and AUC are means over all classes; then come efficiency, purity
    and AUC of each class against the rest, whose `column` is the name of the class.

    Args:
        head: a binary or multiclass task.
        cut: score from which an event is called signal.
        min_events: a class with fewer true events has no numbers, and there is no mean over the classes:
            drawing the same few events again and again would make their interval too narrow.
    """
    binary = head.kind == "binary"
    measures = _binary(cut, min_events) if binary else _several(head.class_names, min_events)
    return [_with_reason(one, head, min_events) for one in measures]


#: Metrics that do not need events of each class.
_OF_ANY = ("accuracy", "mcc")


def _with_reason(measure: Measure, head: Task, least: int) -> Measure:
    """Say of a metric which classes have too few events for it."""
    names = list(head.class_names)
    needed = {"signal_efficiency": names[1:], "purity": names[1:], "background_rejection": names[:1]}
    classes = [measure.column] if measure.column else needed.get(measure.name, names)

    def why(y_true: NDArray[np.int64]) -> str:
        counts = np.bincount(y_true, minlength=len(names))
        few = [
            f"{name} ({counts[k]})" for k, name in enumerate(names) if name in classes and counts[k] < least
        ]
        if few and not (measure.name in _OF_ANY and head.kind == "multiclass"):
            return f"fewer than {least} true events of {', '.join(few)}"
        return "no event is called that" if measure.name == "purity" else ""

    return replace(measure, why=why)


_OF_ALL = ("accuracy", "balanced_accuracy", "f1", "mcc")


def _binary(cut: float, least: int) -> list[Measure]:
    def on_calls(function: Callable[..., Any]) -> Callable[..., Any]:
        def of_scores(y: Any, s: Any, weights: Any = None) -> Any:
            return function(y, called(s, cut), weights=weights)

        return of_scores

    def enough(function: Callable[..., Any], classes: tuple[int, ...] = (0, 1)) -> Callable[..., Any]:
        def of_scores(y: Any, s: Any, weights: Any = None) -> Any:
            found = function(y, s, weights=weights)
            return found if _present(y, 2, least)[[*classes]].all() else np.full_like(found, np.nan)

        return of_scores

    def fraction(name: str, among: Callable[[Any, Any], Any], good: int) -> Measure:
        def counts(y: Any, s: Any) -> tuple[int, int]:
            chosen = among(y, called(s, cut))
            right = (called(s, cut) == good) & (y == good)
            return int((chosen & right).sum()), int(chosen.sum())

        return Measure(name, enough(on_calls(getattr(metrics, name)), (good,)), counts=counts)

    accuracy, *others = (Measure(name, on_calls(getattr(metrics, name))) for name in _OF_ALL)
    scores = [Measure(name, getattr(metrics, name)) for name in ("auc", "average_precision")]
    return [
        replace(accuracy, counts=lambda y, s: (int((called(s, cut) == y).sum()), len(y))),
        *(replace(one, function=enough(one.function)) for one in (*others, *scores)),
        fraction("signal_efficiency", lambda y, c: y == 1, 1),
        fraction("background_rejection", lambda y, c: y == 0, 0),
        fraction("purity", lambda y, c: c == 1, 1),
    ]


def _several(names: tuple[str, ...], least: int) -> list[Measure]:
    several = _Several(len(names), least, _remembered(_tally(len(names))), _remembered(_areas(len(names))))

    def right(y: Any, s: Any) -> tuple[int, int]:
        return int((called(s, 0.5) == y).sum()), len(y)

    def correlation(y: Any, s: Any, weights: Any = None) -> Any:
        return metrics.mcc(y, called(s, 0.5), weights=weights)

    found = [
        Measure("accuracy", several.accuracy, counts=right),
        Measure("balanced_accuracy", several.ratio("efficiency")),
        Measure("f1", several.ratio("f1")),
        Measure("mcc", correlation),
        Measure("auc", several.area()),
    ]
    for name in ("efficiency", "purity"):
        found += [
            Measure(name, several.ratio(name, k), class_name, counts=several.counts(name, k))
            for k, class_name in enumerate(names)
        ]
    return [*found, *(Measure("auc", several.area(k), class_name) for k, class_name in enumerate(names))]


@dataclass(frozen=True, eq=False)
class _Several:
    """Metrics of n classes, of one of them or, for k = -1, the mean over all of them."""

    n: int
    least: int
    tallies: Callable[..., Any]
    areas: Callable[..., Any]

    def accuracy(self, y: Any, s: Any, weights: Any = None) -> Any:
        matrix = self.tallies(y, s, weights)
        return divide(np.trace(matrix, axis1=-2, axis2=-1), matrix.sum((-2, -1)))

    def ratio(self, name: str, k: int = -1) -> Callable[..., Any]:
        def value(y: Any, s: Any, weights: Any = None) -> Any:
            return self._of(y, _ratios(self.tallies(y, s, weights))[name], k)

        return value

    def area(self, k: int = -1) -> Callable[..., Any]:
        def value(y: Any, s: Any, weights: Any = None) -> Any:
            return self._of(y, self.areas(y, s, weights), k)

        return value

    def counts(self, name: str, k: int) -> Callable[[Any, Any], tuple[int, int]]:
        def passed(y: Any, s: Any) -> tuple[int, int]:
            calls = called(s, 0.5)
            among = y == k if name == "efficiency" else calls == k
            return int((among & (calls == y)).sum()), int(among.sum())

        return passed

    def _of(self, y: Any, each: Any, k: int) -> Any:
        present = _present(y, self.n, self.least)
        if not (present.all() if k < 0 else present[k]):
            return np.full(each.shape[:-1], np.nan)
        return np.asarray(each if k < 0 else each[..., k : k + 1]).mean(-1)


def _tally(n: int) -> Callable[..., Any]:
    def matrix(y: Any, s: Any, weights: Any) -> Any:
        return metrics.confusion_matrix(y, called(s, 0.5), n_classes=n, weights=weights)

    return matrix


def _areas(n: int) -> Callable[..., Any]:
    def each(y: Any, s: Any, weights: Any) -> Any:
        return np.stack([metrics.auc(y == k, s[:, k], weights=weights) for k in range(n)], axis=-1)

    return each


def _ratios(matrix: Any) -> dict[str, Any]:
    """Return efficiency, purity and F1 of each class, shape (..., class)."""
    right, true, predicted = np.diagonal(matrix, axis1=-2, axis2=-1), matrix.sum(-1), matrix.sum(-2)
    return {
        "efficiency": np.asarray(divide(right, true)),
        "purity": np.asarray(divide(right, predicted)),
        "f1": np.asarray(divide(2 * right, true + predicted)),
    }


def _present(y: Any, n: int, least: int) -> NDArray[np.bool_]:
    return np.bincount(y, minlength=n) >= least


def _remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    """Keep the last answers: the metrics of one draw of events share them, of two methods side by side."""
    last: deque[tuple[tuple[Any, ...], Any]] = deque(maxlen=2)

    def answer(*asked: Any) -> Any:
        for known, value in last:
            if all(one is other for one, other in zip(known, asked, strict=True)):
                return value
        value = function(*asked)
        last.append((asked, value))
        return value

    return answer
