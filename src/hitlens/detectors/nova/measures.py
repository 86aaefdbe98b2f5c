"""What can be measured of pixel maps: hits, charge, length, stray hits; all events at once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from hitlens.detectors.nova.description import COUNT_MEV, SHAPE
from hitlens.events import Events

Float64 = NDArray[np.float64]
Sparse = sparse.csr_array[Any, tuple[int, int]]

#: A hit is a stray one where no other hit is in so many planes and cells about it.
_STRAY_WINDOW = 5
#: Events that are dense at once.
_STRETCH = 256


class ViewMeasures(NamedTuple):
    """One view of events, each an array of shape (event,).

    Attributes:
        hits: pixels that are not 0.
        total: sum of the pixels, counts.
        largest: highest pixel, counts.
        smallest: lowest pixel that is not 0, counts; 0 without hits.
        middle: median of the pixels that are not 0, counts; 0 without hits.
        length: columns to the end of the event, stray hits left out.
        strays: hits with no other hit near.
    """

    hits: NDArray[np.int64]
    total: NDArray[np.int64]
    largest: NDArray[np.int64]
    smallest: NDArray[np.int64]
    middle: Float64
    length: NDArray[np.int64]
    strays: NDArray[np.int64]


def measure(events: Events) -> dict[str, ViewMeasures]:
    """Return the measures of both views of events.

    Examples:
        >>> image = np.zeros((1, 8000), np.uint8); image[0, 3 * 80 + 40] = 9; image[0, 4 * 80 + 41] = 7
        >>> import polars as pl
        >>> view = sparse.csr_array(image)
        >>> one = measure(Events({"x": view, "y": view}, pl.DataFrame({"evt": [1]}), "nova"))["x"]
        >>> int(one.hits[0]), int(one.total[0]), int(one.length[0]), int(one.strays[0])
        (2, 16, 5, 0)
    """
    return {name: _measure_view(as_sparse(events, name)) for name in ("x", "y")}


def as_sparse(events: Events, name: str) -> Sparse:
    """Return a view of events as a sparse matrix of shape (event, 8000)."""
    view = events.images[name]
    if isinstance(view, np.ndarray):
        return sparse.csr_array(view.reshape(len(view), -1))
    return view


def energies_mev(events: Events) -> Float64:
    """Return the energies of all hits of events, MeV, at the middle of their counts."""
    counts = np.concatenate([as_sparse(events, name).data for name in ("x", "y")])
    energies: Float64 = (counts.astype(np.float64) - 0.5) * COUNT_MEV
    return energies


def _measure_view(view: Sparse) -> ViewMeasures:
    parts = [
        _measure_dense(view[start : start + _STRETCH].toarray().reshape(-1, *SHAPE))
        for start in range(0, view.shape[0], _STRETCH)
    ]
    return ViewMeasures(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _measure_dense(images: NDArray[np.uint8]) -> ViewMeasures:
    flat = images.reshape(len(images), -1)
    lit = images > 0
    near = ndimage.uniform_filter(
        lit.astype(np.float32), size=(1, _STRAY_WINDOW, _STRAY_WINDOW), mode="constant"
    )
    stray: NDArray[np.bool_] = lit & (near * _STRAY_WINDOW**2 < 1.5)
    columns: NDArray[np.bool_] = np.any(lit & ~stray, axis=2)
    length = columns.shape[1] - columns[:, ::-1].argmax(axis=1)
    hits = np.sort(flat, axis=1)  # the hits of an event are the last ones of its row
    n_hits = np.count_nonzero(hits, axis=1)
    rows, none = np.arange(len(hits)), flat.shape[1] - np.maximum(n_hits, 1)
    low, high = none + (np.maximum(n_hits, 1) - 1) // 2, none + np.maximum(n_hits, 1) // 2
    return ViewMeasures(
        hits=n_hits,
        total=flat.sum(axis=1, dtype=np.int64),
        largest=flat.max(axis=1).astype(np.int64),
        smallest=hits[rows, none].astype(np.int64),
        middle=(hits[rows, low].astype(np.float64) + hits[rows, high]) / 2,
        length=np.where(columns.any(axis=1), length, 0),
        strays=stray.sum(axis=(1, 2)),
    )
