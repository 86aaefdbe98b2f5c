"""Parts beside an output: kept when work ends early, refused when of something else, gone at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hitlens.errors import DataError, RunError
from hitlens.workflow.parts import MANIFEST, PartRecord, Parts, PartTask, kept_parts, make_part
from hitlens.workflow.pool import SerialPool

made: list[str] = []


@pytest.fixture(autouse=True)
def nothing_made() -> Iterator[None]:
    made.clear()
    yield


def write(work: str, path: Path) -> PartRecord:
    if work == "bad":
        path.write_text("half")
        raise DataError("cannot")
    if work == "stop":
        raise KeyboardInterrupt
    made.append(work)
    if work:
        path.write_text(work)
    return PartRecord(len(work), (f"skipped in {work}",))


def run(output: Path, works: list[str], *, force: bool = False, **settings: Any) -> tuple[str, Parts]:
    """Join the texts of parts."""
    with kept_parts(output, settings, write, works, suffix=".txt", force=force) as parts:
        parts.make(SerialPool())
        return "".join(path.read_text() for path in parts.files), parts


def test_parts_are_joined_in_order_and_go(tmp_path: Path) -> None:
    whole, parts = run(tmp_path / "out.h5", ["one", "", "three"])
    assert whole == "onethree"
    assert parts.records[2] == PartRecord(5, ("skipped in three",))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("last", ["bad", "stop"])
def test_finished_parts_are_kept_and_not_made_again(
    last: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    output = tmp_path / "out.h5"
    with pytest.raises((DataError, RunError)):
        run(output, ["one", "two", last])
    folder = tmp_path / "out.h5.parts"
    assert sorted(path.suffix for path in folder.iterdir()) == [".json"] * 3 + [".txt"] * 2
    write_now = {"bad": "three", "stop": "three"}

    def better(work: str, path: Path) -> PartRecord:
        return write(write_now.get(work, work), path)

    seen: list[int] = []
    with kept_parts(output, {}, better, ["one", "two", last], suffix=".txt") as parts:
        assert parts.n_kept == 2
        parts.make(SerialPool(), seen.append)
    assert made == ["one", "two", "three"]
    assert seen == [3, 3, 5]
    assert "2 of 3 parts were finished before and are kept" in caplog.text
    assert not folder.exists()


def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    with pytest.raises(
        RunError, match=r"1 of 3 parts are kept in .*out\.h5\.parts; the same command goes on"
    ):
        run(tmp_path / "out.h5", ["one", "stop", "three"])


def test_nothing_stays_where_nothing_is_finished(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        run(tmp_path / "out.h5", ["bad"])
    assert list(tmp_path.iterdir()) == []


def test_parts_of_other_settings_are_refused_or_replaced(tmp_path: Path) -> None:
    output = tmp_path / "out.h5"
    with pytest.raises(DataError):
        run(output, ["one", "bad"], model={"seed": 1})
    with pytest.raises(RunError, match=r"model.seed is 1 there, 2 here.*--force"):
        run(output, ["one", "two"], model={"seed": 2})
    with pytest.raises(RunError, match="parts is 2 there, 1 here"):
        run(output, ["one"], model={"seed": 1})
    assert made == ["one"]
    assert run(output, ["one", "two"], model={"seed": 2}, force=True)[0] == "onetwo"
    assert made == ["one", "one", "two"]


def test_the_same_settings_go_on_even_with_force(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        run(tmp_path / "out.h5", ["one", "bad"])
    with pytest.raises(DataError):
        run(tmp_path / "out.h5", ["one", "bad"], force=True)
    assert made == ["one"]


@pytest.mark.parametrize("damage", ["no file", "no record", "half a record"])
def test_a_part_that_is_not_whole_is_made_again(damage: str, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        run(tmp_path / "out.h5", ["one", "two", "bad"])
    folder = tmp_path / "out.h5.parts"
    first, record = next(folder.glob("part-000000-*.txt")), next(folder.glob("part-000000-*.json"))
    damages: dict[str, Callable[[], object]] = {
        "no file": first.unlink,
        "no record": record.unlink,
        "half a record": lambda: record.write_text('{"n_ev'),
    }
    damages[damage]()
    with pytest.raises(DataError):
        run(tmp_path / "out.h5", ["one", "two", "bad"])
    assert made == ["one", "two", "one"]


def test_foreign_files_are_in_the_way(tmp_path: Path) -> None:
    folder = tmp_path / "out.h5.parts"
    folder.mkdir()
    (folder / "thesis.tex").touch()
    with pytest.raises(RunError, match="in the way"):
        run(tmp_path / "out.h5", ["one"])
    assert (folder / "thesis.tex").exists()


def test_what_a_late_worker_left_is_cleared(tmp_path: Path) -> None:
    folder = tmp_path / "out.h5.parts"
    folder.mkdir()
    (folder / "part-000000-0123456789ab.txt").write_text("old")
    assert run(tmp_path / "out.h5", ["one"])[0] == "one"


def test_a_late_worker_makes_nothing_where_the_folder_is_gone(tmp_path: Path) -> None:
    task = PartTask(tmp_path / "out.h5.parts" / "part-000000-0.txt", "one", write)
    with pytest.raises(RunError, match="is gone"):
        make_part(task)
    assert list(tmp_path.iterdir()) == []
    assert str(task) == "one"


def test_a_manifest_says_what_the_parts_are_of(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        run(tmp_path / "out.h5", ["one", "bad"], seed=7)
    text = (tmp_path / "out.h5.parts" / MANIFEST).read_text()
    assert '"seed": 7' in text and '"parts": 2' in text and '"hitlens"' in text
