from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from hitlens.cli.convert import convert
from hitlens.errors import ConfigError, FileFormatError
from hitlens.events import Events
from hitlens.workflow.data import open_writer, read_events

Make = Callable[..., Events]

app = typer.Typer()
app.command()(convert)


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def text(tmp_path: Path, make_cebr: Make) -> Path:
    with open_writer(tmp_path / "a.txt") as writer:
        writer.write(make_cebr(20))
    return tmp_path / "a.txt"


def test_there_and_back(text: Path, tmp_path: Path) -> None:
    native = tmp_path / "a.h5"
    assert run(text, native, "--detector", "cebr") == f"20 events from 1 file to {native} (native)\n"
    run(native, tmp_path / "arrays")
    run(tmp_path / "arrays", tmp_path / "b.txt", "--axes", "xy")
    assert (tmp_path / "b.txt").read_bytes() == text.read_bytes()
    run(text, tmp_path / "c.dat", "--layout", "text", "--out-layout", "text", "--detector", "cebr")
    assert (tmp_path / "c.dat").read_bytes() == text.read_bytes()


def test_what_is_skipped_is_listed(text: Path, tmp_path: Path) -> None:
    text.write_text("junk\n" + text.read_text())
    with pytest.raises(FileFormatError, match="line 1"):
        run(text, tmp_path / "a.h5")
    lines = run(text, tmp_path / "a.h5", "--on-bad-event", "skip").splitlines()
    assert lines[0] == f"skipped {text}, line 1, column 2: an event must have 262 fields. Got 1."
    assert lines[1].endswith("(native); 1 bad events skipped")
    assert len(read_events(tmp_path / "a.h5")) == 20


def test_an_existing_file_is_replaced_only_with_force(text: Path, tmp_path: Path) -> None:
    run(text, tmp_path / "a.h5")
    with pytest.raises(ConfigError, match="--force"):
        run(text, tmp_path / "a.h5")
    run(text, tmp_path / "a.h5", "--force")


def test_one_file_is_not_enough(text: Path) -> None:
    result = CliRunner().invoke(app, [str(text)])
    assert result.exit_code == 2
    assert "IN... OUT" in result.output
