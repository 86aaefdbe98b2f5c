"""The curve through the total charge: monotone either way, in the units of the target."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hitlens.detector import Task
from hitlens.evaluate.calorimetric import fit_calorimetric

TASK = Task(name="e", kind="regression", meaning="", columns=("e", "y"), units=("GeV", ""))


def test_both_columns_follow_the_charge_whichever_way() -> None:
    rng = np.random.default_rng(1)
    charge = rng.uniform(100, 5000, 3000)
    target = np.stack([charge / 500 + rng.normal(0, 0.3, 3000), 1 - charge / 6000], axis=1)
    method = fit_calorimetric(TASK, pl.DataFrame({"seen_charge": charge, "other": charge * 0}), target)
    found = method(pl.DataFrame({"seen_charge": [500.0, 2500.0, 1e6]}))
    assert found["e"].tolist() == pytest.approx([1, 5, 10], abs=0.5)
    assert found["y"].tolist() == pytest.approx([1 - 5 / 60, 1 - 25 / 60, 1 / 6], abs=0.01)
    many = method(pl.DataFrame({"seen_charge": np.sort(charge)}))
    assert (np.diff(many["e"]) >= 0).all()
    assert (np.diff(many["y"]) <= 0).all()


def test_a_quantity_the_charge_says_nothing_of_gets_its_mean() -> None:
    charge = pl.DataFrame({"seen_charge": np.full(10, 7.0)})
    target = np.stack([np.arange(10.0), np.ones(10)], axis=1)
    found = fit_calorimetric(TASK, charge, target)(charge)
    assert set(found["e"]) == {4.5}
    assert set(found["y"]) == {1.0}
    assert fit_calorimetric(TASK, charge, target)(charge[:0])["e"].shape == (0,)
