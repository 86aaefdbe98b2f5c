"""Runs found below folders, chosen from and put in order."""

from __future__ import annotations

import json
import logging
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime

import polars as pl
import pytest
import yaml

from hitlens.errors import NotFoundError, SelectionError
from hitlens.workflow.listing import COLUMNS, choose_runs, dotted_names, find_runs, list_runs, numbers_of

SETTINGS = {"model.name": "plain_cnn", "train.epochs": 3, "train.learning_rate": 1e-3, "train.mix": "natural"}


def make(folder, values=(0.7, 0.9, 0.8), *, settings=None, history="val_accuracy", **changes):
    """A run folder as far as a list looks at it; `values` is the monitored score by epoch."""
    folder.mkdir(parents=True)
    record = {"status": "finished", "started": "2026-11-22T06:00:00+00:00", "task": "multiplicity"}
    record |= {"detector": "cebr", "split": {"n_train": 90}, "seed": 1, "monitor": history}
    record |= {"best_epoch": 1, "validation_score": max(values, default=0.5), "n_parameters": 42}
    record |= {"seconds": 7.5, "settings": SETTINGS | (settings or {})}
    (folder / "provenance.json").write_text(json.dumps(record | changes))
    rows = [f"{epoch},0.5,{value}" for epoch, value in enumerate(values)]
    if rows:
        (folder / "history.csv").write_text("\n".join(["epoch,train_loss,val_metric", *rows]) + "\n")
    return folder


@pytest.fixture
def three(tmp_path):
    make(tmp_path / "a", settings={"train.learning_rate": 3e-3})
    make(tmp_path / "study" / "b", (0.5, 0.6), settings={"train.epochs": 5, "model.settings.dropout": 0.4})
    make(tmp_path / "search" / "trials" / "0001", (0.2, 0.1), history="val_loss", validation_score=0.1)
    return tmp_path


def test_a_run_is_one_row(tmp_path):
    folder = make(tmp_path / "run", (0.1, 0.9, 0.8, 0.7, 0.95, 0.9, 0.85), best_epoch=4)
    row = list_runs([tmp_path]).row(0, named=True)
    assert row == {
        "run": str(folder),
        "detector": "cebr",
        "task": "multiplicity",
        "model": "plain_cnn",
        "status": "finished",
        "started": datetime(2026, 11, 22, 6, tzinfo=UTC),
        "epochs": 7,
        "best_epoch": 5,
        "monitor": "val_accuracy",
        "score": 0.95,
        "worst_of_last": 0.7,
        "parameters": 42,
        "seconds": 7.5,
        "n_train": 90,
        "seed": 1,
    }


def test_runs_inside_studies_and_searches_are_found_in_order(three):
    make(three / "a" / "checkpoints" / "no_run")
    found = list_runs([three])
    assert [name.removeprefix(f"{three}/") for name in found["run"]] == ["a", "search/trials/0001", "study/b"]
    assert dict(found.schema) == COLUMNS


def test_the_worst_of_a_loss_is_the_highest(three):
    assert list_runs([three / "search"])["worst_of_last"].to_list() == [0.2]


def test_a_folder_given_twice_or_linked_in_a_circle_counts_once(three):
    (three / "study" / "again").symlink_to(three)
    assert len(list_runs([three, three / "a"])) == 3


def test_settings_become_columns(three):
    names = ["train.learning_rate", "train.epochs", "model.settings.dropout", "model.settings", "model.name"]
    found = list_runs([three], names)
    assert found["train.learning_rate"].to_list() == [3e-3, 1e-3, 1e-3]
    assert found["train.epochs"].to_list() == [3, 3, 5]
    assert found["model.settings.dropout"].to_list() == [None, None, 0.4]
    assert found["model.settings"].to_list() == [None, None, '{"dropout": 0.4}']
    assert found["train.epochs"].dtype == pl.Int64


def test_settings_of_several_kinds_become_texts(tmp_path):
    for name, value in {"a": True, "b": ["flip_x"], "c": None}.items():
        make(tmp_path / name, settings={"train.augment": value})
    assert list_runs([tmp_path], ["train.augment"])["train.augment"].to_list() == ["true", '["flip_x"]', None]


def test_settings_of_older_runs_come_from_their_yaml(tmp_path):
    folder = make(tmp_path / "old")
    record = json.loads((folder / "provenance.json").read_text())
    del record["settings"]
    (folder / "provenance.json").write_text(json.dumps(record))
    (folder / "config.yaml").write_text(yaml.safe_dump({"model": {"name": "vit"}, "train": {"epochs": 9}}))
    assert list_runs([tmp_path], ["train.epochs"]).select("model", "train.epochs").row(0) == ("vit", 9)


def test_an_unknown_setting_is_named_with_the_nearest(three):
    with pytest.raises(SelectionError, match=r"'train.epoch'. Did you mean 'train.epochs'"):
        list_runs([three], ["train.epoch"])
    with pytest.raises(SelectionError, match=r"There are: model\.\*, train\.\*\."):
        list_runs([three], ["tran.epochs"])


