"""Every kind of file, dense images and lists of hits, gives the same events."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from hitlens.detector import ReadReport
from hitlens.detectors import read_detector
from hitlens.errors import ConfigError, FileFormatError
from hitlens.events import Events, concat
from hitlens.workflow.data import convert, read_events


def read(text: str, path: Path, block: int = 7, on_bad_event: str = "raise") -> tuple[Events, ReadReport]:
    report = ReadReport([])
    blocks = read_detector(text, "toy.yaml").layouts[0].read(path, block, on_bad_event, report, {})
    return concat(list(blocks)), report


def assert_same(events: Events, toy: Any) -> None:
    for view, images in toy.images.items():
        np.testing.assert_array_equal(events.dense(view, images.shape[1:]), images)
        assert events.images[view].dtype == np.uint8
    for name, values in toy.truth.items():
        np.testing.assert_array_equal(events.truth[name].to_numpy(), values)


def test_every_kind_gives_the_same_events(
    kind_and_style: tuple[str, str],
    make_toy: Callable[..., Any],
    toy_yaml: Callable[..., str],
    toy_file: Callable[..., Path],
) -> None:
    toy = make_toy()
    path = toy_file(toy, *kind_and_style)
    events, _ = read(toy_yaml(*kind_and_style), path)
    assert_same(events, toy)
    assert events.truth["file"].unique().to_list() == [path.name]
    assert events.truth["event"].to_list() == list(range(40))
    sparse = not isinstance(events.images["x"], np.ndarray)
    assert sparse == (
        kind_and_style[1] in ("event", "event_key", "counts")
        or kind_and_style in (("npz", "dense"), ("root", "lists"), ("parquet", "lists"))
    )


def test_every_kind_is_read_without_truth(
    kind_and_style: tuple[str, str],
    make_toy: Callable[..., Any],
    toy_yaml: Callable[..., str],
    toy_file: Callable[..., Path],
) -> None:
    toy = make_toy()
    path = toy_file(toy, *kind_and_style, with_truth=False)
    events, _ = read(toy_yaml(*kind_and_style), path)
    np.testing.assert_array_equal(events.dense("x", (6, 5)), toy.images["x"])
    assert events.truth.columns == ["file", "event"]


def test_a_file_is_recognised_and_converted(
    make_toy: Callable[..., Any], toy_yaml: Callable[..., str], toy_file: Callable[..., Path], tmp_path: Path
) -> None:
    """Foreign HDF5 is told from native HDF5, and the native file knows its detector without the YAML."""
    toy = make_toy()
    described = tmp_path / "toy.yaml"
    described.write_text(toy_yaml("hdf5", "event"))
    path = toy_file(toy, "hdf5", "event")
    done = convert(path, tmp_path / "native.h5", str(described))
    assert done.n_events == {"toy.h5": 40}
    described.unlink()
    events = read_events(tmp_path / "native.h5", None)
    assert_same(events, toy)
    np.testing.assert_allclose(events.truth["double_gev"], 2 * toy.truth["energy_gev"])


def test_of_two_layouts_of_a_kind_the_one_with_the_columns_is_taken(
    make_toy: Callable[..., Any], toy_yaml: Callable[..., str], toy_file: Callable[..., Path], tmp_path: Path
) -> None:
    toy = make_toy()
    second = toy_yaml("npz", "dense").split("files:\n")[1]
    described = tmp_path / "toy.yaml"
    described.write_text(toy_yaml("npz", "counts") + second)
    for style in ("counts", "dense"):
        assert_same(read_events(toy_file(toy, "npz", style), str(described)), toy)


def test_two_files_keep_their_names(
    make_toy: Callable[..., Any], toy_yaml: Callable[..., str], toy_file: Callable[..., Path], tmp_path: Path
) -> None:
    described = tmp_path / "toy.yaml"
    described.write_text(toy_yaml("npz", "dense"))
    paths = [toy_file(make_toy(10, seed), "npz", "dense", name=f"part{seed}") for seed in (1, 2)]
    events = read_events(paths, str(described))
    assert events.truth["file"].to_list() == ["part1.npz"] * 10 + ["part2.npz"] * 10


def test_numbered_files_are_one_sample(
    make_toy: Callable[..., Any], toy_yaml: Callable[..., str], toy_file: Callable[..., Path], tmp_path: Path
) -> None:
    described = tmp_path / "toy.yaml"
    described.write_text(toy_yaml("npz", "dense", "    parts: run#.npz\n"))
    for number in (1, 2, 10):
        toy_file(make_toy(4, number), "npz", "dense", name=f"run{number}")
    events = read_events(tmp_path, str(described))
    names = [name for number in (1, 2, 10) for name in [f"run{number}.npz"] * 4]
    assert events.truth["file"].to_list() == names
    with pytest.raises(ConfigError, match=r"files\[dense\].parts: must have one #"):
        read_detector(toy_yaml("npz", "dense", "    parts: run.npz\n"), "toy.yaml")


def test_a_described_key_is_read_and_names_the_event(
    make_toy: Callable[..., Any], toy_yaml: Callable[..., str], tmp_path: Path
) -> None:
    toy = make_toy()
    text = toy_yaml("npz", "dense").replace(
        "truth:\n",
        "truth:\n  - {name: run, meaning: run, role: key}\n  - {name: evt, meaning: event, role: key}\n",
        1,
    )
    detector = read_detector(text, "toy.yaml")
    assert detector.key == ("run", "evt")
    assert detector.labels == ("file", "run", "evt")
    np.savez(tmp_path / "toy.npz", run=np.full(40, 5), evt=np.arange(40)[:, None], **toy.truth, **toy.images)
    events, _ = read(text, tmp_path / "toy.npz")
    assert events.truth.columns[:3] == ["file", "run", "evt"]
    np.savez(tmp_path / "toy.npz", run=np.full(40, 5), **toy.images)
    with pytest.raises(ConfigError, match=r"truth\[evt\].name: .*has no column 'evt'"):
        read(text, tmp_path / "toy.npz")


def test_a_value_too_large_names_the_event_and_the_type(
    make_toy: Callable[..., Any], toy_yaml: Callable[..., str], tmp_path: Path
) -> None:
    toy = make_toy()
    images = {name: array.astype(np.int32) for name, array in toy.images.items()}
    images["y"][17, 2, 3] = 4095
    np.savez(tmp_path / "toy.npz", **toy.truth, **images)
    text = toy_yaml("npz", "dense")
    with pytest.raises(
        FileFormatError, match=r"event 17, view 'y': pixel value 4095 .*; uint16 would hold it"
    ) as said:
        read(text, tmp_path / "toy.npz")
    assert "toy.yaml, line 6: views[y].dtype" in str(said.value)
    events, report = read(text, tmp_path / "toy.npz", on_bad_event="skip")
    assert events.truth["event"].to_list() == [n for n in range(40) if n != 17]
    np.testing.assert_array_equal(events.dense("x", (6, 5)), np.delete(toy.images["x"], 17, axis=0))
    assert len(report.skipped) == 1
    assert "event 17" in report.skipped[0]


def test_a_hit_outside_the_view_names_the_event_and_the_shape(
    make_toy: Callable[..., Any], toy_yaml: Callable[..., str], toy_file: Callable[..., Path]
) -> None:
    text = toy_yaml("npz", "counts").replace("shape: [6, 5]", "shape: [5, 5]")
    with pytest.raises(
        FileFormatError, match=r"layer 5 lies outside the view's 5 \(toy.yaml, line 5: views\[x\].shape"
    ):
        read(text, toy_file(make_toy(), "npz", "counts"))


def test_columns_of_different_lengths_are_refused(
    make_toy: Callable[..., Any], toy_yaml: Callable[..., str], tmp_path: Path
) -> None:
    toy = make_toy()
    images = toy.images | {"y": toy.images["y"][:-1]}
    np.savez(tmp_path / "toy.npz", **toy.truth, **images)
    with pytest.raises(ConfigError, match=r"images.y.dense: column 'y' has 39 rows, 'is_muon' has 40"):
        read(toy_yaml("npz", "dense"), tmp_path / "toy.npz")


def test_events_are_counted_by_their_hits_where_nothing_else_tells(
    make_toy: Callable[..., Any], toy_yaml: Callable[..., str], tmp_path: Path
) -> None:
    toy = make_toy()
    hits = {f"hits/{name}": values for name, values in toy.both().items()}
    np.savez(tmp_path / "toy.npz", **hits)
    text = toy_yaml("hdf5", "event").replace("kind: hdf5", "kind: npz")
    events, _ = read(text, tmp_path / "toy.npz")
    assert len(events) == 40
    assert isinstance(events.truth, pl.DataFrame)
