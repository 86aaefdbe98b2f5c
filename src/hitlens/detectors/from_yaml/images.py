"""The images of one view in a described file: in full, or as lists of hit pixels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitlens.detector import View
from hitlens.detectors.from_yaml.hit_table import HitOrder, HitTable
from hitlens.detectors.from_yaml.places import Place, Places
from hitlens.detectors.from_yaml.schema import ImageSource
from hitlens.detectors.from_yaml.truth import check_column
from hitlens.errors import FileFormatError
from hitlens.events import Images
from hitlens.io.columns import Columns, Lists
from hitlens.io.event_keys import undefined_rows
from hitlens.io.pixels import Fault, dense_images, sparse_images, to_sparse


def numbered_columns(name: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return the columns a name stands for: itself, or by number those it is with # in place of the number.

    Args:
        name: of one column, or with # of several.
        names: of all columns there are.

    Examples:
        >>> numbered_columns("px#", ["px10", "px9", "label", "pxx"]), numbered_columns("adc", ["label"])
        (('px9', 'px10'), ())
    """
    if name in names:
        return (name,)
    before, sign, after = name.partition("#")
    matches = [re.fullmatch(f"{re.escape(before)}([0-9]+){re.escape(after)}", one) for one in names]
    found = sorted((int(match[1]), match[0]) for match in matches if match and sign)
    return tuple(one for _, one in found)


