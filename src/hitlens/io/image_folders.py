"""Folders of pictures, one file an event, and folders of NumPy arrays, under the interface of `columns`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hitlens.errors import FileFormatError, NotFoundError
from hitlens.io.columns import Column, Columns, MissingColumns, open_columns
from hitlens.io.guard import damage_as_format_error
from hitlens.io.names import has_ending

if TYPE_CHECKING:
    import polars as pl

#: Endings of the files that hold a picture.
IMAGE_ENDINGS = (".png", ".tif", ".tiff", ".npy")
#: Modes of Pillow whose numbers are those of the file.
_MODES = ("1", "L", "LA", "RGB", "RGBA", "CMYK", "I", "I;16", "I;16B", "I;16L", "F")
#: Colour types of PNG: grey, and an index into a palette.
_GREY, _PALETTE = 0, 3


class ImageFolder:
    """A folder of pictures as columns.

    With a table, its columns; one of texts that name pictures is read as these. Without, all pictures in the
    folder and those below, in the order of their names with numbers as numbers, as the columns ``image``,
    ``name`` (without ending), ``folder`` (the name of the one it lies in) and ``number`` (the last in the
    name, where each has one).

    Args:
        folder: where they are.
        table: name of a table in it, one row an event; none where empty.

    Raises:
        NotFoundError: there is no such folder or table.
        FileFormatError: the table is damaged, or there is no picture.
    """

    def __init__(self, folder: Path, table: str = "") -> None:
        if not folder.is_dir():
            raise NotFoundError(f"No folder '{folder}'. Check the name.")
        self._folder = folder
        self._columns: dict[str, NDArray[Any]] = {}
        self._table: Columns | None = None
        self._pictures: dict[str, Sequence[str]] = {}
        if table:
            self._open_table(folder / table)
        else:
            self._list_files()
        self.names = (*self._pictures, *self._columns, *(self._table.names if self._table else ()))
        self.names = tuple(dict.fromkeys(self.names))

    def _open_table(self, path: Path) -> None:
        self._table = open_columns(path)
        for name in self._table.names:
            values = self._table.read(name, 0, self._table.length(name))
            texts = values.tolist() if isinstance(values, np.ndarray) and values.dtype.kind == "U" else []
            if texts and has_ending(Path(texts[0]), IMAGE_ENDINGS):
                self._pictures[name] = texts

    def _list_files(self) -> None:
        found = [
            path for path in self._folder.rglob("*") if has_ending(path, IMAGE_ENDINGS) and path.is_file()
        ]
        paths = sorted((path.relative_to(self._folder) for path in found), key=_natural)
        if not paths:
            raise FileFormatError(
                f"there is no picture in this folder (none of {', '.join(IMAGE_ENDINGS)}).", path=self._folder
            )
        self._pictures = {"image": [str(path) for path in paths]}
        self._columns = {
            "name": np.array([path.stem for path in paths]),
            "folder": np.array([path.parent.name for path in paths]),
        }
        numbers = [re.findall(r"[0-9]+", path.stem) for path in paths]
        if all(numbers):
            self._columns["number"] = np.array([int(inside[-1]) for inside in numbers])

    def length(self, name: str) -> int:
        """Return the number of events."""
        if name in self._pictures:
            return len(self._pictures[name])
        return len(self._columns[name]) if self._table is None else self._table.length(name)

    def read(self, name: str, start: int, stop: int) -> Column:
        """Return rows start to stop of a column; pictures have shape (event, row, col) or with channels."""
        if name in self._pictures:
            return self._images(self._pictures[name][start:stop])
        return self._columns[name][start:stop] if self._table is None else self._table.read(name, start, stop)

    def whole_or_missing(self, name: str, start: int, stop: int) -> pl.Series | None:
        """Return whole numbers of the table with those that are missing."""
        if isinstance(self._table, MissingColumns) and name not in self._pictures:
            return self._table.whole_or_missing(name, start, stop)
        return None

    def _images(self, names: Sequence[str]) -> NDArray[Any]:
        inside = self._folder.resolve()
        images: list[NDArray[Any]] = []
        for name in names:
            path = self._folder / name
            if not path.resolve().is_relative_to(inside):
                raise FileFormatError(f"'{name}' is not inside this folder.", path=self._folder)
            images.append(read_image(path))
            if images[-1].shape != images[0].shape:
                raise FileFormatError(
                    f"the picture has shape {images[-1].shape}, '{names[0]}' has {images[0].shape}: all must "
                    "have one.",
                    path=path,
                )
        return np.stack(images) if images else np.zeros((0, 0))

    def __enter__(self) -> ImageFolder:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._table is not None:
            self._table.__exit__(*exc)


class ArrayFolder:
    """A folder of ``.npy`` arrays as columns, each under its name without the ending.

    Args:
        folder: where they are.

    Raises:
        NotFoundError: there is no such folder.
        FileFormatError: there is no array in it.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise NotFoundError(f"No folder '{folder}'. Check the name.")
        self._paths = {path.stem: path for path in sorted(folder.iterdir()) if has_ending(path, ".npy")}
        if not self._paths:
            raise FileFormatError("there is no .npy array in this folder.", path=folder)
        self.names = tuple(self._paths)

    def length(self, name: str) -> int:
        """Return the number of rows of an array."""
        shape = self._array(name).shape
        return shape[0] if shape else 0

    def read(self, name: str, start: int, stop: int) -> Column:
        """Return rows start to stop of an array."""
        rows = np.array(self._array(name)[start:stop])
        return rows.astype(rows.dtype.newbyteorder("="), copy=False)

    def _array(self, name: str) -> NDArray[Any]:
        with damage_as_format_error(self._paths[name]):
            array: NDArray[Any] = np.load(self._paths[name], mmap_mode="r", allow_pickle=False)
        return array

    def __enter__(self) -> ArrayFolder:
        return self

    def __exit__(self, *exc: object) -> None:
        return None


