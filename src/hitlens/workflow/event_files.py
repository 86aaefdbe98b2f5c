"""Where the event files of a run lie: kept so that they are found from anywhere, and known by checksum."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hitlens.errors import DataError, NotFoundError
from hitlens.workflow import runs


@dataclass(frozen=True)
class RecordedFile:
    """An event file as a run remembers it.

    Attributes:
        called: its path at the training; events are named after it.
        places: where it may lie now, the likeliest first.
        sha256: of its content; empty where the run does not say.
        n_bytes: its size, None where the run does not say.
    """

    called: Path
    places: tuple[Path, ...]
    sha256: str = ""
    n_bytes: int | None = None


@dataclass(frozen=True)
class EventFiles:
    """Event files that were found.

    Attributes:
        paths: where they are, in the order of the training.
        called: for each path the one it had at the training, where that is another.
    """

    paths: tuple[Path, ...]
    called: Mapping[Path, Path] = field(default_factory=dict)


def file_records(
    files: Sequence[Path], folder: Path, checksums: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Return what a run keeps of its event files, to find them from anywhere, by the name of each.

    Args:
        files: paths as they were given.
        folder: of the run.
        checksums: sha256 of each, as `runs.file_checksums` names them.
    """
    return {
        key: {
            "absolute": path.resolve().as_posix(),
            "relative": _relative(path.resolve(), folder.resolve()),
            "sha256": checksums[key],
            "bytes": _n_bytes(path),
        }
        for path, key in zip(files, runs.checksum_keys(files), strict=True)
    }


def recorded_files(folder: Path, provenance: Mapping[str, Any], files: Sequence[str]) -> list[RecordedFile]:
    """Return the event files of a run, a search or a fold as its record has them.

    Args:
        folder: where the record lies.
        provenance: the record.
        files: paths in the settings, for records that hold none.
    """
    data = provenance.get("data", {})
    given = [Path(name) for name in data.get("files") or files]
    places, checksums = data.get("places", {}), data.get("sha256", {})
    return [
        _recorded(folder, path, places.get(key, {}), checksums.get(key, ""))
        for path, key in zip(given, runs.checksum_keys(given), strict=True)
    ]


def _recorded(folder: Path, path: Path, place: Mapping[str, Any], sha256: str) -> RecordedFile:
    beside = [(folder / place["relative"]).resolve()] if place.get("relative") else []
    absolute = [Path(place["absolute"])] if place.get("absolute") else []
    called = absolute[0] if absolute else path
    return RecordedFile(called, (*beside, *absolute, path), sha256, place.get("bytes"))


def find_event_files(recorded: Sequence[RecordedFile], what: str) -> EventFiles:
    """Return where the event files of a run are now, every one compared with the checksum of the training.

    A file is looked for where the run folder says it lies relative to itself, where it lay, and under other
    names beside these places.

    Args:
        recorded: the files.
        what: whose they are, for messages: "the run in FOLDER".

    Raises:
        NotFoundError: a file is missing.
        DataError: a file has its name but not its content.
    """
    checksums: dict[Path, str] = {}
    found = [_find(one, what, checksums) for one in recorded]
    return _event_files(found, recorded)


def match_given_files(recorded: Sequence[RecordedFile], files: Sequence[Path]) -> EventFiles | None:
    """Return the given files as those of a run, told by checksum whatever their names; None where none is.

    Args:
        recorded: the files of the run.
        files: given ones.

    Raises:
        NotFoundError: a given file is missing.
        DataError: only some of them are files of the run, or some of its files are not given.
    """
    for path in files:
        if not path.exists():
            raise NotFoundError(f"No file or folder '{path}'. Check the name.")
    if not all(one.sha256 for one in recorded):  # nothing to compare with: the keys of the events must do
        return EventFiles(tuple(files))
    checksums = [_checksum(path, {}) for path in files]
    wanted = [one.sha256 for one in recorded]
    foreign = [path for path, sha256 in zip(files, checksums, strict=True) if sha256 not in wanted]
    if len(foreign) == len(files):
        return None
    if foreign:
        raise DataError(
            f"'{foreign[0]}' is no event file of the run, others given with it are. Give the run's files, "
            "or only others."
        )
    missing = [one.called for one in recorded if one.sha256 not in checksums]
    if missing:
        raise DataError(
            f"Event file '{missing[0]}' of the run is not among those given. Give all of them: --data FILE."
        )
    by_checksum = dict(zip(checksums, files, strict=True))
    return _event_files([by_checksum[one.sha256] for one in recorded], recorded)


def _event_files(found: Sequence[Path], recorded: Sequence[RecordedFile]) -> EventFiles:
    pairs = zip(found, recorded, strict=True)
    return EventFiles(tuple(found), {path: one.called for path, one in pairs if path != one.called})


def _find(one: RecordedFile, what: str, checksums: dict[Path, str]) -> Path:
    there = [path for path in one.places if path.exists()]
    if not one.sha256 and there:
        return there[0]
    for path in there:
        if _checksum(path, checksums) == one.sha256:
            return path
    for path in _neighbours(one):
        if _checksum(path, checksums) == one.sha256:
            return path
    if there:
        raise DataError(
            f"'{there[0]}' is not the event file that {what} was trained on: it was changed or made again "
            "since, for its checksum differs. Give the file of the training: --data FILE."
        )
    places = ", ".join(dict.fromkeys(str(path.parent.absolute()) for path in one.places))
    raise NotFoundError(
        f"Event file '{one.called.name}' of {what} is missing (looked in {places}). Give it: --data FILE."
    )


def _neighbours(one: RecordedFile) -> Iterator[Path]:
    """Files of the same size, or where that is not known of the same ending, beside the known places."""
    if not one.sha256:
        return
    for folder in dict.fromkeys(path.parent.absolute() for path in one.places):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            # A folder of one file has the checksum of that file; a name with an ending is a file's.
            if path.is_dir() and one.called.suffix:
                continue
            alike = path.is_file() and path.suffix == one.called.suffix
            if alike if one.n_bytes is None else path.exists() and _n_bytes(path) == one.n_bytes:
                yield path


def _checksum(path: Path, checksums: dict[Path, str]) -> str:
    if path not in checksums:
        checksums[path] = runs.file_checksum(path)
    return checksums[path]


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive
        return ""


def _n_bytes(path: Path) -> int:
    """Size of a file, or of all files in a folder."""
    if not path.is_dir():
        return path.stat().st_size
    return sum(part.stat().st_size for part in path.rglob("*") if part.is_file())
