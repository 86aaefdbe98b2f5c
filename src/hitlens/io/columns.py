"""Columns of HDF5, npz, ROOT and Parquet files under one interface: names, lengths, and ranges of rows."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hitlens.errors import ConfigError, FileFormatError, NotFoundError, choose_from
from hitlens.io.guard import damage_as_format_error

#: Kind of a file by the ending of its name.
KINDS = {
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".hdf": "hdf5",
    ".npz": "npz",
    ".root": "root",
    ".parquet": "parquet",
}

#: First bytes of a file, by kind.
SIGNATURES = {"hdf5": b"\x89HDF\r\n\x1a\n", "npz": b"PK\x03\x04", "root": b"root", "parquet": b"PAR1"}


@dataclass(frozen=True, eq=False)
class Lists:
    """A column with a list of numbers in each row.

    Attributes:
        values: of all rows, one after the other.
        counts: how many values each row has, shape (row,).
    """

    values: NDArray[Any]
    counts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.counts)


#: Rows of a column: an array of shape (row, ...), or a list of numbers in each row.
Column = NDArray[Any] | Lists


class Columns(Protocol):
    """An open file of columns; used in a ``with`` block."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns, in the order of the file."""
        ...

    def length(self, name: str) -> int:
        """Return the number of rows of a column."""
        ...

    def read(self, name: str, start: int, stop: int) -> Column:
        """Return rows start to stop of a column."""
        ...

    def __enter__(self) -> Columns: ...
    def __exit__(self, *exc: object) -> None: ...


def kind_of(path: Path) -> str | None:
    """Return the kind of a file by its name, None where the ending is none of `KINDS`.

    Examples:
        >>> kind_of(Path("events.parquet"))
        'parquet'
    """
    return KINDS.get(path.suffix.lower())


def has_signature(path: Path, kind: str) -> bool:
    """Tell by the first bytes whether a file is of a kind.

    Examples:
        >>> has_signature(Path("/no/such/file"), "npz")
        False
    """
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(SIGNATURES[kind])) == SIGNATURES[kind]


def open_columns(path: Path, kind: str | None = None, tree: str = "", *, external: bool = False) -> Columns:
    """Open a file of columns.

    HDF5: every dataset under its path, those behind links as well, fields of a compound dataset as
    ``dataset/field``. npz: every array.
    ROOT: the branches of a tree under their names, those of other trees as ``tree/branch``. Parquet: every
    column.

    Args:
        path: the file.
        kind: "hdf5", "npz", "root" or "parquet"; None takes it from the ending of the name.
        tree: ROOT: the tree whose branches go by their names alone; the only one where empty.
        external: HDF5: whether other files that this one names may be read.

    Raises:
        NotFoundError: there is no such file, or no such tree in it.
        ConfigError: the kind is not known.
        FileFormatError: the file is damaged or of another kind.

    Examples:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "hits.npz"
        >>> np.savez(path, adc=np.arange(5))
        >>> with open_columns(path) as columns:
        ...     columns.names, columns.read("adc", 1, 3).tolist()
        (('adc',), [1, 2])
    """
    kind = kind or kind_of(path)
    if kind is None or kind not in _OPENERS:
        endings = ", ".join(KINDS)
        raise ConfigError(f"The name '{path}' does not say what kind of file it is: none of {endings}.")
    if not path.is_file():
        raise NotFoundError(f"No file '{path}'. Check the name.")
    if not has_signature(path, kind):
        raise FileFormatError(f"this is not a {kind} file by its first bytes.", path=path)
    with damage_as_format_error(path):
        return _OPENERS[kind](path, tree, external)


class _Hdf5Columns:
    def __init__(self, path: Path, external: bool) -> None:
        from hitlens.io.hdf5 import Hdf5Tree, open_hdf5

        self._path = path
        self._stack = ExitStack()
        self._tree = Hdf5Tree(self._stack.enter_context(open_hdf5(path)), path, external)
        #: Dataset and field of each column.
        self._found: dict[str, tuple[str, str | None]] = {}
        try:
            for name, node in self._tree.datasets():
                if node is None or (node.shape and not node.dtype.names):
                    self._found[name] = (name, None)
                for field in node.dtype.names or () if node is not None and node.shape else ():
                    self._found[f"{name}/{field}"] = (name, field)
        except BaseException:
            self._stack.close()
            raise
        self._datasets: dict[str, Any] = {}
        self.names = tuple(self._found)

    def _dataset(self, name: str) -> Any:
        if name not in self._datasets:
            with damage_as_format_error(self._path):
                self._datasets[name] = self._tree.dataset(name)
        return self._datasets[name]

    def length(self, name: str) -> int:
        return int(self._dataset(self._found[name][0]).shape[0])

    def read(self, name: str, start: int, stop: int) -> Column:
        import h5py

        dataset, field = self._dataset(self._found[name][0]), self._found[name][1]
        with damage_as_format_error(self._path):
            if field is not None:
                return _native(dataset.fields(field)[start:stop])
            if h5py.check_string_dtype(dataset.dtype):
                return np.array(dataset.asstr()[start:stop].tolist(), dtype=np.str_)
            values = dataset[start:stop]
            return _lists(values) if h5py.check_vlen_dtype(dataset.dtype) else _native(values)

    def __enter__(self) -> _Hdf5Columns:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()


