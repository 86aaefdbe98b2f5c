"""The door to npz files: what they say they hold is compared with the file before room is made for it."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

#: Deflate makes at most 1 byte of 1032.
_HIGHEST_RATIO = 1_100
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def open_npz(path: Path) -> Any:
    """Return a npz file open for reading, after a look at the sizes of its arrays; no pickles are loaded.

    Raises:
        ValueError: it says that it holds more than it can.
        zipfile.BadZipFile: it is damaged; so do other errors of the libraries, see `hitlens.io.guard`.
    """
    with zipfile.ZipFile(path) as archive:
        packed = 0
        for member in archive.infolist():
            packed += member.compress_size
            _check_member(archive, member)
    if packed > path.stat().st_size:
        raise ValueError("its arrays overlap")
    return np.load(path, allow_pickle=False)


def _check_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"'{member.filename}' is compressed in a way that NumPy does not use")
    if member.file_size > _HIGHEST_RATIO * (member.compress_size + 1):
        raise ValueError(f"'{member.filename}' cannot hold {member.file_size:,} bytes")
    if not member.filename.endswith(".npy"):
        return
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            return
        shape, _, dtype = _HEADERS[version](file)
        if math.prod(shape) * dtype.itemsize + file.tell() != member.file_size and not dtype.hasobject:
            raise ValueError(f"'{member.filename}' says it has the shape {shape}, and holds something else")
