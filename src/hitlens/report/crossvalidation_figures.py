"""Cross-validation results -> figures: what each fold gives, beside what all events give."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from hitlens.evaluate.crossvalidation import CrossValidatedHead
from hitlens.report.labels import column_label, method_label, metric_label, with_unit
from hitlens.report.style import COLOURS, MARKERS, drawing


def fold_values(head: CrossValidatedHead, number: int) -> Figure:
    """Draw one metric: the model in each fold, and every method on all events with its interval.

    Args:
        head: results of one head.
        number: position of the metric.
    """
    metric, parts = head.metrics[number], head.by_fold[number]
    methods = [("model", metric), *((one.name, one.metrics[number]) for one in head.baselines)]
    with drawing():
        figure = Figure(figsize=(6.4, 0.9 + 0.55 * (len(methods) + 1)))
        axes = figure.add_subplot()
        for repeat, values in enumerate(parts.folds):
            known = [value for value in values if value is not None]
            heights = 0.25 * (np.arange(len(known)) / max(len(known) - 1, 1) - 0.5)
            axes.plot(
                known,
                heights,
                linestyle="none",
                marker="o",
                markersize=6,
                alpha=0.6,
                color=COLOURS[0],
                label="model, one fold" if repeat == 0 else None,
            )
        for row, (_, one) in enumerate(methods, start=1):
            if one.interval is None:
                continue
            ends = [[one.interval.value - one.interval.low], [one.interval.high - one.interval.value]]
            axes.errorbar(
                [one.interval.value],
                [row],
                xerr=np.abs(ends),
                marker=MARKERS[(row - 1) % len(MARKERS)],
                markersize=8,
                capsize=4,
                color=COLOURS[(row - 1) % len(COLOURS)],
            )
        axes.set_yticks(
            range(len(methods) + 1),
            ["model, each fold", *(f"{method_label(name)}, all events" for name, _ in methods)],
        )
        axes.invert_yaxis()
        axes.grid(axis="x")
        about = f" of {column_label(metric.column)}" if metric.column else ""
        axes.set_xlabel(with_unit(f"{metric_label(metric.name)}{about}", metric.unit))
        return figure
