"""The numbers given of a classification, of the whole and of each of several classes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitlens import metrics
from hitlens.detector import Task
from hitlens.evaluate.compare import Measure
from hitlens.metrics.checking import divide

#: Numbers of one class among several, one against the rest.
PER_CLASS = ("efficiency", "purity", "auc")


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


def class_measures(head: Task, cut: float) -> list[Measure]:
    """Return what is measured of a classification.

    Of several classes balanced accuracy, F1 and AUC are means over the classes that have events; then come
    efficiency, purity and AUC of each class against the rest, whose `column` is the name of the class.

    Args:
        head: a binary or multiclass task.
        cut: score from which an event is called signal.
    """
    return _binary(cut) if head.kind == "binary" else _several(head.class_names)


def _binary(cut: float) -> list[Measure]:
    def on_calls(function: Callable[..., Any]) -> Callable[..., Any]:
        def of_scores(y: Any, s: Any, weights: Any = None) -> Any:
            return function(y, called(s, cut), weights=weights)

        return of_scores

    return [
        *(Measure(name, on_calls(getattr(metrics, name))) for name in _OF_ALL),
        Measure("auc", metrics.auc),
        Measure("average_precision", metrics.average_precision),
        *(Measure(name, on_calls(getattr(metrics, name))) for name in _OF_SIGNAL),
    ]


_OF_ALL = ("accuracy", "balanced_accuracy", "f1", "mcc")
_OF_SIGNAL = ("signal_efficiency", "background_rejection", "purity")


def _several(names: tuple[str, ...]) -> list[Measure]:
    n = len(names)
    tallies, areas = _remembered(_tally(n)), _remembered(_areas(n))

    def of_tally(name: str, k: int = -1) -> Callable[..., Any]:
        def value(y: Any, s: Any, weights: Any = None) -> Any:
            each = _ratios(tallies(y, s, weights))[name]
            return each[..., k] if k >= 0 else _mean(each[..., _present(y, n)])

        return value

    def area(k: int = -1) -> Callable[..., Any]:
        def value(y: Any, s: Any, weights: Any = None) -> Any:
            each = areas(y, s, weights)
            return each[..., k] if k >= 0 else _mean(each[..., _present(y, n)])

        return value

    def right(y: Any, s: Any, weights: Any = None) -> Any:
        matrix = tallies(y, s, weights)
        return divide(np.trace(matrix, axis1=-2, axis2=-1), matrix.sum((-2, -1)))

    def correlation(y: Any, s: Any, weights: Any = None) -> Any:
        return metrics.mcc(y, called(s, 0.5), weights=weights)

    of_class = {"efficiency": of_tally, "purity": of_tally}
    found = [
        Measure("accuracy", right),
        Measure("balanced_accuracy", of_tally("efficiency")),
        Measure("f1", of_tally("f1")),
        Measure("mcc", correlation),
        Measure("auc", area()),
    ]
    for name in PER_CLASS:
        found += [
            Measure(name, of_class[name](name, k) if name in of_class else area(k), class_name)
            for k, class_name in enumerate(names)
        ]
    return found


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


def _present(y: Any, n: int) -> NDArray[np.bool_]:
    return np.bincount(y, minlength=n) > 0


def _mean(each: Any) -> Any:
    return np.asarray(each).mean(-1)


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
