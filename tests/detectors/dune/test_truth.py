from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hitlens.detectors.dune.truth import TYPES, find_faults, truth_table


def columns(n: int = 3) -> dict[str, np.ndarray]:
    return {name: np.ones(n) for name in TYPES}


def test_types_and_unknown_values() -> None:
    made = columns() | {"nu_energy_gev": np.array([1.5, np.nan, 2.0]), "flavour": np.array([0.0, 1.0, 3.0])}
    table = truth_table("a", np.arange(3), made)
    assert dict(table.schema) == {"file": pl.String, "event": pl.Int64, **TYPES}
    assert table["nu_energy_gev"].to_list() == [1.5, None, 2.0]
    assert table["interaction"].to_list() == [1, 1, None]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("flavour", 4, "flavour must be 0 to 3"),
        ("flavour", 0.5, "flavour must be 0 to 3"),
        ("interaction", -1, "interaction must be 0 to 3"),
        ("lep_energy_gev", np.inf, "a finite energy"),
        ("n_neutron", 300, "a count from 0 to 255. Got 300"),
        ("n_neutron", np.nan, "a count from 0 to 255"),
    ],
)
def test_faults_name_the_event(name: str, value: float, words: str) -> None:
    made = columns()
    made[name][1] = value
    faults = find_faults(made)
    assert list(faults) == [1]
    assert words in faults[1]


def test_the_interaction_of_a_neutral_current_is_not_looked_at() -> None:
    made = columns() | {"flavour": np.full(3, 3.0), "interaction": np.full(3, np.nan)}
    assert find_faults(made) == {}