def test_numbers_of_an_evaluation(tmp_path):
    interval = {"value": 0.9, "low": 0.8, "high": 0.95}
    metrics = [{"name": "accuracy", "column": "", "interval": interval}]
    metrics += [{"name": "auc", "column": "", "interval": None}]
    metrics += [{"name": "rmse", "column": "x_px, y_px", "interval": interval | {"value": 0.1}}]
    head = {"task": "one", "metrics": metrics}
    content = {"split": "test", "tasks": [head, head | {"task": "two"}]}
    assert numbers_of(content) == {
        "test.one.accuracy": 0.9,
        "test.one.rmse.x_px+y_px": 0.1,
        "test.two.accuracy": 0.9,
        "test.two.rmse.x_px+y_px": 0.1,
    }
    make(tmp_path / "new", evaluation={"test.accuracy": 0.8})
    make(tmp_path / "old")
    for name in ("new", "old"):  # the record of the first is the faster way to the same
        (tmp_path / name / "metrics.json").write_text(json.dumps({"split": "test", "tasks": [head]}))
    make(tmp_path / "plain", evaluation={"test.accuracy": 0.7})  # its metrics.json was taken away
    assert list_runs([tmp_path])["test.accuracy"].to_list() == [0.8, 0.9, None]


def test_damaged_folders_are_named_and_do_not_stop_the_list(tmp_path, caplog):
    make(tmp_path / "good")
    make(tmp_path / "cut")
    (tmp_path / "cut" / "provenance.json").write_text('{"status": "fin')
    make(tmp_path / "foreign")
    (tmp_path / "foreign" / "provenance.json").write_text('["something else"]')
    make(tmp_path / "untold")
    (tmp_path / "untold" / "provenance.json").write_text('{"tool": "something else"}')
    make(tmp_path / "wrong", best_epoch="three")
    make(tmp_path / "wrong2", n_parameters="many")
    make(tmp_path / "torn")
    (tmp_path / "torn" / "history.csv").write_text("epoch,train_loss,val_metric\n0,0.5,0.\n1,0.5")
    make(tmp_path / "without")
    (tmp_path / "without" / "provenance.json").unlink()
    found = find_runs([tmp_path])
    assert [path.name for path in found.damaged] == [
        *("cut", "foreign", "torn", "untold", "without", "wrong", "wrong2")
    ]
    assert all(found.damaged.values())
    assert found.table["run"].to_list() == [str(tmp_path / "good")]
    with caplog.at_level(logging.WARNING):
        list_runs([tmp_path])
    assert len(caplog.records) == 7


def test_a_run_that_has_not_finished_shows_how_far_it_came(tmp_path):
    folder = make(tmp_path / "run", (0.4, 0.6), status="running")
    record = json.loads((folder / "provenance.json").read_text())
    for name in ("best_epoch", "validation_score", "n_parameters", "seconds"):
        del record[name]
    (folder / "provenance.json").write_text(json.dumps(record))
    make(tmp_path / "young", (), status="running", best_epoch=None, validation_score=None)
    row, young = list_runs([tmp_path]).to_dicts()
    assert (row["status"], row["epochs"], row["worst_of_last"], row["score"]) == ("running", 2, 0.4, None)
    assert (young["epochs"], young["worst_of_last"]) == (0, None)


def test_a_run_whose_process_is_gone_has_died(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    here = platform.node()
    make(tmp_path / "a", status="running", process={"host": here, "pid": gone.pid})
    make(tmp_path / "b", status="running", process={"host": here, "pid": os.getpid()})
    make(tmp_path / "c", status="running", process={"host": f"not-{here}", "pid": gone.pid})
    make(tmp_path / "d", process={"host": here, "pid": gone.pid})
    assert list_runs([tmp_path])["status"].to_list() == ["died", "running", "running", "finished"]


def test_no_folder_and_no_runs(tmp_path):
    assert dict(list_runs([tmp_path]).schema) == COLUMNS
    assert list_runs([tmp_path], ["train.epochs"]).columns[-1] == "train.epochs"
    with pytest.raises(NotFoundError, match="nowhere"):
        list_runs([tmp_path / "nowhere"])


def test_runs_are_chosen_by_a_condition(three):
    table = list_runs([three], ["train.epochs", "train.learning_rate"])
    assert choose_runs(table, "score > 0.55 AND train.epochs = 3")["run"].to_list() == [str(three / "a")]
    assert len(choose_runs(table, "run LIKE '%study/b' OR \"train.learning_rate\" > 0.002")) == 2
    assert len(choose_runs(table, "monitor = 'train.epochs'")) == 0
    with pytest.raises(SelectionError, match="Did you mean 'score'"):
        choose_runs(table, "scores > 1")
    with pytest.raises(SelectionError, match="cannot be read as SQL"):
        choose_runs(table, "score >")


def test_runs_are_put_in_order_and_cut_off(three):
    table = list_runs([three], ["model.settings.dropout"])
    order = choose_runs(table, sort=["-score"])["score"].to_list()
    assert order == [0.9, 0.6, 0.1]
    by_two = choose_runs(table, sort=["model.settings.dropout", "score"])["score"].to_list()
    assert by_two == [0.6, 0.1, 0.9]  # runs without the value are last
    assert len(choose_runs(table, limit=2)) == 2
    with pytest.raises(SelectionError, match="Did you mean 'score'"):
        choose_runs(table, sort=["-scor"])


def test_dotted_names_are_found_outside_texts_only():
    assert dotted_names("a = 'train.epochs' AND train.seed > 1.5", '"test.rmse.x+y" < 1e-3', "-b") == [
        "train.seed",
        "test.rmse.x+y",
    ]
