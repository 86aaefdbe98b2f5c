"""Parts of an output that many workers make, kept beside it until all are there: no work is done twice.

The parts of ``OUT.h5`` lie in the folder ``OUT.h5.parts``. Its manifest says what they are made from; the
same command goes on with those that are there, another one is refused. A part counts when its record is
there, which is written last. Names carry a hash of the manifest and parts are renamed into place, so that a
worker that was given up, but lives, can neither spoil nor mix anything.
"""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from hitlens import __version__
from hitlens.errors import FileFormatError, RunError
from hitlens.io.atomic import remove, written_whole
from hitlens.io.records import read_record
from hitlens.settings import flattened
from hitlens.workflow.pool import Pool

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"

W = TypeVar("W")


@dataclass(frozen=True)
class PartRecord:
    """What is known of a part that is finished.

    Attributes:
        n_events: events in it; a part without any has no file.
        skipped: one message a bad event that was left out.
        odd: one message an oddity of events that are in it.
        n_unanswered: events in it for which there is no answer.
    """

    n_events: int
    skipped: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()
    n_unanswered: int = 0


#: Makes a part: what to do, file to write -> record. A function of a module, so that workers find it.
Make = Callable[[W, Path], PartRecord]


@dataclass(frozen=True)
class PartTask(Generic[W]):
    """One part to make.

    Attributes:
        path: its file.
        work: what to do; its text says so.
        make: does it.
    """

    path: Path
    work: W
    make: Make[W]

    def __str__(self) -> str:
        return str(self.work)


def make_part(task: PartTask[Any]) -> PartRecord:
    """Make one part under a name of its own, rename it, and write its record last.

    Raises:
        RunError: the folder of the parts is gone.
    """
    if not task.path.parent.is_dir():
        raise RunError(f"The folder {task.path.parent} is gone. Repeat the command.")
    ours = task.path.with_name(f".{uuid.uuid4().hex}{task.path.suffix}")
    try:
        record = task.make(task.work, ours)
        if record.n_events:
            ours.replace(task.path)
        ours.write_text(json.dumps(asdict(record)), encoding="utf-8")
        ours.replace(_record_path(task.path))
    finally:
        remove(ours)
    return record


def _record_path(part: Path) -> Path:
    return part.with_suffix(".json")


class Parts:
    """The parts of one output, in order.

    Args:
        folder: where they are.
        tasks: one a part.

    Attributes:
        folder: where they are.
        n_kept: parts that an earlier command had finished.
    """

    def __init__(self, folder: Path, tasks: Sequence[PartTask[Any]]) -> None:
        self.folder = folder
        self._tasks = tasks
        self._records: dict[int, PartRecord] = {}
        for number, task in enumerate(tasks):
            if (record := _read_record(task.path)) is not None:
                self._records[number] = record
        self.n_kept = len(self._records)

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def n_finished(self) -> int:
        """How many are finished."""
        return len(self._records)

    @property
    def records(self) -> list[PartRecord]:
        """What is known of each, in order; all must be finished."""
        return [self._records[number] for number in range(len(self))]

    @property
    def files(self) -> list[Path]:
        """The files of those with events, in order; all must be finished."""
        return [task.path for task, record in zip(self._tasks, self.records, strict=True) if record.n_events]

    def make(self, pool: Pool, progress: Callable[[int], object] | None = None) -> None:
        """Make those that are missing.

        Args:
            pool: where.
            progress: called with the number of events of each part, those kept included.

        Raises:
            RunError: as `hitlens.workflow.pool.Pool.run`; or Ctrl-C ended it.
        """
        report = progress or (lambda n_events: None)
        for record in self._records.values():
            report(record.n_events)
        missing = [number for number in range(len(self)) if number not in self._records]
        try:
            for position, record in pool.run(make_part, (self._tasks[number] for number in missing)):
                self._records[missing[position]] = record
                report(record.n_events)
        except KeyboardInterrupt:
            raise RunError(
                f"Interrupted. {self.n_finished} of {len(self)} parts are kept in {self.folder}; the same "
                "command goes on with the others."
            ) from None


def _read_record(part: Path) -> PartRecord | None:
    path = _record_path(part)
    if not path.is_file():
        return None
    try:
        record = PartRecord(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        return None
    return record if part.is_file() or not record.n_events else None


@contextmanager
def kept_parts(
    output: Path,
    settings: Mapping[str, Any],
    make: Make[W],
    works: Sequence[W],
    *,
    suffix: str,
    force: bool = False,
) -> Iterator[Parts]:
    """Open the folder of an output's parts; it is removed when all is well, and kept with what is finished.

    Args:
        output: file or folder that is to be made of them.
        settings: all that decides what is in the parts; anything JSON can hold.
        make: makes one part.
        works: what to do for each part, in order.
        suffix: of the parts' files.
        force: throw away parts of other settings.

    Raises:
        RunError: the folder holds parts of other settings and ``force`` is not given, or something else.
    """
    folder = output.absolute().with_name(f"{output.name}.parts")
    manifest = json.loads(json.dumps({"hitlens": __version__, "parts": len(works), **settings}))
    _open_folder(folder, manifest, force)
    key = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:12]
    tasks = [
        PartTask(folder / f"part-{number:06d}-{key}{suffix}", work, make) for number, work in enumerate(works)
    ]
    parts = Parts(folder, tasks)
    if parts.n_kept:
        log.warning("%d of %d parts were finished before and are kept: %s", parts.n_kept, len(parts), folder)
    try:
        yield parts
    except BaseException:
        if not parts.n_finished:
            remove(folder)
        raise
    remove(folder)


def _open_folder(folder: Path, manifest: dict[str, Any], force: bool) -> None:
    path = folder / MANIFEST
    if folder.is_dir() and path.is_file():
        try:
            found = read_record(path, "Start over with --force.")
        except FileFormatError:
            if not force:
                raise
            found = {}
        if found == manifest:
            return
        if not force:
            raise RunError(
                f"{folder} holds parts of another command ({_difference(found, manifest)}). Repeat that "
                "one, or start over with --force."
            )
    elif folder.exists() and not _only_parts(folder):
        raise RunError(f"{folder} is in the way: parts go there, and it holds something else. Remove it.")
    remove(folder)
    folder.mkdir(parents=True)
    with written_whole(path) as partial:
        partial.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _only_parts(folder: Path) -> bool:
    """Whether a folder without a manifest holds nothing but what a worker that was given up left there."""
    return folder.is_dir() and all(path.name.startswith(("part-", ".")) for path in folder.iterdir())


def _difference(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    there, here = flattened(found), flattened(wanted)
    name = next(name for name in {**here, **there} if there.get(name) != here.get(name))
    return f"{name} is {_short(there.get(name))} there, {_short(here.get(name))} here"


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
