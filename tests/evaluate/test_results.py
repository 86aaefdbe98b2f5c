"""Results survive metrics.json, and names that are not there are answered with those that are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hitlens.errors import FileFormatError, NotFoundError
from hitlens.evaluate import results as module
from hitlens.evaluate.results import (
    BaselineResult,
    Curve,
    Histogram,
    Map,
    MetricResult,
    Picture,
    Reading,
    Results,
    SliceResult,
    TaskResult,
    read_results,
    results_from_json,
    results_to_json,
    write_results,
)
from hitlens.metrics.interval import Interval

SLICE = SliceResult(
    "separation_px", "separation", "px", "model", "accuracy", "", "", (0.0, 1.0, 2.0), (5, 0),
    (Interval(0.5, 0.4, 0.6), None), "model",
)  # fmt: skip
TASK = TaskResult(
    task="multiplicity",
    kind="binary",
    meaning="one electron or two",
    n_events=5,
    n_excluded={"true class unknown": 2},
    class_names=("single", "double"),
    class_counts=(2, 3),
    cut=0.5,
    metrics=(MetricResult("accuracy", Interval(0.9, 0.8, 1.0)), MetricResult("auc", None)),
    confusion=((2, 0), (1, 2)),
    slices=(SLICE,),
    baselines=(BaselineResult("constant", "the prior", True, 5, (), (), (), None, 0),),
    curves=(Curve("roc model", {"background_efficiency": (0.0, 1.0), "signal_efficiency": (0.0, 1.0)}),),
    histograms=(Histogram("score", "score [a\n [ b ]", (0.0, 0.5, 1.0), {"single": (1, 1)}),),
    maps=(Map("energy_mev", "MeV", (0.0, 1.0), (0.0, 1.0), ((3,),), 1),),
)
RESULTS = Results(
    "cebr", "multiplicity", "test", 7, {"validation": 3, "test": 7}, (TASK,), 0.95, 100, 1,
    (Reading("2026-01-01T00:00:00+00:00", "test", 0.5),), {"files": "a.h5"}, (Picture("a", "b", "c", "d"),),
)  # fmt: skip


def test_json_gives_back_every_field(tmp_path: Path) -> None:
    path = write_results(RESULTS, tmp_path / "metrics.json")
    assert read_results(path) == RESULTS
    assert json.loads(path.read_text())["tasks"][0]["confusion"] == [[2, 0], [1, 2]]


def test_numbers_that_are_not_finite_are_refused() -> None:
    bad = MetricResult("accuracy", Interval(float("nan"), 0.0, 1.0))
    task = TaskResult("a", "binary", "", 1, {}, metrics=(bad,))
    with pytest.raises(ValueError, match="JSON compliant"):
        results_to_json(Results("cebr", "a", "test", 1, {}, (task,), 0.95, 20, 1))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1}', results_to_json(RESULTS)[:200]])
def test_what_is_not_results_is_refused_by_name(text: str) -> None:
    with pytest.raises(FileFormatError, match=r"m\.json.*Evaluate the run again"):
        results_from_json(text, "m.json")


def test_newer_files_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    text = results_to_json(RESULTS)
    monkeypatch.setattr(module, "FORMAT_VERSION", 0)
    with pytest.raises(FileFormatError, match="newer"):
        results_from_json(text)


def test_missing_files_say_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="hitlens evaluate"):
        read_results(tmp_path / "metrics.json")


def test_look_ups() -> None:
    assert RESULTS.head("multiplicity").metric("accuracy").interval == Interval(0.9, 0.8, 1.0)
    assert TASK.slice("separation_px", "accuracy") == SLICE
    assert TASK.baseline("constant").trivial
    for ask in (
        lambda: RESULTS.head("energy"),
        lambda: TASK.metric("rmse", "energy"),
        lambda: TASK.baseline("fit"),
        lambda: TASK.slice("separation_px", "auc"),
    ):
        with pytest.raises(NotFoundError, match="There are"):
            ask()
