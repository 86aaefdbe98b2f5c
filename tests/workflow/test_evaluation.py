"""A run folder is completed by one evaluation, and tells how often its test split was read."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hitlens.detector import Baseline, Task
from hitlens.detectors.cebr import DETECTOR
from hitlens.errors import ConfigError, DataError, NotFoundError, RunError
from hitlens.evaluate.results import Reading, read_results, write_results
from hitlens.events import Events
from hitlens.report.page import reading_warnings
from hitlens.workflow import evaluation, galleries, reporting, runs
from hitlens.workflow.evaluation import evaluate_run
from hitlens.workflow.event_files import file_records
from hitlens.workflow.listing import list_runs
from hitlens.workflow.origins import readings_of, written_checksums
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
    monkeypatch.setattr(galleries, "draw_gallery", lambda gallery, view: None)
    monkeypatch.setattr(galleries, "figure_to_bytes", lambda figure, file_format, dpi: b"")


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


def test_missing_event_files_stop_the_evaluation_before_it_reads(make_run, undrawn) -> None:
    folder = make_run("multiplicity", 120)
    moved = (folder.parent / "made.h5").rename(folder.parent / "moved.h5")
    with pytest.raises(NotFoundError, match=r"'made\.h5' of the run .* is missing .* --data FILE"):
        evaluate_run(folder)
    assert readings_of(folder) == ()
    assert not (folder / "metrics.json").exists()
    assert len(evaluate_run(folder, files=[moved]).galleries) >= 3
    with pytest.raises(NotFoundError):
        evaluate_run(folder, again=True, files=[folder / "nowhere.h5"])


def test_numbers_without_event_files_are_asked_for(make_run, undrawn) -> None:
    folder = make_run("multiplicity", 120)
    (folder.parent / "made.h5").unlink()
    results = evaluate_run(folder, without_events=True)
    assert results.galleries == ()
    assert [one.name for one in results.head("multiplicity").baselines] == ["constant"]
    assert "as asked" in results.data["at evaluation"]


def note_checksums(folder: Path) -> None:
    """Complete a made run as a training would: checksums of events, model and predictions."""
    data = folder.parent / "made.h5"
    (folder / "model.safetensors").write_bytes(b"a model")
    record = runs.read_provenance(folder)
    sha256 = runs.file_checksums([data])
    record["data"] |= {"sha256": sha256, "places": file_records([data], folder, sha256)}
    runs.write_provenance(folder, record | {"written": written_checksums(folder)})


def train_again(folder: Path, status: str = "finished") -> None:
    """Give a run another model, as a training that is resumed does."""
    (folder / "model.safetensors").write_bytes(b"another model")
    record = runs.read_provenance(folder)
    kept = {name: value for name, value in record.items() if name not in ("evaluation", "evaluated")}
    runs.write_provenance(folder, kept | {"written": written_checksums(folder), "status": status})


def test_events_made_again_under_their_name_are_refused(make_run, make_cebr, undrawn) -> None:
    from hitlens.io.native_writer import NativeWriter

    folder = make_run("multiplicity", 120)
    note_checksums(folder)
    with NativeWriter(folder.parent / "made.h5", "cebr") as writer:
        writer.write(make_cebr(120, seed=2))
    with pytest.raises(DataError, match="changed or made again"):
        evaluate_run(folder)
    assert readings_of(folder) == ()


@pytest.mark.parametrize("name", ["predictions.parquet", "model.safetensors"])
def test_what_the_training_wrote_is_compared(make_run, undrawn, name: str) -> None:
    folder = make_run("multiplicity", 120)
    note_checksums(folder)
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(RunError, match=rf"{name} is not what the training wrote"):
        evaluate_run(folder)
    assert readings_of(folder) == ()


def test_an_interrupted_run_is_evaluated_when_asked_and_said_so(make_run) -> None:
    folder = make_run("multiplicity", 120, baselines=False)
    note_checksums(folder)
    train_again(folder, status="interrupted")
    with pytest.raises(RunError, match="--interrupted"):
        evaluate_run(folder)
    evaluate_run(folder, interrupted=True)
    assert "interrupted" in read_results(folder / "metrics.json").data["training"]
    assert "best epoch so far" in (folder / "report.html").read_text(encoding="utf-8")


def test_numbers_of_an_earlier_model_are_set_aside_and_its_reading_is_listed(make_run, undrawn) -> None:
    folder = make_run("multiplicity", 120, baselines=False)
    note_checksums(folder)
    first = evaluate_run(folder)
    train_again(folder)
    with pytest.raises(RunError, match="of another model than it holds now"):
        write_report(folder)
    assert read_results(folder / "outdated" / "1" / "metrics.json") == first
    assert not (folder / "metrics.json").exists()
    assert list_runs([folder])["run"].to_list() == [str(folder)]
    second = evaluate_run(folder)
    assert [one.model for one in second.readings] == [
        first.made_from["model.safetensors"],
        second.made_from["model.safetensors"],
    ]
    assert "an earlier model" in reading_warnings(second)[0]
    with pytest.raises(RunError, match="--again"):
        evaluate_run(folder)


def test_lists_of_runs_leave_out_numbers_of_another_model(make_run, undrawn) -> None:
    folder = make_run("multiplicity", 120, baselines=False)
    note_checksums(folder)
    evaluate_run(folder)
    assert "test.accuracy" in list_runs([folder]).columns
    train_again(folder)
    assert "test.accuracy" not in list_runs([folder]).columns


def test_results_of_version_0_1_0_are_told_by_their_time(make_run, undrawn) -> None:
    folder = make_run("multiplicity", 120, baselines=False)
    results = evaluate_run(folder)
    old = replace(results, made_from={}, readings=(Reading("2026-01-02T00:00:00+00:00", "test", 0.5),))
    write_results(old, folder / "metrics.json")
    record = {k: v for k, v in runs.read_provenance(folder).items() if k not in ("readings", "evaluated")}
    runs.write_provenance(folder, record | {"finished": "2026-01-01T00:00:00+00:00"})
    with pytest.raises(RunError, match="--again"):
        evaluate_run(folder)
    runs.write_provenance(folder, record | {"finished": "2026-01-03T00:00:00+00:00"})
    assert len(evaluate_run(folder).readings) == 2
    assert (folder / "outdated" / "1" / "metrics.json").is_file()


@pytest.mark.parametrize("last_done", ["evaluate", "write_results", "write_run_report", "note_readings"])
def test_an_evaluation_that_was_killed_is_finished_as_the_same_reading(
    make_run, undrawn, monkeypatch: pytest.MonkeyPatch, last_done: str
) -> None:
    folder = make_run("multiplicity", 120, baselines=False)
    note_checksums(folder)
    kill_after(monkeypatch, last_done)
    with pytest.raises(KeyboardInterrupt):
        evaluate_run(folder)
    [begun] = readings_of(folder)
    monkeypatch.undo()
    monkeypatch.setattr(galleries, "draw_gallery", lambda gallery, view: None)
    monkeypatch.setattr(galleries, "figure_to_bytes", lambda figure, file_format, dpi: b"")
    monkeypatch.setattr(reporting, "render_report", lambda content: ("", ()))
    with pytest.raises(RunError, match=r"--cut 0\.5"):
        evaluate_run(folder, cut=0.7)
    [done] = evaluate_run(folder).readings
    assert (done.when, done.finished) == (begun.when, True)
    with pytest.raises(RunError, match="was evaluated before"):
        evaluate_run(folder)


def kill_after(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """End an evaluation right after one of its steps."""
    step = getattr(evaluation, name)

    def step_and_die(*args, **kwargs):
        step(*args, **kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation, name, step_and_die)


def test_a_report_says_which_galleries_it_lacks(make_run, caplog) -> None:
    folder = make_run("multiplicity", 120, baselines=False)
    results = evaluate_run(folder)
    name = results.galleries[0].name
    (folder / "figures" / f"{name}.png").write_bytes(b"another picture")
    with caplog.at_level(logging.WARNING):
        page = write_report(folder).read_text(encoding="utf-8")
    assert f"lacks 1 of {len(results.galleries)} galleries" in caplog.text
    assert "galleries left out" in page


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
