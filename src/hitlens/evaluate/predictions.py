"""Predictions: scores and values keyed to their events, and the files they are kept in."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl

from hitlens.datasets.summaries import SEEN
from hitlens.detector import Task
from hitlens.errors import DataError, FileFormatError, NotFoundError, choose_from
from hitlens.evaluate.content import content_sha256
from hitlens.events import evaluate_condition, join_truth
from hitlens.io.atomic import written_whole
from hitlens.io.guard import damage_as_format_error
from hitlens.io.names import has_ending

#: Version of the predictions file. 1: first. 2: the checksum of its content.
FORMAT_VERSION = 2

#: Values of the column ``split``; "none" is for events that are no part of a training.
SPLITS = ("train", "validation", "test", "none")

#: Column that says why an event has no answer; there where one has none.
REASON = "reason"

_NAME = "predictions"

Table = TypeVar("Table", pl.DataFrame, pl.LazyFrame)


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says of events, one row an event in the order of the input.

    Columns: what names the event; ``split``; the totals over its images ``seen_hits`` and
    ``seen_charge``; ``true_<column>`` for each truth column that is known. For a head H that is binary:
    ``score_H`` (probability of the signal class), ``pred_H`` and ``true_H`` (class names; a truth column
    called H as well is ``true_H_code``); multiclass: ``score_H_<class>``, ``pred_H``, ``true_H``;
    regression and sets: ``pred_<column>``, in a joint task ``H_pred_<column>``. All of these are null where
    the model has no finite answer, and ``reason`` says why; it is there where there is such an event.

    Attributes:
        table: the columns above.
        task: what was learnt.
        heads: the tasks with one head each; the task itself where it is not joint.
        detector: name of the detector description.
        metadata: free text by name, for example the model's checksum.

    Raises:
        DataError: a column is missing.

    Examples:
        >>> task = Task(name="charge", kind="regression", meaning="charge", columns=("q",), units=("e",))
        >>> table = pl.DataFrame({"event": [4, 2], "split": ["test", "test"], "pred_q": [1.0, 2.0]})
        >>> len(Predictions(table, task, (task,), "demo").filter("event > 3"))
        1
    """

    table: pl.DataFrame
    task: Task
    heads: tuple[Task, ...]
    detector: str
    metadata: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        needed = ["split", *(c for head in self.heads for c in self.output_columns(head))]
        missing = [column for column in needed if column not in self.table.columns]
        if missing:
            raise DataError(
                f"Predictions of task '{self.task.name}' must have the columns {', '.join(missing)}. "
                f"Got {', '.join(self.table.columns)}."
            )

    def __len__(self) -> int:
        return len(self.table)

    def head(self, name: str) -> Task:
        """Return the head of that name.

        Raises:
            NotFoundError: there is none.
        """
        for head in self.heads:
            if head.name == name:
                return head
        names = [head.name for head in self.heads]
        raise NotFoundError(f"Task '{self.task.name}' has no head '{name}'. {choose_from(name, names)}")

    def value_column(self, head: Task, column: str) -> str:
        """Return the name of the column that holds a head's prediction of a truth column."""
        return value_column(self.task, head, column)

    def output_columns(self, head: Task) -> tuple[str, ...]:
        """Return the names of the columns a head fills."""
        if head.kind == "binary":
            return (f"score_{head.name}", f"pred_{head.name}")
        if head.kind == "multiclass":
            return (*(f"score_{head.name}_{name}" for name in head.class_names), f"pred_{head.name}")
        return tuple(self.value_column(head, column) for column in head.target_columns)

    def with_table(self, table: pl.DataFrame) -> Predictions:
        """Return these predictions with another table."""
        return replace(self, table=table)

    def split(self, name: str) -> Predictions:
        """Return the events of one split, in order."""
        return self.with_table(self.table.filter(pl.col("split") == name))

    def filter(self, expression: str) -> Predictions:
        """Return the events for which a SQL condition holds, in order.

        Args:
            expression: over the table's columns, and truth columns under the detector's names; for example
                ``"score_multiplicity < .2 AND true_multiplicity = 'double'"``.

        Raises:
            SelectionError: the expression cannot be read, names an unknown column or is no condition.
        """
        truth = self.truth()
        named = truth.select([name for name in truth.columns if name not in self.table.columns])
        return self.with_table(self.table.filter(evaluate_condition(self.table.hstack(named), expression)))

    def truth(self) -> pl.DataFrame:
        """Return the truth under the detector's names, with what names the events and the totals seen."""
        classes = {f"true_{head.name}" for head in self.heads if head.is_classification}
        codes = {f"{name}_code": name.removeprefix("true_") for name in classes}
        known = {
            c: codes.get(c, c.removeprefix("true_"))
            for c in self.table.columns
            if c.startswith("true_") and c not in classes
        }
        keys = self.table.columns[: self.table.columns.index("split")]
        seen = [c for c in SEEN if c in self.table.columns]
        return self.table.select([*keys, *seen, *known]).rename(known)


