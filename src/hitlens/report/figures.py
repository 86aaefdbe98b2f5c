"""Results -> figures: each function draws one, in the house style, with labels and units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from hitlens.evaluate.results import Curve, Histogram, Map, SliceResult, TaskResult
from hitlens.metrics.interval import Interval
from hitlens.report.labels import column_label, method_label, metric_label, with_unit
from hitlens.report.style import COLOURS, MARKERS, SIZE, drawing, new_figure


def training_curves(history: pl.DataFrame, metric_name: str = "validation metric") -> Figure:
    """Draw losses, the validation metric and the learning rate against the epoch.

    Args:
        history: columns epoch, train_loss, val_loss, val_metric and lr, one row an epoch.
        metric_name: what val_metric is.
    """
    with drawing():
        figure = Figure(figsize=(12.8, 4.2))
        left, middle, right = figure.subplots(1, 3)
        epochs = history["epoch"].to_numpy() + 1
        for axes, columns, label in (
            (left, ("train_loss", "val_loss"), "loss"),
            (middle, ("val_metric",), f"validation {metric_name}"),
            (right, ("lr",), "learning rate"),
        ):
            for number, column in enumerate(c for c in columns if c in history.columns):
                values = history[column].cast(pl.Float64).to_numpy()
                name = {"train_loss": "training", "val_loss": "validation"}.get(column, "")
                style = {"color": COLOURS[number], "marker": MARKERS[number], "markersize": 4}
                axes.plot(epochs, values, label=name or None, linestyle=("-", "--")[number], **style)
            axes.set_xlabel("epoch")
            axes.set_ylabel(label)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        losses = history.select(pl.col("^(train|val)_loss$")).to_numpy()
        if np.isfinite(losses).all() and losses.size and losses.min() > 0:
            left.set_yscale("log")
            plain_log_ticks(left)
        left.legend()
        return figure


def plain_log_ticks(axes: Axes) -> None:
    """Write 0.05 for 5e-2 on a logarithmic y axis, and some ticks between the decades where it is short.

    Args:
        axes: with its limits set.
    """
    low, high = axes.get_ylim()
    decades = np.log10(high / low)
    if decades > 3.5:
        return
    steps: tuple[float, ...] = (1.0,) if decades > 2.5 else (1.0, 2.0, 5.0)
    if decades < 0.8:
        steps = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
    axes.yaxis.set_major_locator(LogLocator(subs=steps))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))


def score_histogram(task: TaskResult, histogram: Histogram) -> Figure:
    """Draw how often each score is given to events of each true class, on a logarithmic axis."""
    import mplhep

    with drawing():
        figure, axes = new_figure()
        for number, (name, counts) in enumerate(histogram.counts.items()):
            mplhep.histplot(
                np.asarray(counts, dtype=float),
                np.asarray(histogram.edges),
                ax=axes,
                histtype="fill" if number == 0 else "step",
                color=COLOURS[number],
                alpha=0.35 if number == 0 else 1.0,
                linewidth=1.8,
                label=f"true {name}",
                flow="none",
            )
        axes.set_yscale("log")
        axes.set_xlim(histogram.edges[0], histogram.edges[-1])
        axes.set_xlabel(histogram.label)
        axes.set_ylabel(f"events per {histogram.edges[1] - histogram.edges[0]:.3g}")
        top = max(max(counts) for counts in histogram.counts.values())
        axes.set_ylim(0.7, max(top, 1) * 2)
        if task.cut is not None:
            axes.axvline(task.cut, color="black", linestyle=":", linewidth=1.3, label=f"cut {task.cut:g}")
        _legend_above(axes, len(histogram.counts) + (task.cut is not None))
        return figure


def roc(task: TaskResult) -> Figure:
    """Draw signal efficiency against the background that passes, whole and on a logarithmic axis."""
    with drawing():
        figure = Figure(figsize=(12.8, 4.6))
        whole, zoomed = figure.subplots(1, 2)
        curves = [curve for curve in task.curves if curve.name.startswith("roc ")]
        for number, curve in enumerate(curves):
            x, y = (np.asarray(curve.data[k]) for k in ("background_efficiency", "signal_efficiency"))
            label = method_label(curve.name.removeprefix("roc "))
            style = {"color": COLOURS[number], "linestyle": ("-", "--", "-.", ":")[number % 4]}
            whole.plot(x, y, label=label, **style)
            shown = x > 0
            zoomed.plot(x[shown], y[shown], label=label, **style)
        whole.plot([0, 1], [0, 1], color=COLOURS[2], linewidth=1, linestyle=":", label="constant answer")
        whole.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="background efficiency", ylabel="signal efficiency")
        whole.legend(loc="lower right")
        zoomed.set_xscale("log")
        low = _lowest_positive(curves)
        zoomed.set(xlim=(low, 1), xlabel="background efficiency", ylabel="signal efficiency")
        zoomed.set_ylim(_zoom_low(curves), 1.0 + 0.04 * (1 - _zoom_low(curves)))
        zoomed.legend(loc="lower right")
        return figure


def _lowest_positive(curves: Sequence[Curve]) -> float:
    values = [x for curve in curves for x in curve.data["background_efficiency"] if x > 0]
    return min([1e-2, *values])


def _zoom_low(curves: Sequence[Curve]) -> float:
    """Lower end of the efficiency axis that still shows where each curve starts to pass background."""
    starts = []
    for curve in curves:
        pairs = zip(curve.data["background_efficiency"], curve.data["signal_efficiency"], strict=True)
        starts += [next((y for x, y in pairs if x > 0), 0.0)]
    return float(np.clip(min(starts, default=0.0) - 0.05, 0.0, 0.9))


def confusion(task: TaskResult) -> Figure:
    """Draw events counted by true and predicted class, with the fraction of the true class."""
    with drawing():
        n = len(task.class_names)
        figure, axes = new_figure((max(SIZE[0], 1.2 * n + 2.4), max(SIZE[1], 1.0 * n + 1.8)))
        counts = np.asarray(task.confusion, dtype=float)
        share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for row in range(n):
            for column in range(n):
                axes.text(
                    column,
                    row,
                    f"{int(counts[row, column]):,}\n{100 * share[row, column]:.2f} %",
                    ha="center",
                    va="center",
                    color="white" if share[row, column] > 0.6 else "black",
                )
        axes.set_xticks(range(n), task.class_names)
        axes.set_yticks(range(n), task.class_names, rotation=90 if n <= 4 else 0, va="center")
        axes.tick_params(which="both", length=0)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class")
        bar = figure.colorbar(image, ax=axes, shrink=0.9)
        bar.set_label("fraction of the true class")
        return figure


def cut_scan(task: TaskResult) -> Figure:
    """Draw efficiency, purity and background rejection against the cut on the score."""
    curve = next(curve for curve in task.curves if curve.name == "cuts")
    with drawing():
        figure, axes = new_figure()
        names = ("signal_efficiency", "purity", "background_rejection")
        for number, name in enumerate(names):
            axes.plot(
                curve.data["cut"],
                curve.data[name],
                color=COLOURS[(0, 1, 4)[number]],
                linestyle=("-", "--", "-.")[number],
                label=metric_label(name),
            )
        if task.cut is not None:
            axes.axvline(task.cut, color="black", linestyle=":", linewidth=1.3, label=f"cut {task.cut:g}")
        at_cut = [min(curve.data[name][2:-2], default=0.0) for name in names]
        low = float(np.clip(min(at_cut) - 0.02, 0, 0.98))
        axes.set(xlim=(0, 1), ylim=(low, 1 + 0.05 * (1 - low)))
        axes.set_xlabel(f"cut on the score of class {task.class_names[1]}")
        axes.set_ylabel("fraction of events")
        _legend_above(axes, 2)
        return figure


def _legend_above(axes: Axes, n_columns: int) -> None:
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=n_columns, columnspacing=1.5)


def metric_slices(
    slices: Sequence[SliceResult], *, logarithmic: bool = False, complement: str = ""
) -> Figure:
    """Draw one metric against a quantity, each method with error bars, above the number of events.

    Args:
        slices: one variable, metric and column; one entry a method, the model first.
        logarithmic: whether the metric's axis is logarithmic.
        complement: name of one minus the metric, which is drawn instead where this is given.
    """
    first = slices[0]
    with drawing():
        figure = Figure(figsize=(SIZE[0], 4.9))
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1.15))
        learnt = [one for one in slices if one.method != "constant"]
        for number, one in enumerate(learnt):
            _error_bars(axes, _flipped(one) if complement else one, number, len(learnt), logarithmic)
        for one in slices:
            # A constant's bias over a part of the range says nothing and would set the scale.
            if one.method == "constant" and one.metric != "bias":
                _steps(axes, _flipped(one) if complement else one)
        label = complement or metric_label(first.metric)
        about = f"{label} of {column_label(first.column)}" if first.column else label
        axes.set_ylabel(with_unit(about, first.unit))
        if logarithmic:
            axes.set_yscale("log")
        elif first.metric == "bias":
            axes.axhline(0, color="black", linewidth=0.8, linestyle=":")
        _headroom(axes, first, logarithmic)
        axes.legend(loc="upper center", ncols=min(len(slices), 3), columnspacing=1.2, handletextpad=0.4)
        _count_strip(below, first)
        figure.align_ylabels([axes, below])
        return figure


def _flipped(one: SliceResult) -> SliceResult:
    """Return one minus the metric."""
    flipped = tuple(
        None if v is None else Interval(1 - v.value, 1 - v.high, 1 - v.low, v.level) for v in one.values
    )
    return replace(one, values=flipped)


def _error_bars(axes: Axes, one: SliceResult, number: int, n_methods: int, logarithmic: bool) -> None:
    edges = np.asarray(one.edges)
    # Methods stand side by side in a bin, so that their error bars do not cover each other.
    centres = edges[:-1] + np.diff(edges) * (0.5 + 0.14 * (number - (n_methods - 1) / 2))
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
        yerr=errors,
        fmt=MARKERS[number],
        color=colour,
        markersize=5.5,
        capsize=2.5,
        linewidth=1.3,
        label=method_label(one.method_label or one.method),
    )


def _steps(axes: Axes, one: SliceResult) -> None:
    values = [np.nan if value is None or value.value == 0 else value.value for value in one.values]
    axes.stairs(
        values, one.edges, baseline=None, color=COLOURS[2], linestyle="--", label=method_label(one.method)
    )


def _headroom(axes: Axes, one: SliceResult, logarithmic: bool) -> None:
    """Leave room for the legend above the data; fractions have no ticks above 1."""
    low, high = axes.get_ylim()
    if logarithmic:
        axes.set_ylim(low, high * (high / low) ** 0.22)
        plain_log_ticks(axes)
        return
    is_fraction = not one.unit and one.metric not in ("bias", "r2")
    high = min(high, 1.02) if is_fraction else high
    axes.set_ylim(low, high + 0.2 * (high - low))
    if is_fraction:
        axes.set_yticks([tick for tick in axes.get_yticks() if low <= tick <= 1.0001])


def _count_strip(axes: Axes, one: SliceResult) -> None:
    axes.stairs(one.n_events, one.edges, fill=True, color="#c3cad4")
    filled = np.flatnonzero(one.n_events)
    axes.set_xlim(one.edges[filled[0]], one.edges[filled[-1] + 1])
    axes.set_ylim(0, max(one.n_events) * 1.15)
    axes.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    axes.set_ylabel("events")
    axes.set_xlabel(with_unit(one.label, one.variable_unit))


def truth_against_prediction(counts: Map) -> Figure:
    """Draw how often each prediction is made for each true value."""
    from matplotlib.colors import LogNorm

    with drawing():
        figure, axes = new_figure((5.9, 4.8))
        values = np.asarray(counts.counts, dtype=float)
        mesh = axes.pcolormesh(
            counts.x_edges,
            counts.y_edges,
            np.where(values > 0, values, np.nan).T,
            norm=LogNorm(vmin=1, vmax=max(values.max(), 2)),
            cmap="viridis",
            rasterized=True,
        )
        axes.plot(
            counts.x_edges[:: len(counts.x_edges) - 1],
            counts.x_edges[:: len(counts.x_edges) - 1],
            color=COLOURS[1],
            linewidth=1,
            linestyle="--",
        )
        label = column_label(counts.name)
        axes.set_xlabel(with_unit(f"true {label}", counts.unit))
        axes.set_ylabel(with_unit(f"predicted {label}", counts.unit))
        axes.set_box_aspect(1)
        figure.colorbar(mesh, ax=axes).set_label("events")
        return figure


def residuals(histogram: Histogram, quantity: str) -> Figure:
    """Draw how often each difference of prediction and truth occurs; the outermost bins hold the rest."""
    import mplhep

    with drawing():
        figure, axes = new_figure()
        edges = np.asarray(histogram.edges)
        for number, (name, counts) in enumerate(histogram.counts.items()):
            mplhep.histplot(
                np.asarray(counts, dtype=float),
                edges,
                ax=axes,
                histtype="step",
                yerr=True,
                color=COLOURS[number],
                linewidth=1.5,
                label=method_label(name),
                flow="none",
            )
        axes.axvline(0, color="black", linewidth=0.8, linestyle=":")
        axes.set_yscale("log")
        top = max(max(counts) for counts in histogram.counts.values())
        axes.set_ylim(0.7, max(top, 1) * 3)
        axes.set_xlim(edges[0], edges[-1])
        axes.set_xlabel(
            histogram.label.replace("predicted - true", f"predicted \N{MINUS SIGN} true {quantity}")
        )
        axes.set_ylabel("events per bin")
        return figure
