"""Selections by a cut on a score: purity, efficiency and figure of merit against the cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hitlens.errors import DataError
from hitlens.metrics.checking import FloatArray, as_binary, as_scores, divide, same_shape
from hitlens.metrics.interval import Interval, binomial


@dataclass(frozen=True, eq=False)
class CutScan:
    """What passes a cut "score at or above the threshold", for many thresholds.

    Attributes:
        thresholds: ascending, shape (cut,).
        n_signal: signal that passes, shape (cut,).
        n_background: background that passes, shape (cut,).
        total_signal: signal there is.
        total_background: background there is.
    """

    thresholds: FloatArray
    n_signal: FloatArray
    n_background: FloatArray
    total_signal: int
    total_background: int

    @property
    def purity(self) -> FloatArray:
        """Signal among what passes, NaN where nothing does, shape (cut,)."""
        return np.asarray(divide(self.n_signal, self.n_signal + self.n_background))

    @property
    def signal_efficiency(self) -> FloatArray:
        """Signal that passes over all signal, shape (cut,)."""
        return np.asarray(divide(self.n_signal, self.total_signal))

    @property
    def background_rejection(self) -> FloatArray:
        """Background that does not pass over all background, shape (cut,)."""
        rejected = self.total_background - self.n_background
        return np.asarray(divide(rejected, self.total_background))

    @property
    def figure_of_merit(self) -> FloatArray:
        """Signal over the root of all that passes, s / sqrt(s + b), 0 where nothing does, shape (cut,)."""
        passed = self.n_signal + self.n_background
        return np.asarray(np.nan_to_num(divide(self.n_signal, np.sqrt(passed)), nan=0.0))


@dataclass(frozen=True)
class CutResult:
    """A selection with its numbers.

    Attributes:
        threshold: events with a score at or above it are selected.
        purity: signal among the selected, with a binomial interval.
        signal_efficiency: selected signal over all signal, with a binomial interval.
        background_rejection: background left out over all background, with a binomial interval.
        figure_of_merit: s / sqrt(s + b) of this sample.
    """

    threshold: float
    purity: Interval
    signal_efficiency: Interval
    background_rejection: Interval
    figure_of_merit: float


def scan_cuts(y_true: ArrayLike, y_score: ArrayLike, thresholds: ArrayLike | None = None) -> CutScan:
    """Return what passes each of many cuts.

    Args:
        y_true: 1 for signal, shape (event,).
        y_score: higher is more like signal, shape (event,).
        thresholds: cuts, shape (cut,); None takes 201 from the lowest to the highest score.

    Raises:
        DataError: arrays that are empty or differ in shape, other labels than 0 and 1, values not finite.

    Examples:
        >>> scan = scan_cuts([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9], thresholds=[0.0, 0.5])
        >>> scan.purity, scan.signal_efficiency
        (array([0.5, 0.5]), array([1. , 0.5]))
    """
    true, score = as_binary("y_true", y_true), as_scores("y_score", y_score)
    same_shape(y_true=true, y_score=score)
    cuts = (
        np.linspace(score.min(), score.max(), 201)
        if thresholds is None
        else np.sort(as_scores("thresholds", thresholds))
    )
    signal, background = np.sort(score[true == 1]), np.sort(score[true == 0])
    return CutScan(
        cuts,
        (len(signal) - np.searchsorted(signal, cuts, side="left")).astype(np.float64),
        (len(background) - np.searchsorted(background, cuts, side="left")).astype(np.float64),
        len(signal),
        len(background),
    )


def apply_cut(y_true: ArrayLike, y_score: ArrayLike, threshold: float, *, level: float = 0.95) -> CutResult:
    """Return purity, efficiency and rejection of one cut, with binomial (Wilson) intervals.

    Args:
        y_true: 1 for signal, shape (event,).
        y_score: higher is more like signal, shape (event,).
        threshold: events with a score at or above it are selected.
        level: coverage of the intervals.

    Raises:
        DataError: as `scan_cuts`.

    Examples:
        >>> print(apply_cut([0] * 50 + [1] * 50, [0.2] * 50 + [0.8] * 50, 0.5).signal_efficiency)
        1.000 [0.929, 1.000]
    """
    scan = scan_cuts(y_true, y_score, [threshold])
    signal, background = int(scan.n_signal[0]), int(scan.n_background[0])
    return CutResult(
        threshold,
        binomial(signal, signal + background, level=level),
        binomial(signal, scan.total_signal, level=level),
        binomial(scan.total_background - background, scan.total_background, level=level),
        float(scan.figure_of_merit[0]),
    )


def best_cut(y_true: ArrayLike, y_score: ArrayLike, *, min_purity: float = 0.0) -> float:
    """Return the cut of highest s / sqrt(s + b), of all cuts that select a different sample.

    Choose it on validation events; on the events it was chosen on it looks better than it is.

    Args:
        y_true: 1 for signal, shape (event,).
        y_score: higher is more like signal, shape (event,).
        min_purity: only cuts at least this pure are considered.

    Raises:
        DataError: as `scan_cuts`, no signal, or no cut as pure as asked.

    Examples:
        >>> best_cut([0, 0, 1, 1], [0.1, 0.2, 0.7, 0.9])
        0.7
    """
    scan = scan_cuts(y_true, y_score, np.unique(np.asarray(y_score, dtype=np.float64)))
    if scan.total_signal == 0:
        raise DataError("The best cut needs signal events. Got none.")
    merit = np.where(scan.purity >= min_purity, scan.figure_of_merit, -1.0)
    best = int(np.argmax(merit))
    if merit[best] < 0:
        raise DataError(
            f"No cut reaches a purity of {min_purity}. The highest is {np.nanmax(scan.purity):.4f}."
        )
    return float(scan.thresholds[best])
