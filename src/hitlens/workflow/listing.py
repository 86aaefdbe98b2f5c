"""All runs below some folders as one table, to be chosen from and put in order."""

from __future__ import annotations

import json
import logging
import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from hitlens.errors import NotFoundError, RunError, SelectionError, choose_from
from hitlens.io.records import read_record
from hitlens.settings import flattened, read_yaml
from hitlens.workflow import runs

log = logging.getLogger(__name__)


#: Columns every list has, in order. Settings and numbers of the evaluation follow under dotted names.
COLUMNS: dict[str, Any] = {
    "run": pl.String,
    "detector": pl.String,
    "task": pl.String,
    "model": pl.String,
    "status": pl.String,
    "started": pl.Datetime("us", "UTC"),
    "epochs": pl.Int64,
    "best_epoch": pl.Int64,
    "monitor": pl.String,
    "score": pl.Float64,
    "worst_of_last": pl.Float64,
    "parameters": pl.Int64,
    "seconds": pl.Float64,
    "n_train": pl.Int64,
    "seed": pl.Int64,
}

#: What a value of each type of column is in a record.
_TYPES: dict[Any, Any] = {
    pl.String: str,
    pl.Int64: int,
    pl.Float64: (int, float),
    COLUMNS["started"]: datetime,
}

#: Epochs at the end of a training of which the worst score is told.
N_LAST = 5

#: Folders of a run in which no other run lies.
_OWN_FOLDERS = frozenset({"checkpoints", "figures", "tensorboard", "evaluations", runs.OUTDATED})

#: Files that only a run has; a folder with one of them and without a record is damaged.
_OWN_FILES = frozenset({runs.MODEL, runs.HISTORY})

#: In a condition: a text, which stays; a dotted name in quotes, or one that gets them.
_DOTTED = re.compile(
    r"""'(?:[^']|'')*'|"(?P<quoted>[^".]+\.[^"]+)"|"[^"]*"|(?<![\w.])(?P<name>[A-Za-z_]\w*(?:\.\w+)+)"""
)


@dataclass(frozen=True)
class RunList:
    """The runs found below some folders.

    Attributes:
        table: one row a run, in order of their folders: `COLUMNS`, then the settings asked for, then the
            numbers of evaluations, named ``test.accuracy``, with several heads ``test.HEAD.accuracy`` and
            where a number belongs to a column or class ``test.rmse.COLUMN``.
        damaged: why a folder that should be a run could not be read, by folder.
    """

    table: pl.DataFrame
    damaged: Mapping[Path, str]


@dataclass(frozen=True)
class _Run:
    """What one run folder says: a row of `COLUMNS`, its settings by dotted name, its evaluation's numbers."""

    row: dict[str, Any]
    settings: dict[str, Any]
    numbers: dict[str, float]


def list_runs(folders: Iterable[Path | str] = ("runs",), settings: Sequence[str] = ()) -> pl.DataFrame:
    """Return a table of all runs below some folders, those of studies, searches and folds included.

    Folders that cannot be read are named in the log and left out; `find_runs` returns them.

    Args:
        folders: where to look; a run folder itself will do.
        settings: dotted names of settings to add as columns, for example ``train.learning_rate``.

    Raises:
        NotFoundError: there is no such folder.
        SelectionError: no run has such a setting.

    Examples:
        >>> import tempfile
        >>> list_runs([tempfile.mkdtemp()]).columns[:4]
        ['run', 'detector', 'task', 'model']
    """
    found = find_runs(folders, settings)
    for folder, reason in found.damaged.items():
        log.warning("%s is left out: %s", folder, reason)
    return found.table


def find_runs(folders: Iterable[Path | str] = ("runs",), settings: Sequence[str] = ()) -> RunList:
    """Return all runs below some folders, and the folders that should be one and cannot be read.

    Args:
        folders: where to look; a run folder itself will do.
        settings: dotted names of settings to add as columns; of numbers of an evaluation too, which are there
            in any case.

    Raises:
        NotFoundError: there is no such folder.
        SelectionError: no run has such a setting or number.
    """
    found: list[_Run] = []
    damaged: dict[Path, str] = {}
    for folder in _run_folders(folders):
        try:
            found.append(_read(folder))
        except RunError as error:
            damaged[folder] = str(error)
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            damaged[folder] = f"what it holds is damaged ({type(error).__name__}: {error})"
    numbers = list(dict.fromkeys(name for one in found for name in one.numbers))
    asked = [name for name in dict.fromkeys(settings) if name not in numbers]
    table = pl.DataFrame([one.row for one in found], schema=COLUMNS)
    extra = [_series(name, [setting_of(one.settings, name) for one in found]) for name in asked]
    for series in extra:
        if found and series.null_count() == len(found):
            _check_setting(series.name, found, numbers)
    extra += [_series(name, [one.numbers.get(name) for one in found]) for name in numbers]
    return RunList(table.with_columns(extra), damaged)