def truth_column(heads: Sequence[Task], column: str) -> str:
    """Return the name under which predictions keep a truth column.

    Examples:
        >>> task = Task(name="many", kind="binary", meaning="", target="n > 1", class_names=("one", "many"))
        >>> truth_column([task], "n"), truth_column([task], "many")
        ('true_n', 'true_many_code')
    """
    taken = any(head.is_classification and head.name == column for head in heads)
    return f"true_{column}_code" if taken else f"true_{column}"


def value_column(task: Task, head: Task, column: str) -> str:
    """Return the name of the column that holds a head's prediction of a truth column.

    Examples:
        >>> task = Task(name="charge", kind="regression", meaning="charge", columns=("q",), units=("e",))
        >>> value_column(task, task, "q")
        'pred_q'
        >>> joint = Task(name="all", kind="joint", meaning="all", heads=("charge",))
        >>> value_column(joint, task, "q")
        'charge_pred_q'
    """
    return f"{head.name}_pred_{column}" if task.kind == "joint" else f"pred_{column}"


def write_predictions(predictions: Predictions, path: Path | str) -> Path:
    """Write predictions to a file whose ending says the format: .parquet, .h5, .root or .csv.

    Missing values stay missing in Parquet; elsewhere a number becomes NaN and a text empty. What a CSV file
    has no place for, the task and the types of the columns, stands beside it in NAME.csv.json.

    Returns:
        The path.

    Raises:
        NotFoundError: no such format.
    """
    path = Path(path)
    write, _ = _format(path)
    table = _plain(predictions.table)
    header = _header(predictions, table.lazy())
    with ExitStack() as whole:
        if has_ending(path, ".csv"):
            description = json.loads(header) | {"n_rows": len(table)}
            beside = whole.enter_context(written_whole(description_path(path)))
            beside.write_text(json.dumps(description), encoding="utf-8")
        write(table, header, whole.enter_context(written_whole(path)))
    return path


def description_path(path: Path) -> Path:
    """Return where the description of a table in CSV stands.

    Examples:
        >>> description_path(Path("scores.csv")).name
        'scores.csv.json'
    """
    return path.with_name(f"{path.name}.json")


def join_predictions(parts: Sequence[Path], like: Predictions, path: Path | str) -> Path:
    """Join tables of predictions, kept as Parquet files, into one predictions file.

    A Parquet file is written without the whole table in memory; other formats need it.

    Args:
        parts: the tables, in order; columns that one of them does not have are missing there.
        like: predictions of no events; task, heads, detector and metadata are taken from it, and the columns
            where there are no parts.
        path: as `write_predictions`.

    Returns:
        The path.

    Raises:
        NotFoundError: no such format.
    """
    path = Path(path)
    check_predictions_name(path)
    tables = [pl.scan_parquet(part, glob=False) for part in parts] or [like.table.lazy()]
    schemas = [table.collect_schema() for table in tables]
    alike = parts and all(list(schema.items()) == list(schemas[0].items()) for schema in schemas)
    whole = pl.scan_parquet(list(parts), glob=False) if alike else _joined(tables)
    if not has_ending(path, ".parquet"):
        return write_predictions(like.with_table(whole.collect()), path)
    whole = _plain(whole)
    with written_whole(path) as temporary:
        header = _header(like, whole)
        whole.sink_parquet(temporary, metadata={"hitlens": header}, maintain_order=True)
    return path


def _joined(tables: Sequence[pl.LazyFrame]) -> pl.LazyFrame:
    """Join tables whose columns differ, in types that hold the values of all."""
    return join_truth([table.collect() for table in tables]).lazy()


