"""Damaged heaps, at which HDF5 would go on forever, are refused before it sees them."""

from __future__ import annotations

import struct
from pathlib import Path

import h5py
import numpy as np
import pytest

from hitlens.errors import FileFormatError
from hitlens.io.columns import open_columns
from hitlens.io.hdf5_heap import check_heaps


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["n"] = np.arange(3)
        file.attrs["text"] = "a text of some length"
        file["texts"] = ["one", "two", "three"]
    check_heaps(path)
    return path


def heap(path: Path, offset: int, value: int) -> None:
    content = bytearray(path.read_bytes())
    struct.pack_into("<Q", content, content.index(b"GCOL") + offset, value)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("offset", "value", "problem"),
    [
        (8, 0, "a collection of impossible size"),
        (8, 2**40, "a collection of impossible size"),
        (16 + 8, 2**63, "an object of impossible size"),
        (16 + 8, 5000, "an object of impossible size"),
        (16, 0, "of impossible size"),
    ],
)
def test_damaged_heaps(offset: int, value: int, problem: str, path: Path) -> None:
    heap(path, offset, value)
    with pytest.raises(FileFormatError, match=f"damaged .*{problem}"), open_columns(path):
        pass


def test_a_free_object_of_no_size_ends_the_reading(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(b"GCOL") + 16 : content.index(b"GCOL") + 32] = bytes(16)
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="an object of impossible size"), open_columns(path):
        pass
