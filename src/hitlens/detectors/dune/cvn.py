"""The original distribution: a folder with `eventK.gz` and `eventK.info` for each event.

`eventK.gz` is a zlib stream (not gzip) of 3 x 500 x 500 bytes: view u, v, z; wire; time. `eventK.info` has
one number a line, written by the collaboration's CVNZlibMaker:

===== ===============================================================================================
line  content
===== ===============================================================================================
1     category: 4 * flavour + interaction for charged currents, 12 elastic on an electron, 13 neutral current
2, 3  energies of neutrino and outgoing lepton, GeV
4-6   reconstructed energies, 0 where not computed
7     weight of the event
8     PDG code of the neutrino, 1 for neutral currents
9-12  protons, charged pions, neutral pions, neutrons
13 on two codes of the topology; then, depending on the version, the number of hits and the lepton's angle
===== ===============================================================================================

A folder may also hold a `partition*.p` pickle with labels of its events, which are checked against the
`.info` files, and used (without energies) where those are missing.
"""

from __future__ import annotations

import pickle
import re
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hitlens.detectors.dune.description import NC, SHAPE, VIEWS
from hitlens.detectors.dune.npz import sparse_view
from hitlens.detectors.dune.partition import read_partition
from hitlens.detectors.dune.truth import TYPES, columns_of, find_faults, truth_table
from hitlens.errors import DataError, FileFormatError, NotFoundError
from hitlens.events import Events
from hitlens.io.atomic import files_written_whole

_N_BYTES = len(VIEWS) * SHAPE[0] * SHAPE[1]
_NAME = re.compile(r"event(\d+)\.gz")

#: Category of a neutral-current event; 12 is a neutrino on an electron.
_NC_CATEGORY, _ELASTIC_CATEGORY = 13, 12
_PDG = {0: 14, 1: 12, 2: 16, NC: 1}

#: Line of the .info file, from 0, of each truth column that stands there as it is.
_LINES = {
    "nu_energy_gev": 1,
    "lep_energy_gev": 2,
    "nu_pdg": 7,
    "n_proton": 8,
    "n_pion": 9,
    "n_pizero": 10,
    "n_neutron": 11,
}
_FEWEST_LINES = 14


@dataclass(frozen=True, eq=False)
class _Event:
    """One event: places and values of its pixels by view, and its truth by column."""

    pixels: tuple[tuple[NDArray[np.int32], NDArray[np.uint8]], ...]
    truth: dict[str, float]


def is_cvn(path: Path) -> bool:
    """Tell whether a folder holds events of this layout.

    Examples:
        >>> is_cvn(Path("/no/such/folder"))
        False
    """
    return path.is_dir() and any(_NAME.fullmatch(file.name) for file in path.glob("event*.gz"))


def event_files(path: Path) -> dict[int, Path]:
    """Return the image files of a folder by event number, in the order of the numbers: 1, 2, 10.

    Raises:
        NotFoundError: no such folder.
        FileFormatError: it holds no event, or two files of one number.
    """
    if not path.is_dir():
        raise NotFoundError(f"No folder '{path}'. Check the name.")
    found: dict[int, Path] = {}
    for file in sorted(path.glob("event*.gz")):
        match = _NAME.fullmatch(file.name)
        if match is None:
            raise FileFormatError("images are called event0.gz, event1.gz and so on.", path=file)
        number = int(match[1])
        if number in found:
            raise FileFormatError(f"event {number} is there twice: {found[number].name}.", path=file)
        found[number] = file
    if not found:
        inside = sorted(folder.name for folder in path.iterdir() if is_cvn(folder))
        advice = f" Give the folders in it: {', '.join(inside)}." if inside else ""
        raise FileFormatError(f"a folder with event0.gz, event1.gz ... is needed.{advice}", path=path)
    return dict(sorted(found.items()))


def read_cvn(path: Path, block: int, skipped: list[str] | None = None) -> Iterator[Events]:
    """Yield the events of a folder in the order of their numbers.

    Args:
        path: the folder.
        block: most events a block.
        skipped: None refuses a folder with a bad event; a list receives one message a bad event instead.

    Raises:
        NotFoundError: there is no such folder.
        FileFormatError: no event, a damaged or missing file, truth that is not legal or contradicts the
            partition, or a partition that is not made of plain numbers.
    """
    files = event_files(path)
    labels = _labels(path, files)
    numbers = np.array(list(files))
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(numbers), block):
            rows = numbers[start : start + block].tolist()
            found = list(pool.map(lambda number: _read_event(files[number], labels.get(number)), rows))
            good = _good_events(path, rows, found, skipped)
            if good:
                yield _join(path.name, good)


