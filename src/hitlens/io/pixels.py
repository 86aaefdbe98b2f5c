"""Pixel values as files hold them -> images of a view, dense or sparse, each value checked on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hitlens.errors import FileFormatError
from hitlens.events import Events, Images

Sparse = sparse.csr_array[Any, tuple[int, int]]

#: What to do about an event with a pixel that is no number, or that its view cannot hold.
ADVICE = (
    "Correct the file, or leave such events out: --on-bad-event skip, in a recipe data.on_bad_event: skip."
)

_FLOAT32_MAX = float(np.finfo(np.float32).max)
#: Below, float32 has fewer digits, and soon none.
_FLOAT32_LEAST = float(np.finfo(np.float32).tiny)
#: Whole numbers up to here are themselves as float32.
_FLOAT32_WHOLE = 1 << 24
#: Hits of values beyond these are refused before they are added up, in whole numbers of 64 bits.
_MOST_OF_A_HIT = 1 << 53


@dataclass(frozen=True)
class Fault:
    """Why one event cannot be used.

    Attributes:
        event: its position in the block.
        problem: what is wrong, half a sentence.
        about: which property of the view it contradicts.
        pixel: where it is in the image; empty where it lies outside.
    """

    event: int
    problem: str
    about: Literal["shape", "dtype"]
    pixel: tuple[int, ...] = ()


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
    place = np.zeros(len(event), dtype=np.int64)
    good = np.ones(len(event), dtype=bool)
    faults: list[Fault] = []
    for (axis, index), length in zip(pixels.items(), shape, strict=True):
        inside = (index >= 0) & (index < length) & (index == np.trunc(index))
        faults += _faults(event, good & ~inside, index, "shape", partial(_outside, axis, length))
        good &= inside
        place = place * length + np.where(inside, index, 0).astype(np.int64)
    if values.dtype.kind in "iu":
        endless = good & ((values > _MOST_OF_A_HIT) | (values < -_MOST_OF_A_HIT))
        faults += _misfits(event, endless, values, place, shape, dtype)
    good &= ~np.isin(event, [fault.event for fault in faults])
    wide = values.astype(np.float64 if values.dtype.kind == "f" else np.int64)
    coordinates = (event[good], place[good])
    images: Sparse = sparse.coo_array((wide[good], coordinates), (n_events, int(np.prod(shape)))).tocsr()
    images.eliminate_zeros()
    rows = np.repeat(np.arange(n_events), np.diff(images.indptr))
    unfit = does_not_fit(images.data, dtype)
    unfit |= _vanishes(images.data, rows, n_events, dtype)
    faults += _misfits(rows, unfit, images.data, images.indices, shape, dtype)
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
    faults = _dense_faults(images, dtype)
    if faults:
        images = images.copy()
        images[[fault.event for fault in faults]] = 0
    return images.astype(dtype, copy=False), faults


def does_not_fit(values: NDArray[Any], dtype: str) -> NDArray[np.bool_]:
    """Return where a cast would change pixel values: into no number, infinity or another whole number.

    Args:
        values: of any shape and type of numbers.
        dtype: of the view. float32 holds numbers with a fraction to its seven digits, whole numbers exactly.

    Examples:
        >>> does_not_fit(np.array([3, 0.5, -1, np.nan, 256]), "uint8").tolist()
        [False, True, True, True, True]
        >>> does_not_fit(np.array([0.1, 1e300, -np.inf]), "float32").tolist()
        [False, True, True]
        >>> does_not_fit(np.array([2**24 + 1, 2**24 + 2]), "float32").tolist()
        [True, False]
    """
    if values.dtype == np.dtype(dtype) and values.dtype.kind != "f":
        return np.zeros(values.shape, dtype=bool)
    if dtype != "float32":
        # In the narrow type the largest value would itself be infinite.
        wide = values.astype(np.float64) if values.dtype.kind == "f" and values.itemsize < 8 else values
        whole = (wide >= 0) & (wide <= np.iinfo(dtype).max)
        if values.dtype.kind == "f":
            whole = whole & (wide == np.trunc(wide))
        return np.asarray(~whole)
    if values.dtype.kind == "f":
        if values.itemsize <= 4:
            return np.asarray(~np.isfinite(values))
        return np.asarray(~(np.abs(values) <= _FLOAT32_MAX))
    if values.itemsize <= 2:
        return np.zeros(values.shape, dtype=bool)
    return _is_rounded(values)


def without_bad_pixels(
    events: Events,
    path: Path | str,
    *,
    first: int = 0,
    key: tuple[str, ...] = (),
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    skipped: list[str] | None = None,
) -> Events:
    """Return events whose pixels are all numbers that a network can be shown.

    Args:
        events: of one file, in order.
        path: the file.
        first: row of the first of them in the file.
        key: truth columns that name an event.
        shapes: of one image by view, where they are known of sparse views.
        skipped: None refuses an event with a bad pixel; a list receives one message for each, and the event
            is left out.

    Raises:
        FileFormatError: a pixel is NaN, infinite or beyond what float32 holds.

    Examples:
        >>> import polars as pl
        >>> images, messages = np.array([[[1.0, np.nan]], [[2.0, 3.0]]], dtype=np.float32), []
        >>> events = Events({"v": images}, pl.DataFrame({"event": [4, 5]}), "demo")
        >>> len(without_bad_pixels(events, "a.h5", key=("event",), skipped=messages))
        1
        >>> messages
        ["a.h5: row 0 (event 4), view 'v': pixel value nan is no number (at (0, 1))"]
    """
    problems: dict[int, str] = {}
    for view, images in events.images.items():
        for fault in bad_pixels(images, (shapes or {}).get(view)):
            problems.setdefault(fault.event, f"view '{view}': {fault.problem} (at {fault.pixel})")
    if not problems:
        return events
    for event in sorted(problems):
        names = [f"{name} {events.truth[name][event]}" for name in key if name in events.truth.columns]
        where = f"row {first + event}" + (f" ({', '.join(names)})" if names else "")
        if skipped is None:
            raise FileFormatError(f"{where}, {problems[event]}. {ADVICE}", path=path)
        skipped.append(f"{path}: {where}, {problems[event]}")
    return events.select([n for n in range(len(events)) if n not in problems])


def bad_pixels(images: Images, shape: tuple[int, ...] | None = None) -> list[Fault]:
    """Return which events have a pixel that is no number, or beyond what float32 holds.

    Args:
        images: dense or sparse.
        shape: of one image, where it is known of sparse ones.

    Examples:
        >>> [fault.event for fault in bad_pixels(np.array([[[0.5, 2.0]], [[np.inf, 1.0]]]))]
        [1]
    """
    if images.dtype.kind != "f":
        return []
    if isinstance(images, np.ndarray):
        return _dense_faults(images, "float32")
    unfit = does_not_fit(images.data, "float32")
    if not unfit.any():
        return []
    rows = np.repeat(np.arange(images.shape[0]), np.diff(images.indptr))
    return _misfits(rows, unfit, images.data, images.indices, shape or images.shape[1:], "float32")


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


def _dense_faults(images: NDArray[Any], dtype: str) -> list[Fault]:
    unfit = does_not_fit(images, dtype)
    if images.dtype.kind == "f" and images.itemsize > 4:
        rows = np.repeat(np.arange(len(images)), int(np.prod(images.shape[1:])))
        unfit |= _vanishes(images.ravel(), rows, len(images), dtype).reshape(unfit.shape)
    if not unfit.any():
        return []
    event, *pixel = np.nonzero(unfit)
    place = np.ravel_multi_index(pixel, images.shape[1:])
    return _misfits(event, np.ones(len(event), bool), images[unfit], place, images.shape[1:], dtype)


def _misfits(
    event: NDArray[Any],
    wrong: NDArray[np.bool_],
    values: NDArray[Any],
    place: NDArray[Any],
    shape: tuple[int, ...],
    dtype: str,
) -> list[Fault]:
    """Return the first value of each event that a view of this type cannot hold, and where it is."""
    if not wrong.any():
        return []
    events, first = np.unique(event[wrong], return_index=True)
    at = zip(*(axis.tolist() for axis in np.unravel_index(place[wrong][first], shape)), strict=True)
    return [
        Fault(int(number), _misfit(dtype, value), "dtype", pixel)
        for number, value, pixel in zip(events, values[wrong][first], at, strict=True)
    ]


def _vanishes(values: NDArray[Any], event: NDArray[Any], n_events: int, dtype: str) -> NDArray[np.bool_]:
    """Return the pixels of events that float32 would make blank, or nearly so; lesser ones are noise."""
    if dtype != "float32" or values.dtype.kind != "f":
        return np.zeros(values.shape, dtype=bool)
    size = np.abs(values)
    small = (size > 0) & (size < _FLOAT32_LEAST)
    if not small.any():
        return np.zeros(values.shape, dtype=bool)
    has_more = np.bincount(event, weights=size >= _FLOAT32_LEAST, minlength=n_events) > 0
    return np.asarray(small & ~has_more[event])


def _is_rounded(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where whole numbers are others as float32."""
    large = (values > _FLOAT32_WHOLE) | (values < -_FLOAT32_WHOLE)
    if large.any():
        some = values[large]
        near = some.astype(np.float32)
        past = near >= float(np.iinfo(values.dtype).max)  # would not come back
        large[large] = past | (np.where(past, 0, near).astype(values.dtype) != some)
    return large


