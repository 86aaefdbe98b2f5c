"""Which event a row of another table is of: keys of one or more columns, compared without loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Keys that a message lists; the rest is counted.
_LISTED = 5


@dataclass(frozen=True)
class _Column:
    """One column of a key.

    Attributes:
        values: of each row, as int64, uint64 or text; 0 or empty where not defined.
        defined: whether the row has a value that names something, shape (row,).
    """

    values: NDArray[Any]
    defined: NDArray[np.bool_]


class EventKeys:
    """The keys of a table of events, each of which must name one event.

    Whole numbers are compared as such, whatever their type; a float counts as the whole number it holds, as
    long as its type can tell neighbours apart.

    Args:
        columns: one array a key column, shape (event,).

    Raises:
        ValueError: a key is undefined or stands twice, or a column is neither numbers nor text.

    Examples:
        >>> keys = EventKeys([np.array([1, 1, 2]), np.array([7, 8, 7])])
        >>> keys.positions([np.array([2, 1, 1]), np.array([7.0, 8.0, 9.0])]).tolist()
        [2, 1, -1]
        >>> EventKeys([np.array([4, 5, 4])])
        Traceback (most recent call last):
        ValueError: 1 key stands more than once: 4 (rows 0, 2)
    """

    def __init__(self, columns: Sequence[NDArray[Any]]) -> None:
        read = [_readable(values) for values in columns]
        defined = np.logical_and.reduce([column.defined for column in read])
        if not defined.all():
            raise ValueError(_listed("row has no key", "rows have no key", _rows(columns, ~defined)))
        self._levels: list[tuple[NDArray[Any], int]] = []
        self._codes: list[NDArray[np.int64]] = []
        code = np.zeros(len(defined), dtype=np.int64)
        for column in read:
            level, inner = np.unique(column.values, return_inverse=True)
            self._levels.append((level, len(level)))
            kept, code = np.unique(code * max(len(level), 1) + inner, return_inverse=True)
            self._codes.append(kept)
        if len(self._codes[-1]) < len(code):
            raise ValueError(_listed("key stands", "keys stand", _twice(columns, code), " more than once"))
        self._order = np.argsort(code, kind="stable")

    def positions(self, columns: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
        """Return the position of the event of each row of another table, -1 where there is none.

        Args:
            columns: as those of the events, shape (row,).

        Raises:
            ValueError: text is to be compared with numbers.
        """
        read = [_readable(values) for values in columns]
        good = np.logical_and.reduce([column.defined for column in read])
        code = np.zeros(len(good), dtype=np.int64)
        for column, (level, n_values), kept in zip(read, self._levels, self._codes, strict=True):
            inner, among = _found_in(level, column.values)
            code, known = _found_in(kept, code * max(n_values, 1) + inner)
            good &= among & known
        if not len(self._order):
            return np.full(len(good), -1, dtype=np.int64)
        return np.where(good, self._order[code], -1)


def undefined_rows(columns: Sequence[NDArray[Any]]) -> NDArray[np.bool_]:
    """Return which rows have no key: a part is missing, empty or no whole number, shape (row,).

    Raises:
        ValueError: a column is neither numbers nor text.

    Examples:
        >>> undefined_rows([np.array([1.0, np.nan, 2.5, 3.0])]).tolist()
        [False, True, True, False]
    """
    undefined: NDArray[np.bool_] = ~np.logical_and.reduce([_readable(values).defined for values in columns])
    return undefined


def highest_number(values: NDArray[Any]) -> int:
    """Return the highest whole number of a key column, -1 where it has none.

    Raises:
        ValueError: the column is no numbers.

    Examples:
        >>> highest_number(np.array([3.0, np.nan, 7.0])), highest_number(np.zeros(0))
        (7, -1)
    """
    column = _readable(values)
    if column.values.dtype.kind == "U":
        raise ValueError("text does not count events from 0")
    return int(column.values[column.defined].max(initial=0)) if column.defined.any() else -1


def listed_keys(columns: Sequence[NDArray[Any]], rows: NDArray[np.int64]) -> list[str]:
    """Return the keys of some rows as text, each once, in order of appearance.

    Examples:
        >>> listed_keys([np.array([1, 1, 2]), np.array([7, 7, 8])], np.array([0, 1, 2]))
        ['(1, 7)', '(2, 8)']
    """
    return list(dict.fromkeys(_key_text(columns, row) for row in rows.tolist()))


def _found_in(level: NDArray[Any], values: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the place of each value among ascending ones, and whether it is there."""
    if (level.dtype.kind == "U") != (values.dtype.kind == "U") and len(level) and len(values):
        names = {"U": "text", "i": "numbers", "u": "numbers"}
        raise ValueError(f"{names[values.dtype.kind]} cannot be compared with {names[level.dtype.kind]}")
    if not len(level) or not len(values):
        return np.zeros(len(values), dtype=np.int64), np.zeros(len(values), dtype=bool)
    fits = np.ones(len(values), dtype=bool)
    if level.dtype.kind != "U" and level.dtype != values.dtype:
        # NumPy would compare int64 with uint64 as floats, which rounds.
        fits = values >= 0 if values.dtype.kind == "i" else values <= np.uint64(np.iinfo(np.int64).max)
        values = np.where(fits, values, 0).astype(level.dtype)
    place = np.searchsorted(level, values).clip(0, len(level) - 1).astype(np.int64)
    return place, fits & (level[place] == values)


