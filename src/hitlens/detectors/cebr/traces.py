"""Trace files `training_pm*.dat`: one sampled anode signal an event, with the pulses it was made of.

Traces are not images of the anode: they come as a view "trace" of shape (1, 200), one row of samples, with a
truth table of their own, so that no model for images takes them by mistake.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hitlens.detectors.cebr.columns import TRACES
from hitlens.detectors.cebr.truth import truth_table
from hitlens.events import Events
from hitlens.io.pixels import does_not_fit
from hitlens.io.text import Problem, Rows, TableFormat, read_rows

N_SAMPLES = 200


#: Fields before the samples: the columns above, with the number of samples as second.
N_HEAD = len(TRACES) + 1


def pulse_shape(truth: NDArray[np.float64], n_samples: int = N_SAMPLES) -> NDArray[np.float64]:
    """Return the noiseless traces, shape (event, n_samples).

    ``v = offset + sum of A exp(-decay (t - pos)) / (1 + exp(-rise (t - pos)))``

    Args:
        truth: the columns of `columns.TRACES`, shape (event, 10).
        n_samples: samples a trace.

    Examples:
        >>> one = np.array([[1, 1000, 1, 0.06, 50, 20, 0, np.nan, np.nan, np.nan]])
        >>> pulse_shape(one)[0, [0, 50]].round(3).tolist()
        [20.0, 520.0]
    """
    t = np.arange(n_samples)
    trace = np.repeat(truth[:, 5, None], n_samples, axis=1)
    for first in (1, 6):
        amplitude, rise, decay, position = truth[:, first : first + 4].T[:, :, None]
        since = t - np.where(amplitude > 0, position, 0.0)
        pulse = np.exp(-decay * since) / (1 + np.exp(-rise * since))
        trace += np.where(amplitude > 0, amplitude * pulse, 0.0)
    return trace


def read_traces(path: Path, block: int, skipped: list[str] | None = None) -> Iterator[Events]:
    """Yield traces as events with one view, "trace", float32 of shape (event, 1, 200).

    Args:
        path: the file, plain or gzipped.
        block: events a block.
        skipped: None refuses a file with a bad event; a list receives one message a bad event instead.

    Raises:
        NotFoundError: there is no such file.
        FileFormatError: a malformed event, an empty file, or one that is cut short or not text.
    """
    table = TableFormat(n_counts=0, n_values=N_HEAD + N_SAMPLES, check=_check)
    for rows in read_rows(path, table, block, skipped):
        numbers = np.delete(rows.values[:, :N_HEAD], 1, axis=1)
        numbers[np.ix_(numbers[:, 0] == 1, [7, 8, 9])] = np.nan
        columns = [
            pl.Series(column.name, numbers[:, i], dtype=pl.UInt8 if i == 0 else pl.Float64, strict=False)
            for i, column in enumerate(TRACES)
        ]
        traces = rows.values[:, None, N_HEAD:].astype(np.float32)
        truth = truth_table(path.name, rows.positions).with_columns(columns)
        yield Events({"trace": traces}, truth, "cebr")


def _check(rows: Rows) -> list[Problem]:
    n_pulses, n_samples, second = rows.values[:, 0], rows.values[:, 1], rows.values[:, 7]
    tests = (
        (~np.isin(n_pulses, (1, 2)), 0, "the number of pulses must be 1 or 2"),
        (n_samples != N_SAMPLES, 1, f"the number of samples must be {N_SAMPLES}"),
        ((n_pulses == 1) != (second == 0), 7, "amplitude 2 must be 0 for one pulse and only then"),
    )
    beyond = does_not_fit(rows.values[:, N_HEAD:], "float32")
    return [
        Problem(
            row,
            N_HEAD + sample + 1,
            f"float32 must hold a sample. Got {rows.values[row, N_HEAD + sample]:g}.",
        )
        for row, sample in np.argwhere(beyond).tolist()
    ] + [
        Problem(row, column + 1, f"{words}. Got {rows.values[row, column]:g}.")
        for wrong, column, words in tests
        for row in np.flatnonzero(wrong).tolist()
    ]
