from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from scipy import sparse

from hitlens.detectors.dune.npz import NpzWriter, is_npz, read_npz
from hitlens.errors import DataError, FileFormatError, NotFoundError
from hitlens.events import Events, concat

Make = Callable[..., Events]


def write(path: Path, *blocks: Events) -> Path:
    with NpzWriter(path) as writer:
        for block in blocks:
            writer.write(block)
    return path


def change(path: Path, **arrays: np.ndarray | None) -> Path:
    with np.load(path) as file:
        content = {name: file[name] for name in file.files} | arrays
    np.savez_compressed(path, **{name: array for name, array in content.items() if array is not None})
    return path


def pixels(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return {name: file[name] for name in ("event", "view", "row", "col", "value")}


@pytest.fixture
def path(tmp_path: Path, make_dune: Make) -> Path:
    return write(tmp_path / "made.npz", make_dune(9))


def test_write_read_compare(tmp_path: Path, make_dune: Make) -> None:
    events = make_dune(30)
    path = write(tmp_path / "made.npz", events.select(slice(0, 7)), events.select(slice(7, 30)))
    blocks = list(read_npz(path, 12))
    assert [len(block) for block in blocks] == [12, 12, 6]
    read = concat(blocks)
    for view in ("u", "v", "z"):
        image = read.images[view]
        assert isinstance(image, sparse.csr_array)
        assert (image.dtype, image.indices.dtype) == (np.uint8, np.int32)
        assert image.has_sorted_indices
        assert (image != events.images[view]).nnz == 0
    assert_frame_equal(read.truth, events.truth.with_columns(file=pl.lit("made.npz")), check_exact=True)


def test_pixels_are_wire_then_time(path: Path, make_dune: Make) -> None:
    event = next(read_npz(path, 100)).select([4])
    image = event.dense("v", (500, 500))[0]
    listed = pixels(path)
    mine = (listed["event"] == 4) & (listed["view"] == 1)
    assert (image[listed["row"][mine], listed["col"][mine]] == listed["value"][mine]).all()
    assert np.count_nonzero(image) == mine.sum() == 20


def test_the_order_of_the_pixels_does_not_matter(path: Path) -> None:
    before = next(read_npz(path, 100))
    order = np.random.default_rng(1).permutation(len(pixels(path)["event"]))
    change(path, **{name: array[order] for name, array in pixels(path).items()})
    after = next(read_npz(path, 100))
    for view, image in before.images.items():
        assert (image != after.images[view]).nnz == 0
        assert after.images[view].has_sorted_indices  # type: ignore[union-attr]


def test_events_without_pixels_are_kept(path: Path) -> None:
    listed = pixels(path)
    keep = ~np.isin(listed["event"], (0, 3, 8))
    change(path, **{name: array[keep] for name, array in listed.items()})
    read = next(read_npz(path, 100))
    assert np.diff(read.images["z"].indptr).tolist() == [0, 20, 20, 0, 20, 20, 20, 20, 0]  # type: ignore[union-attr]


def test_the_interaction_of_neutral_currents_is_not_known(path: Path) -> None:
    with np.load(path) as file:
        assert set(file["interaction"][file["flavour"] == 3].tolist()) == {1}
    truth = next(read_npz(path, 100)).truth
    assert truth.filter(pl.col("interaction").is_null())["flavour"].unique().to_list() == [3]


def test_other_files_are_not_taken_for_events(tmp_path: Path, path: Path) -> None:
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    assert is_npz(path)
    assert not is_npz(tmp_path / "other.npz")
    assert not is_npz(tmp_path)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("flavour", None, "must hold the array flavour"),
        ("event", np.zeros(3, dtype=int), "must be of one length"),
        ("n_pion", np.zeros(3, dtype=int), "must be of one length"),
        ("n_pion", np.zeros(9), "n_pion must be whole numbers. Got float64"),
        ("nu_energy_GeV", np.array(["x"] * 9), "nu_energy_GeV must be numbers"),
        ("shape", np.array([9, 2, 100, 80]), "Got \\(9, 2, 100, 80\\)"),
        ("flavour", np.array([0, 1, 2, 3, 4, 0, 0, 0, 0]), "event 4: flavour must be 0 to 3"),
        ("nu_energy_GeV", np.array([1.0] * 8 + [-2.0]), "event 8: nu_energy_gev must be a finite energy"),
        ("n_proton", np.array([-1] + [0] * 8), "event 0: n_proton must be a count"),
    ],
)
def test_what_does_not_fit_is_named(path: Path, name: str, array: np.ndarray | None, message: str) -> None:
    change(path, **{name: array})
    with pytest.raises(FileFormatError, match=message):
        list(read_npz(path, 100))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("event", 9, "event of a pixel must be 0 to 8. Got 9 at pixel 5"),
        ("view", 3, "view of a pixel must be 0 to 2"),
        ("row", 500, "row of a pixel must be 0 to 499"),
        ("col", -1, "col of a pixel must be 0 to 499"),
        ("value", 0, "value of a pixel must be 1 to 255"),
    ],
)
def test_a_pixel_outside_is_named(path: Path, name: str, value: int, message: str) -> None:
    array = pixels(path)[name].astype(int)
    array[5] = value
    with pytest.raises(FileFormatError, match=message):
        list(read_npz(change(path, **{name: array}), 100))


