"""Targets: what each head is to predict, and where it is defined."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hitlens.datasets.targets import class_indices, count_undefined, encode_target, present_classes, strata_of
from hitlens.detector import Task
from hitlens.detectors import get_detector
from hitlens.errors import DataError, SelectionError

CEBR = get_detector("cebr")
NAN = float("nan")
TRUTH = pl.DataFrame(
    {
        "n_electrons": [1, 2, None],
        "energy_1_mev": [0.5, 0.2, 0.1],
        "x_1_px": [1.0, 2.0, 3.0],
        "y_1_px": [4.0, 5.0, 6.0],
        "energy_2_mev": [0.0, 0.3, 0.0],
        "x_2_px": [NAN, 7.0, NAN],
        "y_2_px": [NAN, 8.0, NAN],
    }
)


def test_classes_and_unknown_events() -> None:
    target = encode_target(TRUTH, CEBR.task("multiplicity"))
    assert target.values[:2, 0].tolist() == [0.0, 1.0]
    assert target.defined.tolist() == [True, True, False]


def test_values_where_the_selection_holds() -> None:
    target = encode_target(TRUTH, CEBR.task("double"))
    assert target.defined.tolist() == [False, True, False]
    assert target.values[1] == pytest.approx([0.2, 2, 5, 0.3, 7, 8])


def test_a_missing_column_is_named() -> None:
    with pytest.raises(SelectionError, match="x_1_px"):
        encode_target(TRUTH.drop("x_1_px"), CEBR.task("single_position"))


def test_an_infinite_target_is_refused_and_a_missing_one_is_undefined() -> None:
    task = CEBR.task("double_position")
    with pytest.raises(DataError, match="finite"):
        encode_target(TRUTH.with_columns(x_2_px=pl.lit(float("inf"))), task)
    for missing in (NAN, None):
        truth = TRUTH.with_columns(x_2_px=pl.lit(missing, pl.Float64))
        assert not encode_target(truth, task).defined.any()
        reasons = count_undefined(truth, (task,), task.name)
        assert reasons == {"no target for double_position": 2, "target of double_position missing": 1}


@pytest.mark.parametrize(
    ("values", "target"),
    [
        ([1.0, NAN, 0.0, None], "v = 1"),
        ([3, None, 0, None], "v > 2"),
        (["sig", "", "bkg", None], "v = 'sig'"),
        ([True, None, False, None], "v"),
        ([3.0, NAN, 1.0, None], "CASE WHEN v > 2 THEN 1 ELSE 0 END"),
        ([4.0, -1.0, 0.0, None], "SQRT(v) > 1"),
        ([1.0, NAN, 0.0, None], "NOT v <> 1"),
        ([0.0, NAN, 1.0, None], "1 - (v > 0.5)"),
    ],
)
def test_a_missing_value_is_no_class(values: list[object], target: str) -> None:
    task = Task(name="t", kind="binary", meaning="", target=target, class_names=("bkg", "sig"))
    truth = pl.DataFrame({"v": pl.Series(values)})
    assert class_indices(truth, task).tolist() == [1, -1, 0, -1]
    assert encode_target(truth, task).defined.tolist() == [True, False, True, False]
    assert strata_of(truth, (task,)).tolist() == [2, 0, 1, 0]


def test_infinite_and_broken_numbers_are_no_class() -> None:
    truth = pl.DataFrame({"v": [1.0, 2.0], "w": [0.0, 4.0]})
    for target in ("v / w", "v / 4", "LN(w)"):
        task = Task(name="t", kind="binary", meaning="", target=target, class_names=("bkg", "sig"))
        with pytest.raises(DataError, match="classes 0 to 1"):
            class_indices(truth, task)


def test_texts_are_no_target() -> None:
    truth = pl.DataFrame({"v": ["1", "0"]})
    task = Task(name="t", kind="binary", meaning="", target="v", class_names=("bkg", "sig"))
    with pytest.raises(SelectionError, match=r"target of task 't'.*not texts"):
        class_indices(truth, task)
    task = Task(name="t", kind="regression", meaning="", columns=("v",), units=("mm",))
    with pytest.raises(SelectionError, match="'v' holds texts"):
        encode_target(truth, task)


def test_a_missing_class_is_not_present() -> None:
    names = ("mu", "tau", "e")
    task = Task(
        name="f", kind="multiclass", meaning="", target="f", class_names=names, optional_classes=("tau",)
    )
    smaller = present_classes(pl.DataFrame({"f": [0.0, NAN, 2.0]}), task)
    assert smaller.class_names == ("mu", "e")
    assert class_indices(pl.DataFrame({"f": [0.0, NAN, 2.0, 1.0]}), smaller).tolist() == [0, -1, 1, -1]


def test_a_class_outside_the_task_is_refused() -> None:
    task = CEBR.task("multiplicity").model_copy(update={"target": "n_electrons"})
    with pytest.raises(DataError, match="classes 0 to 1"):
        encode_target(TRUTH, task)


def test_strata_tell_classes_apart() -> None:
    strata = strata_of(TRUTH, (CEBR.task("multiplicity"),))
    assert len(np.unique(strata)) == 3
    assert strata[2] == 0


COUNT = CEBR.task("single_energy").model_copy(update={"columns": ("n",), "selection": "TRUE"})


@pytest.mark.parametrize("values", [[1_700_000_001, 1_700_000_002], [2**53, -(2**53)], [0, 2**53 - 1]])
def test_whole_numbers_are_exact(values: list[int]) -> None:
    assert encode_target(pl.DataFrame({"n": values}), COUNT).values[:, 0].tolist() == values


@pytest.mark.parametrize("values", [[0, 2**53 + 1], [-(2**63), 0], [2**64 - 1, None]])
def test_whole_numbers_that_would_be_rounded_are_refused(values: list[int | None]) -> None:
    kind = pl.UInt64 if 2**64 - 1 in values else pl.Int64
    with pytest.raises(DataError, match=r"'n', whole numbers up to \d+: above 2\*\*53 they would be rounded"):
        encode_target(pl.DataFrame({"n": pl.Series(values, dtype=kind)}).fill_null(1), COUNT)
