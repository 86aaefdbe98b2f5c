"""A number with its error bar: bootstrap, binomial and paired intervals."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from hitlens.errors import ConfigError, DataError
from hitlens.metrics.checking import FloatArray

#: Arrays with one entry an event -> a value. A metric that takes ``weights`` of shape (resample, event) and
#: gives shape (resample,) is resampled at once, any other one resample at a time.
Metric = Callable[..., Any]

#: Events times resamples held at once; bounds the memory of a bootstrap to about 50 MB.
_BLOCK = 1_000_000


@dataclass(frozen=True)
class Interval:
    """A value and the interval that covers the truth with probability `level`.

    Attributes:
        value: the value itself, NaN where it is undefined.
        low: lower end, NaN where it is undefined.
        high: upper end, NaN where it is undefined.
        level: coverage, between 0 and 1.

    Examples:
        >>> print(Interval(0.98662, 0.9855, 0.9877))
        0.9866 [0.9855, 0.9877]
        >>> Interval(0.5, 0.4, 0.7).contains(0.6)
        True
    """

    value: float
    low: float
    high: float
    level: float = 0.95

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "undefined"
        if math.isnan(self.low) or math.isnan(self.high):
            return f"{self.value:.4g} [undefined]"
        digits = self._decimals()
        return f"{self.value:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"

    def _decimals(self) -> int:
        """Decimals that show the width of the interval with two digits."""
        width = self.high - self.low
        size = width if width > 0 else abs(self.value) / 100
        return 3 if size <= 0 else int(np.clip(1 - math.floor(math.log10(size)), 0, 9))

    def contains(self, value: float) -> bool:
        """Say whether a value lies in the interval."""
        return self.low <= value <= self.high

    @classmethod
    def undefined(cls, level: float = 0.95) -> Interval:
        """Return the interval of a number that does not exist, all NaN."""
        return cls(math.nan, math.nan, math.nan, level)


def independent_difference(one: Interval, other: Interval) -> Interval:
    """Return the difference of two values measured on different events, with its interval.

    The distances of the values to the ends of their intervals are added in squares (Zou and Donner,
    Statistics in Medicine 27 (2008) 1693), which keeps lopsided intervals lopsided.

    Args:
        one: from which is subtracted.
        other: what is subtracted, of the same coverage.

    Raises:
        ConfigError: the intervals have different coverages.

    Examples:
        >>> print(independent_difference(Interval(0.8, 0.77, 0.83), Interval(0.9, 0.86, 0.94)))
        -0.100 [-0.150, -0.050]
    """
    if one.level != other.level:
        raise ConfigError(f"Intervals must have the same coverage. Got {one.level} and {other.level}.")
    value = one.value - other.value
    low = value - math.hypot(one.value - one.low, other.high - other.value)
    high = value + math.hypot(one.high - one.value, other.value - other.low)
    return Interval(value, low, high, one.level)


def bootstrap(
    metric: Metric,
    *arrays: ArrayLike,
    rng: np.random.Generator,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Return a metric with its percentile bootstrap interval over events.

    Resamples in which the metric is undefined (an AUC where one class was not drawn) are left out. At the
    edge of its range (an accuracy of 1) the interval closes up: use `binomial` there.

    Args:
        metric: arrays -> value.
        arrays: what the metric takes, event along the first axis.
        rng: source of the resamples; the same state gives the same interval.
        n_resamples: how many times the events are drawn anew.
        level: coverage.

    Raises:
        DataError: no arrays, no events, or arrays of different length.
        ConfigError: a level outside (0, 1) or less than one resample.

    Examples:
        >>> rng = np.random.default_rng(1)
        >>> print(bootstrap(np.mean, rng.normal(5, 1, 1000), rng=rng, n_resamples=200))
        4.95 [4.88, 5.01]
    """
    return bootstrap_all({"metric": metric}, *arrays, rng=rng, n_resamples=n_resamples, level=level)["metric"]


