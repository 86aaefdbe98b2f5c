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


def test_without_truth(folder: Path) -> None:
    for name in ("energies", "positions"):
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
    with pytest.raises(FileFormatError, match=r"there are images\.npy, images_2\.npy"):
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
    with pytest.raises(FileFormatError, match=r"or neither. It holds images\.npy, positions\.npy"):
        next(read_npy(folder, 10))
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
