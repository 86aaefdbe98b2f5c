"""Which trials are best, and which settings are chosen over seeds."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from hitlens.evaluate.study import Stability, VariantResult
from hitlens.tune.results import Objective, TrialResult, TrialState
from hitlens.tune.selection import candidates, judge_finalists, not_beaten, ranking, say_why

SCORE = Objective("score", "validation accuracy", "", True)
LOSS = Objective("score", "validation loss", "", False)
SIZE = Objective("parameters", "parameters", "", False)


def trial(number: int, score: float, size: int = 100, state: TrialState = "finished") -> TrialResult:
    run = VariantResult("", {}, (), {}, 0, Stability(1, score, 0, 0), 1.0, size, "")
    values = {"score": score, "parameters": float(size)}
    return TrialResult(number, "search", {}, 1, state, values, run, {}, None, "")


def numbers(trials: Sequence[TrialResult]) -> list[int]:
    return [one.number for one in trials]


def test_the_best_first_and_of_those_alike_the_smallest() -> None:
    trials = [trial(0, 0.8), trial(1, 0.9, 200), trial(2, 0.9, 100), trial(3, 0.99, state="pruned")]
    assert numbers(ranking(trials, [SCORE])) == [2, 1, 0]
    assert numbers(ranking(trials, [LOSS])) == [0, 2, 1]
    assert not_beaten(trials, [SCORE]) == (2,)
    assert not_beaten([], [SCORE]) == ()


def test_a_front_has_what_no_other_beats_in_everything() -> None:
    trials = [
        trial(0, 0.8, 50),
        trial(1, 0.9, 100),
        trial(2, 0.85, 100),
        trial(3, 0.95, 300),
        trial(4, 0.8, 50),
    ]
    assert not_beaten(trials, [SCORE, SIZE]) == (3, 1, 0, 4)


def test_finalists_are_of_the_front_first() -> None:
    trials = [trial(0, 0.8, 50), trial(1, 0.9, 100), trial(2, 0.89, 200), trial(3, 0.95, 300)]
    assert numbers(candidates(trials, [SCORE, SIZE], 4)) == [3, 1, 0, 2]
    assert numbers(candidates(trials, [SCORE], 2)) == [3, 1]
    assert candidates(trials, [SCORE], 0) == []


def test_the_mean_over_seeds_decides_not_the_luckiest() -> None:
    repeats = {
        5: (trial(5, 0.99), trial(8, 0.80), trial(9, 0.85)),
        2: (trial(2, 0.95), trial(10, 0.94), trial(11, 0.93)),
    }
    first, second = judge_finalists(repeats, SCORE)
    assert (first.trial, first.trials) == (2, (2, 10, 11))
    assert first.mean == pytest.approx(0.94)
    assert first.spread == pytest.approx(0.01)
    assert (first.worst, second.worst) == (0.93, 0.80)
    assert judge_finalists(repeats, LOSS)[0].trial == 5
    assert judge_finalists(repeats, LOSS)[0].worst == 0.99


def test_of_means_alike_the_smaller_network_is_chosen() -> None:
    repeats = {1: (trial(1, 0.9, 300), trial(3, 0.8)), 2: (trial(2, 0.85, 100), trial(4, 0.85))}
    finalists = judge_finalists(repeats, SCORE)
    assert finalists[0].trial == 2
    assert "of the two it has no more parameters" in say_why(finalists, SCORE, 2)


def test_one_of_which_a_seed_failed_comes_last() -> None:
    repeats = {1: (trial(1, 0.99), trial(3, 0, state="failed")), 2: (trial(2, 0.85), trial(4, 0.85))}
    finalists = judge_finalists(repeats, SCORE)
    assert [one.trial for one in finalists] == [2, 1]
    assert finalists[1].mean == 0.99


def test_one_finalist_is_chosen_without_a_comparison() -> None:
    (only,) = judge_finalists({1: (trial(1, 0.9), trial(2, 0.8))}, SCORE)
    assert say_why([only], SCORE, 2).endswith("0.85 +- 0.071.")
