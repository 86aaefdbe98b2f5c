"""Files -> data report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

from hitlens.datasets.inspection import DataReport, inspect_events
from hitlens.detector import ReadReport
from hitlens.detectors import get_detector
from hitlens.errors import ConfigError, DataError
from hitlens.events import Events
from hitlens.workflow.data import iterate_events


def inspect_files(
    paths: Sequence[Path | str],
    *,
    detector: str | None = None,
    layout: str | None = None,
    on_bad_event: str = "raise",
    options: Mapping[str, str] | None = None,
    block_size: int = 16384,
    html: Path | str | None = None,
    progress: Callable[[int], None] | None = None,
) -> DataReport:
    """Look through files block by block and report what a physicist should know of them.

    Args:
        paths: files, all of one detector.
        detector: its name; what the files say when not given.
        layout: file layout; recognised when not given.
        on_bad_event: "raise", or "skip" to count and list events that cannot be read.
        options: options of the layout's reader.
        block_size: events held in memory at once.
        html: where to write the report as a page, if anywhere.
        progress: told the number of events after every block.

    Raises:
        DataError: the files hold nothing, or events of another detector.
    """
    read_report = ReadReport([])
    blocks = iterate_events(
        paths,
        detector,
        layout=layout,
        on_bad_event=on_bad_event,
        options=dict(options or {}),
        report=read_report,
        block_size=block_size,
    )
    first = next(blocks, None)
    if first is None and detector is None:
        raise DataError(f"There are no events in {', '.join(map(str, paths))}. Name other files.")
    described = get_detector(detector or (first.detector if first is not None else ""))
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


def parse_options(settings: Sequence[str]) -> dict[str, str]:
    """Return reader options from texts like ``axes=yx``.

    Raises:
        ConfigError: a text without ``=``.

    Examples:
        >>> parse_options(["axes=yx"])
        {'axes': 'yx'}
    """
    for setting in settings:
        if "=" not in setting:
            raise ConfigError(f"An option must have the form NAME=VALUE. Got '{setting}'.")
    return dict(setting.split("=", 1) for setting in settings)
