from __future__ import annotations

import numpy as np
import pytest

from hitlens.detectors.cebr import DETECTOR
from hitlens.detectors.cebr.truth import VALUES, bad_counts, find_faults, truth_table

SINGLE = [0.5, 3.0, 4.0, 0.0, -100.0, -100.0]
DOUBLE = [0.5, 3.0, 4.0, 0.25, 7.0, 8.0]


def test_good_values_have_no_faults() -> None:
    assert find_faults(np.array([SINGLE, DOUBLE])) == []
    assert find_faults(np.empty((0, 6))) == []


@pytest.mark.parametrize(
    ("base", "value", "number", "words"),
    [
        (SINGLE, 0, np.nan, "finite"),
        (DOUBLE, 5, np.inf, "finite"),
        (SINGLE, 0, -0.1, "negative"),
        (DOUBLE, 3, -0.1, "negative"),
        (DOUBLE, 2, -100.0, "first electron must have a position"),
        (SINGLE, 4, 3.0, "single .* must have position -100"),
        (DOUBLE, 5, -100.0, "double .* must have a position"),
    ],
)
def test_each_fault_is_found(base: list[float], value: int, number: float, words: str) -> None:
    values = np.array([SINGLE, DOUBLE, base])
    values[2, value] = number
    (fault,) = find_faults(values)
    assert (fault.row, fault.value) == (2, value)
    import re

    assert re.search(words, fault.words)


def test_the_table_has_the_columns_of_the_description() -> None:
    table = truth_table("a.txt", np.array([3, 5]), np.array([SINGLE, DOUBLE]))
    assert table.columns == [column.name for column in DETECTOR.truth]
    assert table.row(1) == ("a.txt", 5, 2, *DOUBLE)
    assert table["x_2_px"].is_nan().to_list() == [True, False]
    assert table["x_2_px"].null_count() == 0
    assert truth_table("a.txt", np.array([3])).columns == ["file", "event"]


def test_the_values_are_not_changed() -> None:
    values = np.array([SINGLE])
    truth_table("a.txt", np.array([0]), values)
    assert values.tolist() == [SINGLE]


def test_bad_counts_of_integers_and_floats() -> None:
    assert bad_counts(np.array([[0, 65535], [65536, -1]])).tolist() == [[False, False], [True, True]]
    assert bad_counts(np.array([0.0, 0.5, np.inf])).tolist() == [False, True, True]
    assert len(VALUES) == 6
