"""Files read by many workers: a task a source file or range of events, joined in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from hitlens.detector import ReadReport
from hitlens.events import Events
from hitlens.workflow.data import BLOCK, OnBadEvent
from hitlens.workflow.event_ranges import EventRange, event_ranges, file_facts
from hitlens.workflow.parts import PartRecord, Parts, kept_parts
from hitlens.workflow.pool import open_pool
from hitlens.workflow.sources import Source

#: Most events of a native file that one task reads.
RANGE = 4 * BLOCK


def read_part(work: EventRange, path: Path) -> PartRecord:
    """Write the events of a file, or of a part of it, to a native file.

    Args:
        work: which events.
        path: the file to write; none is written where there are no events.

    Raises:
        FileFormatError: the file read is damaged, or has a bad event.
    """
    from hitlens.io.native import NativeWriter

    report = ReadReport([])
    blocks = work.blocks(report)
    first = next(blocks, None)
    n_events = 0
    if first is not None:
        with NativeWriter(path, work.detector) as writer:
            writer.write(first)
            n_events = len(first)
            for block in blocks:
                writer.write(block)
                n_events += len(block)
    return PartRecord(n_events, tuple(report.skipped), tuple(report.odd))


@contextmanager
def read_by_cluster(
    out: Path,
    sources: Sequence[Source],
    *,
    cluster: str,
    workers: int | None,
    on_bad_event: OnBadEvent,
    options: Mapping[str, str],
    report: ReadReport,
    progress: Callable[[int], object] | None,
    force: bool,
) -> Iterator[Iterator[tuple[str, Events]]]:
    """Let a cluster read files, and give label of the source and events, block by block, in order.

    Args:
        out: what the events are for; the parts lie beside it until they have been used.
        sources: the files.
        cluster: as `hitlens.workflow.pool.open_pool`.
        workers: as there.
        on_bad_event: "raise" or "skip".
        options: the layouts' options.
        report: receives what was skipped and what was odd.
        progress: called with the number of events of each part.
        force: throw away parts of another conversion.

    Raises:
        RunError: there are parts of another conversion and ``force`` is not given, or the cluster failed.
        FileFormatError: a file is damaged, or has a bad event.
        ConfigError: as `hitlens.workflow.pool.open_pool`.
    """
    works = event_ranges(sources, RANGE, on_bad_event=on_bad_event, options=options)
    settings = {
        "command": "convert",
        "detector": sources[0].detector.name,
        "files": file_facts(sources),
        "layouts": [work.layout for work in works],
        "options": dict(options),
        "on_bad_event": on_bad_event,
    }
    with kept_parts(out, settings, read_part, works, suffix=".h5", force=force) as parts:
        if parts.n_finished < len(parts):
            with open_pool(cluster, workers=workers, shared=parts.folder) as pool:
                parts.make(pool, progress)
        for record in parts.records:
            report.skipped.extend(record.skipped)
            report.odd.extend(record.odd)
        yield _labelled(parts, works)


def _labelled(parts: Parts, works: Sequence[EventRange]) -> Iterator[tuple[str, Events]]:
    labels = [work.label for work, record in zip(works, parts.records, strict=True) if record.n_events]
    for label, path in zip(labels, parts.files, strict=True):
        for events in native_blocks(path):
            yield label, events


def native_blocks(path: Path) -> Iterator[Events]:
    """Yield the events of a part that is a native file."""
    from hitlens.io.native import open_native

    with open_native(path) as file:
        yield from file.blocks(BLOCK)
