"""What the pixels of one view show, added up block by block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from hitlens.datasets.histograms import GrowingHistogram, Histogram, sensible_bins
from hitlens.datasets.pixel_health import (
    OddPixel,
    find_dead_pixels,
    find_hot_pixels,
    symmetric_partners,
)
from hitlens.detector import Detector, Symmetry, View
from hitlens.errors import DataError
from hitlens.events import Images

#: Events looked at together, at most: dense images turned to floats, or hits of sparse ones.
_BLOCK, _BLOCK_PIXELS = 4096, 1 << 23

#: Bins of the histogram of pixel values, at most; values of 8 bits keep a bin each.
N_VALUE_BINS = 256

#: A view of which at least this fraction is zero shows few hits: its maps span decades.
THIN = 0.8


@dataclass(frozen=True)
class OrientationResult:
    """How often the brightest pixel holds a true position, would the image be turned in one way.

    Attributes:
        name: "as described", or the symmetry that takes the described orientation to this one.
        n_agree: events whose brightest pixel holds the position of a particle.
        n_events: events with a position and a hit.
    """

    name: str
    n_agree: int
    n_events: int

    @property
    def fraction(self) -> float:
        """Fraction that agrees, NaN without events."""
        return self.n_agree / self.n_events if self.n_events else float("nan")


@dataclass(frozen=True, eq=False)
class ViewReport:
    """What one view shows over all events.

    Attributes:
        view: its description.
        n_hit_events: events with a pixel that is not zero.
        minimum: smallest pixel value, zeros counted.
        maximum: largest pixel value.
        mean: mean pixel value, zeros counted.
        zero_fraction: fraction of pixel values that are zero.
        n_negative: pixel values below zero.
        n_not_finite: pixel values that are NaN or infinite; taken as zero elsewhere.
        mean_image: mean value of each pixel, shape (row, col).
        hit_rate: fraction of the events that are not blank in which a pixel is not zero, shape (row, col).
        brightest: events in which a pixel is the brightest, shape (row, col).
        n_silent: pixels that are zero in every event.
        dead: silent pixels that should have been hit, by what their surroundings saw.
        hot: pixels far above their surroundings.
        orientations: agreement of brightest pixel and true position, the described orientation first; empty
            where no position is known.
        n_saturated: pixel values that are the largest their type holds; 0 for real numbers.
        hits: pixels that are not zero, an event.
        charge: sum over the pixels of an event.
        values: pixel values that are not zero.
        is_described: whether the detector has this view; else dead and hot pixels are not looked for.
    """

    view: View
    n_hit_events: int
    minimum: float
    maximum: float
    mean: float
    zero_fraction: float
    n_negative: int
    n_not_finite: int
    mean_image: NDArray[np.float64]
    hit_rate: NDArray[np.float64]
    brightest: NDArray[np.int64]
    n_silent: int
    dead: tuple[OddPixel, ...]
    hot: tuple[OddPixel, ...]
    orientations: tuple[OrientationResult, ...]
    n_saturated: int
    hits: Histogram
    charge: Histogram
    values: Histogram
    is_described: bool = True

    @property
    def thin(self) -> bool:
        """Whether nearly all pixels of an event are zero, as in a tracking detector."""
        return self.zero_fraction >= THIN


class ViewStatistics:
    """Adds up the statistics of one view, in memory that does not depend on the number of events.

    Args:
        view: the view's description; one that the detector does not have has neither positions nor
            symmetries, nor pixels that are dead or hot.
        detector: its detector; gives the symmetries, and with them which truth columns are positions.
    """

    def __init__(self, view: View, detector: Detector) -> None:
        self.view = view
        self.is_described = view in detector.views
        self.points = position_columns(view, detector) if self.is_described else ()
        self.symmetries = tuple(
            s for s in detector.symmetries if self.is_described and set(s.flips) <= set(view.axes)
        )
        n_pixels = int(np.prod(view.shape))
        self.n_events = self.n_hit_events = self.n_negative = self.n_not_finite = 0
        self.minimum, self.maximum = np.inf, -np.inf
        self._sum, self._squares = np.zeros(n_pixels), np.zeros(n_pixels)
        self._hits = np.zeros(n_pixels, dtype=np.int64)
        self._brightest = np.zeros(n_pixels, dtype=np.int64)
        self._agree = np.zeros(1 + len(self.symmetries), dtype=np.int64)
        self._placed = self.n_saturated = 0
        self._n_hits, self._charge = GrowingHistogram(), GrowingHistogram()
        self._values = GrowingHistogram()

    def fill(self, images: Images, truth: pl.DataFrame) -> NDArray[np.float64]:
        """Add a block of events.

        Args:
            images: this view of the block, dense or sparse.
            truth: the truth table of the block.

        Returns:
            Sum over the pixels of each event, shape (event,).

        Raises:
            DataError: the images do not have the shape of the view.
        """
        self._check_shape(images)
        sums = [np.zeros(0)]
        size = min(_BLOCK, max(1, _BLOCK_PIXELS // int(np.prod(self.view.shape))))
        if not isinstance(images, np.ndarray):
            size = max(1, int(_BLOCK_PIXELS * images.shape[0] / max(images.nnz, 1)))
        for start in range(0, images.shape[0], size):
            part = images[start : start + size]
            flat = part.reshape(len(part), -1) if isinstance(part, np.ndarray) else part
            sums.append(self._fill_part(self._cleaned(flat), truth[start : start + size]))
        return np.concatenate(sums)

    def _check_shape(self, images: Images) -> None:
        n_pixels = int(np.prod(self.view.shape))
        dense = isinstance(images, np.ndarray)
        if images.shape[1:] != (self.view.shape if dense else (n_pixels,)):
            raise DataError(
                f"Images of view '{self.view.name}' must have shape {self.view.shape}. "
                f"Got {images.shape[1:]}."
            )

    def _cleaned(self, flat: Any) -> Any:
        """Count what is not a number, and take it as zero."""
        values = flat if isinstance(flat, np.ndarray) else flat.data
        if values.dtype.kind != "f":
            return flat
        n_bad = int(values.size - np.isfinite(values).sum())
        if not n_bad:
            return flat
        self.n_not_finite += n_bad
        cleaned = flat.copy()
        if isinstance(cleaned, np.ndarray):
            cleaned[~np.isfinite(cleaned)] = 0
        else:
            cleaned.data[~np.isfinite(cleaned.data)] = 0
        return cleaned

    def _fill_part(self, flat: Any, truth: pl.DataFrame) -> NDArray[np.float64]:
        self.n_events += flat.shape[0]
        self.minimum = min(self.minimum, float(flat.min()))
        self.maximum = max(self.maximum, float(flat.max()))
        if isinstance(flat, np.ndarray):
            sums, n_hits, brightest = self._fill_dense(flat)
        else:
            sums, n_hits, brightest = self._fill_sparse(flat)
        hit = n_hits > 0
        self.n_hit_events += int(hit.sum())
        self._n_hits.fill(n_hits)
        self._charge.fill(sums if flat.dtype.kind == "f" else sums.astype(np.int64))
        self._brightest += np.bincount(brightest[hit], minlength=len(self._sum))
        self._compare_positions(brightest[hit], truth.filter(pl.Series(hit)))
        return np.asarray(sums, dtype=np.float64)

    def _fill_dense(self, flat: NDArray[Any]) -> tuple[Any, Any, Any]:
        values = flat.astype(np.float64)
        self._sum += values.sum(axis=0)
        self._squares += np.einsum("ij,ij->j", values, values)
        self._hits += np.count_nonzero(flat, axis=0)
        self._fill_values(flat[flat != 0])
        return values.sum(axis=1), np.count_nonzero(flat, axis=1), flat.argmax(axis=1)

    def _fill_sparse(self, flat: sparse.csr_array[Any, tuple[int, int]]) -> tuple[Any, Any, Any]:
        n_pixels, n_events = len(self._sum), flat.shape[0]
        data, rows = flat.data.astype(np.float64), np.repeat(np.arange(n_events), np.diff(flat.indptr))
        self._sum += np.bincount(flat.indices, data, minlength=n_pixels)
        self._squares += np.bincount(flat.indices, data**2, minlength=n_pixels)
        nonzero = data != 0
        self._hits += np.bincount(flat.indices[nonzero], minlength=n_pixels)
        self._fill_values(flat.data[nonzero])
        sums = np.bincount(rows, data, minlength=n_events)
        n_hits = np.bincount(rows[nonzero], minlength=n_events)
        return sums, n_hits, _brightest(flat, rows, data)

    def _fill_values(self, hits: NDArray[Any]) -> None:
        """Count pixel values that are not zero; whole numbers one by one, which is fast."""
        if hits.dtype.kind == "f":
            self.n_negative += int((hits < 0).sum())
            self._values.fill(hits)
            return
        top = np.iinfo(hits.dtype).max
        self.n_saturated += int((hits == top).sum())
        if hits.dtype.kind == "i":
            self.n_negative += int((hits < 0).sum())
        if hits.dtype.kind == "u" and hits.dtype.itemsize <= 2:
            counts = np.bincount(hits)
            found = np.flatnonzero(counts)
            self._values.fill(found, counts[found])
        else:
            self._values.fill(hits)

    def _compare_positions(self, brightest: NDArray[np.int64], truth: pl.DataFrame) -> None:
        columns = sorted({column for point in self.points for column in point})
        if not columns or not set(columns) <= set(truth.columns) or not len(truth):
            return
        place = np.stack(np.unravel_index(brightest, self.view.shape), axis=1)
        values = {
            column: truth[column].cast(pl.Float64).fill_null(float("nan")).to_numpy() for column in columns
        }
        first = np.stack([values[column] for column in self.points[0]])
        self._placed += int(np.isfinite(first).all(axis=0).sum())
        for number, symmetry in enumerate((None, *self.symmetries)):
            moved = _moved(values, symmetry)
            inside = np.zeros(len(truth), dtype=bool)
            for point in self.points:
                position = np.stack([moved[column] for column in point], axis=1)
                inside |= (np.floor(position) == place).all(axis=1)
            self._agree[number] += int(inside.sum())

    def report(self) -> ViewReport:
        """Return what was added up so far."""
        shape, n = self.view.shape, max(self.n_events, 1)
        means, hits = (self._sum / n).reshape(shape), self._hits.reshape(shape)
        variance = np.maximum(self._squares / n - (self._sum / n) ** 2, 0).reshape(shape)
        dead, hot = self._odd_pixels(means, np.sqrt(variance / n), hits)
        return ViewReport(
            view=self.view,
            n_hit_events=self.n_hit_events,
            minimum=self.minimum if self.n_events else float("nan"),
            maximum=self.maximum if self.n_events else float("nan"),
            mean=float(means.mean()),
            zero_fraction=self._zero_fraction(),
            n_negative=self.n_negative,
            n_not_finite=self.n_not_finite,
            mean_image=means,
            hit_rate=hits / max(self.n_hit_events, 1),
            brightest=self._brightest.reshape(shape),
            n_silent=int((hits == 0).sum()),
            dead=dead,
            hot=hot,
            orientations=self._orientations(),
            n_saturated=self.n_saturated,
            hits=self._n_hits.histogram(sensible_bins(self.n_events)),
            charge=self._charge.histogram(sensible_bins(self.n_events)),
            values=self._values.histogram(N_VALUE_BINS),
            is_described=self.is_described,
        )

    def _zero_fraction(self) -> float:
        return 1 - float(self._hits.sum()) / (max(self.n_events, 1) * len(self._hits))

    def _odd_pixels(
        self, means: NDArray[np.float64], errors: NDArray[np.float64], hits: NDArray[np.int64]
    ) -> tuple[tuple[OddPixel, ...], tuple[OddPixel, ...]]:
        if len(self.view.shape) != 2 or not self.is_described or not self.n_hit_events:
            return (), ()
        partners = symmetric_partners(self.view, self.symmetries)
        return (
            find_dead_pixels(hits, self.n_hit_events, means, partners),
            find_hot_pixels(means, errors, hits > 0, partners, ridges=self._zero_fraction() >= THIN),
        )

    def _orientations(self) -> tuple[OrientationResult, ...]:
        if not self._placed:
            return ()
        names = ("as described", *(symmetry.name for symmetry in self.symmetries))
        return tuple(
            OrientationResult(name, int(n_agree), self._placed)
            for name, n_agree in zip(names, self._agree, strict=True)
        )


def _brightest(flat: Any, rows: NDArray[np.int64], data: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the first of the brightest pixels of each event, as a dense image's argmax does."""
    n_events, n_pixels = flat.shape
    highest = np.zeros(n_events)
    np.maximum.at(highest, rows, data)
    at_top = (data == highest[rows]) & (data > 0)
    first = np.full(n_events, n_pixels)
    np.minimum.at(first, rows[at_top], flat.indices[at_top])
    return np.where(first < n_pixels, first, 0)


