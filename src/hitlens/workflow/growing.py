"""Images that grow in place as blocks come: the system moves their pages instead of copying them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from hitlens.errors import DataError
from hitlens.events import Events, Images, join_truth

_MOST_OF_32_BITS = np.iinfo(np.int32).max
#: What an array begins with, bytes; above the 32 MiB up to which memory may come from the common heap.
_RESERVED_BYTES = 2**26


class GrowingArray:
    """A dense view.

    Examples:
        >>> grown = GrowingArray()
        >>> for block in (np.zeros((2, 4, 4)), np.ones((1, 4, 4))):
        ...     grown.append(block)
        >>> grown.array.shape
        (3, 4, 4)
    """

    def __init__(self) -> None:
        self._room: NDArray[Any] = np.empty(0)
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def append(self, block: NDArray[Any]) -> None:
        """Append images.

        Raises:
            DataError: images of another shape.
        """
        if not self._n:
            self._room = _reserved(block.shape[1:], block.dtype)
        if block.shape[1:] != self._room.shape[1:]:
            raise DataError(f"Images of {self._room.shape[1:]} and {block.shape[1:]} cannot be joined.")
        dtype = np.result_type(self._room, block)
        if dtype != self._room.dtype:
            wider = _reserved(block.shape[1:], dtype, self._n)
            wider[: self._n] = self._room[: self._n]
            self._room = wider
        end = self._n + len(block)
        if end > len(self._room):
            self._room.resize((end, *block.shape[1:]), refcheck=False)
        self._room[self._n : end] = block
        self._n = end

    @property
    def array(self) -> NDArray[Any]:
        """What was appended so far, shape (event, row, col); nothing is appended after it was asked for."""
        self._room.resize((self._n, *self._room.shape[1:]), refcheck=False)
        return self._room


def _reserved(shape: tuple[int, ...], dtype: np.dtype[Any], n_least: int = 0) -> NDArray[Any]:
    # So large that the system gives it pages of its own, which it can move; unwritten ones cost nothing.
    # In smaller pieces a growing array would leave holes of its earlier sizes behind.
    n = _RESERVED_BYTES // max(1, math.prod(shape) * dtype.itemsize)
    return np.empty((max(n, n_least), *shape), dtype)


class GrowingSparse:
    """A sparse view; its three arrays grow, and no second copy of them is ever there.

    Examples:
        >>> grown = GrowingSparse()
        >>> for block in ([[0, 5], [7, 0]], [[0, 9]]):
        ...     grown.append(sparse.csr_array(np.array(block, np.uint8)))
        >>> grown.array.toarray().tolist()
        [[0, 5], [7, 0], [0, 9]]
    """

    def __init__(self) -> None:
        self._data, self._indices = GrowingArray(), GrowingArray()
        self._ends: list[NDArray[np.integer[Any]]] = [np.zeros(1, np.int32)]
        self._n_pixels = 0
        self._is_canonical = True

    def append(self, block: sparse.csr_array[Any, tuple[int, int]]) -> None:
        """Append images.

        Raises:
            DataError: images of another number of pixels.
        """
        if self._n_pixels not in (0, block.shape[1]):
            raise DataError(f"Images of {self._n_pixels} and {block.shape[1]} pixels cannot be joined.")
        self._n_pixels = block.shape[1]
        self._is_canonical &= bool(block.has_canonical_format)
        ends = block.indptr[1:].astype(np.int64) + len(self._data)
        is_small = not len(ends) or ends[-1] <= _MOST_OF_32_BITS
        self._ends.append(ends.astype(np.int32) if is_small else ends)
        self._data.append(block.data[: block.nnz])
        self._indices.append(block.indices[: block.nnz].astype(np.int32, copy=False))

    @property
    def array(self) -> sparse.csr_array[Any, tuple[int, int]]:
        """What was appended so far, shape (event, pixel)."""
        indptr = np.concatenate(self._ends)
        shape = (len(indptr) - 1, self._n_pixels)
        joined = sparse.csr_array((self._data.array, self._indices.array, indptr), shape=shape)
        if self._is_canonical:  # spares scipy the look at every hit
            joined.has_canonical_format = True
        return joined


def appended(grown: GrowingArray | GrowingSparse | None, images: Images) -> GrowingArray | GrowingSparse:
    """Return what has grown by more images of a view; dense beside sparse images become sparse.

    Args:
        grown: the images so far, None where there are none.
        images: what comes next.

    Raises:
        DataError: images of another size.
    """
    if grown is None:
        grown = GrowingArray() if isinstance(images, np.ndarray) else GrowingSparse()
    if isinstance(grown, GrowingArray):
        if isinstance(images, np.ndarray):
            grown.append(images)
            return grown
        dense, grown = grown.array, GrowingSparse()
        grown.append(_thinned(dense))
    grown.append(_thinned(images) if isinstance(images, np.ndarray) else images)
    return grown


def _thinned(images: NDArray[Any]) -> sparse.csr_array[Any, tuple[int, int]]:
    return sparse.csr_array(images.reshape(len(images), math.prod(images.shape[1:])))


def join_blocks(blocks: Iterable[Events]) -> Events:
    """Join blocks of events as they come, holding at most one of them beside what is joined.

    Args:
        blocks: of one detector with the same views; at least one.

    Raises:
        DataError: there is no block, or they hold different things.

    Examples:
        >>> one = Events({"anode": np.zeros((2, 2, 2))}, pl.DataFrame({"event": [0, 1]}), "demo")
        >>> len(join_blocks([one, one]))
        4
    """
    images: dict[str, GrowingArray | GrowingSparse] = {}
    truth: list[pl.DataFrame] = []
    detector = ""
    for block in blocks:
        if truth and (set(images) != set(block.images) or detector != block.detector):
            raise DataError(
                "The files hold different things: "
                f"{detector} {sorted(images)}, then {block.detector} {sorted(block.images)}. "
                "Read them one by one."
            )
        detector = block.detector
        for view, array in block.images.items():
            images[view] = appended(images.get(view), array)
        truth.append(block.truth)
    if not truth:
        raise DataError("There are no events to join.")
    table = join_truth(truth).rechunk()
    return Events({view: grown.array for view, grown in images.items()}, table, detector)
