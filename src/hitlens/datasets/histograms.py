"""Histograms of values that come block by block, their range not known beforehand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts in bins of equal width.

    Attributes:
        edges: bin edges, ascending, shape (bin + 1,).
        counts: values a bin, shape (bin,).
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]

    @property
    def n_values(self) -> int:
        """Values in all bins."""
        return int(self.counts.sum())


class GrowingHistogram:
    """A histogram whose range grows with what it is given; memory is bounded by the number of bins.

    Bin widths are powers of two and edges their multiples, so that growing merges pairs of bins and
    nothing is ever spread over two, and the result does not depend on how the values were cut into blocks
    but for the finest width, which the first block sets; of whole numbers it is at least 1.

    Args:
        n_bins: bins it may use at most.

    Examples:
        >>> histogram = GrowingHistogram(n_bins=4)
        >>> histogram.fill([0.0, 1.0, 2.0, 3.0])
        >>> histogram.fill([7.0])
        >>> shown = histogram.histogram()
        >>> shown.edges.tolist(), shown.counts.tolist()
        ([0.0, 2.0, 4.0, 6.0, 8.0], [2, 2, 0, 1])
    """

    def __init__(self, n_bins: int = 4096) -> None:
        self.n_bins = n_bins
        self._exponent: int | None = None
        self._first = 0
        self._counts = np.zeros(0, dtype=np.int64)

    def fill(self, values: ArrayLike, counts: ArrayLike | None = None) -> None:
        """Count values; what is not finite is left out.

        Args:
            values: of any shape.
            counts: how often each of them is there, once if left out; whole numbers.
        """
        given = np.asarray(values)
        array = given.astype(np.float64).ravel()
        finite = np.isfinite(array)
        if not finite.any():
            return
        array = array[finite]
        often = None if counts is None else np.asarray(counts).ravel()[finite]
        low, high = float(array.min()), float(array.max())
        if self._exponent is None:
            spread = (high - low) or abs(high) or 1.0
            self._exponent = math.ceil(math.log2(spread / self.n_bins))
            if given.dtype.kind in "iub":
                self._exponent = max(self._exponent, 0)
        self._grow_to(low, high)
        places = np.floor(np.ldexp(array, -self._exponent)).astype(np.int64) - self._first
        self._counts += np.bincount(places, often, minlength=len(self._counts)).astype(np.int64)

    def _grow_to(self, low: float, high: float) -> None:
        exponent = self._exponent or 0
        while True:
            first, last = math.floor(math.ldexp(low, -exponent)), math.floor(math.ldexp(high, -exponent))
            if len(self._counts):
                shift = exponent - (self._exponent or 0)
                first = min(first, self._first >> shift)
                last = max(last, (self._first + len(self._counts) - 1) >> shift)
            if last - first < self.n_bins:
                break
            exponent += 1
        self._counts = self._merged(exponent, first, last)
        self._exponent, self._first = exponent, first

    def _merged(self, exponent: int, first: int, last: int) -> NDArray[np.int64]:
        """Return the counts in bins of width 2**exponent, numbers first to last."""
        counts = np.zeros(last - first + 1, dtype=np.int64)
        if len(self._counts):
            old = np.arange(self._first, self._first + len(self._counts)) >> (
                exponent - (self._exponent or 0)
            )
            np.add.at(counts, old - first, self._counts)
        return counts

    def histogram(self, n_bins: int | None = None) -> Histogram:
        """Return what was counted, from the first bin with a value to the last, in at most ``n_bins``."""
        return same_bins({"": self}, n_bins)[""]


def sensible_bins(n_values: int, most: int = 100) -> int:
    """Return how many bins so few values fill; the bins of a growing histogram are at most these.

    Examples:
        >>> sensible_bins(160), sensible_bins(1_000_000), sensible_bins(0)
        (25, 100, 16)
    """
    return max(16, min(most, round(2 * math.sqrt(n_values))))


def same_bins(histograms: Mapping[str, GrowingHistogram], n_bins: int | None = None) -> dict[str, Histogram]:
    """Return several histograms in the same bins, so that they can be drawn over each other.

    Args:
        histograms: by name.
        n_bins: bins each may have at most; as fine as they were counted when not given.
    """
    # The histogram's own fields are read here: the bins of all must be chosen together.
    filled = [h for h in histograms.values() if h._exponent is not None]
    if not filled:
        empty = Histogram(np.array([0.0, 1.0]), np.zeros(1, dtype=np.int64))
        return dict.fromkeys(histograms, empty)
    exponent = max(h._exponent or 0 for h in filled)
    limit = n_bins or max(h.n_bins for h in filled)
    while True:
        spans = [_occupied(h, exponent) for h in filled]
        first, last = min(span[0] for span in spans), max(span[1] for span in spans)
        if last - first < limit:
            break
        exponent += 1
    edges = np.ldexp(np.arange(first, last + 2, dtype=np.float64), exponent)
    return {name: Histogram(edges, _in_bins(h, exponent, first, last)) for name, h in histograms.items()}


def _occupied(histogram: GrowingHistogram, exponent: int) -> tuple[int, int]:
    places = np.flatnonzero(histogram._counts) + histogram._first
    shift = exponent - (histogram._exponent or 0)
    return int(places[0]) >> shift, int(places[-1]) >> shift


def _in_bins(histogram: GrowingHistogram, exponent: int, first: int, last: int) -> NDArray[np.int64]:
    counts = np.zeros(last - first + 1, dtype=np.int64)
    places = np.flatnonzero(histogram._counts)
    shift = exponent - (histogram._exponent or 0)
    np.add.at(counts, ((places + histogram._first) >> shift) - first, histogram._counts[places])
    return counts
