"""Compiled loops that find the hits in the pixels of many events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

_F = TypeVar("_F", bound=Callable[..., Any])

_compiled = cast(Callable[[_F], _F], numba.njit(cache=True, nogil=True))


#: Words of a view that are looked at together; their number is a multiple of it.
_STRIDE = 4


@_compiled
def find_hits(
    words: NDArray[np.uint64],
    pixels: NDArray[np.uint8],
    first: int,
    n_hits: NDArray[np.int32],
    data: NDArray[np.uint8],
    indices: NDArray[np.int32],
) -> int:
    """Find value and place of the pixels of a view that are not zero, event after event.

    Args:
        words: the pixels, eight in a word, shape (event, word).
        pixels: the same memory, shape (event, pixel).
        first: first word of the view; the view ends where ``data`` would have no more room.
        n_hits: filled with the number of hits, shape (event,).
        data: its beginning is filled with the values; as long as the view's pixels of all events.
        indices: its beginning is filled with the places in the view; as long as ``data``.

    Returns:
        Hits found.
    """
    n_events = words.shape[0]
    n_words = len(data) // n_events // 8
    at = 0
    for i in range(n_events):
        before = at
        for start in range(first, first + n_words, _STRIDE):
            if words[i, start] | words[i, start + 1] | words[i, start + 2] | words[i, start + 3]:
                for k in range(start, start + _STRIDE):
                    if words[i, k]:
                        for j in range(8 * k, 8 * k + 8):  # without a branch: a zero is written over
                            value = pixels[i, j]
                            data[at] = value
                            indices[at] = j - 8 * first
                            at += value != 0
        n_hits[i] = at - before
    return at
