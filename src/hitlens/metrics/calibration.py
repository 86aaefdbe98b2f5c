"""Whether a score of 0.8 is right 80 % of the time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hitlens.errors import ConfigError
from hitlens.metrics.checking import (
    FloatArray,
    IntArray,
    as_binary,
    as_probabilities,
    as_weights,
    divide,
    plain,
    same_shape,
)
from hitlens.metrics.interval import Interval, binomial


@dataclass(frozen=True, eq=False)
class ReliabilityCurve:
    """Fraction of signal against the probability of signal, in equal bins of the probability.

    Attributes:
        edges: bin edges, shape (bin + 1,).
        counts: events in each bin, shape (bin,).
        mean_probability: mean predicted probability in each bin, NaN in an empty one, shape (bin,).
        signal_fraction: observed fraction of signal in each bin, with a binomial interval.
    """

    edges: FloatArray
    counts: FloatArray
    mean_probability: FloatArray
    signal_fraction: tuple[Interval, ...]


def reliability_curve(
    y_true: ArrayLike, y_prob: ArrayLike, *, n_bins: int = 10, level: float = 0.95
) -> ReliabilityCurve:
    """Return the observed fraction of signal against the predicted probability.

    Args:
        y_true: 1 for signal, shape (event,).
        y_prob: probability of signal, shape (event,).
        n_bins: equal bins from 0 to 1.
        level: coverage of the intervals.

    Raises:
        DataError: arrays that are empty or differ in shape, other labels than 0 and 1, no probabilities.
        ConfigError: less than one bin.

    Examples:
        >>> curve = reliability_curve([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], n_bins=2)
        >>> curve.mean_probability
        array([0.15, 0.85])
    """
    true, probability, bins = _format(y_true, y_prob, n_bins)
    counts = np.bincount(bins, minlength=n_bins)
    signal = np.bincount(bins, weights=true, minlength=n_bins)
    total = np.bincount(bins, weights=probability, minlength=n_bins)
    return ReliabilityCurve(
        np.linspace(0, 1, n_bins + 1),
        counts.astype(np.float64),
        np.asarray(divide(total, counts)),
        tuple(binomial(int(s), int(n), level=level) for s, n in zip(signal, counts, strict=True)),
    )


def expected_calibration_error(
    y_true: ArrayLike, y_prob: ArrayLike, *, n_bins: int = 10, weights: ArrayLike | None = None
) -> Any:
    """Return the mean distance of predicted probability and observed fraction, over equal bins.

    Finite samples push it up: a perfectly calibrated score has a value above 0, of order
    sqrt(bins / events), and its bootstrap interval is shifted up as well.

    Args:
        y_true: 1 for signal, shape (event,).
        y_prob: probability of signal, shape (event,).
        n_bins: equal bins from 0 to 1.
        weights: event weights, shape (event,) or (resample, event).

    Returns:
        A float, or shape (resample,).

    Raises:
        DataError: arrays that are empty or differ in shape, other labels than 0 and 1, no probabilities.
        ConfigError: less than one bin.

    Examples:
        >>> round(expected_calibration_error([0, 0, 1, 1], [0.1, 0.1, 0.9, 0.9]), 3)
        0.1
    """
    true, probability, bins = _format(y_true, y_prob, n_bins)
    w = as_weights(weights, len(true))
    columns = np.zeros((len(true), n_bins))
    columns[np.arange(len(true)), bins] = probability - true
    return plain(divide(np.abs(w @ columns).sum(-1), w.sum(-1)))


def _format(y_true: ArrayLike, y_prob: ArrayLike, n_bins: int) -> tuple[IntArray, FloatArray, IntArray]:
    if n_bins < 1:
        raise ConfigError(f"n_bins must be at least 1. Got {n_bins}.")
    true, probability = as_binary("y_true", y_true), as_probabilities("y_prob", y_prob)
    same_shape(y_true=true, y_prob=probability)
    return true, probability, np.minimum((probability * n_bins).astype(np.int64), n_bins - 1)
