"""Compiled loops that find the hits in the pixels of many events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

_F = TypeVar("_F", bound=Callable[..., Any])

_compiled = cast(Callable[[_F], _F], numba.njit(cache=True, nogil=True))


#: Words of a view that are looked at together; divides their number.
_STRIDE = 4


@_compiled
def find_hits(
    words: NDArray[np.uint64],
    pixels: NDArray[np.uint8],
    n_hits: NDArray[np.int32],
    data: NDArray[np.uint8],
    indices: NDArray[np.int32],
) -> None:
    """Find value and place of the pixels that are not zero, by view and then by event.

    Args:
        words: the pixels, eight in a word, shape (event, view * words); a multiple of four words a view.
        pixels: the same memory, shape (event, view * pixels).
        n_hits: filled with the number of hits, shape (event, view).
        data: its beginning is filled with the values, shape (view, event * pixels).
        indices: its beginning is filled with the places in the view, shape (view, event * pixels).
    """
    n_events, n_views = n_hits.shape
    n_words = words.shape[1] // n_views
    for view in range(n_views):
        first, at = view * n_words, 0
        for i in range(n_events):
            before = at
            for start in range(first, first + n_words, _STRIDE):
                if words[i, start] | words[i, start + 1] | words[i, start + 2] | words[i, start + 3]:
                    for k in range(start, start + _STRIDE):
                        if words[i, k]:
                            for j in range(8 * k, 8 * k + 8):  # without a branch: a zero is written over
                                value = pixels[i, j]
                                data[view, at] = value
                                indices[view, at] = j - 8 * first
                                at += value != 0
            n_hits[i, view] = at - before
