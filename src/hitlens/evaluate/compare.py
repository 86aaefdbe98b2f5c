"""Metrics with intervals, of one method or of two on the same events."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitlens.evaluate.results import MetricResult
from hitlens.metrics.interval import Interval, binomial, bootstrap_all

Array = NDArray[Any]

_KINDS = ("model", "baseline")


@dataclass(frozen=True)
class Measure:
    """A metric and what it is about.

    Attributes:
        name: as in `MetricResult`.
        function: (y_true, prediction, weights) -> value, or one value a row of weights.
        column: as in `MetricResult`.
        unit: as in `MetricResult`.
        counts: of a fraction, (y_true, prediction) -> events that passed, and all; at its ends, where
            resampling sees no spread, it gives the interval.
        why: truth -> why the metric is not defined on these events; empty where nothing is known against it.
    """

    name: str
    function: Callable[..., Any]
    column: str = ""
    unit: str = ""
    counts: Callable[[Array, Array], tuple[int, int]] | None = None
    why: Callable[[Array], str] | None = None

    def result(self, interval: Interval | None, y_true: Array) -> MetricResult:
        """Return the result of this measure; an undefined interval becomes None, with the reason."""
        interval = defined(interval)
        reason = ""
        if interval is None:
            reason = "no events" if not len(y_true) else self.why(y_true) if self.why else ""
        return MetricResult(self.name, interval, self.column, self.unit, reason)


@dataclass(frozen=True)
class PairedComparison:
    """Two methods on the same events, from the same resamplings.

    Attributes:
        model: metrics of the first method.
        baseline: metrics of the second.
        differences: first minus second.
    """

    model: tuple[MetricResult, ...]
    baseline: tuple[MetricResult, ...]
    differences: tuple[MetricResult, ...]


def defined(interval: Interval | None) -> Interval | None:
    """Return the interval, or None where a bound does not exist.

    Examples:
        >>> defined(Interval(0.5, float("nan"), 1.0)) is None
        True
    """
    if interval is None or not all(map(math.isfinite, (interval.value, interval.low, interval.high))):
        return None
    return interval


def measure(
    measures: Sequence[Measure],
    y_true: Array,
    y_pred: Array,
    *,
    rng: np.random.Generator,
    n_bootstrap: int,
    level: float,
) -> tuple[MetricResult, ...]:
    """Return metrics with bootstrap intervals; without events all are undefined.

    Args:
        measures: what to compute.
        y_true: truth, event along the first axis.
        y_pred: prediction, event along the first axis.
        rng: source of the resamplings.
        n_bootstrap: how many.
        level: coverage.

    Examples:
        >>> share = Measure("accuracy", lambda t, p: float((t == p).mean()))
        >>> found = measure([share], np.array([0, 1]), np.array([0, 1]), level=0.95,
        ...                 rng=np.random.default_rng(1), n_bootstrap=20)
        >>> found[0].interval.value
        1.0
    """
    if len(y_true) == 0:
        return tuple(m.result(None, y_true) for m in measures)
    functions = {str(number): m.function for number, m in enumerate(measures)}
    found = bootstrap_all(functions, y_true, y_pred, rng=rng, n_resamples=n_bootstrap, level=level)
    return tuple(
        m.result(_opened(m, found[str(number)], y_true, y_pred), y_true) for number, m in enumerate(measures)
    )


def compare(
    measures: Sequence[Measure],
    y_true: Array,
    model: Array,
    baseline: Array,
    *,
    rng: np.random.Generator,
    n_bootstrap: int,
    level: float,
) -> PairedComparison:
    """Return the metrics of two methods and their paired differences; arguments as `measure`."""
    if len(y_true) == 0:
        nothing = tuple(m.result(None, y_true) for m in measures)
        return PairedComparison(nothing, nothing, nothing)
    functions: dict[str, Callable[..., Any]] = {}
    for number, m in enumerate(measures):
        functions |= {f"{number} {kind}": f for kind, f in _on_pairs(m.function).items()}
    found = bootstrap_all(functions, y_true, model, baseline, rng=rng, n_resamples=n_bootstrap, level=level)

    def results(kind: str, y_pred: Array) -> tuple[MetricResult, ...]:
        intervals = [found[f"{number} {kind}"] for number in range(len(measures))]
        return tuple(
            m.result(_opened(m, one, y_true, y_pred), y_true)
            for m, one in zip(measures, intervals, strict=True)
        )

    differences = tuple(m.result(found[f"{number} difference"], y_true) for number, m in enumerate(measures))
    return PairedComparison(results("model", model), results("baseline", baseline), differences)


def _opened(measure: Measure, interval: Interval, y_true: Array, y_pred: Array) -> Interval:
    """Return a binomial interval in place of one that closed up: 0 of 12 found is not 0 for certain.

    A method that answers every event alike keeps it: what it does is certain.
    """
    if measure.counts is None or interval.low != interval.high or not len(y_pred):
        return interval
    if (y_pred == y_pred[:1]).all():
        return interval
    passed, total = measure.counts(y_true, y_pred)
    return binomial(passed, total, level=interval.level)


def _on_pairs(function: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    # The difference of one draw of events takes up the two values just computed of the same draw.
    last: dict[str, tuple[Any, Any]] = {}

    def of(kind: str, y: Array, prediction: Array, weights: Any) -> Any:
        last[kind] = weights, function(y, prediction, weights=weights)
        return last[kind][1]

    def model(y: Array, a: Array, b: Array, weights: Any = None) -> Any:
        return of("model", y, a, weights)

    def baseline(y: Array, a: Array, b: Array, weights: Any = None) -> Any:
        return of("baseline", y, b, weights)

    def difference(y: Array, a: Array, b: Array, weights: Any = None) -> Any:
        if weights is not None and all(kind in last and last[kind][0] is weights for kind in _KINDS):
            return last["model"][1] - last["baseline"][1]
        return function(y, a, weights=weights) - function(y, b, weights=weights)

    return dict(zip((*_KINDS, "difference"), (model, baseline, difference), strict=True))
