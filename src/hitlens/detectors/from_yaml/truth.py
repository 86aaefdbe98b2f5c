"""The truth columns of a described file."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hitlens.detectors.from_yaml.places import Place, Places
from hitlens.detectors.from_yaml.schema import DetectorDescription
from hitlens.errors import choose_from
from hitlens.io.columns import Column, Columns, Lists, MissingColumns


class TruthReader:
    """Reads the truth of one file.

    A file has all described columns, or none beside the key: data without truth.

    Args:
        description: of the detector.
        number: which of its kinds of files.
        places: of its keys.
        columns: the open file.
        path: its path.

    Attributes:
        rows: key and column of all that is read.

    Raises:
        ConfigError: a column is missing.
    """

    def __init__(
        self, description: DetectorDescription, number: int, places: Places, columns: Columns, path: Path
    ) -> None:
        file = description.files[number]
        self._places, self._columns, self._path = places, columns, path
        self._has_key = any(column.role == "key" for column in description.truth)
        found: dict[str, tuple[Place, str]] = {}
        missing: dict[str, tuple[Place, str]] = {}
        keys = {column.name for column in description.truth if column.role == "key"}
        for position, column in enumerate(description.truth):
            if column.expression or column.name == "file":
                continue
            name = file.truth.get(column.name, column.name)
            stated = column.name in file.truth
            place: Place = ("files", number, "truth", column.name) if stated else ("truth", position, "name")
            target = found if _element(name, columns)[0] in columns.names else missing
            if target is found or column.name not in file.optional:
                target[column.name] = (place, name)
        with_truth = bool(found.keys() - keys) or any(
            difflib.get_close_matches(name, columns.names, n=1, cutoff=0.8) for _, name in missing.values()
        )
        for name, (place, column_name) in missing.items():
            if with_truth or name in keys:
                raise _missing(place, column_name, places, columns, path)
        self._found = found
        self.rows = [(place, _element(name, columns)[0]) for place, name in found.values()]

    def read(self, start: int, stop: int) -> pl.DataFrame:
        """Return the truth of events start to stop.

        Raises:
            ConfigError: a column does not have one value an event.
        """
        series = [pl.Series("file", [self._path.name], dtype=pl.String).new_from_index(0, stop - start)]
        if not self._has_key:
            series.append(pl.Series("event", np.arange(start, stop, dtype=np.int64)))
        for name, (place, column) in self._found.items():
            series.append(pl.Series(name, self._column(place, column, start, stop)))
        return pl.DataFrame(series)

    def _column(self, place: Place, column: str, start: int, stop: int) -> NDArray[Any] | pl.Series:
        stored, position = _element(column, self._columns)
        if position is None and isinstance(self._columns, MissingColumns):
            whole = self._columns.whole_or_missing(stored, start, stop)
            if whole is not None:
                return whole
        values = self._columns.read(stored, start, stop)
        if position is not None:
            return self._plain(place, column, self._one_of_several(place, column, values, position))
        if isinstance(values, Lists):
            problem = f"column '{column}' of {self._path} has a list in each row, not one value an event."
            raise self._places.error(place, problem)
        if values.ndim > 1 and values.size == len(values):
            values = values.reshape(-1)
        if values.ndim > 1:
            shape = values.shape[1:]
            raise self._places.error(
                place,
                f"column '{column}' of {self._path} has shape {shape} in each row, not one value. One "
                f"of several is '{column}[0]'.",
            )
        return self._plain(place, column, values)

    def _plain(self, place: Place, column: str, values: NDArray[Any]) -> NDArray[Any]:
        """Return values of a type that polars knows."""
        kind = values.dtype.kind
        if kind not in "biufUMm":
            problem = f"column '{column}' of {self._path} holds {values.dtype}, not numbers, texts or dates."
            raise self._places.error(place, problem)
        if kind in "Mm" and np.datetime_data(values.dtype)[0] not in ("ns", "us", "ms"):
            return values.astype(f"{kind}8[us]")
        if kind != "f" or values.dtype.itemsize in (4, 8):
            return values
        if values.dtype.itemsize < 4:
            return values.astype(np.float32)
        with np.errstate(over="ignore"):
            narrow = values.astype(np.float64)
        if (np.isinf(narrow) & ~np.isinf(values)).any():
            problem = f"column '{column}' of {self._path} holds numbers beyond those of 64 bits."
            raise self._places.error(place, problem)
        return narrow

    def _one_of_several(self, place: Place, column: str, values: Column, position: int) -> NDArray[Any]:
        if isinstance(values, Lists) or values.ndim != 2 or position >= values.shape[1]:
            has = "lists of any length" if isinstance(values, Lists) else f"shape {values.shape[1:]}"
            raise self._places.error(place, f"'{column}' of {self._path}: its rows have {has}.")
        return values[:, position]


def _element(name: str, columns: Columns) -> tuple[str, int | None]:
    """Return column and position of ``column[i]``; any other name is a column."""
    found = re.fullmatch(r"(.+)\[([0-9]+)\]", name)
    return (name, None) if name in columns.names or found is None else (found[1], int(found[2]))


def _missing(place: Place, name: str, places: Places, columns: Columns, path: Path) -> Exception:
    return places.error(place, f"{path} has no column '{name}'. {choose_from(name, columns.names)}")


def check_column(name: str, place: Place, places: Places, columns: Columns, path: Path) -> None:
    """Refuse the name of a column that a file does not have.

    Raises:
        ConfigError: names the key and the nearest column.
    """
    if name not in columns.names:
        raise _missing(place, name, places, columns, path)
