"""The native events file: reading, whole or by blocks; its format is described in `native_format`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from hitlens.errors import DataError, FileFormatError, HitlensError, NotFoundError
from hitlens.events import Events, Images, checked_sparse
from hitlens.io.columns import has_signature
from hitlens.io.guard import damage_as_format_error
from hitlens.io.hdf5 import Hdf5Tree, hdf5_file, open_hdf5
from hitlens.io.native_checksum import ATTRIBUTE, structure_sha256
from hitlens.io.native_format import BATCH, FORMAT, VERSION, ColumnInfo
from hitlens.io.native_writer import NativeWriter
from hitlens.sql import missing_as_null

__all__ = [
    "BATCH",
    "FORMAT",
    "VERSION",
    "ColumnInfo",
    "NativeFile",
    "NativeWriter",
    "is_hdf5",
    "is_native",
    "open_native",
    "read_native",
]


def is_hdf5(path: Path | str) -> bool:
    """Tell by the first bytes whether a file is HDF5, and so perhaps a native events file.

    Examples:
        >>> is_hdf5("/no/such/file")
        False
    """
    return has_signature(Path(path), "hdf5")


def is_native(path: Path | str) -> bool:
    """Tell whether a file says that it is a native events file; one cut short says nothing.

    Examples:
        >>> is_native("/no/such/file")
        False
    """
    if not is_hdf5(path):
        return False
    try:
        with damage_as_format_error(Path(path)), open_hdf5(Path(path)) as file:
            return bool(file.attrs.get("format") == FORMAT)
    except HitlensError:
        return False


def read_native(
    path: Path | str,
    *,
    start: int = 0,
    stop: int | None = None,
    detector: str | None = None,
    external: bool = False,
) -> Events:
    """Read events from a native file into memory.

    Args:
        path: the file.
        start: first event.
        stop: one past the last event; None for the end.
        detector: name the file must carry; None accepts any.
        external: whether other files that this one names may be read.

    Raises:
        NotFoundError: there is no such file.
        FileFormatError: the file is damaged, foreign, newer than this version or of another detector.
    """
    with open_native(path, detector=detector, external=external) as file:
        return file.read(slice(start, stop))


def open_native(path: Path | str, *, detector: str | None = None, external: bool = False) -> NativeFile:
    """Open a native file without reading its events; use it in a ``with`` block.

    Args:
        path: the file.
        detector: name the file must carry; None accepts any.
        external: whether other files that this one names may be read.

    Raises:
        NotFoundError: there is no such file.
        FileFormatError: the file is damaged, foreign, newer than this version or of another detector.
    """
    file = NativeFile(path, external=external)
    if detector is not None and file.detector != detector:
        file.close()
        raise FileFormatError(
            f"these are events of detector '{file.detector}', not of '{detector}'. "
            f"Pass detector '{file.detector}', or another file.",
            path=path,
        )
    return file


class NativeFile:
    """A native events file, open for reading; events are read only when asked for.

    Attributes:
        path: the file.
        version: version of the format it was written in.
        detector: name of the detector its events belong to.
        provenance: where the events come from.
        columns: unit and meaning by truth column, in order.
        views: name to image shape, (row, col) for a dense view and (row*col,) for a sparse one.
    """

    def __init__(self, path: Path | str, *, external: bool = False) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise NotFoundError(f"No file '{path}'. Check the name.")
        self._file = _open_hdf5(self.path)
        self._tree = Hdf5Tree(self._file, self.path, external)
        try:
            self.version = _check_format(self._file, self.path)
            with damage_as_format_error(self.path):
                self._check_structure()
                self._read_description()
        except BaseException:
            self._file.close()
            raise

    def _check_structure(self) -> None:
        # Version 1 had no checksums; a file whose parts lie in others was put together by hand.
        if self.version > 1 and not self._tree.external:
            for name, dataset in self._tree.datasets():
                if dataset is None:
                    self._tree.node(name)  # says where it leads
            if self._file.attrs.get(ATTRIBUTE) != structure_sha256(self._file):
                raise ValueError("its structure does not have the checksum it was written with")

    def _read_description(self) -> None:
        root, tree = self._file, self._tree
        self.detector: str = str(root.attrs["detector"])
        self._n_events = int(root.attrs["n_events"])
        self.provenance: dict[str, Any] = json.loads(tree.dataset("provenance")[()])
        self._truth = {
            name: self._column("truth", name) for name in json.loads(tree.node("truth").attrs["order"])
        }
        self._valid = {name: self._column("valid", name) for name in tree.node("valid")}
        self.columns = {
            name: ColumnInfo(str(node.attrs["unit"]), str(node.attrs["meaning"]))
            for name, node in self._truth.items()
        }
        self._dictionaries = {
            name: pl.Series(name, tree.dataset(f"dictionary/{name}").asstr()[:].tolist(), dtype=pl.String)
            for name in tree.node("dictionary")
        }
        self.views: dict[str, tuple[int, ...]] = {}
        self._views: dict[str, h5py.Dataset | _SparseParts] = {}
        for view in json.loads(tree.node("images").attrs["order"]):
            self._views[view], self.views[view] = self._view(view)

    def _column(self, group: str, name: str) -> h5py.Dataset:
        node = self._tree.dataset(f"{group}/{name}")
        if node.shape != (self._n_events,) or node.dtype.kind not in "biuf":
            raise ValueError(
                f"'{group}/{name}' is {node.dtype} of shape {node.shape}, not one number an event, "
                f"of {self._n_events}"
            )
        return node

    def _view(self, view: str) -> tuple[h5py.Dataset | _SparseParts, tuple[int, ...]]:
        """Return what a view is read from, and the shape of its images."""
        node = self._tree.node(f"images/{view}")
        if isinstance(node, h5py.Group):
            parts = _SparseParts(*(self._tree.dataset(f"images/{view}/{part}") for part in _SPARSE_PARTS))
            parts.check(view, self._n_events)
            return parts, (int(node.attrs["n_pixels"]),)
        self._tree.check_dataset(node, f"images/{view}")
        if node.dtype.kind not in "biuf" or len(node.shape) < 3 or node.shape[0] != self._n_events:
            raise ValueError(
                f"view '{view}' is {node.dtype} of shape {node.shape}, not images of {self._n_events} events"
            )
        return node, node.shape[1:]

    def __len__(self) -> int:
        return self._n_events

    def __enter__(self) -> NativeFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read(self, rows: slice = slice(None)) -> Events:
        """Read contiguous events.

        Args:
            rows: which events, without a step.

        Raises:
            FileFormatError: the file is damaged.
        """
        return Events(self.images(rows), self.truth(rows), self.detector)

    def images(self, rows: slice = slice(None), views: Iterable[str] | None = None) -> dict[str, Images]:
        """Read images alone, by view.

        Args:
            rows: which events, without a step.
            views: names of the views; None for all.

        Raises:
            FileFormatError: the file is damaged.
        """
        start, stop = self._bounds(rows)
        with damage_as_format_error(self.path):
            return {
                view: self._read_view(view, start, stop) for view in (self.views if views is None else views)
            }

    @property
    def float_views(self) -> tuple[str, ...]:
        """Views whose pixels are floats, which may be no numbers."""
        nodes = {view: self._file["images"][view] for view in self.views}
        return tuple(
            view
            for view, node in nodes.items()
            if (node if isinstance(node, h5py.Dataset) else node["data"]).dtype.kind == "f"
        )

    @property
    def image_bytes(self) -> int:
        """Memory all images take once they are read, bytes."""
        total = 0
        for node in self._views.values():
            parts = (node,) if isinstance(node, h5py.Dataset) else (node.data, node.indices, node.indptr)
            total += sum(part.size * part.dtype.itemsize for part in parts)
        return int(total)

    def blocks(self, n: int = BATCH, rows: slice = slice(None)) -> Iterator[Events]:
        """Yield events in order, at most ``n`` at a time; for files larger than memory.

        Args:
            n: events a block.
            rows: which events, without a step.
        """
        first, last = self._bounds(rows)
        for start in range(first, last, n):
            yield self.read(slice(start, min(start + n, last)))

    def truth(self, rows: slice = slice(None)) -> pl.DataFrame:
        """Read the truth table alone.

        Args:
            rows: which events, without a step.

        Raises:
            FileFormatError: the file is damaged.
        """
        start, stop = self._bounds(rows)
        with damage_as_format_error(self.path):
            return pl.DataFrame([self._read_column(name, start, stop) for name in self.columns])

    def _bounds(self, rows: slice) -> tuple[int, int]:
        start, stop, step = rows.indices(len(self))
        if step != 1:
            raise DataError(f"Events are read in order: the slice must have step 1. Got {step}.")
        return start, max(start, stop)

    def _read_view(self, view: str, start: int, stop: int) -> Images:
        node = self._views[view]
        if isinstance(node, h5py.Dataset):
            return _read_rows(node, start, stop)
        indptr = _read_rows(node.indptr, start, stop + 1)
        first, last = int(indptr[0]), int(indptr[-1])
        if first < 0 or (np.diff(indptr) < 0).any() or last > len(node.data):
            raise ValueError(f"the events of view '{view}' do not follow each other in its list of hits")
        parts = (_read_rows(node.data, first, last), _read_rows(node.indices, first, last))
        shape = (stop - start, self.views[view][0])
        ends = indptr - first
        if last - first <= np.iinfo(np.int32).max:  # with 64 bits scipy would widen the places too
            ends = ends.astype(np.int32)
        return checked_sparse(view, sparse.csr_array((*parts, ends), shape=shape))

    def _read_column(self, name: str, start: int, stop: int) -> pl.Series:
        values = _read_rows(self._truth[name], start, stop)
        if name in self._dictionaries:
            series = _decode(self._dictionaries[name], values)
        else:
            series = pl.Series(name, values)
        if name in self._valid:
            valid = pl.Series(_read_rows(self._valid[name], start, stop))
            series = pl.select(pl.when(valid).then(series).alias(name)).to_series()
        return missing_as_null(series)


_SPARSE_PARTS = ("data", "indices", "indptr")


@dataclass(frozen=True)
class _SparseParts:
    """Where a sparse view is read from."""

    data: h5py.Dataset
    indices: h5py.Dataset
    indptr: h5py.Dataset

    def check(self, view: str, n_events: int) -> None:
        """Refuse parts that do not belong together, before any compiled code follows them."""
        if self.data.dtype.kind not in "biuf" or not {self.indices.dtype.kind, self.indptr.dtype.kind} <= {
            "i",
            "u",
        }:
            raise ValueError(f"the hits of view '{view}' are no numbers")
        if self.indptr.shape != (n_events + 1,):
            raise ValueError(f"view '{view}' holds {self.indptr.shape[0] - 1} of {n_events} events")
        if self.data.shape != self.indices.shape or len(self.data.shape) != 1:
            raise ValueError(f"view '{view}' has {self.data.shape} values at {self.indices.shape} places")
        if int(self.indptr[0]) != 0 or int(self.indptr[n_events]) != len(self.data):
            raise ValueError(f"the events of view '{view}' have not all of its {len(self.data)} hits")


def _decode(texts: pl.Series, codes: NDArray[np.uint32]) -> pl.Series:
    if len(texts) == 1:
        return pl.select(pl.repeat(texts[0], len(codes), dtype=pl.String).alias(texts.name)).to_series()
    return texts.gather(codes)


def _read_rows(dataset: h5py.Dataset, start: int, stop: int) -> NDArray[Any]:
    out = np.empty((stop - start, *dataset.shape[1:]), dataset.dtype)
    if stop > dataset.shape[0]:
        raise ValueError(f"'{dataset.name}' ends at {dataset.shape[0]}, before {stop}")
    if len(out):
        dataset.read_direct(out, np.s_[start:stop])
    return out


def _open_hdf5(path: Path) -> h5py.File:
    if not is_hdf5(path):
        foreign = "this is not a native events file (not HDF5). Pass its layout, or convert it first."
        raise FileFormatError(foreign, path=path)
    with damage_as_format_error(path, "the file is cut short or damaged"):
        return hdf5_file(path)


def _check_format(file: h5py.File, path: Path) -> int:
    with damage_as_format_error(path):
        found, version = file.attrs.get("format"), file.attrs.get("format_version")
    if found != FORMAT or version is None:
        keys = ", ".join(list(file)[:8]) or "nothing"
        raise FileFormatError(
            f"this is an HDF5 file, but not one with hitlens events; it holds {keys}. "
            "Convert it to a layout of the detector first.",
            path=path,
        )
    with damage_as_format_error(path):
        version = int(version)
    if version < 1:
        raise FileFormatError(
            "the file is damaged (no such version). Copy, fetch or make it again.", path=path
        )
    if version > VERSION:
        raise FileFormatError(
            f"written in version {version} of the events format; this hitlens reads up to {VERSION}. "
            "Upgrade hitlens, or write the file again with this version.",
            path=path,
        )
    return version
