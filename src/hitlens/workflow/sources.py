"""Which files are read and how: existing paths, the layout of each, and a label that tells them apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from hitlens.detector import Detector, Layout, ReadReport
from hitlens.detectors import DETECTORS, get_detector, read_detector
from hitlens.errors import ConfigError, DataError, FileFormatError, NotFoundError, choose_from
from hitlens.events import Events
from hitlens.io.guard import damage_as_format_error
from hitlens.io.names import expanded
from hitlens.io.outputs import check_name
from hitlens.io.pixels import without_bad_pixels

#: Name of the layout that every detector has.
NATIVE = "native"
NATIVE_SUFFIXES = (".h5", ".hdf5")
#: Under this name a native file's provenance and a predictions file keep the YAML that describes a detector.
DESCRIPTION = "detector_description"

Paths = str | Path | Sequence[str | Path]


@dataclass(frozen=True)
class Source:
    """One file or folder to read.

    Attributes:
        path: where it is.
        detector: what its events belong to.
        layout: how to read it; None for a native file.
        label: what the truth column `file` says of its events; a native file brings its own.
    """

    path: Path
    detector: Detector
    layout: Layout | None
    label: str

    def blocks(
        self,
        block: int,
        on_bad_event: str,
        report: ReadReport,
        options: Mapping[str, str],
        rows: slice = slice(None),
    ) -> Iterator[Events]:
        """Yield the events of this file, all their pixels numbers.

        Args:
            block: most events a block.
            on_bad_event: "raise" or "skip".
            report: receives what was skipped.
            options: options of any layout; those this one does not have are left out.
            rows: which events; only native files are read in part.

        Raises:
            FileFormatError: the file is damaged, or has a bad event.
        """
        first = rows.start or 0
        skipped = report.skipped if on_bad_event == "skip" else None
        for events in self._all_blocks(block, on_bad_event, report, options, rows):
            yield without_bad_pixels(
                events,
                self.path,
                first=first,
                key=self.detector.labels,
                shapes={view.name: view.shape for view in self.detector.views},
                skipped=skipped,
            )
            first += len(events)

    def _all_blocks(
        self, block: int, on_bad_event: str, report: ReadReport, options: Mapping[str, str], rows: slice
    ) -> Iterator[Events]:
        if self.layout is None:
            from hitlens.io.hdf5 import allows_external
            from hitlens.io.native import open_native

            external = allows_external(options)
            with open_native(self.path, detector=self.detector.name, external=external) as file:
                yield from map(self.detector.complete, file.blocks(block, rows))
            return
        own = {name: value for name, value in options.items() if name in (self.layout.options or {})}
        with damage_as_format_error(self.path):  # readers may be anybody's
            for events in self.layout.read(self.path, block, on_bad_event, report, own):
                whole = self.detector.complete(events)
                yield whole if self.label == self.path.name else _relabelled(whole, self.label)


def find_sources(
    paths: Paths,
    detector: str | Detector | None,
    layout: str | None,
    called: Mapping[Path, Path] | None = None,
) -> list[Source]:
    """Return how each path is to be read.

    Args:
        paths: a file or folder, or several.
        detector: the detector, its name or the YAML file that describes it; None takes what native files say,
            else whose layout fits.
        layout: name of the layout; None recognises it, for each file.
        called: the paths that some had when their events got their names, where they were moved since.

    Raises:
        NotFoundError: no such file, detector or layout.
        DataError: no path, or one is given twice.
        ConfigError: files that do not say their detector, and fit several.
        FileFormatError: a file that no layout fits.
    """
    given = [expanded(path) for path in ([paths] if isinstance(paths, (str, Path)) else paths)]
    if not given:
        raise DataError("No file to read: give at least one.")
    for path in given:
        check_name(path)
        if not path.exists():
            raise NotFoundError(f"No file or folder '{path}'. Check the name.")
    described = None if detector is None else get_detector(detector)
    found = [source for path in given for source in _sources(path, described, layout)]
    labels = _labels([_former(source.path, called or {}) for source in found])
    return _by_number([replace(source, label=label) for source, label in zip(found, labels, strict=True)])


def check_options(sources: Sequence[Source], options: Mapping[str, str]) -> None:
    """Refuse options that no layout among the sources has.

    Raises:
        ConfigError: such an option.
    """
    known = {name for source in sources if source.layout for name in source.layout.options or {}}
    known |= {"external"} if any(source.layout is None for source in sources) else set()
    for name in options:
        if name not in known:
            layouts = sorted({source.layout.name if source.layout else NATIVE for source in sources})
            raise ConfigError(
                f"Layout {', '.join(layouts)} has no option '{name}'. {choose_from(name, known)}"
            )


def find_layout(detector: Detector, name: str) -> Layout | None:
    """Return a detector's layout by name, None for the native one.

    Raises:
        NotFoundError: it has no such layout.
    """
    if name == NATIVE:
        return None
    for layout in detector.layouts:
        if layout.name == name:
            return layout
    names = [NATIVE, *(layout.name for layout in detector.layouts)]
    raise NotFoundError(f"Detector '{detector.name}' has no layout '{name}'. {choose_from(name, names)}")


def _sources(path: Path, detector: Detector | None, layout: str | None) -> list[Source]:
    """Return a file, or what a folder stands for: itself, or the numbered files in it."""
    source = _source(path, detector, layout, path.name)
    parts = source.layout.parts_in(path) if source.layout else []
    return [_source(part, source.detector, layout, part.name) for part in parts] or [source]


def _by_number(sources: list[Source]) -> list[Source]:
    # A shell lists neutrino10.h5 before neutrino2.h5: numbered files of one folder are put in order, in the
    # places they have in the list; all other files stay where they are.
    places: dict[tuple[Path, str], list[int]] = {}
    numbers = [source.layout.part_number(source.path) if source.layout else None for source in sources]
    for i, (source, number) in enumerate(zip(sources, numbers, strict=True)):
        if number is not None and source.layout is not None:
            places.setdefault((source.path.parent, source.layout.name), []).append(i)
    ordered = list(sources)
    for group in places.values():
        in_order = sorted(group, key=lambda i: (numbers[i] or 0, sources[i].path.name))
        for place, i in zip(group, in_order, strict=True):
            ordered[place] = sources[i]
    return ordered


def _source(path: Path, detector: Detector | None, layout: str | None, label: str) -> Source:
    from hitlens.io.native import is_hdf5, is_native, open_native

    expected = detector.name if detector else None
    if layout == NATIVE or (layout is None and is_native(path)):
        with open_native(path, detector=expected) as file:
            return Source(path, detector or _own_detector(path, file.detector, file.provenance), None, label)
    if layout is not None:
        owner = detector or _owner(layout, path)
        return Source(path, owner, find_layout(owner, layout), label)
    candidates = DETECTORS if detector is None else {detector.name: detector}
    fits = [
        Source(path, described, candidate, label)
        for described in candidates.values()
        for candidate in described.layouts
        if candidate.fits(path)
    ]
    if len({source.detector.name for source in fits}) > 1:
        names = ", ".join(sorted({source.detector.name for source in fits}))
        raise ConfigError(f"'{path}' could be of {names}. Give the detector's name.")
    if fits:
        return fits[0]
    if is_hdf5(path):
        open_native(path, detector=expected).close()  # says what is wrong with it
    raise FileFormatError(
        f"this is neither a native events file nor any of these layouts: {_described(candidates)}. "
        "If you know which it is, name the layout. Files of a detector of your own are described in YAML: "
        "name that file as the detector.",
        path=path,
    )


def _owner(layout: str, path: Path) -> Detector:
    """Return the detector in the box that has a layout of this name."""
    layouts = {name: [one.name for one in found.layouts] for name, found in DETECTORS.items()}
    owners = [name for name, names in layouts.items() if layout in names]
    if not owners:
        known = {NATIVE, *(name for names in layouts.values() for name in names)}
        raise NotFoundError(f"There is no layout '{layout}'. {choose_from(layout, known)}")
    if len(owners) > 1:
        raise ConfigError(f"'{path}' could be of {', '.join(owners)}. Give the detector's name.")
    return DETECTORS[owners[0]]


def _own_detector(path: Path, name: str, provenance: Mapping[str, Any]) -> Detector:
    """Return the detector a native file names; one described in YAML is in the file itself."""
    text = provenance.get(DESCRIPTION)
    return read_detector(text, f"{path} (its detector)") if text else get_detector(name)


def _described(detectors: Mapping[str, Detector]) -> str:
    layouts = [
        f"{layout.name} ({layout.meaning})"
        for described in detectors.values()
        for layout in described.layouts
    ]
    return "; ".join(layouts) or "none"


def _labels(paths: Sequence[Path]) -> list[str]:
    # The shortest ends of the paths that tell all files apart; usually the names.
    whole = [path.resolve() for path in paths]
    if len(set(whole)) < len(whole):
        twice = next(path for path, at in zip(paths, whole, strict=True) if whole.count(at) > 1)
        raise DataError(f"'{twice}' is given twice: its events would be counted twice.")
    n_parts = 1
    while len({path.parts[-n_parts:] for path in whole}) < len(whole):
        n_parts += 1
    return [path.name if n_parts == 1 else "/".join(path.parts[-n_parts:]) for path in whole]


def _former(path: Path, called: Mapping[Path, Path]) -> Path:
    """The path of a file before it, or the folder it is in, was moved."""
    for now, before in called.items():
        if path == now or now in path.parents:
            return before / path.relative_to(now)
    return path


def _relabelled(events: Events, label: str) -> Events:
    return Events(events.images, events.truth.with_columns(file=pl.lit(label)), events.detector)
