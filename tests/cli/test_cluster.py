"""Options of the commands that work on a cluster; the work itself is tested beside the workflow."""

from __future__ import annotations

from pathlib import Path

import pytest

from hitlens.cli import app, main


def run(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.argv", ["hitlens", *arguments])
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.mark.parametrize("command", ["predict", "convert"])
def test_workers_without_a_cluster_are_refused(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [command, "a.h5", "b.h5", "--workers", "2"]
    arguments += ["-o", str(tmp_path / "c.parquet")] if command == "predict" else []
    assert run(arguments, monkeypatch) == 2
    assert "--workers N is used only with --cluster WHERE" in capsys.readouterr().err


def test_a_cluster_needs_something_to_write(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["simulate", "cebr", "--cluster", "local", "--compare", "page.html"], monkeypatch) == 2
    assert "--cluster is used only with --output" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["simulate", "convert", "predict"])
def test_a_cluster_that_does_not_exist_is_one_message(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["simulate", "cebr", "-n", "10", "-o", "a.h5"], monkeypatch) == 0
    arguments = {
        "simulate": ["cebr", "-n", "10", "-o", "b.h5"],
        "convert": ["a.h5", "b.txt", "--detector", "cebr"],
        "predict": ["no-model", "a.h5", "-o", "b.parquet"],
    }[command]
    assert run([command, *arguments, "--cluster", "lokal"], monkeypatch) == 2
    said = capsys.readouterr().err
    assert ("No model file" if command == "predict" else "There is no cluster 'lokal'") in said
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


def test_commands_name_their_options() -> None:
    from typer.main import get_command

    commands = get_command(app).commands  # type: ignore[attr-defined]
    for name in ("simulate", "convert", "predict", "crossvalidate"):
        options = {option for parameter in commands[name].params for option in parameter.opts}
        assert {"--cluster", "--workers"} <= options, name


@pytest.mark.slow
def test_a_command_works_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["simulate", "cebr", "-n", "10", "-o", "one.h5"], monkeypatch) == 0
    cluster = ["--cluster", "local", "--workers", "1"]
    assert run(["simulate", "cebr", "-n", "10", "-o", "many.h5", *cluster], monkeypatch) == 0
    assert "10 events to many.h5" in capsys.readouterr().out
    assert Path("one.h5").read_bytes() == Path("many.h5").read_bytes()
