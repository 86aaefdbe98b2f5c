"""Study results -> figures: all variants on one set of axes, and what each network is given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from hitlens.evaluate.results import Histogram
from hitlens.evaluate.study import VariantResult
from hitlens.report.figures import plain_log_ticks
from hitlens.report.style import COLOURS, MARKERS, drawing

#: Panels of histograms beside each other.
_N_BESIDE = 2

_STYLES = ("-", "--", "-.", ":")


def metric_curves(variants: Sequence[VariantResult], metric_name: str, higher_is_better: bool) -> Figure:
    """Draw the monitored score of all variants against the epoch, whole and close to the best.

    Args:
        variants: with their histories.
        metric_name: what the score is, in words.
        higher_is_better: of that score.
    """
    with drawing():
        figure = Figure(figsize=(12.8, 4.4))
        whole, close = figure.subplots(1, 2)
        scores = [history_column(variant, "val_metric") for variant in variants]
        for axes in (whole, close):
            for number, (variant, values) in enumerate(zip(variants, scores, strict=True)):
                _line(axes, variant, values, number)
                axes.plot(
                    [variant.best_epoch + 1],
                    [values[variant.best_epoch]],
                    marker="o",
                    markersize=12,
                    markerfacecolor="none",
                    markeredgecolor=COLOURS[number % len(COLOURS)],
                    linestyle="none",
                )
            epoch_axis(axes, f"validation {metric_name}")
        low, high = close_range(scores, higher_is_better)
        close.set_ylim(low, high)
        _legend_above(figure, whole, len(variants))
        return figure


def close_range(scores: Sequence[NDArray[np.float64]], higher_is_better: bool) -> tuple[float, float]:
    """Return the range of an axis that shows the better half of all epochs of all variants.

    Examples:
        >>> low, high = close_range([np.array([0.5, 0.9, 1.0])], True)
        >>> round(low, 3), round(high, 3)
        (0.892, 1.008)
    """
    values = np.concatenate(scores)
    values = values[np.isfinite(values)]
    best = float(values.max() if higher_is_better else values.min())
    span = float(abs(best - np.median(values))) or 0.01 * (abs(best) or 1.0)
    edge, beyond = (best - 1.08 * span, best + 0.08 * span)
    return (edge, beyond) if higher_is_better else (best - 0.08 * span, best + 1.08 * span)


def loss_curves(variants: Sequence[VariantResult]) -> Figure:
    """Draw training and validation loss of all variants against the epoch, on one logarithmic axis."""
    with drawing():
        figure = Figure(figsize=(12.8, 4.4))
        left, right = figure.subplots(1, 2, sharey=True)
        everything = []
        for axes, column, label in (
            (left, "train_loss", "training loss"),
            (right, "val_loss", "validation loss"),
        ):
            for number, variant in enumerate(variants):
                values = history_column(variant, column)
                everything.append(values[np.isfinite(values)])
                _line(axes, variant, values, number)
            epoch_axis(axes, label)
        # A shared axis hides its numbers on the right.
        right.tick_params(labelleft=True)
        if np.concatenate(everything).min(initial=1.0) > 0:
            left.set_yscale("log")
            plain_log_ticks(left)
        _legend_above(figure, left, len(variants))
        return figure


def input_histograms(panels: Sequence[tuple[str, Histogram]]) -> Figure:
    """Draw how often the network is given each value, one panel an input, on a logarithmic axis.

    Args:
        panels: title and histogram of each.
    """
    with drawing():
        n_rows = -(-len(panels) // _N_BESIDE)
        figure = Figure(figsize=(12.8, 3.9 * n_rows))
        grid = figure.subplots(n_rows, _N_BESIDE, sharey=True, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        for axes, (title, histogram) in zip(grid.flat, panels, strict=False):
            for number, (name, counts) in enumerate(histogram.counts.items()):
                # Half a pixel stands for none: zero has no place on a logarithmic axis.
                drawn = np.maximum(np.asarray(counts, dtype=float), 0.5)
                colour = COLOURS[number % len(COLOURS)]
                if number == 0:
                    axes.stairs(drawn, histogram.edges, baseline=0.5, fill=True, alpha=0.35, color=colour)
                axes.stairs(drawn, histogram.edges, baseline=0.5, color=colour, linewidth=1.5, label=name)
            axes.set_yscale("log")
            axes.set_ylim(0.5, None)
            axes.set_xlim(histogram.edges[0], histogram.edges[-1])
            axes.set_title(title)
            axes.set_xlabel(histogram.label)
            axes.set_ylabel("pixels per bin")
            axes.tick_params(labelleft=True)
            if list(histogram.counts) != [title]:
                axes.legend(loc="upper right")
        return figure


def input_panels(variants: Sequence[VariantResult]) -> list[tuple[str, Histogram]]:
    """Return the inputs to draw; variants that are given the same share a panel.

    Returns:
        Title and histogram of each panel.
    """
    keyed = [(variant.name, histogram) for variant in variants for histogram in variant.inputs]
    panels: list[tuple[list[str], Histogram]] = []
    for name, histogram in keyed:
        for names, known in panels:
            if known == histogram:
                names.append(name)
                break
        else:
            panels.append(([name], histogram))
    n_views = len({histogram.name for _, histogram in panels})
    return [
        (", ".join(names) + (f" ({histogram.name})" if n_views > 1 else ""), histogram)
        for names, histogram in panels
    ]


def history_column(variant: VariantResult, name: str) -> NDArray[np.float64]:
    """Return a column of a training's history, shape (epoch,); NaN where a value is undefined."""
    return np.array([np.nan if value is None else value for value in variant.history[name]], dtype=float)


def _line(axes: Axes, variant: VariantResult, values: NDArray[np.float64], number: int) -> None:
    axes.plot(
        np.arange(len(values)) + 1,
        values,
        label=variant.name,
        color=COLOURS[number % len(COLOURS)],
        marker=MARKERS[number % len(MARKERS)],
        linestyle=_STYLES[number % len(_STYLES)],
        markersize=4.5,
    )


def epoch_axis(axes: Axes, label: str) -> None:
    """Label axes whose x axis counts epochs from 1."""
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _legend_above(figure: Figure, axes: Axes, n_lines: int) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(n_lines, 5))
