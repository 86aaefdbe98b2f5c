"""Quantities of the events: the detector's slices first, each condition the same in SQL and as a mask."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hitlens.detector import Detector, SliceVariable, TruthColumn, View
from hitlens.evaluate.metadata import Metadata, describe_metadata
from hitlens.evaluate.slices import bin_events
from hitlens.events import evaluate_condition

VIEW = View(name="v", shape=(2, 2), axes=("x", "y"), pitch_mm=(1, 1), unit="")
COLUMNS = (
    TruthColumn(name="run", meaning="run", role="key"),
    TruthColumn(name="e", meaning="energy", unit="GeV"),
    TruthColumn(name="code", meaning="kind", codes=((0, "QE"), (1, "DIS"))),
    TruthColumn(name="mode", meaning="mode", expression="code + 0"),
    TruthColumn(name="vtx", meaning="vertex", unit="cm"),
    TruthColumn(name="number", meaning="number of the record"),
    TruthColumn(name="n", meaning="particles"),
    TruthColumn(name="same", meaning="always the same"),
    TruthColumn(name="double", meaning="twice the energy", expression="2 * e"),
)
SLICES = (
    SliceVariable(
        name="energy", label="energy", expression="e", edges=(0, 1, 3, 9), unit="GeV", selection="n > 0"
    ),
    SliceVariable(name="mode", label="mode", expression="mode", edges=(-0.5, 0.5, 1.5), labels=("QE", "DIS")),
    SliceVariable(name="size", label="hits", expression="seen_hits", edges=(0, 50, 1000)),
)


def truth(n: int = 200) -> pl.DataFrame:
    rng = np.random.default_rng(1)
    code = rng.integers(0, 2, n)
    energy = rng.exponential(2, n)
    return pl.DataFrame(
        {"run": np.arange(n), "seen_hits": rng.integers(20, 200, n), "e": energy, "code": code, "mode": code}
        | {"vtx": rng.normal(size=n), "number": rng.permutation(n), "n": rng.integers(0, 4, n)}
        | {"same": np.ones(n), "double": 2 * energy}
    )


def described(slices: tuple[SliceVariable, ...]) -> dict[str, Metadata]:
    detector = Detector(name="demo", title="", views=(VIEW,), truth=COLUMNS, tasks=(), slices=slices)
    table = truth()
    return {one.name: one for one in describe_metadata(table, detector, bin_events(table, detector))}


def test_slices_come_first_and_columns_they_show_are_not_said_twice() -> None:
    assert list(described(SLICES)) == ["energy", "mode", "size", "vtx", "n"]


def test_without_slices_the_columns_themselves_serve() -> None:
    found = described(())
    assert list(found) == ["e", "code", "mode", "vtx", "n", "double"]
    assert [one.words for one in found["code"].conditions] == ["kind: QE", "kind: DIS"]
    assert len(found["e"].conditions) == 4


@pytest.mark.parametrize("slices", [SLICES, ()])
def test_a_condition_is_the_same_in_sql_and_as_a_mask(slices: tuple[SliceVariable, ...]) -> None:
    table = truth()
    for one in described(slices).values():
        held = np.zeros(len(table), dtype=int)
        for condition in one.conditions:
            assert condition.words
            np.testing.assert_array_equal(
                evaluate_condition(table, condition.sql), condition.holds, condition.sql
            )
            held += condition.holds
        assert held.max() == 1


def test_a_quantity_has_no_value_where_it_has_no_meaning() -> None:
    energy = described(SLICES)["energy"]
    np.testing.assert_array_equal(np.isnan(energy.values), truth()["n"].to_numpy() == 0)
    assert energy.conditions[0].sql == "e >= 0 AND e < 1 AND (n > 0)"
    assert energy.conditions[2].sql == "e >= 3 AND e <= 9 AND (n > 0)"
    assert [one.sql for one in described(SLICES)["mode"].conditions] == ["mode = 0", "mode = 1"]
