"""Events that are the same image twice: found by fingerprint, confirmed pixel by pixel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitlens.events import Events, EventSource, Images

#: Odd 64-bit constants of the finaliser of Austin Appleby's MurmurHash3 (public domain).
_MIX_1, _MIX_2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)

#: Blank images of every detector get this fingerprint.
BLANK = np.uint64(0)

#: Events, and hits of sparse events, whose codes are held at a time; bounds memory to some 100 MB.
_BLOCK, _BLOCK_HITS = 4096, 1 << 22
#: Events whose fingerprints are made at a time.
_SOURCE_BLOCK = 16384


def image_fingerprints(events: Events) -> NDArray[np.uint64]:
    """Return a 64-bit fingerprint of the images of each event over all views, shape (event,).

    Equal images have equal fingerprints, dense or sparse; a blank event (no hit in any view) has 0.

    Examples:
        >>> import polars as pl
        >>> images = np.array([[[1, 2]], [[2, 1]], [[1, 2]], [[0, 0]]], dtype=np.uint16)
        >>> prints = image_fingerprints(Events({"anode": images}, pl.DataFrame({"event": range(4)}), "demo"))
        >>> bool(prints[0] == prints[2]), bool(prints[0] == prints[1]), int(prints[3])
        (True, False, 0)
    """
    total = np.zeros(len(events), dtype=np.uint64)
    for number, view in enumerate(sorted(events.images)):
        total += _view_fingerprints(events.images[view], number)
    return total


def find_duplicates(events: EventSource) -> list[tuple[int, ...]]:
    """Return groups of positions whose images are identical in every view, ascending.

    Of events in files, 8 bytes each and a block of images are in memory at a time.

    Blank events are left out: they carry no image to recognise, and many may be alike without being copies.

    Examples:
        >>> import polars as pl
        >>> images = np.array([[[1, 2]], [[2, 1]], [[1, 2]], [[0, 0]], [[0, 0]]], dtype=np.uint16)
        >>> find_duplicates(Events({"anode": images}, pl.DataFrame({"event": range(5)}), "demo"))
        [(0, 2)]
    """
    prints = [image_fingerprints(block) for block in events.blocks(_SOURCE_BLOCK)]
    alike = equal_fingerprints(np.concatenate(prints) if prints else np.zeros(0, np.uint64))
    groups: list[tuple[int, ...]] = []
    for some in _together(alike):
        rows, places = np.unique(np.concatenate(some), return_inverse=True)
        images = events.select(rows)
        for group, inside in zip(some, np.split(places, np.cumsum([len(g) for g in some])[:-1]), strict=True):
            groups += [tuple(group[list(same)].tolist()) for same in _confirm(images, inside)]
    return groups


@dataclass(frozen=True)
class CopyCount:
    """How many events look exactly like another.

    Attributes:
        n_images: different images that several events have.
        n_events: events that have one of these.
        n_other_truth: events among them whose image also stands with another class or value of the target.
    """

    n_images: int
    n_events: int
    n_other_truth: int


def count_copies(groups: Sequence[Sequence[int] | NDArray[np.int64]], labels: NDArray[Any]) -> CopyCount:
    """Count events with equal images, and those of them that the truth tells apart.

    Args:
        groups: positions of events with equal images, each group once.
        labels: classes and target values of each event, NaN where undefined, shape (event, label).

    Examples:
        >>> count_copies([(0, 2), (1, 3, 4)], np.array([[0], [1], [0], [1], [0]]))
        CopyCount(n_images=2, n_events=5, n_other_truth=3)
    """
    rows = np.array([row for group in groups for row in group], dtype=np.int64)
    sizes = np.array([len(group) for group in groups], dtype=np.int64)
    first = np.repeat(rows[np.cumsum(sizes) - sizes], sizes) if len(rows) else rows
    a, b = labels[rows].astype(np.float64), labels[first].astype(np.float64)
    differs = (~((a == b) | (np.isnan(a) & np.isnan(b)))).any(axis=1)
    mixed = np.bincount(np.repeat(np.arange(len(sizes)), sizes), differs, len(sizes)) > 0
    return CopyCount(len(sizes), len(rows), int(sizes[mixed].sum()))


def _together(groups: list[NDArray[np.int64]]) -> Iterator[list[NDArray[np.int64]]]:
    """Yield groups so many at a time that their images fit into memory beside each other."""
    some: list[NDArray[np.int64]] = []
    for group in groups:
        some.append(group)
        if sum(map(len, some)) >= _BLOCK:
            yield some
            some = []
    if some:
        yield some


def equal_fingerprints(fingerprints: NDArray[np.uint64]) -> list[NDArray[np.int64]]:
    """Return groups of positions with the same fingerprint, ascending, blank ones left out."""
    order = np.argsort(fingerprints, kind="stable")
    sorted_prints = fingerprints[order]
    starts = np.flatnonzero(np.r_[True, sorted_prints[1:] != sorted_prints[:-1]])
    ends = np.r_[starts[1:], len(sorted_prints)]
    repeated = (ends - starts > 1) & (sorted_prints[starts] != BLANK) if len(order) else np.zeros(0, bool)
    found = [order[start:end] for start, end in zip(starts[repeated], ends[repeated], strict=True)]
    return sorted(found, key=lambda rows: int(rows[0]))


def _confirm(events: Events, rows: NDArray[np.int64]) -> list[tuple[int, ...]]:
    """Split a group of equal fingerprints into groups of truly equal images, places in the group."""
    groups: dict[tuple[bytes, ...], list[int]] = {}
    contents = [_contents(array[rows]) for array in events.images.values()]
    for place, content in enumerate(zip(*contents, strict=True)):
        groups.setdefault(content, []).append(place)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def _contents(images: Images) -> list[bytes]:
    """Return each image as bytes that are equal where the images are; sparse ones are never made dense."""
    if isinstance(images, np.ndarray):
        return [image.tobytes() for image in np.ascontiguousarray(images)]
    hits = images.copy()
    hits.eliminate_zeros()
    hits.sort_indices()
    ends = hits.indptr[1:-1]
    places = np.split(hits.indices, ends)
    values = np.split(hits.data, ends)
    return [place.tobytes() + value.tobytes() for place, value in zip(places, values, strict=True)]


def _view_fingerprints(images: Images, number: int) -> NDArray[np.uint64]:
    """Sum a mixed (pixel, value) code over the hits of each event; a sum does not depend on their order."""
    if isinstance(images, np.ndarray):
        return _dense_fingerprints(images.reshape(len(images), int(np.prod(images.shape[1:]))), number)
    prints = np.zeros(images.shape[0], dtype=np.uint64)
    start = 0
    while start < len(prints):
        limit = images.indptr[start] + _BLOCK_HITS
        stop = max(int(np.searchsorted(images.indptr, limit, side="right")) - 1, start + 1)
        prints[start:stop] = _sparse_fingerprints(images, start, stop, number)
        start = stop
    return prints


def _sparse_fingerprints(images: Any, start: int, stop: int, number: int) -> NDArray[np.uint64]:
    first, last = images.indptr[start], images.indptr[stop]
    values = images.data[first:last]
    codes = _mix(_code(images.indices[first:last].astype(np.uint64), number, values))
    codes[values == 0] = 0
    running = np.concatenate([np.zeros(1, np.uint64), np.cumsum(codes, dtype=np.uint64)])
    ends = images.indptr[start : stop + 1] - first
    prints: NDArray[np.uint64] = running[ends[1:]] - running[ends[:-1]]
    return prints


def _dense_fingerprints(pixels: NDArray[Any], number: int) -> NDArray[np.uint64]:
    """As for hits, a block of events at a time to bound memory."""
    prints = np.zeros(len(pixels), dtype=np.uint64)
    places = np.arange(pixels.shape[1], dtype=np.uint64)
    for start in range(0, len(pixels), _BLOCK):
        part = pixels[start : start + _BLOCK]
        codes = _mix(_code(places, number, part))
        codes[part == 0] = 0
        prints[start : start + _BLOCK] = codes.sum(axis=1, dtype=np.uint64)
    return prints


def _code(places: NDArray[np.uint64], number: int, values: NDArray[Any]) -> NDArray[np.uint64]:
    bits = values.astype(np.float64).view(np.uint64) if values.dtype.kind == "f" else values.astype(np.uint64)
    code: NDArray[np.uint64] = bits * _MIX_1 + (places + np.uint64(number << 40) + np.uint64(1)) * _MIX_2
    return code


def _mix(codes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    for constant in (_MIX_1, _MIX_2):
        codes ^= codes >> np.uint64(33)
        codes *= constant
    codes ^= codes >> np.uint64(33)
    return codes
