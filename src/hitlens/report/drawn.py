"""Results -> all figures of a report, each with its caption and the same in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import polars as pl
from matplotlib.figure import Figure

from hitlens.evaluate.results import Histogram, Map, Results, SliceResult, TaskResult
from hitlens.report import figures
from hitlens.report.embed import bytes_to_data_uri, figure_to_bytes
from hitlens.report.labels import column_label, file_name, method_label, metric_label, metric_text
from hitlens.report.slice_figures import Panel, slice_panels

#: Metrics against one quantity that stand side by side.
N_PANELS = 4


@dataclass(frozen=True)
class DrawnFigure:
    """A figure as the content of a file.

    Attributes:
        name: file name without its ending.
        content: content of the image file.
        file_format: of the content.
        caption: what to see in it.
        alt: the figure in words, for those who cannot see it.
        wide: whether it takes the whole width of a page.
    """

    name: str
    content: bytes
    file_format: Literal["svg", "png"]
    caption: str
    alt: str
    wide: bool = False

    @property
    def uri(self) -> str:
        """The content as a data URI."""
        return bytes_to_data_uri(self.content, self.file_format)


def as_drawn(name: str, figure: Figure, caption: str, alt: str, *, wide: bool = False) -> DrawnFigure:
    """Return a figure as the content of an SVG file, and close it; arguments as `DrawnFigure`."""
    return DrawnFigure(name, figure_to_bytes(figure, "svg"), "svg", caption, alt, wide)


def training_figure(history: pl.DataFrame, metric_name: str) -> DrawnFigure:
    """Draw the training curves; arguments as `figures.training_curves`."""
    last = history.row(-1, named=True)
    return as_drawn(
        "training",
        figures.training_curves(history, metric_name),
        f"Loss, validation {metric_name} and learning rate against the epoch.",
        f"Training curves over {len(history)} epochs. Last training loss {last['train_loss']:.4g}, the "
        f"last validation loss {last['val_loss']:.4g}, the last validation {metric_name} "
        f"{last['val_metric']:.4g}.",
        wide=True,
    )


def task_figures(task: TaskResult) -> Iterator[DrawnFigure]:
    """Yield the figures of one head that stand beside its metrics."""
    if task.class_names:
        yield from _classification_figures(task)
    else:
        yield from _regression_figures(task)


def _classification_figures(task: TaskResult) -> Iterator[DrawnFigure]:
    yield from _score_figures(task)
    found = ", ".join(f"{metric_label(m.name)} {metric_text(m)}" for m in task.metrics[:2])
    yield as_drawn(
        f"{task.task}_confusion",
        figures.confusion(task),
        "Events by true and predicted class; the shares add up to 100 % in a row.",
        f"Confusion matrix, rows true class, columns predicted class: {task.confusion}; {found}.",
    )
    names = [curve.name for curve in task.curves]
    calibrated = [name.removeprefix("calibration ") for name in names if name.startswith("calibration ")]
    if calibrated:
        yield as_drawn(
            f"{task.task}_calibration",
            figures.calibration(task),
            "How often events with a score are of the class, in bins of the score, with binomial "
            "intervals; on the dotted line a score is a probability.",
            f"Calibration curves of the scores of {', '.join(calibrated)}.",
        )
    if "cuts" in names:
        yield from _cut_figures(task)


def _score_figures(task: TaskResult) -> Iterator[DrawnFigure]:
    if len(task.histograms) > 2 and task.kind == "multiclass":
        yield as_drawn(
            file_name(task.task, "scores"),
            figures.score_panels(task, task.histograms),
            "Score of each class by true class; logarithmic.",
            f"Histograms of the scores of {', '.join(task.class_names)}, each by true class.",
            wide=True,
        )
        return
    for number, histogram in enumerate(task.histograms):
        counts = {name: sum(values) for name, values in histogram.counts.items()}
        by_class = set(counts) <= set(task.class_names)
        words = " and ".join(f"{n:,} {'true ' if by_class else ''}{name}" for name, n in counts.items())
        name = histogram.label.removeprefix("score of class ")
        by = "true class" if by_class else histogram.name.removeprefix("score by ").replace("_", " ")
        yield as_drawn(
            file_name(task.task, "score", "" if number == 0 else by if not by_class else str(number)),
            figures.score_histogram(task, histogram),
            f"Score of the class {name} by {by}; logarithmic.",
            f"Histogram of the score for {words} events.",
        )


def _cut_figures(task: TaskResult) -> Iterator[DrawnFigure]:
    auc = metric_text(task.metric("auc"))
    yield as_drawn(
        f"{task.task}_roc",
        figures.roc(task),
        "Signal efficiency against background efficiency: the whole curve, and its steep end on a "
        "logarithmic axis.",
        f"ROC curve; the area under it is {auc}.",
        wide=True,
    )
    best = task.best_cut
    chosen = (
        f" The dashed line is the cut that is best on {best.n_validation:,} validation events."
        if best
        else ""
    )
    yield as_drawn(
        f"{task.task}_cut",
        figures.cut_scan(task),
        "Against the cut on the score: signal efficiency, purity and background rejection with binomial "
        f"intervals, and the figure of merit of these events at their natural prevalence.{chosen}",
        f"Efficiency, purity and rejection against the cut; at {task.cut:g} the signal efficiency is "
        f"{metric_text(task.metric('signal_efficiency'))} and the purity "
        f"{metric_text(task.metric('purity'))}.",
        wide=True,
    )


def _regression_figures(task: TaskResult) -> Iterator[DrawnFigure]:
    migrations = {one.name: one for one in task.migrations}
    residuals = {one.name: one for one in task.histograms}
    for counts in task.maps:
        label, name = column_label(counts.name), counts.name
        outside = f" {counts.n_outside:,} events lie outside." if counts.n_outside else ""
        yield as_drawn(
            f"{task.task}_{name}_map",
            figures.truth_against_prediction(counts),
            f"Predicted against true {label}; the dashed line is equality.{outside}",
            f"Two-dimensional histogram of predicted against true {label}; R squared is "
            f"{metric_text(task.metric('r2', name))}.",
        )
        if name in migrations:
            yield _migration_figure(task, migrations[name], label)
        for kind, metric in (("residual", "resolution"), ("relative residual", "relative_resolution")):
            if f"{kind} {name}" in residuals:
                yield _residual_figure(task, residuals[f"{kind} {name}"], (name, metric))


def _migration_figure(task: TaskResult, counts: Map, label: str) -> DrawnFigure:
    values = [list(row) for row in counts.counts]
    right = sum(row[number] for number, row in enumerate(values))
    share = 100 * right / max(sum(map(sum, values)), 1)
    return as_drawn(
        f"{task.task}_{counts.name}_migration",
        figures.migration(counts),
        f"In which bin of the predicted {label} the events of each true bin are, in percent; a column adds "
        "up to 100, and the outermost bins hold everything beyond them.",
        f"Migration matrix of {label}: {share:.0f} % of the events are predicted in their true bin.",
    )


def _residual_figure(task: TaskResult, histogram: Histogram, names: tuple[str, str]) -> DrawnFigure:
    column, metric = names
    label, known = column_label(column), {(m.name, m.column) for m in task.metrics}
    width = metric_text(task.metric(metric, column)) if (metric, column) in known else ""
    relative = metric.startswith("relative")
    of_truth = ", over the true value" if relative else ""
    return as_drawn(
        file_name(task.task, column, "relative residual" if relative else "residual"),
        figures.residuals(histogram, label, width),
        f"Predicted minus true {label}{of_truth}; the band is the half width of the central 68 %, and the "
        "outermost bins hold everything beyond them.",
        f"Histogram of predicted minus true {label}{of_truth}: bias "
        f"{metric_text(task.metric('bias', column))}, resolution "
        f"{width or metric_text(task.metric('resolution', column))}.",
    )


def slice_figures(task: TaskResult) -> Iterator[DrawnFigure]:
    """Yield one figure a slice variable: the head's metrics side by side, all methods in each."""
    variables = dict.fromkeys(one.variable for one in task.slices)
    for variable in variables:
        slices = [one for one in task.slices if one.variable == variable]
        panels = _class_panels(task, slices) if task.class_names else _value_panels(slices)
        # Several quantities of one head (energy and position) would not fit side by side.
        for start in range(0, len(panels), N_PANELS):
            yield _slice_figure(task, variable, panels[start : start + N_PANELS], start // N_PANELS)


def _class_panels(task: TaskResult, slices: list[SliceResult]) -> list[Panel]:
    groups = _by_metric(slices)
    found = []
    # Where a variable has a meaning for signal alone, accuracy is the signal efficiency.
    whole = task.kind != "binary" or ("background_rejection", "") in groups
    if ("accuracy", "") in groups and whole:
        found.append(Panel(tuple(groups["accuracy", ""]), "fraction misclassified", True, True))
    wanted = ("signal_efficiency", "purity", "background_rejection") if whole else ("signal_efficiency",)
    found += [Panel(tuple(groups[metric, ""])) for metric in wanted if (metric, "") in groups]
    lines = [one for one in slices if one.metric == "efficiency" and one.method == "model"]
    if lines:
        found.append(Panel(tuple(lines), "efficiency of the true class", by_class=True))
    return found


def _value_panels(slices: list[SliceResult]) -> list[Panel]:
    groups = _by_metric(slices)
    found = []
    for column in dict.fromkeys(column for _, column in groups):
        for metric, logarithmic in (("bias", False), ("resolution", True)):
            relative = (f"relative_{metric}", column)
            key = relative if relative in groups else (metric, column)
            if key in groups:
                found.append(Panel(tuple(groups[key]), logarithmic=logarithmic))
    return found


def _by_metric(slices: list[SliceResult]) -> dict[tuple[str, str], list[SliceResult]]:
    groups: dict[tuple[str, str], list[SliceResult]] = {}
    for one in slices:
        groups.setdefault((one.metric, one.column), []).append(one)
    return groups


def _slice_figure(task: TaskResult, variable: str, panels: list[Panel], number: int) -> DrawnFigure:
    first = panels[0].slices[0]
    methods = dict.fromkeys(one.method_label or one.method for p in panels for one in p.slices)
    names = [_panel_name(panel) for panel in panels]
    limits = " Open triangles are upper limits." if any(panel.complement for panel in panels) else ""
    values = " ".join(
        f"{name}: {_values_in_words(panel)}." for name, panel in zip(names, panels, strict=True)
    )
    listed = ", ".join(names)
    return as_drawn(
        file_name(task.task, "against", variable, str(number) if number else ""),
        slice_panels(panels),
        f"{listed[0].upper()}{listed[1:]} against {first.label}, with {_percent(first)} intervals; below, "
        f"the number of events each counts.{limits}",
        f"{listed} against {first.label} for {', '.join(map(method_label, methods))}. Of the model, in bins "
        f"of {first.variable_unit or 'the variable'}: {values}",
        wide=len(panels) > 1,
    )


def _panel_name(panel: Panel) -> str:
    one = panel.slices[0]
    about = f" of {column_label(one.column)}" if one.column and not panel.by_class else ""
    return (panel.label or metric_label(one.metric)) + about


def _values_in_words(panel: Panel) -> str:
    one = panel.slices[0]
    bins = one.bin_labels or tuple(
        f"{low:g} to {high:g}" for low, high in zip(one.edges[:-1], one.edges[1:], strict=True)
    )
    # Of one minus the metric, the metric is told.
    name = (
        f" ({metric_label(one.metric)})" if panel.complement else f" ({one.column})" if panel.by_class else ""
    )
    texts = [f"{bin_} {'no value' if v is None else v}" for bin_, v in zip(bins, one.values, strict=True)]
    return "; ".join(texts) + name


def _percent(one: SliceResult) -> str:
    return next((f"{100 * value.level:g} %" for value in one.values if value is not None), "")


def all_figures(
    results: Results, history: pl.DataFrame | None, metric_name: str
) -> dict[str, tuple[DrawnFigure, ...]]:
    """Return the figures by the section of the report they stand in.

    Args:
        results: of a run.
        history: its training history, None where there is none.
        metric_name: what the history's val_metric is.

    Returns:
        "training", and for each head "<head>" and "<head> slices".
    """
    found: dict[str, tuple[DrawnFigure, ...]] = {"training": ()}
    if history is not None and len(history):
        found["training"] = (training_figure(history, metric_name),)
    for task in results.tasks:
        if task.n_events:
            found[task.task] = tuple(task_figures(task))
            found[f"{task.task} slices"] = tuple(slice_figures(task))
    return found