class ImageReader:
    """Reads the images of one view.

    Args:
        view: geometry.
        source: where the images are.
        place: its key in the description.
        places: of the description's keys.
        columns: the open file.
        path: its path.

    Attributes:
        rows: key and column of all that has one row an event.
        hit_order: which hits are of which event, once prepared; None where hits do not say so themselves.

    Raises:
        ConfigError: a column is missing.
    """

    def __init__(
        self,
        view: View,
        source: ImageSource,
        place: Place,
        places: Places,
        columns: Columns,
        path: Path,
    ) -> None:
        self._view, self._source, self._columns, self._path = view, source, columns, path
        self._place, self._places = place, places
        #: Column of each hit by key of the description.
        self._hits: dict[tuple[str, ...], str] = {("pixels", a): name for a, name in source.pixels.items()}
        self._hits |= {("where", name): name for name in source.where}
        self._hits |= {("value",): source.value} if source.value else {}
        #: One column of images, or one a pixel.
        self._dense_names = numbered_columns(source.dense, columns.names) or (source.dense,)
        of_events: list[tuple[tuple[str, ...], str]] = [(("counts",), source.counts)] if source.counts else []
        of_events += [(("dense",), name) for name in self._dense_names if name]
        of_events += [(("event_key",), name) for name in source.event_key]
        of_hits = [(("event",), name) for name in source.event]
        for key, name in [*of_events, *of_hits, *self._hits.items()]:
            check_column(name, (*place, *key), places, columns, path)
        in_lists = not (source.dense or source.event or source.counts)
        per_event = [*of_events, *(self._hits.items() if in_lists else ())]
        self.rows = [((*place, *key), name) for key, name in per_event]
        #: Where the hits of each event start, shape (event + 1,), in files with one list of all hits.
        self._starts: NDArray[np.int64] | None = None
        #: Which hits are of which event, in files where each hit says so.
        self.hit_order: HitOrder | None = None
        self._sorted: dict[str, NDArray[Any]] = {}

    def highest_event(self) -> int:
        """Return the highest event a hit is of; -1 without hits.

        Raises:
            FileFormatError: the column does not count events from 0.
        """
        return self._hit_table().highest_event()

    def prepare(self, n_events: int) -> None:
        """Find where the hits of each event are.

        Raises:
            ConfigError: columns of hits of different lengths.
            FileFormatError: a hit of an event that is not there.
        """
        source = self._source
        if source.dense or not (source.event or source.counts):
            return
        if source.counts:
            self._starts = self._starts_from_counts(n_events)
            n_hits, named = int(self._starts[-1]), f"'{source.counts}' adds up to"
        else:
            n_hits, named = self._columns.length(source.event[0]), f"'{source.event[0]}' has"
        of_hits = [(("event",), name) for name in source.event[1:]]
        for key, name in [*of_hits, *self._hits.items()]:
            if self._columns.length(name) != n_hits:
                raise self._places.error(
                    (*self._place, *key),
                    f"column '{name}' of {self._path} has {self._columns.length(name):,} rows, {named} "
                    f"{n_hits:,}: both must have one row a hit.",
                )

        if source.event:
            self.hit_order = self._hit_table().order(n_events)
            self._starts = self.hit_order.starts

    def _hit_table(self) -> HitTable:
        return HitTable(self._columns, self._source, self._path, self._place, self._places)

    def _starts_from_counts(self, n_events: int) -> NDArray[np.int64]:
        name = self._source.counts
        counts = np.asarray(self._columns.read(name, 0, n_events)).ravel()
        wrong = np.flatnonzero(undefined_rows([counts]) | (counts < 0))
        if len(wrong):
            raise FileFormatError(
                f"column '{name}' must hold numbers of hits, from 0. Got {counts[wrong[0]]} in row {wrong[0]}"
                f" ({self._places.where((*self._place, 'counts'))}).",
                path=self._path,
            )
        return np.concatenate([[0], np.cumsum(counts.astype(np.int64))])

    def read(self, start: int, stop: int) -> tuple[Images, list[Fault]]:
        """Return the images of events start to stop, and which events are wrong.

        Raises:
            ConfigError: the shape of the images, or the lengths of lists, do not fit.
        """
        view, source = self._view, self._source
        shape = view.shape
        if source.dense:
            images, faults = dense_images(self._dense(start, stop), view.shape, view.dtype)
            return (to_sparse(images) if source.sparse else images), faults
        event, hits = self._listed(start, stop)
        for key, column in hits.items():
            self._check_numbers(key, self._hits[key], column)
        chosen = np.ones(len(event), dtype=bool)
        for name, wanted in source.where.items():
            self._refuse_missing(name, hits["where", name], event + start)
            chosen &= hits["where", name] == wanted
        pixels = {axis: hits["pixels", axis][chosen] for axis in source.pixels}
        values = hits["value",][chosen] if source.value else np.ones(int(chosen.sum()), np.int64)
        if "pixel" in pixels and "pixel" not in view.axes:
            pixels, shape = {"pixel": pixels["pixel"]}, (int(np.prod(view.shape)),)
        else:
            pixels = {axis: pixels[axis] for axis in view.axes}
        found, faults = sparse_images(event[chosen], pixels, values, stop - start, shape, view.dtype)
        if source.sparse is False:
            return found.toarray().reshape(-1, *view.shape), faults
        return found, faults

    def _listed(self, start: int, stop: int) -> tuple[NDArray[np.int64], Mapping[Any, NDArray[Any]]]:
        """Return the position in the block of each hit's event, and the columns of these hits."""
        if self._starts is not None:
            first, last = int(self._starts[start]), int(self._starts[stop])
            counts = np.diff(self._starts[start : stop + 1])
            hits = {key: self._range(name, first, last) for key, name in self._hits.items()}
            return np.repeat(np.arange(stop - start), counts), hits
        lists = {key: self._lists(key, name, start, stop) for key, name in self._hits.items()}
        first_key = next(iter(lists))
        for key, column in lists.items():
            unequal = np.flatnonzero(column.counts != lists[first_key].counts)
            if len(unequal):
                at = unequal[0]
                raise self._places.error(
                    (*self._place, *key),
                    f"event {start + at} of {self._path} has {column.counts[at]} values in column "
                    f"'{self._hits[key]}', and {lists[first_key].counts[at]} in '{self._hits[first_key]}'.",
                )
        event = np.repeat(np.arange(stop - start), lists[first_key].counts)
        return event, {key: column.values for key, column in lists.items()}

    def _range(self, name: str, first: int, last: int) -> NDArray[Any]:
        order = None if self.hit_order is None else self.hit_order.order
        if order is None:
            return np.asarray(self._columns.read(name, first, last)).ravel()
        if name not in self._sorted:  # hits in no order: all are read, once
            whole = np.asarray(self._columns.read(name, 0, len(order))).ravel()
            self._sorted[name] = whole[order]
        return self._sorted[name][first:last]

    def _lists(self, key: tuple[str, ...], name: str, start: int, stop: int) -> Lists:
        found = self._columns.read(name, start, stop)
        if isinstance(found, Lists):
            return found
        if found.ndim == 2:  # lists of one length
            return Lists(found.ravel(), np.full(len(found), found.shape[1], dtype=np.int64))
        raise self._places.error(
            (*self._place, *key),
            f"column '{name}' of {self._path} has one value in each row, not a list of hits. Where it has "
            "one row a hit, say with 'event' or 'counts' which event a hit is of.",
        )

    def _dense(self, start: int, stop: int) -> NDArray[Any]:
        """Return pixel values of shape (event, row, col)."""
        source, view = self._source, self._view
        values = self._numbers(start, stop)
        order = self._axes_in_file()
        size = dict(zip(view.axes, view.shape, strict=True))
        n_pixels, per_event = int(np.prod(view.shape)), int(np.prod(values.shape[1:]))
        if source.index is not None:
            size["view"] = per_event // n_pixels
            if source.index >= size["view"]:
                raise self._places.error(
                    (*self._place, "index"),
                    f"column '{source.dense}' of {self._path} has {per_event:,} pixels an event, which is "
                    f"{size['view']} views of {n_pixels:,}; they count from 0.",
                )
        shape = tuple(size[axis] for axis in order)
        without_ones = tuple(n for n in values.shape[1:] if n > 1)
        if per_event != int(np.prod(shape)) or (
            values.ndim > 2 and without_ones != tuple(n for n in shape if n > 1)
        ):
            raise self._places.error(
                (*self._place, "dense"),
                f"column '{source.dense}' of {self._path} has images of shape {values.shape[1:]}, not "
                f"{shape} ({', '.join(order)}). Correct the shape of view '{view.name}', or say with 'axes' "
                "in which order the file has them.",
            )
        values = values.reshape(len(values), *shape)
        if source.index is not None:
            at = order.index("view")
            values = values.take(source.index, axis=1 + at)
            order = (*order[:at], *order[at + 1 :])
        return values.transpose(0, *(1 + order.index(axis) for axis in view.axes))

    def _check_numbers(self, key: tuple[str, ...], name: str, values: NDArray[Any]) -> None:
        if values.dtype.kind not in "biuf":
            problem = f"column '{name}' of {self._path} holds {values.dtype}, not numbers."
            raise self._places.error((*self._place, *key), problem)

    def _refuse_missing(self, name: str, values: NDArray[Any], event: NDArray[np.int64]) -> None:
        """Refuse hits that do not say which view they are of: they would be in none."""
        missing = event[undefined_rows([values])]
        if len(missing):
            raise FileFormatError(
                f"column '{name}' holds no whole number for a hit of event {missing[0]}, which is in no view "
                f"then ({self._places.where((*self._place, 'where', name))}). Say of every hit which view it "
                "is of.",
                path=self._path,
            )

    def _numbers(self, start: int, stop: int) -> NDArray[Any]:
        read = [self._columns.read(name, start, stop) for name in self._dense_names]
        parts = [self._rectangular(part) if isinstance(part, Lists) else part for part in read]
        for name, part in zip(self._dense_names, parts, strict=True):
            self._check_numbers(("dense",), name, part)
        return parts[0] if len(parts) == 1 else np.stack(parts, axis=1)

    def _axes_in_file(self) -> tuple[str, ...]:
        order = self._source.axes or self._view.axes
        return order if self._source.index is None or "view" in order else ("view", *order)

    def _rectangular(self, found: Lists) -> NDArray[Any]:
        per_event = found.counts[0] if len(found) else 0
        unequal = np.flatnonzero(found.counts != per_event)
        if len(unequal):
            raise self._places.error(
                (*self._place, "dense"),
                f"column '{self._source.dense}' of {self._path} has {per_event} values in its first row and "
                f"{found.counts[unequal[0]]} in another: these are no images in full. Describe a list of "
                "hits with 'pixels'.",
            )
        return found.values.reshape(len(found), int(per_event))
