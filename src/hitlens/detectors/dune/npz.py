"""One .npz file: the pixels of all events as a list (event, view, row, col, value), the truth by event."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hitlens.detectors.dune.description import FLAVOURS, SHAPE, VIEWS
from hitlens.detectors.dune.truth import TYPES, columns_of, find_faults, truth_table
from hitlens.errors import DataError, FileFormatError, NotFoundError
from hitlens.events import Events
from hitlens.io.atomic import written_whole
from hitlens.io.guard import damage_as_format_error
from hitlens.io.names import has_ending
from hitlens.io.npz import open_npz

#: Arrays of the pixel list, with their types.
PIXELS: dict[str, Any] = {
    "event": np.int32,
    "view": np.uint8,
    "row": np.int16,
    "col": np.int16,
    "value": np.uint8,
}

#: Name in the file of each truth column.
NAMES = {name: name.replace("_gev", "_GeV") for name in TYPES}

_FILE_TYPES: dict[str, Any] = {"nu_energy_gev": np.float32, "lep_energy_gev": np.float32}

_N_PIXELS = SHAPE[0] * SHAPE[1]


def is_npz(path: Path) -> bool:
    """Tell by its content whether a file is such a .npz.

    Examples:
        >>> is_npz(Path("/no/such/file"))
        False
    """
    if not path.is_file() or not zipfile.is_zipfile(path):
        # Of a file cut short no content is left to tell by.
        return path.is_file() and has_ending(path, ".npz")
    with damage_as_format_error(path), zipfile.ZipFile(path) as archive:
        names = {name.removesuffix(".npy") for name in archive.namelist()}
    return {*PIXELS, "flavour"} <= names


def read_npz(path: Path, block: int, skipped: list[str] | None = None) -> Iterator[Events]:
    """Yield the events of a .npz file; events are numbered by their place in it.

    Args:
        path: the file.
        block: most events a block.
        skipped: None refuses a file with a bad event; a list receives one message a bad event instead.

    Raises:
        NotFoundError: there is no such file.
        FileFormatError: it is cut short or foreign, an array is missing or does not fit, or an event is bad.
    """
    if not path.is_file():
        raise NotFoundError(f"No file '{path}'. Check the name.")
    arrays = _load(path)
    columns = {name: np.asarray(arrays[NAMES[name]], dtype=np.float64) for name in TYPES}
    n_events = len(columns["flavour"])
    faults = find_faults(columns)
    for row, words in faults.items():
        error = FileFormatError(f"event {row}: {words}.", path=path)
        if skipped is None:
            raise error
        skipped.append(str(error))
    views = _views(arrays, n_events, path)
    keep = np.setdiff1d(np.arange(n_events), list(faults))
    for start in range(0, len(keep), block):
        rows = keep[start : start + block]
        truth = truth_table(path.name, rows, {name: values[rows] for name, values in columns.items()})
        yield Events({name: matrix[rows] for name, matrix in views.items()}, truth, "dune")


def _load(path: Path) -> dict[str, NDArray[Any]]:
    with (
        damage_as_format_error(path, "this is not a whole .npz file", "Copy or fetch it again."),
        open_npz(path) as file,
    ):
        wanted = [*PIXELS, *NAMES.values()]
        missing = [name for name in wanted if name not in file.files]
        if missing:
            raise FileFormatError(
                f"it must hold the array {', '.join(missing)}. "
                f"It holds {', '.join(file.files) or 'nothing'}.",
                path=path,
            )
        arrays = {name: file[name] for name in wanted}
        if "shape" in file.files:
            arrays["shape"] = file["shape"]
    _check_arrays(arrays, path)
    return arrays


def _check_arrays(arrays: dict[str, NDArray[Any]], path: Path) -> None:
    for group in (tuple(PIXELS), tuple(NAMES.values())):
        shapes = {arrays[name].shape for name in group}
        if len(shapes) > 1 or len(next(iter(shapes))) != 1:
            found = ", ".join(f"{name} {arrays[name].shape}" for name in group)
            raise FileFormatError(f"these arrays must be of one length. Got {found}.", path=path)
    for name in (*PIXELS, *NAMES.values()):
        kinds = "iuf" if name.endswith("GeV") else "iu"
        if arrays[name].dtype.kind not in kinds:
            wanted = "numbers" if "f" in kinds else "whole numbers"
            raise FileFormatError(f"{name} must be {wanted}. Got {arrays[name].dtype}.", path=path)
    if not len(arrays["flavour"]):
        raise FileFormatError("it holds no event.", path=path)
    wanted_shape = (len(arrays["flavour"]), len(VIEWS), *SHAPE)
    shape = tuple(arrays.get("shape", np.array(wanted_shape)).tolist())
    if shape != wanted_shape:
        raise FileFormatError(
            f"shape must be {wanted_shape}: events, views, wires, times. Got {shape}.", path=path
        )
    limits = {"event": len(arrays["flavour"]), "view": len(VIEWS), "row": SHAPE[0], "col": SHAPE[1]}
    for name, n in limits.items():
        wrong = (arrays[name] < 0) | (arrays[name] >= n)
        if wrong.any():
            at = int(np.argmax(wrong))
            raise FileFormatError(
                f"{name} of a pixel must be 0 to {n - 1}. Got {arrays[name][at]} at pixel {at}.", path=path
            )
    wrong = (arrays["value"] < 1) | (arrays["value"] > 255)
    if wrong.any():
        at = int(np.argmax(wrong))
        raise FileFormatError(
            f"value of a pixel must be 1 to 255. Got {arrays['value'][at]} at pixel {at}.", path=path
        )


def _views(
    arrays: dict[str, NDArray[Any]], n_events: int, path: Path
) -> dict[str, sparse.csr_array[Any, tuple[int, int]]]:
    views = {}
    for number, view in enumerate(VIEWS):
        here = arrays["view"] == number
        event = arrays["event"][here].astype(np.int64)
        place = event * _N_PIXELS + arrays["row"][here].astype(np.int64) * SHAPE[1] + arrays["col"][here]
        values = arrays["value"][here].astype(np.uint8)
        if (np.diff(place) <= 0).any():
            order = np.argsort(place, kind="stable")
            place, event, values = place[order], event[order], values[order]
            twice = np.flatnonzero(np.diff(place) == 0)
            if len(twice):
                pixel = int(place[twice[0]]) % _N_PIXELS
                raise FileFormatError(
                    f"pixel ({pixel // SHAPE[1]}, {pixel % SHAPE[1]}) of view {view.name} of event "
                    f"{event[twice[0]]} is there twice.",
                    path=path,
                )
        indptr = np.concatenate([[0], np.cumsum(np.bincount(event, minlength=n_events))])
        indices = (place % _N_PIXELS).astype(np.int32)
        views[view.name] = sparse.csr_array(
            (values, indices, indptr.astype(np.int32)), shape=(n_events, _N_PIXELS)
        )
    return views


class NpzWriter:
    """Writes a .npz file of this layout when the last event is known; equal events give equal arrays.

    Args:
        path: final name; a file that exists is replaced.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._parts: list[dict[str, NDArray[Any]]] = []
        self._n_events = 0

    def __enter__(self) -> NpzWriter:
        self._parts, self._n_events = [], 0
        return self

    def __exit__(self, *exc: object) -> None:
        if exc[0] is not None:
            return
        if not self._n_events:
            raise DataError(f"Nothing to write to '{self.path}': there were no events.")
        arrays = {name: np.concatenate([part[name] for part in self._parts]) for name in self._parts[0]}
        order = np.lexsort([arrays[name] for name in ("col", "row", "view", "event")])
        arrays |= {name: arrays[name][order] for name in PIXELS}
        arrays["shape"] = np.array([self._n_events, len(VIEWS), *SHAPE])
        arrays["flavour_names"] = np.array(FLAVOURS)
        with written_whole(self.path) as partial, partial.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    def write(self, events: Events) -> None:
        """Append events.

        Raises:
            DataError: events that this layout cannot hold.
        """
        part: dict[str, NDArray[Any]] = {
            NAMES[name]: values.astype(_FILE_TYPES.get(name, np.int16))
            for name, values in columns_of(events).items()
        }
        pixels = [_pixel_list(events, number) for number in range(len(VIEWS))]
        for name, dtype in PIXELS.items():
            part[name] = np.concatenate([one[name] for one in pixels]).astype(dtype)
        part["event"] += self._n_events
        self._parts.append(part)
        self._n_events += len(events)


