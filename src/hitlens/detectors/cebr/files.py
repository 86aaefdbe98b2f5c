"""The file layouts CeBr events come in; each reader is imported when it is first used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from hitlens.detector import Layout, ReadReport, Writer
from hitlens.detectors.cebr.columns import EXPERIMENT, TRACES
from hitlens.events import Events
from hitlens.io.names import has_ending

_N_TEXT, _N_ANODE, _N_DECAY, _N_TRACE = 262, 258, 259, 211
_TEXT_SUFFIXES = (".txt", ".txt.gz")

_Read = Callable[[Path, int, str, ReadReport, dict[str, str]], Iterator[Events]]


def _n_fields(path: Path) -> int | None:
    from hitlens.io.text import count_fields

    return count_fields(path) if path.is_file() else None


def _has(n_fields: int) -> Callable[[Path], bool]:
    return lambda path: _n_fields(path) == n_fields


def _is_text(path: Path) -> bool:
    # A .txt that is nothing else is taken for events, so that a malformed one is told where it is wrong.
    n_fields = _n_fields(path)
    others = (_N_ANODE, _N_DECAY, _N_TRACE)
    named = path.is_file() and has_ending(path, _TEXT_SUFFIXES)
    return n_fields == _N_TEXT or (named and n_fields not in others)


def _is_npy(path: Path) -> bool:
    return path.is_dir() and any(path.glob("*.npy"))


def _skipped(on_bad_event: str, report: ReadReport) -> list[str] | None:
    return report.skipped if on_bad_event == "skip" else None


def _read_text(
    path: Path, block: int, on_bad_event: str, report: ReadReport, options: dict[str, str]
) -> Iterator[Events]:
    from hitlens.detectors.cebr.text import read_text

    return read_text(path, block, _skipped(on_bad_event, report))


def _read_npy(
    path: Path, block: int, on_bad_event: str, report: ReadReport, options: dict[str, str]
) -> Iterator[Events]:
    from hitlens.detectors.cebr.npy import read_npy

    return read_npy(path, block, _skipped(on_bad_event, report), **options)


def _read_experiment(kind: str) -> _Read:
    def read(
        path: Path, block: int, on_bad_event: str, report: ReadReport, options: dict[str, str]
    ) -> Iterator[Events]:
        from hitlens.detectors.cebr.experiment import read_experiment

        return read_experiment(path, kind, block, _skipped(on_bad_event, report))

    return read


def _read_traces(
    path: Path, block: int, on_bad_event: str, report: ReadReport, options: dict[str, str]
) -> Iterator[Events]:
    from hitlens.detectors.cebr.traces import read_traces

    return read_traces(path, block, _skipped(on_bad_event, report))


def _write_text(path: Path) -> Writer:
    from hitlens.detectors.cebr.text import TextWriter

    return TextWriter(path, gzipped=has_ending(path, ".gz"))


def _write_npy(path: Path) -> Writer:
    from hitlens.detectors.cebr.npy import NpyWriter

    return NpyWriter(path)


#: Columns that only some of the layouts bring.
EXTRA_COLUMNS = (*dict.fromkeys((*EXPERIMENT["anodedata"], *EXPERIMENT["decaydata"])), *TRACES)

#: Layouts in the order they are tried.
LAYOUTS = (
    Layout(
        name="text",
        meaning="public text layout, 262 fields a line: 256 pixels, E1 x1 y1 E2 x2 y2; plain or gzipped",
        suffixes=_TEXT_SUFFIXES,
        recognises=_is_text,
        read=_read_text,
        open_writer=_write_text,
    ),
    Layout(
        name="npy",
        meaning="folder of NumPy arrays: *images*.npy with *energies*.npy, *positions*.npy, *labels*.npy",
        suffixes=("/",),
        recognises=_is_npy,
        read=_read_npy,
        open_writer=_write_npy,
        options={
            "axes": "xy where images are [x, y] (as here), yx where they are [y, x]",
            "arrays": "which set to read, as training_200k for images_training_200k.npy; all where left out",
        },
    ),
    Layout(
        name="anodedata",
        meaning="experiment, 258 fields a line: event_id, descriptor, 256 pixels",
        suffixes=(),
        recognises=_has(_N_ANODE),
        read=_read_experiment("anodedata"),
    ),
    Layout(
        name="decaydata",
        meaning="experiment, 259 fields a line: event_id, ddas_energy, fit_energy, 256 pixels",
        suffixes=(),
        recognises=_has(_N_DECAY),
        read=_read_experiment("decaydata"),
    ),
    Layout(
        name="traces",
        meaning="sampled signals, 211 fields a line: pulses, samples, pulse parameters, 200 samples",
        suffixes=(),
        recognises=_has(_N_TRACE),
        read=_read_traces,
    ),
)
