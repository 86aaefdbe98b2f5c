"""Files -> data report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Literal

from hitlens.datasets.inspection import DataReport, inspect_events
from hitlens.detector import ReadReport
from hitlens.detectors import DETECTORS
from hitlens.errors import DataError
from hitlens.events import Events
from hitlens.io.native import is_native
from hitlens.io.outputs import check_output
from hitlens.workflow.data import iterate_events
from hitlens.workflow.sources import find_sources


def inspect_files(
    paths: Sequence[Path | str],
    *,
    detector: str | None = None,
    layout: str | None = None,
    on_bad_event: Literal["raise", "skip"] = "raise",
    options: Mapping[str, str] | None = None,
    block_size: int = 16384,
    html: Path | str | None = None,
    progress: Callable[[int], None] | None = None,
) -> DataReport:
    """Look through files block by block and report what a physicist should know of them.

    Args:
        paths: files, all of one detector.
        detector: its name or the YAML file that describes it; when not given, what the files say, or
            `guess_detector`.
        layout: file layout; recognised when not given.
        on_bad_event: "raise", or "skip" to count and list events that cannot be read.
        options: options of the layout's reader.
        block_size: events held in memory at once.
        html: where to write the report as a page, if anywhere.
        progress: told the number of events after every block.

    Raises:
        DataError: the files hold nothing, or events of another detector.
    """
    if html is not None:
        check_output(Path(html))
    detector = detector or guess_detector(paths)
    read_report = ReadReport([])
    blocks = iterate_events(
        paths,
        detector,
        layout=layout,
        on_bad_event=on_bad_event,
        options=dict(options or {}),
        report=read_report,
        block=block_size,
    )
    first = next(blocks, None)
    if first is None and detector is None:
        raise DataError(f"There are no events in {', '.join(map(str, paths))}. Name other files.")
    described = find_sources(paths, detector, layout)[0].detector
    found = inspect_events(
        _watched(chain([] if first is None else [first], blocks), progress),
        described,
        sources=[str(path) for path in paths],
        read_report=read_report,
    )
    if html is not None:
        # Drawing needs matplotlib, which a report as text does not.
        from hitlens.report.data_page import write_data_page

        write_data_page(html, found, described)
    return found


def _watched(blocks: Iterator[Events], progress: Callable[[int], None] | None) -> Iterator[Events]:
    for block in blocks:
        yield block
        if progress is not None:
            progress(len(block))


def guess_detector(paths: Sequence[Path | str]) -> str | None:
    """Return the detector in the box one of whose layouts knows the first file that does not say it itself.

    Args:
        paths: files; what is missing or native is passed over.

    Returns:
        None where every file says it itself, or where no detector or several know the file.

    Examples:
        >>> guess_detector(["no_such_file.txt"]) is None
        True
    """
    for path in map(Path, paths):
        if path.exists() and not is_native(path):
            known = [
                name
                for name, described in DETECTORS.items()
                if any(layout.fits(path) for layout in described.layouts)
            ]
            return known[0] if len(known) == 1 else None
    return None
