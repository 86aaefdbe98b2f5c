"""The first table of a report: every head with its numbers, and the baselines' beside them."""

from __future__ import annotations

import pytest

from hitlens.detectors.cebr import DETECTOR
from hitlens.evaluate import EvaluateConfig, Results, evaluate
from hitlens.report.summary import best_cut_table, summary_table, task_table

FAST = EvaluateConfig(n_bootstrap=20, n_bootstrap_slices=20, metadata=False)


@pytest.fixture(scope="module")
def joint(make_predictions) -> Results:
    return evaluate(make_predictions("joint", 600)[0], DETECTOR.model_copy(update={"slices": ()}), FAST)


@pytest.fixture(scope="module")
def many(two_views, make_two_view_predictions) -> Results:
    return evaluate(make_two_view_predictions(400)[0], two_views, FAST)


def texts(found) -> list[list[str]]:
    return [[cell.text for cell in row] for row in found.rows]


def test_few_heads_have_all_their_numbers(joint: Results) -> None:
    summary = texts(summary_table(joint))
    assert [row[1] for row in summary if row[0] == "multiplicity"] == [
        "accuracy",
        "balanced accuracy",
        "MCC",
        "AUC",
    ]
    assert [row[1] for row in summary if row[0] == "single"] == [
        "rmse of energy", "mae of energy", "R² of energy",
        "rmse of x and y", "mae of x and y", "R² of x and y",
    ]  # fmt: skip


def test_many_heads_have_two_numbers_each_beside_the_constant(many: Results) -> None:
    found = summary_table(many)
    assert found.columns[2:] == ("model [95 % interval]", "constant answer")
    rows = texts(found)
    assert [row[:2] for row in rows] == [
        ["numu_cc", "AUC"],
        ["numu_cc", "balanced accuracy"],
        ["flavour", "AUC"],
        ["flavour", "balanced accuracy"],
        ["nu_energy", "R² of nuenergy"],
        ["nu_energy", "relative resolution of nuenergy"],
        ["lepton_energy", "R² of lepenergy"],
        ["lepton_energy", "relative resolution of lepenergy"],
    ]
    metric = many.head("numu_cc").metric("auc")
    assert rows[0][2] == str(metric.interval)
    assert rows[0][3].startswith("0.5")
    assert found.rows[4][3].verdict == "good"


def test_what_each_task_was_evaluated_on(many: Results) -> None:
    rows = texts(task_table(many))
    counts = many.head("flavour").class_counts
    names = ("numu", "nue", "nc_other")
    assert rows[1][:3] == [
        "flavour",
        f"{sum(counts)}",
        ", ".join(f"{name}: {n}" for name, n in zip(names, counts, strict=True)),
    ]


def test_the_best_cut_says_where_it_was_chosen(many: Results) -> None:
    task = many.head("numu_cc")
    found = best_cut_table(task)
    n_validation = many.n_events_by_split["validation"]
    assert f"chosen on {n_validation} validation events" in found.caption
    assert texts(found)[0] == ["cut", f"{task.best_cut.cut:.4f}"]
    assert best_cut_table(many.head("flavour")) is None
