"""Columns added up block by block: ranges, counts of values, codes nobody described."""

from __future__ import annotations

import polars as pl

from hitlens.datasets.truth_columns import N_VALUES, ColumnStatistics
from hitlens.detector import Detector, TruthColumn

DETECTOR = Detector(
    name="d",
    title="",
    views=(),
    tasks=(),
    truth=(
        TruthColumn(name="evt", meaning="event", role="key"),
        TruthColumn(name="kind", meaning="kind", codes=((0, "QE"), (3, "DIS"))),
        TruthColumn(name="energy", meaning="energy", unit="GeV"),
    ),
)


def filled(name: str, *blocks: list) -> ColumnStatistics:
    column = ColumnStatistics(name, DETECTOR)
    for block in blocks:
        column.fill(pl.Series(block))
    return column


def test_codes_are_counted_over_blocks_and_unknown_ones_told() -> None:
    report = filled("kind", [0, 3, 3], [3, 16, None]).report(6)
    assert [(one.value, one.meaning, one.n_events) for one in report.counts] == [
        ("0", "QE", 1),
        ("3", "DIS", 3),
        ("16", "", 1),
    ]
    assert [one.value for one in report.unknown_codes] == ["16"]
    assert (report.n_known, report.n_missing, report.role) == (5, 1, "truth")


def test_real_numbers_have_a_histogram_and_no_counts() -> None:
    report = filled("energy", [0.5, 1.5], [float("nan")]).report(3)
    assert report.counts == ()
    assert report.histogram.n_values == 2
    assert (report.minimum, report.maximum, report.mean, report.unit) == (0.5, 1.5, 1.0, "GeV")
    assert report.n_missing == 1


def test_keys_and_columns_of_many_values_are_not_listed() -> None:
    assert filled("evt", [1, 2]).report(2).counts == ()
    assert filled("index", list(range(N_VALUES + 1))).report(N_VALUES + 1).counts == ()
    many = filled("kind", list(range(N_VALUES + 1))).report(N_VALUES + 1)
    assert len(many.unknown_codes) == N_VALUES - 1


def test_texts_and_truth_values() -> None:
    report = filled("note", ["b", "a"], ["b"]).report(3)
    assert (report.n_distinct, report.role) == (2, "extra")
    assert [(one.value, one.n_events) for one in report.counts] == [("a", 1), ("b", 2)]
    assert [one.value for one in filled("flag", [True, False, True]).report(3).counts] == ["0", "1"]
