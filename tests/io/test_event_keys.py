"""Keys of events are compared without loss, and refused where they name no event or two."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitlens.io.event_keys import EventKeys, undefined_rows

HUGE = 2**63


@pytest.mark.parametrize(
    ("events", "rows", "positions"),
    [
        (np.array([HUGE + 1, HUGE, 2**64 - 1], "u8"), np.array([HUGE, HUGE + 1], "u8"), [1, 0]),
        (np.array([5, 2**64 - 1], "u8"), np.array([5, -1]), [0, -1]),
        (np.array([5, -1]), np.array([2**64 - 1, 5], "u8"), [-1, 0]),
        (np.array([-3, 2**53 + 1]), np.array([2**53, 2**53 + 1, -3]), [-1, 1, 0]),
        (np.array([-3, 4], "i2"), np.array([4.0, -3.0, 3.5, np.nan], "f4"), [1, 0, -1, -1]),
        (np.array([2**24, 2**24 + 1]), np.array([2**24], "f4"), [-1]),  # could be either
        (np.array(["b", "a"]), np.array(["a", "ab", "b", ""]), [1, -1, 0, -1]),
        (np.array([True, False]), np.array([0, 1]), [1, 0]),
        (np.zeros(0), np.array([1]), [-1]),
        (np.array([1]), np.zeros(0), []),
    ],
)
def test_keys_of_any_type_are_found(events: Any, rows: Any, positions: list[int]) -> None:
    assert EventKeys([events]).positions([rows]).tolist() == positions


@given(
    st.lists(st.tuples(*[st.integers(-3, 3)] * 3), min_size=1, max_size=30, unique=True),
    st.lists(st.tuples(*[st.integers(-4, 4)] * 3), max_size=30),
)
def test_several_columns_are_one_key(events: list[Any], rows: list[Any]) -> None:
    columns = list(np.array(events).T)
    found = EventKeys(columns).positions(list(np.array(rows, int).reshape(-1, 3).T))
    assert found.tolist() == [events.index(row) if row in events else -1 for row in rows]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ([[1, 2, 1, 2, 1]], r"^2 keys stand more than once: 1 \(rows 0, 2, 4\), 2 \(rows 1, 3\)$"),
        ([[1, 1, 1], ["a", "b", "a"]], r"^1 key stands more than once: \(1, a\) \(rows 0, 2\)$"),
        ([np.arange(14) // 2], r"^7 keys stand .*, 4 \(rows 8, 9\) and 2 more$"),
        ([[1, np.nan, 2.5]], r"^2 rows have no key: row 1 \(nan\), row 2 \(2\.5\)$"),
        ([["a", ""]], r"^1 row has no key: row 1 \(empty\)$"),
        ([np.array([2.0**53])], "1 row has no key"),
        ([np.array(["2020-01-01"], "M8[s]")], "whole numbers or text, not datetime64"),
    ],
)
def test_keys_that_do_not_name_one_event_are_refused(columns: list[Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        EventKeys([np.asarray(column) for column in columns])


def test_text_is_no_number() -> None:
    with pytest.raises(ValueError, match="numbers cannot be compared with text"):
        EventKeys([np.array(["1"])]).positions([np.array([1])])
    assert undefined_rows([np.array([1, 2]), np.array(["", "x"])]).tolist() == [True, False]
