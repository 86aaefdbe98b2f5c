"""A search: trials, repeats, the longer training; resumable; blind to the test split."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from hitlens.config import TuneConfig, dump_config
from hitlens.errors import ConfigError, RunError
from hitlens.evaluate.predictions import read_predictions
from hitlens.events import Events
from hitlens.io.native_writer import NativeWriter
from hitlens.io.ownership import owned
from hitlens.tune.results import TuneResults, read_tuning
from hitlens.tune.selection import ranking
from hitlens.workflow import runs, trials, tuning
from hitlens.workflow.evaluation import evaluate_run
from hitlens.workflow.pages import write_page
from hitlens.workflow.preparing import Prepared, prepare
from hitlens.workflow.tune_results import objectives_of
from hitlens.workflow.tuning import tune

N = 400
SPACE = {"model.settings.dropout": [0.0, 0.3], "model.settings.last_features": [8, 16]}


@pytest.fixture(scope="module")
def data(make_cebr: Callable[..., Events], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "made.h5"
    with NativeWriter(path, "cebr") as writer:
        writer.write(make_cebr(N))
    return path


@pytest.fixture(scope="module")
def config(data: Path) -> TuneConfig:
    base = {
        "detector": "cebr",
        "task": "multiplicity",
        "data": {"files": [str(data)]},
        "model": {"name": "plain_cnn", "settings": {"features": [4, 4]}, "symmetrise": False},
        "train": {"epochs": 2, "batch_size": 32, "precision": "float32", "accelerator": "cpu"},
        "evaluate": {"n_bootstrap": 20},
    }
    return TuneConfig(
        title="A search",
        question="Which?",
        base=base,
        search={"space": SPACE, "method": "grid"},
        finalists={"count": 2, "seeds": [2, 3]},
        longer={"epochs": 3},
    )


def changed(config: TuneConfig, **changes: Any) -> TuneConfig:
    """Change sections of a search's settings."""
    content = config.model_dump(mode="json")
    for section, values in changes.items():
        content[section] = content[section] | values if isinstance(values, dict) else values
    return TuneConfig(**content)


def only_search(config: TuneConfig, **search: Any) -> TuneConfig:
    return changed(config, search=search, finalists={"count": 0, "seeds": []}, longer={"epochs": 0})


