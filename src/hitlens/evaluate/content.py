"""The checksum of a table and what is said of it, the same whatever file keeps them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

#: Rows looked at together.
_BLOCK = 1 << 18


def content_sha256(about: Mapping[str, Any], table: pl.LazyFrame) -> str:
    """Return the sha256 of a table's values and of what is said of it; it depends on no file format.

    Formats without missing values keep them as NaN and as empty texts: to the checksum they are equal.

    Args:
        about: anything JSON can hold.
        table: columns of numbers, texts and true or false.

    Examples:
        >>> one, other = ({"q": [1.0, missing]} for missing in (None, float("nan")))
        >>> content_sha256({}, pl.LazyFrame(one)) == content_sha256({}, pl.LazyFrame(other))
        True
    """
    digests: dict[str, Any] = {}
    start = 0
    while len(rows := table.slice(start, _BLOCK).collect()):
        for column in rows:
            for part, content in _parts(column):
                digests.setdefault(f"{column.name}/{part}", hashlib.sha256()).update(content)
        start += len(rows)
    parts = {name: digest.hexdigest() for name, digest in digests.items()}
    whole = {"about": about, "rows": start, "columns": parts}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def _parts(column: pl.Series) -> tuple[tuple[str, bytes], ...]:
    """Return the bytes that make up a column; those of its blocks follow each other."""
    if column.dtype == pl.String:
        texts = column.fill_null("")
        lengths = texts.str.len_bytes().to_numpy().astype("<u4")
        return (("lengths", lengths.tobytes()), ("texts", texts.str.join("").item().encode()))
    if column.dtype.is_float():
        values = column.fill_null(float("nan")).to_numpy()
        return (("values", np.where(np.isnan(values), np.array(np.nan, values.dtype), values).tobytes()),)
    known = column.is_not_null().to_numpy()
    filled = column.fill_null(False if column.dtype == pl.Boolean else 0).to_numpy()
    return (("values", filled.tobytes()), ("known", known.tobytes()))
