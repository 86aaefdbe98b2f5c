"""Trials of a search as a page shows them: in order, with short names, on axes that most of them fill."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Literal

import numpy as np

from hitlens.report.labels import with_unit
from hitlens.tune.results import Objective, Parameter, TrialResult, TuneResults, Value

#: A setting with more values than this is no axis of a map.
MOST_LEVELS = 16

#: Values over this factor are drawn on a logarithmic axis.
_WIDE = 10.0

#: An axis of scores reaches this many times as far below the best one as half of the trials do.
_REACH = 4.0

#: Colour of the best trial wherever it is marked.
BEST = "#d1001f"


def of_stage(found: TuneResults, stage: str) -> list[TrialResult]:
    """Return the trials of one stage, in order of their number."""
    return [trial for trial in found.trials if trial.stage == stage]


def by_number(found: TuneResults) -> dict[int, TrialResult]:
    """Return all trials by their number."""
    return {trial.number: trial for trial in found.trials}


def reached(trial: TrialResult, name: str) -> float | None:
    """Return what a trial reached in an objective; None where it has no finite value."""
    value = trial.objectives.get(name)
    return value if value is not None and math.isfinite(value) else None


def worst_of_last(trial: TrialResult) -> float | None:
    """Return the worst score of a training's last epochs; None where there is none."""
    if trial.run is None or not math.isfinite(trial.run.stability.worst):
        return None
    return trial.run.stability.worst


def finished(found: TuneResults, name: str = "") -> list[TrialResult]:
    """Return the finished trials of the search that have a value in an objective.

    Args:
        found: all trials.
        name: of the objective; "" for the first one.
    """
    name = name or found.objectives[0].name
    return [t for t in of_stage(found, "search") if t.state == "finished" and reached(t, name) is not None]


def ranked(trials: Iterable[TrialResult], objective: Objective) -> list[TrialResult]:
    """Return trials with the best first; those that were ended early and those that failed come last.

    Of several alike the one with the fewest parameters comes first.
    """
    order = ("finished", "pruned", "failed")
    sign = -1.0 if objective.higher_is_better else 1.0

    def place(trial: TrialResult) -> tuple[int, float, int, int]:
        value = reached(trial, objective.name)
        size = 0 if trial.run is None else trial.run.n_parameters
        return order.index(trial.state), math.inf if value is None else sign * value, size, trial.number

    return sorted(trials, key=place)


def short_names(parameters: Iterable[Parameter]) -> dict[str, str]:
    """Return the shortest ends of the settings' paths that tell them apart, by path.

    Examples:
        >>> short_names([Parameter("model.dropout"), Parameter("train.seed"), Parameter("data.seed")])
        {'model.dropout': 'dropout', 'train.seed': 'train.seed', 'data.seed': 'data.seed'}
    """
    paths = [parameter.path for parameter in parameters]

    def end(path: str, n: int) -> str:
        return ".".join(path.split(".")[-n:])

    names = {}
    for path in paths:
        lengths = range(1, path.count(".") + 2)
        others = [other for other in paths if other != path]
        names[path] = next(
            (end(path, n) for n in lengths if all(end(other, n) != end(path, n) for other in others)), path
        )
    return names


def value_text(value: Value, digits: int = 4) -> str:
    """Return a setting's value as a recipe writes it.

    Examples:
        >>> [value_text(value) for value in (0.4, 128, True, None, ("log1p", "shape"), 0.00123456)]
        ['0.4', '128', 'true', 'none', '[log1p, shape]', '0.001235']
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(value_text, value))}]"
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def value_of(trial: TrialResult, parameter: Parameter) -> str:
    """Return a trial's value of a setting as text, "-" where it has none; of a range, three digits."""
    if parameter.path not in trial.values:
        return "-"
    return value_text(trial.values[parameter.path], 4 if parameter.choices else 3)


def range_text(parameter: Parameter) -> str:
    """Return the values a setting may have.

    Examples:
        >>> range_text(Parameter("train.learning_rate", low=1e-4, high=0.01, log=True))
        '0.0001 to 0.01, logarithmic'
    """
    if parameter.choices:
        return ", ".join(map(value_text, parameter.choices))
    ends = f"{value_text(parameter.low)} to {value_text(parameter.high)}"
    return f"{ends}, logarithmic" if parameter.log else ends


def settings_text(found: TuneResults, trial: TrialResult) -> str:
    """Return the searched settings of a trial with their names, in one line."""
    names = short_names(found.parameters)
    return ", ".join(f"{names[p.path]} {value_of(trial, p)}" for p in found.parameters)


