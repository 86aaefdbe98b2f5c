"""Values of a truth table: plain types, missing as null, nothing lost."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal

import polars as pl
import pytest

from hitlens.errors import DataError
from hitlens.sql import plain_truth


@pytest.mark.parametrize(
    ("values", "dtype", "plain", "plain_dtype"),
    [
        ([1.5, float("nan")], pl.Float64, [1.5, None], pl.Float64),
        ([1.5, float("nan")], pl.Float32, [1.5, None], pl.Float32),
        (["a", "", "  "], pl.String, ["a", None, None], pl.String),
        (["a", "", "b"], pl.Categorical, ["a", None, "b"], pl.String),
        (["a", "b"], pl.Enum(["a", "b"]), ["a", "b"], pl.String),
        ([True, None], pl.Boolean, [True, None], pl.Boolean),
        ([date(2024, 5, 1), None], pl.Date, ["2024-05-01", None], pl.String),
        ([datetime(2024, 5, 1, 2)], pl.Datetime("ms"), ["2024-05-01 02:00:00.000"], pl.String),
        ([time(2, 3)], pl.Time, ["02:03:00"], pl.String),
        ([timedelta(hours=3)], pl.Duration, ["PT3H"], pl.String),
        ([Decimal("1.25"), None], pl.Decimal(10, 2), [1.25, None], pl.Float64),
        ([Decimal("7")], pl.Decimal(20, 0), [7], pl.Int64),
        ([2**62 + 1, -1], pl.Int128, [2**62 + 1, -1], pl.Int64),
        ([2**64 - 1, 0], pl.Int128, [2**64 - 1, 0], pl.UInt64),
    ],
)
def test_types(
    values: list[object], dtype: pl.DataType, plain: list[object], plain_dtype: pl.DataType
) -> None:
    column = plain_truth(pl.DataFrame({"a": pl.Series(values, dtype=dtype)}))["a"]
    assert (column.to_list(), column.dtype) == (plain, plain_dtype)


@pytest.mark.parametrize(
    "column",
    [
        pl.Series("a", [[1], [2]]),
        pl.Series("a", [{"x": 1}]),
        pl.Series("a", [b"x"]),
        pl.Series("a", [object()], dtype=pl.Object),
        pl.Series("a", [2**64 + 1, -3], dtype=pl.Int128),
        pl.Series("a", [Decimal("12345678901234567890.1")], dtype=pl.Decimal(30, 1)),
    ],
)
def test_refused(column: pl.Series) -> None:
    with pytest.raises(DataError, match="Truth column 'a'"):
        plain_truth(column.to_frame())


def test_a_plain_table_is_not_copied() -> None:
    table = pl.DataFrame({"a": [1, None], "b": [0.5, None], "c": ["x", None]})
    assert plain_truth(table) is table
