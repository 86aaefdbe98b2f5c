from __future__ import annotations

from pathlib import Path
from typing import IO

import pytest

from hitlens.errors import DataError
from hitlens.io.atomic import PendingFile, files_written_whole, remove, written_whole


def test_the_name_appears_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "new folder" / "a.txt"
    with written_whole(target) as partial:
        partial.write_text("x")
        assert not target.exists()
    assert target.read_text() == "x"
    assert [p.name for p in target.parent.iterdir()] == ["a.txt"]


def test_a_failure_leaves_nothing_and_keeps_the_old(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), written_whole(target) as partial:
        partial.mkdir()
        (partial / "inside").write_text("x")
        raise KeyboardInterrupt
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert target.read_text() == "old"


def test_removing_nothing_is_no_error(tmp_path: Path) -> None:
    remove(tmp_path / "missing")


def test_files_come_together_and_old_ones_go(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    for name in ("1", "9", "mine"):
        (folder / name).write_text("old")
    with files_written_whole(folder, [folder / "1", folder / "9"]) as partial:
        (partial / "1").write_text("new")
        assert (folder / "9").exists()
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"1": "new", "mine": "old"}
    with pytest.raises(ValueError, match="no"), files_written_whole(folder, [folder / "1"]) as partial:
        (partial / "1").write_text("newer")
        raise ValueError("no")
    assert (folder / "1").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["parts"]


def pending(path: Path) -> PendingFile[IO[str]]:
    return PendingFile(path, lambda partial: partial.open("w"), "Writer")


def test_a_pending_file_has_its_name_when_it_is_closed(tmp_path: Path) -> None:
    one = pending(tmp_path / "new" / "a")
    one.open().write("all")
    one.n_events = 3
    assert not one.path.exists()
    one.close(None, None, None)
    assert one.path.read_text() == "all"
    with pytest.raises(DataError, match="A Writer must be used in a 'with' block"):
        _ = one.file


def test_a_pending_file_without_events_or_after_an_exception_leaves_nothing(tmp_path: Path) -> None:
    one = pending(tmp_path / "a")
    one.open()
    with pytest.raises(DataError, match="there were no events"):
        one.close(None, None, None)
    other = pending(tmp_path / "b")
    other.open()
    other.n_events = 3
    problem = ValueError("no")
    other.close(ValueError, problem, problem.__traceback__)
    assert not list(tmp_path.iterdir())