def choose_runs(
    table: pl.DataFrame, condition: str = "", sort: Sequence[str] = (), limit: int = 0
) -> pl.DataFrame:
    """Return some rows of a table of runs, in order.

    Args:
        table: of `list_runs`.
        condition: SQL over its columns, for example ``"score > 0.97 AND train.epochs = 30"``; null is false.
        sort: columns to sort by, the first one first; ``-score`` puts the highest first. Rows without a value
            are last.
        limit: at most so many rows; 0 for all.

    Raises:
        SelectionError: the condition cannot be read, or there is no such column.

    Examples:
        >>> table = pl.DataFrame({"run": ["a", "b", "c"], "score": [0.9, 0.7, 0.8]})
        >>> choose_runs(table, "score > 0.75", ["-score"])["run"].to_list()
        ['a', 'c']
    """
    if condition:
        from hitlens.events import evaluate_condition

        asked = [name for name in table.columns if "." not in name or name in dotted_names(condition)]
        table = table.filter(pl.Series(evaluate_condition(table.select(asked), _quoted(condition))))
    names = [name.removeprefix("-") for name in sort]
    check_columns(names, table)
    if names:
        down = [name.startswith("-") for name in sort]
        table = table.sort(names, descending=down, nulls_last=True, maintain_order=True)
    return table.head(limit) if limit else table


def check_columns(names: Sequence[str], table: pl.DataFrame) -> None:
    """Refuse names of columns that are not there.

    Raises:
        SelectionError: naming the nearest right one.
    """
    for name in names:
        if name not in table.columns:
            plain = [column for column in table.columns if "." not in column]
            raise SelectionError(f"Runs have no column '{name}'. {choose_from(name, plain)}")


def dotted_names(*texts: str) -> list[str]:
    """Return the dotted names, those of settings and of numbers, that conditions and column names mention.

    Examples:
        >>> dotted_names("score > 0.9 AND train.epochs = 30", "-model.name")
        ['train.epochs', 'model.name']
    """
    names = (match["name"] or match["quoted"] for text in texts for match in _DOTTED.finditer(text))
    return list(dict.fromkeys(name for name in names if name))


