"""What a npz file says it holds is compared with the file first."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from hitlens.errors import FileFormatError
from hitlens.io.columns import open_columns


def header(shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return file.getvalue()


def write(path: Path, content: bytes, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("adc.npy", content)
    return path


@pytest.mark.parametrize("shape", [(10**12,), (1 << 40, 1 << 40), (5,)])
def test_shapes_that_are_not_there_are_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz", header(shape) + bytes(16))
    with pytest.raises(FileFormatError, match="says it has the shape"), open_columns(path):
        pass


def test_ways_of_packing_without_limits_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz", header((1_000_000,)) + bytes(8_000_000), zipfile.ZIP_LZMA)
    with pytest.raises(FileFormatError, match="in a way that NumPy does not use"), open_columns(path):
        pass


def test_zeros_are_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", adc=np.zeros(1_000_000))
    with open_columns(tmp_path / "a.npz") as columns:
        assert columns.length("adc") == 1_000_000
