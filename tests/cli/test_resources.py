"""What the system refuses is one sentence, whatever the command."""

from __future__ import annotations

import errno
import os
import resource
import sys
from pathlib import Path

import pytest

from hitlens import cli


def ended(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["hitlens", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return int(left.value.code or 0)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EMFILE, errno.EROFS, errno.EIO])
def test_a_refusal_of_the_system_names_the_file(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise OSError(number, os.strerror(number), "events.h5")

    monkeypatch.setattr(cli, "app", refuse)
    assert ended([], monkeypatch) == 2
    said = capsys.readouterr().err
    assert said == f"Error: the system refused to go on: {os.strerror(number)} ('events.h5').\n"


def test_a_small_address_space_is_told_before_anything_begins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_200_000_000, -1))
    assert ended(["recipes"], monkeypatch) == 2
    assert "limited to 1.2 GB (ulimit -v)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["simulate", "cebr", "-n", "8", "--force", "-o"],
        ["convert", "in.txt", "--force"],
    ],
)
def test_a_folder_in_place_of_the_output_is_told_before_the_work(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.txt").write_text(" ".join(["3"] * 256) + " 0.5 3.25 4.5 0 -100 -100")
    Path("there.h5").mkdir()
    assert ended([*arguments, "there.h5"], monkeypatch) == 2
    assert "'there.h5' is a folder. Give the name of a file" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.txt", "there.h5"]
