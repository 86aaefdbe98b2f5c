"""Trials of a search trained with several seeds: how far the luck of one training goes."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from hitlens.metrics.interval import Interval
from hitlens.report.tune_trials import by_number, reached
from hitlens.tune.results import Finalist, TuneResults


def is_repeated(found: TuneResults) -> bool:
    """Return whether any settings were trained with several seeds."""
    return any(len(one.trials) > 1 for one in found.finalists)


def seed_scores(found: TuneResults, one: Finalist) -> list[float]:
    """Return the first objective of each seed of a finalist that finished."""
    trials, name = by_number(found), found.objectives[0].name
    mine = (trials[number] for number in one.trials if number in trials)
    scores = (reached(trial, name) for trial in mine if trial.state == "finished")
    return [score for score in scores if score is not None]


def seed_difference(found: TuneResults, one: Finalist) -> Interval | None:
    """Return the mean of a finalist over its seeds minus that of the chosen one.

    The interval is Welch's (Biometrika 34 (1947) 28), from the scatter of both sets of seeds.

    Returns:
        None for the chosen finalist, and where either has fewer than two seeds.
    """
    chosen = found.finalists[0]
    mine, first = seed_scores(found, one), seed_scores(found, chosen)
    if one.trial == chosen.trial or min(len(mine), len(first)) < 2:
        return None
    difference = float(np.mean(mine) - np.mean(first))
    parts = [float(np.var(scores, ddof=1)) / len(scores) for scores in (mine, first)]
    if sum(parts) == 0:
        return Interval(difference, difference, difference, found.level)
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(scores) - 1) for part, scores in zip(parts, (mine, first), strict=True)
    )
    half = float(stats.t.ppf(0.5 + found.level / 2, freedom)) * math.sqrt(sum(parts))
    return Interval(difference, difference - half, difference + half, found.level)


def scatter_of_seeds(found: TuneResults) -> float | None:
    """Return the standard deviation of single trainings over seeds, pooled over the finalists.

    Returns:
        None where no finalist has two seeds.
    """
    scores = [mine for one in found.finalists if len(mine := seed_scores(found, one)) > 1]
    freedom = sum(len(mine) - 1 for mine in scores)
    squares = sum(float(np.var(mine)) * len(mine) for mine in scores)
    return math.sqrt(squares / freedom) if freedom else None
