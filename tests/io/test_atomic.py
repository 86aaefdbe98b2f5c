from __future__ import annotations

from pathlib import Path

import pytest

from hitlens.io.atomic import files_written_whole, remove, written_whole


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
