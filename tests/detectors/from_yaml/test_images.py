"""Images that do not fit their description get one error that names the key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from hitlens.detector import ReadReport
from hitlens.detectors import read_detector
from hitlens.errors import ConfigError, DataError, FileFormatError
from hitlens.events import Events

ONE_VIEW = """
name: plane
title: One view
views:
  - {name: x, shape: [3, 4], axes: [row, col], pitch_mm: [1, 1], unit: counts, dtype: uint8}
tasks:
  - {name: any, kind: binary, meaning: any, target: event > 1, class_names: [a, b]}
files:
  - name: made
    kind: KIND
    images:
      x: SOURCE
"""
LIST = "{pixels: {row: r, col: c}, value: v, event: e}"


def read(source: str, path: Path, kind: str = "npz") -> Events:
    text = ONE_VIEW.replace("KIND", kind).replace("SOURCE", source)
    layout = read_detector(text, "plane.yaml").layouts[0]
    (events,) = layout.read(path, 100, "raise", ReadReport([]), {})
    return events


def saved(folder: Path, **columns: Any) -> Path:
    path = folder / "made.npz"
    np.savez(path, **columns)
    return path


def hits(**changes: Any) -> dict[str, Any]:
    """Three hits of two events."""
    return {"e": [0, 0, 1], "r": [0, 2, 1], "c": [3, 0, 1], "v": [7, 8, 9], "n": [2, 1]} | changes


IMAGE = np.arange(24).reshape(2, 3, 4)


@pytest.mark.parametrize(
    ("source", "images"),
    [
        ("{dense: a}", IMAGE),
        ("{dense: a}", IMAGE.reshape(2, 12)),
        ("{dense: a}", IMAGE[..., None]),
        ("{dense: a}", IMAGE[:, None].astype(np.float64)),
        ("{dense: a, axes: [col, row]}", IMAGE.transpose(0, 2, 1)),
        ("{dense: a, index: 1}", np.stack([0 * IMAGE, IMAGE], axis=1)),
        ("{dense: a, index: 1}", np.stack([0 * IMAGE, IMAGE], axis=1).reshape(2, -1)),
        ("{dense: a, index: 1, axes: [row, col, view]}", np.stack([0 * IMAGE, IMAGE], axis=-1)),
        ("{dense: a, index: 1, axes: [view, col, row]}", np.stack([0 * IMAGE, IMAGE], axis=1).swapaxes(2, 3)),
    ],
)
@pytest.mark.parametrize("sparse", ["", ", sparse: true"])
def test_images_in_full_in_any_order(source: str, images: Any, sparse: str, tmp_path: Path) -> None:
    events = read(source.replace("}", f"{sparse}}}"), saved(tmp_path, a=images))
    assert isinstance(events.images["x"], np.ndarray) == (not sparse)
    np.testing.assert_array_equal(events.dense("x", (3, 4)), IMAGE)


@pytest.mark.parametrize(
    ("source", "images", "said"),
    [
        ("{dense: b}", IMAGE, "images.x.dense: .* has no column 'b'. There are: a"),
        ("{dense: a}", IMAGE.transpose(0, 2, 1), r"has images of shape \(4, 3\), not \(3, 4\) \(row, col\)"),
        ("{dense: a}", IMAGE[:, :2], r"images.x.dense: column 'a' .* shape \(2, 4\), not \(3, 4\)"),
        ("{dense: a}", IMAGE.reshape(2, 12)[:, :9], "Correct the shape of view 'x', or say with 'axes'"),
        ("{dense: a, axes: [col, row]}", IMAGE, r"shape \(3, 4\), not \(4, 3\) \(col, row\)"),
        (
            "{dense: a, index: 2}",
            np.stack([IMAGE, IMAGE], 1),
            "images.x.index: .* 2 views of 12; they count from 0",
        ),
        (
            "{dense: a, index: 1}",
            np.stack([IMAGE, IMAGE], -1),
            r"shape \(3, 4, 2\), not \(2, 3, 4\) \(view, row, col\)",
        ),
    ],
)
def test_images_of_another_shape_are_refused(source: str, images: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"^plane.yaml, line 12: files.made..{said}|{said}"):
        read(source, saved(tmp_path, a=images))


@pytest.mark.parametrize(
    "source",
    [
        LIST,
        "{pixels: {row: r, col: c}, value: v, counts: n}",
        "{pixels: {row: r, col: c}, value: v, event: e, event_key: n}",
    ],
)
def test_hits_in_one_list(source: str, tmp_path: Path) -> None:
    columns = hits() if "event_key" not in source else hits(e=[2, 2, 1])
    images = read(source, saved(tmp_path, **columns)).dense("x", (3, 4))
    assert images[0].tolist() == [[0, 0, 0, 7], [0, 0, 0, 0], [8, 0, 0, 0]]
    assert images[1].tolist() == [[0, 0, 0, 0], [0, 9, 0, 0], [0, 0, 0, 0]]


def test_a_hit_without_a_value_counts_one_and_hits_add_up(tmp_path: Path) -> None:
    path = saved(tmp_path, **hits(r=[1, 1, 1], c=[2, 2, 2]))
    images = read("{pixels: {row: r, col: c}, counts: n}", path).dense("x", (3, 4))
    assert images[:, 1, 2].tolist() == [2, 1]


@pytest.mark.parametrize(
    ("columns", "error", "said"),
    [
        (
            hits(r=[0, 3, 1]),
            FileFormatError,
            r"event 0, view 'x': row 3 lies outside .*line 5: views\[x\].shape",
        ),
        (hits(c=[0, 1, -1]), FileFormatError, "event 1, view 'x': col -1 lies outside the view's 4"),
        (hits(r=[0, 0.5, 1]), FileFormatError, "row 0.5 lies outside the view's 3"),
        (hits(v=[7, 300, 9]), FileFormatError, r"value 300 does not fit uint8 .*uint16 .*views\[x\].dtype"),
        (hits(v=[7, -1, 9]), FileFormatError, "pixel value -1 does not fit uint8; float32 would hold it"),
        (hits(v=[7, 0.5, 9]), FileFormatError, "pixel value 0.5 does not fit uint8; float32 would hold it"),
        (hits(v=[7, np.nan, 9]), FileFormatError, "pixel value nan is no number"),
        (hits(v=[7, 1j, 9]), ConfigError, "images.x.value: column 'v' of .* holds complex128, not numbers"),
        (hits(r=["0", "1", "1"]), ConfigError, "column 'r' of .* holds <U1, not numbers"),
        (
            hits(v=[200, 200, 9], r=[1, 1, 1], c=[1, 1, 1]),
            FileFormatError,
            "pixel value 400 does not fit uint8",
        ),
        (
            hits(v=[7, 8]),
            ConfigError,
            r"images.x.value: column 'v' .* has 2 rows, 'e' has 3: both .* one row a hit",
        ),
        (hits(e=[0, 0, -1]), FileFormatError, r"1 hit is of no event: hit 2 .*: -1 .*images.x.event"),
    ],
)
def test_hits_that_do_not_fit_are_refused(
    columns: Any, error: type[DataError], said: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=said):
        read(LIST, saved(tmp_path, **columns))


@pytest.mark.parametrize(
    ("views", "error", "said"),
    [
        (["0", "0", "1"], ConfigError, "where.w: column 'w' of .* holds <U1, not numbers"),
        ([0, 1, np.nan], FileFormatError, "column 'w' holds no whole number for a hit of event 1, .*where.w"),
    ],
)
def test_hits_that_do_not_say_their_view_are_refused(
    views: Any, error: type[DataError], said: str, tmp_path: Path
) -> None:
    source = LIST.replace("event: e", "event: e, where: {w: 0}")
    assert read(source, saved(tmp_path, **hits(w=[0, 1, 0]))).dense("x", (3, 4)).sum(
        axis=(1, 2)
    ).tolist() == [7, 9]
    with pytest.raises(error, match=said):
        read(source, saved(tmp_path, **hits(w=views)))


def test_counts_that_do_not_add_up_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, **hits(n=[2, 2]))
    with pytest.raises(ConfigError, match=r"pixels.row: column 'r' .* has 3 rows, 'n' adds up to 4"):
        read("{pixels: {row: r, col: c}, value: v, counts: n}", path)


def test_a_hit_of_no_event_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, **hits(id=[5, 6], e=[5, 7, 6]))
    with pytest.raises(FileFormatError, match=r"hit 1 is the first. Not among column 'id': 7"):
        read("{pixels: {row: r, col: c}, value: v, event: e, event_key: id}", path)


def test_columns_without_a_list_in_each_row_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"has one value in each row, not a list of hits. .*'event' or 'counts'"
    ):
        read("{pixels: {row: r, col: c}}", saved(tmp_path, **hits()))


def test_lists_of_one_length_are_hits_too(tmp_path: Path) -> None:
    path = saved(tmp_path, r=[[0, 1], [2, 2]], c=[[1, 1], [0, 1]])
    images = read("{pixels: {row: r, col: c}}", path).dense("x", (3, 4))
    assert np.argwhere(images).tolist() == [[0, 0, 1], [0, 1, 1], [1, 2, 0], [1, 2, 1]]


def test_lists_of_different_lengths_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "made.parquet"
    pl.DataFrame({"r": [[0], [1, 2]], "c": [[0], [1]]}).write_parquet(path)
    with pytest.raises(
        ConfigError, match=r"pixels.col: event 1 of .* has 1 values in column 'c', and 2 in 'r'"
    ):
        read("{pixels: {row: r, col: c}}", path, "parquet")
    with pytest.raises(ConfigError, match=r"images.x.dense: .*these are no images in full"):
        read("{dense: r}", path, "parquet")


def test_missing_lists_are_events_without_hits(tmp_path: Path) -> None:
    path = tmp_path / "made.parquet"
    pl.DataFrame({"r": [None, [1, 2], []], "c": [None, [1, 0], []]}).write_parquet(path)
    images = read("{pixels: {row: r, col: c}}", path, "parquet").dense("x", (3, 4))
    assert np.argwhere(images).tolist() == [[1, 1, 1], [1, 2, 0]]


@pytest.mark.parametrize("n_events", [1, 3])
def test_one_event_or_few(n_events: int, make_toy: Callable[..., Any], tmp_path: Path) -> None:
    toy = make_toy(max(n_events, 2))
    path = saved(tmp_path, a=toy.images["x"][:n_events, :3, :4])
    assert len(read("{dense: a}", path)) == n_events
