"""Events from files of any layout, to files of any layout: whole, by blocks, or straight through."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from hitlens import __version__
from hitlens.detector import Detector, Layout, ReadReport, Writer
from hitlens.detectors import get_detector
from hitlens.errors import ConfigError, DataError
from hitlens.events import Events
from hitlens.io.names import has_ending
from hitlens.io.outputs import check_output
from hitlens.io.ownership import owned
from hitlens.workflow.growing import join_blocks
from hitlens.workflow.sources import (
    DESCRIPTION,
    NATIVE,
    NATIVE_SUFFIXES,
    Paths,
    Source,
    check_options,
    find_layout,
    find_sources,
)

log = logging.getLogger(__name__)

#: Events a block: what a reader has in memory at a time, and the unit in which a native file is written.
BLOCK = 16384
#: Events a block where all of them are joined: small blocks leave less memory beside the result.
JOINED_BLOCK = 1024

OnBadEvent = Literal["raise", "skip"]


@dataclass(frozen=True)
class Conversion:
    """What a conversion did.

    Attributes:
        path: the file or folder written.
        layout: its layout.
        n_events: events written, by source file in the order read.
        skipped: one message an event left out, naming file, line and column.
        odd: one message a file and oddity, of events that were written all the same.
    """

    path: Path
    layout: str
    n_events: dict[str, int] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        total = sum(self.n_events.values())
        files = "1 file" if len(self.n_events) == 1 else f"{len(self.n_events)} files"
        return f"{total:,} events from {files} to {self.path} ({self.layout})"


def read_events(
    paths: Paths,
    detector: str | Detector | None = None,
    *,
    layout: str | None = None,
    on_bad_event: OnBadEvent = "raise",
    options: Mapping[str, str] | None = None,
    report: ReadReport | None = None,
    called: Mapping[Path, Path] | None = None,
) -> Events:
    """Read all events of files into memory, in order.

    Args:
        paths: a file or folder, or several.
        detector: the detector, its name or the YAML file that describes it; None takes what native files say,
            else whose layout fits.
        layout: name of the layout; None recognises it, for each file.
        on_bad_event: "raise" refuses a file with a bad event; "skip" leaves the event out and lists it.
        options: the layout's own options, for example ``{"axes": "yx"}``.
        report: receives what was skipped and what was odd.
        called: as in `find_sources`.

    Raises:
        NotFoundError: no such file, detector or layout.
        FileFormatError: a file that no layout fits, or with a bad event.
        ConfigError: an option the layout does not have.

    Examples:
        >>> import tempfile
        >>> pixels = " ".join(["3"] * 256)
        >>> path = Path(tempfile.mkdtemp()) / "one.txt"
        >>> _ = path.write_text(f"{pixels} 0.5 3.25 4.5 0 -100 -100")
        >>> read_events(path).truth.select("file", "event", "energy_1_mev").row(0)
        ('one.txt', 0, 0.5)
    """
    sources = find_sources(paths, detector, layout, called)
    if len(sources) == 1 and sources[0].layout is None:
        check_options(sources, options or {})
        return _read_whole(sources[0], on_bad_event, report, options or {})
    blocks = iterate_events(
        paths,
        detector,
        block=JOINED_BLOCK,
        layout=layout,
        on_bad_event=on_bad_event,
        options=options,
        report=report,
        called=called,
    )
    return join_blocks(blocks)


def _read_whole(
    source: Source, on_bad_event: OnBadEvent, report: ReadReport | None, options: Mapping[str, str]
) -> Events:
    """Return the events of a native file, read in one go."""
    from hitlens.io.hdf5 import allows_external
    from hitlens.io.native import read_native

    told = report or ReadReport([])
    n_skipped = len(told.skipped)
    for events in source.blocks(sys.maxsize, on_bad_event, told, options):
        _tell_skipped(len(told.skipped) - n_skipped)
        return events
    # A file without events has no block.
    return source.detector.complete(read_native(source.path, external=allows_external(options)))


def _tell_skipped(n_skipped: int) -> None:
    if n_skipped:
        log.warning("%d bad events skipped", n_skipped)


def iterate_events(
    paths: Paths,
    detector: str | Detector | None = None,
    *,
    block: int = BLOCK,
    layout: str | None = None,
    on_bad_event: OnBadEvent = "raise",
    options: Mapping[str, str] | None = None,
    report: ReadReport | None = None,
    called: Mapping[Path, Path] | None = None,
) -> Iterator[Events]:
    """Yield the events of files in blocks, in order; for files larger than memory.

    Args:
        paths: a file or folder, or several.
        detector: the detector, its name or the YAML file that describes it; None takes what native files say,
            else whose layout fits.
        block: most events a block; a block never holds events of two files.
        layout: name of the layout; None recognises it, for each file.
        on_bad_event: "raise" refuses a file with a bad event; "skip" leaves the event out and lists it.
        options: the layout's own options.
        report: receives what was skipped and what was odd.
        called: as in `find_sources`.

    Raises:
        NotFoundError: no such file, detector or layout.
        FileFormatError: a file that no layout fits, or with a bad event.
        ConfigError: an option the layout does not have.
    """
    if on_bad_event not in ("raise", "skip"):
        raise ConfigError(f"on_bad_event must be 'raise' or 'skip'. Got '{on_bad_event}'.")
    report = report or ReadReport([])
    sources = find_sources(paths, detector, layout, called)
    check_options(sources, options or {})
    n_skipped = len(report.skipped)
    for source in sources:
        yield from source.blocks(block, on_bad_event, report, options or {})
    _tell_skipped(len(report.skipped) - n_skipped)


def open_writer(
    path: Path | str,
    detector: str | Detector = "cebr",
    *,
    layout: str | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Writer:
    """Return a writer, to be used in a ``with`` block; its layout follows from the name.

    Args:
        path: ``.h5`` for the native file, but ``neutrino1.h5`` and the like for NOvA's public layout;
            ``.txt`` or ``.txt.gz`` for CeBr's text, a name without an ending or an existing folder for its
            NumPy arrays. What exists is replaced when the writing is complete.
        detector: the detector, its name or the YAML file that describes it.
        layout: name of the layout; None takes it from the name.
        provenance: stored in a native file; other layouts have no place for it.

    Raises:
        NotFoundError: no such detector or layout.
        ConfigError: the name fits no layout that can be written, or the layout is only read.
    """
    described = get_detector(detector)
    chosen = _layout_to_write(Path(path), described, layout)
    check_output(Path(path), _kind_of(chosen))
    if chosen is not None:
        return cast(Callable[[Path], Writer], chosen.open_writer)(Path(path))
    from hitlens.io.native import ColumnInfo, NativeWriter

    columns = (*described.truth, *described.extra_columns)
    own = {DESCRIPTION: described.yaml} if described.yaml else {}
    return NativeWriter(
        path,
        described.name,
        {"hitlens": __version__, **own, **(provenance or {})},
        columns={column.name: ColumnInfo(column.unit, column.meaning) for column in columns},
    )


def convert(
    paths: Paths,
    out: Path | str,
    detector: str | Detector | None = None,
    *,
    layout: str | None = None,
    out_layout: str | None = None,
    on_bad_event: OnBadEvent = "raise",
    options: Mapping[str, str] | None = None,
    cluster: str = "",
    workers: int | None = None,
    force: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Conversion:
    """Write the events of files to one file of another layout, a block at a time.

    Args:
        paths: a file or folder, or several.
        out: what to write; its name chooses the layout, as in `open_writer`.
        detector: the detector, its name or the YAML file that describes it; None takes what native files say,
            else whose layout fits.
        layout: layout of the files read; None recognises it, for each file.
        out_layout: layout to write; None takes it from the name.
        on_bad_event: "raise" refuses a file with a bad event; "skip" leaves the event out and lists it.
        options: the layout's own options.
        cluster: who reads; "" for this process, else as `hitlens.workflow.pool.open_pool`. What others have
            read is kept in ``OUT.parts`` until all is there, so that the same command goes on.
        workers: as there.
        force: replace ``out`` if it exists, and parts of another conversion.
        progress: called with the number of events of every block.

    Raises:
        ConfigError: ``out`` exists and ``force`` is not given, or is one of the files read; or as
            `hitlens.workflow.pool.open_pool`.
        RunError: there are parts of another conversion, or the cluster failed.
        NotFoundError: no such file, detector or layout.
        FileFormatError: a file that no layout fits, or with a bad event.
        DataError: events that the layout cannot hold.
    """
    out = Path(out)
    sources = find_sources(paths, detector, layout)
    names = {source.detector.name for source in sources}
    if len(names) > 1:
        raise DataError(f"Only events of one detector go to one file. Got {', '.join(sorted(names))}.")
    chosen = _layout_to_write(out, sources[0].detector, out_layout)
    check_output(out, _kind_of(chosen))
    result = Conversion(out, chosen.name if chosen else NATIVE, {source.label: 0 for source in sources})
    report = ReadReport(result.skipped, result.odd)
    check_options(sources, options or {})
    with ExitStack() as stack:
        stack.enter_context(owned(out, is_folder=False))
        _check_target(out, [source.path for source in sources], force)
        if cluster:
            from hitlens.workflow.reading import read_by_cluster  # which reads with this module

            blocks = stack.enter_context(
                read_by_cluster(
                    out,
                    sources,
                    cluster=cluster,
                    workers=workers,
                    on_bad_event=on_bad_event,
                    options=options or {},
                    report=report,
                    progress=progress,
                    force=force,
                )
            )
        else:
            blocks = _read_here(sources, on_bad_event, report, options or {}, progress)
        provenance = _provenance(sources)
        writer = stack.enter_context(
            open_writer(out, sources[0].detector, layout=out_layout, provenance=provenance)
        )
        for label, events in blocks:
            writer.write(events)
            result.n_events[label] += len(events)
    return result


def _read_here(
    sources: Sequence[Source],
    on_bad_event: OnBadEvent,
    report: ReadReport,
    options: Mapping[str, str],
    progress: Callable[[int], None] | None,
) -> Iterator[tuple[str, Events]]:
    """Yield label of the source and events, block by block, in order."""
    for source in sources:
        for events in source.blocks(BLOCK, on_bad_event, report, options):
            yield source.label, events
            if progress:
                progress(len(events))


def layouts_of(detector: str) -> tuple[tuple[str, str, bool], ...]:
    """Return name, meaning and whether it can be written, for each layout of a detector, native first.

    Args:
        detector: name of the detector.

    Examples:
        >>> [name for name, _, writable in layouts_of("cebr") if writable]
        ['native', 'text', 'npy']
    """
    native = (NATIVE, "the native events file (.h5), for any detector", True)
    return (
        native,
        *((one.name, one.meaning, one.open_writer is not None) for one in get_detector(detector).layouts),
    )


def _layout_to_write(path: Path, detector: Detector, name: str | None) -> Layout | None:
    if name is not None:
        layout = find_layout(detector, name)
        if layout is not None and layout.open_writer is None:
            raise ConfigError(f"Layout '{name}' is only read, never written. {_writable(detector)}")
        return layout
    for layout in detector.layouts:
        if layout.open_writer is not None and layout.part_number(path) is not None:
            return layout
    if has_ending(path, NATIVE_SUFFIXES):
        return None
    ending = Path(path.name) if path.suffix and not path.is_dir() else None
    for layout in detector.layouts:
        if layout.open_writer is not None and (
            has_ending(ending, layout.suffixes) if ending else "/" in layout.suffixes
        ):
            return layout
    raise ConfigError(f"The name '{path}' fits no layout that can be written. {_writable(detector)}")


def _writable(detector: Detector) -> str:
    endings = [f"{NATIVE} ({', '.join(NATIVE_SUFFIXES)})"]
    for layout in detector.layouts:
        if layout.open_writer is not None:
            words = ["no ending" if suffix == "/" else suffix for suffix in layout.suffixes]
            words += [f"{layout.part_name(1)}, {layout.part_name(2)}, ..."] if layout.parts else []
            endings.append(f"{layout.name} ({', '.join(words)})")
    return f"These can: {', '.join(endings)}."


def _kind_of(layout: Layout | None) -> Literal["file", "either"]:
    """Return whether a layout, None for the native one, is a file; else it may be a folder."""
    return "either" if layout is not None and "/" in layout.suffixes else "file"


def _check_target(out: Path, sources: Sequence[Path], force: bool) -> None:
    if out.resolve() in [path.resolve() for path in sources]:
        raise ConfigError(f"'{out}' is one of the files to read. Choose another name to write to.")
    if out.exists() and not force:
        raise ConfigError(f"'{out}' exists. Choose another name, or replace it with force (--force).")


def _provenance(sources: Sequence[Source]) -> dict[str, Any]:
    from hitlens.io.native import open_native

    found: list[dict[str, Any]] = []
    for source in sources:
        entry: dict[str, Any] = {"file": source.label}
        entry["layout"] = source.layout.name if source.layout else NATIVE
        if source.layout is None:
            with open_native(source.path) as file:
                entry["provenance"] = file.provenance
        found.append(entry)
    return {"sources": found}
