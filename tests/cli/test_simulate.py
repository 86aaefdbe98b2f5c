"""`hitlens simulate`, in process."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
import yaml
from click.testing import Result
from typer.testing import CliRunner

from hitlens.cli.simulate import simulate
from hitlens.workflow.data import read_events


def run(*arguments: str | Path) -> Result:
    app = typer.Typer()
    app.command()(simulate)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_writes_events_and_says_how_fast(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    result = run("cebr", "-n", "200", "--seed", "3", "-o", path, "--workers", "2")
    assert result.exit_code == 0, result.output
    assert "200 events to" in result.output
    assert "events/s" in result.output
    assert read_events(path).truth["file"][0] == "simulated-seed3"


@pytest.mark.parametrize(
    ("options", "share"),
    [(["--singles"], 1.0), (["--doubles"], 0.0), (["--single-fraction", "0.25"], 0.25), ([], 0.5)],
)
def test_mix(tmp_path: Path, options: list[str], share: float) -> None:
    path = tmp_path / "a.txt"
    assert run("cebr", "-n", "600", "-o", path, *options).exit_code == 0
    singles = (read_events(path).truth["n_electrons"] == 1).mean()
    assert singles == pytest.approx(share, abs=0.08)


def test_settings_and_config(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("dead_pixels: [[0, 0], [3, 13]]")
    path = tmp_path / "a.txt"
    assert (
        run("cebr", "-n", "50", "-o", path, "--config", config, "--set", "electron.yield_spread=0").exit_code
        == 0
    )
    images = read_events(path).dense("anode")
    assert not images[:, 3, 13].any()
    assert images[:, 4, 13].any()


def test_show_settings_is_yaml() -> None:
    result = run("cebr", "--show-settings", "--singles")
    assert yaml.safe_load(result.output)["sample"]["single_fraction"] == 1.0


def test_comparison_page_and_events(tmp_path: Path) -> None:
    path, page = tmp_path / "a.h5", tmp_path / "page.html"
    result = run("cebr", "-n", "3000", "-o", path, "--compare", page)
    assert result.exit_code == 0, result.output
    assert "quantities agree with the real events" in result.output
    assert page.is_file()
    assert path.is_file()


@pytest.mark.real
def test_comparison_with_real_events(tmp_path: Path, real_cebr: Path) -> None:
    page = tmp_path / "page.html"
    result = run("cebr", "-n", "3000", "--compare", page, "--real", real_cebr / "CeBr10.txt")
    assert result.exit_code == 0, result.output
    assert "Real events fitted" in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Nothing to write"),
        (["-o", "a.txt", "--singles", "--doubles"], "only one of"),
        (["-o", "a.txt", "-n", "0"], "at least 1"),
        (["-o", "a.foo"], "no layout"),
        (["-o", "a.txt", "--set", "sample.single_fractoin=1"], "Did you mean 'single_fraction'"),
        (["-o", "a.txt", "--real", "b.txt"], "--compare"),
    ],
)
def test_errors(arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("cebr", *arguments)
    assert message in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_numbered_files_one_line_each(tmp_path: Path) -> None:
    folder = tmp_path / "DIR"
    result = run("nova", "-n", "9", "--files", "2", "--seed", "3", "-o", folder)
    assert result.exit_code == 0, result.output
    assert [line.split(" in ")[0] for line in result.output.splitlines() if line] == [
        f"5 events to {folder / 'neutrino1.h5'}",
        f"4 events to {folder / 'neutrino2.h5'}",
    ]
    again = run("nova", "-n", "9", "--files", "2", "-o", folder)
    assert "replace them with --force" in str(again.exception)
    assert run("nova", "-n", "9", "--files", "3", "-o", folder, "--force").exit_code == 0
    assert len(read_events(folder)) == 9


def test_files_need_a_folder(tmp_path: Path) -> None:
    assert "--output DIR" in str(run("nova", "--files", "2", "--compare", tmp_path / "a.html").exception)
    assert "name of a folder" in str(run("nova", "--files", "2", "-o", tmp_path / "a.h5").exception)
