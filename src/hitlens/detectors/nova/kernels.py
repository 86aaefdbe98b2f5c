"""Compiled loops that find the hits in the pixels of many events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

_F = TypeVar("_F", bound=Callable[..., Any])

_compiled = cast(Callable[[_F], _F], numba.njit(cache=True, nogil=True))


@_compiled
def count_hits(words: NDArray[np.uint64], pixels: NDArray[np.uint8], n_hits: NDArray[np.int32]) -> None:
    """Count the pixels that are not zero, by event and view.

    Args:
        words: the pixels, eight in a word, shape (event, view * words).
        pixels: the same memory, shape (event, view * pixels).
        n_hits: filled, shape (event, view).
    """
    n_events, n_views = n_hits.shape
    n_words = words.shape[1] // n_views
    for i in range(n_events):
        for view in range(n_views):
            n = 0
            for k in range(view * n_words, (view + 1) * n_words):
                if words[i, k]:
                    for j in range(8 * k, 8 * k + 8):
                        n += pixels[i, j] != 0
            n_hits[i, view] = n


@_compiled
def collect_hits(
    words: NDArray[np.uint64],
    pixels: NDArray[np.uint8],
    view: int,
    n_views: int,
    data: NDArray[np.uint8],
    indices: NDArray[np.int32],
) -> None:
    """Collect value and place of the pixels of one view that are not zero, event after event.

    Args:
        words: the pixels, eight in a word, shape (event, view * words).
        pixels: the same memory, shape (event, view * pixels).
        view: which view.
        n_views: how many there are.
        data: filled with the values, shape (hit,).
        indices: filled with the places in the view, shape (hit,).
    """
    n_words = words.shape[1] // n_views
    first = view * n_words
    at = 0
    for i in range(words.shape[0]):
        for k in range(first, first + n_words):
            if words[i, k]:
                for j in range(8 * k, 8 * k + 8):
                    value = pixels[i, j]
                    if value:
                        data[at] = value
                        indices[at] = j - 8 * first
                        at += 1
