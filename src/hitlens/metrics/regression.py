"""How far predicted values lie from the truth.

Values have shape (event,) or (event, ...); the error of an event with several components (x and y) is taken
component by component and averaged, so that an rmse is one coordinate's. Event weights have shape (event,) or
(resample, event); with the latter a metric gives one value a resample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hitlens.errors import DataError
from hitlens.metrics.checking import FloatArray, as_values, as_weights, divide, plain, same_shape
from hitlens.metrics.interval import Interval, Metric, bootstrap

#: Quantiles one standard deviation of a normal distribution either side of its middle.
LOW_68, HIGH_68 = 0.158655, 0.841345


@dataclass(frozen=True, eq=False)
class Profile:
    """A metric in bins of a variable.

    Attributes:
        edges: bin edges, shape (bin + 1,); the last bin includes its upper edge.
        counts: events in each bin, shape (bin,).
        intervals: the metric in each bin, undefined where the bin is empty.
    """

    edges: FloatArray
    counts: FloatArray
    intervals: tuple[Interval, ...]

    @property
    def centres(self) -> FloatArray:
        """Middle of each bin, shape (bin,)."""
        return (self.edges[1:] + self.edges[:-1]) / 2

    @property
    def values(self) -> FloatArray:
        """Value in each bin, shape (bin,)."""
        return np.array([interval.value for interval in self.intervals])

    @property
    def lows(self) -> FloatArray:
        """Lower end of the interval in each bin, shape (bin,)."""
        return np.array([interval.low for interval in self.intervals])

    @property
    def highs(self) -> FloatArray:
        """Upper end of the interval in each bin, shape (bin,)."""
        return np.array([interval.high for interval in self.intervals])


def bias(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Any:
    """Return the mean of prediction minus truth.

    Args:
        y_true: shape (event, ...).
        y_pred: shape (event, ...).
        weights: event weights, shape (event,) or (resample, event).

    Returns:
        A float, or shape (resample,).

    Raises:
        DataError: arrays that are empty, not finite or differ in shape.

    Examples:
        >>> bias([1.0, 2.0], [1.5, 2.5])
        0.5
    """
    return _mean(_residuals(y_true, y_pred).mean(1), weights)


def mae(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Any:
    """Return the mean absolute error.

    Args:
        y_true: shape (event, ...).
        y_pred: shape (event, ...).
        weights: event weights, shape (event,) or (resample, event).

    Returns:
        A float, or shape (resample,).

    Raises:
        DataError: arrays that are empty, not finite or differ in shape.

    Examples:
        >>> mae([1.0, 2.0], [1.5, 1.5])
        0.5
    """
    return _mean(np.abs(_residuals(y_true, y_pred)).mean(1), weights)


def rmse(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Any:
    """Return the root of the mean squared error.

    Args:
        y_true: shape (event, ...).
        y_pred: shape (event, ...).
        weights: event weights, shape (event,) or (resample, event).

    Returns:
        A float, or shape (resample,).

    Raises:
        DataError: arrays that are empty, not finite or differ in shape.

    Examples:
        >>> rmse([0.0, 0.0], [3.0, -3.0])
        3.0
    """
    return plain(np.sqrt(_mean((_residuals(y_true, y_pred) ** 2).mean(1), weights)))


def r2(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Any:
    """Return the fraction of the truth's variance that is predicted, averaged over components.

    Args:
        y_true: shape (event, ...).
        y_pred: shape (event, ...).
        weights: event weights, shape (event,) or (resample, event).

    Returns:
        A float, or shape (resample,); NaN where the truth does not vary.

    Raises:
        DataError: arrays that are empty, not finite or differ in shape.

    Examples:
        >>> r2([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
        1.0
        >>> r2([1.0, 2.0, 3.0], [2.0, 2.0, 2.0])
        0.0
    """
    true = as_values("y_true", y_true)
    residual = _residuals(y_true, y_pred)
    w = as_weights(weights, len(true))
    total = w.sum(-1)[..., None]
    centred = true - true.mean(0)
    spread = w @ centred**2 - np.asarray(divide((w @ centred) ** 2, total))
    spread = np.where(np.ptp(true, axis=0) == 0, 0.0, spread)
    return plain((1 - np.asarray(divide(w @ residual**2, spread))).mean(-1))


def resolution(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Any:
    """Return half the width of the central 68 % of the residuals, which a few outliers do not move.

    Args:
        y_true: shape (event, ...); components are pooled.
        y_pred: shape (event, ...).
        weights: event weights, shape (event,) or (resample, event).

    Returns:
        A float, or shape (resample,).

    Raises:
        DataError: arrays that are empty, not finite or differ in shape.

    Examples:
        >>> round(resolution(np.zeros(101), np.linspace(-1, 1, 101)), 3)
        0.68
    """
    residual = _residuals(y_true, y_pred)
    w = as_weights(weights, len(residual))
    low, high = weighted_quantiles(residual, (LOW_68, HIGH_68), w)
    return plain((high - low) / 2)


def residual_sd(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Any:
    """Return the standard deviation of the residuals about their mean, averaged over components.

    Args:
        y_true: shape (event, ...).
        y_pred: shape (event, ...).
        weights: event weights, shape (event,) or (resample, event).

    Returns:
        A float, or shape (resample,).

    Raises:
        DataError: arrays that are empty, not finite or differ in shape.

    Examples:
        >>> residual_sd([0.0, 0.0], [1.0, 3.0])
        1.0
    """
    residual = _residuals(y_true, y_pred)
    w = as_weights(weights, len(residual))
    total = w.sum(-1)[..., None]
    mean = np.asarray(divide(w @ residual, total))
    variance = np.asarray(divide(w @ residual**2, total)) - mean**2
    return plain(np.sqrt(np.maximum(variance, 0.0)).mean(-1))


def relative_bias(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Any:
    """Return the mean of (prediction - truth) / truth.

    Args:
        y_true: not 0, shape (event, ...).
        y_pred: shape (event, ...).
        weights: event weights, shape (event,) or (resample, event).

    Returns:
        A float, or shape (resample,).

    Raises:
        DataError: arrays that are empty, not finite or differ in shape; a truth of 0.

    Examples:
        >>> relative_bias([2.0, 4.0], [3.0, 4.0])
        0.25
    """
    return bias(np.zeros_like(as_values("y_true", y_true)), _relative(y_true, y_pred), weights=weights)


def relative_resolution(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Any:
    """Return half the width of the central 68 % of (prediction - truth) / truth.

    Args:
        y_true: not 0, shape (event, ...); components are pooled.
        y_pred: shape (event, ...).
        weights: event weights, shape (event,) or (resample, event).

    Returns:
        A float, or shape (resample,).

    Raises:
        DataError: arrays that are empty, not finite or differ in shape; a truth of 0.

    Examples:
        >>> round(relative_resolution(np.full(101, 2.0), 2 + np.linspace(-1, 1, 101)), 3)
        0.34
    """
    return resolution(np.zeros_like(as_values("y_true", y_true)), _relative(y_true, y_pred), weights=weights)


def relative_sd(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Any:
    """Return the standard deviation of (prediction - truth) / truth.

    Args:
        y_true: not 0, shape (event, ...).
        y_pred: shape (event, ...).
        weights: event weights, shape (event,) or (resample, event).

    Returns:
        A float, or shape (resample,).

    Raises:
        DataError: arrays that are empty, not finite or differ in shape; a truth of 0.

    Examples:
        >>> relative_sd([2.0, 4.0], [3.0, 2.0])
        0.5
    """
    return residual_sd(np.zeros_like(as_values("y_true", y_true)), _relative(y_true, y_pred), weights=weights)


def residual_quantiles(y_true: ArrayLike, y_pred: ArrayLike, q: Sequence[float]) -> FloatArray:
    """Return quantiles of prediction minus truth, all components pooled, shape (quantile,).

    Raises:
        DataError: arrays that are empty, not finite or differ in shape.

    Examples:
        >>> residual_quantiles([0.0, 0.0, 0.0], [1.0, 2.0, 3.0], [0.5])
        array([2.])
    """
    return np.quantile(_residuals(y_true, y_pred), q)


def pulls(y_true: ArrayLike, y_pred: ArrayLike, sigma: ArrayLike) -> FloatArray:
    """Return (prediction - truth) / sigma, the shape of the truth.

    Right errors give pulls of mean 0 and standard deviation 1.

    Args:
        y_true: shape (event, ...).
        y_pred: shape (event, ...).
        sigma: standard error of each prediction, above 0, shape (event, ...).

    Raises:
        DataError: arrays that are empty, not finite or differ in shape; an error that is not positive.

    Examples:
        >>> pulls([1.0, 2.0], [2.0, 2.0], [0.5, 0.5])
        array([2., 0.])
    """
    residual, error = _residuals(y_true, y_pred), as_values("sigma", sigma)
    same_shape(y_true=residual, sigma=error)
    if error.min() <= 0:
        where = int(np.argwhere(error <= 0)[0][0])
        raise DataError(f"sigma must be above 0. Got {error[where].min()} at event {where}.")
    return (residual / error).reshape(np.shape(y_true))


def profile(
    metric: Metric,
    variable: ArrayLike,
    *arrays: ArrayLike,
    edges: Sequence[float] | FloatArray,
    rng: np.random.Generator,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> Profile:
    """Return a metric in bins of a variable, each with its bootstrap interval.

    Args:
        metric: arrays -> value; of classes or values.
        variable: what to bin in, shape (event,); NaN and values outside the edges are in no bin.
        arrays: what the metric takes, event along the first axis.
        edges: ascending bin edges; the last bin includes its upper edge.
        rng: source of the resamples.
        n_resamples: how many times the events of a bin are drawn anew.
        level: coverage.

    Raises:
        DataError: arrays of different length, or edges that do not ascend.

    Examples:
        >>> y = np.arange(10.0)
        >>> found = profile(bias, y, y, y + 1, edges=[0, 5, 20, 30], rng=np.random.default_rng(1))
        >>> found.counts, found.values
        (array([5., 5., 0.]), array([ 1.,  1., nan]))
    """
    limits = np.asarray(edges, dtype=np.float64)
    if limits.ndim != 1 or len(limits) < 2 or not (np.diff(limits) > 0).all():
        raise DataError(f"edges must be at least two ascending numbers. Got {list(edges)}.")
    where = np.asarray(variable, dtype=np.float64)
    columns = [np.asarray(array) for array in arrays]
    if any(len(column) != len(where) for column in columns):
        raise DataError(
            f"variable and arrays must have one length. "
            f"Got {len(where)} and {[len(column) for column in columns]}."
        )
    bins = np.digitize(where, limits) - 1
    bins[where == limits[-1]] = len(limits) - 2
    intervals, counts = [], []
    for index in range(len(limits) - 1):
        rows = np.flatnonzero(bins == index)
        counts.append(len(rows))
        intervals.append(
            bootstrap(metric, *(c[rows] for c in columns), rng=rng, n_resamples=n_resamples, level=level)
            if len(rows)
            else Interval.undefined(level)
        )
    return Profile(limits, np.array(counts, dtype=np.float64), tuple(intervals))


def weighted_quantiles(values: ArrayLike, q: Sequence[float], weights: ArrayLike | None = None) -> FloatArray:
    """Return the smallest values with at least a fraction q of the weight at or below them.

    With whole weights these are NumPy's "inverted_cdf" quantiles of the values repeated so many times.

    Args:
        values: shape (event, ...); components are pooled.
        q: between 0 and 1.
        weights: event weights, shape (event,) or (resample, event).

    Returns:
        Shape (quantile,) or (quantile, resample).

    Raises:
        DataError: values that are not finite, or weights that do not fit them.

    Examples:
        >>> weighted_quantiles([3.0, 1.0, 2.0], [0.1, 0.5], [1.0, 1.0, 5.0])
        array([1., 2.])
    """
    array = as_values("values", values)
    n_events, n_components = array.shape
    order = np.argsort(array, axis=None, kind="stable")
    w = as_weights(weights, n_events)
    cumulative = np.cumsum(np.atleast_2d(w)[:, order // n_components], axis=1)
    places = np.array([np.searchsorted(row, row[-1] * np.asarray(q), side="left") for row in cumulative])
    found = array.ravel()[order][np.minimum(places, array.size - 1)].T
    return np.asarray(found[:, 0] if w.ndim == 1 else found, dtype=np.float64)


def _residuals(y_true: ArrayLike, y_pred: ArrayLike) -> FloatArray:
    same_shape(y_true=np.asarray(y_true), y_pred=np.asarray(y_pred))
    return as_values("y_pred", y_pred) - as_values("y_true", y_true)


def _relative(y_true: ArrayLike, y_pred: ArrayLike) -> FloatArray:
    true = as_values("y_true", y_true)
    if (true == 0).any():
        where = int(np.argwhere(true == 0)[0][0])
        raise DataError(f"A relative residual needs a truth other than 0. Got 0 at event {where}.")
    return _residuals(y_true, y_pred) / true


def _mean(values: FloatArray, weights: ArrayLike | None) -> Any:
    w = as_weights(weights, len(values))
    return divide(w @ values, w.sum(-1))
