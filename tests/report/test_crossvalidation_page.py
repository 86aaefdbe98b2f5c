from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from hitlens.detectors import get_detector
from hitlens.evaluate.baselines import BaselineColumns
from hitlens.evaluate.config import EvaluateConfig
from hitlens.evaluate.crossvalidation import CrossValidation, evaluate_folds
from hitlens.evaluate.predictions import Predictions
from hitlens.report import crossvalidation_page as page

Make = Callable[..., tuple[Predictions, object]]


def made(make_predictions: Make, task: str, n_events: int, n_repeats: int = 2) -> CrossValidation:
    """Make a cross-validation of three folds, beside a method that always answers the same."""
    repeats, folds, beside = [], [], []
    for seed in range(1, n_repeats + 1):
        one = make_predictions(task, n_events, 1)[0]
        if seed > 1 and f"score_{task}" in one.table.columns:  # another training of the same events
            score = one.table[f"score_{task}"].to_numpy()
            noisy = np.clip(score + np.random.default_rng(seed).normal(0, 0.1, len(score)), 0, 1)
            one = one.with_table(one.table.with_columns(**{f"score_{task}": noisy}))
        one = one.with_table(one.table.filter(one.table["split"] == "test"))
        rows = np.arange(len(one))
        repeats.append(one)
        folds.append([one.with_table(one.table[rows[rows % 3 == fold]]) for fold in range(3)])
        columns = {
            head.name: {head.name: np.full(len(one), 0.2)} for head in one.heads if head.is_classification
        }
        beside.append([BaselineColumns("guess", "guesses", rows, columns)] if columns else [])
    heads, first = evaluate_folds(
        folds,
        repeats,
        beside,
        get_detector("cebr"),
        EvaluateConfig(n_bootstrap=50, n_bootstrap_slices=20),
    )
    sizes = ((100, 100, 100),) * n_repeats
    return CrossValidation(
        "Made",
        "cebr",
        task,
        3,
        n_repeats,
        len(repeats[0]),
        sizes,
        sizes,
        sizes,
        heads,
        first,
        61.0,
        1234,
        {},
        "a: 1",
    )


@pytest.fixture(scope="module")
def binary(make_predictions: Make) -> CrossValidation:
    return made(make_predictions, "multiplicity", 300)


def test_the_summary_has_every_method_beside_the_model(binary: CrossValidation) -> None:
    summary = page.summary_table(binary)
    assert summary.columns == ("task", "metric", "model", "constant answer", "guess")
    assert [row[1].text for row in summary.rows] == ["accuracy", "AUC"]
    assert all("[" in row[2].text for row in summary.rows)


def test_differences_are_judged(binary: CrossValidation) -> None:
    rows = page.method_table(binary.heads[0]).rows
    assert [row[1].text for row in rows[:3]] == ["model", "constant answer", "guess"]
    assert rows[0][3].text == ""
    assert {row[3].verdict for row in rows[1:3]} == {"good"}


def test_limits_say_what_cannot_be_told_apart(make_predictions: Make, binary: CrossValidation) -> None:
    found = page.limits(binary.heads[0], "95 %")
    assert found[0].startswith("multiplicity: 200 events give the accuracy to about ±0.0")
    assert any("is better than the constant answer" in text for text in found)
    few = made(make_predictions, "multiplicity", 12, 1).heads[0]
    assert any("cannot tell the model from" in text for text in page.limits(few, "95 %"))
    assert page.limits(replace(few, metrics=(), by_fold=()), "95 %") == []


def test_spreads_stand_in_their_table(binary: CrossValidation) -> None:
    table = page.spread_table(binary.heads[0])
    accuracy = table.rows[0]
    assert accuracy[0].text == "accuracy"
    assert len(accuracy[3].text.split(", ")) == 2
    assert float(accuracy[2].text) > 0
    assert len(page.deal_table(binary).rows) == 6


def test_folds_without_a_number_are_counted(binary: CrossValidation) -> None:
    """A fold that has not both classes has no AUC: neither lowest nor highest may hide it."""
    head = binary.heads[0]
    folds = ((0.75, None, 0.5), (None, 0.625, 0.5))
    holed = replace(head, by_fold=tuple(replace(one, folds=folds) for one in head.by_fold))
    assert {row[1].text for row in page.spread_table(holed).rows} == {
        "0.5 to 0.75; undefined in 2 of 6 folds"
    }


def test_the_page_holds_all_of_it(binary: CrossValidation) -> None:
    text = page.render_cross_validation(binary, get_detector("cebr"))
    for words in (
        "What this can show",
        "averaged over the 2 repeats",
        "repeat 2, fold 3",
        "guesses.",
        "a: 1",
    ):
        assert words in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert text.count("<figure") > 3


@pytest.mark.parametrize("task", ["double", pytest.param("joint", marks=pytest.mark.slow)])
def test_values_and_joint_tasks(make_predictions: Make, task: str) -> None:
    found = made(make_predictions, task, 90, 1)
    text = page.render_cross_validation(found, get_detector("cebr"))
    assert "averaged over" not in text
    for head in found.heads:
        assert f'id="task-{head.task}"' in text
        assert page.limits(head, "95 %")
    metrics = [row[1].text for row in page.summary_table(found).rows if row[0].text == "double"]
    assert metrics == ["rmse of energy", "rmse of x and y", "R² of energy", "R² of x and y"]


def test_a_table_of_classes_is_for_several(binary: CrossValidation) -> None:
    assert page.class_table(binary.heads[0]) is None
