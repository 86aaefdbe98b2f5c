"""The file layout NOvA events come in; reader and writer are imported when they are first used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hitlens.detector import Layout, ReadReport, Writer
from hitlens.events import Events

#: Name of the numbered files of the course, # in place of the number.
PARTS = "neutrino#.h5"


def _is_nova(path: Path) -> bool:
    from hitlens.detectors.nova.reader import is_nova

    return is_nova(path) if path.is_file() else bool(LAYOUTS[0].parts_in(path))


def _read(
    path: Path, block: int, on_bad_event: str, report: ReadReport, options: dict[str, str]
) -> Iterator[Events]:
    from hitlens.detectors.nova.reader import read_nova
    from hitlens.io.hdf5 import allows_external

    return read_nova(path, block, report, external=allows_external(options))


def _write(path: Path) -> Writer:
    from hitlens.detectors.nova.writer import NovaFileWriter

    return NovaFileWriter(path)


def _is_decoded(path: Path) -> bool:
    from hitlens.detectors.nova.decoded import is_decoded

    return is_decoded(path)


def _read_decoded(
    path: Path, block: int, on_bad_event: str, report: ReadReport, options: dict[str, str]
) -> Iterator[Events]:
    from hitlens.detectors.nova.decoded import read_decoded

    return read_decoded(path)


#: Layouts in the order they are tried.
LAYOUTS = (
    Layout(
        name="nova",
        meaning="public files neutrino1.h5, neutrino2.h5, ...: HDF5 with cvnmap and the group neutrino",
        suffixes=(),
        recognises=_is_nova,
        read=_read,
        open_writer=_write,
        options={"external": "'allow' reads other files that this one names; else they are refused"},
        parts=PARTS,
    ),
    Layout(
        name="decoded",
        meaning="events decoded from figures: npz with arrays such as truetype2_caltype2_event274_x",
        suffixes=(),
        recognises=_is_decoded,
        read=_read_decoded,
    ),
)
