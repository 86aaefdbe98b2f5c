"""Mean and standard deviation over seeds, and what they say of small differences."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hitlens.evaluate.results import MetricResult
from hitlens.evaluate.study import StudyResults, VariantHead, VariantResult, stability
from hitlens.metrics.interval import Interval
from hitlens.report.seed_spread import is_of_seeds, spread_sentences, spread_table
from hitlens.report.study_page import render_study, weights_sentence


def metric(name: str, value: float | None) -> MetricResult:
    return MetricResult(name, None if value is None else Interval(value, value - 0.01, value + 0.01))


def seed(number: int, accuracy: float, mcc: float | None) -> VariantResult:
    metrics = (metric("accuracy", accuracy), metric("mcc", mcc))
    differences = () if number == 1 else metrics
    history = {"epoch": (0.0,), "val_metric": (accuracy,), "lr": (0.1,)}
    return VariantResult(
        name=f"seed{number}",
        settings={"train.seed": str(number)},
        heads=(VariantHead("multiplicity", 500, metrics, differences),),
        history=history | {"train_loss": (0.5,), "val_loss": (0.5,)},
        best_epoch=0,
        stability=stability([accuracy], True),
        seconds=10.0,
        n_parameters=100,
        initial_weights=f"{number:064x}",
    )


@pytest.fixture
def study() -> StudyResults:
    return StudyResults(
        title="Mine, 3 seeds",
        question="How much?",
        detector="cebr",
        task="multiplicity",
        monitor="val_accuracy",
        higher_is_better=True,
        n_events_by_split={"train": 1500, "validation": 500, "test": 500},
        split_hash="cd" * 32,
        level=0.95,
        n_bootstrap=50,
        constants={},
        variants=(seed(1, 0.90, 0.8), seed(2, 0.92, 0.84), seed(3, 0.94, None)),
        machine={"processor": "made"},
        settings="detector: cebr\n",
    )


def test_only_seeds_make_a_study_of_seeds(study: StudyResults) -> None:
    assert is_of_seeds(study.variants)
    other = replace(study.variants[0], settings={"train.seed": "1", "train.epochs": "3"})
    assert not is_of_seeds((other, *study.variants[1:]))


def test_mean_and_standard_deviation_are_over_the_seeds(study: StudyResults) -> None:
    found = spread_table(study, 0)
    rows = [[cell.text for cell in row] for row in found.rows]  # type: ignore[attr-defined]
    assert [row[1:] for row in rows] == [
        ["0.92", "0.02", "0.9", "0.94", "3"],
        ["0.82", "0.028", "0.8", "0.84", "2"],
    ]


def test_the_sentence_says_what_may_be_luck(study: StudyResults) -> None:
    (sentence,) = spread_sentences(study, 0)
    assert "is 0.92 on average over 3 seeds, with a standard deviation of 0.02" in sentence
    assert "a difference below 0.057 may be the luck of their seeds" in sentence  # 2 sqrt(2) of it


def test_the_page_shows_the_spread_and_keeps_to_the_truth_about_weights(study: StudyResults) -> None:
    assert weights_sentence(study.variants).endswith("weights of its own, drawn from its seed.")
    page = render_study(study)
    assert "from seed to seed" in page
    assert "may be the luck of their seeds" in page
    assert "do not cover the luck of one training" not in page
    assert "same initial weights" not in page
