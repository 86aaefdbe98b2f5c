"""Events of files, dealt out in ranges that workers read by themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hitlens.detector import ReadReport
from hitlens.detectors import get_detector, read_detector
from hitlens.events import Events
from hitlens.workflow.data import BLOCK, OnBadEvent
from hitlens.workflow.sources import NATIVE, Source, find_layout


@dataclass(frozen=True)
class EventRange:
    """Events of one file that one task reads; small and picklable.

    Attributes:
        path: the file.
        detector: name of its detector.
        description: the YAML text that describes the detector, where one does.
        layout: name of the layout.
        label: what the truth column `file` says of the events.
        start: first event.
        stop: one past the last; None for the end. Only native files are read in part.
        on_bad_event: "raise" or "skip".
        options: the layout's options.
    """

    path: Path
    detector: str
    description: str
    layout: str
    label: str
    start: int = 0
    stop: int | None = None
    on_bad_event: OnBadEvent = "raise"
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return str(self.path) if self.stop is None else f"{self.path}, events {self.start} to {self.stop}"

    def blocks(self, report: ReadReport) -> Iterator[Events]:
        """Yield the events in blocks.

        Args:
            report: receives what was skipped and what was odd.

        Raises:
            FileFormatError: the file is damaged, or has a bad event.
        """
        detector = (
            read_detector(self.description, f"{self.path} (its detector)")
            if self.description
            else get_detector(self.detector)
        )
        source = Source(self.path, detector, find_layout(detector, self.layout), self.label)
        rows = slice(self.start, self.stop)
        yield from source.blocks(BLOCK, self.on_bad_event, report, dict(self.options), rows)


def event_ranges(
    sources: Sequence[Source],
    events_a_range: int,
    *,
    on_bad_event: OnBadEvent = "raise",
    options: Mapping[str, str] | None = None,
) -> list[EventRange]:
    """Return the ranges that sources are dealt into, in order: native files in parts, others whole.

    Args:
        sources: the files.
        events_a_range: most events a range of a native file.
        on_bad_event: "raise" or "skip".
        options: the layouts' options.
    """
    from hitlens.io.native import open_native

    ranges = []
    for source in sources:
        layout = source.layout.name if source.layout else NATIVE
        bounds: list[tuple[int, int | None]] = [(0, None)]
        if source.layout is None:
            with open_native(source.path) as file:
                n_events = len(file)
            bounds = [
                (start, min(start + events_a_range, n_events)) for start in range(0, n_events, events_a_range)
            ]
        ranges += [
            EventRange(
                path=source.path.resolve(),
                detector=source.detector.name,
                description=source.detector.yaml,
                layout=layout,
                label=source.label,
                start=start,
                stop=stop,
                on_bad_event=on_bad_event,
                options=tuple((options or {}).items()),
            )
            for start, stop in bounds
        ]
    return ranges


def file_facts(sources: Sequence[Source]) -> list[dict[str, Any]]:
    """Return what tells whether files are still the same: path, size and time of the last change, of each."""
    return [_facts(source.path.resolve()) for source in sources]


def _facts(path: Path) -> dict[str, Any]:
    inner = [one.stat() for one in sorted(path.rglob("*")) if one.is_file()] if path.is_dir() else []
    found = inner or [path.stat()]
    size, changed = sum(one.st_size for one in found), max(one.st_mtime_ns for one in found)
    return {"file": str(path), "size": size, "changed_ns": changed}
