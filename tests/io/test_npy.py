"""Stretches of NumPy files equal those of the whole array, and a file that shrinks is an error."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from hitlens.errors import FileFormatError
from hitlens.io.npy import NpyRows


@pytest.mark.parametrize("array", [np.arange(24.0).reshape(6, 2, 2), np.arange(6), np.zeros((0, 3), "u1")])
@pytest.mark.parametrize("order", ["C", "F"])
def test_rows_are_those_of_the_array(array: np.ndarray, order: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.asarray(array, order=order))  # type: ignore[call-overload]
    rows = NpyRows(tmp_path / "a.npy")
    assert (rows.shape, rows.dtype, len(rows)) == (array.shape, array.dtype, len(array))
    for part in (slice(0, 2), slice(2, 5), slice(4, 99), slice(7, 9)):
        np.testing.assert_array_equal(rows[part], array[part])


@pytest.mark.parametrize("n_bytes", [10, 200])
def test_a_file_that_is_cut_short_is_refused(n_bytes: int, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(100))
    os.truncate(tmp_path / "a.npy", n_bytes)
    with pytest.raises(ValueError, match=r"ends after|EOF|magic"):
        NpyRows(tmp_path / "a.npy")


def test_a_file_that_shrinks_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((4096, 256)))
    rows = NpyRows(tmp_path / "a.npy")
    assert rows[:10].shape == (10, 256)
    os.truncate(tmp_path / "a.npy", 5000)
    with pytest.raises(FileFormatError, match=r"a.npy: the file became shorter while it was read"):
        rows[100:200]


def test_objects_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="objects"):
        NpyRows(tmp_path / "a.npy")
