"""Truth columns of every type a file can hold: kept as they are, missing included, or refused."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from hitlens.errors import HitlensError
from hitlens.events import Events
from hitlens.workflow.data import read_events

YAML = """
name: toy
title: Toy
views:
  - {name: v, shape: [2, 2], axes: [row, col], pitch_mm: [1.0, 1.0], unit: counts, dtype: uint16}
truth:
  - {name: t, meaning: anything}
tasks:
  - {name: one, kind: binary, meaning: x, target: "t = 1", class_names: [low, high]}
files:
  - {name: f, kind: KIND, images: {v: {dense: images}}, truth: {t: t}}
"""


def read(folder: Path, values: pl.Series | np.ndarray[Any, Any], name: str = "e") -> Events:
    kind = "parquet" if isinstance(values, pl.Series) else "npz"
    path, description = folder / f"{name}.{kind}", folder / f"{kind}.yaml"
    description.write_text(YAML.replace("KIND", kind), encoding="utf-8")
    images = np.ones((len(values), 2, 2), dtype=np.uint16)
    if isinstance(values, pl.Series):
        column = pl.Series("images", images, dtype=pl.Array(pl.UInt16, (2, 2)))
        pl.DataFrame([column, values.alias("t")]).write_parquet(path)
    else:
        np.savez(path, images=images, t=values)
    return read_events(path, description)


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        (pl.Series([2**62 + 1, None, 1]), [2**62 + 1, None, 1]),
        (pl.Series([2**64 - 1, None], dtype=pl.UInt64), [2**64 - 1, None]),
        (pl.Series([True, None, False]), [True, None, False]),
        (pl.Series(["a", None, " "]), ["a", None, None]),
        (pl.Series(["a", None], dtype=pl.Categorical), ["a", None]),
        (pl.Series([1.5, None, float("nan")]), [1.5, None, None]),
        (pl.Series([date(2024, 5, 1), None]), ["2024-05-01", None]),
        (pl.Series([Decimal("1.25"), None]), [1.25, None]),
        (pl.Series([2**40, None], dtype=pl.Int128), [2**40, None]),
        (pl.Series([timedelta(hours=1)]), ["PT1H"]),
        (np.array([1.5, np.nan], dtype=np.longdouble), [1.5, None]),
        (np.array([1.5, np.nan], dtype=np.float16), [1.5, None]),
        (np.array(["2024-05-01", "NaT"], dtype="datetime64[s]"), ["2024-05-01 00:00:00.000000", None]),
        (np.array([True, False]), [True, False]),
        (np.array(["a", ""]), ["a", None]),
    ],
    ids=lambda one: str(getattr(one, "dtype", ""))[:24],
)
def test_kept(tmp_path: Path, values: Any, kept: list[object]) -> None:
    assert read(tmp_path, values).truth["t"].to_list() == kept


@pytest.mark.parametrize(
    "values",
    [
        np.array([1 + 2j, 0]),
        np.array([np.longdouble("1e400"), 0]),
        np.zeros(2, dtype=[("a", float)]),
        pl.Series([[1], [2, 3]]),
        pl.Series([b"x", b"y"]),
        pl.Series([Decimal("12345678901234567890.1")], dtype=pl.Decimal(30, 1)),
    ],
    ids=lambda one: str(one.dtype)[:24],
)
def test_refused_in_one_sentence(tmp_path: Path, values: Any) -> None:
    with pytest.raises(HitlensError, match=r"'t'|\bt\b"):
        read(tmp_path, values)


def test_types_that_differ_between_files(tmp_path: Path) -> None:
    small = [pl.Series([1, 0], dtype=one) for one in (pl.Int64, pl.UInt64)]
    parts = [read(tmp_path, values, f"e{n}") for n, values in enumerate(small)]
    for order in (parts, parts[::-1]):
        joined = read_events([tmp_path / "e0.parquet", tmp_path / "e1.parquet"], tmp_path / "parquet.yaml")
        assert joined.truth["t"].dtype == pl.Int64, order
    read(tmp_path, pl.Series([2**60 + 1]), "e2")
    read(tmp_path, pl.Series([0.5]), "e3")
    with pytest.raises(HitlensError, match="whole numbers in one file and real numbers in another"):
        read_events([tmp_path / "e2.parquet", tmp_path / "e3.parquet"], tmp_path / "parquet.yaml")
