"""The file layouts DUNE events come in; each reader is imported when it is first used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hitlens.detector import Layout, ReadReport, Writer
from hitlens.events import Events


def _skipped(on_bad_event: str, report: ReadReport) -> list[str] | None:
    return report.skipped if on_bad_event == "skip" else None


def _is_npz(path: Path) -> bool:
    from hitlens.detectors.dune.npz import is_npz

    return is_npz(path)


def _is_cvn(path: Path) -> bool:
    from hitlens.detectors.dune.cvn import is_cvn

    return is_cvn(path)


def _read_npz(
    path: Path, block: int, on_bad_event: str, report: ReadReport, options: dict[str, str]
) -> Iterator[Events]:
    from hitlens.detectors.dune.npz import read_npz

    return read_npz(path, block, _skipped(on_bad_event, report))


def _read_cvn(
    path: Path, block: int, on_bad_event: str, report: ReadReport, options: dict[str, str]
) -> Iterator[Events]:
    from hitlens.detectors.dune.cvn import read_cvn

    return read_cvn(path, block, _skipped(on_bad_event, report))


def _write_npz(path: Path) -> Writer:
    from hitlens.detectors.dune.npz import NpzWriter

    return NpzWriter(path)


def _write_cvn(path: Path) -> Writer:
    from hitlens.detectors.dune.cvn import CvnWriter

    return CvnWriter(path)


#: Layouts in the order they are tried.
LAYOUTS = (
    Layout(
        name="npz",
        meaning="one .npz file: pixels of all events as event, view, row, col, value; truth by event",
        suffixes=(".npz",),
        recognises=_is_npz,
        read=_read_npz,
        open_writer=_write_npz,
    ),
    Layout(
        name="cvn",
        meaning="folder of the DUNE CVN: eventK.gz (zlib), eventK.info and perhaps partition*.p",
        suffixes=("/",),
        recognises=_is_cvn,
        read=_read_cvn,
        open_writer=_write_cvn,
    ),
)
