"""The file layouts of a described detector: its columns, block by block, as `Events`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from hitlens.detector import Layout, ReadReport, numbered_files
from hitlens.detectors.from_yaml.images import ImageReader, numbered_columns
from hitlens.detectors.from_yaml.places import Places
from hitlens.detectors.from_yaml.schema import DetectorDescription, FileDescription
from hitlens.detectors.from_yaml.truth import TruthReader
from hitlens.errors import FileFormatError, HitlensError
from hitlens.events import Events
from hitlens.io.columns import KINDS, Columns, has_signature, open_columns
from hitlens.io.image_folders import IMAGE_ENDINGS, ArrayFolder, ImageFolder
from hitlens.io.names import has_ending
from hitlens.io.pixels import ADVICE

log = logging.getLogger(__name__)

#: Events that a message lists; the rest is counted.
_LISTED = 5
_HDF5_OPTIONS = {"external": "'allow' reads other files that a file names by links; else they are refused"}


def layouts_of(description: DetectorDescription, places: Places) -> tuple[Layout, ...]:
    """Return a layout for each kind of file that a description names."""
    return tuple(
        Layout(
            name=file.name,
            meaning=file.meaning or f"{file.kind} files as {places.source} describes them",
            suffixes=_suffixes(file),
            parts=file.parts,
            recognises=partial(_recognises, description, number),
            read=partial(_read, description, number, places),
            options=dict(_HDF5_OPTIONS) if file.kind == "hdf5" else None,
        )
        for number, file in enumerate(description.files)
    )


def _suffixes(file: FileDescription) -> tuple[str, ...]:
    return file.suffixes or tuple(suffix for suffix, kind in KINDS.items() if kind == file.kind)


def _recognises(description: DetectorDescription, number: int, path: Path) -> bool:
    """By ending and first bytes; by the columns as well where several layouts have these in common."""
    from hitlens.io.native import is_native

    file = description.files[number]
    if path.is_dir():
        return _is_folder_of(file, path)
    if (
        file.kind in ("images", "npy")
        or not has_ending(path, _suffixes(file))
        or not has_signature(path, file.kind)
    ):
        return False
    if file.kind == "hdf5" and is_native(path):
        return False
    rivals = [one for one in description.files if one.kind == file.kind]
    return len(rivals) == 1 or _has_columns(file, path)


def _is_folder_of(file: FileDescription, path: Path) -> bool:
    if file.kind == "images" and file.table:
        return (path / file.table).is_file()
    if file.kind in ("images", "npy"):
        endings = IMAGE_ENDINGS if file.kind == "images" else (".npy",)
        return any(has_ending(inner, endings) for inner in path.rglob("*"))
    return bool(numbered_files(path, file.parts))


def _open(file: FileDescription, path: Path, *, external: bool = False) -> Columns:
    if file.kind == "images":
        return ImageFolder(path, file.table)
    if file.kind == "npy":
        return ArrayFolder(path)
    return open_columns(path, file.kind, file.tree, external=external)


def _has_columns(file: FileDescription, path: Path) -> bool:
    sources = file.images.values()
    wanted = {source.dense or next(iter(source.pixels.values())) for source in sources}
    try:
        with _open(file, path) as columns:
            return all(numbered_columns(name, columns.names) for name in wanted)
    except HitlensError:
        return False


def _read(
    description: DetectorDescription,
    number: int,
    places: Places,
    path: Path,
    block: int,
    on_bad_event: str,
    report: ReadReport,
    options: dict[str, str],
) -> Iterator[Events]:
    from hitlens.io.hdf5 import allows_external

    file = description.files[number]
    external = allows_external(options)
    with _open(file, path, external=external) as columns:
        truth = TruthReader(description, number, places, columns, path)
        images = {
            view.name: ImageReader(
                view, file.images[view.name], ("files", number, "images", view.name), places, columns, path
            )
            for view in description.views
        }
        n_events = _n_events(truth, images, columns, places)
        for reader in images.values():
            reader.prepare(n_events)
        for message in _oddities(images, n_events):
            log.warning("%s: %s", path, message)
            report.odd.append(f"{path}: {message}")
        for start in range(0, n_events, block):
            stop = min(start + block, n_events)
            yield _block(description, truth, images, places, path, start, stop, on_bad_event, report)


def _n_events(truth: TruthReader, images: dict[str, ImageReader], columns: Columns, places: Places) -> int:
    """Return the number of events, on which all columns with one row an event must agree."""
    rows = [*truth.rows, *(row for reader in images.values() for row in reader.rows)]
    if not rows:
        return max(reader.highest_event() + 1 for reader in images.values())
    first_place, first = rows[0]
    n_events = columns.length(first)
    for place, name in rows[1:]:
        if columns.length(name) != n_events:
            raise places.error(
                place,
                f"column '{name}' has {columns.length(name):,} rows, '{first}' has {n_events:,}: "
                f"both must have one row an event ({places.where(first_place)}).",
            )
    return n_events


def _oddities(images: dict[str, ImageReader], n_events: int) -> list[str]:
    """Say which events got no hit of a list, and which got hits from several places of it."""
    orders = {name: reader.hit_order for name, reader in images.items() if reader.hit_order is not None}
    found = []
    if orders and len(orders) == len(images):
        n_hits = sum(np.diff(order.starts) for order in orders.values())
        blank = np.flatnonzero(n_hits == 0)
        if len(blank):
            listed = ", ".join(map(str, blank[:_LISTED].tolist())) + (", ..." if len(blank) > _LISTED else "")
            found.append(
                f"{len(blank):,} of {n_events:,} events have no hit and are blank (position {listed})."
            )
    for name, order in orders.items():
        if order.n_apart:
            found.append(
                f"view '{name}': the hits of {order.n_apart:,} of {n_events:,} events do not stand together "
                f"(position {order.first_apart} is the first); they were put together by their key. If runs "
                "with equal numbers were merged here, name the run as well: event: [run, event]."
            )
    return found


def _block(
    description: DetectorDescription,
    truth: TruthReader,
    images: dict[str, ImageReader],
    places: Places,
    path: Path,
    start: int,
    stop: int,
    on_bad_event: str,
    report: ReadReport,
) -> Events:
    found = {name: reader.read(start, stop) for name, reader in images.items()}
    problems: dict[int, str] = {}
    for number, view in enumerate(description.views):
        for fault in found[view.name][1]:
            place = places.where(("views", number, fault.about))
            place = f"at {fault.pixel}; {place}" if fault.pixel else place
            problems.setdefault(
                fault.event, f"event {start + fault.event}, view '{view.name}': {fault.problem} ({place})"
            )
    if problems and on_bad_event == "raise":
        raise FileFormatError(f"{problems[min(problems)]}. {ADVICE}", path=path)
    report.skipped.extend(f"{path}: {problems[event]}" for event in sorted(problems))
    events = Events(
        {name: pair[0] for name, pair in found.items()}, truth.read(start, stop), description.name
    )
    return events.select([n for n in range(stop - start) if n not in problems]) if problems else events