def bare_settings(found: TuneResults, trial: TrialResult, most: int = 26) -> str:
    """Return the values of the searched settings alone, "" where they are longer than `most` letters."""
    text = " / ".join(value_of(trial, parameter) for parameter in found.parameters)
    return text if len(text) <= most else ""


def objective_label(objective: Objective) -> str:
    """Return an objective's label with its unit, for an axis or a column."""
    return with_unit(objective.label, objective.unit)


def decimals(values: Iterable[float | None]) -> int:
    """Return the decimals that tell values apart: two digits of the spread of their denser half, six at most.

    Examples:
        >>> decimals([0.9866, 0.9841, 0.9792, 0.53]), decimals([120.0, 250.0]), decimals([0.5])
        (4, 0, 4)
    """
    known = np.array([value for value in values if value is not None and math.isfinite(value)])
    if not len(known):
        return 4
    low, middle, high = np.quantile(known, (0.0, 0.5, 1.0))
    halves = [float(half) for half in (middle - low, high - middle) if half > 0]
    spread = min(halves, default=abs(float(middle)) / 100)
    return int(np.clip(1 - math.floor(math.log10(spread)), 0, 6)) if spread > 0 else 4


def score_decimals(found: TuneResults) -> int:
    """Return the decimals of the first objective, from the finished trials of the search."""
    return decimals(reached(trial, found.objectives[0].name) for trial in finished(found))


def fixed(value: float | None, n_decimals: int) -> str:
    """Return a number with so many decimals, a dash for none.

    Examples:
        >>> fixed(0.98662, 4), fixed(120345.6, 0), fixed(None, 2)
        ('0.9866', '120,346', '-')
    """
    return "-" if value is None or not math.isfinite(value) else f"{value:,.{n_decimals}f}"


def shown_range(values: Iterable[float | None], higher_is_better: bool) -> tuple[float, float]:
    """Return the range of an axis of scores; a few that are far worse than most are left beyond its end.

    Examples:
        >>> low, high = shown_range([0.986, 0.984, 0.982, 0.98, 0.5], True)
        >>> round(low, 3), round(high, 3)
        (0.969, 0.987)
    """
    known = np.array([value for value in values if value is not None and math.isfinite(value)])
    if not len(known):
        return 0.0, 1.0
    best = float(known.max() if higher_is_better else known.min())
    worst = float(known.min() if higher_is_better else known.max())
    span = min(abs(best - worst), _REACH * abs(best - float(np.median(known))) or abs(best - worst))
    span = span or 0.01 * (abs(best) or 1.0)
    sign = 1.0 if higher_is_better else -1.0
    ends = (best - sign * 1.06 * span, best + sign * 0.06 * span)
    return min(ends), max(ends)


def beyond(values: Iterable[float], ends: tuple[float, float]) -> Literal["neither", "min", "max", "both"]:
    """Return on which sides values lie beyond a range, as a colour bar wants it.

    Examples:
        >>> beyond([0.5, 0.9], (0.8, 1.0))
        'min'
    """
    known = [value for value in values if math.isfinite(value)]
    below, above = any(value < ends[0] for value in known), any(value > ends[1] for value in known)
    return ("both" if above else "min") if below else ("max" if above else "neither")


def is_wide(values: Iterable[float | None]) -> bool:
    """Return whether values are all above zero and span more than a factor of ten.

    Examples:
        >>> is_wide([1.0, 20.0]), is_wide([1.0, 2.0]), is_wide([0.0, 100.0])
        (True, False, False)
    """
    known = [value for value in values if value is not None and math.isfinite(value)]
    return bool(known) and min(known) > 0 and max(known) > _WIDE * min(known)


def levels(parameter: Parameter, trials: Sequence[TrialResult]) -> tuple[str, ...]:
    """Return the values of a setting as texts, in order; none where it has too many for an axis of a map.

    Args:
        parameter: a choice, or a range of which few values occur, such as whole numbers.
        trials: that have it.
    """
    if parameter.choices:
        texts = tuple(dict.fromkeys(map(value_text, parameter.choices)))
        return texts if len(texts) <= MOST_LEVELS else ()
    numbers = sorted(
        {v for t in trials if isinstance(v := t.values.get(parameter.path), (int, float))}, key=float
    )
    few = len(numbers) <= min(MOST_LEVELS, len(trials) // 2)
    return tuple(dict.fromkeys(value_text(one, 3) for one in numbers)) if few else ()


def combinations(axes: Mapping[Parameter, tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return every combination of the settings' values, the last setting changing fastest."""
    return list(product(*axes.values()))
