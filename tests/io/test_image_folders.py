"""Pictures give back their numbers, whatever the file, or are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from PIL import Image

from hitlens.errors import FileFormatError, NotFoundError
from hitlens.io.image_folders import ArrayFolder, ImageFolder, read_image

N = 12


def pictures(dtype: str, *shape: int) -> NDArray[Any]:
    top = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1000
    return np.random.default_rng(1).integers(0, top, shape, endpoint=True).astype(dtype)


@pytest.mark.parametrize("ending", [".png", ".tif", ".TIFF", ".npy"])
@pytest.mark.parametrize(
    ("dtype", "shape"), [("uint8", (3, 4)), ("uint16", (3, 4)), ("uint8", (3, 4, 3)), ("uint8", (3, 4, 4))]
)
def test_numbers_are_those_of_the_file(
    ending: str, dtype: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    image, path = pictures(dtype, *shape), tmp_path / f"a{ending}"
    if ending == ".npy":
        np.save(path, image)
    else:
        Image.fromarray(image).save(path)
    read = read_image(path)
    np.testing.assert_array_equal(read, image)
    assert read.dtype == image.dtype


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_frames_of_a_tiff_are_channels(dtype: str, tmp_path: Path) -> None:
    channels = pictures(dtype, 3, 5, 4)
    first, *others = [Image.fromarray(channel) for channel in channels]
    first.save(tmp_path / "a.tif", save_all=True, append_images=others)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), channels)


def png_header(bits: int, colour: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + b"\0\0\0\4\0\0\0\3" + bytes([bits, colour, 0, 0, 0])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (png_header(16, 2), "PNG with 16 bits a channel cannot be read unchanged"),
        (png_header(16, 4), "16 bits a channel"),
        (png_header(4, 0), "4 bits a channel"),
        (png_header(8, 3), "PNG with a palette"),
        (b"GIF89a", "not a PNG file by its first bytes"),
        (png_header(8, 0), "damaged|cannot be read"),
    ],
)
def test_pictures_that_would_be_changed_are_refused(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(FileFormatError, match=said):
        read_image(tmp_path / "a.png")


def test_all_pictures_of_a_folder_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    images = pictures("uint16", N, 3, 4)
    for number, image in enumerate(images):
        folder = tmp_path / ("even", "odd")[number % 2]
        folder.mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / f"run7_ev{number}.png")
    with ImageFolder(tmp_path) as columns:
        assert columns.names == ("image", "name", "folder", "number")
        assert columns.read("number", 0, N).tolist() == [*range(0, N, 2), *range(1, N, 2)]  # type: ignore[union-attr]
        assert columns.read("folder", 5, 7).tolist() == ["even", "odd"]  # type: ignore[union-attr]
        np.testing.assert_array_equal(np.asarray(columns.read("image", 6, N)), images[1::2])


@pytest.mark.parametrize("table", ["truth.csv", "truth.tsv", "truth.parquet"])
def test_a_table_names_the_pictures(table: str, tmp_path: Path) -> None:
    images = pictures("uint8", N, 3, 4)
    order = np.random.default_rng(2).permutation(N)
    for number, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{number}.tif")
    rows = pl.DataFrame({"file": [f"{number}.tif" for number in order], "label": order % 3})
    if table.endswith("parquet"):
        rows.write_parquet(tmp_path / table)
    else:
        rows.write_csv(tmp_path / table, separator="\t" if table.endswith("tsv") else ",")
    with ImageFolder(tmp_path, table) as columns:
        assert columns.length("file") == columns.length("label") == N
        np.testing.assert_array_equal(np.asarray(columns.read("file", 2, 9)), images[order[2:9]])
        assert np.asarray(columns.read("label", 0, N)).tolist() == (order % 3).tolist()


def test_what_a_table_must_not_name(tmp_path: Path) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    np.save(folder / "a.npy", np.zeros((3, 4)))
    np.save(folder / "b.npy", np.zeros((4, 3)))
    np.save(tmp_path / "secret.npy", np.zeros((3, 4)))
    for second, error, said in [
        ("b.npy", FileFormatError, r"has shape \(4, 3\), 'a.npy' has \(3, 4\)"),
        ("../secret.npy", FileFormatError, "not inside this folder"),
        ("gone.npy", NotFoundError, "No picture"),
    ]:
        pl.DataFrame({"file": ["a.npy", second]}).write_csv(folder / "t.csv")
        with ImageFolder(folder, "t.csv") as columns, pytest.raises(error, match=said):
            columns.read("file", 0, 2)


def test_a_folder_of_arrays(tmp_path: Path) -> None:
    images = pictures("uint16", N, 3, 4)
    np.save(tmp_path / "images.npy", images.astype(">u2"))
    with (tmp_path / "labels.NPY").open("wb") as file:
        np.save(file, np.arange(N))
    with ArrayFolder(tmp_path) as columns:
        assert columns.names == ("images", "labels")
        np.testing.assert_array_equal(np.asarray(columns.read("images", 3, 5)), images[3:5])
        assert columns.length("labels") == N


@pytest.mark.parametrize("reader", [ImageFolder, ArrayFolder])
def test_folders_without_pictures_are_refused(reader: Any, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        reader(tmp_path / "gone")
    with pytest.raises(FileFormatError, match=r"no picture|no \.npy array"):
        reader(tmp_path)
