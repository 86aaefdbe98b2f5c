"""Columns of HDF5, npz, ROOT, Parquet and CSV files under one interface: names, lengths, ranges of rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hitlens.errors import ConfigError, FileFormatError, NotFoundError, choose_from
from hitlens.io.guard import damage_as_format_error
from hitlens.io.npz import open_npz

if TYPE_CHECKING:
    import polars as pl

#: Kind of a file by the ending of its name.
KINDS = {
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".hdf": "hdf5",
    ".npz": "npz",
    ".root": "root",
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
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


@runtime_checkable
class MissingColumns(Protocol):
    """Columns that know of missing values, which arrays of whole numbers or of true and false cannot hold."""

    def whole_or_missing(self, name: str, start: int, stop: int) -> pl.Series | None:
        """Return rows of one value each as they are, nulls and types; None of lists."""
        ...


def kind_of(path: Path) -> str | None:
    """Return the kind of a file by its name, None where the ending is none of `KINDS`.

    Examples:
        >>> kind_of(Path("events.parquet"))
        'parquet'
    """
    return KINDS.get(path.suffix.lower())


def has_signature(path: Path, kind: str) -> bool:
    """Tell by the first bytes whether a file is of a kind.

    Raises:
        FileFormatError: it must not be read.

    Examples:
        >>> has_signature(Path("/no/such/file"), "npz")
        False
    """
    if not path.is_file():
        return False
    size = path.stat().st_size
    # A HDF5 file may begin with a block of the user's own, of 512 bytes or a power of two times that.
    starts = [0, *(512 << n for n in range(40) if 512 << n < size)] if kind == "hdf5" else [0]
    with damage_as_format_error(path), path.open("rb") as file:
        if kind == "csv":  # text has no signature
            return b"\0" not in file.read(4096)
        return any(_stands_at(file, start, SIGNATURES[kind]) for start in starts)


def _stands_at(file: IO[bytes], start: int, signature: bytes) -> bool:
    file.seek(start)
    return file.read(len(signature)) == signature


def open_columns(path: Path, kind: str | None = None, tree: str = "", *, external: bool = False) -> Columns:
    """Open a file of columns.

    HDF5: every dataset under its path, those behind links as well, fields of a compound dataset as
    ``dataset/field``, of a compound inside it ``dataset/field/inner``. npz: every array.
    ROOT: the branches of a tree under their names, those of other trees as ``tree/branch``. Parquet and
    CSV: every column, fields of records (or of lists of records) as ``column.field``.

    Args:
        path: the file.
        kind: "hdf5", "npz", "root", "parquet" or "csv"; None takes it from the ending of the name.
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
        self._found: dict[str, tuple[str, tuple[str, ...]]] = {}
        try:
            for name, node in self._tree.datasets():
                if node is None or (node.shape and not node.dtype.names):
                    self._found[name] = (name, ())
                for field in _fields(node.dtype) if node is not None and node.shape else ():
                    self._found["/".join((name, *field))] = (name, field)
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
            values = dataset.fields(field[0])[start:stop] if field else dataset[start:stop]
            dtype = dataset.dtype
            for step in field:
                dtype = dtype[step]
            for step in field[1:]:
                values = values[step]
            if h5py.check_string_dtype(dtype):
                return _text(values)
            return _lists(values) if h5py.check_vlen_dtype(dtype) else _native(values)

    def __enter__(self) -> _Hdf5Columns:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()