def _header(predictions: Predictions, table: pl.LazyFrame) -> str:
    """Return what a predictions file says of that table, as JSON."""
    about = {
        "format": "hitlens predictions",
        "version": FORMAT_VERSION,
        "detector": predictions.detector,
        "task": predictions.task.model_dump(mode="json"),
        "heads": [head.model_dump(mode="json") for head in predictions.heads],
        "metadata": predictions.metadata,
        "columns": {name: str(dtype) for name, dtype in table.collect_schema().items()},
    }
    return json.dumps({**about, "sha256": content_sha256(about, table)})


def read_predictions(path: Path | str) -> Predictions:
    """Read what `write_predictions` wrote.

    Raises:
        NotFoundError: no such file or format.
        FileFormatError: the file is damaged, not one of ours, or of a newer version.
    """
    path = Path(path)
    _, read = _format(path)
    if not path.is_file():
        raise NotFoundError(
            f"No predictions file '{path}'. Make one with 'hitlens predict' or 'hitlens train'."
        )
    advice = "Write it again."
    with damage_as_format_error(path, "is not a predictions file of hitlens or is damaged", advice):
        header, table = read(path)
        described = json.loads(header)
        version = int(described.get("version", 0))
    if version > FORMAT_VERSION:
        raise FileFormatError(
            f"has version {version}; this hitlens reads up to {FORMAT_VERSION}. Install a newer hitlens.",
            path=path,
        )
    with damage_as_format_error(path, "is not a predictions file of hitlens or is damaged", advice):
        described.pop("n_rows", None)  # of the description beside a CSV file; checked there
        checksum = described.pop("sha256") if version > 1 else None
        restored = _restore(table, described["columns"])
        if checksum is not None and checksum != content_sha256(described, restored.lazy()):
            raise ValueError("its content does not have the checksum it was written with")
        return Predictions(
            table=restored,
            task=Task.model_validate(described["task"]),
            heads=tuple(Task.model_validate(head) for head in described["heads"]),
            detector=described["detector"],
            metadata=described["metadata"],
        )


def check_predictions_name(path: Path) -> None:
    """Refuse a name whose ending says no format that predictions are kept in.

    Raises:
        NotFoundError: no such format.
    """
    _format(path)


_Writer = Callable[[pl.DataFrame, str, Path], None]
_Reader = Callable[[Path], tuple[str, pl.DataFrame]]


def _format(path: Path) -> tuple[_Writer, _Reader]:
    if path.suffix.lower() not in FORMATS:
        raise NotFoundError(
            f"Predictions cannot be kept as '{path.suffix or path.name}' (file '{path}'). "
            f"{choose_from(path.suffix, FORMATS)}"
        )
    return FORMATS[path.suffix.lower()]


def _plain(table: Table) -> Table:
    """Turn categories, and columns that hold nothing, into text; refuse what is neither text nor number."""
    schema = table.collect_schema()
    textual = [name for name, t in schema.items() if t in (pl.Null, pl.Categorical, pl.Enum)]
    foreign = {n: str(t) for n, t in schema.items() if n not in textual and str(t) not in _TYPES}
    if foreign:
        raise DataError(f"Predictions must be numbers, texts or true/false. Got {foreign}.")
    return table.with_columns(pl.col(textual).cast(pl.String))


def _restore(table: pl.DataFrame, types: dict[str, str]) -> pl.DataFrame:
    """Give columns their types back: formats without missing integers hold them as NaN."""
    columns = []
    for name, text in types.items():
        column, dtype = pl.col(name), _TYPES[text]
        if table.schema[name] != dtype and dtype.is_integer() and table.schema[name].is_float():
            column = column.fill_nan(None)
        if dtype == pl.String and not name.startswith("file"):
            column = pl.when(column != "").then(column)
        columns.append(column.cast(dtype).alias(name))
    return table.select(columns)


_TYPES: dict[str, Any] = {
    str(dtype()): dtype()
    for dtype in (
        *(pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64),
        *(pl.Float32, pl.Float64, pl.String, pl.Boolean),
    )
}