def _pixel_list(events: Events, number: int) -> dict[str, NDArray[Any]]:
    matrix = sparse_view(events, VIEWS[number].name)
    event = np.repeat(np.arange(len(events)), np.diff(matrix.indptr))
    return {
        "event": event,
        "view": np.full(len(event), number),
        "row": matrix.indices // SHAPE[1],
        "col": matrix.indices % SHAPE[1],
        "value": matrix.data,
    }


def sparse_view(events: Events, name: str) -> sparse.csr_array[Any, tuple[int, int]]:
    """Return one view as a sparse matrix of shape (event, pixel), without zeros, pixels ascending.

    Args:
        events: of this detector.
        name: of the view.

    Raises:
        DataError: a missing view, another image size, or pixels that are not whole numbers from 0 to 255.
    """
    if name not in events.images:
        raise DataError(f"These events have no view '{name}', which this layout needs.")
    images = events.images[name]
    flat = images.reshape(len(events), -1) if isinstance(images, np.ndarray) else images
    matrix = sparse.csr_array(flat, copy=True)
    matrix.eliminate_zeros()
    matrix.sort_indices()
    data = matrix.data.astype(np.float64)
    if matrix.shape[1] != _N_PIXELS:
        raise DataError(f"Images must have {SHAPE[0]} x {SHAPE[1]} pixels. View '{name}' has another size.")
    if ((data < 0) | (data > 255) | (data != np.floor(data))).any():
        raise DataError(f"Pixels must be whole numbers from 0 to 255. View '{name}' has others.")
    return matrix
