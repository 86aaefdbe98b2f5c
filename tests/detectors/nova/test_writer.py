"""Events into the public HDF5 layout, read back by plain h5py in the way of the course's notebooks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pytest

from hitlens.detectors.nova.writer import NovaFileWriter
from hitlens.errors import DataError
from hitlens.events import Events
from hitlens.workflow.data import convert, open_writer, read_events

Make = Callable[..., Events]


def written(path: Path, *blocks: Events) -> Path:
    with NovaFileWriter(path) as writer:
        for block in blocks:
            writer.write(block)
    return path


def with_truth(events: Events, **columns: object) -> Events:
    return Events(events.images, events.truth.with_columns(**columns), events.detector)


def test_notebooks_get_the_same_images_and_labels(tmp_path: Path, make_nova: Make) -> None:
    """A loop over events, as in the course's notebooks: one row, reshape, two labels."""
    events = make_nova(300)
    path = written(tmp_path / "neutrino1.h5", events)
    maps, labels, energies = [], [], []
    with h5py.File(path, "r") as df:
        for i in range(len(df["neutrino"]["evt"])):
            maps.append(df["cvnmap"][i].reshape((2, 100, 80)))
            labels.append(df["neutrino"]["interaction"][i][0])
            energies.append(df["neutrino"]["nuenergy"][i][0])
    images = np.array(maps)
    np.testing.assert_array_equal(images[:, 0], events.dense("x", (100, 80)))
    np.testing.assert_array_equal(images[:, 1], events.dense("y", (100, 80)))
    assert labels == events.truth["interaction"].to_list()
    assert energies == events.truth["nuenergy"].to_list()


def test_members_are_exactly_the_documented_ones(tmp_path: Path, make_nova: Make) -> None:
    documented = {
        "cvnmap": (np.uint8, (20, 16000)),
        **{f"neutrino/{name}": (np.uint32, (20, 1)) for name in ("run", "subrun", "evt")},
        "neutrino/subevt": (np.uint16, (20, 1)),
        "neutrino/cycle": (np.int32, (20, 1)),
        **{f"neutrino/{n}": (np.uint32, (20, 1)) for n in ("interaction", "finalstate", "finalstateprong")},
        **{f"neutrino/{name}": (np.float32, (20, 1)) for name in ("nuenergy", "lepenergy")},
        **{f"neutrino/{name}": (np.float64, (20, 1)) for name in ("vtxx", "vtxy", "vtxz")},
        **{f"neutrino/{name}": (np.uint32, (20, 1)) for name in ("parent", "particles")},
        "neutrino/rec.training.trainingdata_idx": (np.uint32, (20, 1)),
    }
    found = {}
    with h5py.File(written(tmp_path / "n.h5", make_nova(20))) as file:
        file.visititems(lambda name, node: found.update({name: node}))
        assert isinstance(found.pop("neutrino"), h5py.Group)
        assert {name: (node.dtype.type, node.shape) for name, node in found.items()} == documented
        assert not file.attrs
        assert file["cvnmap"].compression is None


def test_events_come_back(tmp_path: Path, make_nova: Make) -> None:
    events = make_nova(700)
    path = written(tmp_path / "neutrino4.h5", events.select(slice(0, 5)), events.select(slice(5, None)))
    back = read_events(path)
    for view in ("x", "y"):
        assert (back.images[view] != events.images[view]).nnz == 0
    assert back.truth.drop("file").equals(events.truth.drop("file"))


