"""Metrics against a quantity of the events: every method with its intervals, above the number of events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from hitlens.evaluate.results import SliceResult
from hitlens.metrics.interval import Interval
from hitlens.report.figures import plain_log_ticks
from hitlens.report.labels import column_label, method_label, metric_label, with_unit
from hitlens.report.style import COLOURS, MARKERS, SIZE, drawing

#: Bins that differ in width by more than this factor are drawn equally wide, with their edges written.
UNEVEN = 6.0
#: Letters of the edges that fit under a panel.
_LETTERS = 22
#: Width of a figure that takes the whole page, inches.
WIDTH = 12.8


@dataclass(frozen=True)
class Panel:
    """One metric against one quantity.

    Attributes:
        slices: one entry a line: methods, the model first, or classes.
        label: of the metric's axis; empty takes the metric's own.
        logarithmic: whether the metric's axis is logarithmic.
        complement: whether one minus the metric is drawn.
        by_class: whether the lines are classes of one method.
    """

    slices: tuple[SliceResult, ...]
    label: str = ""
    logarithmic: bool = False
    complement: bool = False
    by_class: bool = False


def metric_slices(
    slices: Sequence[SliceResult], *, logarithmic: bool = False, complement: str = ""
) -> Figure:
    """Draw one metric against a quantity, each method with error bars, above the number of events.

    Args:
        slices: one variable, metric and column; one entry a method, the model first.
        logarithmic: whether the metric's axis is logarithmic.
        complement: name of one minus the metric, which is drawn instead where this is given.
    """
    return slice_panels([Panel(tuple(slices), complement, logarithmic, bool(complement))])


def slice_panels(panels: Sequence[Panel]) -> Figure:
    """Draw several metrics against one quantity, side by side.

    Args:
        panels: at least one, all of one variable.
    """
    n = len(panels)
    with drawing():
        width = min(WIDTH, SIZE[0] * n)
        figure = Figure(figsize=(width, 4.9 if n == 1 else 4.4))
        grid = figure.subplots(2, n, sharex="col", squeeze=False, height_ratios=(4, 1.15))
        small = 10.5 if width / n < 5 else 0.0
        for k, panel in enumerate(panels):
            _draw_panel(grid[0, k], grid[1, k], panel, narrow=bool(small))
            for axes in grid[:, k] if small else ():
                axes.tick_params(labelsize=small - 1)
                axes.xaxis.label.set_fontsize(small)
                axes.yaxis.label.set_fontsize(small)
            figure.align_ylabels(list(grid[:, k]))
        return figure


def _draw_panel(axes: Axes, below: Axes, panel: Panel, *, narrow: bool = False) -> None:
    first = panel.slices[0]
    shown = [_flipped(one) if panel.complement else one for one in panel.slices]
    learnt = [one for one in shown if one.method != "constant"]
    for number, one in enumerate(learnt):
        name = one.column if panel.by_class else method_label(one.method_label or one.method)
        _error_bars(axes, one, (number, len(learnt)), panel.logarithmic, name)
    for one in shown:
        # A constant's bias over a part of the range says nothing and would set the scale.
        if one.method == "constant" and "bias" not in one.metric:
            _steps(axes, one)
    label = panel.label or metric_label(first.metric)
    about = f"{label} of {column_label(first.column)}" if first.column and not panel.by_class else label
    axes.set_ylabel(with_unit(about, first.unit))
    if panel.logarithmic:
        axes.set_yscale("log")
    elif "bias" in first.metric:
        axes.axhline(0, color="black", linewidth=0.8, linestyle=":")
    n_lines = len(panel.slices)
    n_columns = min(n_lines, 2 if narrow or n_lines == 4 else 3)
    _headroom(axes, first, panel.logarithmic, -(-n_lines // n_columns))
    axes.legend(
        loc="upper center",
        ncols=n_columns,
        columnspacing=1.0,
        handletextpad=0.3,
        borderaxespad=0.2,
        fontsize=10,
    )
    counted = first
    if panel.by_class:
        together = tuple(map(sum, zip(*(one.n_events for one in panel.slices), strict=True)))
        counted = replace(first, n_events=together)
    _count_strip(below, counted)


def shown_edges(one: SliceResult) -> NDArray[np.float64]:
    """Return where the edges of the bins are drawn: kinds and bins of very different width equally wide.

    Examples:
        >>> uneven = SliceResult("e", "energy", "GeV", "model", "rmse", "", "", (0.0, 1.0, 100.0), (1, 1),
        ...                      (None, None))
        >>> shown_edges(uneven)
        array([0., 1., 2.])
    """
    edges = np.asarray(one.edges, dtype=np.float64)
    widths = np.diff(edges)
    if one.bin_labels or widths.max() > UNEVEN * widths.min():
        return np.arange(len(edges), dtype=np.float64)
    return edges


def _flipped(one: SliceResult) -> SliceResult:
    """Return one minus the metric."""
    flipped = tuple(
        None if v is None else Interval(1 - v.value, 1 - v.high, 1 - v.low, v.level) for v in one.values
    )
    return replace(one, values=flipped)


def _error_bars(axes: Axes, one: SliceResult, place: tuple[int, int], logarithmic: bool, name: str) -> None:
    edges = shown_edges(one)
    number, n_lines = place
    # Lines stand side by side in a bin, so that their error bars do not cover each other.
    step = min(0.14, 0.7 / n_lines)
    centres = edges[:-1] + np.diff(edges) * (0.5 + step * (number - (n_lines - 1) / 2))
    everything = [(x, value) for x, value in zip(centres, one.values, strict=True) if value is not None]
    found = [(x, v) for x, v in everything if v.value > 0 or not logarithmic]
    limits = [(x, v) for x, v in everything if v.value <= 0 and logarithmic]
    colour = COLOURS[(0, 1, 3, 4, 5)[number % 5]]
    # Zero has no place on a logarithmic axis: an open triangle shows the upper end of its interval.
    axes.plot([x for x, _ in limits], [v.high for _, v in limits], "v", color=colour, markerfacecolor="none")
    y = np.array([value.value for _, value in found])
    errors = np.array([[max(v.value - v.low, 0), max(v.high - v.value, 0)] for _, v in found]).T
    axes.errorbar(
        [x for x, _ in found],
        y,
        yerr=errors if len(found) else None,
        fmt=MARKERS[number % len(MARKERS)],
        color=colour,
        markersize=5.5 if n_lines < 4 else 4.5,
        capsize=2.5,
        linewidth=1.3,
        label=name,
    )


def _steps(axes: Axes, one: SliceResult) -> None:
    values = [np.nan if value is None or value.value == 0 else value.value for value in one.values]
    label = method_label(one.method)
    edges = shown_edges(one)
    axes.stairs(values, edges, baseline=None, color=COLOURS[2], linestyle="--", label=label)


def _headroom(axes: Axes, one: SliceResult, logarithmic: bool, n_rows: int) -> None:
    """Leave room for the legend above the data; fractions have no ticks above 1."""
    low, high = axes.get_ylim()
    room = 0.12 + 0.1 * n_rows
    if logarithmic:
        axes.set_ylim(low, high * (high / low) ** room)
        plain_log_ticks(axes)
        return
    is_fraction = (
        not one.unit and "bias" not in one.metric and one.metric not in ("r2", "relative_resolution")
    )
    if is_fraction:
        low, high = max(low, -0.02), min(high, 1.02)
    axes.set_ylim(low, high + room * (high - low))
    if is_fraction:
        axes.set_yticks([tick for tick in axes.get_yticks() if low <= tick <= 1.0001])


def _count_strip(axes: Axes, one: SliceResult) -> None:
    edges = shown_edges(one)
    axes.stairs(one.n_events, edges, fill=True, color="#c3cad4")
    filled = np.flatnonzero(one.n_events)
    axes.set_xlim(edges[filled[0]], edges[filled[-1] + 1])
    counts = np.asarray(one.n_events)[filled]
    if counts.max() > 100 * counts.min():
        axes.set_yscale("log")
        axes.set_ylim(max(0.5, 0.5 * float(counts.min())), float(counts.max()) * 2.5)
        axes.set_yticks([10.0**k for k in range(int(np.log10(counts.max())) + 1)][-1:])
    else:
        axes.set_ylim(0, float(counts.max()) * 1.15)
        axes.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    axes.set_ylabel("events")
    axes.set_xlabel(with_unit(one.label, one.variable_unit))
    if one.bin_labels:
        axes.set_xticks(edges[:-1] + 0.5, one.bin_labels)
        axes.tick_params(axis="x", length=0)
    elif edges[-1] != one.edges[-1]:
        texts = [edge_text(edge) for edge in one.edges]
        # Where they would touch, every other edge keeps its text.
        crowded = sum(map(len, texts)) > _LETTERS and len(texts) > 4
        axes.set_xticks(edges, [text if k % 2 == 0 or not crowded else "" for k, text in enumerate(texts)])


def edge_text(edge: float) -> str:
    """Return the edge of a bin, short.

    Examples:
        >>> edge_text(0.5), edge_text(110.0), edge_text(16001.0)
        ('0.5', '110', '16k')
    """
    return f"{edge / 1000:.3g}k" if abs(edge) >= 10_000 else f"{edge:.4g}"
