"""The truth of DUNE events: types, what is legal, and the columns the files hold it in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hitlens.detectors.dune.description import FLAVOURS, INTERACTIONS, NC
from hitlens.errors import DataError
from hitlens.events import Events

#: Truth columns after the key, with their types.
TYPES: dict[str, Any] = {
    "flavour": pl.UInt8,
    "nu_pdg": pl.Int32,
    "nu_energy_gev": pl.Float32,
    "lep_energy_gev": pl.Float32,
    "interaction": pl.UInt8,
    "n_proton": pl.UInt8,
    "n_pion": pl.UInt8,
    "n_pizero": pl.UInt8,
    "n_neutron": pl.UInt8,
}

_COUNTS = ("n_proton", "n_pion", "n_pizero", "n_neutron")

#: What the files say of the interaction of a neutral-current event: its category, 13, modulo 4.
NC_INTERACTION = 1

Columns = Mapping[str, NDArray[Any]]


def find_faults(columns: Columns) -> dict[int, str]:
    """Return what is wrong with the truth of which event, one complaint an event.

    Args:
        columns: one array of shape (event,) for each of `TYPES`; an energy that is not known is NaN.

    Examples:
        >>> good = {name: np.ones(2) for name in TYPES}
        >>> find_faults(good | {"flavour": np.array([1, 7])})
        {1: 'flavour must be 0 to 3 (numu, nue, nutau, nc). Got 7'}
    """
    nc = columns["flavour"] == NC
    checks: list[tuple[str, NDArray[np.bool_], str]] = [
        ("flavour", ~np.isin(columns["flavour"], range(len(FLAVOURS))), _among(FLAVOURS)),
        ("interaction", ~nc & ~np.isin(columns["interaction"], range(4)), _among(INTERACTIONS)),
    ]
    for name in ("nu_energy_gev", "lep_energy_gev"):
        wrong = np.isinf(columns[name]) | (columns[name] < 0)
        checks.append((name, wrong, "a finite energy of at least 0 GeV"))
    checks += [
        (name, ~((columns[name] >= 0) & (columns[name] <= 255)), "a count from 0 to 255") for name in _COUNTS
    ]
    faults: dict[int, str] = {}
    for name, wrong, wanted in checks:
        for row in np.flatnonzero(wrong).tolist():
            faults.setdefault(row, f"{name} must be {wanted}. Got {columns[name][row]:g}")
    return faults


def truth_table(file: str, event: NDArray[Any], columns: Columns) -> pl.DataFrame:
    """Return the truth table of checked values.

    Args:
        file: name of the file or folder.
        event: number of each event in it, shape (event,).
        columns: as `find_faults`; NaN becomes null, as does the interaction of a neutral-current event.

    Examples:
        >>> made = {name: np.array([3.0, 1.0]) for name in TYPES}
        >>> truth_table("a.npz", np.array([0, 1]), made)["interaction"].to_list()
        [None, 1]
    """
    series = [
        pl.Series("file", [file] * len(event), dtype=pl.String),
        pl.Series("event", np.asarray(event, dtype=np.int64)),
    ]
    for name, dtype in TYPES.items():
        values = pl.Series(name, np.asarray(columns[name], dtype=np.float64))
        known = ~np.isnan(columns[name]) if name != "interaction" else columns["flavour"] != NC
        nothing = pl.Series([None] * len(values), dtype=pl.Float64)
        series.append(values.zip_with(pl.Series(known), nothing).cast(dtype))
    return pl.DataFrame(series)


def columns_of(events: Events) -> dict[str, NDArray[np.float64]]:
    """Return the truth of events as the files hold it, one array of shape (event,) by name.

    Raises:
        DataError: events of another detector, a column is missing, or a value is.
    """
    if events.detector != "dune":
        raise DataError(f"This layout holds events of 'dune'. Got '{events.detector}'.")
    missing = [name for name in ("event", *TYPES) if name not in events.truth.columns]
    if missing:
        raise DataError(
            f"This layout needs the truth of every event; these events have no {', '.join(missing)}. "
            "Write a native file (.h5) instead."
        )
    found = {}
    for name in TYPES:
        values = events.truth[name].cast(pl.Float64)
        if name == "interaction":
            values = values.fill_null(NC_INTERACTION)
        if values.null_count():
            raise DataError(f"This layout has no place for an unknown {name}. Write a native file (.h5).")
        found[name] = values.to_numpy()
    if faults := find_faults(found):
        row, words = next(iter(faults.items()))
        raise DataError(f"Event {row}: {words}.")
    return found


def _among(names: tuple[str, ...]) -> str:
    return f"0 to {len(names) - 1} ({', '.join(names)})"
