"""Conversion by processes: the file that one process writes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hitlens.errors import ConfigError, FileFormatError, RunError
from hitlens.events import Events
from hitlens.workflow import reading
from hitlens.workflow.data import convert, open_writer, read_events
from hitlens.workflow.pool import SerialPool


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the cluster be this process, and ranges small."""
    pool = SerialPool()
    monkeypatch.setattr(reading, "open_pool", lambda cluster, **options: contextlib.nullcontext(pool))
    monkeypatch.setattr(reading, "RANGE", 30)


@pytest.fixture
def files(tmp_path: Path, make_cebr: Callable[..., Events]) -> list[Path]:
    """The same kind of events in two layouts, not in the order of their names."""
    events = make_cebr(200, 4)
    parts = (("b.h5", slice(0, 100)), ("a.txt", slice(100, 150)), ("c.txt.gz", slice(150, None)))
    for name, rows in parts:
        with open_writer(tmp_path / name, "cebr") as writer:
            writer.write(events.select(rows))
    return [tmp_path / name for name, _ in parts]


@pytest.mark.parametrize("name", ["out.h5", "out.txt"])
def test_a_conversion_in_parts_gives_the_same_bytes(
    name: str, files: list[Path], tmp_path: Path, one_by_one: None
) -> None:
    seen: list[int] = []
    (tmp_path / "one").mkdir()
    (tmp_path / "many").mkdir()
    one = convert(files, tmp_path / "one" / name, "cebr")
    many = convert(files, tmp_path / "many" / name, "cebr", cluster="faked", progress=seen.append)
    assert many.n_events == one.n_events == {"b.h5": 100, "a.txt": 50, "c.txt.gz": 50}
    assert seen == [30, 30, 30, 10, 50, 50]
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "many" / name).read_bytes()
    assert [path.name for path in (tmp_path / "many").iterdir()] == [name]


def test_files_of_one_name_keep_their_labels(
    tmp_path: Path, make_cebr: Callable[..., Events], one_by_one: None
) -> None:
    for number in (1, 2):
        (tmp_path / f"run{number}").mkdir()
        with open_writer(tmp_path / f"run{number}" / "a.txt", "cebr") as writer:
            writer.write(make_cebr(5, number))
    files = [tmp_path / f"run{number}" / "a.txt" for number in (1, 2)]
    convert(files, tmp_path / "out.h5", "cebr", cluster="faked")
    assert read_events(tmp_path / "out.h5").truth["file"].to_list() == ["run1/a.txt"] * 5 + ["run2/a.txt"] * 5


def test_bad_events_are_refused_or_counted(files: list[Path], tmp_path: Path, one_by_one: None) -> None:
    bad = tmp_path / "bad.txt"
    bad.write_text("1 2 3\n" + files[1].read_text().splitlines()[0] + "\n")
    with pytest.raises(FileFormatError, match="line 1"):
        convert([*files, bad], tmp_path / "out.h5", "cebr", cluster="faked")
    with pytest.raises(RunError, match="on_bad_event"):
        convert([*files, bad], tmp_path / "out.h5", "cebr", on_bad_event="skip", cluster="faked")
    arguments: dict[str, Any] = {"on_bad_event": "skip", "layout": "text", "force": True}
    done = convert([bad, files[1]], tmp_path / "out.h5", "cebr", cluster="faked", **arguments)
    assert done.n_events == {"bad.txt": 1, "a.txt": 50}
    assert len(done.skipped) == 1


def test_no_such_cluster_leaves_nothing(files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no cluster"):
        convert(files, tmp_path / "out.h5", "cebr", cluster="lokal")
    assert not list(tmp_path.glob("out*"))


@pytest.mark.slow
def test_processes_convert(files: list[Path], tmp_path: Path) -> None:
    convert(files, tmp_path / "one.h5", "cebr")
    convert(files, tmp_path / "many.h5", "cebr", cluster="local", workers=2)
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "many.h5").read_bytes()
