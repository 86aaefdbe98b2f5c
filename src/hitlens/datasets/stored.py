"""Events that stay in their native files: truth in memory, images read when they are asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from hitlens.datasets.pixels import Pixels, view_pixels
from hitlens.datasets.regions import Region
from hitlens.detector import Detector, View
from hitlens.errors import DataError
from hitlens.events import Events, Images, concat, evaluate_condition, join_images, join_truth
from hitlens.io.native import NativeFile, open_native
from hitlens.io.pixels import without_bad_pixels

#: Events of a file that are read in one go; a block never holds events of two files.
BLOCK = 4096
#: Events whose truth is completed at a time.
_TRUTH_BLOCK = 1 << 18
#: Column of the positions in a block, while its pixels are looked at.
_ROW = "row in the block"
#: Files kept open while events are read.
_OPEN_FILES = 32


@dataclass(frozen=True)
class StoredFile:
    """A native file as it was when the run began.

    Attributes:
        path: where it is.
        n_events: events in it.
        image_bytes: memory its images would take.
        size: bytes of the file.
        changed_ns: when it was last written.
    """

    path: Path
    n_events: int
    image_bytes: int
    size: int
    changed_ns: int

    @classmethod
    def of(cls, path: Path, detector: str) -> StoredFile:
        """Look at a file without reading its events.

        Raises:
            NotFoundError: there is no such file.
            FileFormatError: it is damaged, foreign or of another detector.
            DataError: it holds no events.
        """
        with open_native(path, detector=detector) as file:
            if not len(file):
                raise DataError(f"'{path}' holds no events. Leave it out, or make it again.")
            state = path.stat()
            return cls(path, len(file), file.image_bytes, state.st_size, state.st_mtime_ns)

    def check(self) -> None:
        """Refuse a file that is not what it was.

        Raises:
            DataError: it is gone or was changed.
        """
        try:
            state = self.path.stat()
        except OSError:
            raise DataError(
                f"'{self.path}' is gone since the run began. Put it back and go on with --resume."
            ) from None
        if (state.st_size, state.st_mtime_ns) != (self.size, self.changed_ns):
            raise DataError(
                f"'{self.path}' was changed since the run began: its events are not those of the split any "
                "more. Put the file of before back and go on with --resume, or start a new run."
            )


class FileReader:
    """Reads rows of several files and keeps the last few open; for one thread, to be closed."""

    def __init__(self, files: Sequence[StoredFile], detector: Detector) -> None:
        self.files = files
        self.detector = detector
        self.first = np.concatenate([[0], np.cumsum([file.n_events for file in files])]).astype(np.int64)
        self._open: OrderedDict[int, NativeFile] = OrderedDict()

    def close(self) -> None:
        """Close all files."""
        while self._open:
            self._open.popitem()[1].close()

    def windows(self, rows: NDArray[np.int64]) -> Iterator[tuple[int, slice, NDArray[np.int64]]]:
        """Yield file, the rows of it to read in one go, and which of these are wanted, for ascending rows."""
        number = np.searchsorted(self.first, rows, side="right") - 1
        local = rows - self.first[number]
        starts = np.flatnonzero(np.diff(local // BLOCK, prepend=-1) | np.diff(number, prepend=-1))
        for start, stop in zip(starts, np.append(starts, len(rows))[1:], strict=True):
            inside = local[start:stop]
            window = slice(int(inside[0]), int(inside[-1]) + 1)
            yield int(number[start]), window, inside - inside[0]

    def events(self, rows: NDArray[np.int64]) -> Iterator[Events]:
        """Yield the events at ascending rows, truth completed, a window at a time."""
        for number, window, wanted in self.windows(rows):
            events = self.detector.complete(self._file(number).read(window))
            yield events if _all_of(wanted, len(events)) else events.select(wanted)

    def images(self, rows: NDArray[np.int64], views: Sequence[str]) -> dict[str, Images]:
        """Return the images at ascending rows, by view."""
        parts: dict[str, list[Images]] = {view: [] for view in views}
        for number, window, wanted in self.windows(rows):
            for view, images in self._file(number).images(window, views).items():
                parts[view].append(images if _all_of(wanted, images.shape[0]) else images[wanted])
        return {view: join_images(arrays) for view, arrays in parts.items()}

    def _file(self, number: int) -> NativeFile:
        self.files[number].check()
        if number not in self._open:
            if len(self._open) >= _OPEN_FILES:
                self._open.popitem(last=False)[1].close()
            self._open[number] = open_native(self.files[number].path, detector=self.detector.name)
        self._open.move_to_end(number)
        return self._open[number]


@dataclass(frozen=True, eq=False)
class StoredEvents:
    """Events of native files of which the truth is in memory, and an image when it is asked for.

    Attributes:
        files: the files, in order.
        rows: row of each event, counted through all files, ascending, shape (event,).
        truth: one row an event, the columns a run needs.
        described: the detector.
    """

    files: tuple[StoredFile, ...]
    rows: NDArray[np.int64]
    truth: pl.DataFrame
    described: Detector

    @property
    def detector(self) -> str:
        """Name of the detector."""
        return self.described.name

    def __len__(self) -> int:
        return len(self.rows)

    @contextmanager
    def reader(self) -> Iterator[FileReader]:
        """Open a reader of the files, closed in the end."""
        reader = FileReader(self.files, self.described)
        try:
            yield reader
        finally:
            reader.close()

    def narrowed(self, which: NDArray[Any] | slice) -> StoredEvents:
        """Return some of the events without reading them, in their order.

        Args:
            which: a mask of shape (event,), a slice, or ascending positions.
        """
        return StoredEvents(
            self.files, self.rows[which], self.truth[np.arange(len(self))[which]], self.described
        )

    def filter(self, expression: str, *, setting: str = "") -> StoredEvents:
        """Return the events for which a SQL condition over the truth columns holds, without reading them."""
        return self.narrowed(evaluate_condition(self.truth, expression, setting=setting))

    def select(self, which: NDArray[Any] | slice | Sequence[int]) -> Events:
        """Read the events at these positions into memory, in this order, with all their truth columns."""
        if not isinstance(which, slice):
            which = np.asarray(which) if len(which) else np.zeros(0, dtype=np.int64)
        rows = self.rows[which]
        order = np.argsort(rows, kind="stable")
        with self.reader() as reader:
            parts = list(reader.events(rows[order])) or [self._none(reader)]
        found = concat(parts) if len(parts) > 1 else parts[0]
        if (np.diff(order) == 1).all():
            return found
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return found.select(back)

    def blocks(self, n: int) -> Iterator[Events]:
        """Read all events in order, at most n at a time."""
        for start in range(0, len(self), n):
            yield self.select(slice(start, start + n))

    def pixels(self, view: View, region: Region | None = None) -> StoredPixels:
        """Return one view's pixels, which are read when they are asked for."""
        return StoredPixels(self, view, region)

    def _none(self, reader: FileReader) -> Events:
        return next(reader.events(np.zeros(1, np.int64))).select(slice(0, 0))


