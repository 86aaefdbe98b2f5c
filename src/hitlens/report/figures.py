"""Results -> figures: each function draws one, in the house style, with labels and units."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from hitlens.evaluate.results import Curve, Histogram, Map, TaskResult
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
    """Draw how often each score is given to events of each true class, or kind, on a logarithmic axis."""
    with drawing():
        figure, axes = new_figure()
        _draw_scores(axes, task, histogram)
        n_entries = len(histogram.counts) + (task.cut is not None)
        _legend_above(axes, n_entries if n_entries <= 3 else -(-n_entries // 2))
        return figure


def score_panels(task: TaskResult, histograms: Sequence[Histogram]) -> Figure:
    """Draw the score of each class beside the others, by true class.

    Args:
        task: with several classes.
        histograms: one a class.
    """
    n_rows = -(-len(histograms) // 3)
    with drawing():
        figure = Figure(figsize=(12.8, 3.4 * n_rows + 0.4))
        grid = list(figure.subplots(n_rows, 3, squeeze=False).ravel())
        for axes, histogram in zip(grid, histograms, strict=False):
            _draw_scores(axes, task, histogram)
        for axes in grid[len(histograms) :]:
            axes.set_axis_off()
        handles, names = grid[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=len(names))
        return figure


def _draw_scores(axes: Axes, task: TaskResult, histogram: Histogram) -> None:
    by_class = set(histogram.counts) <= set(task.class_names)
    edges = np.asarray(histogram.edges)
    for number, (name, counts) in enumerate(histogram.counts.items()):
        axes.stairs(
            counts,
            edges,
            baseline=0.1,
            fill=number == 0,
            color=COLOURS[number % len(COLOURS)],
            alpha=0.35 if number == 0 else 1.0,
            linewidth=1.8,
            label=f"true {name}" if by_class else name,
        )
    axes.set_yscale("log")
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xlabel(histogram.label)
    axes.set_ylabel(f"events per {edges[1] - edges[0]:.3g}")
    top = max((max(counts) for counts in histogram.counts.values()), default=1)
    axes.set_ylim(0.7, max(top, 1) * 2)
    if task.cut is not None:
        axes.axvline(task.cut, color="black", linestyle=":", linewidth=1.3, label=f"cut {task.cut:g}")


def calibration(task: TaskResult) -> Figure:
    """Draw the observed fraction of each class against its score, with binomial intervals."""
    curves = [curve for curve in task.curves if curve.name.startswith("calibration ")]
    with drawing():
        figure, axes = new_figure((5.9, 4.8))
        axes.plot([0, 1], [0, 1], color="black", linewidth=1, linestyle=":", label="calibrated")
        for number, curve in enumerate(curves):
            x, y = (np.asarray(curve.data[name]) for name in ("mean_probability", "signal_fraction"))
            low, high = np.asarray(curve.data["low"]), np.asarray(curve.data["high"])
            axes.errorbar(
                x,
                y,
                yerr=(np.maximum(y - low, 0), np.maximum(high - y, 0)),
                color=COLOURS[number % len(COLOURS)],
                marker=MARKERS[number % len(MARKERS)],
                markersize=5,
                capsize=2.5,
                linewidth=1.2,
                label=curve.name.removeprefix("calibration "),
            )
        axes.set(xlim=(0, 1), ylim=(0, 1.02))
        axes.set_xlabel("score of the class")
        axes.set_ylabel("fraction of events of the class")
        axes.set_box_aspect(1)
        axes.legend(loc="upper left")
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
        image = confusion_cells(axes, task.confusion, fontsize=11.5 if n <= 4 else 10.5)
        axes.set_xticks(range(n), task.class_names)
        axes.set_yticks(range(n), task.class_names, rotation=90 if n <= 4 else 0, va="center")
        axes.tick_params(which="both", length=0)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class")
        bar = figure.colorbar(image, ax=axes, shrink=0.9)
        bar.set_label("fraction of the true class")
        return figure


def confusion_cells(
    axes: Axes, confusion: Sequence[Sequence[int]], *, fontsize: float, counted: bool = True
) -> AxesImage:
    """Colour the cells of a confusion matrix by their share of the true class, and write in them.

    Args:
        axes: to draw on.
        confusion: events by true class, then predicted class.
        fontsize: of the numbers; 0 writes none.
        counted: whether the number of events stands above the share; else the share is a bare percentage.
    """
    counts = np.asarray(confusion, dtype=float)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    decimals = 2 if len(counts) <= 2 else 1
    for row, column in np.ndindex(*counts.shape) if fontsize else ():
        percent = f"{100 * share[row, column]:.{decimals}f}"
        axes.text(
            column,
            row,
            f"{int(counts[row, column]):,}\n{percent} %" if counted else percent,
            fontsize=fontsize,
            ha="center",
            va="center",
            color="white" if share[row, column] > 0.6 else "black",
        )
    return image


def cut_scan(task: TaskResult) -> Figure:
    """Draw efficiency, purity and rejection against the cut on the score, and the figure of merit beside.

    Bands are binomial intervals. The figure of merit is s / sqrt(s + b) of the evaluated events, at their
    natural prevalence; the cut chosen on validation events is marked where there is one.
    """
    curve = next(curve for curve in task.curves if curve.name == "cuts")
    with drawing():
        figure = Figure(figsize=(12.8, 4.4))
        left, right = figure.subplots(1, 2)
        _draw_efficiencies(left, task, curve)
        cuts = curve.data["cut"]
        if "figure_of_merit" in curve.data:
            right.plot(cuts, curve.data["figure_of_merit"], color=COLOURS[0], label="evaluated events")
        for axes in (left, right):
            if task.cut is not None:
                axes.axvline(task.cut, color="black", linestyle=":", linewidth=1.3, label=f"cut {task.cut:g}")
            if task.best_cut is not None:
                label = f"best on validation, {task.best_cut.cut:.3f}"
                axes.axvline(task.best_cut.cut, color=COLOURS[3], linestyle="--", linewidth=1.3, label=label)
            axes.set_xlim(0, 1)
            axes.set_xlabel(f"cut on the score of class {task.class_names[1]}")
        if task.best_cut is not None:
            merit = task.best_cut.figure_of_merit
            right.plot([task.best_cut.cut], [merit], "o", color=COLOURS[3], label=f"there {merit:.1f}")
        left.set_ylabel("fraction of events")
        right.set_ylabel("s / √(s + b)")
        inner = [m for cut, m in zip(cuts, curve.data.get("figure_of_merit", ()), strict=False) if cut < 0.9]
        right.set_ylim(bottom=0.9 * min(inner, default=0.0))
        _legend_above(left, 3)
        _legend_above(right, 2)
        return figure


def _draw_efficiencies(axes: Axes, task: TaskResult, curve: Curve) -> None:
    names = ("signal_efficiency", "purity", "background_rejection")
    for number, name in enumerate(names):
        colour = COLOURS[(0, 1, 4)[number]]
        style = ("-", "--", "-.")[number]
        axes.plot(
            curve.data["cut"], curve.data[name], color=colour, linestyle=style, label=metric_label(name)
        )
        if f"{name}_low" in curve.data:
            ends = curve.data[f"{name}_low"], curve.data[f"{name}_high"]
            axes.fill_between(curve.data["cut"], *ends, color=colour, alpha=0.18, linewidth=0)
    at_cut = [min(curve.data[name][2:-2], default=0.0) for name in names]
    low = float(np.clip(min(at_cut) - 0.02, 0, 0.98))
    axes.set_ylim(low, 1 + 0.05 * (1 - low))


def _legend_above(axes: Axes, n_columns: int) -> None:
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=n_columns, columnspacing=1.5)


def truth_against_prediction(counts: Map) -> Figure:
    """Draw how often each prediction is made for each true value; axes are logarithmic where the bins are."""
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
        ends = counts.x_edges[:: len(counts.x_edges) - 1]
        axes.plot(ends, ends, color=COLOURS[1], linewidth=1, linestyle="--")
        if _is_logarithmic(counts.x_edges):
            axes.set(xscale="log", yscale="log")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
                axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
                axis.set_minor_formatter(FuncFormatter(lambda *_: ""))
            axes.tick_params(axis="x", labelsize=10)
        _value_labels(axes, counts)
        axes.set_box_aspect(1)
        figure.colorbar(mesh, ax=axes).set_label("events")
        return figure


def migration(counts: Map) -> Figure:
    """Draw in which bin of the prediction the events of each true bin are, in percent of the true bin."""
    values = np.asarray(counts.counts, dtype=float)
    share = values / np.maximum(values.sum(1, keepdims=True), 1)
    n = len(values)
    with drawing():
        figure, axes = new_figure((6.6, 5.2))
        image = axes.imshow(share.T, origin="lower", cmap="Blues", vmin=0, vmax=max(float(share.max()), 0.5))
        for row, column in np.argwhere(share >= 0.005):
            dark = share[row, column] > 0.55 * image.get_clim()[1]
            text = f"{100 * share[row, column]:.0f}"
            colour = "white" if dark else "black"
            axes.text(row, column, text, ha="center", va="center", fontsize=9.5, color=colour)
        ticks = np.arange(n + 1) - 0.5
        for axis, edges in ((axes.xaxis, counts.x_edges), (axes.yaxis, counts.y_edges)):
            axis.set_ticks(ticks, [f"{edge:.3g}" for edge in edges])
        axes.tick_params(which="both", labelsize=10, direction="out", top=False, right=False)
        _value_labels(axes, counts)
        figure.colorbar(image, ax=axes).set_label("fraction of the true bin")
        return figure


def _value_labels(axes: Axes, counts: Map) -> None:
    label = column_label(counts.name)
    axes.set_xlabel(with_unit(f"true {label}", counts.unit))
    axes.set_ylabel(with_unit(f"predicted {label}", counts.unit))


def _is_logarithmic(edges: Sequence[float]) -> bool:
    """Return whether bins grow by a factor rather than by a step."""
    if len(edges) < 3 or edges[0] <= 0:
        return False
    widths = np.diff(edges)
    return bool(widths[-1] > 3 * widths[0])


def residuals(histogram: Histogram, quantity: str, width: str = "") -> Figure:
    """Draw how often each difference of prediction and truth occurs; the outermost bins hold the rest.

    The histogram spans five times the half width of the central 68 %, which is marked.

    Args:
        histogram: of the differences.
        quantity: what was predicted.
        width: the half width of the central 68 %, as text.
    """
    with drawing():
        figure, axes = new_figure()
        edges = np.asarray(histogram.edges)
        centres = (edges[:-1] + edges[1:]) / 2
        for number, (name, counts) in enumerate(histogram.counts.items()):
            colour = COLOURS[number % len(COLOURS)]
            some = np.asarray(counts) > 0
            heights = np.asarray(counts, dtype=float)
            axes.stairs(heights, edges, baseline=0.1, color=colour, linewidth=1.5, label=method_label(name))
            axes.errorbar(
                centres[some], heights[some], np.sqrt(heights[some]), fmt="none", ecolor=colour, linewidth=0.9
            )
        axes.axvline(0, color="black", linewidth=0.8, linestyle=":")
        if width:
            half = (edges[-1] - edges[0]) / 10
            axes.axvspan(
                -half, half, color="#d5dbe3", alpha=0.6, zorder=0, label=f"\N{PLUS-MINUS SIGN} {width}"
            )
            axes.legend(loc="upper left")
        axes.set_yscale("log")
        top = max(max(counts) for counts in histogram.counts.values())
        axes.set_ylim(0.7, max(top, 1) * 5)
        axes.set_xlim(edges[0], edges[-1])
        axes.set_xlabel(_residual_label(histogram.label, quantity))
        axes.set_ylabel("events per bin")
        return figure


def _residual_label(label: str, quantity: str) -> str:
    minus = "predicted \N{MINUS SIGN} true"
    if label.startswith("("):
        return label.replace("predicted - true", minus) + f", {quantity}"
    return label.replace("predicted - true", f"{minus} {quantity}")
