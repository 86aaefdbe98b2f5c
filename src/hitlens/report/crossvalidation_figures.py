"""Cross-validation results -> figures: what each fold gives, beside what all events give."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hitlens.evaluate.crossvalidation import CrossValidatedHead, FoldMetric
from hitlens.metrics.interval import Interval
from hitlens.report.labels import column_label, method_label, metric_label, with_unit
from hitlens.report.style import COLOURS, MARKERS, drawing

#: Height over which the points of one repeat are spread, in rows.
_SPREAD = 0.25


def fold_values(head: CrossValidatedHead, number: int) -> Figure:
    """Draw one metric: the model in each fold, and every method on all events with its interval.

    Args:
        head: results of one head.
        number: position of the metric.
    """
    metric = head.metrics[number]
    methods = [("model", metric), *((one.name, one.metrics[number]) for one in head.baselines)]
    with drawing():
        figure = Figure(figsize=(6.4, 0.9 + 0.55 * (len(methods) + 1)))
        axes = figure.add_subplot()
        _draw_folds(axes, head.by_fold[number])
        _draw_methods(axes, [one.interval for _, one in methods])
        names = [f"{method_label(name)}, all events" for name, _ in methods]
        axes.set_yticks(range(len(methods) + 1), ["model, each fold", *names])
        axes.invert_yaxis()
        axes.grid(axis="x")
        about = f" of {column_label(metric.column)}" if metric.column else ""
        axes.set_xlabel(with_unit(f"{metric_label(metric.name)}{about}", metric.unit))
        return figure


def _draw_folds(axes: Axes, folds: FoldMetric) -> None:
    for values in folds.folds:
        known = [value for value in values if value is not None]
        heights = _SPREAD * (np.arange(len(known)) / max(len(known) - 1, 1) - 0.5)
        axes.plot(known, heights, linestyle="none", marker="o", markersize=6, alpha=0.6, color=COLOURS[0])


def _draw_methods(axes: Axes, intervals: Sequence[Interval | None]) -> None:
    for row, interval in enumerate(intervals):
        if interval is None:
            continue
        ends = np.abs([[interval.value - interval.low], [interval.high - interval.value]])
        axes.errorbar(
            [interval.value],
            [row + 1],
            xerr=ends,
            marker=MARKERS[row % len(MARKERS)],
            markersize=8,
            capsize=4,
            color=COLOURS[row % len(COLOURS)],
        )
