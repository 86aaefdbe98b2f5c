"""Ranges of events: together they are the files, each can be read where only their text arrives."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from hitlens.detector import ReadReport
from hitlens.events import Events, concat
from hitlens.workflow.data import open_writer, read_events
from hitlens.workflow.event_ranges import EventRange, event_ranges, file_facts
from hitlens.workflow.sources import find_sources


def write(path: Path, events: Events) -> Path:
    with open_writer(path, "cebr") as writer:
        writer.write(events)
    return path


@pytest.fixture
def files(tmp_path: Path, make_cebr: Callable[..., Events]) -> list[Path]:
    events = make_cebr(70, 4)
    return [
        write(tmp_path / "a.h5", events.select(slice(0, 50))),
        write(tmp_path / "b.txt", events.select(slice(50, None))),
    ]


def test_native_files_are_dealt_out_in_parts(files: list[Path]) -> None:
    ranges = event_ranges(find_sources(files, "cebr", None), 20)
    assert [(one.label, one.start, one.stop) for one in ranges] == [
        ("a.h5", 0, 20),
        ("a.h5", 20, 40),
        ("a.h5", 40, 50),
        ("b.txt", 0, None),
    ]
    assert [str(one).rpartition("/")[2] for one in ranges[2:]] == ["a.h5, events 40 to 50", "b.txt"]


def test_ranges_together_are_the_files(files: list[Path]) -> None:
    ranges = pickle.loads(pickle.dumps(event_ranges(find_sources(files, "cebr", None), 20)))
    together = concat([block for one in ranges for block in one.blocks(ReadReport([]))])
    assert together.truth.equals(read_events(files, "cebr").truth)


def test_a_described_detector_travels_as_text(tmp_path: Path) -> None:
    from hitlens.detectors import get_detector

    description = Path(__file__).parents[2] / "examples" / "dune_from_yaml" / "detector.yaml"
    detector = get_detector(str(description))
    one = EventRange(tmp_path / "no.h5", detector.name, detector.yaml, "native", "no.h5")
    with pytest.raises(LookupError, match=r"no\.h5"):  # the detector was understood, the file is missing
        list(one.blocks(ReadReport([])))


def test_facts_change_with_the_file(files: list[Path]) -> None:
    sources = find_sources(files, "cebr", None)
    before = file_facts(sources)
    assert before == file_facts(sources)
    os.utime(files[1], ns=(1, 1))
    after = file_facts(sources)
    assert after[0] == before[0]
    assert after[1] == before[1] | {"changed_ns": 1}


def test_facts_of_a_folder_are_those_of_its_files(tmp_path: Path, make_cebr: Callable[..., Events]) -> None:
    write(tmp_path / "arrays", make_cebr(10, 1))
    sources = find_sources(tmp_path / "arrays", "cebr", None)
    before = file_facts(sources)
    assert before[0]["size"] == sum(path.stat().st_size for path in (tmp_path / "arrays").iterdir())
    os.utime(next((tmp_path / "arrays").iterdir()), ns=(1, 2**62))
    assert file_facts(sources) != before
