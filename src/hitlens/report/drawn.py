"""Results -> all figures of a report, each with its caption and the same in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import polars as pl
from matplotlib.figure import Figure

from hitlens.evaluate.results import Results, SliceResult, TaskResult
from hitlens.report import figures
from hitlens.report.embed import bytes_to_data_uri, figure_to_bytes
from hitlens.report.labels import column_label, method_label, metric_label, metric_text

#: Metrics of a regression drawn against the slice variables, and whether their axis is logarithmic.
_SLICED = {"resolution": True, "bias": False}


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


def _drawn(name: str, figure: Figure, caption: str, alt: str, *, wide: bool = False) -> DrawnFigure:
    return DrawnFigure(name, figure_to_bytes(figure, "svg"), "svg", caption, alt, wide)


def training_figure(history: pl.DataFrame, metric_name: str) -> DrawnFigure:
    """Draw the training curves; arguments as `figures.training_curves`."""
    last = history.row(-1, named=True)
    return _drawn(
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
    for number, histogram in enumerate(task.histograms):
        counts = {name: sum(values) for name, values in histogram.counts.items()}
        words = " and ".join(f"{n:,} true {name}" for name, n in counts.items())
        yield _drawn(
            f"{task.task}_score" + (f"_{number}" if number else ""),
            figures.score_histogram(task, histogram),
            f"Score of the class {histogram.name.removeprefix('score ')} by true class; logarithmic.",
            f"Histogram of the score for {words} events.",
        )
    found = ", ".join(f"{metric_label(m.name)} {metric_text(m)}" for m in task.metrics[:2])
    yield _drawn(
        f"{task.task}_confusion",
        figures.confusion(task),
        "Events by true and predicted class; the shares add up to 100 % in a row.",
        f"Confusion matrix, rows true class, columns predicted class: {task.confusion}; {found}.",
    )
    if task.curves:
        auc = metric_text(task.metric("auc"))
        yield _drawn(
            f"{task.task}_roc",
            figures.roc(task),
            "Signal efficiency against background efficiency: the whole curve, and its steep end on a "
            "logarithmic axis.",
            f"ROC curve; the area under it is {auc}.",
            wide=True,
        )
        yield _drawn(
            f"{task.task}_cut",
            figures.cut_scan(task),
            "Signal efficiency, purity and background rejection against the cut on the score.",
            f"Efficiency, purity and rejection against the cut; at {task.cut:g} the signal efficiency is "
            f"{metric_text(task.metric('signal_efficiency'))} and the purity "
            f"{metric_text(task.metric('purity'))}.",
        )


def _regression_figures(task: TaskResult) -> Iterator[DrawnFigure]:
    for counts, histogram in zip(task.maps, task.histograms, strict=True):
        label = column_label(counts.name)
        outside = f" {counts.n_outside:,} predictions lie outside." if counts.n_outside else ""
        yield _drawn(
            f"{task.task}_{counts.name}_map",
            figures.truth_against_prediction(counts),
            f"Predicted against true {label}; the dashed line is equality.{outside}",
            f"Two-dimensional histogram of predicted against true {label}; R squared is "
            f"{metric_text(task.metric('r2', counts.name))}.",
        )
        yield _drawn(
            f"{task.task}_{counts.name}_residual",
            figures.residuals(histogram, label),
            f"Predicted minus true {label}; the outermost bins hold everything beyond them.",
            f"Histogram of predicted minus true {label}: bias "
            f"{metric_text(task.metric('bias', counts.name))}, "
            f"resolution {metric_text(task.metric('resolution', counts.name))}.",
        )


def slice_figures(task: TaskResult) -> Iterator[DrawnFigure]:
    """Yield one head's metrics against the slice variables, all methods in each figure."""
    groups: dict[tuple[str, str, str], list[SliceResult]] = {}
    for one in task.slices:
        groups.setdefault((one.variable, one.metric, one.column), []).append(one)
    both = {variable for variable, metric, _ in groups if metric == "background_rejection"}
    for (variable, metric, column), slices in groups.items():
        # Where a variable has a meaning for signal alone, accuracy is the signal efficiency.
        redundant = metric == "accuracy" and task.kind == "binary" and variable not in both
        if not redundant and (task.class_names or metric in _SLICED):
            yield _slice_figure(task, (variable, metric, column), slices)


def _slice_figure(task: TaskResult, names: tuple[str, str, str], slices: list[SliceResult]) -> DrawnFigure:
    variable, metric, column = names
    complement = "fraction misclassified" if metric == "accuracy" else ""
    logarithmic = bool(complement) or _SLICED.get(metric, False)
    label = complement or metric_label(metric) + (f" of {column_label(column)}" if column else "")
    methods = ", ".join(method_label(one.method_label or one.method) for one in slices)
    limits = " Open triangles are upper limits." if complement else ""
    model = slices[0]
    values = "; ".join(
        f"{low:g} to {high:g}: {'no value' if value is None else value}"
        for low, high, value in zip(model.edges[:-1], model.edges[1:], model.values, strict=True)
    )
    return _drawn(
        "_".join(filter(None, (task.task, metric, column.replace(", ", "_"), "against", variable))),
        figures.metric_slices(slices, logarithmic=logarithmic, complement=complement),
        f"{label[0].upper()}{label[1:]} against {model.label}, with {_percent(model)} intervals; below, the "
        f"number of events.{limits}",
        f"{metric_label(metric)} against {model.label} for {methods}. Model, in bins of "
        f"{model.variable_unit or 'the variable'}: {values}.",
    )


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
