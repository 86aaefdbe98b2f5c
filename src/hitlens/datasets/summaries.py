"""Events in a few numbers each: hits, charge, extents, tracks; what a method without images may use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hitlens.detector import Detector, View
from hitlens.errors import DataError
from hitlens.events import Events, Images

#: Totals over the views: pixels that are not zero, and the sum of all pixel values.
SEEN = ("seen_hits", "seen_charge")

#: Events looked at together, and pixels of dense ones: bounds the memory beside the events.
_BLOCK = 8192
_DENSE_PIXELS = 1 << 24

#: Numbers of one view that do not depend on its axes, in the order the loop over hits gives them.
_PLAIN = (
    "hits",
    "charge",
    "mean_charge",
    "max_charge",
    "occupied_rows",
    "hits_per_row",
    "longest_track",
    "track_charge",
    "longest_thin_track",
    "early_charge",
    "late_charge",
    "densest_row",
    "densest_pixel",
)

#: Numbers of each axis of a view.
_PER_AXIS = ("first", "last", "extent", "mean", "rms")


def summary_names(view: View) -> tuple[str, ...]:
    """Return the names of the numbers that `summarise` gives of one view.

    Examples:
        >>> view = View(name="x", shape=(100, 80), axes=("plane", "cell"), pitch_mm=(133, 40), unit="")
        >>> summary_names(view)[0], summary_names(view)[-1]
        ('x_hits', 'x_cell_rms')
    """
    plain = [f"{view.name}_{name}" for name in _PLAIN]
    return (*plain, *(f"{view.name}_{axis}_{name}" for axis in view.axes for name in _PER_AXIS))


def summarise(events: Events, detector: Detector) -> pl.DataFrame:
    """Return summary numbers of every event, in order, one Float32 column each.

    A hit is a pixel that is not zero; rows are the steps along the first axis of a view (planes, wires).
    ``<view>_`` stands before:

    - ``hits``, ``charge``, ``mean_charge``, ``max_charge``: number of hits, their sum, mean and largest;
    - ``occupied_rows``, ``hits_per_row``: rows with a hit, and hits in each of them on average;
    - ``longest_track``, ``track_charge``: the longest run of rows with a hit, one gap of one row allowed at
      a time, and the charge a row of it; ``longest_thin_track``: the same of rows with one or two hits;
    - ``early_charge``, ``late_charge``: fraction of the charge in the first and in the last third of the
      event along the first axis;
    - ``densest_row``, ``densest_pixel``: fraction of the charge in the row, the pixel with most of it;
    - ``<axis>_first``, ``<axis>_last``, ``<axis>_extent``, ``<axis>_mean``, ``<axis>_rms``: first and last
      pixel with a hit along each axis, pixels from one to the other, charge-weighted mean and spread.

    Then ``seen_hits`` and ``seen_charge``, the totals over the views. In a view without a hit counts are 0
    and all else is NaN.

    Args:
        events: images dense or sparse; never made dense as a whole.
        detector: their description.

    Raises:
        DataError: a view is missing, or its images have another shape than described.

    Examples:
        >>> view = View(name="v", shape=(3, 4), axes=("plane", "cell"), pitch_mm=(1, 1), unit="")
        >>> demo = Detector(name="demo", title="", views=(view,), truth=(), tasks=())
        >>> image = np.zeros((1, 3, 4)); image[0, 0, 1] = 2; image[0, 2, 1] = 4
        >>> found = summarise(Events({"v": image}, pl.DataFrame({"event": [0]}), "demo"), demo)
        >>> found.select("v_hits", "v_longest_track", "v_cell_extent", "seen_charge").row(0)
        (2.0, 3.0, 1.0, 6.0)
    """
    columns: dict[str, NDArray[Any]] = {}
    hits, charge = np.zeros(len(events)), np.zeros(len(events))
    for view in detector.views:
        table = _summarise_view(_images_of(events, view), view)
        hits += table[:, 0]
        charge += table[:, 1]
        columns |= dict(zip(summary_names(view), table.T.astype(np.float32), strict=True))
    columns |= dict(zip(SEEN, (hits.astype(np.float32), charge.astype(np.float32)), strict=True))
    return pl.DataFrame(columns)


def count_seen(events: Events) -> pl.DataFrame:
    """Return the totals of every event: ``seen_hits`` (Int64) and ``seen_charge`` (Float64).

    The charge of an event with a pixel that is no number is null.

    Args:
        events: images dense or sparse.

    Examples:
        >>> image = np.array([[[0, 3], [2, 0]]])
        >>> count_seen(Events({"v": image}, pl.DataFrame({"event": [0]}), "demo")).row(0)
        (2, 5.0)
    """
    hits, charge = np.zeros(len(events), dtype=np.int64), np.zeros(len(events))
    for images in events.images.values():
        for rows in _blocks(images):
            values, ends = _hits(images[rows])[1:]
            counts = np.diff(ends)
            hits[rows] += counts
            charge[rows] += np.bincount(
                np.repeat(np.arange(len(counts)), counts), weights=values, minlength=len(counts)
            )
    totals = pl.DataFrame(dict(zip(SEEN, (hits, charge), strict=True)))
    return totals.with_columns(pl.when(pl.col(SEEN[1]).is_finite()).then(pl.col(SEEN[1])))


def _images_of(events: Events, view: View) -> Images:
    if view.name not in events.images:
        raise DataError(f"View '{view.name}' is missing. These events have {', '.join(events.images)}.")
    images = events.images[view.name]
    n_pixels = int(np.prod(view.shape))
    if images.shape[1:] not in (view.shape, (n_pixels,)):
        raise DataError(f"Images of view '{view.name}' must have shape {view.shape}. Got {images.shape[1:]}.")
    return images


def _blocks(images: Images) -> Iterator[slice]:
    size = _BLOCK
    if isinstance(images, np.ndarray):
        size = max(1, min(_BLOCK, _DENSE_PIXELS // max(1, int(np.prod(images.shape[1:])))))
    for start in range(0, images.shape[0], size):
        yield slice(start, start + size)


def _hits(part: Images) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Return flat pixel number and value of every hit, and where each event's hits begin and end."""
    if isinstance(part, np.ndarray):
        flat = part.reshape(len(part), -1)
        at = np.flatnonzero(flat)
        n_pixels = max(flat.shape[1], 1)
        ends = np.searchsorted(at, n_pixels * np.arange(len(part) + 1))
        return at % n_pixels, flat.ravel()[at].astype(np.float64), ends
    pixels, values = part.indices.astype(np.int64), part.data.astype(np.float64)
    ends = part.indptr.astype(np.int64)
    if values.all():
        return pixels, values, ends
    kept = values != 0
    return pixels[kept], values[kept], np.concatenate([[0], np.cumsum(kept)])[ends]


def _summarise_view(images: Images, view: View) -> NDArray[np.float64]:
    from hitlens.datasets.summary_kernels import summarise_hits

    found = np.full((images.shape[0], len(summary_names(view))), np.nan)
    shape = np.array(view.shape, dtype=np.int64)
    for rows in _blocks(images):
        pixels, values, ends = _hits(images[rows])
        summarise_hits(pixels, values, ends, shape, found[rows])
    # Charges that add up to nothing, or are not numbers, have no mean.
    found[~np.isfinite(found)] = np.nan
    return found