class _NpzColumns:
    """The arrays of an npz file, each read whole when it is first asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = open_npz(path)
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
                try:
                    self._read[name] = _native(self._file[name])
                except ValueError as error:
                    if "allow_pickle" not in str(error):
                        raise
                    raise FileFormatError(
                        f"array '{name}' holds Python objects, which are not read. Save numbers (NaN where "
                        "one is missing) or texts.",
                        path=self._path,
                    ) from None
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


class _TableColumns:
    """The columns of a table that polars reads."""

    def __init__(self, path: Path, table: pl.LazyFrame) -> None:
        import polars as pl

        self._path = path
        self._table = table
        #: How each column is found; fields of records go by ``column.field``.
        self._found = {
            name: expression
            for column, dtype in self._table.collect_schema().items()
            for name, expression in _record_fields(column, dtype).items()
        }
        self.names = tuple(self._found)
        self._n_rows = int(self._table.select(pl.len()).collect().item())

    def length(self, name: str) -> int:
        return self._n_rows

    def read(self, name: str, start: int, stop: int) -> Column:
        import polars as pl

        with damage_as_format_error(self._path):
            rows = self._table.slice(start, stop - start).select(self._found[name]).collect().to_series()
            if isinstance(rows.dtype, pl.Array) and isinstance(rows.dtype.inner, pl.List):
                rows = rows.arr.to_list()
            if isinstance(rows.dtype, pl.List):
                return _nested(rows, name, self._path)
            if rows.dtype == pl.String:
                return np.array(rows.fill_null("").to_list(), dtype=np.str_)
            return rows.to_numpy()

    def whole_or_missing(self, name: str, start: int, stop: int) -> pl.Series | None:
        import polars as pl

        with damage_as_format_error(self._path):
            rows = self._table.slice(start, stop - start).select(self._found[name]).collect().to_series()
        return None if isinstance(rows.dtype, pl.List | pl.Array) else rows

    def __enter__(self) -> _TableColumns:
        return self

    def __exit__(self, *exc: object) -> None:
        return None


def _parquet(path: Path) -> pl.LazyFrame:
    import polars as pl

    return pl.scan_parquet(path, glob=False, hive_partitioning=False)


#: What programs write into text tables for a missing value; NumPy, pandas, R and ROOT among them.
_MISSING_WORDS = (
    "",
    "NA",
    "N/A",
    "n/a",
    "<NA>",
    "#N/A",
    "NaN",
    "nan",
    "NAN",
    "-nan",
    "-NaN",
    "NaT",
    "None",
    "NULL",
    "null",
)


def _csv(path: Path) -> pl.LazyFrame:
    """Return a text table with names in its first line; separated by tabs, semicolons or commas."""
    import polars as pl

    with path.open("rb") as file:
        head = [line for line in file.read(1 << 20).splitlines() if not line.startswith(b"#")][:2]
    first = head[0] if head else b""
    separator = max(";\t,", key=lambda one: first.count(one.encode()))
    # Where a semicolon separates, the comma is often the decimal point.
    comma = separator == ";" and re.search(rb"\d,\d", head[-1]) is not None
    table = pl.read_csv(
        path,
        separator=separator,
        decimal_comma=comma,
        comment_prefix="#",
        infer_schema_length=None,
        null_values=list(_MISSING_WORDS),
        glob=False,
    )
    # Whole numbers beyond int64: what has a sign as well is beyond uint64 too, and refused.
    try:
        return table.with_columns(pl.col(pl.Int128).cast(pl.UInt64)).lazy()
    except pl.exceptions.InvalidOperationError:
        names = ", ".join(f"'{name}'" for name, dtype in table.schema.items() if dtype == pl.Int128)
        raise FileFormatError(
            f"of the whole numbers in {names}, 64 bits do not hold all. Write them as real numbers (1e20), "
            "or with a letter where they name events.",
            path=path,
        ) from None


def _record_fields(column: str, dtype: pl.DataType) -> dict[str, pl.Expr]:
    """Return the columns that one of a table is read as: each field of a record, or of lists of records."""
    import polars as pl

    if isinstance(dtype, pl.Struct):
        return {f"{column}.{one.name}": pl.col(column).struct.field(one.name) for one in dtype.fields}
    if isinstance(dtype, pl.List) and isinstance(dtype.inner, pl.Struct):
        return {
            f"{column}.{one.name}": pl.col(column).list.eval(pl.element().struct.field(one.name))
            for one in dtype.inner.fields
        }
    return {column: pl.col(column)}


def _nested(rows: pl.Series, name: str, path: Path) -> Column:
    """Return a column of lists; lists of lists are images, whose rows must have one length."""
    import polars as pl

    shape: list[int] = []
    counts = _list_counts(rows)
    # An empty list would become a null among the values.
    values = rows.filter(pl.Series(counts > 0)).explode()
    while isinstance(values.dtype, (pl.List, pl.Array)):
        if isinstance(values.dtype, pl.Array):
            values = values.arr.to_list()
        lengths = _list_counts(values)
        if len(set(lengths.tolist())) > 1:
            raise FileFormatError(
                f"column '{name}' has lists of {lengths.min()} and of {lengths.max()} values inside its "
                "lists: the rows of an image must have one length.",
                path=path,
            )
        shape.append(int(lengths[0]) if len(lengths) else 0)
        values = values.explode()
    if not shape:
        return Lists(values.to_numpy(), counts)
    if len(set(counts.tolist())) > 1:
        raise FileFormatError(
            f"column '{name}' has images of {counts.min()} and of {counts.max()} rows; they must be alike.",
            path=path,
        )
    return values.to_numpy().reshape(len(rows), -1, *shape)


def _list_counts(rows: pl.Series) -> NDArray[np.int64]:
    return rows.list.len().fill_null(0).to_numpy().astype(np.int64)


_OPENERS: dict[str, Callable[[Path, str, bool], Columns]] = {
    "hdf5": lambda path, tree, external: _Hdf5Columns(path, external),
    "npz": lambda path, tree, external: _NpzColumns(path),
    "root": lambda path, tree, external: _RootColumns(path, tree),
    "parquet": lambda path, tree, external: _TableColumns(path, _parquet(path)),
    "csv": lambda path, tree, external: _TableColumns(path, _csv(path)),
}


def _fields(dtype: np.dtype[Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of each field of a compound type, those of compounds inside it as well."""
    for name in dtype.names or ():
        if dtype[name].names:
            yield from _fields(dtype[name], (*above, name))
        else:
            yield (*above, name)


def _text(values: NDArray[Any]) -> NDArray[np.str_]:
    """Return bytes as text: UTF-8 where they are, else Latin-1, which every byte is."""
    kinds, which = np.unique(np.asarray(values, dtype=bytes), return_inverse=True)
    return np.array([_decoded(kind) for kind in kinds.tolist()] or [""], dtype=np.str_)[which]


def _decoded(text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _lists(rows: NDArray[Any]) -> Lists:
    counts = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    return Lists(np.concatenate(rows) if counts.sum() else np.zeros(0), counts)


def _native(values: NDArray[Any]) -> NDArray[Any]:
    """Return numbers in the byte order of this machine, and bytes as text."""
    if np.ma.isMaskedArray(values) and values.mask.any():  # optional values, some of which are missing
        values = np.ma.filled(values.astype(np.float64), np.nan)
    values = np.asarray(values)
    if values.dtype.kind == "S":
        return _text(values)
    return values.astype(values.dtype.newbyteorder("="), copy=False)
