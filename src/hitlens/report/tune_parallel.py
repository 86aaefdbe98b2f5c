"""Trials of a search -> parallel coordinates: a line a trial through its settings to what it reached."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import NDArray

from hitlens.report.style import drawing, new_figure
from hitlens.report.tune_trials import (
    BEST,
    beyond,
    finished,
    is_wide,
    levels,
    objective_label,
    ranked,
    reached,
    short_names,
    shown_range,
    value_of,
    value_text,
)
from hitlens.tune.results import Objective, Parameter, TrialResult, TuneResults

#: Height of an axis over which lines of one value are spread.
_SPREAD = 0.55
#: Letters of a label in a line.
_LETTERS = 18


def parallel_coordinates(found: TuneResults) -> Figure:
    """Draw a line a trial through its settings to what it reached; brighter is better, the best on top."""
    objective = found.objectives[0]
    done = ranked(finished(found), objective)[::-1]
    scores = [reached(trial, objective.name) or 0.0 for trial in done]
    norm = Normalize(*shown_range(scores, objective.higher_is_better))
    colours = mpl.colormaps["viridis" if objective.higher_is_better else "viridis_r"]
    with drawing():
        rows = parallel_axes(found, done)
        figure, axes = new_figure((12.8, 5.0))
        heights = np.array([row.heights for row in rows])
        for number, (trial, score) in enumerate(zip(done, scores, strict=True)):
            axes.plot(*_smooth(heights[:, number]), **_looks(found, trial, colours(float(norm(score)))))
        for place, row in enumerate(rows):
            _draw_axis(axes, place, row)
        axes.set_xlim(-0.25, len(rows) - 0.75)
        axes.set_ylim(-0.06, 1.06)
        axes.set_xticks(range(len(rows)), [row.label for row in rows])
        axes.set_yticks([])
        axes.tick_params(axis="x", length=0, pad=8)
        for spine in axes.spines.values():
            spine.set_visible(False)
        side = beyond(scores, (float(norm.vmin or 0.0), float(norm.vmax or 0.0)))
        bar = figure.colorbar(ScalarMappable(norm, colours), ax=axes, pad=0.01, aspect=28, extend=side)
        bar.set_label(objective_label(objective))
        return figure


def _looks(found: TuneResults, trial: TrialResult, colour: tuple[float, ...]) -> dict[str, Any]:
    """The chosen one, or the only best one, is red; others that no trial beats have a dark rim."""
    if trial.number == found.chosen or (found.chosen is None and found.best == (trial.number,)):
        rim = [Stroke(linewidth=5.0, foreground="white"), Normal()]
        return {"color": BEST, "linewidth": 2.8, "zorder": 5, "path_effects": rim}
    if trial.number in found.best and len(found.best) > 1:
        rim = [Stroke(linewidth=4.0, foreground="black"), Normal()]
        return {"color": colour, "linewidth": 2.4, "zorder": 4, "path_effects": rim}
    return {"color": colour, "linewidth": 1.3, "alpha": 0.85, "zorder": 2}


@dataclass(frozen=True)
class ParallelAxis:
    """One axis.

    Attributes:
        label: what it is.
        heights: of each trial, from 0 at the bottom to 1 at the top, shape (trial,).
        ticks: height and text of each.
    """

    label: str
    heights: NDArray[np.float64]
    ticks: tuple[tuple[float, str], ...]


def parallel_axes(found: TuneResults, trials: Sequence[TrialResult]) -> list[ParallelAxis]:
    """Return the axes of the settings, then those of the objectives, the first objective last.

    Args:
        found: for settings and objectives.
        trials: the worst first, so that lines of one value fan out in the order of their score.
    """
    axes = [_setting_axis(found, parameter, trials) for parameter in found.parameters]
    return axes + [_objective_axis(one, trials) for one in (*found.objectives[1:], found.objectives[0])]


def _setting_axis(found: TuneResults, parameter: Parameter, trials: Sequence[TrialResult]) -> ParallelAxis:
    label = short_names(found.parameters)[parameter.path]
    texts = levels(parameter, trials) or tuple(map(value_text, parameter.choices))
    if texts:
        return _category_axis(label, parameter, trials, texts)
    found_values = (trial.values.get(parameter.path) for trial in trials)
    values = [float(v) if isinstance(v, (int, float)) else math.nan for v in found_values]
    ends = tuple(end for end in (parameter.low, parameter.high) if end is not None)
    return _number_axis(f"{label} (log)" if parameter.log else label, values, ends, logarithmic=parameter.log)


def _objective_axis(objective: Objective, trials: Sequence[TrialResult]) -> ParallelAxis:
    """Better is higher; the first objective leaves a few that are far worse at the bottom."""
    reaches = [reached(trial, objective.name) for trial in trials]
    values = [math.nan if value is None else value for value in reaches]
    logarithmic = objective.name in ("latency", "parameters") and is_wide(values)
    ends = () if logarithmic else shown_range(values, objective.higher_is_better)
    clipped = values if logarithmic else np.clip(values, *ends).tolist()
    axis = _number_axis(objective_label(objective), clipped, ends, logarithmic=logarithmic)
    if objective.higher_is_better:
        return axis
    ticks = tuple((1 - height, text) for height, text in axis.ticks)
    return ParallelAxis(axis.label, 1 - axis.heights, ticks)


def _number_axis(
    label: str, values: Sequence[float], ends: tuple[float, ...], *, logarithmic: bool
) -> ParallelAxis:
    known = [value for value in (*values, *ends) if math.isfinite(value)]
    low, high = min(known), max(known)
    if low == high:
        low, high = low - 0.5 * (abs(low) or 1.0), high + 0.5 * (abs(high) or 1.0)
    logarithmic = logarithmic and low > 0
    locator = LogLocator(subs=(1.0, 3.0)) if logarithmic else MaxNLocator(5)
    places = [
        float(tick) for tick in locator.tick_values(low, high) if low <= tick * (1 + 1e-9) and tick <= high
    ]
    # Where the range holds few round numbers its ends are written.
    places = places if len(places) > 1 else [low, high]
    scale = np.log if logarithmic else np.asarray

    def height(value: NDArray[np.float64]) -> NDArray[np.float64]:
        bottom, top = float(scale(low)), float(scale(high))
        return np.asarray((scale(value) - bottom) / (top - bottom))

    ticks = zip(height(np.array(places)).tolist(), (f"{place:g}" for place in places), strict=True)
    return ParallelAxis(textwrap.fill(label, _LETTERS), height(np.array(values)), tuple(ticks))


def _category_axis(
    label: str, parameter: Parameter, trials: Sequence[TrialResult], texts: tuple[str, ...]
) -> ParallelAxis:
    """Trials of one value are spread around its height in their order, so that lines can be followed."""
    step = 1 / len(texts)
    mine = [value_of(trial, parameter) for trial in trials]
    heights = np.full(len(trials), np.nan)
    for number, text in enumerate(texts):
        members = [place for place, value in enumerate(mine) if value == text]
        spread = np.linspace(-0.5, 0.5, len(members)) if len(members) > 1 else np.zeros(len(members))
        heights[members] = step * (number + 0.5 + _SPREAD * spread)
    return ParallelAxis(label, heights, tuple((step * (n + 0.5), text) for n, text in enumerate(texts)))


def _smooth(heights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a line through the heights that crosses each axis level."""
    t = np.linspace(0, 1, 24, endpoint=False)
    ease = t * t * (3 - 2 * t)
    n = len(heights)
    x = np.concatenate([*(place + t for place in range(n - 1)), [n - 1]])
    pairs = pairwise(heights)
    return x, np.concatenate([*(a + (b - a) * ease for a, b in pairs), heights[-1:]])


def _draw_axis(axes: Axes, place: int, row: ParallelAxis) -> None:
    axes.plot([place, place], [0, 1], color="black", linewidth=1.0, zorder=6)
    box = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.0}
    for height, text in row.ticks:
        axes.plot([place - 0.015, place], [height, height], color="black", linewidth=1.0, zorder=6)
        axes.text(place - 0.025, height, text, ha="right", va="center", fontsize=9.5, bbox=box, zorder=7)