@pytest.fixture(scope="module")
def folder(config: TuneConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("searches") / "search"
    assert tune(config, folder, progress=False) == folder / "tune.html"
    return folder


@pytest.fixture(scope="module")
def found(folder: Path) -> TuneResults:
    return read_tuning(folder / "tune.json")


def result_of(found: TuneResults) -> list[Any]:
    """Return what must not depend on interruptions, machines and clocks."""
    kept = []
    for trial in found.trials:
        run = trial.run and replace(trial.run, seconds=0, history={**trial.run.history, "seconds": ()})
        kept.append(replace(trial, run=run, n_resumed=0, latency_us=None))
    return [kept, found.finalists, found.chosen, found.best, found.importances, found.split_hash]


def test_a_search_is_a_folder_of_runs_with_a_page(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *("tune.yaml", "tune.json", "tune.html", "trials.csv"),
        *("trials", "best", "begun.json", "trials.journal"),
    }
    for run in [*(one for one in (folder / "trials").iterdir() if one.is_dir()), folder / "best"]:
        assert runs.is_finished(run)
        assert (run / "checkpoints").exists() == (run.name == "best")


def test_every_point_is_trained_once_and_described(found: TuneResults) -> None:
    searched = [one for one in found.trials if one.stage == "search"]
    assert [tuple(one.values.values()) for one in searched] == [(0.0, 8), (0.0, 16), (0.3, 8), (0.3, 16)]
    for trial in searched:
        assert trial.run is not None
        assert (trial.state, trial.seed, trial.error, trial.n_resumed) == ("finished", 1, "", 0)
        assert len(trial.run.history["epoch"]) == 2
        best = max(value for value in trial.run.history["val_metric"] if value is not None)
        assert trial.objectives == {"score": best}
        assert [metric.name for metric in trial.run.heads[0].metrics][:1] == ["accuracy"]
        assert trial.run.heads[0].n_events == sum(map(sum, trial.confusion["multiplicity"])) == N // 5
    assert len({one.run.n_parameters for one in searched if one.run}) == 2


def test_the_best_are_repeated_and_the_best_of_those_is_trained_longer(
    config: TuneConfig, folder: Path, found: TuneResults
) -> None:
    ranked = ranking([one for one in found.trials if one.stage == "search"], objectives_of(config))
    assert {one.trial for one in found.finalists} == {one.number for one in ranked[:2]}
    by_number = {one.number: one for one in found.trials}
    for finalist in found.finalists:
        trainings = [by_number[number] for number in finalist.trials]
        assert [one.seed for one in trainings] == [1, 2, 3]
        assert {str(dict(one.values)) for one in trainings} == {str(dict(by_number[finalist.trial].values))}
        assert finalist.mean == pytest.approx(np.mean([one.objectives["score"] for one in trainings]))
        assert finalist.worst == min(one.objectives["score"] for one in trainings)
    assert found.chosen == found.finalists[0].trial
    assert found.finalists[0].mean >= found.finalists[1].mean
    assert f"Trial {found.chosen} has the best mean validation accuracy over 3 seeds" in found.reason
    assert found.longer is not None
    longer = by_number[found.longer]
    assert (longer.stage, longer.folder) == ("longer", "best")
    assert dict(longer.values) == dict(by_number[found.finalists[0].trial].values)
    assert runs.read_provenance(folder / "best")["n_epochs"] == 3


def test_trials_predict_no_test_event(folder: Path) -> None:
    for run in (folder / "trials").glob("*/"):
        assert set(read_predictions(run / runs.PREDICTIONS).table["split"]) == {"validation"}
        assert runs.read_provenance(run)["split"]["n_test"] == 0
    assert set(read_predictions(folder / "best" / runs.PREDICTIONS).table["split"]) == {"validation", "test"}


def test_the_chosen_model_can_be_evaluated_on_the_test_split(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "best", tmp_path / "best")
    results = evaluate_run(tmp_path / "best", n_bootstrap=20, baselines=False, metadata=False)
    assert results.tasks[0].n_events == N // 5


def test_what_stands_in_the_test_split_changes_nothing(
    config: TuneConfig, found: TuneResults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poisoned(run: Any) -> Prepared:
        prepared = prepare(run)
        rows = prepared.split.test
        images = prepared.events.images["anode"].copy()  # type: ignore[union-attr]
        images[rows] = 65_535
        label = np.isin(np.arange(N), rows)
        truth = prepared.events.truth.with_columns(
            n_electrons=pl.when(pl.Series(label))
            .then(3 - pl.col("n_electrons"))
            .otherwise(pl.col("n_electrons"))
        )
        return replace(prepared, events=Events({"anode": images}, truth, "cebr"))

    monkeypatch.setattr(tuning, "prepare", poisoned)
    monkeypatch.setattr(trials, "prepare", poisoned)
    tune(changed(config, longer={"epochs": 0}), tmp_path / "search", progress=False)
    again = read_tuning(tmp_path / "search" / "tune.json")
    assert result_of(again)[0] == result_of(found)[0][:-1]


def test_events_are_read_once_for_all_trials(
    config: TuneConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Any] = []
    for module in (trials, tuning):
        monkeypatch.setattr(module, "prepare", lambda run: read.append(run) or prepare(run))
    tune(only_search(config), tmp_path / "search", progress=False)
    assert len(read) == 1
    assert trials._EVENTS == {}


def test_lists_of_numbers_are_settings_too(
    config: TuneConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = changed(
        config,
        search={"space": {"model.settings.features": [[4, 4], [4, 8]]}},
        finalists={"count": 0, "seeds": []},
    )
    tune(lists, tmp_path / "search", progress=False)
    found = read_tuning(tmp_path / "search" / "tune.json")
    assert [one.values["model.settings.features"] for one in found.trials[:2]] == [(4, 4), (4, 8)]
    monkeypatch.setattr(trials, "train", lambda *_, **__: pytest.fail("trained again"))
    tune(lists, tmp_path / "search", resume=True, progress=False)
    assert result_of(read_tuning(tmp_path / "search" / "tune.json")) == result_of(found)


def test_the_table_of_trials_has_a_row_each(folder: Path, found: TuneResults) -> None:
    table = pl.read_csv(folder / "trials.csv")
    assert table["trial"].to_list() == list(range(len(found.trials)))
    assert table["stage"].to_list() == ["search"] * 4 + ["seeds"] * 4 + ["longer"]
    assert table["model.settings.last_features"].to_list()[:4] == [8, 16, 8, 16]
    assert {"score", "accuracy", "f1", "mcc", "worst_of_last_epochs", "parameters"} <= set(table.columns)


def test_the_page_is_written_again_from_the_numbers(folder: Path) -> None:
    before = (folder / "tune.html").read_text()
    (folder / "tune.html").unlink()
    assert write_page(folder) == folder / "tune.html"
    assert (
        re.sub(r"\d\d:\d\d", "", before)[:500]
        == re.sub(r"\d\d:\d\d", "", (folder / "tune.html").read_text())[:500]
    )


def test_a_finished_search_is_neither_overwritten_nor_trained_again(
    config: TuneConfig, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RunError, match=r"holds a search\. Use --resume"):
        tune(config, folder, progress=False)
    monkeypatch.setattr(trials, "train", lambda *_, **__: pytest.fail("trained again"))
    before = result_of(read_tuning(folder / "tune.json"))
    tune(config, folder, resume=True, progress=False)
    assert result_of(read_tuning(folder / "tune.json")) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"search": {"space": SPACE | {"model.settings.dropout": [0.0, 0.4]}}},
            "search.space.model.settings.dropout",
        ),
        (
            {"search": {"space": {"model.settings.dropout": [0.0, 0.3]}}},
            "search.space.model.settings.last_features = .*go on with nothing",
        ),
        ({"search": {"method": "random", "trials": 4}}, "search.method = grid.*go on with random"),
        ({"search": {"objectives": ["stability"]}}, "search.objectives"),
    ],
)
def test_a_search_goes_on_with_the_space_it_began_with(
    config: TuneConfig, folder: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=f"began with {message}"):
        tune(changed(config, **changes), folder, resume=True, progress=False)


