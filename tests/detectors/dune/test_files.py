from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from hitlens.errors import FileFormatError
from hitlens.events import Events
from hitlens.workflow.data import convert, iterate_events, layouts_of, open_writer, read_events


@pytest.mark.parametrize(("name", "layout"), [("made.npz", "npz"), ("made", "cvn")])
def test_the_layout_follows_from_the_name_and_is_recognised(
    tmp_path: Path, make_dune: Callable[..., Events], name: str, layout: str
) -> None:
    events = make_dune(6)
    with open_writer(tmp_path / name, "dune") as writer:
        writer.write(events)
    read = read_events(tmp_path / name, None)
    assert read.detector == "dune"
    columns = events.truth.columns[1:]
    assert_frame_equal(read.truth.select(columns), events.truth.select(columns))
    convert(tmp_path / name, tmp_path / "native.h5", None)
    native = read_events(tmp_path / "native.h5", None)
    assert_frame_equal(native.truth, read.truth)
    for view, image in events.images.items():
        assert (native.images[view] != image).nnz == 0
    assert layout in [one for one, _, writable in layouts_of("dune") if writable]


def test_blocks(tmp_path: Path, make_dune: Callable[..., Events]) -> None:
    with open_writer(tmp_path / "made", "dune") as writer:
        writer.write(make_dune(7))
    assert [len(one) for one in iterate_events(tmp_path / "made", "dune", block=3)] == [3, 3, 1]


def test_a_foreign_npz_is_told_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("1 2 3")
    with pytest.raises(FileFormatError, match=r"npz \(one \.npz file"):
        read_events(tmp_path / "notes.txt", "dune")


def test_bad_events_are_skipped_and_counted(tmp_path: Path, make_dune: Callable[..., Events]) -> None:
    from hitlens.detector import ReadReport

    with open_writer(tmp_path / "made", "dune") as writer:
        writer.write(make_dune(5))
    (tmp_path / "made" / "event2.gz").write_bytes(b"")
    report = ReadReport([])
    assert len(read_events(tmp_path / "made", "dune", on_bad_event="skip", report=report)) == 4
    assert len(report.skipped) == 1
