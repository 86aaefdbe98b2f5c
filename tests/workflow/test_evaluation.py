"""A run folder is completed by one evaluation, and tells how often its test split was read."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hitlens.detector import Baseline, Task
from hitlens.detectors.cebr import DETECTOR
from hitlens.errors import ConfigError, DataError, NotFoundError, RunError
from hitlens.evaluate.results import read_results
from hitlens.events import Events
from hitlens.workflow import evaluation, reporting
from hitlens.workflow.evaluation import evaluate_run
from hitlens.workflow.reporting import write_report


def brightest(events: Events, task: Task) -> dict[str, np.ndarray]:
    """A crude physics method: the brightest pixel; no answer for the faintest images."""
    images = events.dense("anode").reshape(len(events), -1)
    light = images.sum(1).astype(float)
    values = np.where(light > 2000, light / images.sum(1).max(), np.nan)
    outputs = (task.name,) if task.class_names else task.target_columns
    return {name: values if "x_" not in name else images.argmax(1) // 16 + 0.5 for name in outputs}


@pytest.fixture(autouse=True)
def quick_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    """CeBr with a crude method in place of the fit, and no slices, whose figures take most of the time."""
    tasks = tuple(task.name for task in DETECTOR.tasks)
    crude = Baseline(name="brightest", meaning="brightest pixel", tasks=tasks, predict=brightest)
    quick = DETECTOR.model_copy(update={"baselines": (crude,), "slices": ()})
    for module in (evaluation, reporting):
        monkeypatch.setattr(module, "get_detector", lambda name: quick)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are not drawn: for tests of what stands in metrics.json."""
    monkeypatch.setattr(reporting, "render_report", lambda content: ("", ()))
    monkeypatch.setattr(evaluation, "draw_gallery", lambda gallery, view: None)
    monkeypatch.setattr(evaluation, "figure_to_bytes", lambda figure, file_format, dpi: b"")


def test_a_run_gets_its_numbers_report_and_figures(make_run) -> None:
    folder = make_run("multiplicity", 240)
    results = evaluate_run(folder)
    assert read_results(folder / "metrics.json") == results
    assert results.data["left out of the run: malformed"] == "2"
    page = (folder / "report.html").read_text(encoding="utf-8")
    for text in ("Made multiplicity", "False negatives: double called single", "brightest"):
        assert text in page
    names = {path.name for path in (folder / "figures").iterdir()}
    assert {"training.svg", "multiplicity_roc.svg", "gallery_multiplicity_false_negatives.png"} <= names
    assert not [path for path in folder.rglob("*") if "partial" in path.name]


def test_every_head_of_a_joint_run_is_evaluated(make_run, undrawn) -> None:
    told = []
    results = evaluate_run(make_run("joint", 240), progress=lambda *what: told.append(what))
    assert results.n_events == 160
    assert [task.task for task in results.tasks] == ["multiplicity", "single", "double"]
    assert {"gallery_double_largest_errors", "gallery_multiplicity_false_negatives"} <= {
        picture.name for picture in results.galleries
    }
    assert told[0] == ("brightest: multiplicity", 40, 40)


def test_the_baseline_sees_the_images_of_its_events(make_run, undrawn) -> None:
    """Matched by key: whatever the order of the file, the brightest pixel is near the true position."""
    folder = make_run("single_position", 300, baseline_events=0)
    table = pl.read_parquet(folder / "predictions.parquet")
    results = evaluate_run(folder)
    beside = results.head("single_position").baseline("brightest")
    rmse = next(m.interval for m in beside.metrics if m.name == "rmse" and m.column == "x_1_px")
    assert rmse is not None
    assert 0.2 < rmse.value < 0.6
    expected = table.filter(pl.col("split") == "test", pl.col("true_n_electrons") == 1)
    assert beside.n_events + beside.n_failed == len(expected)
    assert beside.seconds_per_event is not None
    assert beside.seconds_per_event > 0


def test_methods_asked_for_some_events_leave_the_others_out(make_run, undrawn) -> None:
    results = evaluate_run(make_run("multiplicity", 300, baseline_events=30))
    beside = results.head("multiplicity").baseline("brightest")
    assert beside.n_events + beside.n_failed == 30
    assert results.head("multiplicity").n_events == 200


