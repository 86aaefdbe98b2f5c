"""The checksum of a native file's structure: what HDF5's own checksums of metadata and chunks leave out."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import h5py
import numpy as np

from hitlens.io.hdf5 import has_checksums

#: Name of the attribute that keeps the checksum.
ATTRIBUTE = "structure_sha256"


def structure_sha256(file: h5py.File) -> str:
    """Return the sha256 of names, types, shapes, attributes and texts of an open native file.

    Numbers are left out: each chunk of them has a checksum of its own, verified when it is read.

    Args:
        file: an open file, whose links were looked at.
    """
    lines = [_line("/", file)]

    def note(name: str, node: Any) -> None:
        lines.append(_line(name, node))

    file.visititems(note)
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def seal(file: h5py.File) -> None:
    """Write the checksum of the structure into a file that is otherwise complete."""
    file.attrs[ATTRIBUTE] = structure_sha256(file)


def _line(name: str, node: Any) -> str:
    about: dict[str, Any] = {
        "name": name,
        "attributes": {key: _plain(node.attrs[key]) for key in sorted(node.attrs) if key != ATTRIBUTE},
    }
    if isinstance(node, h5py.Dataset):
        about |= {"shape": node.shape, "dtype": node.dtype.str, "checksums": has_checksums(node)}
        if h5py.check_string_dtype(node.dtype):  # texts lie in a heap that has no checksums
            texts = node.asstr()[()]
            about["texts"] = texts if isinstance(texts, str) else texts.tolist()
    return json.dumps(about, sort_keys=True)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value