def _arrays(table: pl.DataFrame) -> dict[str, np.ndarray[Any, Any]]:
    """Columns as arrays without missing values: text as objects, numbers with NaN."""
    arrays = {}
    for column in table:
        if column.dtype == pl.String:
            arrays[column.name] = column.fill_null("").to_numpy().astype(object)
        elif column.dtype.is_integer() and column.null_count():
            arrays[column.name] = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
        elif column.dtype.is_float():
            arrays[column.name] = column.fill_null(float("nan")).to_numpy()
        else:
            arrays[column.name] = column.to_numpy()
    return arrays


def _write_parquet(table: pl.DataFrame, header: str, path: Path) -> None:
    table.write_parquet(path, metadata={"hitlens": header})


def _read_parquet(path: Path) -> tuple[str, pl.DataFrame]:
    return pl.read_parquet_metadata(path)["hitlens"], pl.read_parquet(path, glob=False)


def _write_hdf5(table: pl.DataFrame, header: str, path: Path) -> None:
    import h5py

    from hitlens.io.hdf5_output import Hdf5Output

    with closing(Hdf5Output(path, libver=("v110", "v110"))) as output:
        group = output.file.create_group(_NAME)
        group.attrs["hitlens"] = header
        for name, array in _arrays(table).items():
            dtype = h5py.string_dtype() if array.dtype == object else array.dtype
            chunked = {"compression": "gzip", "shuffle": True} if len(array) else {}
            group.create_dataset(name, data=array, dtype=dtype, **chunked)


def _read_hdf5(path: Path) -> tuple[str, pl.DataFrame]:
    import h5py

    from hitlens.io.hdf5 import Hdf5Tree, hdf5_file

    with hdf5_file(path) as file:
        tree = Hdf5Tree(file, path)
        header = str(tree.node(_NAME).attrs["hitlens"])
        columns = {}
        for name in json.loads(header)["columns"]:
            values = tree.dataset(f"{_NAME}/{name}")
            text = h5py.check_string_dtype(values.dtype) is not None
            columns[name] = pl.Series(
                name, (values.asstr()[:] if text else values[:]), dtype=pl.String if text else None
            )
        return header, pl.DataFrame(columns)


def _write_root(table: pl.DataFrame, header: str, path: Path) -> None:
    import awkward as ak
    import uproot

    columns = {
        name: ak.Array(array.tolist() or np.array([""])[:0]) if array.dtype == object else array
        for name, array in _arrays(table).items()
    }
    # uproot takes "::" in a name for two names.
    with path.open("w+b") as opened, uproot.recreate(opened) as file:
        file["hitlens"] = header
        file.mktree(_NAME, columns)


def _read_root(path: Path) -> tuple[str, pl.DataFrame]:
    import uproot

    with path.open("rb") as opened, uproot.open(opened) as file:
        header = str(file["hitlens"])
        arrays = file[_NAME].arrays(library="np")
        return header, pl.DataFrame({name: _native(array) for name, array in arrays.items()})


def _native(array: np.ndarray[Any, Any]) -> pl.Series:
    if array.dtype == object:
        return pl.Series(array.tolist(), dtype=pl.String)
    return pl.Series(array.astype(array.dtype.newbyteorder("=")))


def _write_csv(table: pl.DataFrame, header: str, path: Path) -> None:
    with path.open("wb") as file:
        table.write_csv(file)


def _read_csv(path: Path) -> tuple[str, pl.DataFrame]:
    with path.open("rb") as file:
        first = file.readline().decode()
    inside = first.startswith("#")  # as version 0.1.0 wrote it
    beside = description_path(path)
    if not inside and not beside.is_file():
        raise ValueError(f"{beside.name}, which says what its columns are, is not beside it")
    header = first.removeprefix("#") if inside else beside.read_text(encoding="utf-8")
    described = json.loads(header)
    schema = {name: _TYPES[text] for name, text in described["columns"].items()}
    table = pl.read_csv(path, skip_rows=int(inside), schema=schema, glob=False)
    if len(table) != described.get("n_rows", len(table)):
        raise ValueError(f"{len(table):,} rows instead of {described['n_rows']:,}")
    return header, table


#: How to write and read predictions, by file ending.
FORMATS: dict[str, tuple[_Writer, _Reader]] = {
    ".parquet": (_write_parquet, _read_parquet),
    ".h5": (_write_hdf5, _read_hdf5),
    ".root": (_write_root, _read_root),
    ".csv": (_write_csv, _read_csv),
}