def test_a_split_is_evaluated_once_unless_asked(make_run, undrawn) -> None:
    folder = make_run("multiplicity", 120, baselines=False)
    evaluate_run(folder)
    with pytest.raises(RunError, match="--again"):
        evaluate_run(folder, cut=0.7)
    evaluate_run(folder, split="validation")
    results = evaluate_run(folder, again=True, cut=0.7)
    assert [(one.split, one.cut) for one in results.readings] == [
        ("test", 0.5),
        ("validation", 0.5),
        ("test", 0.7),
    ]
    assert results.head("multiplicity").cut == 0.7


def test_constants_come_from_training_events_where_they_are_known(make_run, undrawn) -> None:
    folder = make_run("multiplicity", 120, baselines=False)
    meaning = evaluate_run(folder).head("multiplicity").baseline("constant").meaning
    assert "validation split" in meaning
    path = folder / "predictions.parquet"
    from hitlens.evaluate.predictions import read_predictions, write_predictions

    kept = read_predictions(path)
    write_predictions(kept.filter("event >= 30"), path)
    record = json.loads((folder / "provenance.json").read_text())
    (folder / "provenance.json").write_text(json.dumps(record | {"split": {"n_train": 30}}))
    again = evaluate_run(folder, again=True).head("multiplicity").baseline("constant").meaning
    assert "training split" in again


def test_without_event_files_the_numbers_stand(make_run, undrawn, caplog) -> None:
    folder = make_run("multiplicity", 120)
    moved = (folder.parent / "made.h5").rename(folder.parent / "moved.h5")
    with caplog.at_level(logging.WARNING):
        results = evaluate_run(folder)
    assert "no gallery" in caplog.text
    assert results.galleries == ()
    assert [one.name for one in results.head("multiplicity").baselines] == ["constant"]
    results = evaluate_run(folder, again=True, files=[moved])
    assert len(results.galleries) >= 3
    with pytest.raises(NotFoundError):
        evaluate_run(folder, again=True, files=[folder / "nowhere.h5"])


def test_other_files_than_the_runs_are_refused(make_run, make_cebr, tmp_path: Path) -> None:
    from hitlens.io.native_writer import NativeWriter

    folder = make_run("multiplicity", 120)
    with NativeWriter(tmp_path / "short.h5", "cebr") as writer:
        writer.write(make_cebr(50))
    with pytest.raises(DataError, match="not in the event files"):
        evaluate_run(folder, files=[tmp_path / "short.h5"])
    assert not (folder / "metrics.json").exists()


def test_unfinished_and_foreign_folders_are_refused(make_run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run"):
        evaluate_run(tmp_path)
    folder = make_run("multiplicity", 60)
    record = json.loads((folder / "provenance.json").read_text())
    (folder / "provenance.json").write_text(json.dumps(record | {"status": "running"}))
    with pytest.raises(RunError, match="--resume"):
        evaluate_run(folder)


def test_wrong_settings_are_named(make_run) -> None:
    folder = make_run("multiplicity", 60)
    with pytest.raises(ConfigError, match=r"evaluate\.cut"):
        evaluate_run(folder, cut=1.5)
    with pytest.raises(ConfigError, match=r"evaluate\.cutt"):
        evaluate_run(folder, cutt=0.5)


def test_a_method_that_forgets_a_column_is_named(make_run, monkeypatch: pytest.MonkeyPatch) -> None:
    lame = Baseline(name="lame", meaning="", tasks=("multiplicity",), predict=lambda events, task: {})
    quick = DETECTOR.model_copy(update={"baselines": (lame,)})
    monkeypatch.setattr(evaluation, "get_detector", lambda name: quick)
    with pytest.raises(DataError, match="'lame' must give multiplicity"):
        evaluate_run(make_run("multiplicity", 60))


def test_the_report_is_written_again_from_the_numbers(make_run) -> None:
    folder = make_run("multiplicity", 120, baselines=False)
    evaluate_run(folder)
    first = (folder / "report.html").read_bytes()
    (folder.parent / "made.h5").unlink()
    (folder / "report.html").unlink()
    (folder / "figures" / "stale.svg").write_text("old")
    assert write_report(folder).read_bytes() == first
    assert not (folder / "figures" / "stale.svg").exists()


def test_a_report_needs_an_evaluation(make_run, tmp_path: Path) -> None:
    folder = make_run("multiplicity", 60)
    with pytest.raises(NotFoundError, match="hitlens evaluate"):
        write_report(folder)
    (folder / "history.csv").write_text("")
    evaluate_run(make_run_without_history(folder), baselines=False)
    assert 'id="training"' not in (folder / "report.html").read_text(encoding="utf-8")


def make_run_without_history(folder: Path) -> Path:
    (folder / "history.csv").unlink()
    return folder