def bootstrap_all(
    metrics: Mapping[str, Metric],
    *arrays: ArrayLike,
    rng: np.random.Generator,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Return several metrics of the same arrays with intervals from the same resamples, by name.

    Args:
        metrics: by name, as `bootstrap`.
        arrays: what each of the metrics takes, event along the first axis.
        rng: source of the resamples.
        n_resamples: how many times the events are drawn anew.
        level: coverage.

    Raises:
        DataError: as `bootstrap`.
        ConfigError: as `bootstrap`.

    Examples:
        >>> rng = np.random.default_rng(1)
        >>> found = bootstrap_all({"mean": np.mean, "sd": np.std}, rng.normal(5, 1, 1000), rng=rng)
        >>> list(found)
        ['mean', 'sd']
    """
    columns = _event_arrays(arrays)
    _check(n_resamples, level)
    values: dict[str, list[FloatArray]] = {name: [] for name in metrics}
    weighted = {name: _takes_weights(metric) for name, metric in metrics.items()}
    for rows in _draws(len(columns[0]), n_resamples, rng):
        weights = _counts(rows) if any(weighted.values()) else np.empty((0, 0))
        for name, metric in metrics.items():
            values[name].append(
                np.asarray(metric(*columns, weights=weights), dtype=np.float64)
                if weighted[name]
                else np.array([metric(*(column[row] for column in columns)) for row in rows])
            )
    return {
        name: percentile_interval(float(metric(*columns)), np.concatenate(values[name]), level)
        for name, metric in metrics.items()
    }


def paired_difference(
    metric: Metric,
    y_true: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    *,
    rng: np.random.Generator,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Return metric(y_true, a) - metric(y_true, b) with an interval, both on the same resampled events.

    The two share the luck of the sample, so the interval is narrower than that of independent samples.

    Args:
        metric: (y_true, prediction) -> value.
        y_true: truth, event along the first axis.
        a: one method's predictions of these events.
        b: the other method's.
        rng: source of the resamples.
        n_resamples: how many times the events are drawn anew.
        level: coverage.

    Raises:
        DataError: as `bootstrap`.
        ConfigError: as `bootstrap`.

    Examples:
        >>> y = np.arange(100) % 2
        >>> distance = lambda y_true, y_pred: np.abs(y_true - y_pred).mean()
        >>> print(paired_difference(distance, y, y, y, rng=np.random.default_rng(1)))
        0.000 [0.000, 0.000]
    """
    takes = _takes_weights(metric)

    def plainly(y: Any, first: Any, second: Any) -> Any:
        return metric(y, first) - metric(y, second)

    def weighted(y: Any, first: Any, second: Any, weights: Any = None) -> Any:
        return metric(y, first, weights=weights) - metric(y, second, weights=weights)

    return bootstrap(
        weighted if takes else plainly, y_true, a, b, rng=rng, n_resamples=n_resamples, level=level
    )


def binomial(
    n_passed: int, n_total: int, *, level: float = 0.95, method: Literal["wilson", "exact"] = "wilson"
) -> Interval:
    """Return the fraction that passed with a binomial interval.

    Args:
        n_passed: events that passed.
        n_total: events tried; 0 gives an undefined interval.
        level: coverage.
        method: "wilson" covers on average, "exact" (Clopper-Pearson) at least.

    Raises:
        DataError: counts that are negative or more passed than were tried.

    Examples:
        >>> print(binomial(9, 10))
        0.90 [0.60, 0.98]
        >>> print(binomial(0, 0))
        undefined
    """
    _check(1, level)
    if not 0 <= n_passed <= n_total:
        raise DataError(f"n_passed must lie between 0 and n_total. Got {n_passed} of {n_total}.")
    if n_total == 0:
        return Interval.undefined(level)
    found = stats.binomtest(int(n_passed), int(n_total)).proportion_ci(level, method=method)
    return Interval(n_passed / n_total, float(found.low), float(found.high), level)


def percentile_interval(value: float, resampled: ArrayLike, level: float = 0.95) -> Interval:
    """Return a value with the central interval of its resampled values, undefined ones left out.

    Args:
        value: the value on all events.
        resampled: the value on each resample, shape (resample,).
        level: coverage.

    Examples:
        >>> percentile_interval(0.5, np.linspace(0, 1, 101), level=0.8)
        Interval(value=0.5, low=0.1, high=0.9, level=0.8)
    """
    drawn = np.asarray(resampled, dtype=np.float64)
    drawn = drawn[np.isfinite(drawn)]
    if math.isnan(value) or not len(drawn):
        return Interval(value, math.nan, math.nan, level)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, round(float(low), 12), round(float(high), 12), level)


def _check(n_resamples: int, level: float) -> None:
    if n_resamples < 1:
        raise ConfigError(f"n_resamples must be at least 1. Got {n_resamples}.")
    if not 0 < level < 1:
        raise ConfigError(f"level must lie between 0 and 1. Got {level}.")


def _event_arrays(arrays: Sequence[ArrayLike]) -> list[NDArray[Any]]:
    columns = [np.asarray(array) for array in arrays]
    if not columns:
        raise DataError("A bootstrap needs at least one array.")
    lengths = [len(column) if column.ndim else 0 for column in columns]
    if len(set(lengths)) != 1 or lengths[0] == 0:
        raise DataError(f"Arrays must have one length of at least 1 event. Got lengths {lengths}.")
    return columns


def _draws(n_events: int, n_resamples: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Yield event numbers drawn with replacement, shape (resample, event), in blocks of bounded size."""
    size = max(1, _BLOCK // n_events)
    for start in range(0, n_resamples, size):
        yield rng.integers(0, n_events, size=(min(size, n_resamples - start), n_events))


def _counts(rows: NDArray[np.int64]) -> FloatArray:
    """Return how often each event was drawn, shape (resample, event)."""
    n_resamples, n_events = rows.shape
    cells = rows + n_events * np.arange(n_resamples)[:, None]
    return np.bincount(cells.ravel(), minlength=rows.size).reshape(rows.shape).astype(np.float64)


def _takes_weights(metric: Metric) -> bool:
    try:
        return "weights" in inspect.signature(metric).parameters
    except (TypeError, ValueError):
        return False