def numbers_of(content: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of an evaluation by the names they have in a table of runs.

    Args:
        content: of metrics.json.

    Examples:
        >>> metric = {"name": "accuracy", "column": "", "interval": {"value": 0.9}}
        >>> numbers_of({"split": "test", "tasks": [{"task": "multiplicity", "metrics": [metric]}]})
        {'test.accuracy': 0.9}
    """
    heads = content["tasks"]
    found = {}
    for head in heads:
        first = [content["split"], *([head["task"]] if len(heads) > 1 else [])]
        for metric in head["metrics"]:
            if metric["interval"] is not None:
                last = [metric["column"].replace(", ", "+")] if metric["column"] else []
                found[".".join([*first, metric["name"], *last])] = metric["interval"]["value"]
    return found


def _run_folders(folders: Iterable[Path | str]) -> Iterator[Path]:
    """Yield every folder that holds a run or what is left of one, in order of their names, each once."""
    seen: set[tuple[int, int]] = set()
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise NotFoundError(f"No folder '{folder}'. Give a run folder or one with runs below it.")
        yield from _below(folder, seen)


def _below(folder: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    stat = folder.stat()
    if (stat.st_dev, stat.st_ino) in seen:  # given twice, or a link that leads in a circle
        return
    seen.add((stat.st_dev, stat.st_ino))
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except PermissionError:
        log.warning("%s may not be read", folder)
        return
    if any(entry.name == runs.PROVENANCE or entry.name in _OWN_FILES for entry in found):
        yield folder
    for entry in found:
        if entry.is_dir() and not entry.name.startswith(".") and entry.name not in _OWN_FOLDERS:
            yield from _below(folder / entry.name, seen)


def _read(folder: Path) -> _Run:
    record = runs.read_provenance(folder)
    if "status" not in record:
        raise RunError(f"{runs.PROVENANCE} tells of no training")
    settings = record["settings"] if "settings" in record else _old_settings(folder)
    row = _row(folder, record, settings)
    for name, value in row.items():
        if value is not None and not isinstance(value, _TYPES[COLUMNS[name]]):
            raise TypeError(f"{runs.PROVENANCE} gives {value!r} for {name}")
    return _Run(row, settings, _numbers(folder, record))


def _row(folder: Path, record: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    best, monitor = record.get("best_epoch"), record.get("monitor")
    values = _course(folder / runs.HISTORY)
    started = record.get("started")
    return {
        "run": str(folder),
        "detector": record.get("detector"),
        "task": record.get("task"),
        "model": settings.get("model.name"),
        "status": _status(record),
        "started": started and datetime.fromisoformat(started),
        "epochs": len(values),
        "best_epoch": None if best is None else best + 1,
        "monitor": monitor,
        "score": record.get("validation_score"),
        "worst_of_last": _worst(values[-N_LAST:], monitor),
        "parameters": record.get("n_parameters"),
        "seconds": record.get("seconds"),
        "n_train": record.get("split", {}).get("n_train"),
        "seed": record.get("seed"),
    }


def _status(record: Mapping[str, Any]) -> str:
    """The status of a run; "died" where it says "running" and its process is known to be gone."""
    process = record.get("process")
    if record["status"] != "running" or not process or process["host"] != platform.node():
        return str(record["status"])
    try:
        os.kill(process["pid"], 0)
    except ProcessLookupError:
        return "died"
    except PermissionError:  # somebody else's
        pass
    return "running"


def _course(path: Path) -> list[float]:
    """The monitored score of every epoch; none where there is no history yet."""
    try:
        first, *rows = path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, ValueError):
        return []
    column = first.split(",").index("val_metric")
    return [float(row.split(",")[column]) for row in rows]


def _worst(values: Sequence[float], monitor: str | None) -> float | None:
    if not values or monitor is None:
        return None
    return max(values) if monitor == "val_loss" else min(values)


def _old_settings(folder: Path) -> dict[str, Any]:
    """The settings of a run whose record does not hold them; slow."""
    path = folder / runs.CONFIG
    return flattened(read_yaml(path.read_text(encoding="utf-8"), str(path))) if path.is_file() else {}


def _numbers(folder: Path, record: Mapping[str, Any]) -> dict[str, float]:
    """Numbers of the evaluation of the model that is there; none of an earlier one, or in training."""
    path = folder / runs.METRICS
    if not path.is_file() or record["status"] == "running":
        return {}
    written = record.get(runs.WRITTEN, {})
    origin = record.get("evaluated", {})
    if "evaluation" in record and all(written.get(name, sha256) == sha256 for name, sha256 in origin.items()):
        return {name: float(value) for name, value in record["evaluation"].items()}
    content = read_record(path, "Evaluate the run again.")
    origin, readings = content.get("made_from", {}), content.get("readings", [])
    if origin:
        fresh = all(written.get(name, sha256) == sha256 for name, sha256 in origin.items())
    else:
        fresh = not readings or readings[-1]["when"] >= record.get("finished", "")
    return numbers_of(content) if fresh else {}


def setting_of(settings: Mapping[str, Any], name: str) -> Any:
    """Return a setting by its dotted name, a whole section as a mapping, or None where there is none.

    Args:
        settings: by dotted name.
        name: of a setting or a section.

    Examples:
        >>> setting_of({"train.mix.a": 1, "train.mix.b": 2}, "train.mix")
        {'a': 1, 'b': 2}
    """
    if name in settings:
        return settings[name]
    first = f"{name}."
    return {
        key.removeprefix(first): value for key, value in settings.items() if key.startswith(first)
    } or None


def _check_setting(name: str, found: Sequence[_Run], numbers: Sequence[str]) -> None:
    """Refuse the name of a setting that no run has; one that is null everywhere is fine."""
    known = {*numbers, *(key for one in found for key in one.settings)}
    if name in known:
        return
    first = name.partition(".")[0]
    section = {key for key in known if key.partition(".")[0] == first}
    choices = section or {f"{key.partition('.')[0]}.*" for key in known if "." in key}
    raise SelectionError(f"No run has a setting or number '{name}'. {choose_from(name, choices)}")


def _series(name: str, values: Sequence[Any]) -> pl.Series:
    """A column of numbers, flags or texts; values of several kinds, lists and mappings become texts."""
    kinds = {type(value) for value in values} - {type(None)}
    if kinds <= {int, float}:
        return pl.Series(name, values, dtype=pl.Int64 if kinds == {int} else pl.Float64)
    if kinds in ({bool}, {str}):
        return pl.Series(name, values)
    texts = [v if v is None or isinstance(v, str) else json.dumps(v) for v in values]
    return pl.Series(name, texts, dtype=pl.String)


def _quoted(condition: str) -> str:
    """A condition with every dotted name in quotes, so that it is one name."""
    return _DOTTED.sub(lambda match: f'"{match["name"]}"' if match["name"] else match[0], condition)
