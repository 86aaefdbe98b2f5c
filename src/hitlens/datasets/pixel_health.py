"""Dead and hot pixels: what each pixel saw against its neighbours and its mirror images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hitlens.detector import Symmetry, View

#: A silent pixel counts as dead where so few good pixels would have been silent by chance.
_CHANCE_OF_SILENCE = 1e-4
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
        Shape (row, col); where nobody can be asked, the median of all live pixels.
    """
    known = np.where(live, values, np.nan)
    padded = np.pad(known, 1, constant_values=np.nan)
    around = [
        padded[1 + dr : padded.shape[0] - 1 + dr, 1 + dc : padded.shape[1] - 1 + dc]
        for dr in (-1, 0, 1)
        for dc in (-1, 0, 1)
        if dr or dc
    ]
    fallback = float(np.median(values[live])) if live.any() else 0.0
    neighbours = _median(np.stack(around), fallback)
    if not len(partners):
        return neighbours
    mirrored = known.ravel()[partners].reshape(len(partners), *values.shape)
    mirrored[partners.reshape(mirrored.shape) == np.arange(values.size).reshape(values.shape)] = np.nan
    return np.maximum(neighbours, _median(mirrored, -np.inf))


def _median(stack: NDArray[np.float64], fallback: float) -> NDArray[np.float64]:
    """Median over the first axis without NaN; the fallback where all are NaN."""
    nobody = np.isnan(stack).all(axis=0)
    result: NDArray[np.float64] = np.nanmedian(np.where(nobody, 0.0, stack), axis=0)
    return np.where(nobody, fallback, result)


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
    return _pixels(~live & (silence < _CHANCE_OF_SILENCE), means, expected)


def find_hot_pixels(
    means: NDArray[np.float64],
    errors: NDArray[np.float64],
    live: NDArray[np.bool_],
    partners: NDArray[np.int64],
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
    """
    expected = expected_from_surroundings(means, live, partners)
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
