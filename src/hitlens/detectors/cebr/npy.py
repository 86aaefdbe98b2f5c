"""A folder of NumPy arrays: images, energies, positions and labels of the same events.

Files are found by a word in their name (`images`, `energies`, `positions`, `labels`), so that `energies.npy`
and `energies_sample.npy` both do. Where a word stands in several names, the rest of the name tells which
files belong together: `images_training_200k.npy` goes with `labels_training_200k.npy`. Labels, energies and
positions are each taken for the truth they hold; without any there is none.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hitlens.detectors.cebr.truth import (
    NO_POSITION_PX,
    SHAPE,
    VALUES,
    bad_counts,
    counts_of,
    find_faults,
    truth_table,
    values_of,
)
from hitlens.errors import ConfigError, DataError, FileFormatError, NotFoundError, choose_from
from hitlens.events import Events
from hitlens.io.atomic import files_written_whole
from hitlens.io.npy import NpyRows

#: Words in the file names, with the shapes an event may have.
ARRAYS: dict[str, tuple[tuple[int, ...], ...]] = {
    "images": ((256,), SHAPE, (*SHAPE, 1)),
    "energies": ((2,),),
    "positions": ((4,),),
    "labels": ((), (1,)),
}
_DTYPES = {"images": np.uint16, "energies": np.float64, "positions": np.float64, "labels": np.int64}
_POSITIONS = tuple(name for name in VALUES if name.endswith("_px"))
#: Truth columns that a set of arrays lacks where another one of the folder has them.
_MISSING = {
    "n_electrons": pl.lit(None, pl.UInt8).alias("n_electrons"),
    **{name: pl.lit(None, pl.Float64).alias(name) for name in VALUES},
}
#: What tells singles and doubles apart, in the order in which it is asked.
_TOLD_BY = {
    "energies": ("energy 2 is 0", "energy 2 is not 0"),
    "labels": ("label 0", "label 1"),
    "positions": ("no position 2", "half a position 2"),
}
#: Between the parts of a file name.
_SEPARATORS = re.compile(r"[^0-9A-Za-z]+")
#: Fewer brightest pixels at the true position than this, and the axes are probably exchanged.
LEAST_AGREEMENT = 0.5


def read_npy(
    path: Path, block: int, skipped: list[str] | None = None, axes: str = "xy", arrays: str = ""
) -> Iterator[Events]:
    """Yield the events of a folder of arrays, one set of arrays after the other.

    Where there are several sets, the truth column ``file`` is FOLDER/SET, for example ``data/training_200k``.

    Args:
        path: the folder.
        block: events a block.
        skipped: None refuses arrays with a bad event; a list receives one message a bad event instead.
        axes: "xy" for images [x, y] as everywhere here; "yx" for images [y, x], which are transposed.
        arrays: which set is read, for example "training_200k"; all where left out.

    Raises:
        NotFoundError: there is no such folder, or no such set in it.
        ConfigError: ``axes`` is neither.
        FileFormatError: an array is missing, not readable, of another shape or length, or an event is bad.

    Warns:
        UserWarning: the brightest pixels are elsewhere than the true positions.
    """
    if axes not in ("xy", "yx"):
        raise ConfigError(f"axes must be 'xy' or 'yx'. Got '{axes}'.")
    sets = _open_sets(Path(path), arrays)
    several = len(sets) > 1 or bool(arrays)
    _check_truth_of_all(path, sets)
    columns = list(dict.fromkeys(name for content in sets.values() for name in _truth_columns(content)))
    for name, content in sets.items():
        file = f"{path.name}/{name}" if several else path.name
        told = f"in {name or 'the arrays without a name'}, " if several else ""
        for start in range(0, len(content["images"]), block):
            part = {word: array[start : start + block] for word, array in content.items()}
            yield from _read_block(path, file, told, part, start, skipped, axes, columns)


def _check_truth_of_all(path: Path, sets: Mapping[str, Mapping[str, object]]) -> None:
    """Refuse images without truth beside others that have some: their truth may be under another name."""
    bare = [name for name, content in sets.items() if not _truth_columns(content)]
    if 0 < len(bare) < len(sets):
        others = ", ".join(repr(name) for name in sets if name not in bare)
        raise FileFormatError(
            f"images '{bare[0]}' have no labels, energies or positions of that name, but {others} has. "
            "Rename them, or read one set alone with --option arrays=NAME.",
            path=path,
        )


def _read_block(
    path: Path,
    file: str,
    told: str,
    part: dict[str, NDArray[Any]],
    start: int,
    skipped: list[str] | None,
    axes: str,
    columns: list[str],
) -> Iterator[Events]:
    """Yield the events of a block of arrays, if any is good."""
    images = part["images"].reshape(-1, *SHAPE)
    values = _values(part)
    bad = _bad_events(images, values, part, axes)
    for row, words in bad.items():
        error = FileFormatError(f"{told}event {start + row}: {words}.", path=path)
        if skipped is None:
            raise error
        skipped.append(str(error))
    keep = np.setdiff1d(np.arange(len(images)), list(bad))
    if not len(keep):
        return
    counts = np.ascontiguousarray((images if axes == "xy" else images.swapaxes(1, 2))[keep], dtype=np.uint16)
    if values is not None and "positions" in part and start == 0:
        _warn_of_axes(counts, values[keep], axes, path)
    truth = truth_table(file, start + keep, None if values is None else values[keep])
    known = _truth_columns(part)
    truth = truth.select("file", "event", *(pl.col(c) if c in known else _MISSING[c] for c in columns))
    yield Events({"anode": counts}, truth, "cebr")


def _truth_columns(arrays: Mapping[str, object]) -> list[str]:
    """Truth that these arrays hold, in the order of the truth table."""
    if not arrays.keys() & {"labels", "energies", "positions"}:
        return []
    sources = dict.fromkeys(VALUES[::3], "energies") | dict.fromkeys(_POSITIONS, "positions")
    return ["n_electrons", *(name for name in VALUES if sources[name] in arrays)]


def _open_sets(path: Path, chosen: str) -> dict[str, dict[str, NpyRows]]:
    """Return the arrays of each set by the words, the sets in alphabetical order of their names."""
    if not path.is_dir():
        raise NotFoundError(f"No folder '{path}' with NumPy arrays. Check the name.")
    files = _files_by_set(path)
    if chosen and chosen not in files:
        raise NotFoundError(f"{path} has no arrays called '{chosen}'. {choose_from(chosen, files)}")
    files = {chosen: files[chosen]} if chosen else files
    found = {}
    for name, members in sorted(files.items()):
        if "images" not in members:
            names = ", ".join(sorted(file.name for file in members.values())) or "no .npy file"
            raise FileFormatError(
                "a folder must hold *images*.npy; energies, positions and labels of these events go with "
                f"them by the rest of their name. There is {names}.",
                path=path,
            )
        found[name] = {word: _open_array(file, word) for word, file in members.items()}
        lengths = {word: len(array) for word, array in found[name].items()}
        if len(set(lengths.values())) > 1:
            raise FileFormatError(
                f"the arrays must have one length. Got {', '.join(f'{n} {k}' for k, n in lengths.items())}.",
                path=path,
            )
        if not lengths["images"]:
            raise FileFormatError("the arrays are empty: they hold no event.", path=path)
    return found


def _files_by_set(path: Path) -> dict[str, dict[str, Path]]:
    """Return the files of a folder by the rest of their name, and then by the word in it."""
    words: dict[str, list[Path]] = {}
    sets: dict[str, dict[str, Path]] = {}
    for file in sorted(path.glob("*.npy")):
        present = [word for word in ARRAYS if word in file.stem]
        if len(present) > 1:
            raise FileFormatError(
                f"the name must say what the array holds, one of {', '.join(ARRAYS)}. Got {file.name}.",
                path=path,
            )
        for word in present:
            words.setdefault(word, []).append(file)
            rest = _SEPARATORS.sub("_", file.stem.replace(word, "_")).strip("_")
            other = sets.setdefault(rest, {}).setdefault(word, file)
            if other != file:
                raise FileFormatError(
                    f"one file of {word} is needed, but there are {other.name}, {file.name}.", path=path
                )
    if all(len(files) == 1 for files in words.values()):  # one of each, whatever their names
        return {"": {word: files[0] for word, files in words.items()}}
    return sets


def _open_array(file: Path, name: str) -> NpyRows:
    try:
        array = NpyRows(file)
    except (ValueError, OSError, EOFError) as error:
        raise FileFormatError(f"not a readable NumPy array ({error}).", path=file) from error
    if array.shape[1:] not in ARRAYS[name] or array.dtype.kind not in "iufb":
        wanted = " or ".join(str(("n", *shape)) for shape in ARRAYS[name])
        raise FileFormatError(
            f"{name} must be numbers of shape {wanted}. Got {array.dtype} of shape {array.shape}.",
            path=file,
        )
    return array


def _values(part: dict[str, NDArray[Any]]) -> NDArray[np.float64] | None:
    """Return `E1 x1 y1 E2 x2 y2`; what no array tells is a number that fits those that are there."""
    single = _singles(part)
    if single is None:
        return None
    n_events = len(single)
    energy = part.get("energies", np.column_stack([np.ones(n_events), ~single]))
    centre = np.where(single[:, None], NO_POSITION_PX, 8.0)
    position = part.get("positions", np.column_stack([np.full((n_events, 2), 8.0), centre, centre]))
    return np.column_stack([energy[:, 0], position[:, :2], energy[:, 1], position[:, 2:]]).astype(np.float64)


def _singles(part: dict[str, NDArray[Any]]) -> NDArray[np.bool_] | None:
    """Return which events have one electron, by the first of energies, labels and positions that is there."""
    if "energies" in part:
        return np.asarray(part["energies"][:, 1] == 0)
    if "labels" in part:
        return np.asarray(part["labels"].reshape(-1) == 0)
    if "positions" in part:
        return np.asarray((part["positions"][:, 2:] == NO_POSITION_PX).all(axis=1))
    return None


def _bad_events(
    images: NDArray[Any], values: NDArray[np.float64] | None, part: dict[str, NDArray[Any]], axes: str
) -> dict[int, str]:
    bad: dict[int, str] = {}
    wrong = bad_counts(images)
    for row in np.flatnonzero(wrong.any(axis=(1, 2))).tolist():
        i, j = np.argwhere(wrong[row])[0].tolist()
        bad[row] = (
            f"pixel [{axes[0]}={i}, {axes[1]}={j}] must be a whole number from 0 to 65535. "
            f"Got {images[row, i, j]:g}{_scaled_before(images[row])}"
        )
    if values is None:
        return bad
    if "labels" in part:
        flat = part["labels"].reshape(-1)
        for row in np.flatnonzero((flat != 0) & (flat != 1)).tolist():
            bad.setdefault(row, f"label {flat[row]:g} must be 0 for a single or 1 for a double")
    source = next(word for word in _TOLD_BY if word in part)
    for fault in find_faults(values, *_TOLD_BY[source]):
        bad.setdefault(fault.row, fault.words)
    if "labels" in part and "energies" in part:
        for row in np.flatnonzero(flat != (values[:, 3] != 0)).tolist():
            bad.setdefault(row, f"label {flat[row]:g} does not fit energy 2, {values[row, 3]:g}")
    return bad


def _scaled_before(image: NDArray[Any]) -> str:
    """What else is wrong with an image whose pixels all lie between 0 and 1."""
    inside = np.isfinite(image).all() and image.min() >= 0 and image.max() <= 1
    return ": the images seem to be scaled to 0..1 already; give the counts themselves" if inside else ""


def _warn_of_axes(counts: NDArray[np.uint16], values: NDArray[np.float64], axes: str, path: Path) -> None:
    if not len(counts):
        return
    as_read = _agreement(counts, values)
    if as_read >= LEAST_AGREEMENT:
        return
    other = _agreement(counts.swapaxes(1, 2), values)
    text = f"{path}: the brightest pixel is at a true position in {as_read:.0%} of the first events only"
    if other > as_read:
        text += f", with the axes exchanged in {other:.0%}: read it with axes={axes[::-1]}."
    else:
        text += f", with the axes exchanged in {other:.0%}: do images and positions belong together?"
    warnings.warn(text, UserWarning, stacklevel=2)


def _agreement(counts: NDArray[np.uint16], values: NDArray[np.float64]) -> float:
    brightest = np.argmax(counts.reshape(len(counts), -1), axis=1)
    ix, iy = brightest // SHAPE[1], brightest % SHAPE[1]
    pixel = np.floor(values[:, [1, 2, 4, 5]])
    first = (pixel[:, 0] == ix) & (pixel[:, 1] == iy)
    second = (pixel[:, 2] == ix) & (pixel[:, 3] == iy)
    return float(np.mean(first | second))


class NpyWriter:
    """Writes a folder of arrays: `images.npy`, `energies.npy`, `positions.npy`, `labels.npy`.

    Args:
        path: the folder; one that holds nothing but such arrays is replaced.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._stack = ExitStack()
        self._files: dict[str, IO[bytes]] = {}
        self._n_written = 0

    def __enter__(self) -> NpyWriter:
        if self.path.exists() and not _is_ours(self.path):
            raise DataError(f"'{self.path}' holds other things than arrays of events. Choose another name.")
        outdated = list(self.path.iterdir()) if self.path.exists() else []
        partial = self._stack.enter_context(files_written_whole(self.path, outdated))
        for name in ARRAYS:
            self._files[name] = self._stack.enter_context((partial / f"{name}.npy").open("wb"))
        self._write_headers()
        return self

    def __exit__(self, *exc: object) -> None:
        with self._stack:
            if isinstance(exc[1], BaseException):
                raise exc[1]
            if not self._n_written:
                raise DataError(f"Nothing to write to '{self.path}': there were no events.")
            self._write_headers()
            self._files = {}

    def write(self, events: Events) -> None:
        """Append events.

        Raises:
            DataError: events that this layout cannot hold.
        """
        if not self._files:
            raise DataError("An NpyWriter must be used in a 'with' block.")
        values = values_of(events)
        arrays = {
            "images": counts_of(events),
            "energies": values[:, [0, 3]],
            "positions": values[:, [1, 2, 4, 5]],
            "labels": values[:, 3] != 0,
        }
        for name, array in arrays.items():
            self._files[name].write(np.ascontiguousarray(array, dtype=_DTYPES[name]).tobytes())
        self._n_written += len(events)

    def _write_headers(self) -> None:
        # numpy leaves room for a longer first axis: the second header has the length of the first.
        shapes = {"images": SHAPE, "energies": (2,), "positions": (4,), "labels": ()}
        for name, file in self._files.items():
            file.seek(0)
            header = {
                "descr": np.lib.format.dtype_to_descr(np.dtype(_DTYPES[name])),
                "fortran_order": False,
                "shape": (self._n_written, *shapes[name]),
            }
            np.lib.format.write_array_header_1_0(file, header)


def _is_ours(path: Path) -> bool:
    names = {f"{name}.npy" for name in ARRAYS}
    return path.is_dir() and all(file.name in names for file in path.iterdir())
