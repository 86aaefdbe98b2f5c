"""Pixel values as files hold them -> images of a view, dense or sparse, each value checked on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Sparse = sparse.csr_array[Any, tuple[int, int]]


@dataclass(frozen=True)
class Fault:
    """Why one event cannot be used.

    Attributes:
        event: its position in the block.
        problem: what is wrong, half a sentence.
        about: which property of the view it contradicts.
    """

    event: int
    problem: str
    about: Literal["shape", "dtype"]


def sparse_images(
    event: NDArray[np.int64],
    pixels: Mapping[str, NDArray[Any]],
    values: NDArray[Any],
    n_events: int,
    shape: tuple[int, ...],
    dtype: str,
) -> tuple[Sparse, list[Fault]]:
    """Return the images of hits listed one after the other; hits on one pixel add up.

    Args:
        event: position of each hit's event, from 0, shape (hit,).
        pixels: pixel of each hit along each axis, by name of the axis in order, each of shape (hit,).
        values: pixel value of each hit, shape (hit,).
        n_events: number of events, with hits or without.
        shape: of one image.
        dtype: of the pixel values.

    Returns:
        Images of shape (event, row*col), without explicit zeros and with pixels ascending; and the events
        that are wrong, whose images are left blank.

    Examples:
        >>> hits, event = {"row": np.array([0, 1, 9]), "col": np.array([1, 1, 0])}, np.array([0, 0, 1])
        >>> images, faults = sparse_images(event, hits, np.array([5, 7, 1]), 2, (2, 2), "uint8")
        >>> images.toarray().tolist(), faults[0].problem
        ([[0, 5, 0, 7], [0, 0, 0, 0]], "row 9 lies outside the view's 2")
    """
    faults: list[Fault] = []
    place = np.zeros(len(event), dtype=np.int64)
    good = np.ones(len(event), dtype=bool)
    for (axis, index), length in zip(pixels.items(), shape, strict=True):
        inside = (index >= 0) & (index < length) & (index == np.trunc(index))
        faults += _faults(event, good & ~inside, index, "shape", partial(_outside, axis, length))
        good &= inside
        place = place * length + np.where(inside, index, 0).astype(np.int64)
    good &= ~np.isin(event, [fault.event for fault in faults])
    wide = values.astype(np.float64 if values.dtype.kind == "f" else np.int64)
    coordinates = (event[good], place[good])
    images: Sparse = sparse.coo_array((wide[good], coordinates), (n_events, int(np.prod(shape)))).tocsr()
    images.eliminate_zeros()
    rows = np.repeat(np.arange(n_events), np.diff(images.indptr))
    unfit = _does_not_fit(images.data, dtype)
    faults += _faults(rows, unfit, images.data, "dtype", partial(_misfit, dtype))
    if unfit.any():
        images.data[np.isin(rows, rows[unfit])] = 0
        images.eliminate_zeros()
    images.sort_indices()
    return _matrix(images.data.astype(dtype), images.indices, images.indptr, images.shape), faults


def dense_images(
    values: NDArray[Any], shape: tuple[int, ...], dtype: str
) -> tuple[NDArray[Any], list[Fault]]:
    """Return images given in full.

    Args:
        values: pixel values, shape (event, row, col) or (event, row*col).
        shape: of one image.
        dtype: of the pixel values.

    Returns:
        Images of shape (event, row, col), and the events that are wrong, whose images are left blank.

    Examples:
        >>> dense_images(np.array([[1, 2, 3, 300]]), (2, 2), "uint8")[1][0].problem
        'pixel value 300 does not fit uint8 (0 to 255); uint16 would hold it'
    """
    images = values.reshape(len(values), *shape)
    if images.dtype == np.dtype(dtype):
        return images, []
    unfit = _does_not_fit(images, dtype)
    event = np.nonzero(unfit)[0]
    faults = _faults(event, np.ones(len(event), bool), images[unfit], "dtype", partial(_misfit, dtype))
    if faults:
        images = images.copy()
        images[[fault.event for fault in faults]] = 0
    return images.astype(dtype), faults


def to_sparse(images: NDArray[Any]) -> Sparse:
    """Return dense images as a sparse matrix of shape (event, row*col).

    Examples:
        >>> to_sparse(np.array([[[0, 3], [0, 4]]])).indices.tolist()
        [1, 3]
    """
    flat = np.ascontiguousarray(images).reshape(len(images), int(np.prod(images.shape[1:])))
    hits = np.flatnonzero(flat != 0)  # on true and false NumPy is twice as fast as on numbers
    event, place = np.divmod(hits, max(flat.shape[1], 1))
    indptr = np.searchsorted(event, np.arange(len(flat) + 1))
    return _matrix(flat.ravel()[hits], place, indptr, flat.shape)


def _matrix(
    data: NDArray[Any], indices: NDArray[Any], indptr: NDArray[Any], shape: tuple[int, int]
) -> Sparse:
    # Both must be 32 bits wide, or both become 64; a block of events has fewer than 2^31 hits.
    return sparse.csr_array((data, indices.astype(np.int32), indptr.astype(np.int32)), shape)


def _faults(
    event: NDArray[Any],
    wrong: NDArray[np.bool_],
    values: NDArray[Any],
    about: Literal["shape", "dtype"],
    say: Callable[[Any], str],
) -> list[Fault]:
    """Return the first wrong value of each event."""
    if not wrong.any():
        return []
    events, first = np.unique(event[wrong], return_index=True)
    return [Fault(int(n), say(v), about) for n, v in zip(events, values[wrong][first], strict=True)]


def _does_not_fit(values: NDArray[Any], dtype: str) -> NDArray[np.bool_]:
    if dtype == "float32":
        return np.asarray(~np.isfinite(values))
    top = np.iinfo(dtype).max
    unfit = (values < 0) | (values > top)
    return unfit | (values != np.trunc(values)) if values.dtype.kind == "f" else unfit


def _misfit(dtype: str, value: Any) -> str:
    if not np.isfinite(value):
        return f"pixel value {value} is no number"
    if value < 0 or value != np.trunc(value):
        return f"pixel value {value:g} does not fit {dtype}; float32 would hold it"
    wider = next((one for one in ("uint16", "uint32") if value <= np.iinfo(one).max), "float32")
    top = np.iinfo(dtype).max
    return f"pixel value {value:g} does not fit {dtype} (0 to {top}); {wider} would hold it"


def _outside(axis: str, length: int, index: Any) -> str:
    return f"{axis} {index:g} lies outside the view's {length}"
