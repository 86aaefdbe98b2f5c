"""Trials in order, with short names and values, on axes that most of them fill."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from hitlens.report.tune_trials import (
    bare_settings,
    beyond,
    decimals,
    finished,
    levels,
    of_stage,
    ranked,
    reached,
    score_decimals,
    settings_text,
    short_names,
    shown_range,
    value_of,
    worst_of_last,
)
from hitlens.tune.results import Parameter, TuneResults


def test_the_best_come_first_and_the_failed_last(searches: dict[str, TuneResults]) -> None:
    found = searches["tpe"]
    order = ranked(found.trials, found.objectives[0])
    assert [trial.state for trial in order] == ["finished"] * 29 + ["pruned"] * 8 + ["failed"] * 3
    scores = [reached(trial, "score") for trial in order[:29]]
    assert scores == sorted(scores, key=lambda score: -(score or 0))
    assert order[0].number == found.best[0]
    low = searches["two_objectives"]
    assert ranked(low.trials, low.objectives[0])[0].number == low.chosen


def test_of_alike_trials_the_smaller_comes_first(searches: dict[str, TuneResults]) -> None:
    found = searches["grid"]
    small, large = (replace(found.trials[k], objectives={"score": 0.9}) for k in (2, 1))
    assert [t.number for t in ranked([large, small], found.objectives[0])] == [2, 1]


def test_repeats_are_no_trials_of_the_search(searches: dict[str, TuneResults]) -> None:
    found = searches["grid"]
    assert len(of_stage(found, "search")) == len(finished(found)) == 18
    assert len(found.trials) == 25


def test_what_has_no_value_has_none(searches: dict[str, TuneResults]) -> None:
    failed = next(trial for trial in searches["tpe"].trials if trial.state == "failed")
    assert reached(failed, "score") is None
    assert worst_of_last(failed) is None
    assert reached(replace(failed, objectives={"score": math.nan}), "score") is None


def test_settings_are_told_shortly(searches: dict[str, TuneResults]) -> None:
    grid, tpe = searches["grid"], searches["tpe"]
    assert settings_text(grid, grid.trials[3]) == "dropout 0.4, dropout_final 0.5, last_features 128"
    assert bare_settings(grid, grid.trials[3]) == "0.4 / 0.5 / 128"
    assert bare_settings(tpe, tpe.trials[0], most=10) == ""
    rate = tpe.parameters[0]
    assert value_of(replace(tpe.trials[0], values={rate.path: 0.00123456}), rate) == "0.00123"
    assert value_of(replace(tpe.trials[0], values={}), rate) == "-"


def test_names_that_end_alike_keep_what_tells_them_apart() -> None:
    names = short_names([Parameter("a.x.rate"), Parameter("b.x.rate"), Parameter("b.y.rate")])
    assert names == {"a.x.rate": "a.x.rate", "b.x.rate": "b.x.rate", "b.y.rate": "y.rate"}


def test_levels_are_the_choices_or_few_numbers(searches: dict[str, TuneResults]) -> None:
    tpe = searches["tpe"]
    found = {parameter.path: levels(parameter, tpe.trials) for parameter in tpe.parameters}
    assert found["train.learning_rate"] == ()
    assert found["model.settings.n_blocks"] == ("2", "3", "4", "5", "6")
    assert found["model.scaling"] == ("[log1p]", "[log1p, shape]", "[linear]")
    assert levels(Parameter("x", tuple(range(40))), tpe.trials) == ()


def test_a_hopeless_trial_does_not_set_the_scale() -> None:
    low, high = shown_range([0.5, 0.981, 0.984, 0.985, 0.986], True)
    assert 0.97 < low < 0.981
    assert 0.986 < high < 0.99
    low, high = shown_range([0.03, 0.031, 0.035, 9.0], False)
    assert low < 0.03 < 0.035 < high < 0.1
    for values in ([], [0.5], [0.5, 0.5], [None, math.nan]):
        low, high = shown_range(values, True)
        assert low < high


def test_pruned_trials_do_not_coarsen_the_scores(searches: dict[str, TuneResults]) -> None:
    assert score_decimals(searches["tpe"]) == 4
    assert decimals([]) == decimals([None]) == 4
    rng = np.random.default_rng(1)
    assert decimals(rng.uniform(100, 900, 50)) == 0


@pytest.mark.parametrize(
    ("values", "side"), [([1.0], "neither"), ([0.0], "min"), ([3.0], "max"), ([0.0, 3.0], "both")]
)
def test_a_colour_bar_shows_what_lies_beyond(values: list[float], side: str) -> None:
    assert beyond(values, (0.5, 2.0)) == side
