"""The values of a truth table: numbers, texts, true or false, and null for whatever is missing."""

from __future__ import annotations

import polars as pl

from hitlens.errors import DataError


def missing_as_null(series: pl.Series) -> pl.Series:
    """Return a column in which NaN, also as text, and texts of blanks are null; itself without any.

    Examples:
        >>> missing_as_null(pl.Series([1.0, float("nan")])).to_list()
        [1.0, None]
        >>> missing_as_null(pl.Series(["mu", " ", "", "nan"])).to_list()
        ['mu', None, None, None]
    """
    if series.dtype.is_float():
        return series.fill_nan(None) if series.is_nan().any() else series
    if series.dtype == pl.String:
        blank = series.str.contains(r"(?i)^\s*(nan)?\s*$")  # NumPy makes "nan" of NaN among texts
        if blank.any():
            return pl.select(pl.when(~blank).then(pl.lit(series)).alias(series.name)).to_series()
    return series


def plain_truth(truth: pl.DataFrame) -> pl.DataFrame:
    """Return a table of numbers, texts and true or false, in which missing values are null.

    Categories and dates become texts (dates by ISO 8601, which sorts as they do), decimals and whole numbers
    of 128 bits become numbers of 64 bits that say the same.

    Raises:
        DataError: a column of another type, or with values that no plain number holds.

    Examples:
        >>> from datetime import date
        >>> plain_truth(pl.DataFrame({"when": [date(2024, 5, 1)], "q": [float("nan")]})).row(0)
        ('2024-05-01', None)
    """
    given = truth.get_columns()
    columns = [_plain(column) for column in given]
    changed = any(new is not old for new, old in zip(columns, given, strict=True))
    return pl.DataFrame(columns) if changed else truth


def _plain(series: pl.Series) -> pl.Series:
    dtype = series.dtype
    if dtype.is_temporal():
        return series.dt.to_string("iso")
    if dtype in (pl.Categorical, pl.Enum):
        series = series.cast(pl.String)
    elif isinstance(dtype, pl.Decimal) or dtype in (pl.Int128, pl.UInt128):
        return _of_64_bits(series)
    elif dtype == pl.Float16:
        series = series.cast(pl.Float32)
    elif not (dtype.is_numeric() or dtype in (pl.String, pl.Boolean, pl.Null)):
        raise DataError(
            f"Truth column '{series.name}' must hold numbers, texts or true/false. Got {dtype}. "
            "Write it as one of these, or leave the column out."
        )
    return missing_as_null(series)


def _of_64_bits(series: pl.Series) -> pl.Series:
    for dtype in (pl.Int64(), pl.UInt64(), pl.Float64()):
        narrow = series.cast(dtype, strict=False)
        if narrow.cast(series.dtype, strict=False).eq_missing(series).all():
            return narrow
    raise DataError(
        f"Truth column '{series.name}' holds numbers ({series.dtype}) that 64 bits do not. "
        "Write it as text if it names events, or rounded."
    )
