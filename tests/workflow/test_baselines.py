"""Which events teach the methods that learn, and which are asked of a detector's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from hitlens.config import RunConfig
from hitlens.datasets.targets import strata_of
from hitlens.detector import Baseline, Task
from hitlens.detectors.cebr import DETECTOR
from hitlens.evaluate.predictions import read_predictions, write_predictions
from hitlens.evaluate.results import Results
from hitlens.events import Events
from hitlens.io.native_writer import NativeWriter
from hitlens.workflow import evaluation, galleries, reporting
from hitlens.workflow.baselines import training_rows
from hitlens.workflow.evaluation import evaluate_run
from hitlens.workflow.preparing import prepare


def always_sure(events: Events, task: Task) -> dict[str, np.ndarray]:
    """A method for classes and values alike."""
    outputs = (task.name,) if task.class_names else task.target_columns
    shape = (len(events), len(task.class_names)) if task.kind == "multiclass" else (len(events),)
    return {name: np.full(shape, 0.5) for name in outputs}


@pytest.fixture(autouse=True)
def quick_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = tuple(task.name for task in DETECTOR.tasks)
    sure = Baseline(name="sure", meaning="always sure", tasks=tasks, predict=always_sure)
    quick = DETECTOR.model_copy(update={"baselines": (sure,), "slices": ()})
    for module in (evaluation, reporting):
        monkeypatch.setattr(module, "get_detector", lambda name: quick)
    monkeypatch.setattr(reporting, "render_report", lambda content: ("", ()))
    monkeypatch.setattr(galleries, "draw_gallery", lambda gallery, view: None)
    monkeypatch.setattr(galleries, "figure_to_bytes", lambda figure, file_format, dpi: b"")


def forget_training(folder: Path, n_train: int, **split: Any) -> None:
    """Take the first events' predictions away, as those of training events."""
    path = folder / "predictions.parquet"
    everything = read_predictions(path)
    write_predictions(everything.filter(f"event >= {n_train}"), path)
    n_defined = int((strata_of(everything.filter(f"event < {n_train}").truth(), everything.heads) > 0).sum())
    record = json.loads((folder / "provenance.json").read_text())
    (folder / "provenance.json").write_text(json.dumps(record | {"split": {"n_train": n_defined}}))
    if split:
        config = json.loads((folder / "config.yaml").read_text())
        (folder / "config.yaml").write_text(json.dumps(config | {"split": split}))


def names(results: Results, head: str) -> list[str]:
    return [one.name for one in results.head(head).baselines]


def test_training_events_teach_and_all_test_events_are_answered(make_run) -> None:
    folder = make_run("joint", 900)
    forget_training(folder, 500)
    told: list[tuple[str, int, int]] = []
    results = evaluate_run(folder, progress=lambda *what: told.append(what))
    assert names(results, "multiplicity") == ["constant", "sure", "boosting"]
    assert names(results, "single") == ["constant", "sure", "boosting", "calorimetric"]
    boosting = results.head("multiplicity").baseline("boosting")
    assert boosting.n_events == results.head("multiplicity").n_events
    assert "fitted on 500 events of the training split" in boosting.meaning
    assert ("methods that learn", 2, 2) in told
    assert "at evaluation" not in results.data


def test_they_can_be_chosen_limited_and_left_out(make_run) -> None:
    folder = make_run("single_energy", 900, learned=["calorimetric"], learned_events=120)
    forget_training(folder, 600)
    results = evaluate_run(folder)
    assert names(results, "single_energy") == ["constant", "sure", "calorimetric"]
    meaning = results.head("single_energy").baseline("calorimetric").meaning
    assert int(meaning.split("fitted on ")[1].split()[0]) <= 120
    assert names(evaluate_run(folder, again=True, learned=()), "single_energy") == ["constant", "sure"]
    assert names(evaluate_run(folder, again=True, baselines=False), "single_energy") == ["constant"]


def test_without_the_training_events_nothing_is_learnt_and_the_report_says_so(make_run) -> None:
    folder = make_run("multiplicity", 300)
    forget_training(folder, 100)
    record = json.loads((folder / "provenance.json").read_text())
    (folder / "provenance.json").write_text(json.dumps(record | {"split": {"n_train": 99}}))
    results = evaluate_run(folder)
    assert names(results, "multiplicity") == ["constant", "sure"]
    assert "no baseline that learns" in results.data["at evaluation"]


def test_copies_dropped_by_the_split_do_not_teach(make_run) -> None:
    """A later copy has no prediction either, but was not trained on."""
    from hitlens.io.native import read_native
    from hitlens.io.native_writer import NativeWriter

    folder = make_run("multiplicity", 300)
    forget_training(folder, 100, on_duplicates="keep_first")
    data = folder.parent / "made.h5"
    events = read_native(data)
    copies = events.select(slice(0, 7))
    copies = Events(copies.images, copies.truth.with_columns(event=pl.col("event") + 1000), "cebr")
    data.unlink()
    with NativeWriter(data, "cebr") as writer:
        writer.write(events)
        writer.write(copies)
    meaning = evaluate_run(folder).head("multiplicity").baseline("boosting").meaning
    assert "fitted on 100 events" in meaning


@pytest.mark.parametrize("selection", ["", "energy_1_mev > 0.3"])
@pytest.mark.parametrize("n_copies", [0, 30])
def test_the_events_that_undersampling_left_teach(
    make_cebr: Callable[..., Events], tmp_path: Path, selection: str, n_copies: int
) -> None:
    made = make_cebr(240)
    kinds = strata_of(made.truth, (DETECTOR.task("multiplicity"),))
    events = made.select(np.flatnonzero((kinds == 1) | (np.arange(240) % 3 == 0)))
    copies = events.select(slice(0, n_copies))
    copies = Events(copies.images, copies.truth.with_columns(event=pl.col("event") + 1000), "cebr")
    with NativeWriter(tmp_path / "made.h5", "cebr") as writer:
        writer.write(events)
        writer.write(copies)
    config = RunConfig(
        detector="cebr",
        task="multiplicity",
        data={"files": [str(tmp_path / "made.h5")]},  # type: ignore[arg-type]
        split={"on_duplicates": "keep_first"},  # type: ignore[arg-type]
        train={"mix": "undersampled", "selection": selection},  # type: ignore[arg-type]
    )
    prepared = prepare(config)
    predicted = prepared.events.truth[np.sort([*prepared.split.validation, *prepared.split.test])]
    predictions = SimpleNamespace(table=predicted, heads=prepared.heads)
    record = {"split": {"n_train": len(prepared.split.train)}}
    rows = training_rows(predictions, prepared.events, DETECTOR, config, record)  # type: ignore[arg-type]
    assert prepared.left_out["beyond the size of the rarest class, in the training split"] > 5
    np.testing.assert_array_equal(rows, prepared.split.train)


def test_a_method_may_score_several_classes(monkeypatch: pytest.MonkeyPatch, make_cebr) -> None:
    from hitlens.workflow.baselines import _solve

    kinds = Task(name="k", kind="multiclass", meaning="", target="1", class_names=("a", "b", "c"))
    sure = Baseline(name="sure", meaning="", tasks=("k",), predict=always_sure)
    found = _solve(sure, kinds, make_cebr(10), np.arange(10), np.array([1, 3]), None)["k"]
    assert found.shape == (10, 3)
    assert np.isfinite(found).all(axis=1).nonzero()[0].tolist() == [1, 3]
