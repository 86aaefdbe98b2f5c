"""Cross-validation: no event is predicted by a model that saw it, and a killed one goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from hitlens.config import RunConfig, load_config
from hitlens.errors import ConfigError, DataError, LeakageError, RunError
from hitlens.evaluate.crossvalidation import CrossValidation, read_cross_validation
from hitlens.evaluate.predictions import read_predictions
from hitlens.events import Events
from hitlens.io.native_writer import NativeWriter
from hitlens.train.engine import TrainingResult
from hitlens.workflow import crossvalidation, runs
from hitlens.workflow.crossvalidation import CrossValidationConfig, compare_folds, cross_validate

N, FOLDS, REPEATS = 90, 3, 2
SMALL = [
    "model.name=plain_cnn",
    "model.settings={features: [4], last_features: 4}",
    "model.symmetrise=false",
    "split.train=0.75",
    "split.validation=0.25",
    "split.test=0",
    "train.epochs=1",
    "train.batch_size=16",
    "train.accelerator=cpu",
    "train.precision=float32",
    "evaluate.n_bootstrap=40",
    "evaluate.n_bootstrap_slices=20",
    "evaluate.baseline_events=20",
]


def config_of(data: Path, task: str = "multiplicity", **changes: Any) -> CrossValidationConfig:
    run = load_config(f"cebr/{task}", [*SMALL, f"data.files=['{data}']"])
    assert isinstance(run, RunConfig)
    return CrossValidationConfig(**({"folds": FOLDS, "repeats": REPEATS, "run": run} | changes))


def write(path: Path, events: Events) -> Path:
    with NativeWriter(path, "cebr") as writer:
        writer.write(events)
    return path


@pytest.fixture(scope="module")
def data(make_cebr: Callable[..., Events], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "made.h5", make_cebr(N))


@pytest.fixture(scope="module")
def folder(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cv") / "cv"
    assert cross_validate(config_of(data), folder, progress=False) == folder / "cv.html"
    return folder


@pytest.fixture(scope="module")
def found(folder: Path) -> CrossValidation:
    return read_cross_validation(folder / "cv.json")


def test_every_event_is_predicted_once_a_repeat_by_a_model_that_never_saw_it(folder: Path) -> None:
    table = read_predictions(folder / "predictions.parquet").table
    assert len(table) == N * REPEATS
    for repeat in (1, 2):
        mine = table.filter(pl.col("repeat") == repeat)
        assert mine["event"].to_list() == list(range(N))
        for fold in (1, 2, 3):
            held_out = mine.filter(pl.col("fold") == fold)
            assert len(held_out) == N // FOLDS
            run = read_predictions(folder / f"repeat{repeat}" / f"fold{fold}" / runs.PREDICTIONS)
            watched = set(run.split("validation").table["event"])
            assert not watched & set(held_out["event"])
            record = runs.read_provenance(folder / f"repeat{repeat}" / f"fold{fold}")
            assert record["split"]["n_train"] == N - len(held_out) - len(watched)
            expected = run.split("test").table.sort("event")["score_multiplicity"]
            assert held_out["score_multiplicity"].to_list() == expected.to_list()


def test_repeats_deal_and_train_anew(folder: Path) -> None:
    table = read_predictions(folder / "predictions.parquet").table
    one, two = (table.filter(pl.col("repeat") == repeat) for repeat in (1, 2))
    assert (one["fold"] != two["fold"]).any()
    weights = {
        runs.read_provenance(folder / f"repeat{repeat}" / "fold1")["initial_weights"] for repeat in (1, 2)
    }
    assert len(weights) == 2


def test_numbers_are_of_all_events_and_averaged_over_repeats(folder: Path, found: CrossValidation) -> None:
    table = read_predictions(folder / "predictions.parquet").table
    right = table["pred_multiplicity"] == table["true_multiplicity"]
    accuracies = [right.filter(table["repeat"] == repeat).mean() for repeat in (1, 2)]
    head = found.head("multiplicity")
    assert (head.n_events, found.n_events, sum(head.class_counts)) == (N, N, N)
    (accuracy,) = (metric for metric in head.metrics if metric.name == "accuracy")
    assert accuracy.interval is not None
    assert accuracy.interval.value == pytest.approx(np.mean(accuracies))
    assert accuracy.interval.low < accuracy.interval.value < accuracy.interval.high
    (spread,) = (one for one in head.by_fold if one.name == "accuracy")
    assert spread.repeats == pytest.approx(tuple(accuracies))
    by_fold = table.with_columns(right=right).group_by("repeat", "fold").agg(pl.col("right").mean())
    expected = by_fold.sort("repeat", "fold")["right"].to_list()
    assert [value for repeat in spread.folds for value in repeat] == pytest.approx(expected)
    assert spread.fold_spread == pytest.approx(np.std(expected, ddof=1))
    assert spread.repeat_spread == pytest.approx(np.std(accuracies, ddof=1))


def test_other_methods_stand_beside_it_on_the_same_events(found: CrossValidation) -> None:
    methods = {one.name: one for one in found.head("multiplicity").baselines}
    assert list(methods) == ["constant", "likelihood_fit", "boosting"]
    assert methods["constant"].n_events == methods["boosting"].n_events == N
    assert methods["likelihood_fit"].n_events == 3 * 20
    assert "fitted in each fold on all events that were not held out" in methods["boosting"].meaning
    for one in methods.values():
        for mine, theirs, difference in zip(one.model_metrics, one.metrics, one.differences, strict=True):
            if mine.interval and theirs.interval and difference.interval:
                gap = mine.interval.value - theirs.interval.value
                assert difference.interval.value == pytest.approx(gap, abs=1e-9)


def test_boosting_learns_in_each_fold_from_what_is_not_held_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    original = crossvalidation.run_baselines

    def watch(predictions: Any, events: Events, detector: Any, config: Any, training: Any, run: Any) -> Any:
        held_out = set(predictions.split("test").table["event"])
        taught = set(events.truth["event"].gather(training))
        assert not held_out & taught
        assert len(held_out) + len(taught) == N
        asked.append(len(taught))
        return original(predictions, events, detector, config, training, run)

    monkeypatch.setattr(crossvalidation, "run_baselines", watch)
    before = (folder / "cv.json").read_text()
    compare_folds(folder)
    assert asked == [N - N // FOLDS] * FOLDS * REPEATS
    strip = [line for line in before.splitlines() if '"when"' not in line and "seconds_per" not in line]
    after = (folder / "cv.json").read_text().splitlines()
    assert strip == [line for line in after if '"when"' not in line and "seconds_per" not in line]


def test_the_page_is_one_file_that_says_what_it_can_show(folder: Path, found: CrossValidation) -> None:
    page = (folder / "cv.html").read_text()
    assert 'src="http' not in page
    assert f"{N} events, dealt 2 times into 3 folds" in page
    assert "What this can show" in page
    assert "multiplicity: 90 events give the accuracy to about" in page
    assert "repeat 2, fold 3" in page
    assert found.n_held_out == ((30,) * 3,) * 2


def test_a_fold_is_a_run_without_its_checkpoints(folder: Path) -> None:
    names = {path.name for path in (folder / "repeat1" / "fold1").iterdir()}
    assert names == {
        *("config.yaml", "history.csv", "model.safetensors", "predictions.parquet", "provenance.json")
    }


def test_a_finished_one_is_kept(folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match="holds a cross-validation"):
        cross_validate(config_of(data), folder)
    with pytest.raises(ConfigError, match="other settings"):
        cross_validate(config_of(data, folds=4), folder, resume=True)
    with pytest.raises(ConfigError, match="Give one"):
        cross_validate(config_of(data), folder, resume=True, force=True)

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(crossvalidation, "train", refuse)
    (folder / "cv.html").unlink()
    assert cross_validate(config_of(data), folder, resume=True).is_file()


class Stopped:
    """Stands for `train`: notes what it is asked, and Ctrl-C ends one of them."""

    def __init__(self, stop_in: str) -> None:
        self.stop_in = stop_in
        self.asked: list[tuple[str, int, int, bool]] = []

    def __call__(self, config: RunConfig, folder: Path, *, resume: bool, progress: bool) -> TrainingResult:
        name = f"{folder.parent.name}/{folder.name}"
        self.asked.append((name, config.split.fold, config.train.seed, resume))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "checkpoints").mkdir(exist_ok=True)
        stop = name == self.stop_in
        runs.write_provenance(folder, {"status": "interrupted" if stop else "finished"})
        return TrainingResult(0, 0.5, "val_accuracy", 1, stop, "32-true")


def test_ctrl_c_ends_it_and_resuming_goes_on_there(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, config = tmp_path / "cv", config_of(data)
    monkeypatch.setattr(crossvalidation, "compare_folds", lambda folder: folder / "cv.html")
    monkeypatch.setattr(crossvalidation, "train", first := Stopped("repeat1/fold2"))
    with pytest.raises(RunError, match=r"interrupted in repeat 1, fold 2\. --resume"):
        cross_validate(config, folder)
    assert first.asked == [("repeat1/fold1", 0, 1, False), ("repeat1/fold2", 1, 1, False)]
    assert not (folder / "repeat1" / "fold1" / "checkpoints").exists()
    assert (folder / "repeat1" / "fold2" / "checkpoints").exists()
    monkeypatch.setattr(crossvalidation, "train", second := Stopped("none"))
    cross_validate(config, folder, resume=True)
    assert second.asked == [
        ("repeat1/fold2", 1, 1, True),
        ("repeat1/fold3", 2, 1, False),
        ("repeat2/fold1", 0, 2, False),
        ("repeat2/fold2", 1, 2, False),
        ("repeat2/fold3", 2, 2, False),
    ]
    monkeypatch.setattr(crossvalidation, "train", third := Stopped("none"))
    cross_validate(config, folder, force=True)
    assert len(third.asked) == 6


def test_one_that_was_killed_goes_on(data: Path, tmp_path: Path) -> None:
    run = config_of(data).run
    run = run.model_copy(update={"evaluate": run.evaluate.model_copy(update={"baselines": False})})
    config = config_of(data, folds=2, repeats=1, run=run)
    cross_validate(config, tmp_path / "whole", progress=False)
    cross_validate(config, tmp_path / "cut", progress=False)
    killed = tmp_path / "cut" / "repeat1" / "fold2"
    runs.write_provenance(killed, runs.read_provenance(killed) | {"status": "running"})
    for name in ("model.safetensors", "predictions.parquet"):
        (killed / name).unlink()
    with pytest.raises(RunError, match=r"repeat1/fold2 of .* is not finished"):
        compare_folds(tmp_path / "cut")
    cross_validate(config, tmp_path / "cut", resume=True, progress=False)
    one, two = (read_predictions(tmp_path / name / "predictions.parquet").table for name in ("whole", "cut"))
    np.testing.assert_allclose(one["score_multiplicity"], two["score_multiplicity"], atol=1e-6)


def test_copies_are_refused_before_anything_is_trained(
    make_cebr: Callable[..., Events], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = make_cebr(60)
    images = events.dense("anode").copy()
    images[7] = images[40]
    data = write(tmp_path / "twice.h5", Events({"anode": images}, events.truth, "cebr"))
    monkeypatch.setattr(crossvalidation, "train", Stopped("none"))
    monkeypatch.setattr(crossvalidation, "compare_folds", lambda folder: folder)
    with pytest.raises(LeakageError, match=r"made\.txt:7 .* = made\.txt:40"):
        for seed in range(8):  # the copies may be dealt to one side in all repeats
            run = config_of(data).run
            split = run.split.model_copy(update={"seed": seed})
            folder = tmp_path / f"cv{seed}"
            cross_validate(config_of(data, run=run.model_copy(update={"split": split})), folder)
    assert not folder.exists()


@pytest.mark.slow
def test_every_head_of_a_joint_task_is_cross_validated(data: Path, tmp_path: Path) -> None:
    cross_validate(config_of(data, "joint", folds=2, repeats=1), tmp_path / "cv", progress=False)
    found = read_cross_validation(tmp_path / "cv" / "cv.json")
    assert [head.task for head in found.heads] == ["multiplicity", "single", "double"]
    assert sum(found.head(name).n_events for name in ("single", "double")) == N
    r2 = [one for one in found.head("single").by_fold if one.name == "r2"]
    assert all(len(one.folds[0]) == 2 for one in r2)
    assert found.head("single").by_fold[0].repeat_spread is None
    names = [one.name for one in found.head("single").baselines]
    assert names == ["constant", "likelihood_fit", "boosting", "calorimetric"]


@pytest.mark.parametrize("force", [False, True])
def test_what_is_none_of_ours_is_never_thrown_away(force: bool, data: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match="not a cross-validation"):
        cross_validate(config_of(data), tmp_path, force=force)
    with pytest.raises(RunError, match="is a file"):
        cross_validate(config_of(data), tmp_path / "thesis.tex", force=force)
    with pytest.raises(RunError, match="no cross-validation to resume"):
        cross_validate(config_of(data), tmp_path, resume=True)


def test_a_recipe_without_files_is_refused(data: Path, tmp_path: Path) -> None:
    run = load_config("cebr/multiplicity")
    with pytest.raises(ConfigError, match="names no files"):
        cross_validate(config_of(data, run=run), tmp_path / "cv")
    assert not (tmp_path / "cv").exists()


def test_other_files_are_refused(folder: Path, data: Path, make_cebr: Callable[..., Events]) -> None:
    whole = data.read_bytes()
    try:
        write(data, make_cebr(N, 5))
        with pytest.raises(DataError, match="changed or made again"):
            compare_folds(folder)
    finally:
        data.write_bytes(whole)


def test_damaged_settings_are_named(folder: Path, tmp_path: Path) -> None:
    text = (folder / "crossvalidation.yaml").read_text()
    (tmp_path / "crossvalidation.yaml").write_text(text.replace("folds: 3", "fold: 3", 1))
    with pytest.raises(ConfigError, match="'fold' is not a setting"):
        crossvalidation.read_cv_config(tmp_path)
    content = json.loads((folder / "cv.json").read_text())
    assert content["version"] == 1


@pytest.mark.slow
def test_processes_train_the_same_folds(data: Path, tmp_path: Path) -> None:
    config = config_of(data, folds=2, repeats=1)
    cross_validate(config, tmp_path / "one", progress=False)
    cross_validate(config, tmp_path / "many", cluster="local", workers=2)
    one, many = (read_predictions(tmp_path / name / "predictions.parquet").table for name in ("one", "many"))
    assert one.drop("score_multiplicity").equals(many.drop("score_multiplicity"))
    np.testing.assert_allclose(one["score_multiplicity"], many["score_multiplicity"], atol=1e-5)
    assert (tmp_path / "many" / "cv.html").is_file()
