"""Events decoded from figures: npz files of images in counts, one array a view, (80 cells, 100 planes)."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from scipy import sparse

from hitlens.detectors.nova.description import SHAPE
from hitlens.errors import FileFormatError, NotFoundError
from hitlens.events import Events
from hitlens.io.guard import damage_as_format_error
from hitlens.io.npz import open_npz

#: Names of the arrays: code of the interaction, code of the experiment's own classifier, event, view.
_NAME = re.compile(r"truetype(\d+)_caltype(\d+)_event(\d+)_([xy])")


def is_decoded(path: Path) -> bool:
    """Tell whether a file holds decoded events: an npz file whose arrays are named so."""
    if not (path.is_file() and zipfile.is_zipfile(path)):
        return False
    with damage_as_format_error(path), zipfile.ZipFile(path) as archive:
        return any(_NAME.fullmatch(name.removesuffix(".npy")) for name in archive.namelist())


def read_decoded(path: Path) -> Iterator[Events]:
    """Yield the events of a file, all at once; their truth is the event's number and the interaction.

    Args:
        path: an npz file with arrays ``truetype2_caltype2_event274_x`` and so on.

    Raises:
        NotFoundError: there is no such file.
        FileFormatError: an array has another shape or type, or an event lacks a view.
    """
    if not path.is_file():
        raise NotFoundError(f"No file '{path}'. Check the name.")
    found: dict[tuple[int, int], dict[str, np.ndarray]] = {}
    with damage_as_format_error(path), open_npz(path) as arrays:
        for name in arrays.files:
            match = _NAME.fullmatch(name)
            if match is None:
                raise FileFormatError(f"'{name}' is not the name of an event and view.", path=path)
            image = arrays[name]
            if image.shape != SHAPE[::-1] or image.dtype != np.uint8:
                raise FileFormatError(
                    f"'{name}' must be uint8 of shape {SHAPE[::-1]} (cell, plane). "
                    f"Found {image.dtype} of shape {image.shape}.",
                    path=path,
                )
            code, _, event, view = match.groups()
            found.setdefault((int(code), int(event)), {})[view] = image.T.reshape(-1)
    for (code, event), views in found.items():
        if set(views) != {"x", "y"}:
            raise FileFormatError(f"event {event} of type {code} lacks a view.", path=path)
    images = {view: sparse.csr_array(np.stack([views[view] for views in found.values()])) for view in "xy"}
    n = len(found)
    truth = {
        "file": np.full(n, path.name),
        **{name: np.zeros(n, np.int64) for name in ("run", "subrun")},
        "evt": np.array([event for _, event in found], np.int64),
        **{name: np.zeros(n, np.int64) for name in ("subevt", "cycle")},
        "interaction": np.array([code for code, _ in found], np.uint32),
    }
    yield Events(images, pl.DataFrame(truth), "nova")