def test_the_base_and_the_events_must_be_the_same_too(
    config: TuneConfig, folder: Path, make_cebr: Callable[..., Events], tmp_path: Path
) -> None:
    base = config.base.model_dump(mode="json")
    other = base | {"train": base["train"] | {"batch_size": 16}}
    with pytest.raises(ConfigError, match=r"base.train.batch_size = 32, so it cannot go on with 16"):
        tune(changed(config, base=other), folder, resume=True, progress=False)
    with NativeWriter(tmp_path / "made.h5", "cebr") as writer:
        writer.write(make_cebr(N, 2))
    moved = base | {"data": base["data"] | {"files": [str(tmp_path / "made.h5")]}}
    with pytest.raises(ConfigError, match="The event files changed"):
        tune(changed(config, base=moved), folder, resume=True, progress=False)


def test_another_version_is_told_and_unreadable_settings_name_it(
    config: TuneConfig, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy = tmp_path / "search"
    shutil.copytree(folder, copy)
    begun = json.loads((copy / "begun.json").read_text())
    (copy / "begun.json").write_text(json.dumps(begun | {"hitlens": "9.9"}))
    with caplog.at_level(logging.WARNING):
        tune(config, copy, resume=True, progress=False)
    assert "began with hitlens 9.9" in caplog.text
    (copy / "tune.yaml").write_text(dump_config(config) + "from_the_future: 1\n")
    with pytest.raises(ConfigError, match=r"from_the_future.*began with hitlens 9.9"):
        tune(config, copy, resume=True, progress=False)


def test_only_one_process_leads_a_search(config: TuneConfig, folder: Path) -> None:
    with owned(folder, is_folder=True), pytest.raises(RunError, match=f"in use: process {os.getpid()} on"):
        tune(config, folder, resume=True, progress=False)


def test_folders_of_others_are_not_touched(config: TuneConfig, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    for force in (False, True):
        with pytest.raises(RunError, match="not a search of hitlens"):
            tune(config, tmp_path, force=force, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(RunError, match="is a file"):
        tune(config, tmp_path / "thesis.tex", progress=False)
    with pytest.raises(RunError, match="no search to resume"):
        tune(config, tmp_path / "new", resume=True, progress=False)
    with pytest.raises(ConfigError, match="Give one of them"):
        tune(config, tmp_path / "new", resume=True, force=True, progress=False)


def test_without_optuna_nothing_is_begun(
    config: TuneConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"Install hitlens\[tune\]"):
        tune(config, tmp_path / "search", progress=False)
    assert not (tmp_path / "search").exists()


def test_a_recipe_without_files_and_a_loss_that_changes_are_refused(
    config: TuneConfig, tmp_path: Path
) -> None:
    base = config.base.model_dump(mode="json")
    with pytest.raises(ConfigError, match="names no files"):
        tune(changed(config, base=base | {"data": {}}), tmp_path / "search", progress=False)
    energy = base | {"task": "single_energy"}
    space = {"train.loss": ["huber", "mse"]}
    with pytest.raises(ConfigError, match=r"'train\.loss' changes what the validation loss measures"):
        tune(changed(config, base=energy, search={"space": space}), tmp_path / "search", progress=False)
    assert not (tmp_path / "search").exists()


def test_failed_trials_are_recorded_and_the_others_go_on(config: TuneConfig, tmp_path: Path) -> None:
    space = {"train.learning_rate": [1e-3, 1e30], "model.settings.last_features": [8, 16]}
    tune(only_search(config, space=space), tmp_path / "search", progress=False)
    found = read_tuning(tmp_path / "search" / "tune.json")
    assert [one.state for one in found.trials] == ["finished", "finished", "failed", "failed"]
    for one in found.trials[2:]:
        assert "diverged" in one.error
        assert one.run is None
        assert one.objectives == {}
    assert found.chosen in (0, 1)
    assert pl.read_csv(tmp_path / "search" / "trials.csv")["state"].to_list()[2:] == ["failed", "failed"]


def test_a_search_of_which_every_trial_fails_is_an_error(config: TuneConfig, tmp_path: Path) -> None:
    space = {"train.learning_rate": [1e29, 1e30]}
    for resume in (False, True):
        with pytest.raises(RunError, match=r"All 2 trials failed; the first one: .*diverged"):
            tune(only_search(config, space=space), tmp_path / "search", resume=resume, progress=False)


def test_several_objectives_have_a_front(config: TuneConfig, tmp_path: Path) -> None:
    objectives = ["score", "stability", "latency", "parameters"]
    tune(only_search(config, objectives=objectives), tmp_path / "search", progress=False)
    found = read_tuning(tmp_path / "search" / "tune.json")
    assert [one.name for one in found.objectives] == objectives
    for trial in found.trials:
        assert trial.run is not None
        assert list(trial.objectives) == objectives
        assert trial.objectives["parameters"] == trial.run.n_parameters
        assert trial.objectives["stability"] == trial.run.stability.spread
        assert trial.objectives["latency"] == trial.latency_us
        assert trial.latency_us is not None
        assert trial.latency_us > 0
    assert found.chosen == found.best[0]
    smallest = min(found.trials, key=lambda one: (one.objectives["parameters"], -one.objectives["score"]))
    assert smallest.objectives["parameters"] in {
        found.trials[one].objectives["parameters"] for one in found.best
    }


def test_pruned_trials_keep_what_they_reached(
    config: TuneConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials.TrialWatch, "__call__", lambda self, epoch, score: epoch == 1)
    train = config.base.train.model_copy(update={"epochs": 4})
    base = config.base.model_copy(update={"train": train}).model_dump(mode="json")
    with pytest.raises(RunError, match="No trial finished"):
        tune(changed(only_search(config, pruner="median"), base=base), tmp_path / "search", progress=False)
    records = [trials.read_trial(path) for path in sorted((tmp_path / "search" / "trials").glob("*.json"))]
    assert [one.state for one in records] == ["pruned"] * 4
    for one in records:
        assert one.run is not None
        assert len(one.run.history["epoch"]) == 2
        assert one.run.heads[0].n_events == N // 5


def test_more_trials_and_other_finalists_may_be_asked_for(config: TuneConfig, tmp_path: Path) -> None:
    begun = only_search(config, method="random", trials=2)
    tune(begun, tmp_path / "search", progress=False)
    first = read_tuning(tmp_path / "search" / "tune.json")
    more = changed(begun, search={"trials": 3}, finalists={"count": 1, "seeds": [5]}, longer={"epochs": 3})
    tune(more, tmp_path / "search", resume=True, progress=False)
    found = read_tuning(tmp_path / "search" / "tune.json")
    assert [one.stage for one in found.trials] == ["search"] * 3 + ["seeds", "longer"]
    assert result_of(found)[0][:2] == result_of(first)[0]
    with pytest.raises(ConfigError, match=r"search\.trials is 1, and 3 trials were begun"):
        tune(changed(more, search={"trials": 1}), tmp_path / "search", resume=True, progress=False)


def test_an_interrupted_trial_ends_the_search_and_is_resumed(
    config: TuneConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = trials.train
    begun = []

    def interrupted(run: Any, folder: Path, **options: Any) -> Any:
        result = train(run, folder, **options)
        begun.append(folder)
        return replace(result, interrupted=len(begun) == 2)

    monkeypatch.setattr(trials, "train", interrupted)
    with pytest.raises(RunError, match="was interrupted"):
        tune(only_search(config, together=1), tmp_path / "search", progress=False)
    assert len(begun) == 2
    tune(only_search(config), tmp_path / "search", resume=True, progress=False)
    assert [one.state for one in read_tuning(tmp_path / "search" / "tune.json").trials] == ["finished"] * 4


def test_a_database_serves_as_storage(config: TuneConfig, found: TuneResults, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'trials.db'}"
    searched = only_search(config, storage=url)
    tune(searched, tmp_path / "search", progress=False)
    assert not (tmp_path / "search" / "trials.journal").exists()
    again = read_tuning(tmp_path / "search" / "tune.json")
    assert result_of(again)[0] == result_of(found)[0][:4]
    tune(searched, tmp_path / "search", resume=True, progress=False)
    with pytest.raises(ConfigError, match="storage of the search"):
        tune(
            only_search(config, storage="sqlite:////no/such/a.db"),
            tmp_path / "search",
            resume=True,
            progress=False,
        )


def test_begins_where_a_process_died_in_its_first_moments(config: TuneConfig, tmp_path: Path) -> None:
    folder = tmp_path / "search"
    folder.mkdir()
    (folder / "begun.json").write_text("{}")
    (folder / "search.lock").write_text("process 1 on a")
    tune(only_search(config, space={"model.settings.dropout": [0.0, 0.3]}), folder, progress=False)
    assert len(read_tuning(folder / "tune.json").trials) == 2


def start(recipe: Path, folder: Path, *more: str) -> subprocess.Popen[bytes]:
    command = "from hitlens.cli import main; main()"
    arguments = ["tune", str(recipe), "-o", str(folder), "--quiet", *more]
    return subprocess.Popen([sys.executable, "-c", command, *arguments], start_new_session=True)


def kill_when(process: subprocess.Popen[bytes], there: Callable[[], bool]) -> None:
    """End a process and its children with SIGKILL as soon as something is there."""
    try:
        end = time.monotonic() + 600
        while not there():
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.005)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_search_killed_twice_ends_like_an_unbroken_one(
    config: TuneConfig, tmp_path: Path, workers: int
) -> None:
    base = config.base.model_dump(mode="json")
    base["train"] |= {"epochs": 4}
    space = {"model.settings.dropout": {"low": 0.0, "high": 0.5}, "train.learning_rate": [1e-3, 1e-2]}
    tpe = {"space": space, "method": "tpe", "trials": 5, "startup": 2, "pruner": "median"}
    search = tpe if workers == 1 else {}  # with more, what is drawn depends on which trial ends first
    whole = changed(config, base=base, search=search, longer={"epochs": 5})
    recipe, folder = tmp_path / "search.yaml", tmp_path / "killed"
    recipe.write_text(dump_config(whole))
    more = ["--workers", str(workers)]
    kill_when(start(recipe, folder, *more), lambda: (folder / "trials" / "001" / "history.csv").is_file())
    ended = {path: path.read_bytes() for path in (folder / "trials").glob("*.json")}
    kill_when(
        start(recipe, folder, "--resume", *more),
        lambda: any((folder / "trials").glob("*-seed3/history.csv")),
    )
    last = start(recipe, folder, "--resume", *more)
    try:
        assert last.wait(600) == 0
    finally:
        last.kill()
    for path, content in ended.items():  # what was finished stayed as it was
        assert path.read_bytes() == content
    killed = read_tuning(folder / "tune.json")
    assert sum(one.n_resumed for one in killed.trials) >= 2
    tune(whole, tmp_path / "unbroken", progress=False)
    assert result_of(killed) == result_of(read_tuning(tmp_path / "unbroken" / "tune.json"))