def test_a_pixel_that_is_there_twice_is_refused(path: Path) -> None:
    listed = pixels(path)
    change(path, **{name: np.concatenate([array, array[:1]]) for name, array in listed.items()})
    with pytest.raises(FileFormatError, match="view u of event 0 is there twice"):
        list(read_npz(path, 100))


def test_bad_events_can_be_skipped(path: Path) -> None:
    change(path, flavour=np.array([0, 1, 2, 9, 0, 0, 0, 0, 7]))
    skipped: list[str] = []
    read = concat(list(read_npz(path, 4, skipped)))
    assert read.truth["event"].to_list() == [0, 1, 2, 4, 5, 6, 7]
    assert [message.split(": ")[1] for message in skipped] == ["event 3", "event 8"]


@pytest.mark.parametrize("keep", [0, 10, 2000, -30])
def test_a_file_cut_short_is_refused(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])
    assert is_npz(path)
    with pytest.raises(FileFormatError, match=r"not a whole \.npz file"):
        list(read_npz(path, 100))


def test_objects_are_never_unpickled(path: Path) -> None:
    change(path, n_pion=np.array([{"a": 1}] * 9))
    with pytest.raises(FileFormatError, match="pickle"):
        list(read_npz(path, 100))
    with pytest.raises(NotFoundError):
        list(read_npz(path.with_name("none.npz"), 100))


def test_events_that_do_not_fit_are_not_written(tmp_path: Path, make_dune: Make) -> None:
    events = make_dune(4)
    path = tmp_path / "made.npz"
    image = events.images["u"].astype(np.int32) * 2  # type: ignore[union-attr]
    others = (
        (Events(events.images, events.truth, "cebr"), "holds events of 'dune'"),
        (Events(events.images, events.truth.drop("n_pion"), "dune"), "no n_pion"),
        (Events(events.images, events.truth.with_columns(flavour=pl.lit(None)), "dune"), "unknown flavour"),
        (Events({"u": events.images["u"]}, events.truth, "dune"), "no view 'v'"),
        (Events({**events.images, "u": image}, events.truth, "dune"), "from 0 to 255"),
    )
    for wrong, message in others:
        with pytest.raises(DataError, match=message):
            write(path, wrong)
    with pytest.raises(DataError, match="no events"):
        write(path)
    assert list(tmp_path.iterdir()) == []


def test_dense_events_are_written_alike(tmp_path: Path, make_dune: Make) -> None:
    events = make_dune(3)
    dense = {view: events.dense(view, (500, 500)) for view in events.images}
    one = write(tmp_path / "one.npz", events)
    two = write(tmp_path / "two.npz", Events(dense, events.truth, "dune"))
    with zipfile.ZipFile(one) as first, zipfile.ZipFile(two) as second:
        for name in first.namelist():
            assert first.read(name) == second.read(name)


@pytest.mark.real
def test_the_real_file(real_dune: Path) -> None:
    (read,) = read_npz(real_dune / "dune_cvn_160.npz", 1000)
    assert len(read) == 160
    assert read.truth["flavour"].value_counts().sort("flavour")["count"].to_list() == [40] * 4
    assert sum(image.nnz for image in read.images.values()) == 851_171  # type: ignore[union-attr]
    first = read.truth.row(0, named=True)
    assert (first["nu_pdg"], first["interaction"], first["n_neutron"]) == (14, 0, 1)
    assert first["nu_energy_gev"] == pytest.approx(2.9556)


@pytest.mark.real
def test_the_beam_has_a_direction_and_the_drift_has_none(real_dune: Path) -> None:
    """Charge trails off along the wires, for the beam does, but not along time: only that may be flipped."""
    (read,) = read_npz(real_dune / "dune_cvn_160.npz", 1000)
    for view, matrix in read.images.items():
        charge = matrix.astype(np.float64)
        total = charge.sum(axis=1)
        pixel = np.arange(250_000)
        for axis, place in (("wire", pixel // 500), ("time", pixel % 500)):
            moments = [(charge @ (place.astype(float) ** k)) / total for k in (1, 2, 3)]
            mean, second, third = moments
            variance = second - mean**2
            skew = (third - 3 * mean * variance - mean**3) / variance**1.5
            significance = skew.mean() / (skew.std() / np.sqrt(len(skew)))
            assert (significance > 5) == (axis == "wire"), (view, axis, significance)
            assert abs(significance) > 5 or abs(significance) < 3
