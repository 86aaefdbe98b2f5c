from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from polars.testing import assert_frame_equal

from hitlens.detectors.cebr.npy import NpyWriter, read_npy
from hitlens.errors import ConfigError, DataError, FileFormatError, NotFoundError
from hitlens.events import Events, concat

Make = Callable[..., Events]


def write(path: Path, *blocks: Events) -> Path:
    with NpyWriter(path) as writer:
        for block in blocks:
            writer.write(block)
    return path


@pytest.fixture
def folder(tmp_path: Path, make_cebr: Make) -> Path:
    return write(tmp_path / "arrays", make_cebr(60))


def change(folder: Path, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    array = np.load(folder / f"{name}.npy")
    np.save(folder / f"{name}.npy", change(array))


def test_write_read_compare(tmp_path: Path, make_cebr: Make) -> None:
    events = make_cebr(60)
    folder = write(tmp_path / "arrays", events.select(slice(0, 7)), events.select(slice(7, 60)))
    blocks = list(read_npy(folder, 25))
    assert [len(block) for block in blocks] == [25, 25, 10]
    read = concat(blocks)
    np.testing.assert_array_equal(read.images["anode"], events.images["anode"])
    expected = events.truth.with_columns(file=read.truth["file"])
    assert_frame_equal(read.truth, expected, check_exact=True)
    assert read.truth["file"].unique().to_list() == ["arrays"]


def test_the_arrays_are_as_published(folder: Path) -> None:
    shapes = {file.stem: np.load(file).shape for file in folder.glob("*.npy")}
    assert shapes == {"images": (60, 16, 16), "energies": (60, 2), "positions": (60, 4), "labels": (60,)}
    labels, positions = np.load(folder / "labels.npy"), np.load(folder / "positions.npy")
    assert labels.dtype == np.int64
    assert (positions[labels == 0, 2:] == -100).all()


@pytest.mark.parametrize("shape", [(256,), (16, 16), (16, 16, 1)])
def test_shapes_types_and_names_in_the_wild(folder: Path, shape: tuple[int, ...]) -> None:
    expected = next(read_npy(folder, 100))
    change(folder, "images", lambda images: images.reshape(-1, *shape).astype(np.float64))
    change(folder, "labels", lambda labels: labels[:, None])
    for file in list(folder.glob("*.npy")):
        file.rename(folder / f"{file.stem}_sample.npy")
    read = next(read_npy(folder, 100))
    np.testing.assert_array_equal(read.images["anode"], expected.images["anode"])
    assert read.images["anode"].dtype == np.uint16
    assert_frame_equal(read.truth, expected.truth)


def test_exchanged_axes_are_warned_of_and_read(folder: Path) -> None:
    expected = next(read_npy(folder, 100))
    change(folder, "images", lambda images: images.swapaxes(1, 2))
    with pytest.warns(UserWarning, match="read it with axes=yx"):
        next(read_npy(folder, 100))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = next(read_npy(folder, 100, axes="yx"))
    np.testing.assert_array_equal(read.images["anode"], expected.images["anode"])
    with pytest.raises(ConfigError, match="'xy' or 'yx'"):
        next(read_npy(folder, 100, axes="zz"))


def test_truth_of_other_events_is_warned_of(folder: Path) -> None:
    for name in ("energies", "positions", "labels"):
        change(folder, name, lambda array: np.roll(array, 7, axis=0))
    with pytest.warns(UserWarning, match="do images and positions belong together"):
        next(read_npy(folder, 100))


def rename(folder: Path, rest: str) -> None:
    for file in list(folder.glob("*.npy")):
        file.rename(folder / f"{file.stem}{rest}.npy")


TRUTH = {
    ("labels",): ["n_electrons"],
    ("positions",): ["n_electrons", "x_1_px", "y_1_px", "x_2_px", "y_2_px"],
    ("energies",): ["n_electrons", "energy_1_mev", "energy_2_mev"],
    ("labels", "positions"): ["n_electrons", "x_1_px", "y_1_px", "x_2_px", "y_2_px"],
}


@pytest.mark.parametrize("present", TRUTH)
def test_whatever_truth_is_there_is_taken(folder: Path, present: tuple[str, ...]) -> None:
    """The published arrays may come without energies: `images_training_200k.npy`, `labels_...`."""
    expected = next(read_npy(folder, 100)).truth
    for name in {"labels", "positions", "energies"} - set(present):
        (folder / f"{name}.npy").unlink()
    rename(folder, "_training_200k")
    truth = concat(list(read_npy(folder, 25))).truth
    wanted = ["file", "event", *TRUTH[present]]
    assert set(truth.columns) == set(wanted)
    assert_frame_equal(truth.select(wanted), expected.select(wanted))
    assert truth["n_electrons"].n_unique() == 2


def test_training_and_test_arrays_may_share_a_folder(tmp_path: Path, make_cebr: Make) -> None:
    events = make_cebr(60)
    folder = tmp_path / "data"
    folder.mkdir()
    for rest, rows in (("training_200k", slice(0, 40)), ("test_200k", slice(40, 60))):
        part = write(tmp_path / rest, events.select(rows))
        if rest == "test_200k":
            (part / "energies.npy").unlink()
        for file in part.glob("*.npy"):
            file.rename(folder / f"{file.stem}_{rest}.npy")
    read = concat(list(read_npy(folder, 25)))
    files = read.truth["file"].unique(maintain_order=True).to_list()
    assert files == ["data/test_200k", "data/training_200k"]
    assert read.truth["event"].to_list() == [*range(20), *range(40)]
    images = np.asarray(events.images["anode"])
    np.testing.assert_array_equal(read.images["anode"], np.concatenate([images[40:], images[:40]]))
    n_electrons = events.truth["n_electrons"].to_list()
    assert read.truth["n_electrons"].to_list() == n_electrons[40:] + n_electrons[:40]
    assert read.truth["energy_1_mev"].null_count() == 20
    alone = next(read_npy(folder, 100, arrays="training_200k"))
    assert alone.truth["energy_1_mev"].to_list() == events.truth["energy_1_mev"].to_list()[:40]
    assert alone.truth["file"].unique().to_list() == ["data/training_200k"]
    with pytest.raises(NotFoundError, match=r"no arrays called 'training_20k'.*training_200k"):
        next(read_npy(folder, 100, arrays="training_20k"))


def test_labels_without_their_images_are_not_left_out_in_silence(folder: Path) -> None:
    rename(folder, "_training")
    np.save(folder / "labels_test.npy", np.zeros(7))
    with pytest.raises(FileFormatError, match=r"must hold \*images\*.npy.*There is labels_test.npy"):
        next(read_npy(folder, 100))
    np.save(folder / "labels-training.npy", np.zeros(60))
    with pytest.raises(
        FileFormatError, match=r"one file of labels is needed.*labels-training.npy, labels_tr"
    ):
        next(read_npy(folder, 100))
    np.save(folder / "labels_of_images.npy", np.zeros(60))
    with pytest.raises(FileFormatError, match=r"the name must say .* Got labels_of_images.npy"):
        next(read_npy(folder, 100))


@pytest.mark.parametrize("value", [2, -1, 0.5, np.nan])
def test_a_label_is_0_or_1(folder: Path, value: float) -> None:
    for name in ("energies", "positions"):
        (folder / f"{name}.npy").unlink()
    change(folder, "labels", lambda labels: put(labels, (4,), value))
    with pytest.raises(FileFormatError, match=r"event 4: label \S+ must be 0 for a single or 1 for a double"):
        next(read_npy(folder, 100))


def test_labels_and_positions_must_agree(folder: Path) -> None:
    (folder / "energies.npy").unlink()
    double = int(np.argmax(np.load(folder / "labels.npy")))
    change(folder, "labels", lambda labels: put(labels, (double,), 0))
    words = rf"event {double}: a single \(label 0\) must have position -100"
    with pytest.raises(FileFormatError, match=words):
        next(read_npy(folder, 100))


def test_scaled_images_are_told(folder: Path) -> None:
    change(folder, "images", lambda images: images / images.max())
    with pytest.raises(FileFormatError, match=r"seem to be scaled to 0\.\.1 already; give the counts"):
        next(read_npy(folder, 100))


def test_without_truth(folder: Path) -> None:
    for name in ("energies", "positions", "labels"):
        (folder / f"{name}.npy").unlink()
    assert next(read_npy(folder, 100)).truth.columns == ["file", "event"]


def put(array: np.ndarray, where: tuple[int, ...], value: float) -> np.ndarray:
    array = array.astype(np.float64)
    array[where] = value
    return array


BAD = [
    ("images", (4, 2, 3), -1, r"event 4: pixel \[x=2, y=3\].*Got -1"),
    ("images", (4, 2, 3), 0.5, "event 4: pixel .*whole number.*Got 0.5"),
    ("images", (4, 2, 3), np.nan, "event 4: pixel .*Got nan"),
    ("positions", (4, 0), np.inf, "event 4: the value must be a finite number"),
    ("energies", (4, 0), -1, "event 4: an energy must not be negative"),
    ("labels", (4,), 7, "event 4: label 7"),
]


@pytest.mark.parametrize(("name", "where", "value", "words"), BAD)
def test_bad_events(folder: Path, name: str, where: tuple[int, ...], value: float, words: str) -> None:
    change(folder, name, lambda array: put(array, where, value))
    with pytest.raises(FileFormatError, match=words):
        list(read_npy(folder, 3))
    skipped: list[str] = []
    events = concat(list(read_npy(folder, 3, skipped)))
    assert events.truth["event"].to_list() == [i for i in range(60) if i != 4]
    assert len(skipped) == 1


def test_folders_that_cannot_be_read(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(NotFoundError):
        next(read_npy(tmp_path / "missing", 10))
    np.save(folder / "images_2.npy", np.zeros((2, 256)))
    with pytest.raises(FileFormatError, match=r"images '2' have no labels, .* but '' has"):
        next(read_npy(folder, 10))
    (folder / "images_2.npy").unlink()
    change(folder, "labels", lambda labels: labels[:5])
    with pytest.raises(FileFormatError, match="one length"):
        next(read_npy(folder, 10))
    (folder / "labels.npy").unlink()
    change(folder, "energies", lambda energies: energies[:, :1])
    with pytest.raises(FileFormatError, match=r"energies must be numbers of shape \('n', 2\)"):
        next(read_npy(folder, 10))
    (folder / "energies.npy").unlink()
    content = (folder / "images.npy").read_bytes()
    (folder / "positions.npy").unlink()
    (folder / "images.npy").write_bytes(content[:-7])
    with pytest.raises(FileFormatError, match="not a readable NumPy array"):
        next(read_npy(folder, 10))
    np.save(folder / "images.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(FileFormatError, match="not a readable NumPy array"):
        next(read_npy(folder, 10))
    np.save(folder / "images.npy", np.zeros((0, 256)))
    with pytest.raises(FileFormatError, match="empty"):
        next(read_npy(folder, 10))


def test_nothing_half_written(tmp_path: Path, folder: Path, make_cebr: Make) -> None:
    before = (folder / "images.npy").read_bytes()
    with pytest.raises(KeyError), NpyWriter(folder) as writer:
        writer.write(make_cebr(3))
        raise KeyError
    with pytest.raises(DataError, match="no events"):
        write(folder)
    assert (folder / "images.npy").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["arrays"]
    write(folder, make_cebr(3))
    assert len(next(read_npy(folder, 100))) == 3
    (folder / "thesis.tex").write_text("x")
    with pytest.raises(DataError, match="holds other things"):
        write(folder, make_cebr(3))
    with pytest.raises(DataError, match="'with' block"):
        NpyWriter(tmp_path / "new").write(make_cebr(1))


@pytest.mark.real
def test_the_published_truth_arrays(tmp_path: Path, real_cebr: Path) -> None:
    folder = tmp_path / "real"
    folder.mkdir()
    for name in ("energies", "positions", "labels"):
        (folder / f"{name}_sample.npy").symlink_to(real_cebr / f"{name}_sample.npy")
    np.save(folder / "images.npy", np.zeros((10_000, 256), np.uint16))
    with pytest.warns(UserWarning, match="brightest pixel"):
        events = next(read_npy(folder, 20_000))
    assert (events.truth["n_electrons"] == 1).sum() == 5002
