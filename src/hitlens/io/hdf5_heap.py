"""The global heap of a HDF5 file, looked at before the library is: it follows damaged ones without an end.

Texts and lists of different lengths lie in collections of a heap (HDF5 File Format Specification, III.E):
16 bytes of header, then objects, each a header of 16 bytes and its content. HDF5 (2.0 at least) goes on
forever at a free object of size 0, and neither Ctrl-C nor an alarm ends it.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO

from hitlens.errors import FileFormatError

_SIGNATURE = b"GCOL\x01\x00\x00\x00"
_HEADER_BYTES = 16
#: Bytes at the beginning and at the end of a file in which collections are looked for.
_LOOKED_AT_BYTES = 1 << 24


def check_heaps(path: Path) -> None:
    """Refuse a HDF5 file with a collection of its global heap that does not end where it should.

    Of a large file its first and last 16 MiB are looked at.

    Args:
        path: the file.

    Raises:
        FileFormatError: such a collection.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        content = _content(file, path.stat().st_size)
    for part in content:
        at = part.find(_SIGNATURE)
        while at >= 0:
            problem = _problem(part, at, is_whole=len(content) == 1)
            if problem:
                raise FileFormatError(
                    f"the file is damaged ({problem} in its global heap). Copy, fetch or make it again.",
                    path=path,
                )
            at = part.find(_SIGNATURE, at + 8)


def _content(file: IO[bytes], n_bytes: int) -> list[bytes]:
    if n_bytes <= 2 * _LOOKED_AT_BYTES:
        return [file.read()]
    first = file.read(_LOOKED_AT_BYTES)
    file.seek(n_bytes - _LOOKED_AT_BYTES)
    return [first, file.read()]


def _problem(content: bytes, start: int, *, is_whole: bool) -> str:
    """Return what is wrong with the collection at a place, empty where nothing is."""
    if start + _HEADER_BYTES > len(content):
        return "a collection is cut short" if is_whole else ""
    (n_bytes,) = struct.unpack_from("<Q", content, start + 8)
    end = start + n_bytes
    if n_bytes < _HEADER_BYTES or end > len(content):
        return "a collection of impossible size, so it is cut short or damaged" if is_whole else ""
    at = start + _HEADER_BYTES
    while at + _HEADER_BYTES <= end:
        index, _, _, size = struct.unpack_from("<HHIQ", content, at)
        step = size if index == 0 else _HEADER_BYTES + -(-size // 8) * 8
        if step < _HEADER_BYTES or at + step > end:
            return "an object of impossible size"
        at += step
    return ""