def _misfit(dtype: str, value: Any) -> str:
    if not np.isfinite(value):
        return f"pixel value {value} is no number"
    if dtype == "float32" and abs(float(value)) > _FLOAT32_MAX:
        return f"pixel value {value:g} is beyond what float32 holds (3.4e+38 at most)"
    if dtype == "float32" and abs(float(value)) < _FLOAT32_LEAST:
        return (
            f"pixel value {value:g} and all others are too small for float32; measure them in a smaller unit"
        )
    if dtype == "float32":
        return f"pixel value {value} would be rounded in float32; {_holder(value)}"
    if value < 0 or value != np.trunc(value):
        return f"pixel value {value:g} does not fit {dtype}; {_holder(value)}"
    return f"pixel value {value:g} does not fit {dtype} (0 to {np.iinfo(dtype).max}); {_holder(value)}"


def _holder(value: Any) -> str:
    """Say which type of a view would hold a value."""
    types = ("uint16", "uint32", "float32")
    fits = [name for name in types if not does_not_fit(np.array([value]), name).any()]
    return (
        f"{fits[0]} would hold it" if fits else "no type of a view holds it: take a constant off all pixels"
    )


def _outside(axis: str, length: int, index: Any) -> str:
    return f"{axis} {index:g} lies outside the view's {length}"