def _labels(path: Path, files: Mapping[int, Path]) -> dict[int, tuple[int, ...]]:
    labels: dict[int, tuple[int, ...]] = {}
    for file in sorted(path.glob("partition*.p")):
        labels |= read_partition(file)
    missing = sorted(labels.keys() - files.keys())
    if missing:
        raise FileFormatError(
            f"the partition lists event {missing[0]}, but there is no event{missing[0]}.gz "
            f"({len(missing)} such events). Copy the folder again.",
            path=path,
        )
    return labels


def _read_event(file: Path, labels: tuple[int, ...] | None) -> _Event | FileFormatError:
    try:
        return _Event(_read_pixels(file), _read_truth(file.with_suffix(".info"), labels))
    except FileFormatError as error:
        return error


def _read_pixels(file: Path) -> tuple[tuple[NDArray[np.int32], NDArray[np.uint8]], ...]:
    machine = zlib.decompressobj()
    try:
        content = machine.decompress(file.read_bytes(), _N_BYTES + 1)
    except (zlib.error, OSError) as error:
        raise FileFormatError(
            f"not a zlib stream, or damaged ({error}). Copy it again.", path=file
        ) from error
    if len(content) != _N_BYTES or not machine.eof:
        more = "more than " if len(content) > _N_BYTES else ""
        raise FileFormatError(
            f"an image must have {_N_BYTES:,} bytes (3 x 500 x 500). Got {more}"
            f"{min(len(content), _N_BYTES):,}: it is cut short or foreign.",
            path=file,
        )
    found = []
    for view in np.frombuffer(content, dtype=np.uint8).reshape(len(VIEWS), -1):
        places = np.flatnonzero(view)
        found.append((places.astype(np.int32), view[places]))
    return tuple(found)


def _read_truth(file: Path, labels: tuple[int, ...] | None) -> dict[str, float]:
    if not file.is_file():
        if labels is None:
            raise FileFormatError("it is missing, and no partition has labels of this event.", path=file)
        return _truth_of_labels(labels)
    lines = file.read_text(encoding="utf-8", errors="replace").split()
    if len(lines) < _FEWEST_LINES:
        raise FileFormatError(
            f"an event must have {_FEWEST_LINES} or more lines of one number. Got {len(lines)}.", path=file
        )
    numbers = []
    for number, text in enumerate(lines, start=1):
        try:
            numbers.append(float(text))
        except ValueError:
            raise FileFormatError(f"must be a number. Got '{text}'.", path=file, line=number) from None
    truth = {name: numbers[line] for name, line in _LINES.items()}
    truth |= _kind(numbers[0], file)
    if labels is not None and labels[1] != truth["flavour"]:
        raise FileFormatError(
            f"category {numbers[0]:g} is flavour {truth['flavour']:g}, but the partition says {labels[1]}.",
            path=file,
            line=1,
        )
    return truth


