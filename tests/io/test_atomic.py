from __future__ import annotations

from pathlib import Path

import pytest

from hitlens.io.atomic import remove, written_whole


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
