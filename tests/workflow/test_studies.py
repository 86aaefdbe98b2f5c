"""A study: same events, split and first weights; compared on the validation split; resumable."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from hitlens.config import StudyConfig
from hitlens.errors import ConfigError, FileFormatError, NotFoundError, RunError
from hitlens.evaluate.predictions import read_predictions
from hitlens.evaluate.study import StudyResults, read_study, stability, variant_head
from hitlens.events import Events
from hitlens.io.native_writer import NativeWriter
from hitlens.metrics import accuracy
from hitlens.train.engine import TrainingResult
from hitlens.workflow import runs, studies
from hitlens.workflow.evaluation import evaluate_run
from hitlens.workflow.preparing import prepare
from hitlens.workflow.studies import compare_study, train_study
from hitlens.workflow.together import Job

N = 600
NAMES = ("linear", "log1p", "dense")


@pytest.fixture(scope="module")
def config(make_cebr: Callable[..., Events], tmp_path_factory: pytest.TempPathFactory) -> StudyConfig:
    data = tmp_path_factory.mktemp("data") / "made.h5"
    with NativeWriter(data, "cebr") as writer:
        writer.write(make_cebr(N))
    model = {"name": "plain_cnn", "settings": {"features": [4, 4], "last_features": 8}, "symmetrise": False}
    base = {
        "detector": "cebr",
        "task": "multiplicity",
        "data": {"files": [str(data)]},
        "model": model | {"normalise": "minmax", "scaling": ["linear"]},
        "train": {"epochs": 2, "batch_size": 64, "precision": "float32", "accelerator": "cpu"},
        "evaluate": {"n_bootstrap": 50},
    }
    variants: dict[str, dict[str, Any]] = {"linear": {}, "log1p": {"model.scaling": ["log1p"]}}
    variants["dense"] = {"model.settings.head": "dense"}
    return StudyConfig(title="Scaling", question="Which?", base=base, variants=variants)


@pytest.fixture(scope="module")
def folder(config: StudyConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studies") / "study"
    assert train_study(config, folder, progress=False) == folder / "study.html"
    return folder


@pytest.fixture(scope="module")
def study(folder: Path) -> StudyResults:
    return read_study(folder / "study.json")


def test_a_study_is_a_folder_of_runs_with_their_comparison(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {*NAMES, "study.yaml", "study.json", "study.html"}
    for name in NAMES:
        assert runs.read_provenance(folder / name)["status"] == "finished"


def test_all_variants_have_one_split(folder: Path, study: StudyResults) -> None:
    records = [runs.read_provenance(folder / name) for name in NAMES]
    assert {record["split"]["hash"] for record in records} == {study.split_hash}
    assert len({str(record["data"]["sha256"]) for record in records}) == 1
    tables = [read_predictions(folder / name / runs.PREDICTIONS).table for name in NAMES]
    for table in tables[1:]:
        assert table.select("file", "event", "split").equals(tables[0].select("file", "event", "split"))
    assert study.n_events_by_split == {"train": 360, "validation": 120, "test": 120}


def test_variants_of_one_architecture_begin_with_the_same_weights(study: StudyResults) -> None:
    linear, log1p, dense = (variant.initial_weights for variant in study.variants)
    assert linear == log1p
    assert dense != linear
    assert all(re.fullmatch("[0-9a-f]{64}", one) for one in (linear, dense))


def test_settings_that_differ_are_named(study: StudyResults) -> None:
    assert [dict(variant.settings) for variant in study.variants] == [
        {"model.settings.head": "default", "model.scaling": "linear"},
        {"model.settings.head": "default", "model.scaling": "log1p"},
        {"model.settings.head": "dense", "model.scaling": "linear"},
    ]


def test_numbers_are_of_the_validation_split_alone(folder: Path, study: StudyResults) -> None:
    for variant in study.variants:
        (head,) = variant.heads
        predictions = read_predictions(folder / variant.name / runs.PREDICTIONS).split("validation")
        score, true = predictions.table["score_multiplicity"], predictions.table["true_multiplicity"]
        called = (score.to_numpy() >= 0.5).astype(int)
        expected = accuracy((true == "double").to_numpy().astype(int), called)
        assert head.n_events == 120
        assert head.metrics[0].name == "accuracy"
        assert head.metrics[0].interval is not None
        assert head.metrics[0].interval.value == pytest.approx(float(expected))
    for name in NAMES:  # the test split's turn is later, and once
        assert not (folder / name / "metrics.json").exists()


def test_differences_are_paired_with_the_first_variant(study: StudyResults) -> None:
    first = study.variants[0].heads[0]
    assert first.differences == ()
    for variant in study.variants[1:]:
        (head,) = variant.heads
        for mine, theirs, difference in zip(head.metrics, first.metrics, head.differences, strict=True):
            if mine.interval and theirs.interval and difference.interval:
                expected = mine.interval.value - theirs.interval.value
                assert difference.interval.value == pytest.approx(expected, abs=1e-9)
                assert difference.interval.low <= difference.interval.high
    assert study.constants["multiplicity"][0].interval is not None


def test_the_cut_is_the_same_for_both_of_a_pair(config: StudyConfig, folder: Path) -> None:
    changed = config.base.evaluate.model_copy(update={"cut": 0.45})
    predictions = {
        name: read_predictions(folder / "linear" / runs.PREDICTIONS) for name in ("one", "the same again")
    }
    found = studies.evaluate_variants(predictions, prepare(config.base).detector, changed)
    (head,) = map(variant_head, found["the same again"])
    differences = [one.interval.value for one in head.differences if one.interval]
    assert len(differences) > 3
    assert set(differences) == {0.0}


def test_each_network_s_input_is_counted(config: StudyConfig, study: StudyResults) -> None:
    prepared = prepare(config.base)
    pixels = prepared.events.dense("anode")[prepared.split.train].astype(float)
    for variant, curve in zip(study.variants, (lambda x: x, np.log1p, lambda x: x), strict=True):
        (histogram,) = variant.inputs
        ((name, counts),) = histogram.counts.items()
        assert name == variant.settings["model.scaling"]
        assert sum(counts) == pixels.size
        assert (histogram.edges[0], histogram.edges[-1]) == (0.0, 1.0)
        expected = curve(pixels - pixels.min() if name == "linear" else pixels)
        expected = (expected - expected.min()) / (expected.max() - expected.min())
        np.testing.assert_allclose(
            counts, np.histogram(expected, histogram.edges)[0], atol=pixels.size * 1e-3
        )


def test_a_finished_study_is_kept(folder: Path, config: StudyConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunError, match="holds a study"):
        train_study(config, folder)
    other = config.model_copy(update={"variants": {"linear": {}, "log1p": {"train.epochs": 3}}})
    with pytest.raises(ConfigError, match="other settings"):
        train_study(other, folder, resume=True)
    with pytest.raises(ConfigError, match="Give one of them"):
        train_study(config, folder, resume=True, force=True)
    before = (folder / "study.html").read_text()

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(studies, "train_together", refuse)
    (folder / "study.html").unlink()
    assert train_study(config, folder, resume=True).read_text() == before


class Stopped:
    """Stands for `train_together`: notes what it is asked, and Ctrl-C ends one variant."""

    def __init__(self, folder: Path, stop_in: str) -> None:
        self.folder, self.stop_in = folder, stop_in
        self.asked: list[tuple[str, bool]] = []

    def __call__(self, jobs: Sequence[Job], *, progress: bool, at_once: int) -> list[TrainingResult]:
        found = []
        for job in jobs:
            self.asked.append((job.folder.name, job.resume))
            stop = job.folder.name == self.stop_in
            job.folder.mkdir(exist_ok=True)
            runs.write_provenance(job.folder, {"status": "interrupted" if stop else "finished"})
            found.append(TrainingResult(0, 0.5, "val_accuracy", 1, stop, "32-true"))
            if stop:
                break
        return found + [replace(found[-1], interrupted=True)] * (len(jobs) - len(found))


def test_ctrl_c_ends_the_study_and_resuming_goes_on_there(
    config: StudyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "study"
    monkeypatch.setattr(studies, "compare_study", lambda folder: folder / "study.html")
    monkeypatch.setattr(studies, "train_together", first := Stopped(folder, "log1p"))
    with pytest.raises(RunError, match=r"interrupted in variant 'log1p'.* --resume"):
        train_study(config, folder)
    assert first.asked == [("linear", False), ("log1p", False)]
    monkeypatch.setattr(studies, "train_together", second := Stopped(folder, "none"))
    train_study(config, folder, resume=True)
    assert second.asked == [("log1p", True), ("dense", False)]
    (folder / "note.txt").write_text("old")
    monkeypatch.setattr(studies, "train_together", third := Stopped(folder, "none"))
    train_study(config, folder, force=True)
    assert [name for name, _ in third.asked] == list(NAMES)
    assert not (folder / "note.txt").exists()


def test_an_unfinished_study_has_no_comparison(config: StudyConfig, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text((folder / "study.yaml").read_text())
    for name in NAMES:
        (tmp_path / name).mkdir()
        runs.write_provenance(tmp_path / name, runs.read_provenance(folder / name))
    runs.write_provenance(tmp_path / "dense", {"status": "interrupted"})
    with pytest.raises(RunError, match=r"'dense' .* is not finished"):
        compare_study(tmp_path)
    other = runs.read_provenance(folder / "dense")
    runs.write_provenance(tmp_path / "dense", other | {"split": {"hash": "other"}})
    with pytest.raises(RunError, match="different splits"):
        compare_study(tmp_path)


@pytest.mark.parametrize("force", [False, True])
def test_what_is_no_study_is_never_thrown_away(force: bool, config: StudyConfig, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match="not a study of hitlens"):
        train_study(config, tmp_path, force=force)
    with pytest.raises(RunError, match="is a file"):
        train_study(config, tmp_path / "thesis.tex", force=force)
    with pytest.raises(RunError, match="no study to resume"):
        train_study(config, tmp_path, resume=True)


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ({"a": {}, "b": {"task": "joint"}}, "'a' and 'b' differ in task"),
        ({"a": {}, "b": {"split.seed": 4}}, "differ in split"),
        ({"a": {}, "b": {"data.max_events": 100}}, "differ in data"),
        ({"a": {}, "../b": {}}, r"Got '\.\./b'"),
        ({"a": {}, "study.json": {}}, r"Got 'study\.json'"),
    ],
)
def test_variants_that_cannot_be_compared_are_refused(
    variants: dict[str, Any], message: str, config: StudyConfig, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        train_study(config.model_copy(update={"variants": variants}), tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_a_damaged_study_is_named(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "study.json"
    with pytest.raises(NotFoundError, match=r"study\.json"):
        read_study(path)
    path.write_text("{}")
    with pytest.raises(FileFormatError, match="does not hold a study"):
        read_study(path)
    newer = json.loads((folder / "study.json").read_text()) | {"version": 99}
    path.write_text(json.dumps(newer))
    with pytest.raises(FileFormatError, match="version 99"):
        read_study(path)


def test_stability_of_scores_that_shall_be_low() -> None:
    found = stability([9.0, 0.1, 0.3, 0.2, 0.2, 0.2, float("nan")], higher_is_better=False)
    assert (found.n_epochs, found.worst, found.spread, found.below_best) == (5, 0.3, 0.2, 0.2)


def test_a_study_of_the_test_split_is_a_reading_of_it(folder: Path, tmp_path: Path) -> None:
    """It is noted in each variant, so that evaluating one of them afterwards is a second reading."""
    copy = tmp_path / "study"
    shutil.copytree(folder, copy)
    settings = yaml.safe_load((copy / "study.yaml").read_text())
    settings |= {"split": "test", "slices": ["total_energy_mev"]}
    (copy / "study.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    compare_study(copy)
    study = read_study(copy / "study.json")
    assert (study.split, len(study.readings)) == ("test", 1)
    for variant in study.variants:
        predictions = read_predictions(copy / variant.name / runs.PREDICTIONS).split("test").table
        right = predictions["pred_multiplicity"] == predictions["true_multiplicity"]
        (head,) = variant.heads
        assert head.metrics[0].interval is not None
        assert head.metrics[0].interval.value == pytest.approx(right.mean())
        assert {one.variable for one in head.slices} == {"total_energy_mev"}
        assert {one.method for one in head.slices} == {"model"}
        assert variant.n_train == 360
        with pytest.raises(RunError, match="evaluated before"):
            evaluate_run(copy / variant.name)
    page = (copy / "study.html").read_text(encoding="utf-8")
    assert "These numbers are from the test split" in page
    assert "multiplicity against total energy" in page
    assert "No number here is from the test split" in (folder / "study.html").read_text(encoding="utf-8")
    evaluate_run(copy / "dense", again=True, baselines=False, metadata=False)
    compare_study(copy)
    assert [one.by for one in read_study(copy / "study.json").readings] == ["study", "evaluate", "study"]


def test_an_unknown_slice_is_refused_before_anything_is_trained(config: StudyConfig, tmp_path: Path) -> None:
    wrong = config.model_copy(update={"slices": ("total_energy",)})
    with pytest.raises(ConfigError, match="total_energy_mev"):
        train_study(wrong, tmp_path / "study", progress=False)
    assert not (tmp_path / "study").exists()