class _NpzColumns:
    """The arrays of an npz file, each read whole when it is first asked for."""

    def __init__(self, path: Path) -> None:
        if not zipfile.is_zipfile(path):
            raise FileFormatError("the file is damaged. Copy, fetch or make it again.", path=path)
        self._path = path
        self._file = np.load(path, allow_pickle=False)
        self._read: dict[str, NDArray[Any]] = {}
        self.names = tuple(self._file.files)

    def length(self, name: str) -> int:
        shape = self._array(name).shape
        return shape[0] if shape else 0

    def read(self, name: str, start: int, stop: int) -> Column:
        return self._array(name)[start:stop]

    def _array(self, name: str) -> NDArray[Any]:
        if name not in self._read:
            with damage_as_format_error(self._path):
                self._read[name] = _native(self._file[name])
        return self._read[name]

    def __enter__(self) -> _NpzColumns:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()


class _RootColumns:
    def __init__(self, path: Path, tree: str) -> None:
        import uproot

        self._path = path
        self._opened = path.open("rb")  # uproot takes "::" in a name for two names
        self._file = uproot.open(self._opened)
        kinds = self._file.classnames(recursive=True, cycle=False)
        trees = [name for name, kind in kinds.items() if kind in ("TTree", "ROOT::RNTuple")]
        if tree and tree not in trees:
            raise NotFoundError(f"{path} has no tree '{tree}'. {choose_from(tree, trees)}")
        main = tree or (trees[0] if len(trees) == 1 else "")
        self._found: dict[str, Any] = {}
        for name in sorted(trees, key=lambda one: one != main):
            for branch in self._file[name].keys(recursive=True):
                known = branch if name == main else f"{name}/{branch}"
                self._found[known] = (name, branch)
        self.names = tuple(self._found)

    def length(self, name: str) -> int:
        return int(self._file[self._found[name][0]].num_entries)

    def read(self, name: str, start: int, stop: int) -> Column:
        import awkward as ak

        tree, branch = self._found[name]
        with damage_as_format_error(self._path):
            rows = self._file[tree][branch].array(entry_start=start, entry_stop=stop, library="ak")
            if rows.ndim == 1:
                flat = ak.to_list(rows) if "string" in str(rows.type) else ak.to_numpy(rows)
                return np.array(flat, dtype=np.str_) if isinstance(flat, list) else _native(flat)
            if rows.ndim == 2 and "var" in str(rows.type):
                return Lists(
                    _native(ak.to_numpy(ak.flatten(rows))), ak.to_numpy(ak.num(rows)).astype(np.int64)
                )
            return _native(ak.to_numpy(ak.to_regular(rows, axis=None)))

    def __enter__(self) -> _RootColumns:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()
        self._opened.close()


class _ParquetColumns:
    def __init__(self, path: Path) -> None:
        import polars as pl

        self._path = path
        self._table = pl.scan_parquet(path, glob=False, hive_partitioning=False)
        self.names = tuple(self._table.collect_schema())
        self._n_rows = int(self._table.select(pl.len()).collect().item())

    def length(self, name: str) -> int:
        return self._n_rows

    def read(self, name: str, start: int, stop: int) -> Column:
        import polars as pl

        with damage_as_format_error(self._path):
            rows = self._table.select(name).slice(start, stop - start).collect()[name]
            if isinstance(rows.dtype, pl.List):
                counts = rows.list.len().fill_null(0).to_numpy().astype(np.int64)
                # An empty list would become a null among the values.
                return Lists(rows.filter(pl.Series(counts > 0)).explode().to_numpy(), counts)
            if rows.dtype == pl.String:
                return np.array(rows.fill_null("").to_list(), dtype=np.str_)
            return rows.to_numpy()

    def __enter__(self) -> _ParquetColumns:
        return self

    def __exit__(self, *exc: object) -> None:
        return None


_OPENERS: dict[str, Callable[[Path, str, bool], Columns]] = {
    "hdf5": lambda path, tree, external: _Hdf5Columns(path, external),
    "npz": lambda path, tree, external: _NpzColumns(path),
    "root": lambda path, tree, external: _RootColumns(path, tree),
    "parquet": lambda path, tree, external: _ParquetColumns(path),
}


def _lists(rows: NDArray[Any]) -> Lists:
    counts = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    return Lists(np.concatenate(rows) if counts.sum() else np.zeros(0), counts)


def _native(values: NDArray[Any]) -> NDArray[Any]:
    """Return numbers in the byte order of this machine, and bytes as text."""
    values = np.asarray(values)
    if values.dtype.kind == "S":
        return np.char.decode(values, "utf-8")
    return values.astype(values.dtype.newbyteorder("="), copy=False)