def _kind(category: float, file: Path) -> dict[str, float]:
    if category in (_NC_CATEGORY, _ELASTIC_CATEGORY):
        return {"flavour": NC, "interaction": np.nan}
    if category not in range(4 * NC):
        raise FileFormatError(
            f"the category must be 0 to 11 (charged current), 12 or 13 (neutral current). Got {category:g}.",
            path=file,
            line=1,
        )
    return {"flavour": category // 4, "interaction": category % 4}


def _truth_of_labels(labels: tuple[int, ...]) -> dict[str, float]:
    antineutrino, flavour, interaction, *counts = labels[:7]
    truth = dict(zip(("n_proton", "n_pion", "n_pizero", "n_neutron"), map(float, counts), strict=True))
    sign = -1 if antineutrino and flavour != NC else 1
    truth |= {"flavour": float(flavour), "interaction": float(interaction)}
    truth |= {"nu_pdg": float(sign * _PDG.get(flavour, 0))}
    return truth | {"nu_energy_gev": np.nan, "lep_energy_gev": np.nan}


def _good_events(
    path: Path, rows: list[int], found: list[_Event | FileFormatError], skipped: list[str] | None
) -> list[tuple[int, _Event]]:
    good = []
    for number, one in zip(rows, found, strict=True):
        error = one if isinstance(one, FileFormatError) else _fault(path, number, one)
        if isinstance(one, _Event) and error is None:
            good.append((number, one))
        elif skipped is None and error is not None:
            raise error
        elif skipped is not None:
            skipped.append(str(error))
    return good


def _fault(path: Path, number: int, event: _Event) -> FileFormatError | None:
    faults = find_faults({name: np.array([value]) for name, value in event.truth.items()})
    return FileFormatError(f"event {number}: {faults[0]}.", path=path) if faults else None


def _join(name: str, good: list[tuple[int, _Event]]) -> Events:
    views = {}
    for position, view in enumerate(VIEWS):
        parts = [event.pixels[position] for _, event in good]
        indptr = np.concatenate([[0], np.cumsum([len(places) for places, _ in parts])]).astype(np.int32)
        content = tuple(np.concatenate(one) for one in zip(*parts, strict=True))
        views[view.name] = sparse.csr_array(
            (content[1], content[0], indptr), shape=(len(good), SHAPE[0] * SHAPE[1])
        )
    columns = {key: np.array([event.truth[key] for _, event in good]) for key in TYPES}
    return Events(views, truth_table(name, np.array([number for number, _ in good]), columns), "dune")


class CvnWriter:
    """Writes a folder of `eventK.gz`, `eventK.info` and `partition_NAME.p`; events are numbered as they come.

    Args:
        path: the folder; one that holds nothing but such files is replaced.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._stack = ExitStack()
        self._partial = self.path
        self._labels: dict[str, list[int]] = {}

    def __enter__(self) -> CvnWriter:
        if self.path.exists() and not _is_ours(self.path):
            raise DataError(f"'{self.path}' holds other things than events. Choose another name.")
        outdated = list(self.path.iterdir()) if self.path.exists() else []
        self._partial = self._stack.enter_context(files_written_whole(self.path, outdated))
        self._labels = {}
        return self

    def __exit__(self, *exc: object) -> None:
        with self._stack:
            if isinstance(exc[1], BaseException):
                raise exc[1]
            if not self._labels:
                raise DataError(f"Nothing to write to '{self.path}': there were no events.")
            partition = self._partial / f"partition_{self.path.name}.p"
            partition.write_bytes(pickle.dumps(self._labels, protocol=2))

    def write(self, events: Events) -> None:
        """Append events.

        Raises:
            DataError: events that this layout cannot hold.
        """
        columns = columns_of(events)
        views = [sparse_view(events, view.name) for view in VIEWS]
        for row in range(len(events)):
            number = len(self._labels)
            truth = {name: values[row] for name, values in columns.items()}
            pixels = np.concatenate([view[[row]].toarray().ravel() for view in views]).astype(np.uint8)
            name = self._partial / f"event{number}"
            name.with_suffix(".gz").write_bytes(zlib.compress(pixels.tobytes()))
            name.with_suffix(".info").write_text(_info(truth, int(np.count_nonzero(pixels))))
            counts = [min(int(truth[c]), 3) for c in ("n_proton", "n_pion", "n_pizero", "n_neutron")]
            kind = [int(truth["nu_pdg"] < 0), int(truth["flavour"]), int(truth["interaction"])]
            self._labels[str(number)] = [*kind, *counts]


def _info(truth: Mapping[str, float], n_hits: int) -> str:
    nc = truth["flavour"] == NC
    category = _NC_CATEGORY if nc else 4 * truth["flavour"] + truth["interaction"]
    numbers = [category, truth["nu_energy_gev"], truth["lep_energy_gev"], 0, 0, 0, 1]
    numbers += [truth[name] for name in ("nu_pdg", "n_proton", "n_pion", "n_pizero", "n_neutron")]
    return "\n".join(f"{number:.6g}" for number in [*numbers, 0, 0, n_hits]) + "\n"


def _is_ours(path: Path) -> bool:
    pattern = re.compile(r"event\d+\.(gz|info)|partition.*\.p")
    return path.is_dir() and all(pattern.fullmatch(file.name) for file in path.iterdir())