def _readable(values: NDArray[Any]) -> _Column:
    """Return a column as whole numbers or text."""
    kind = values.dtype.kind
    if kind == "f":
        # Beyond the mantissa neighbouring numbers fall together, so that they name nothing.
        limit = 2.0 ** (np.finfo(values.dtype).nmant + 1)
        defined = np.isfinite(values) & (np.abs(values) < limit)
        defined &= np.where(defined, values, 0) == np.trunc(np.where(defined, values, 0))
        return _Column(np.where(defined, values, 0).astype(np.int64), defined)
    if kind in "bi":
        return _Column(values.astype(np.int64), np.ones(len(values), dtype=bool))
    if kind == "u":
        return _Column(values.astype(np.uint64), np.ones(len(values), dtype=bool))
    if kind == "U":
        return _Column(values, values != "")
    raise ValueError(f"a key must be whole numbers or text, not {values.dtype}")


def _rows(columns: Sequence[NDArray[Any]], chosen: NDArray[np.bool_]) -> list[str]:
    return [f"row {row} ({_key_text(columns, row)})" for row in np.flatnonzero(chosen).tolist()]


def _twice(columns: Sequence[NDArray[Any]], code: NDArray[np.int64]) -> list[str]:
    order = np.argsort(code, kind="stable")
    starts = np.flatnonzero(np.diff(code[order], prepend=-1))
    groups = [rows for rows in np.split(order, starts[1:]) if len(rows) > 1]
    groups.sort(key=lambda rows: int(rows[0]))
    return [
        f"{_key_text(columns, int(rows[0]))} (rows {', '.join(map(str, rows[:_LISTED].tolist()))}"
        f"{', ...' if len(rows) > _LISTED else ''})"
        for rows in groups
    ]


def _key_text(columns: Sequence[NDArray[Any]], row: int) -> str:
    parts = [str(values[row]) or "empty" for values in columns]
    return parts[0] if len(parts) == 1 else f"({', '.join(parts)})"


def _listed(singular: str, plural: str, items: Sequence[str], end: str = "") -> str:
    more = f" and {len(items) - _LISTED:,} more" if len(items) > _LISTED else ""
    what = singular if len(items) == 1 else plural
    return f"{len(items):,} {what}{end}: {', '.join(items[:_LISTED])}{more}"
