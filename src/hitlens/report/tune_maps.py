"""Trials of a search -> maps of a score over two of the settings, one panel for each choice of the others."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from hitlens.report.style import drawing
from hitlens.report.tune_trials import (
    beyond,
    combinations,
    decimals,
    finished,
    fixed,
    levels,
    of_stage,
    short_names,
    shown_range,
    value_of,
)
from hitlens.tune.results import Parameter, TrialResult, TuneResults

#: More panels than this are averaged into one.
MOST_PANELS = 6
#: Panels in a row.
_N_BESIDE = 3

#: A trial -> the number that is mapped, None where it has none.
Quantity = Callable[[TrialResult], float | None]


@dataclass(frozen=True)
class Layout:
    """Which setting a map has on which axis.

    Attributes:
        x: setting along the horizontal axis; likewise `y`.
        panels: settings with one panel for each combination of their values.
        averaged: settings over which cells are averaged.
        axes: values of the settings as texts, by setting; of x, y and `panels`.
    """

    x: Parameter
    y: Parameter
    panels: tuple[Parameter, ...]
    averaged: tuple[Parameter, ...]
    axes: dict[Parameter, tuple[str, ...]]

    @property
    def titles(self) -> list[tuple[str, ...]]:
        """Values of the settings in `panels`, one entry a panel."""
        return combinations({parameter: self.axes[parameter] for parameter in self.panels})


def layout(found: TuneResults) -> Layout | None:
    """Return the two settings with most values as axes, the others as panels where those are few.

    Returns:
        None where fewer than two settings have several, but not too many, values.
    """
    trials = of_stage(found, "search")
    axes = {parameter: levels(parameter, trials) for parameter in found.parameters}
    several = [parameter for parameter in found.parameters if len(axes[parameter]) > 1]
    if len(several) < 2 or not finished(found):
        return None
    x, y = sorted(several, key=lambda parameter: -len(axes[parameter]))[:2]
    if found.parameters.index(x) > found.parameters.index(y):
        x, y = y, x
    rest = [parameter for parameter in found.parameters if parameter not in (x, y)]
    panels: list[Parameter] = []
    n_panels = 1
    for parameter in rest:
        n_levels = len(axes[parameter])
        if n_levels and n_panels * n_levels <= MOST_PANELS:
            panels.append(parameter)
            n_panels *= n_levels
    averaged = tuple(parameter for parameter in rest if parameter not in panels)
    shown = {parameter: axes[parameter] for parameter in (x, y, *panels)}
    return Layout(x, y, tuple(panels), averaged, shown)


@dataclass(frozen=True)
class Cells:
    """What the cells of a map hold.

    Attributes:
        values: mean over the finished trials, shape (panel, y, x); NaN where there are none.
        counts: those trials, shape (panel, y, x).
        states: what became of the trials of a cell without value, "" where none was tried.
    """

    values: NDArray[np.float64]
    counts: NDArray[np.int64]
    states: NDArray[np.str_]


def cells(found: TuneResults, place: Layout, quantity: Quantity) -> Cells:
    """Return the means of a quantity over the finished trials of each cell.

    Args:
        found: trials; those of the search are taken.
        place: axes and panels.
        quantity: what is averaged.
    """
    titles = place.titles
    shape = (len(titles), len(place.axes[place.y]), len(place.axes[place.x]))
    sums, counts = np.zeros(shape), np.zeros(shape, dtype=np.int64)
    states = np.full(shape, "", dtype="<U8")
    for trial in of_stage(found, "search"):
        texts = {parameter: value_of(trial, parameter) for parameter in place.axes}
        if any(text not in place.axes[parameter] for parameter, text in texts.items()):
            continue
        panel = titles.index(tuple(texts[parameter] for parameter in place.panels))
        where = (panel, *(place.axes[p].index(texts[p]) for p in (place.y, place.x)))
        value = quantity(trial)
        if trial.state != "finished" or value is None:
            states[where] = trial.state
            continue
        sums[where] += value
        counts[where] += 1
    with np.errstate(invalid="ignore"):
        return Cells(np.where(counts > 0, sums / counts, np.nan), counts, states)


def score_maps(
    found: TuneResults, place: Layout, rows: Sequence[tuple[str, Cells]], higher_is_better: bool
) -> Figure:
    """Draw maps of several quantities, each with a colour bar; brighter is better.

    Args:
        found: for the names of the settings.
        place: axes and panels.
        rows: label and cells of each quantity.
        higher_is_better: of all of them.
    """
    n_panels = len(place.titles)
    # Single panels of several quantities stand side by side, several panels of one in a row of their own.
    n_columns = len(rows) if n_panels == 1 else min(n_panels, _N_BESIDE)
    n_lines = 1 if n_panels == 1 else -(-n_panels // n_columns)
    n_x, n_y = (len(place.axes[parameter]) for parameter in (place.x, place.y))
    height = float(np.clip(0.55 * n_y + 1.3, 2.6, 7.0))
    with drawing():
        total = n_lines * (1 if n_panels == 1 else len(rows))
        figure = Figure(figsize=(12.8 if n_columns > 1 else 7.0, height * total))
        grid = figure.subplots(total, n_columns, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        fontsize = float(np.clip(150.0 / (n_columns * n_x), 6.0, 12.5))
        for number, (label, found_cells) in enumerate(rows):
            lines = slice(None) if n_panels == 1 else slice(number * n_lines, (number + 1) * n_lines)
            mine = grid[:, number : number + 1] if n_panels == 1 else grid[lines]
            image = _draw_row(found, place, list(mine.flat), found_cells, (higher_is_better, fontsize))
            shown = list(mine.flat)[:n_panels]
            side = beyond(found_cells.values.ravel(), image.get_clim())
            text = textwrap.fill(label, int(9 * height * n_lines))
            bar = figure.colorbar(image, ax=shown, aspect=14 * n_lines, pad=0.015, extend=side)
            bar.set_label(text, fontsize=11.5)
        return figure


def _draw_row(
    found: TuneResults, place: Layout, grid: list[Axes], mine: Cells, looks: tuple[bool, float]
) -> AxesImage:
    higher_is_better, fontsize = looks
    names = short_names(found.parameters)
    colours = mpl.colormaps["viridis" if higher_is_better else "viridis_r"]
    norm = Normalize(*shown_range(mine.values.ravel(), higher_is_better))
    n_decimals = decimals(mine.values.ravel())
    best = _best_cell(mine.values, higher_is_better)
    for panel, (axes, title) in enumerate(zip(grid, place.titles, strict=False)):
        axes.set_axis_on()
        axes.set_facecolor("#e8ebef")
        image = axes.imshow(
            mine.values[panel],
            origin="lower",
            cmap=colours,
            norm=norm,
            aspect="auto",
            interpolation="nearest",
        )
        _write_cells(axes, mine, panel, (colours, norm), (n_decimals, fontsize))
        if best[0] == panel:
            corner = (best[2] - 0.5, best[1] - 0.5)
            axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="#d1001f", linewidth=2.5, zorder=5))
        axes.set_xticks(range(len(place.axes[place.x])), place.axes[place.x])
        axes.set_yticks(range(len(place.axes[place.y])), place.axes[place.y])
        axes.tick_params(which="both", length=0)
        axes.set_xlabel(names[place.x.path])
        axes.set_ylabel(names[place.y.path])
        axes.set_title(", ".join(f"{names[p.path]} {t}" for p, t in zip(place.panels, title, strict=True)))
    return image


def _best_cell(values: NDArray[np.float64], higher_is_better: bool) -> tuple[int, ...]:
    if not np.isfinite(values).any():
        return (-1, -1, -1)
    place = np.nanargmax(values) if higher_is_better else np.nanargmin(values)
    return tuple(int(index) for index in np.unravel_index(place, values.shape))


def _write_cells(
    axes: Axes, mine: Cells, panel: int, looks: tuple[Colormap, Normalize], text: tuple[int, float]
) -> None:
    (colours, norm), (n_decimals, fontsize) = looks, text
    for y, x in np.ndindex(*mine.values.shape[1:]):
        value, state = mine.values[panel, y, x], str(mine.states[panel, y, x])
        written, colour = (state or "\N{EN DASH}"), "#586474"
        if np.isfinite(value):
            red, green, blue, _ = colours(float(norm(value)))
            bright = 0.299 * red + 0.587 * green + 0.114 * blue > 0.5
            written, colour = fixed(float(value), n_decimals), "black" if bright else "white"
            if mine.counts.max() > 1:
                written += f"\n({mine.counts[panel, y, x]})"
        axes.text(x, y, written, ha="center", va="center", fontsize=fontsize, color=colour)
