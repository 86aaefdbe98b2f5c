"""`hitlens runs`, in process."""

from __future__ import annotations

import csv
import io
import json

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from hitlens.cli.runs import runs
from hitlens.errors import ConfigError, SelectionError


def run(*arguments, columns=200):
    app = typer.Typer()
    app.command()(runs)
    return CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": str(columns)})


@pytest.fixture
def folder(tmp_path):
    """Three runs of one task, and one that cannot be read."""
    for number, (score, rate) in enumerate([(0.81, 1e-3), (0.93, 2e-3), (0.87, 3e-3)], 1):
        record = {"status": "finished", "task": "multiplicity", "detector": "cebr", "best_epoch": 0}
        record |= {"validation_score": score, "monitor": "val_accuracy", "seconds": 3725.2}
        record |= {"started": "2026-11-22T06:00:00+00:00", "n_parameters": 12345}
        record |= {"settings": {"train.learning_rate": rate, "model.name": "plain_cnn"}}
        record |= {"evaluation": {"test.accuracy": 0.9123}} if number == 2 else {}
        path = tmp_path / f"run{number}"
        path.mkdir()
        (path / "provenance.json").write_text(json.dumps(record))
        (path / "metrics.json").write_text('{"split": "test", "tasks": []}')
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "provenance.json").write_text("{")
    return tmp_path


def test_the_table_shows_every_run_and_names_what_it_could_not_read(folder):
    result = run(folder)
    assert result.exit_code == 0, result.output
    for part in ("3 runs, detector cebr, task multiplicity", "run1", "run3", "0.93", "1:02:05", "12,345"):
        assert part in result.stdout
    assert "test.accuracy 0.9123" in result.stdout
    assert "Not shown" not in result.stdout
    assert f"Not read: {folder / 'broken'}" in result.stderr


def test_a_narrow_terminal_gets_fewer_columns_and_is_told(folder):
    result = run(folder / "run1", folder / "run2", columns=len(str(folder)) + 50)
    assert max(map(len, result.stdout.splitlines())) <= len(str(folder)) + 50
    assert "parameters" in result.stdout.partition("Not shown")[2]
    assert str(folder / "run2") in result.stdout


def test_filter_sort_limit_and_what_they_name(folder):
    asked = ("--filter", "score > 0.85", "--sort", "-train.learning_rate", "--limit", 1)
    result = run(folder, *asked)
    assert result.exit_code == 0, result.output
    assert "1 runs" not in result.stdout
    assert "1 of 3 runs" in result.stdout
    assert "run3" in result.stdout
    assert "train.learning_rate" in result.stdout
    assert "run2" not in result.stdout


def test_chosen_columns_in_every_format(folder, tmp_path):
    asked = (folder, "--columns", "score, train.learning_rate,started", "--sort", "score")
    rows = list(csv.DictReader(io.StringIO(run(*asked, "-o", "csv").stdout)))
    assert rows[0] == {"score": "0.81", "train.learning_rate": "0.001", "started": "2026-11-22T06:00:00Z"}
    found = json.loads(run(*asked, "-o", "json").stdout)
    assert [row["train.learning_rate"] for row in found] == [1e-3, 3e-3, 2e-3]
    assert found[0]["started"] == "2026-11-22T06:00:00+00:00"
    for name in ("runs.csv", "runs.json", "runs.parquet"):
        assert run(*asked, "-o", tmp_path / name).exit_code == 0
    assert pl.read_parquet(tmp_path / "runs.parquet")["score"].to_list() == [0.81, 0.87, 0.93]
    assert json.loads((tmp_path / "runs.json").read_text()) == found
    assert pl.read_csv(tmp_path / "runs.csv")["score"].to_list() == [0.81, 0.87, 0.93]


def test_mistakes_are_one_error(folder):
    for arguments, error, words in (
        (("--columns", "scor"), SelectionError, "Did you mean 'score'"),
        (("--sort", "train.learning_rat"), SelectionError, "Did you mean 'train.learning_rate'"),
        (("--filter", "scor > 1"), SelectionError, "Did you mean 'score'"),
        (("-o", "jsn"), ConfigError, "Did you mean 'json'"),
    ):
        result = run(folder, *arguments)
        assert isinstance(result.exception, error)
        assert words in str(result.exception)


def test_an_empty_folder_is_an_empty_table(tmp_path):
    result = run(tmp_path)
    assert result.exit_code == 0, result.output
    assert "0 runs" in result.stdout
    assert json.loads(run(tmp_path, "-o", "json").stdout) == []
