"""Experimental CeBr images: `anodedata_*.txt` and `decaydata_*.txt`; there is no truth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hitlens.detectors.cebr.columns import EXPERIMENT
from hitlens.detectors.cebr.truth import SHAPE, truth_table
from hitlens.events import Events
from hitlens.io.pixels import does_not_fit
from hitlens.io.text import Problem, Rows, TableFormat, read_rows

N_PIXELS = 256
_WHOLE = ("event_id", "descriptor")


def read_experiment(path: Path, kind: str, block: int, skipped: list[str] | None = None) -> Iterator[Events]:
    """Yield experimental events; pixels are charges (float32), the key is the event's own number.

    Where a file gives a number twice, the key is the position in the file; `event_id` keeps the number.
    Rows 0 and 15 and pixel (3, 13) were dead in the experiment; they are left as they are.

    Args:
        path: the file, plain or gzipped.
        kind: "anodedata" or "decaydata".
        block: events a block.
        skipped: None refuses a file with a bad event; a list receives one message a bad event instead.

    Raises:
        NotFoundError: there is no such file.
        FileFormatError: a malformed event, an empty file, or one that is cut short or not text.
    """
    names = [column.name for column in EXPERIMENT[kind]]

    def check(rows: Rows) -> list[Problem]:
        return [Problem(row, column + 1, words) for row, column, words in _faults(rows.values, names)]

    table = TableFormat(n_counts=0, n_values=len(names) + N_PIXELS, check=check)
    dry = None if skipped is None else list[str]()
    ids = np.concatenate([rows.values[:, 0] for rows in read_rows(path, table, block, dry)])
    is_unique = len(np.unique(ids)) == len(ids)
    for rows in read_rows(path, table, block, skipped):
        key = rows.values[:, 0].astype(np.int64) if is_unique else rows.positions
        numbers = [
            pl.Series(name, rows.values[:, i], dtype=pl.Int64 if name in _WHOLE else pl.Float64, strict=False)
            for i, name in enumerate(names)
        ]
        images = rows.values[:, len(names) :].astype(np.float32).reshape(-1, *SHAPE)
        yield Events({"anode": images}, truth_table(path.name, key).with_columns(numbers), "cebr")


def _faults(values: NDArray[np.float64], names: list[str]) -> list[tuple[int, int, str]]:
    faults: list[tuple[int, int, str]] = []
    for column, name in enumerate(names):
        if name in _WHOLE:
            number = values[:, column]
            rows = np.flatnonzero((number < 0) | (number != np.floor(number))).tolist()
            words = f"{name} must be a whole number. Got "
            faults.extend((row, column, f"{words}{number[row]:g}.") for row in rows)
    pixels = values[:, len(names) :]
    negative = pixels < 0
    for row in np.flatnonzero(negative.any(axis=1)).tolist():
        pixel = int(np.argmax(negative[row]))
        faults.append((row, len(names) + pixel, f"a pixel must not be negative. Got {pixels[row, pixel]:g}."))
    beyond = does_not_fit(pixels, "float32")
    for row in np.flatnonzero(beyond.any(axis=1)).tolist():
        pixel = int(np.argmax(beyond[row]))
        words = f"a pixel must be a number that float32 holds. Got {pixels[row, pixel]:g}."
        faults.append((row, len(names) + pixel, words))
    return faults
