"""The native events file: reading, whole or by blocks; its format is described in `native_format`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (its filters decompress what h5py reads)
import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from hitlens.errors import DataError, FileFormatError, HitlensError, NotFoundError
from hitlens.events import Events, Images
from hitlens.io.native_format import BATCH, FORMAT, VERSION, ColumnInfo
from hitlens.io.native_writer import NativeWriter

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

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def is_hdf5(path: Path | str) -> bool:
    """Tell by the first bytes whether a file is HDF5, and so perhaps a native events file.

    Examples:
        >>> is_hdf5("/no/such/file")
        False
    """
    path = Path(path)
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_HDF5_SIGNATURE)) == _HDF5_SIGNATURE


def is_native(path: Path | str) -> bool:
    """Tell whether a file says that it is a native events file; one cut short says nothing.

    Examples:
        >>> is_native("/no/such/file")
        False
    """
    if not is_hdf5(path):
        return False
    try:
        with h5py.File(path, "r") as file:
            return bool(file.attrs.get("format") == FORMAT)
    except (OSError, KeyError, RuntimeError):
        return False


def read_native(
    path: Path | str, *, start: int = 0, stop: int | None = None, detector: str | None = None
) -> Events:
    """Read events from a native file into memory.

    Args:
        path: the file.
        start: first event.
        stop: one past the last event; None for the end.
        detector: name the file must carry; None accepts any.

    Raises:
        NotFoundError: there is no such file.
        FileFormatError: the file is damaged, foreign, newer than this version or of another detector.
    """
    with open_native(path, detector=detector) as file:
        return file.read(slice(start, stop))


def open_native(path: Path | str, *, detector: str | None = None) -> NativeFile:
    """Open a native file without reading its events; use it in a ``with`` block.

    Args:
        path: the file.
        detector: name the file must carry; None accepts any.

    Raises:
        NotFoundError: there is no such file.
        FileFormatError: the file is damaged, foreign, newer than this version or of another detector.
    """
    file = NativeFile(path)
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

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise NotFoundError(f"No file '{path}'. Check the name.")
        self._file = _open_hdf5(self.path)
        try:
            self.version = _check_format(self._file, self.path)
            with _damage_as_format_error(self.path):
                self._read_description()
        except BaseException:
            self._file.close()
            raise

    def _read_description(self) -> None:
        root = self._file
        self.detector: str = str(root.attrs["detector"])
        self._n_events = int(root.attrs["n_events"])
        self.provenance: dict[str, Any] = json.loads(root["provenance"][()])
        order = json.loads(root["truth"].attrs["order"])
        self.columns = {
            name: ColumnInfo(
                str(root["truth"][name].attrs["unit"]), str(root["truth"][name].attrs["meaning"])
            )
            for name in order
        }
        self._dictionaries = {
            name: pl.Series(name, dataset.asstr()[:].tolist(), dtype=pl.String)
            for name, dataset in root["dictionary"].items()
        }
        self.views: dict[str, tuple[int, ...]] = {}
        for view in json.loads(root["images"].attrs["order"]):
            node = root["images"][view]
            is_sparse = isinstance(node, h5py.Group)
            self.views[view] = (int(node.attrs["n_pixels"]),) if is_sparse else node.shape[1:]
            length = node["indptr"].shape[0] - 1 if is_sparse else node.shape[0]
            if length != self._n_events:
                raise ValueError(f"view '{view}' holds {length} of {self._n_events} events")

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
        with _damage_as_format_error(self.path):
            return {
                view: self._read_view(view, start, stop) for view in (self.views if views is None else views)
            }

    @property
    def image_bytes(self) -> int:
        """Memory all images take once they are read, bytes."""
        total = 0
        for view in self.views:
            node = self._file["images"][view]
            if isinstance(node, h5py.Dataset):
                total += node.size * node.dtype.itemsize
            else:
                total += sum(node[part].size * node[part].dtype.itemsize for part in node)
        return int(total)

    def blocks(self, n: int = BATCH) -> Iterator[Events]:
        """Yield all events, at most ``n`` at a time; for files larger than memory.

        Args:
            n: events a block.
        """
        for start in range(0, len(self), n):
            yield self.read(slice(start, start + n))

    def truth(self, rows: slice = slice(None)) -> pl.DataFrame:
        """Read the truth table alone.

        Args:
            rows: which events, without a step.

        Raises:
            FileFormatError: the file is damaged.
        """
        start, stop = self._bounds(rows)
        with _damage_as_format_error(self.path):
            return pl.DataFrame([self._read_column(name, start, stop) for name in self.columns])

    def _bounds(self, rows: slice) -> tuple[int, int]:
        start, stop, step = rows.indices(len(self))
        if step != 1:
            raise DataError(f"Events are read in order: the slice must have step 1. Got {step}.")
        return start, max(start, stop)

    def _read_view(self, view: str, start: int, stop: int) -> Images:
        node = self._file["images"][view]
        if isinstance(node, h5py.Dataset):
            return _read_rows(node, start, stop)
        indptr = node["indptr"][start : stop + 1]
        first, last = int(indptr[0]), int(indptr[-1])
        parts = (_read_rows(node["data"], first, last), _read_rows(node["indices"], first, last))
        shape = (stop - start, self.views[view][0])
        ends = indptr - first
        if last - first <= np.iinfo(np.int32).max:  # with 64 bits scipy would widen the places too
            ends = ends.astype(np.int32)
        return sparse.csr_array((*parts, ends), shape=shape)

    def _read_column(self, name: str, start: int, stop: int) -> pl.Series:
        values = _read_rows(self._file["truth"][name], start, stop)
        if name in self._dictionaries:
            series = _decode(self._dictionaries[name], values)
        else:
            series = pl.Series(name, values)
        if name in self._file["valid"]:
            valid = pl.Series(_read_rows(self._file["valid"][name], start, stop))
            series = pl.select(pl.when(valid).then(series).alias(name)).to_series()
        return series


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
    try:
        return h5py.File(path, "r")
    except OSError as error:
        if is_hdf5(path):
            advice = "the file is cut short or damaged. Copy, fetch or make it again."
            raise FileFormatError(advice, path=path) from error
        foreign = "this is not a native events file (not HDF5). Pass its layout, or convert it first."
        raise FileFormatError(foreign, path=path) from error


def _check_format(file: h5py.File, path: Path) -> int:
    with _damage_as_format_error(path):
        found, version = file.attrs.get("format"), file.attrs.get("format_version")
    if found != FORMAT or version is None:
        keys = ", ".join(list(file)[:8]) or "nothing"
        raise FileFormatError(
            f"this is an HDF5 file, but not one with hitlens events; it holds {keys}. "
            "Convert it to a layout of the detector first.",
            path=path,
        )
    if int(version) > VERSION:
        raise FileFormatError(
            f"written in version {int(version)} of the events format; this hitlens reads up to {VERSION}. "
            "Upgrade hitlens, or write the file again with this version.",
            path=path,
        )
    return int(version)


@contextmanager
def _damage_as_format_error(path: Path) -> Iterator[None]:
    try:
        yield
    except HitlensError:
        raise
    except (OSError, KeyError, ValueError, RuntimeError, TypeError) as error:
        reason = str(error).splitlines()[0].strip("'\"")
        raise FileFormatError(
            f"the file is damaged ({reason}). Copy, fetch or make it again.", path=path
        ) from error
