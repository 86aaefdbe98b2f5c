"""The public CeBr text layout: 256 pixels, then `E1 x1 y1 E2 x2 y2`, one event a line.

Numbers have six significant digits; a single has `E2 = 0` and `x2 = y2 = -100`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO

from hitlens.detectors.cebr.truth import SHAPE, counts_of, find_faults, truth_table, values_of
from hitlens.events import Events
from hitlens.io.atomic import PendingFile
from hitlens.io.text import Problem, Rows, TableFormat, format_rows, open_for_text, read_rows

N_PIXELS, N_VALUES = 256, 6


def _check(rows: Rows) -> list[Problem]:
    return [
        Problem(fault.row, N_PIXELS + 1 + fault.value, fault.words + ".")
        for fault in find_faults(rows.values)
    ]


FORMAT = TableFormat(n_counts=N_PIXELS, n_values=N_VALUES, check=_check)


def read_text(path: Path, block: int, skipped: list[str] | None = None) -> Iterator[Events]:
    """Yield the events of a text file, plain or gzipped.

    Args:
        path: the file.
        block: events a block.
        skipped: None refuses a file with a bad event; a list receives one message a bad event instead.

    Raises:
        NotFoundError: there is no such file.
        FileFormatError: a malformed event, an empty file, or one that is cut short or not text.
    """
    for rows in read_rows(path, FORMAT, block, skipped):
        images = rows.counts.reshape(-1, *SHAPE)
        yield Events({"anode": images}, truth_table(path.name, rows.positions, rows.values), "cebr")


class TextWriter:
    """Writes the public text layout, under a temporary name until it is whole.

    Equal events give equal bytes, gzipped or not.

    Args:
        path: final name; a file that exists is replaced.
        gzipped: whether to compress.
    """

    def __init__(self, path: Path | str, *, gzipped: bool = False) -> None:
        self._pending: PendingFile[IO[bytes]] = PendingFile(
            path, lambda partial: open_for_text(partial, gzipped=gzipped), "TextWriter"
        )

    def __enter__(self) -> TextWriter:
        self._pending.open()
        return self

    def __exit__(self, *exc: object) -> None:
        self._pending.close(*exc)

    def write(self, events: Events) -> None:
        """Append events.

        Raises:
            DataError: events that this layout cannot hold.
        """
        file = self._pending.file
        counts = counts_of(events).reshape(len(events), N_PIXELS)
        file.write(format_rows(counts, values_of(events)))
        self._pending.n_events += len(events)
