"""The six numbers of a CeBr event, `E1 x1 y1 E2 x2 y2`, and the truth table they become."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hitlens.errors import DataError
from hitlens.events import Events
from hitlens.io.pixels import does_not_fit

#: Columns of the six numbers, in the order of the files.
VALUES = ("energy_1_mev", "x_1_px", "y_1_px", "energy_2_mev", "x_2_px", "y_2_px")
#: What the files hold where there is no second electron.
NO_POSITION_PX = -100.0

SHAPE = (16, 16)
MAX_COUNT = 65535


@dataclass(frozen=True)
class Fault:
    """A number that makes no sense.

    Attributes:
        row: index of the event.
        value: index of the number, 0 to 5.
        words: what is wrong.
    """

    row: int
    value: int
    words: str


def find_faults(
    values: NDArray[np.float64], told_single: str = "energy 2 is 0", told_double: str = "energy 2 is not 0"
) -> list[Fault]:
    """Return what contradicts the layout: every number must be there, and a single has no second electron.

    Args:
        values: `E1 x1 y1 E2 x2 y2` of each event, shape (event, 6).
        told_single: what tells that an event is a single.
        told_double: what tells that it is a double.

    Examples:
        >>> find_faults(np.array([[0.5, 3, 4, 0, -100, -100], [0.5, 3, 4, 0, 2, -100]]))[0].words
        'a single (energy 2 is 0) must have position -100. Got 2'
    """
    energy, position = values[:, [0, 3]], values[:, [1, 2, 4, 5]]
    single = energy[:, 1] == 0
    missing = position == NO_POSITION_PX
    tests = [
        (~np.isfinite(values), range(6), "the value must be a finite number. Got {:g}"),
        (energy < 0, (0, 3), "an energy must not be negative. Got {:g}"),
        (missing[:, :2], (1, 2), "the first electron must have a position. Got {:g}"),
        (
            single[:, None] & ~missing[:, 2:],
            (4, 5),
            f"a single ({told_single}) must have position -100. Got {{:g}}",
        ),
        (
            ~single[:, None] & missing[:, 2:],
            (4, 5),
            f"a double ({told_double}) must have a position. Got {{:g}}",
        ),
    ]
    faults: dict[int, Fault] = {}
    for wrong, columns, words in tests:
        for row, k in np.argwhere(wrong).tolist():
            faults.setdefault(row, Fault(row, columns[k], words.format(values[row, columns[k]])))
    return sorted(faults.values(), key=lambda fault: fault.row)


def truth_table(
    file: str, positions: NDArray[np.int64], values: NDArray[np.float64] | None = None
) -> pl.DataFrame:
    """Return the truth table of events from one file.

    Args:
        file: name of the file.
        positions: position of each event in the file, from 0, shape (event,).
        values: `E1 x1 y1 E2 x2 y2` of each event, shape (event, 6); None where the truth is unknown.

    Examples:
        >>> truth_table("a.txt", np.array([0]), np.array([[0.5, 3, 4, 0, -100, -100]])).row(0)
        ('a.txt', 0, 1, 0.5, 3.0, 4.0, 0.0, nan, nan)
    """
    names = pl.select(pl.repeat(file, len(positions), dtype=pl.String).alias("file")).to_series()
    key = [names, pl.Series("event", positions, dtype=pl.Int64)]
    if values is None:
        return pl.DataFrame(key)
    columns = np.array(values.T, dtype=np.float64, order="C")
    single = columns[3] == 0
    columns[4:, single] = np.nan
    n_electrons = pl.Series("n_electrons", np.where(single, 1, 2).astype(np.uint8))
    numbers = [pl.Series(name, column) for name, column in zip(VALUES, columns, strict=True)]
    return pl.DataFrame([*key, n_electrons, *numbers])


def values_of(events: Events) -> NDArray[np.float64]:
    """Return `E1 x1 y1 E2 x2 y2` of each event as the files hold them, shape (event, 6).

    Raises:
        DataError: a column is missing, a value is not finite, or the number of electrons does not fit.
    """
    missing = [name for name in ("n_electrons", *VALUES) if name not in events.truth.columns]
    if missing:
        raise DataError(
            f"This layout needs the truth of every event; these events have no {', '.join(missing)}. "
            "Write a native file (.h5) instead."
        )
    table = events.truth.select(pl.col(VALUES).cast(pl.Float64).fill_null(np.nan))
    values = np.array(table.to_numpy(), dtype=np.float64)
    n_electrons = events.truth["n_electrons"].fill_null(0).to_numpy()
    single = n_electrons == 1
    values[np.ix_(single, [4, 5])] = NO_POSITION_PX
    wrong = ~np.isin(n_electrons, (1, 2)) | (single != (values[:, 3] == 0))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            "This layout tells singles by energy_2_mev = 0, doubles by another. "
            f"Event {row} has n_electrons {n_electrons[row]} and energy_2_mev {values[row, 3]:g}."
        )
    if faults := find_faults(values):
        fault = faults[0]
        raise DataError(f"Event {fault.row}, column {VALUES[fault.value]}: {fault.words}.")
    return values


def counts_of(events: Events) -> NDArray[np.uint16]:
    """Return the images as counts, shape (event, 16, 16).

    Raises:
        DataError: other events than CeBr's, or pixels that are not whole numbers from 0 to 65,535.
    """
    if events.detector != "cebr":
        raise DataError(f"This layout holds events of 'cebr'. Got '{events.detector}'.")
    images = events.dense("anode", SHAPE)
    if images.shape[1:] != SHAPE:
        raise DataError(f"Images must have shape {SHAPE}. Got {images.shape[1:]}.")
    if images.dtype == np.uint16:
        return images
    wrong = bad_counts(images)
    if wrong.any():
        event, ix, iy = np.argwhere(wrong)[0].tolist()
        raise DataError(
            f"Pixels must be whole numbers from 0 to {MAX_COUNT} in this layout. "
            f"Event {event} has {images[event, ix, iy]:g} at ({ix}, {iy})."
        )
    return images.astype(np.uint16)


def bad_counts(pixels: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Return where pixels are not whole numbers from 0 to 65,535.

    Args:
        pixels: values of any type and shape.

    Examples:
        >>> bad_counts(np.array([0, 2.5, -1, np.nan, 65535])).tolist()
        [False, True, True, True, False]
    """
    return does_not_fit(pixels, "uint16")
