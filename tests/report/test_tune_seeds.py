"""The luck of the seeds: differences of means and the scatter of one training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from hitlens.report.tune_seeds import scatter_of_seeds, seed_difference, seed_scores
from hitlens.tune.results import TrialResult, TuneResults


def with_scores(found: TuneResults, scores: dict[int, float]) -> TuneResults:
    def changed(trial: TrialResult) -> TrialResult:
        return replace(trial, objectives={"score": scores.get(trial.number, trial.objectives["score"])})

    return replace(found, trials=tuple(map(changed, found.trials)))


def test_the_difference_is_that_of_welch(searches: dict[str, TuneResults]) -> None:
    found = searches["grid"]
    chosen, other, _ = found.finalists
    assert seed_difference(found, chosen) is None
    interval = seed_difference(found, other)
    assert interval is not None
    mine, first = seed_scores(found, other), seed_scores(found, chosen)
    expected = stats.ttest_ind(mine, first, equal_var=False).confidence_interval(0.95)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    assert interval.value == pytest.approx(other.mean - chosen.mean)


def test_seeds_without_scatter_differ_for_certain(searches: dict[str, TuneResults]) -> None:
    found = searches["grid"]
    chosen, other, _ = found.finalists
    same = with_scores(found, dict.fromkeys(chosen.trials, 0.9) | dict.fromkeys(other.trials, 0.8))
    interval = seed_difference(same, other)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((-0.1, -0.1))


def test_failed_seeds_do_not_count(searches: dict[str, TuneResults]) -> None:
    found = searches["grid"]
    one = found.finalists[1]
    lost = one.trials[1:]
    trials = tuple(
        replace(t, state="failed", objectives={}, run=None) if t.number in lost else t for t in found.trials
    )
    fewer = replace(found, trials=trials)
    assert len(seed_scores(fewer, one)) == 1
    assert seed_difference(fewer, one) is None


def test_the_scatter_is_pooled(searches: dict[str, TuneResults]) -> None:
    found = searches["grid"]
    variances = [np.var(seed_scores(found, one), ddof=1) for one in found.finalists]
    assert scatter_of_seeds(found) == pytest.approx(np.sqrt(np.mean(variances)))
    assert scatter_of_seeds(searches["tpe"]) is None
