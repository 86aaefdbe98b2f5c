"""Which trials are best, and which settings are chosen when their seeds are looked at."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from hitlens.tune.results import Finalist, Objective, TrialResult


def not_beaten(trials: Sequence[TrialResult], objectives: Sequence[Objective]) -> tuple[int, ...]:
    """Return the numbers of the trials no other is better than in all objectives, the best first one first.

    With one objective that is the best one; of several alike the one with the fewest parameters.

    Args:
        trials: of the search; those that did not finish are passed over.
        objectives: the first one first.
    """
    ranked = ranking(trials, objectives)
    if len(objectives) == 1:
        return tuple(one.number for one in ranked[:1])
    front = [
        one
        for one in ranked
        if not any(_beats(other, one, objectives) for other in ranked if other is not one)
    ]
    return tuple(one.number for one in front)


def ranking(trials: Sequence[TrialResult], objectives: Sequence[Objective]) -> list[TrialResult]:
    """Return the finished trials by the first objective, the best first.

    Args:
        trials: of the search.
        objectives: the first one first.
    """
    finished = [one for one in trials if one.state == "finished"]
    return sorted(finished, key=lambda one: _place(one, objectives[0]))


def candidates(
    trials: Sequence[TrialResult], objectives: Sequence[Objective], count: int
) -> list[TrialResult]:
    """Return the best few trials: those no other beats first, then by the first objective.

    Args:
        trials: of the search.
        objectives: the first one first.
        count: how many.
    """
    front = not_beaten(trials, objectives)
    return sorted(ranking(trials, objectives), key=lambda one: one.number not in front)[:count]


def judge_finalists(
    repeats: Mapping[int, Sequence[TrialResult]], objective: Objective
) -> tuple[Finalist, ...]:
    """Return the finalists, the chosen one first: the best mean over the seeds.

    Of several alike the one with the fewest parameters is chosen; one of which a seed failed comes last.

    Args:
        repeats: by number of a trial of the search, all trainings with its settings, its own first.
        objective: what they are judged by.
    """
    return tuple(one for one, _ in sorted(_judged(repeats, objective), key=lambda pair: pair[1]))


def _judged(
    repeats: Mapping[int, Sequence[TrialResult]], objective: Objective
) -> list[tuple[Finalist, tuple[bool, float, int, int]]]:
    sign = -1 if objective.higher_is_better else 1
    found = []
    for number, trainings in repeats.items():
        values = [one.objectives[objective.name] for one in trainings if one.state == "finished"]
        finalist = Finalist(
            trial=number,
            trials=tuple(one.number for one in trainings),
            mean=statistics.fmean(values),
            spread=statistics.stdev(values) if len(values) > 1 else 0.0,
            worst=min(values) if objective.higher_is_better else max(values),
        )
        failed = len(values) < len(trainings)
        order = (failed, sign * round(finalist.mean, 9), _size(trainings[0]), number)
        found.append((finalist, order))
    return found


def say_why(finalists: Sequence[Finalist], objective: Objective, n_seeds: int) -> str:
    """Return one sentence on why the first finalist was chosen.

    Args:
        finalists: the chosen one first.
        objective: what they were judged by.
        n_seeds: trainings of each.

    Examples:
        >>> score = Objective("score", "validation accuracy", "", True)
        >>> best, next_ = Finalist(3, (3, 9), 0.91, 0.002, 0.9), Finalist(1, (1, 8), 0.9, 0.01, 0.89)
        >>> say_why([best, next_], score, 2)
        'Trial 3 has the best mean validation accuracy over 2 seeds, 0.91 +- 0.002; trial 1 follows with 0.9.'
    """
    first = finalists[0]
    unit = f" {objective.unit}" if objective.unit else ""
    said = (
        f"Trial {first.trial} has the best mean {objective.label} over {n_seeds} seeds, "
        f"{first.mean:.5g} +- {first.spread:.2g}{unit}"
    )
    if len(finalists) == 1:
        return f"{said}."
    second = finalists[1]
    if round(first.mean, 9) == round(second.mean, 9):
        return f"{said}, as trial {second.trial} has; of the two it has no more parameters."
    return f"{said}; trial {second.trial} follows with {second.mean:.5g}."


def _beats(one: TrialResult, other: TrialResult, objectives: Sequence[Objective]) -> bool:
    """Whether one trial is better in some objective and worse in none."""
    signs = [1 if objective.higher_is_better else -1 for objective in objectives]
    gains = [
        sign * (one.objectives[objective.name] - other.objectives[objective.name])
        for sign, objective in zip(signs, objectives, strict=True)
    ]
    return min(gains) >= 0 and max(gains) > 0


def _place(trial: TrialResult, objective: Objective) -> tuple[float, int, int]:
    value = trial.objectives[objective.name]
    return (-value if objective.higher_is_better else value, _size(trial), trial.number)


def _size(trial: TrialResult) -> int:
    return trial.run.n_parameters if trial.run else 0
