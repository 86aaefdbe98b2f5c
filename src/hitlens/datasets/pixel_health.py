"""Dead and hot pixels: what each pixel saw against its neighbours and its mirror images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hitlens.detector import Symmetry, View

#: A silent pixel counts as dead where so few good pixels would have been silent by chance, and where in a
#: whole image of many pixels so few would have been.
_CHANCE_OF_SILENCE, _CHANCE_IN_AN_IMAGE = 1e-4, 0.01
#: A hot pixel exceeds its expectation by this factor, and by so many standard deviations of both kinds.
_HOT_RATIO, _HOT_DEVIATIONS = 1.5, 5.0


@dataclass(frozen=True)
class OddPixel:
    """A pixel that does not do what its surroundings do.

    Attributes:
        index: its place in the image, (row, col).
        mean: mean value over the events.
        expected: mean value of its neighbours or mirror images, whichever is larger.
    """

    index: tuple[int, ...]
    mean: float
    expected: float


def symmetric_partners(view: View, symmetries: Sequence[Symmetry]) -> NDArray[np.int64]:
    """Return which pixel each symmetry puts in each place, as flat indices of shape (symmetry, pixel).

    Examples:
        >>> view = View(name="v", shape=(1, 3), axes=("x", "y"), pitch_mm=(1, 1), unit="hits")
        >>> symmetric_partners(view, [Symmetry(name="flip", flips=("y",))]).tolist()
        [[2, 1, 0]]
    """
    places = np.arange(np.prod(view.shape)).reshape(view.shape)
    partners = []
    for symmetry in symmetries:
        moved = places.T if symmetry.transpose else places
        flipped = tuple(view.axes.index(axis) for axis in symmetry.flips if axis in view.axes)
        if moved.shape == places.shape:
            partners.append(np.flip(moved, flipped).ravel())
    return np.array(partners, dtype=np.int64).reshape(len(partners), places.size)


def expected_from_surroundings(
    values: NDArray[np.float64], live: NDArray[np.bool_], partners: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return for each pixel the larger of two medians: of its live neighbours, of its live mirror images.

    Args:
        values: one value a pixel, shape (row, col).
        live: pixels that may be asked, shape (row, col).
        partners: as `symmetric_partners`.

    Returns:
        Shape (row, col); where nobody can be asked, the median of all pixels, the silent ones counted: in an
        image most of which is never hit, nothing is expected there.
    """
    known = np.where(live, values, np.nan)
    around = _neighbours(known)
    fallback = float(np.median(np.where(live, values, 0.0)))
    neighbours = _median(around, fallback)
    # Where most of the neighbours are silent as well, an edge of what is lit is near: few say little.
    n_there = (~np.isnan(_neighbours(np.zeros_like(values)))).sum(axis=0)
    few = 2 * (~np.isnan(around)).sum(axis=0) < n_there
    neighbours = np.where(few, np.minimum(neighbours, fallback), neighbours)
    if not len(partners):
        return neighbours
    mirrored = known.ravel()[partners].reshape(len(partners), *values.shape)
    mirrored[partners.reshape(mirrored.shape) == np.arange(values.size).reshape(values.shape)] = np.nan
    return np.maximum(neighbours, _median(mirrored, -np.inf))


def _neighbours(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the eight neighbours of each pixel, NaN outside the image, shape (8, row, col)."""
    padded = np.pad(values, 1, constant_values=np.nan)
    n_row, n_col = values.shape
    places = [(dr, dc) for dr in (0, 1, 2) for dc in (0, 1, 2) if (dr, dc) != (1, 1)]
    return np.stack([padded[dr : dr + n_row, dc : dc + n_col] for dr, dc in places])


def _median(stack: NDArray[np.float64], fallback: float) -> NDArray[np.float64]:
    """Median over the first axis without NaN; the fallback where all are NaN."""
    n_known = (~np.isnan(stack)).sum(axis=0)
    ascending = np.sort(stack, axis=0)  # NaN goes to the end
    middle = [np.maximum(n_known - 1, 0) // 2, np.minimum(n_known // 2, len(stack) - 1)]
    low, high = (np.take_along_axis(ascending, at[None], axis=0)[0] for at in middle)
    return np.where(n_known == 0, fallback, (low + high) / 2)


def find_dead_pixels(
    n_hits: NDArray[np.int64], n_events: int, means: NDArray[np.float64], partners: NDArray[np.int64]
) -> tuple[OddPixel, ...]:
    """Return pixels never hit although, by the rate of their surroundings, they should have been.

    Args:
        n_hits: events in which each pixel is not zero, shape (row, col).
        n_events: events that are not blank.
        means: mean value of each pixel, shape (row, col).
        partners: as `symmetric_partners`.
    """
    live = n_hits > 0
    rate = expected_from_surroundings(n_hits / max(n_events, 1), live, partners)
    expected = expected_from_surroundings(means, live, partners)
    silence = (1 - np.clip(rate, 0, 1)) ** n_events
    chance = min(_CHANCE_OF_SILENCE, _CHANCE_IN_AN_IMAGE / n_hits.size)
    return _pixels(~live & (silence < chance), means, expected)


def find_hot_pixels(
    means: NDArray[np.float64],
    errors: NDArray[np.float64],
    live: NDArray[np.bool_],
    partners: NDArray[np.int64],
    *,
    ridges: bool = False,
) -> tuple[OddPixel, ...]:
    """Return pixels far above both their neighbours and their mirror images.

    Far means by half again, by 5 robust standard deviations of all pixels' ratios (a detector whose gains
    differ much is not all hot), and by 5 standard errors (an image of few events is not hot where one event
    was).

    Args:
        means: mean value of each pixel, shape (row, col).
        errors: standard error of that mean, shape (row, col).
        live: pixels ever hit, shape (row, col).
        partners: as `symmetric_partners`.
        ridges: whether images may have bright lines, as tracks from one place make: a pixel between two
            bright ones is then not hot.
    """
    expected = expected_from_surroundings(means, live, partners)
    if ridges:
        around = _neighbours(means)
        # Opposite neighbours; at the border of the image the one there is.
        between = np.nan_to_num(np.fmin(around[:4], around[:3:-1])).max(axis=0)
        expected = np.maximum(expected, between)
    usable = live & (means > 0) & (expected > 0)
    if not usable.any():
        return ()
    excess = np.zeros_like(means)
    excess[usable] = np.log(means[usable] / expected[usable])
    centre = np.median(excess[usable])
    scatter = 1.4826 * np.median(np.abs(excess[usable] - centre))
    hot = usable & (excess > np.log(_HOT_RATIO)) & (excess - centre > _HOT_DEVIATIONS * scatter)
    return _pixels(hot & (means - expected > _HOT_DEVIATIONS * errors), means, expected)


def _pixels(
    which: NDArray[np.bool_], means: NDArray[np.float64], expected: NDArray[np.float64]
) -> tuple[OddPixel, ...]:
    return tuple(
        OddPixel(tuple(int(i) for i in index), float(means[tuple(index)]), float(expected[tuple(index)]))
        for index in np.argwhere(which)
    )
