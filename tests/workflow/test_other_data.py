"""The model of a run is tested on any labelled file that it was not trained on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hitlens.config import RunConfig
from hitlens.detectors.cebr import DETECTOR
from hitlens.errors import DataError, LeakageError, RunError
from hitlens.evaluate.predictions import read_predictions
from hitlens.evaluate.results import read_results
from hitlens.events import Events, concat
from hitlens.io.native_writer import NativeWriter
from hitlens.workflow import evaluation, runs
from hitlens.workflow.evaluation import evaluate_run
from hitlens.workflow.origins import readings_of
from hitlens.workflow.prediction_files import predict_files
from hitlens.workflow.training import train


def write(path: Path, events: Events) -> Path:
    with NativeWriter(path, "cebr") as writer:
        writer.write(events)
    return path


def named(events: Events, file: str) -> Events:
    return Events(events.images, events.truth.with_columns(file=pl.lit(file)), events.detector)


@pytest.fixture(scope="module")
def trained(make_cebr: Callable[..., Events], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on 300 events, trained for one epoch."""
    root = tmp_path_factory.mktemp("trained")
    data = write(root / "made.h5", make_cebr(300))
    content = {"detector": "cebr", "task": "multiplicity", "data": {"files": (str(data),)}}
    content["model"] = {"name": "plain_cnn", "settings": {"features": [4], "last_features": 4}}
    content["train"] = {"epochs": 1, "precision": "float32", "accelerator": "cpu"}
    content["evaluate"] = {"n_bootstrap": 20, "n_bootstrap_slices": 20, "metadata": False}
    content["evaluate"] |= {"learned": ["boosting"], "baseline_events": 1}
    train(RunConfig(**content), root / "run", progress=False)
    return root


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "own")
    return tmp_path / "own" / "run"


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    from hitlens.workflow import other_data, reporting

    quick = DETECTOR.model_copy(update={"baselines": (), "slices": ()})
    for module in (other_data, evaluation):
        monkeypatch.setattr(module, "drawn_galleries", lambda *given: [])
        monkeypatch.setattr(module, "get_detector", lambda name: quick)
    monkeypatch.setattr(reporting, "render_report", lambda content: ("", ()))


def test_other_events_are_predicted_and_scored_beside_methods_taught_on_the_training(
    run: Path, make_cebr, tmp_path: Path
) -> None:
    other = write(tmp_path / "new.h5", named(make_cebr(120, seed=2), "new.txt"))
    results = evaluate_run(run, files=[other])
    [folder] = (run / "evaluations").iterdir()
    assert folder.name.startswith("new-")
    assert read_results(folder / "metrics.json") == results
    assert (results.split, results.n_events) == ("none", 120)
    predicted = predict_files(run, [other], tmp_path / "new.parquet").table
    assert read_predictions(folder / "predictions.parquet").table.equals(predicted)
    right = predicted["pred_multiplicity"] == predicted["true_multiplicity"]
    accuracy = results.head("multiplicity").metric("accuracy").interval
    assert accuracy is not None
    assert accuracy.value == pytest.approx(right.mean())
    assert results.head("multiplicity").baseline("boosting").n_events == 120
    assert "training split" in results.head("multiplicity").baseline("constant").meaning
    assert readings_of(run) == ()
    assert not (run / "metrics.json").exists()
    with pytest.raises(RunError, match="evaluated before with this model"):
        evaluate_run(run, files=[other])
    assert len(evaluate_run(run, files=[other], again=True).readings) == 2


def test_that_the_selection_of_the_run_is_not_applied_is_said(run: Path, make_cebr, tmp_path: Path) -> None:
    other = write(tmp_path / "new.h5", named(make_cebr(60, seed=2), "new.txt"))
    content = (run / "config.yaml").read_text()
    assert "selection: ''" in content
    (run / "config.yaml").write_text(content.replace("selection: ''", "selection: event < 290", 1))
    results = evaluate_run(run, files=[other], baselines=False)
    assert results.n_events == 60
    assert any("'event < 290', is not applied to these files" in note for note in results.notes)