@dataclass(frozen=True)
class StoredPixels:
    """Pixels of one view of all events, in their files; handed out as those in memory are."""

    events: StoredEvents
    view: View
    region: Region | None = None

    def __len__(self) -> int:
        return len(self.events)

    def __getitem__(self, rows: torch.Tensor) -> torch.Tensor:
        """Read dense images of the events at these ascending positions."""
        with self.events.reader() as reader:
            images = reader.images(self.events.rows[rows.numpy()], [self.view.name])[self.view.name]
        pixels: Pixels = view_pixels(images, self.view, self.region)
        return pixels if isinstance(pixels, torch.Tensor) else pixels[torch.arange(len(pixels))]


def _all_of(wanted: NDArray[np.int64], n: int) -> bool:
    return len(wanted) == n and bool((wanted == np.arange(n)).all())


def open_stored(
    paths: Sequence[Path],
    detector: Detector,
    columns: Sequence[str] | None = None,
    *,
    skipped: list[str] | None = None,
) -> StoredEvents:
    """Return the events of native files, their truth read and their images left where they are.

    Args:
        paths: native files.
        detector: of all of them.
        columns: truth columns to keep; None for all. Those a file does not have are left out.
        skipped: None refuses an event with a pixel that is no number; a list receives one message for each,
            and the event is left out.

    Raises:
        NotFoundError: a file is missing.
        FileFormatError: a file is damaged, foreign or of another detector, or has a bad pixel.
        DataError: a file holds no events.
    """
    files = tuple(StoredFile.of(path, detector.name) for path in paths)
    parts = [part for file in files for part in _truth_parts(file, detector, columns)]
    truth = join_truth(parts).rechunk()
    stored = StoredEvents(files, np.arange(len(truth), dtype=np.int64), truth, detector)
    return stored.narrowed(_good_rows(stored, skipped))


def _good_rows(stored: StoredEvents, skipped: list[str] | None) -> NDArray[np.bool_]:
    """Return the events whose pixels are all numbers, shape (event,); only views of floats are read."""
    good = np.ones(len(stored), dtype=bool)
    first = 0
    for file in stored.files:
        with open_native(file.path, detector=stored.detector) as opened:
            for start in range(0, file.n_events if opened.float_views else 0, BLOCK):
                rows = slice(start, min(start + BLOCK, file.n_events))
                truth = stored.truth[first + rows.start : first + rows.stop].with_row_index(_ROW)
                events = Events(opened.images(rows, opened.float_views), truth, stored.detector)
                kept = without_bad_pixels(
                    events,
                    file.path,
                    first=start,
                    key=stored.described.labels,
                    shapes={view.name: view.shape for view in stored.described.views},
                    skipped=skipped,
                )
                good[first + rows.start : first + rows.stop] = np.isin(truth[_ROW], kept.truth[_ROW])
        first += file.n_events
    return good


def _truth_parts(
    file: StoredFile, detector: Detector, columns: Sequence[str] | None
) -> Iterator[pl.DataFrame]:
    with open_native(file.path, detector=detector.name) as opened:
        for start in range(0, len(opened), _TRUTH_BLOCK):
            truth = opened.truth(slice(start, start + _TRUTH_BLOCK))
            whole = detector.complete(Events({}, truth, detector.name)).truth
            yield whole if columns is None else whole.select(n for n in whole.columns if n in columns)
