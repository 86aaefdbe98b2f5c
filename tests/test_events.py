"""Sparse views are looked at before compiled code follows them."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from scipy import sparse

from hitlens.errors import DataError
from hitlens.events import Events

TRUTH = pl.DataFrame({"event": [0, 1]})


def view(
    indices: list[int], ends: list[int], *, data: NDArray[Any] | None = None
) -> sparse.csr_array[Any, tuple[int, int]]:
    """Return a matrix of 2 events of 4 pixels whose parts were changed after scipy looked at them."""
    made = sparse.csr_array((np.ones(3, np.uint8), np.array([0, 1, 2]), np.array([0, 2, 3])), shape=(2, 4))
    made.indices, made.indptr = np.array(indices, np.int32), np.array(ends, np.int32)
    made.data = np.arange(1, len(indices) + 1, dtype=np.uint8) if data is None else data
    return made


@pytest.mark.parametrize(
    ("indices", "ends", "problem"),
    [
        ([0, 1, 4], [0, 2, 3], "hit of event 1 is at pixel 4 of 4"),
        ([0, 1, 10**8], [0, 2, 3], "hit of event 1 is at pixel 100000000 of 4"),
        ([-1, 1, 2], [0, 2, 3], "hit of event 0 is at pixel -1 of 4"),
        ([0, 1, 2], [0, 3, 2], "ends of events"),
        ([0, 1, 2], [0, 4, 3], "hits of event 1 end before they begin"),
        ([0, 1, 2], [1, 2, 3], "from 0 to the number of hits"),
        ([0, 1, 2], [0, 2, 9], "from 0 to the number of hits"),
        ([0, 1, 2], [0, 2], "2 ends"),
        ([2, 2, 1], [0, 2, 3], "a pixel of an event stands twice"),
    ],
)
def test_parts_that_do_not_fit_are_refused(indices: list[int], ends: list[int], problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        Events({"x": view(indices, ends)}, TRUTH, "demo")


def test_values_must_be_as_many_as_places() -> None:
    with pytest.raises(DataError, match="3 places and 2 values"):
        Events({"x": view([0, 1, 2], [0, 2, 3], data=np.ones(2, np.uint8))}, TRUTH, "demo")


def test_pixels_in_any_order_are_put_in_order_in_a_copy() -> None:
    given = view([3, 1, 2], [0, 2, 3])
    images = Events({"x": given}, TRUTH, "demo").images["x"]
    assert images.indices.tolist() == [1, 3, 2]
    assert images.data.tolist() == [2, 1, 3]
    assert given.indices.tolist() == [3, 1, 2]


def test_selections_are_looked_at_once() -> None:
    events = Events({"x": view([0, 1, 2], [0, 2, 3])}, TRUTH, "demo")
    again = Events(events.images, TRUTH.with_columns(pl.lit(1).alias("n")), "demo")
    assert again.images["x"] is events.images["x"]