def test_the_runs_own_files_under_other_names_are_its_test_split(run: Path, tmp_path: Path) -> None:
    renamed = (run.parent / "made.h5").rename(tmp_path / "another.h5")
    assert evaluate_run(run, files=[renamed], baselines=False).split == "test"


def test_events_of_the_training_are_refused_or_left_out(run: Path, make_cebr, tmp_path: Path) -> None:
    """Copies are told by their images whatever they are called; those of the test split are no leak."""
    own, table = make_cebr(300), pl.read_parquet(run / "predictions.parquet")
    test = table.filter(split="test")["event"].to_numpy()
    shown = np.setdiff1d(np.arange(300), test)
    mixed = concat([make_cebr(50, seed=3), own.select(shown[:7]), own.select(test[:5])])
    renumbered = mixed.truth.with_columns(file=pl.lit("mixed.txt"), event=pl.Series(range(62)))
    other = write(tmp_path / "mixed.h5", Events(mixed.images, renumbered, "cebr"))
    with pytest.raises(LeakageError, match=r"7 of 62 events were in the training .*'event': 50"):
        evaluate_run(run, files=[other])
    assert not (run / "evaluations").exists()
    results = evaluate_run(run, files=[other], drop_seen=True, baselines=False)
    assert results.n_events == 55
    assert "7 events that were in the training" in results.notes[0]


def test_equal_names_of_different_events_are_flagged(run: Path, make_cebr, tmp_path: Path) -> None:
    other = write(tmp_path / "same.h5", make_cebr(40, seed=4))
    [note] = evaluate_run(run, files=[other], baselines=False).notes
    assert "have the key (file, event)" in note


def test_without_the_training_events_that_is_said(run: Path, make_cebr, tmp_path: Path) -> None:
    record = runs.read_provenance(run)
    record["data"] |= {"files": ["gone.h5"], "places": {}, "sha256": {"gone.h5": "0" * 64}}
    runs.write_provenance(run, record)
    other = write(tmp_path / "new.h5", named(make_cebr(40, seed=4), "new.txt"))
    with pytest.raises(LeakageError, match=r"cannot be told: .* without --drop-seen"):
        evaluate_run(run, files=[other], drop_seen=True)
    results = evaluate_run(run, files=[other])
    assert "could not be checked" in results.notes[0]
    assert "boosting" not in [one.name for one in results.head("multiplicity").baselines]


def test_events_without_labels_are_refused(run: Path, make_cebr, tmp_path: Path) -> None:
    events = make_cebr(20, seed=5)
    bare = Events(events.images, events.truth.select("file", "event"), "cebr")
    with pytest.raises(DataError, match="no labels to compare with"):
        evaluate_run(run, files=[write(tmp_path / "bare.h5", bare)])


def test_a_killed_evaluation_of_other_files_is_finished(
    run: Path, make_cebr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hitlens.workflow import other_data

    other = write(tmp_path / "new.h5", named(make_cebr(40, seed=2), "new.txt"))

    def die(*given: object, **named: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(other_data, "write_results", die)
        with pytest.raises(KeyboardInterrupt):
            evaluate_run(run, files=[other], out=tmp_path / "out", baselines=False)
    results = evaluate_run(run, files=[other], out=tmp_path / "out", baselines=False)
    assert len(results.readings) == 1
    assert results.made_from["model.safetensors"] == runs.file_checksum(run / "model.safetensors")
    with pytest.raises(RunError, match="evaluation of other files"):
        evaluate_run(run, files=[write(tmp_path / "x.h5", make_cebr(9, seed=9))], out=tmp_path / "out")


def test_a_folder_is_given_for_other_files_only(run: Path, tmp_path: Path) -> None:
    with pytest.raises(evaluation.ConfigError, match="other files"):
        evaluate_run(run, out=tmp_path / "out")