def read_image(path: Path) -> NDArray[Any]:
    """Return the numbers of one picture: (row, col), (row, col, channel), or (frame, row, col) of a TIFF.

    Args:
        path: a ``.npy``, ``.png``, ``.tif`` or ``.tiff`` file.

    Raises:
        NotFoundError: there is no such file.
        FileFormatError: it is damaged, or of a kind whose numbers would be changed in reading.
    """
    if not path.is_file():
        raise NotFoundError(f"No picture '{path}'. Check the table that names it.")
    if has_ending(path, ".npy"):
        with damage_as_format_error(path):
            array: NDArray[Any] = np.load(path, allow_pickle=False)
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    if has_ending(path, ".png"):
        _check_png(path)
    from PIL import Image, UnidentifiedImageError

    with damage_as_format_error(path):
        try:
            with Image.open(path) as picture:
                frames = [_frame(picture, number, path) for number in range(getattr(picture, "n_frames", 1))]
        except UnidentifiedImageError:
            raise FileFormatError(
                "the picture cannot be read. Of several channels only 8 bits each are; save others as .npy, "
                "or as one TIFF with a frame a channel.",
                path=path,
            ) from None
        return frames[0] if len(frames) == 1 else np.stack(frames)


def _frame(picture: Any, number: int, path: Path) -> NDArray[Any]:
    if number:
        picture.seek(number)
    if picture.mode not in _MODES:
        raise FileFormatError(
            f"a picture of mode '{picture.mode}' holds no plain numbers. Save it in grey.", path=path
        )
    values = np.asarray(picture)
    values = values.astype(np.uint8) if values.dtype == bool else values
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _check_png(path: Path) -> None:
    """Refuse what Pillow would change without a word: 16 bits in colour, fewer than 8, palettes."""
    with path.open("rb") as file:
        head = file.read(26)
    if len(head) < 26 or head[:8] != b"\x89PNG\r\n\x1a\n":
        raise FileFormatError("this is not a PNG file by its first bytes.", path=path)
    bits, colour = head[24], head[25]
    if colour == _PALETTE or bits < 8 or (bits > 8 and colour != _GREY):
        what = "a palette" if colour == _PALETTE else f"{bits} bits a channel"
        raise FileFormatError(
            f"a PNG with {what} cannot be read unchanged. Save it as grey of 8 or 16 bits, as colour of 8 "
            "bits, or as .npy.",
            path=path,
        )


def _natural(path: Path) -> list[tuple[int, str]]:
    """Order frame2 before frame10."""
    parts = re.split(r"([0-9]+)", str(path))
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
