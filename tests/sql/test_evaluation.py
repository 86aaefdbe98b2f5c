"""What SQL expressions give: missing satisfies nothing, and numbers are what they are."""

from __future__ import annotations

import time
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitlens.errors import SelectionError
from hitlens.sql import evaluate

_NAN = float("nan")

TABLE = pl.DataFrame(
    {
        "q": [3.0, _NAN, 1.0, None],
        "n": [3, None, 1, 2],
        "good": [True, None, False, True],
        "name": ["mu", "", " \t", "e"],
        "small": pl.Series([1, 2, 3, 255], dtype=pl.UInt8),
        "big": pl.Series([1, 2, 3, 2**64 - 1], dtype=pl.UInt64),
        "f": pl.Series([0.1, 0.2, None, 0.4], dtype=pl.Float32),
        "zero": [0.0, 0.0, 1.0, -1.0],
    }
)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("q > 2", [True, None, False, None]),
        ("NOT q > 2", [False, None, True, None]),
        ("q <> 3", [False, None, True, None]),
        ("q NOT IN (3, 7)", [False, None, True, None]),
        ("q IN (3, NULL)", [True, None, None, None]),
        ("q NOT BETWEEN 2 AND 4", [False, None, True, None]),
        ("q > 2 OR TRUE", [True, True, True, True]),
        ("q > 2 AND FALSE", [False, False, False, False]),
        ("q > 2 OR n = 2", [True, None, False, True]),
        ("q IS NULL", [False, True, False, True]),
        ("q IS NOT NULL", [True, False, True, False]),
        ("q = NULL", [None] * 4),
        ("1 - (q > 2)", [0, None, 1, None]),
        ("CASE WHEN q > 2 THEN 1 ELSE 0 END", [1, None, 0, None]),
        ("CASE WHEN q < 1.5 THEN 0 WHEN q < 2.5 THEN 1 ELSE 2 END", [2, None, 0, None]),
        ("CASE WHEN q IS NULL THEN 9 WHEN q > 2 THEN 1 ELSE 0 END", [1, 9, 0, 9]),
        ("CASE WHEN COALESCE(q, 0) > 2 THEN 1 ELSE 0 END", [1, 0, 0, 0]),
        ("CASE n WHEN 3 THEN 'three' ELSE 'other' END", ["three", None, "other", "other"]),
        ("GREATEST(q, 2)", [3.0, None, 2.0, None]),
        ("LEAST(2, q, n)", [2.0, None, 1.0, None]),
        ("good", [True, None, False, True]),
        ("NOT good", [False, None, True, False]),
        ("good = 1", [True, None, False, True]),
        ("good IS NOT TRUE", [False, True, True, False]),
        ("name = ''", [False, None, None, False]),
        ("name <> 'mu'", [False, None, None, True]),
        ("name LIKE 'm_'", [True, None, None, False]),
        ("name || '!'", ["mu!", None, None, "e!"]),
        ("zero / zero > 0", [None, None, True, True]),
        ("SQRT(zero) >= 0", [True, True, True, None]),
        ("LN(zero) < 5", [True, True, True, None]),
        ("1 / zero > 5", [True, True, False, False]),
    ],
)
def test_missing_satisfies_nothing(text: str, values: list[Any]) -> None:
    assert evaluate(TABLE, text).to_list() == values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("small - 5", [-4, -3, -2, 250]),
        ("small * small", [1, 4, 9, 65025]),
        ("-small", [-1, -2, -3, -255]),
        ("big = 18446744073709551615", [False, False, False, True]),
        ("big % 10", [1, 2, 3, 5]),
        ("big > -1", [True] * 4),
        ("f = 0.1", [True, False, None, False]),
        ("f > 0.1", [False, True, None, True]),
        ("n + 0.5", [3.5, None, 1.5, 2.5]),
        ("n / 2", [1.5, None, 0.5, 1.0]),
        ("n // 2", [1, None, 0, 1]),
        ("9223372036854775807 + small", [2**63, 2**63 + 1, 2**63 + 2, 2**63 + 254]),
        ("CAST('12' AS INT)", [12] * 4),
        ("2 + 3 * 2 - 1", [7] * 4),
        ("(small & 2) = 2", [False, True, True, True]),
    ],
)
def test_numbers_do_not_run_over(text: str, values: list[Any]) -> None:
    assert evaluate(TABLE, text).to_list() == values


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("label > 2", "unknown column"),
        ("n = 'x'", "mixes number and text"),
        ("n AND good", "needs a condition"),
        ("SQRT(name)", "needs a number in SQRT, not a text"),
        ("CAST(name AS INT)", "cannot be evaluated"),
        ("REGEXP_LIKE(name, '(')", "cannot be evaluated"),
        ("ROUND(q, n)", "written-out value in ROUND"),
    ],
)
def test_what_cannot_be_evaluated_is_said(text: str, words: str) -> None:
    with pytest.raises(SelectionError, match=words):
        evaluate(TABLE, text)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.none() | st.floats(allow_nan=True, allow_infinity=False, width=32), max_size=12),
    st.floats(-5, 5),
)
def test_a_condition_and_its_opposite_leave_out_the_missing(values: list[float | None], cut: float) -> None:
    table = pl.DataFrame({"q": pl.Series(values, dtype=pl.Float64)})
    known = [value is not None and value == value for value in values]
    for text in (f"q > {cut}", f"q <= {cut}", f"q = {cut}", f"ABS(q) * 2 > {cut}"):
        yes, no = (evaluate(table, one).fill_null(False) for one in (text, f"NOT ({text})"))
        assert (yes | no).to_list() == known
        assert not (yes & no).any()


def test_a_thousand_conditions_take_no_time() -> None:
    table = pl.DataFrame({"a": range(1_000)})
    started = time.perf_counter()
    assert evaluate(table, " AND ".join(["a > 1"] * 1_000)).sum() == 998
    assert evaluate(table, "a IN (" + ", ".join(map(str, range(4_000))) + ")").all()
    assert time.perf_counter() - started < 2


def test_no_rows_and_one_row() -> None:
    for n in (0, 1):
        part = TABLE.head(n)
        assert len(evaluate(part, "CASE WHEN q > 2 THEN 1 ELSE 0 END")) == n
        assert len(evaluate(part, "GREATEST(q, 2) > 1 AND TRUE")) == n
        assert len(evaluate(part, "TRUE")) == n
