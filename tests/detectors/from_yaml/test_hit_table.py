"""Hits are given to the events their keys name; keys that do not tell events apart are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hitlens.detector import ReadReport
from hitlens.detectors import read_detector
from hitlens.errors import ConfigError, FileFormatError

DETECTOR = """
name: plane
title: One view
views:
  - {name: x, shape: [1, 4], axes: [row, col], pitch_mm: [1, 1], unit: counts, dtype: uint8}
truth:
  - {name: label, meaning: class}
tasks:
  - {name: any, kind: binary, meaning: any, target: label = 1, class_names: [a, b]}
files:
  - name: made
    kind: npz
    images: {x: {pixels: {pixel: p}, value: v, EVENT}}
"""


def charges(folder: Path, event: str, report: ReadReport | None = None, **columns: Any) -> list[int]:
    """Return the charge of each of three events; the four hits have 1, 2, 4 and 8."""
    path = folder / "made.npz"
    np.savez(path, label=[0, 1, 1], p=np.arange(4), v=[1, 2, 4, 8], **columns)
    layout = read_detector(DETECTOR.replace("EVENT", event), "plane.yaml").layouts[0]
    (events,) = layout.read(path, 100, "raise", report or ReadReport([]), {})
    return [int(n) for n in events.dense("x", (1, 4)).reshape(3, -1).sum(axis=1)]


@pytest.mark.parametrize(
    ("ids", "hits"),
    [
        (np.array([2**63 + 1, 2**63, 2**64 - 1], "u8"), np.array([2**63, 2**63, 2**63 + 1, 2**64 - 1], "u8")),
        ([-7, -8, 9], [-8.0, -8.0, -7.0, 9.0]),
        (["ev10", "ev1", "ev2"], ["ev1", "ev1", "ev10", "ev2"]),
    ],
)
def test_hits_go_to_the_event_of_their_key(ids: Any, hits: Any, tmp_path: Path) -> None:
    assert charges(tmp_path, "event: e, event_key: id", e=hits, id=ids) == [4, 3, 8]


def test_merged_runs_need_the_run_in_the_key(tmp_path: Path) -> None:
    columns = {"e": [1, 1, 1, 2], "r": [8, 8, 7, 7], "id": [1, 1, 2], "run": [7, 8, 7]}
    with pytest.raises(
        FileFormatError, match=r"1 \(rows 0, 1\)\. .*name the run as well: .*images.x.event_key"
    ):
        charges(tmp_path, "event: e, event_key: id", **columns)
    assert charges(tmp_path, "event: [r, e], event_key: [run, id]", **columns) == [4, 3, 8]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"e": [5, 7, 9, 9], "id": [5, 6, 8]}, r"3 hits are of no event: hit 1 .* column 'id': 7, 9 \("),
        ({"e": [5, np.nan, 6, 6], "id": [5, 6, 8]}, r"1 hit is of no event: hit 1 .*: nan \("),
        ({"e": [5, 5, 6, 6], "id": [5, np.nan, 6]}, r"1 row has no key: row 1 \(nan\)"),
        ({"e": [5, 5, 6, 6], "id": ["5", "6", "7"]}, "numbers cannot be compared with text of column 'id'"),
        ({"e": np.zeros((4, 2)), "id": [5, 6, 7]}, "column 'e' has several values in each row"),
    ],
)
def test_hits_that_cannot_be_attributed_are_refused(columns: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=said):
        charges(tmp_path, "event: e, event_key: id", **columns)


def test_columns_of_a_key_have_one_length(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"column 'e' .* has 3 rows, 'r' has 4"):
        columns = {"r": [1, 1, 1, 1], "e": [1, 2, 3], "run": [1, 1, 1], "id": [1, 2, 3]}
        charges(tmp_path, "event: [r, e], event_key: [run, id]", **columns)


@pytest.mark.parametrize("keys", ["event: [r, e]", "event: [r, e], event_key: id", "event_key: id"])
def test_keys_that_do_not_fit_each_other_are_refused(keys: str) -> None:
    with pytest.raises(ConfigError, match="event_key"):
        read_detector(DETECTOR.replace("EVENT", keys), "plane.yaml")


def test_events_without_hits_and_hits_that_stand_apart_are_told(tmp_path: Path) -> None:
    report = ReadReport([])
    assert charges(tmp_path, "event: e", report, e=[0, 2, 0, 2]) == [5, 0, 10]
    blank, apart = report.odd
    assert "1 of 3 events have no hit and are blank (position 1)" in blank
    assert "the hits of 2 of 3 events do not stand together" in apart
    assert charges(tmp_path, "event: e", report, e=[0, 1, 1, 2]) == [1, 6, 8]
    assert len(report.odd) == 2


def test_keys_are_not_taken_for_positions(tmp_path: Path) -> None:
    text = DETECTOR.replace("EVENT", "event: e").replace("  - {name: label, meaning: class}\n", "")
    text = text.replace("truth:\n", "").replace("label = 1", "event > 1")
    path = tmp_path / "made.npz"
    np.savez(path, p=np.arange(2), v=[1, 2], e=[5_000_000, 5_000_001])
    with pytest.raises(FileFormatError, match="do not count from 0: these are keys"):
        list(read_detector(text, "plane.yaml").layouts[0].read(path, 100, "raise", ReadReport([]), {}))


@pytest.mark.parametrize("counts", [[1, -1, 4], [1.0, np.nan, 3.0], [1.5, 1.5, 1.0]])
def test_counts_are_whole_numbers(counts: Any, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"'n' must hold numbers of hits, from 0. .*images.x.counts"):
        charges(tmp_path, "counts: n", n=counts)
