"""Reading the public HDF5 files, a stretch of events at a time, straight into sparse views."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from hitlens.detector import ReadReport
from hitlens.detectors.nova.files import LAYOUTS
from hitlens.detectors.nova.interactions import unknown_codes
from hitlens.detectors.nova.kernels import find_hits
from hitlens.detectors.nova.members import (
    MEMBERS,
    N_PIXELS,
    N_VALUES,
    PIXELS,
    TRUTH_GROUP,
    VIEW_NAMES,
    Member,
)
from hitlens.errors import FileFormatError, HitlensError, NotFoundError
from hitlens.events import Events
from hitlens.io.guard import damage_as_format_error
from hitlens.io.hdf5 import Hdf5Tree, open_hdf5
from hitlens.io.native import is_hdf5

log = logging.getLogger(__name__)

#: Events that are dense at once, 2 MB: they stay in the processor's cache while their hits are looked for.
STRETCH = 128
_ADVICE = "Copy or fetch it again."
#: Events whose truth is read at once, at least.
TRUTH_STRETCH = 8192

Sparse = sparse.csr_array[Any, tuple[int, int]]
_Hits = tuple[NDArray[np.uint8], NDArray[np.int32]]


def is_nova(path: Path) -> bool:
    """Tell whether a file has this layout: by what it holds, or by its name where it cannot be opened."""
    if is_hdf5(path):
        try:
            with damage_as_format_error(path), open_hdf5(path) as file:
                return PIXELS in file.id or TRUTH_GROUP in file.id
        except HitlensError:
            pass  # cut short: what it was meant to be, its name says
    return LAYOUTS[0].part_number(path) is not None


def read_nova(
    path: Path, block: int, report: ReadReport | None = None, *, external: bool = False
) -> Iterator[Events]:
    """Yield the events of one file, their views sparse.

    The row of an event is read as (view, plane, cell) and in no other way: the first 8,000 values are view x,
    a run of 80 values is one plane. Not more than one stretch of events is ever dense.

    Args:
        path: the file, contiguous or chunked, compressed or not.
        block: events a block.
        report: told of interaction codes that are not known; their events are read all the same.
        external: whether other files that this one names may be read.

    Raises:
        NotFoundError: there is no such file.
        FileFormatError: a member is missing or has another shape or type, or the file is damaged or empty.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFoundError(f"No file '{path}'. Check the name.")
    unknown: Counter[int] = Counter()
    if not is_hdf5(path):
        raise FileFormatError("this is not an HDF5 file. Copy or fetch it again.", path=path)
    with damage_as_format_error(path, advice=_ADVICE), open_hdf5(path) as file:
        tree = Hdf5Tree(file, path, external)
        n_events = _check(tree)
        pixels = tree.dataset(PIXELS)
        room = _Room(min(_stretch(pixels), block, n_events))
        step = -(-TRUTH_STRETCH // block) * block
        for first in range(0, n_events, step):
            truth = _truth(tree, path.name, first, min(first + step, n_events))
            unknown.update(unknown_codes(truth["interaction"].to_numpy()))
            for start in range(0, len(truth), block):
                rows = truth[start : start + block]
                views = _views(pixels, first + start, first + start + len(rows), room)
                yield Events(views, rows, "nova")
    if unknown:
        _tell_unknown(unknown, path, report)


def _check(tree: Hdf5Tree) -> int:
    """Refuse a file that is not as it should be; return how many events it holds."""
    group = tree.node(TRUTH_GROUP) if TRUTH_GROUP in tree.file.id else None
    members = list(group) if isinstance(group, h5py.Group) else []
    missing = [f"'{PIXELS}'"] * (PIXELS not in tree.file.id)
    missing += [f"'{TRUTH_GROUP}/{member.name}'" for member in MEMBERS if member.name not in members]
    if missing:
        found = [
            *(name for name in tree.file if name != TRUTH_GROUP),
            *(f"{TRUTH_GROUP}/{name}" for name in members),
        ]
        raise FileFormatError(
            f"the file must hold {', '.join(missing)}. Found {', '.join(found) or 'nothing'}.", path=tree.path
        )
    pixels = tree.node(PIXELS)
    n_events = pixels.shape[0] if isinstance(pixels, h5py.Dataset) and pixels.shape else 0
    _check_one(pixels, PIXELS, "uint8", (n_events, N_VALUES), tree.path)
    if not n_events:
        raise FileFormatError(f"'{PIXELS}' is empty: the file holds no event.", path=tree.path)
    for member in MEMBERS:
        name = f"{TRUTH_GROUP}/{member.name}"
        _check_one(tree.node(name), name, member, (n_events, 1), tree.path)
    return n_events


def _check_one(node: Any, name: str, wanted: Member | str, shape: tuple[int, ...], path: Path) -> None:
    if not isinstance(node, h5py.Dataset):
        raise FileFormatError(f"'{name}' must be an array. Found a group.", path=path)
    dtype = wanted if isinstance(wanted, str) else wanted.dtype
    any_integer = isinstance(wanted, Member) and wanted.any_integer
    is_right = node.dtype.newbyteorder("=") == np.dtype(dtype) or (any_integer and node.dtype.kind in "iu")
    if not is_right or node.shape != shape:
        words = "integers" if any_integer else dtype
        raise FileFormatError(
            f"'{name}' must be {words} of shape {shape}. Found {node.dtype} of shape {node.shape}.", path=path
        )


def _stretch(pixels: h5py.Dataset) -> int:
    """Return how many events to read at once: whole chunks, so that none is decompressed twice."""
    rows = pixels.chunks[0] if pixels.chunks else 1
    return int(-(-STRETCH // rows) * rows)


class _Room:
    """Room for one stretch of events: their pixels, and the most hits one view of them can have."""

    def __init__(self, n_events: int) -> None:
        self.pixels = np.empty((n_events, N_VALUES), np.uint8)
        # The system gives only what is written to: as much as there are hits.
        self._data = np.empty(n_events * N_PIXELS, np.uint8)
        self._indices = np.empty(n_events * N_PIXELS, np.int32)

    def hits(self, rows: NDArray[np.uint8], n_hits: NDArray[np.int32]) -> list[_Hits]:
        """Return values and places of the hits by view, and fill in how many there are, (event, view)."""
        found = []
        room = len(rows) * N_PIXELS
        for view in range(len(VIEW_NAMES)):
            data, indices, counts = self._data[:room], self._indices[:room], n_hits[:, view]
            n = find_hits(rows.view(np.uint64), rows, view * N_PIXELS // 8, counts, data, indices)
            found.append((data[:n].copy(), indices[:n].copy()))
        return found


def _views(pixels: h5py.Dataset, start: int, stop: int, room: _Room) -> dict[str, Sparse]:
    n_hits = np.empty((stop - start, len(VIEW_NAMES)), np.int32)
    found: list[list[_Hits]] = []
    for first in range(start, stop, len(room.pixels)):
        rows = room.pixels[: stop - first]
        place = pixels.id.get_space()  # h5py's own way of saying which rows takes longer than reading them
        place.select_hyperslab((first, 0), rows.shape)
        pixels.id.read(h5py.h5s.create_simple(rows.shape), place, rows)
        found.append(room.hits(rows, n_hits[first - start : first - start + len(rows)]))
    return {
        name: _sparse([hits[view] for hits in found], n_hits[:, view]) for view, name in enumerate(VIEW_NAMES)
    }


def _sparse(parts: list[_Hits], n_hits: NDArray[np.int32]) -> Sparse:
    data = np.concatenate([values for values, _ in parts])
    indices = np.concatenate([places for _, places in parts])
    indptr = np.zeros(len(n_hits) + 1, np.int32)  # with 64 bits scipy would widen the places too
    np.cumsum(n_hits, out=indptr[1:])
    view = sparse.csr_array((data, indices, indptr), shape=(len(n_hits), N_PIXELS))
    view.has_canonical_format = True  # as the kernel left them; spares scipy the look
    return view


def _truth(tree: Hdf5Tree, file: str, start: int, stop: int) -> pl.DataFrame:
    columns = {}
    for member in MEMBERS:
        values = tree.dataset(f"{TRUTH_GROUP}/{member.name}")[start:stop].reshape(-1)
        native = values.astype(np.int64 if member.is_key else member.dtype, copy=False)
        columns[member.column] = pl.Series(member.column, native)
    return pl.DataFrame(columns).select(pl.lit(file).alias("file"), pl.all())


def _tell_unknown(unknown: Counter[int], path: Path, report: ReadReport | None) -> None:
    listed = ", ".join(f"{code} ({n:,} events)" for code, n in sorted(unknown.items()))
    message = (
        f"{path}: interaction codes that are not known: {listed}. The flavour and mode of these "
        f"{unknown.total():,} events are left empty, and they take no part in tasks on them."
    )
    log.warning("%s", message)
    if report is not None:
        report.odd.append(message)
