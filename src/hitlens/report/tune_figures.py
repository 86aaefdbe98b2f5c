"""Trials of a search -> figures of the whole search: its course, what mattered, what is traded for what."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator
from numpy.typing import NDArray

from hitlens.report.style import COLOURS, MARKERS, SIZE, drawing, new_figure
from hitlens.report.tune_seeds import seed_scores
from hitlens.report.tune_trials import (
    BEST,
    by_number,
    finished,
    is_wide,
    objective_label,
    of_stage,
    reached,
    short_names,
    shown_range,
    value_of,
    value_text,
)
from hitlens.tune.results import Objective, Parameter, TrialResult, TuneResults

#: Panels in a row.
_N_BESIDE = 3

#: Longer fronts are drawn without the numbers of their trials.
_MOST_NUMBERED = 12

_GREY = "#9aa5b3"


def search_course(found: TuneResults) -> Figure:
    """Draw the score of each trial against its number, with the best so far."""
    objective = found.objectives[0]
    trials = of_stage(found, "search")
    with drawing():
        figure, axes = new_figure((12.8, 4.2))
        done = finished(found)
        low, high = shown_range([reached(t, objective.name) for t in done], objective.higher_is_better)
        for number, state in enumerate(("finished", "pruned")):
            mine = [t for t in trials if t.state == state and reached(t, objective.name) is not None]
            if mine:
                _points(axes, mine, objective, (low, high), number)
        failed = [trial.number for trial in trials if trial.state == "failed"]
        edge = low if objective.higher_is_better else high
        if failed:
            axes.plot(failed, [edge] * len(failed), "x", color="black", clip_on=False, label="failed", ms=8)
        values = np.array([reached(trial, objective.name) for trial in done], dtype=float)
        best = np.maximum.accumulate(values) if objective.higher_is_better else np.minimum.accumulate(values)
        ends = [*(trial.number for trial in done), trials[-1].number + 0.5]
        axes.step(ends, [*best, best[-1]], where="post", color=BEST, linewidth=1.5, label="best so far")
        axes.set_ylim(low, high)
        axes.set_xlim(trials[0].number - 0.5, trials[-1].number + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlabel("trial")
        axes.set_ylabel(objective_label(objective))
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)
        return figure


def _points(
    axes: Axes, trials: Sequence[TrialResult], objective: Objective, ends: tuple[float, float], number: int
) -> None:
    values = np.array([reached(trial, objective.name) for trial in trials], dtype=float)
    colour = (COLOURS[0], _GREY)[number]
    face = colour if number == 0 else "none"
    numbers = np.array([trial.number for trial in trials])
    # What lies beyond the axis is an arrow at its end.
    inside = (values >= ends[0]) & (values <= ends[1])
    looks: dict[str, Any] = {
        "color": colour,
        "markerfacecolor": face,
        "linestyle": "none",
        "zorder": 4,
    }
    axes.plot(numbers[inside], values[inside], MARKERS[number], label=("finished", "pruned")[number], **looks)
    arrow = "v" if objective.higher_is_better else "^"
    edge = ends[0] if objective.higher_is_better else ends[1]
    if not inside.all():
        axes.plot(numbers[~inside], np.full((~inside).sum(), edge), arrow, clip_on=False, **looks)


def importance_bars(found: TuneResults) -> Figure:
    """Draw the share of the variance each setting explains, one group of bars an objective."""
    names = short_names(found.parameters)
    objectives = [one for one in found.objectives if found.importances.get(one.name)]
    first = found.importances[objectives[0].name]
    order = sorted((p.path for p in found.parameters), key=lambda path: first.get(path, 0.0))
    height = 0.8 / len(objectives)
    with drawing():
        figure, axes = new_figure((SIZE[0], 1.3 + max(0.36, 0.24 * len(objectives)) * len(order)))
        for number, objective in enumerate(objectives):
            shares = [found.importances[objective.name].get(path, 0.0) for path in order]
            places = np.arange(len(order)) - height * (number - (len(objectives) - 1) / 2)
            axes.barh(places, shares, height * 0.92, color=COLOURS[number], label=objective.label)
            for place, share in zip(places, shares, strict=True):
                axes.text(share + 0.012, place, f"{share:.2f}", va="center", fontsize=9.5)
        axes.set_yticks(range(len(order)), [names[path] for path in order])
        axes.set_xlim(0, 1.12 * max(max(found.importances[o.name].values()) for o in objectives))
        axes.set_ylim(-0.6, len(order) - 0.4)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("share of the variance explained")
        if len(objectives) > 1:
            axes.legend(loc="lower right")
        return figure


def setting_scatter(found: TuneResults) -> Figure:
    """Draw the score of the finished trials against each setting, one panel a setting."""
    objective = found.objectives[0]
    names = short_names(found.parameters)
    done = finished(found)
    n = len(found.parameters)
    n_columns = n if n < 5 else 3 if n in (5, 6, 9) else 4
    n_rows = -(-len(found.parameters) // n_columns)
    scores = np.array([reached(trial, objective.name) for trial in done], dtype=float)
    with drawing():
        figure = Figure(figsize=(12.8 if n_columns > 1 else SIZE[0], 3.1 * n_rows))
        grid = figure.subplots(n_rows, n_columns, squeeze=False, sharey=True)
        for axes in grid.flat[len(found.parameters) :]:
            axes.set_axis_off()
        best = np.array([trial.number in found.best for trial in done])
        for axes, parameter in zip(grid.flat, found.parameters, strict=False):
            x = _setting_places(axes, parameter, done)
            _draw_means(axes, parameter, (np.round(x), scores))
            axes.plot(x[~best], scores[~best], "o", color=COLOURS[0], alpha=0.6, markersize=5.5)
            axes.plot(x[best], scores[best], "D", color=BEST, markersize=7)
            axes.set_xlabel(names[parameter.path])
        grid[0, 0].set_ylim(*shown_range(scores.tolist(), objective.higher_is_better))
        for axes in grid[:, 0]:
            axes.set_ylabel(objective_label(objective))
        return figure


def _draw_means(
    axes: Axes, parameter: Parameter, points: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> None:
    """Draw the median score of each choice as a bar."""
    places, scores = points
    for place in np.unique(places[np.isfinite(places)]) if parameter.choices else ():
        middle = float(np.median(scores[places == place]))
        axes.plot([place - 0.3, place + 0.3], [middle, middle], color=_GREY, linewidth=3, zorder=1)


def _setting_places(axes: Axes, parameter: Parameter, trials: Sequence[TrialResult]) -> NDArray[np.float64]:
    """Set up the axis of a setting; return where each trial is on it."""
    texts = tuple(dict.fromkeys(map(value_text, parameter.choices)))
    if not texts:
        if parameter.log:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
        else:
            axes.xaxis.set_major_locator(MaxNLocator(5))
        values = (trial.values.get(parameter.path) for trial in trials)
        return np.array([float(v) if isinstance(v, (int, float)) else math.nan for v in values])
    mine = [value_of(trial, parameter) for trial in trials]
    axes.set_xticks(range(len(texts)), texts, rotation=45 if sum(map(len, texts)) > 30 else 0)
    axes.set_xlim(-0.6, len(texts) - 0.4)
    places = np.array([texts.index(text) if text in texts else math.nan for text in mine], dtype=float)
    return np.asarray(places + 0.12 * np.sin(2.4 * np.arange(len(places))))


def pareto_panels(found: TuneResults) -> Figure:
    """Draw every pair of objectives, the trials no other one beats in all of them marked."""
    pairs = list(combinations(found.objectives, 2))
    n_columns = min(len(pairs), _N_BESIDE)
    n_rows = -(-len(pairs) // n_columns)
    with drawing():
        width = {1: 7.6, 2: 12.0}.get(n_columns, 12.8)
        figure = Figure(figsize=(width, (4.6 if n_columns < 3 else 4.0) * n_rows + 0.3))
        grid = figure.subplots(n_rows, n_columns, squeeze=False)
        for axes in grid.flat[len(pairs) :]:
            axes.set_axis_off()
        for axes, (y, x) in zip(grid.flat, pairs, strict=False):
            _draw_pair(axes, found, x, y)
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
        return figure


def _draw_pair(axes: Axes, found: TuneResults, x: Objective, y: Objective) -> None:
    trials = [t for t in finished(found, x.name) if reached(t, y.name) is not None]
    points = np.array([[reached(t, x.name), reached(t, y.name)] for t in trials], dtype=float).reshape(-1, 2)
    best = np.array([t.number in found.best for t in trials], dtype=bool)
    axes.plot(
        *points[~best].T, "o", color=COLOURS[0], alpha=0.55, markersize=6, label="beaten by another trial"
    )
    axes.plot(*points[best].T, "D", color=BEST, markersize=8, label="beaten by none in all objectives")
    front = pareto_front(points, (x.higher_is_better, y.higher_is_better))
    side: Literal["pre", "post"] = "pre" if x.higher_is_better else "post"
    axes.step(*front.T, where=side, color=BEST, linewidth=1.2, linestyle="--", label="front of these two")
    for trial, (a, b) in zip(trials, points, strict=True):
        if trial.number in found.best and len(found.best) <= _MOST_NUMBERED:
            axes.annotate(str(trial.number), (a, b), xytext=(7, 5), textcoords="offset points", fontsize=9.5)
    if is_wide(points[:, 0].tolist()):
        axes.set_xscale("log")
    if is_wide(points[:, 1].tolist()):
        axes.set_yscale("log")
    axes.margins(0.12)
    axes.set_ylim(*_with_room(axes, y, points[:, 1]))
    axes.set_xlabel(f"{objective_label(x)}\n({_better(x)})")
    axes.set_ylabel(f"{objective_label(y)}\n({_better(y)})")


def _with_room(axes: Axes, objective: Objective, values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = axes.get_ylim()
    if axes.get_yscale() == "log" or objective.name != "score":
        return low, high
    near, far = shown_range(values.tolist(), objective.higher_is_better)
    return (max(low, near), high) if objective.higher_is_better else (low, min(high, far))


def _better(objective: Objective) -> str:
    return "higher is better" if objective.higher_is_better else "lower is better"


def pareto_front(points: NDArray[np.float64], higher_is_better: tuple[bool, bool]) -> NDArray[np.float64]:
    """Return the points no other one beats in both coordinates, from left to right, shape (point, 2).

    Args:
        points: shape (point, 2).
        higher_is_better: of each coordinate.

    Examples:
        >>> pareto_front(np.array([[1.0, 0.9], [2.0, 0.95], [3.0, 0.94]]), (False, True))
        array([[1.  , 0.9 ],
               [2.  , 0.95]])
    """
    signs = np.where(higher_is_better, 1.0, -1.0)
    ahead = points * signs
    kept = [not np.any(np.all(ahead >= one, axis=1) & np.any(ahead > one, axis=1)) for one in ahead]
    front = np.unique(points[np.array(kept, dtype=bool)], axis=0)
    return front[np.argsort(front[:, 0], kind="stable")]


def finalist_seeds(found: TuneResults) -> Figure:
    """Draw the score of each seed of each finalist, with mean and standard deviation; the chosen on top."""
    objective = found.objectives[0]
    trials = by_number(found)
    names = short_names(found.parameters)
    with drawing():
        figure, axes = new_figure((12.8, 1.1 + 0.62 * len(found.finalists)))
        for row, one in enumerate(found.finalists):
            colour = COLOURS[0] if row == 0 else COLOURS[2]
            known = seed_scores(found, one)
            heights = row + 0.2 * (np.arange(len(known)) - (len(known) - 1) / 2) / max(len(known), 1)
            looks: dict[str, Any] = {"color": colour, "alpha": 0.75, "markersize": 7}
            axes.plot(
                known[:1], heights[:1] - 0.16, "o", markerfacecolor="white", markeredgewidth=1.6, **looks
            )
            axes.plot(known[1:], heights[1:] - 0.16, "o", **looks)
            axes.errorbar([one.mean], [row + 0.2], xerr=[one.spread], fmt="D", color=colour, capsize=5, ms=8)
        texts = [
            f"{one.trial}: "
            + ", ".join(f"{names[p.path]} {value_of(trials[one.trial], p)}" for p in found.parameters)
            for one in found.finalists
        ]
        axes.set_yticks(range(len(texts)), texts, fontsize=10.5 if max(map(len, texts)) < 60 else 8)
        axes.set_ylim(len(texts) - 0.45, -0.55)
        axes.grid(axis="x")
        axes.set_xlabel(objective_label(objective))
        return figure
