"""One owner at a time: a second command is refused with who works on it, the dead leave nothing."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hitlens.errors import OutputError, RunError
from hitlens.io import ownership
from hitlens.io.atomic import is_abandoned, remove_leftovers, temporary_name, written_whole
from hitlens.io.ownership import LOCK, locked, owned

HOLD = """
import sys
from pathlib import Path
from hitlens.io.ownership import owned
with owned(Path(sys.argv[1]), is_folder=sys.argv[2] == "folder"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held(output: Path, kind: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that owns an output."""
    command = [sys.executable, "-c", HOLD, str(output), kind, "sqlite://name:secret@host/a"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def dead_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_second_process_is_told_who_works_on_it_until_that_dies(tmp_path: Path, kind: str) -> None:
    output = tmp_path / "a[1]*.h5"
    with held(output, kind) as process:
        told = rf"in use: process {process.pid} on {platform.node()} works on it since 20.*\(-c .*//host/a\)"
        for _ in range(2):
            with pytest.raises(RunError, match=told) as refused, owned(output, is_folder=kind == "folder"):
                pass
        assert "secret" not in str(refused.value)
        process.send_signal(signal.SIGKILL)
        process.wait()
        with owned(output, is_folder=kind == "folder"):
            pass
    assert list(tmp_path.rglob("*")) == ([output] if kind == "folder" else [])


def test_it_holds_within_a_process_too_and_ends_with_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mine"), owned(tmp_path / "a", is_folder=True):
        with pytest.raises(RunError, match=f"process {os.getpid()} "), owned(tmp_path / "a", is_folder=True):
            pass
        raise ValueError("mine")
    with owned(tmp_path / "a", is_folder=True):
        (tmp_path / "a" / "result").touch()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["result"]


def test_folders_made_for_nothing_go_again(tmp_path: Path) -> None:
    with owned(tmp_path / "a" / "b" / "c", is_folder=True):
        pass
    assert not (tmp_path / "a").exists()


def test_a_lock_removed_by_its_owner_at_the_last_moment_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / LOCK
    removed: list[int] = []

    def locked_late(descriptor: int, *, wait: bool) -> bool:
        if not removed:
            removed.append(descriptor)
            path.unlink()
        return locked(descriptor, wait=wait)

    monkeypatch.setattr(ownership, "locked", locked_late)
    with owned(tmp_path, is_folder=True):
        assert path.is_file()
        with pytest.raises(RunError, match="in use"), owned(tmp_path, is_folder=True):
            pass
    assert not path.exists()


def test_a_file_where_a_folder_must_be_and_a_place_without_permission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="is a file"), owned(tmp_path / "file", is_folder=True):
        pass

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(ownership.os, "open", refuse)
    problem = "cannot be written: Permission denied"
    with pytest.raises(OutputError, match=problem), owned(tmp_path / "run", is_folder=True):
        pass


def test_where_there_are_no_locks_nobody_is_kept_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership, "fcntl", None)
    with owned(tmp_path / "a", is_folder=True), owned(tmp_path / "a", is_folder=True):
        assert list((tmp_path / "a").iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        lambda pid: f".out.h5.partial-{pid}",
        lambda pid: temporary_name(Path("out.h5")).name.replace(str(os.getpid()), str(pid)),
        lambda pid: temporary_name(Path("out.h5"), "parts").name.replace(str(os.getpid()), str(pid)),
    ],
)
def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(
    tmp_path: Path, name: Callable[[int], str]
) -> None:
    for output in (tmp_path / "out.h5", tmp_path / "run"):
        folder = output if output.name == "run" else tmp_path
        folder.mkdir(exist_ok=True)
        (folder / "checkpoints").mkdir()
        dead, alive = folder / name(dead_pid()), folder / name(os.getppid())
        dead.mkdir()
        (dead / "a").touch()
        alive.touch()
        (tmp_path / f".other.partial-{dead_pid()}").touch()
        inside = folder / "checkpoints" / f".epoch=001.ckpt.partial-{dead_pid()}"
        inside.touch()
        with owned(output, is_folder=output.name == "run"):
            pass
        assert alive.exists() and not dead.exists()
        assert inside.exists() == (folder == tmp_path)
        assert any(path.name.startswith(".other.partial") for path in tmp_path.iterdir())


def test_leftovers_of_other_machines_go_after_a_day(tmp_path: Path) -> None:
    path = tmp_path / ".out.h5.partial-another.host-12"
    path.touch()
    assert not is_abandoned(path)
    before = path.stat().st_mtime - 90_000
    os.utime(path, (before, before))
    assert is_abandoned(path)
    (tmp_path / ".out.h5.parts-x3_k2abq").mkdir()  # of version 0.1.0
    os.utime(tmp_path / ".out.h5.parts-x3_k2abq", (before, before))
    (tmp_path / ".out.h5.mine").touch()
    remove_leftovers(tmp_path / "out.h5")
    assert [path.name for path in tmp_path.iterdir()] == [".out.h5.mine"]


def test_a_temporary_name_says_machine_and_process(tmp_path: Path) -> None:
    with written_whole(tmp_path / "a") as partial:
        partial.touch()
        assert partial.name.endswith(f"-{os.getpid()}")
        assert not is_abandoned(partial)
