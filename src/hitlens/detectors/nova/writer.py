"""Writing the public HDF5 layout: what the course's notebooks read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hitlens.detectors.nova.members import (
    MEMBERS,
    N_PIXELS,
    N_VALUES,
    PIXELS,
    TRUTH_GROUP,
    VIEW_NAMES,
    Member,
)
from hitlens.errors import DataError, choose_from
from hitlens.events import Events, Images
from hitlens.io.atomic import PendingFile
from hitlens.io.hdf5_output import Hdf5Output

#: Events a chunk of pixels, 0.25 MB: reading event by event, as notebooks do, finds them in h5py's cache.
CHUNK = 16
#: Events that are dense at once.
_STRETCH = 256
#: Events a chunk of a truth column.
_COLUMN_CHUNK = 4096


class NovaFileWriter:
    """Writes one file of the public layout, under a temporary name until it is whole.

    Nothing is compressed, as in the public files: an event takes 16 kB.

    Args:
        path: final name; a file that exists is replaced.
    """

    def __init__(self, path: Path | str) -> None:
        self._pending: PendingFile[Hdf5Output] = PendingFile(path, Hdf5Output, "NovaFileWriter")

    def __enter__(self) -> NovaFileWriter:
        file = self._pending.open().file
        file.create_dataset(
            PIXELS, shape=(0, N_VALUES), maxshape=(None, N_VALUES), chunks=(CHUNK, N_VALUES), dtype="uint8"
        )
        group = file.create_group(TRUTH_GROUP)
        for member in MEMBERS:
            group.create_dataset(
                member.name, shape=(0, 1), maxshape=(None, 1), chunks=(_COLUMN_CHUNK, 1), dtype=member.dtype
            )
        return self

    def __exit__(self, *exc: object) -> None:
        self._pending.close(*exc)

    def write(self, events: Events) -> None:
        """Append events.

        Raises:
            DataError: events that this layout cannot hold.
        """
        file = self._pending.file.file
        views = [_view(events, name) for name in VIEW_NAMES]
        columns = {member.name: _column(events.truth, member) for member in MEMBERS}
        first, end = self._pending.n_events, self._pending.n_events + len(events)
        for name, values in columns.items():
            dataset = file[TRUTH_GROUP][name]
            dataset.resize(end, axis=0)
            dataset[first:end] = values
        file[PIXELS].resize(end, axis=0)
        for start in range(0, len(events), _STRETCH):
            stop = min(start + _STRETCH, len(events))
            rows = np.concatenate([_dense(view, start, stop) for view in views], axis=1)
            file[PIXELS][first + start : first + stop] = rows
        self._pending.file.check()
        self._pending.n_events = end


def _view(events: Events, name: str) -> Images:
    """Return a view whose pixels fit into the file."""
    if name not in events.images:
        raise DataError(
            f"The layout 'nova' needs the views {' and '.join(VIEW_NAMES)}. "
            f"These events have {', '.join(events.images)}."
        )
    view = events.images[name]
    n_pixels = int(np.prod(view.shape[1:]))
    if n_pixels != N_PIXELS:
        raise DataError(f"View '{name}' must have {N_PIXELS} pixels an event. Got {n_pixels}.")
    values = view if isinstance(view, np.ndarray) else view.data
    if values.dtype != np.uint8 and len(values):
        low, high = values.min(), values.max()
        if low < 0 or high > 255 or (values != np.floor(values)).any():
            raise DataError(
                f"Pixels of view '{name}' must be whole numbers from 0 to 255. Got {low:g} to {high:g}."
            )
    return view


def _dense(view: Images, start: int, stop: int) -> NDArray[np.uint8]:
    rows = view[start:stop]
    dense = rows if isinstance(rows, np.ndarray) else rows.toarray()
    return dense.reshape(stop - start, N_PIXELS).astype(np.uint8, copy=False)


def _column(truth: pl.DataFrame, member: Member) -> NDArray[Any]:
    """Return a truth column as the file holds it, shape (event, 1)."""
    if member.column not in truth.columns:
        raise DataError(
            f"The layout 'nova' needs the truth column '{member.column}'. "
            f"{choose_from(member.column, truth.columns)}"
        )
    series, dtype = truth[member.column], np.dtype(member.dtype)
    if series.null_count():
        raise DataError(
            f"The layout 'nova' has no place for missing values: '{member.column}' lacks "
            f"{series.null_count():,}."
        )
    values = series.to_numpy()
    if dtype.kind in "iu" and len(values):
        limits, low, high = np.iinfo(dtype), values.min(), values.max()
        if values.dtype.kind not in "iu" or low < limits.min or high > limits.max:
            raise DataError(
                f"'{member.column}' must be whole numbers from {limits.min} to {limits.max} in the layout "
                f"'nova'. Got {values.dtype} from {low} to {high}."
            )
    return values.astype(dtype).reshape(-1, 1)
