"""Worst slices and dependences in words: certain ones are listed, noise never."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hitlens.evaluate.findings import Dependence, Influence, WorstSlice
from hitlens.evaluate.results import Results, TaskResult, results_from_json, results_to_json
from hitlens.metrics.interval import Interval
from hitlens.report.findings import findings_summary, findings_tables


def near(value: float) -> Interval:
    return Interval(value, value - 0.02, value + 0.02)


@pytest.fixture
def task() -> TaskResult:
    words = {"words": "y 0.8 to 1; hits 0 to 50", "condition": "y >= 0.8 AND seen_hits < 50"}
    bad = WorstSlice(
        **words, metric="balanced_accuracy", column="", unit="", classes=("no", "yes"), found=0.6,
        n_found=90, n_events=80, value=near(0.65), rest=near(0.9),
    )  # fmt: skip
    luck = WorstSlice(
        **words, metric="relative_resolution", column="e_gev", unit="", classes=(), found=0.6, n_found=90,
        n_events=80, value=near(0.41), rest=near(0.4),
    )  # fmt: skip
    influences = (
        Influence("y", "inelasticity", near(0.2), near(0.7)),
        Influence("e", "energy", near(0.03), None),
        Influence("noise", "random numbers", near(0.025), near(0.5)),
    )
    both = Dependence("auc", "", 1000, near(0.8), influences), Dependence("r2", "e_gev", 9, None, ())
    return TaskResult("cc", "binary", "cc", 1000, {}, worst_slices=(bad, luck), dependences=both)


def test_only_what_is_certainly_worse_is_listed(task: TaskResult) -> None:
    slices = findings_tables(task)[0]
    assert slices.columns[0] == "worst slice"
    [bad] = slices.rows
    assert [cell.text for cell in bad[:3]] == [
        "y 0.8 to 1; hits 0 to 50",
        "balanced accuracy of no, yes",
        "0.6",
    ]
    assert (bad[3].text, bad[3].verdict, bad[4].text) == ("0.650 [0.630, 0.670]", "bad", "80")
    assert bad[6].text == "-0.250 [-0.278, -0.222]"
    assert bad[7].text == "y >= 0.8 AND seen_hits < 50"
    only_luck = replace(task, worst_slices=task.worst_slices[1:])
    assert "worst slice" not in [one.columns[0] for one in findings_tables(only_luck)]


def test_importances_stand_out_from_noise_only(task: TaskResult) -> None:
    _, right, size = findings_tables(task)
    assert "being right" in right.caption
    assert "AUC 0.800 [0.780, 0.820]" in right.caption
    assert [row[2].verdict for row in right.rows] == ["good", "", ""]
    assert right.rows[1][3].text == "-"
    assert "size of the error of e" in size.caption


def test_a_summary_has_a_line_for_the_worst_and_for_each_dependence(task: TaskResult) -> None:
    other = TaskResult("e", "regression", "e", 10, {})
    results = Results("demo", "joint", "test", 1000, {}, (task, other), level=0.95, n_bootstrap=10, seed=1)
    results = replace(results, tasks=(replace(task, dependences=task.dependences[:1]), other))
    found = findings_summary(results)
    assert found is not None
    worst, depends = ([cell.text for cell in row] for row in found.rows)
    assert worst[1] == "worst where y 0.8 to 1; hits 0 to 50"
    assert depends[1:3] == ["depends on inelasticity", "importance for being right"]
    assert found.rows[0][3].verdict == "bad"
    assert findings_summary(replace(results, tasks=(other,))) is None


def test_nothing_looked_for_gives_no_table() -> None:
    assert findings_tables(TaskResult("cc", "binary", "cc", 10, {})) == []


def test_they_go_to_json_and_back_and_old_results_have_none(task: TaskResult) -> None:
    results = Results("demo", "cc", "test", 1000, {}, (task,), level=0.95, n_bootstrap=10, seed=1)
    text = results_to_json(results)
    assert results_from_json(text) == results
    import json

    content = json.loads(text)
    for name in ("worst_slices", "dependences"):
        del content["tasks"][0][name]
    old = results_from_json(json.dumps(content))
    assert old.tasks[0].worst_slices == old.tasks[0].dependences == ()
