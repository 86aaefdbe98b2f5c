"""Writing the native events file, block by block."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, cast

import h5py
import hdf5plugin
import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from hitlens.errors import DataError
from hitlens.events import Events, Images, concat
from hitlens.io.atomic import written_whole
from hitlens.io.hdf5_output import Hdf5Output
from hitlens.io.native_checksum import seal
from hitlens.io.native_format import BATCH, CHUNK_BYTES, FORMAT, SPARSE_CHUNK, VERSION, ColumnInfo


class NativeWriter:
    """Writes a native events file block by block, under a temporary name until it is whole.

    Args:
        path: final name; a file that exists is replaced.
        detector: name of the detector all events belong to.
        provenance: where the events come from; anything JSON can hold.
        columns: unit and meaning by truth column; columns not named get none.

    Examples:
        >>> import tempfile
        >>> from hitlens.io.native import open_native
        >>> path = Path(tempfile.mkdtemp()) / "events.h5"
        >>> truth = pl.DataFrame({"event": [7, 8], "energy_mev": [0.5, 0.25]})
        >>> with NativeWriter(path, "demo", columns={"energy_mev": ColumnInfo("MeV", "kinetic energy")}) as w:
        ...     w.write(Events({"anode": np.zeros((2, 4, 4), np.uint16)}, truth, "demo"))
        >>> with open_native(path) as file:
        ...     len(file), file.columns["energy_mev"].unit, file.read(slice(1, 2)).truth["event"].to_list()
        (2, 'MeV', [8])
    """

    def __init__(
        self,
        path: Path | str,
        detector: str,
        provenance: Mapping[str, Any] | None = None,
        *,
        columns: Mapping[str, ColumnInfo] | None = None,
    ) -> None:
        self.path = Path(path)
        self.detector = detector
        self._provenance = json.dumps(dict(provenance or {}), sort_keys=True, default=str)
        self._columns = dict(columns or {})
        self._stack = ExitStack()
        self._output: Hdf5Output | None = None
        self._views: dict[str, _DenseView | _SparseView] = {}
        self._truth: dict[str, _Column] = {}
        self._pending: list[Events] = []
        self._n_pending = 0
        self._n_written = 0

    def __enter__(self) -> NativeWriter:
        partial = self._stack.enter_context(written_whole(self.path))
        # From HDF5 1.10 on all metadata carry checksums; older versions of the format have none.
        opened = Hdf5Output(partial, libver=("v110", "v110"))
        self._output = self._stack.enter_context(closing(opened))
        return self

    def __exit__(self, *exc: object) -> None:
        output, self._output = self._output, None
        with self._stack:
            if isinstance(exc[1], BaseException):
                raise exc[1]
            if output is None or not self._truth:
                raise DataError(f"Nothing to write to '{self.path}': there were no events.")
            with _one_blosc_thread():
                self._finish(output)

    def write(self, events: Events) -> None:
        """Append events.

        Raises:
            DataError: another detector, other views or columns than the first block's, or a column type
                that the format does not know.
        """
        if self._output is None:
            raise DataError("A NativeWriter must be used in a 'with' block.")
        if events.detector != self.detector:
            raise DataError(f"Events of '{events.detector}' cannot go to a file of '{self.detector}'.")
        if not self._truth:
            self._prepare(self._output.file, events)
        self._check_alike(events)
        self._pending.append(events)
        self._n_pending += len(events)
        if self._n_pending >= BATCH:
            self._flush_batches()
            self._output.check()

    def _prepare(self, root: h5py.File, events: Events) -> None:
        images, truth = root.create_group("images"), root.create_group("truth")
        dictionary, valid = root.create_group("dictionary"), root.create_group("valid")
        images.attrs["order"] = json.dumps(list(events.images))
        truth.attrs["order"] = json.dumps(events.truth.columns)
        for view, array in events.images.items():
            self._views[view] = (
                _DenseView(images, view, array)
                if isinstance(array, np.ndarray)
                else _SparseView(images, view, array)
            )
        for series in events.truth:
            info = self._columns.get(series.name, ColumnInfo())
            self._truth[series.name] = _Column(truth, dictionary, valid, series, info)

    def _check_alike(self, events: Events) -> None:
        if list(events.images) != list(self._views) or events.truth.columns != list(self._truth):
            raise DataError(
                "All blocks of a file must have the same views and truth columns. "
                f"The first had {list(self._views)} and {list(self._truth)}, "
                f"this one has {list(events.images)} and {events.truth.columns}."
            )

    def _flush_batches(self) -> None:
        whole = concat(self._pending) if len(self._pending) > 1 else self._pending[0]
        n_batches = len(whole) // BATCH
        for start in range(0, n_batches * BATCH, BATCH):
            self._append(whole.select(slice(start, start + BATCH)))
        self._pending = [whole.select(slice(n_batches * BATCH, None))]
        self._n_pending = len(self._pending[0])

    def _append(self, events: Events) -> None:
        with _one_blosc_thread():
            for view, store in self._views.items():
                store.append(events.images[view])
            for name, column in self._truth.items():
                column.append(events.truth[name])
        self._n_written += len(events)

    def _finish(self, output: Hdf5Output) -> None:
        for events in self._pending:
            self._append(events)
        for store in (*self._views.values(), *self._truth.values()):
            store.finish()
        output.file["provenance"] = self._provenance
        attributes = {"detector": self.detector, "n_events": self._n_written}
        for name, value in {"format": FORMAT, "format_version": VERSION, **attributes}.items():
            output.file.attrs[name] = value
        seal(output.file)
        output.file.flush()  # compresses what waits
        output.check()


class _Appender:
    """Appends to one dataset in whole chunks, so that no chunk is compressed twice."""

    def __init__(
        self, group: h5py.Group, name: str, dtype: np.dtype[Any], shape: tuple[int, ...], chunk: int
    ) -> None:
        self._chunk = chunk
        self._waiting: list[NDArray[Any]] = []
        self._n_waiting = 0
        self.dataset = group.create_dataset(
            name,
            shape=(0, *shape),
            maxshape=(None, *shape),
            chunks=(chunk, *shape),
            dtype=dtype,
            fletcher32=True,
            **hdf5plugin.Blosc2(cname="lz4", clevel=5, filters=hdf5plugin.Blosc2.SHUFFLE),
        )

    def append(self, values: NDArray[Any]) -> None:
        self._waiting.append(values)
        self._n_waiting += len(values)
        if self._n_waiting >= self._chunk:
            ready = np.concatenate(self._waiting) if len(self._waiting) > 1 else self._waiting[0]
            whole = len(ready) // self._chunk * self._chunk
            self._put(ready[:whole])
            self._waiting = [ready[whole:].copy()]
            self._n_waiting = len(ready) - whole

    def finish(self) -> None:
        if self._n_waiting:
            self._put(np.concatenate(self._waiting))

    def _put(self, values: NDArray[Any]) -> None:
        old = self.dataset.shape[0]
        self.dataset.resize(old + len(values), axis=0)
        self.dataset[old:] = values


class _DenseView:
    def __init__(self, group: h5py.Group, name: str, like: NDArray[Any]) -> None:
        row_bytes = max(1, int(np.prod(like.shape[1:])) * like.dtype.itemsize)
        chunk = BATCH
        while chunk > 1 and chunk * row_bytes > CHUNK_BYTES:
            chunk //= 2
        self._dtype, self._shape = like.dtype, like.shape[1:]
        self._rows = _Appender(group, name, like.dtype, self._shape, chunk)

    def append(self, images: Images) -> None:
        if (
            not isinstance(images, np.ndarray)
            or images.shape[1:] != self._shape
            or images.dtype != self._dtype
        ):
            raise DataError(
                f"All blocks must hold dense {self._dtype} images of shape {self._shape}. "
                f"Got {images.dtype} of shape {images.shape[1:]}."
            )
        self._rows.append(images)

    def finish(self) -> None:
        self._rows.finish()


class _SparseView:
    def __init__(self, group: h5py.Group, name: str, like: sparse.csr_array[Any, tuple[int, int]]) -> None:
        node = group.create_group(name)
        node.attrs["n_pixels"] = self._n_pixels = like.shape[1]
        self._data = _Appender(node, "data", like.dtype, (), SPARSE_CHUNK)
        self._indices = _Appender(node, "indices", np.dtype(np.int32), (), SPARSE_CHUNK)
        self._indptr = _Appender(node, "indptr", np.dtype(np.int64), (), BATCH)
        self._indptr.append(np.zeros(1, np.int64))
        self._n_values = 0

    def append(self, images: Images) -> None:
        if isinstance(images, np.ndarray) or images.shape[1] != self._n_pixels:
            raise DataError(f"All blocks must hold sparse images of {self._n_pixels} pixels.")
        self._data.append(images.data)
        self._indices.append(images.indices.astype(np.int32))
        self._indptr.append(images.indptr[1:].astype(np.int64) + self._n_values)
        self._n_values += len(images.data)

    def finish(self) -> None:
        for part in (self._data, self._indices, self._indptr):
            part.finish()


class _Column:
    """One truth column; text is stored as codes, missing values as a mask beside the values."""

    def __init__(
        self,
        group: h5py.Group,
        dictionary: h5py.Group,
        valid: h5py.Group,
        like: pl.Series,
        info: ColumnInfo,
    ) -> None:
        if like.dtype == pl.Null:  # nothing is known: NaN, which joins with numbers and texts of other files
            like = like.cast(pl.Float64)
        self._name, self._type, self._valid_group, self._dictionary = like.name, like.dtype, valid, dictionary
        self._is_text = like.dtype == pl.String
        self._texts = pl.DataFrame(schema={"text": pl.String, "code": pl.UInt32})
        dtype = np.dtype(np.uint32) if self._is_text else like.clear().to_numpy().dtype
        self._values = _Appender(group, like.name, dtype, (), BATCH)
        self._values.dataset.attrs["unit"] = info.unit
        self._values.dataset.attrs["meaning"] = info.meaning
        self._valid: _Appender | None = None
        self._n_written = 0

    def append(self, series: pl.Series) -> None:
        if series.dtype == pl.Null:
            series = series.cast(pl.Float64)
        if series.dtype != self._type:
            raise DataError(f"Truth column '{self._name}' must stay {self._type}. Got {series.dtype}.")
        if self._valid is None and series.null_count() and not self._type.is_float():
            self._valid = _Appender(self._valid_group, self._name, np.dtype(np.bool_), (), BATCH)
            self._valid.append(np.ones(self._n_written, np.bool_))
        if self._valid is not None:
            self._valid.append(series.is_not_null().to_numpy())
        self._values.append(self._codes(series) if self._is_text else _without_null(series))
        self._n_written += len(series)

    def _codes(self, series: pl.Series) -> NDArray[np.uint32]:
        rows = pl.DataFrame({"text": series.cast(pl.String).fill_null("")})
        new = rows.unique(maintain_order=True).join(self._texts, on="text", how="anti", maintain_order="left")
        first = len(self._texts)
        codes = pl.Series("code", np.arange(first, first + len(new), dtype=np.uint32))
        self._texts = pl.concat([self._texts, new.with_columns(codes)])
        joined = rows.join(self._texts, on="text", how="left", maintain_order="left")
        return cast(NDArray[np.uint32], joined["code"].to_numpy())

    def finish(self) -> None:
        self._values.finish()
        if self._valid is not None:
            self._valid.finish()
        if self._is_text:
            texts = self._texts["text"].to_list()
            self._dictionary.create_dataset(self._name, data=texts, dtype=h5py.string_dtype())


@contextmanager
def _one_blosc_thread() -> Iterator[None]:
    # Several Blosc threads write their blocks in the order they finish: runs would differ in bytes.
    threads = os.environ.pop("BLOSC_NTHREADS", None)
    try:
        yield
    finally:
        if threads is not None:
            os.environ["BLOSC_NTHREADS"] = threads


def _without_null(series: pl.Series) -> NDArray[Any]:
    if series.dtype == pl.Boolean:
        return series.fill_null(False).to_numpy()
    return series.fill_null(float("nan") if series.dtype.is_float() else 0).to_numpy()