def position_columns(view: View, detector: Detector) -> tuple[tuple[str, ...], ...]:
    """Return the truth columns that hold positions in this view, (along rows, along columns) for each point.

    The detector's flips tell: a column that a flip of one axis mirrors is a position along that axis.

    Examples:
        >>> from hitlens.detectors import get_detector
        >>> cebr = get_detector("cebr")
        >>> position_columns(cebr.views[0], cebr)
        (('x_1_px', 'y_1_px'), ('x_2_px', 'y_2_px'))
    """
    along: list[list[str]] = []
    for axis in view.axes:
        flips = [s for s in detector.symmetries if s.flips == (axis,) and not s.transpose]
        effects = flips[0].truth if flips else {}
        along.append(
            [name for name, effect in effects.items() if effect.scale == -1 and detector.unit(name) == "px"]
        )
    n_points = {len(columns) for columns in along}
    return tuple(zip(*along, strict=True)) if len(n_points) == 1 else ()


def _moved(
    values: dict[str, NDArray[np.float64]], symmetry: Symmetry | None
) -> dict[str, NDArray[np.float64]]:
    if symmetry is None:
        return values
    effects = symmetry.truth
    return {
        name: effects[name].scale * values[effects[name].source] + effects[name].offset
        if name in effects and effects[name].source in values
        else column
        for name, column in values.items()
    }


def best_orientation(orientations: Sequence[OrientationResult]) -> OrientationResult | None:
    """Return the orientation that fits clearly better than the described one, None where that is the best.

    Examples:
        >>> found = [OrientationResult("as described", 5, 99), OrientationResult("transpose", 95, 99)]
        >>> best_orientation(found)
        OrientationResult(name='transpose', n_agree=95, n_events=99)
    """
    if not orientations:
        return None
    described, best = orientations[0], max(orientations, key=lambda o: o.n_agree)
    clearly = best.n_agree - described.n_agree > 3 * np.sqrt(best.n_agree + described.n_agree)
    return best if clearly else None