def test_dense_images_are_written_too(tmp_path: Path, make_nova: Make) -> None:
    events = make_nova(10)
    dense = {view: events.dense(view, (100, 80)).astype(np.uint16) for view in ("x", "y")}
    back = read_events(written(tmp_path / "n.h5", Events(dense, events.truth, "nova")))
    np.testing.assert_array_equal(back.dense("y", (100, 80)), dense["y"])
    dense["x"][3, 4, 5] = 256
    with pytest.raises(DataError, match=r"view 'x' must be whole numbers from 0 to 255. Got 0 to 256"):
        written(tmp_path / "m.h5", Events(dense, events.truth, "nova"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"subevt": pl.lit(70_000)}, "'subevt' must be whole numbers from 0 to 65535 .* from 70000 to 70000"),
        ({"run": pl.lit(-1)}, "'run' must be whole numbers from 0"),
        ({"evt": pl.lit(0.5)}, "'evt' must be whole numbers .* Got float64"),
        ({"vtxx": pl.lit(None, dtype=pl.Float64)}, "no place for missing values: 'vtxx' lacks 10"),
    ],
)
def test_values_that_do_not_fit(change: dict, message: str, tmp_path: Path, make_nova: Make) -> None:
    path = tmp_path / "neutrino1.h5"
    with pytest.raises(DataError, match=message):
        written(path, with_truth(make_nova(10), **change))
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_is_named(tmp_path: Path, make_nova: Make, make_cebr: Make) -> None:
    events = make_nova(10)
    with pytest.raises(DataError, match="needs the truth column 'lepenergy'"):
        written(tmp_path / "a.h5", Events(events.images, events.truth.drop("lepenergy"), "nova"))
    with pytest.raises(DataError, match=r"needs the views x and y. These events have anode"):
        written(tmp_path / "a.h5", make_cebr(3))
    with pytest.raises(DataError, match=r"must have 8000 pixels an event. Got 100"):
        small = {view: np.zeros((10, 10, 10), np.uint8) for view in "xy"}
        written(tmp_path / "a.h5", Events(small, events.truth, "nova"))
    with pytest.raises(DataError, match="there were no events"):
        written(tmp_path / "a.h5")
    with pytest.raises(DataError, match="'with' block"):
        NovaFileWriter(tmp_path / "a.h5").write(events)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_half_written(tmp_path: Path, make_nova: Make) -> None:
    path = written(tmp_path / "neutrino1.h5", make_nova(10))
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), NovaFileWriter(path) as writer:
        writer.write(make_nova(20))
        raise KeyboardInterrupt
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["neutrino1.h5"]


def test_the_name_chooses_the_layout(tmp_path: Path, make_nova: Make) -> None:
    """A numbered neutrino file is a public one; any other .h5 is native; a layout that is named counts."""
    events = make_nova(30)
    native = tmp_path / "events.h5"
    with open_writer(native, "nova") as writer:
        writer.write(events)
    made = convert(native, tmp_path / "neutrino12.h5")
    assert made.layout == "nova"
    assert convert(native, tmp_path / "copy.h5").layout == "native"
    assert convert(native, tmp_path / "other.h5", out_layout="nova").layout == "nova"
    assert convert(native, tmp_path / "neutrino3.h5", out_layout="native").layout == "native"
    for name in ("neutrino12.h5", "copy.h5", "other.h5", "neutrino3.h5"):
        back = read_events(tmp_path / name)
        assert (back.images["x"] != events.images["x"]).nnz == 0
        assert back.truth.drop("file").equals(events.truth.drop("file"))
    everything = convert(tmp_path, tmp_path / "all.h5")
    assert list(everything.n_events) == ["neutrino3.h5", "neutrino12.h5"]


@pytest.mark.real
def test_decoded_images_of_real_detector_survive(tmp_path: Path, real_nova: Path, make_nova: Make) -> None:
    """Three decoded events, stored there as (cell, plane): through the file and back."""
    maps = np.load(real_nova / "nova_thesis_pixelmaps_counts.npz")
    stems = sorted({name[:-2] for name in maps})
    images = {view: np.stack([maps[f"{stem}_{view}"].T for stem in stems]) for view in ("x", "y")}
    events = make_nova(len(stems))
    path = written(tmp_path / "neutrino1.h5", Events(images, events.truth, "nova"))
    with h5py.File(path) as file:
        seen = np.array([file["cvnmap"][i].reshape((2, 100, 80)) for i in range(len(stems))])
    back = read_events(path)
    for number, view in enumerate(("x", "y")):
        np.testing.assert_array_equal(seen[:, number], images[view])
        np.testing.assert_array_equal(back.dense(view, (100, 80)), images[view])
    hits = {stem: [int((maps[f"{stem}_{view}"] > 0).sum()) for view in ("x", "y")] for stem in stems}
    assert [sum(hits[stem]) for stem in stems] == np.count_nonzero(seen, axis=(1, 2, 3)).tolist()
    first = [int(np.flatnonzero(seen[i].any(axis=(0, 2)))[0]) for i in range(len(stems))]
    assert first == [0, 0, 0]  # column 0 is the first plane with a hit
