"""A folder of NumPy arrays: images, energies, positions and labels of the same events.

Files are found by a word in their name (`images`, `energies`, `positions`, `labels`), so that
`energies.npy` and `energies_sample.npy` both do. Without energies and positions there is no truth.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from hitlens.detectors.cebr.truth import (
    SHAPE,
    bad_counts,
    counts_of,
    find_faults,
    truth_table,
    values_of,
)
from hitlens.errors import ConfigError, DataError, FileFormatError, NotFoundError
from hitlens.events import Events
from hitlens.io.atomic import remove, temporary_name

#: Words in the file names, with the shapes an event may have.
ARRAYS: dict[str, tuple[tuple[int, ...], ...]] = {
    "images": ((256,), SHAPE, (*SHAPE, 1)),
    "energies": ((2,),),
    "positions": ((4,),),
    "labels": ((), (1,)),
}
_DTYPES = {"images": np.uint16, "energies": np.float64, "positions": np.float64, "labels": np.int64}
#: Fewer brightest pixels at the true position than this, and the axes are probably exchanged.
LEAST_AGREEMENT = 0.5


def read_npy(path: Path, block: int, skipped: list[str] | None = None, axes: str = "xy") -> Iterator[Events]:
    """Yield the events of a folder of arrays.

    Args:
        path: the folder.
        block: events a block.
        skipped: None refuses arrays with a bad event; a list receives one message a bad event instead.
        axes: "xy" for images [x, y] as everywhere here; "yx" for images [y, x], which are transposed.

    Raises:
        NotFoundError: there is no such folder.
        ConfigError: ``axes`` is neither.
        FileFormatError: an array is missing, not readable, of another shape or length, or an event is bad.

    Warns:
        UserWarning: the brightest pixels are elsewhere than the true positions.
    """
    if axes not in ("xy", "yx"):
        raise ConfigError(f"axes must be 'xy' or 'yx'. Got '{axes}'.")
    arrays = _open_arrays(Path(path))
    for start in range(0, len(arrays["images"]), block):
        part = {name: array[start : start + block] for name, array in arrays.items()}
        images = part["images"].reshape(-1, *SHAPE)
        values = _values(part)
        bad = _bad_events(images, values, part.get("labels"), axes)
        for row, words in bad.items():
            error = FileFormatError(f"event {start + row}: {words}.", path=path)
            if skipped is None:
                raise error
            skipped.append(str(error))
        keep = np.setdiff1d(np.arange(len(images)), list(bad))
        counts = np.ascontiguousarray(
            (images if axes == "xy" else images.swapaxes(1, 2))[keep], dtype=np.uint16
        )
        if values is not None and start == 0:
            _warn_of_axes(counts, values[keep], axes, path)
        truth = truth_table(path.name, start + keep, None if values is None else values[keep])
        if len(keep):
            yield Events({"anode": counts}, truth, "cebr")


def _open_arrays(path: Path) -> dict[str, NDArray[Any]]:
    if not path.is_dir():
        raise NotFoundError(f"No folder '{path}' with NumPy arrays. Check the name.")
    arrays = {name: _open_array(path, name) for name in ARRAYS}
    found = {name: array for name, array in arrays.items() if array is not None}
    if "images" not in found or ("energies" in found) != ("positions" in found):
        names = ", ".join(sorted(file.name for file in path.glob("*.npy"))) or "no .npy file"
        raise FileFormatError(
            "a folder must hold *images*.npy, and *energies*.npy with *positions*.npy or neither. "
            f"It holds {names}.",
            path=path,
        )
    lengths = {name: len(array) for name, array in found.items()}
    if len(set(lengths.values())) > 1:
        raise FileFormatError(
            f"the arrays must have one length. Got {', '.join(f'{n} {k}' for k, n in lengths.items())}.",
            path=path,
        )
    if not lengths["images"]:
        raise FileFormatError("the arrays are empty: they hold no event.", path=path)
    return found


def _open_array(folder: Path, name: str) -> NDArray[Any] | None:
    files = sorted(folder.glob(f"*{name}*.npy"))
    if not files:
        return None
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise FileFormatError(f"one file of {name} is needed, but there are {names}.", path=folder)
    try:
        array: NDArray[Any] = np.load(files[0], mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise FileFormatError(f"not a readable NumPy array ({error}).", path=files[0]) from error
    if array.shape[1:] not in ARRAYS[name] or array.dtype.kind not in "iufb":
        wanted = " or ".join(str(("n", *shape)) for shape in ARRAYS[name])
        raise FileFormatError(
            f"{name} must be numbers of shape {wanted}. Got {array.dtype} of shape {array.shape}.",
            path=files[0],
        )
    return array


def _values(part: dict[str, NDArray[Any]]) -> NDArray[np.float64] | None:
    if "energies" not in part:
        return None
    energy, position = part["energies"], part["positions"]
    return np.column_stack([energy[:, 0], position[:, :2], energy[:, 1], position[:, 2:]]).astype(np.float64)


def _bad_events(
    images: NDArray[Any], values: NDArray[np.float64] | None, labels: NDArray[Any] | None, axes: str
) -> dict[int, str]:
    bad: dict[int, str] = {}
    wrong = bad_counts(images)
    for row in np.flatnonzero(wrong.any(axis=(1, 2))).tolist():
        i, j = np.argwhere(wrong[row])[0].tolist()
        bad[row] = (
            f"pixel [{axes[0]}={i}, {axes[1]}={j}] must be a whole number from 0 to 65535. "
            f"Got {images[row, i, j]:g}"
        )
    if values is None:
        return bad
    for fault in find_faults(values):
        bad.setdefault(fault.row, fault.words)
    if labels is not None:
        flat = labels.reshape(-1)
        for row in np.flatnonzero(flat != (values[:, 3] != 0)).tolist():
            bad.setdefault(row, f"label {flat[row]} does not fit energy 2, {values[row, 3]:g}")
    return bad


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
        self._partial = temporary_name(self.path)
        self._files: dict[str, IO[bytes]] = {}
        self._n_written = 0

    def __enter__(self) -> NpyWriter:
        if self.path.exists() and not _is_ours(self.path):
            raise DataError(f"'{self.path}' holds other things than arrays of events. Choose another name.")
        remove(self._partial)
        self._partial.mkdir(parents=True)
        for name in ARRAYS:
            self._files[name] = (self._partial / f"{name}.npy").open("wb")
        self._write_headers()
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            if exc[0] is None and not self._n_written:
                raise DataError(f"Nothing to write to '{self.path}': there were no events.")
            if exc[0] is None:
                self._write_headers()
            for file in self._files.values():
                file.close()
            if exc[0] is None:
                remove(self.path)
                self._partial.replace(self.path)
        finally:
            for file in self._files.values():
                file.close()
            self._files = {}
            remove(self._partial)

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
