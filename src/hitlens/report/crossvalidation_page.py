"""Cross-validation results -> one HTML page: the numbers, their luck, and what they can show."""

from __future__ import annotations

from hitlens.detector import Detector
from hitlens.evaluate.crossvalidation import CrossValidatedHead, CrossValidation
from hitlens.report.crossvalidation_figures import fold_values
from hitlens.report.drawn import DrawnFigure, as_drawn, slice_figures, task_figures
from hitlens.report.labels import method_label, metric_label, metric_text, metric_title
from hitlens.report.numbers import number
from hitlens.report.render import render
from hitlens.report.tables import (
    Cell,
    Table,
    data_table,
    overall_metrics,
    provenance_table,
    published_table,
    table,
    verdict,
)

#: Metrics shown beside other methods; the rest is in cv.json.
_SHOWN = (
    *("accuracy", "balanced_accuracy", "auc", "mcc"),
    *("bias", "rmse", "mae", "r2", "resolution", "relative_bias", "relative_resolution"),
)

#: The number by which a head is summed up.
_PRIMARY = ("accuracy", "rmse")

_MINUS = "\N{MINUS SIGN}"


def render_cross_validation(found: CrossValidation, detector: Detector) -> str:
    """Return the page of a cross-validation.

    Args:
        found: its results.
        detector: description, for published results.
    """
    level = f"{100 * found.first.level:g} %"
    return render(
        "crossvalidation.html",
        title=found.title,
        subtitle=_subtitle(found),
        level=level,
        n_bootstrap=found.first.n_bootstrap,
        repeats=found.n_repeats,
        summary=summary_table(found),
        limits=[text for head in found.heads for text in limits(head, level)],
        deal=deal_table(found),
        data_tables=[data_table(found.first)],
        sections=[_section(found, position) for position in range(len(found.heads))],
        published=published_table(found.first, detector),
        provenance=provenance_table({**found.machine, **found.first.data}),
        settings=found.settings,
    )


def summary_table(found: CrossValidation) -> Table:
    """Return the numbers a reader asks for first: of every head, the model and all that stand beside it."""
    names = list(dict.fromkeys(one.name for head in found.heads for one in head.baselines))
    rows = []
    for head in found.heads:
        methods = {one.name: one for one in head.baselines}
        for position in overall_metrics(head, ("accuracy", "auc", "rmse", "r2")):
            metric = head.metrics[position]
            others = [
                metric_text(methods[name].metrics[position]) if name in methods else "" for name in names
            ]
            rows.append([head.task, metric_title(metric), metric_text(metric), *others])
    caption = (
        f"Every one of {found.n_events:,} events predicted by a model that never saw it: "
        f"{found.n_folds} folds, {_times(found.n_repeats, 'repeat')}"
    )
    return table(caption, ["task", "metric", "model", *map(method_label, names)], rows, numeric=2)


def method_table(head: CrossValidatedHead) -> Table:
    """Return the numbers of one head: each metric of each method, and the model's difference to it."""
    rows: list[list[str | Cell]] = []
    for position in overall_metrics(head, _SHOWN):
        metric = head.metrics[position]
        rows.append([metric_title(metric), "model", metric_text(metric), ""])
        for one in head.baselines:
            difference = one.differences[position]
            shown = Cell(metric_text(difference), verdict(difference))
            rows.append(["", method_label(one.name), metric_text(one.metrics[position]), shown])
    columns = ["metric", "method", "value", f"model {_MINUS} method, same resampled events"]
    return table(f"{head.n_events:,} events", columns, rows, numeric=2)


def class_table(head: CrossValidatedHead) -> Table | None:
    """Return the numbers of each class against the rest; None where there are none."""
    mine = [(position, metric) for position, metric in enumerate(head.metrics) if metric.column]
    if not head.class_names or not mine:
        return None
    names = list(dict.fromkeys(metric.name for _, metric in mine))
    rows = []
    for name, n in zip(head.class_names, head.class_counts, strict=True):
        cells = {metric.name: metric_text(metric) for _, metric in mine if metric.column == name}
        rows.append([name, f"{n:,}", *(cells.get(one, "") for one in names)])
    columns = ["class", "true events", *map(metric_label, names)]
    return table("Each class against the rest, model", columns, rows)


def spread_table(head: CrossValidatedHead) -> Table:
    """Return how much the model's numbers differ between folds and between repeats."""
    rows = []
    for position in overall_metrics(head, _SHOWN):
        one = head.by_fold[position]
        of_folds = [value for repeat in one.folds for value in repeat]
        known = [value for value in of_folds if value is not None]
        ends = f"{_short(min(known))} to {_short(max(known))}" if known else "undefined"
        if 0 < len(known) < len(of_folds):  # such as of a class that a fold has not
            ends += f"; undefined in {len(of_folds) - len(known)} of {len(of_folds)} folds"
        repeats = ", ".join(_short(value) for value in one.repeats)
        rows.append(
            [
                metric_title(head.metrics[position]),
                ends,
                _spread(one.fold_spread),
                repeats,
                _spread(one.repeat_spread),
            ]
        )
    columns = ["metric", "in single folds", "deviation of folds", "in the repeats", "deviation of repeats"]
    return table("The model's luck: one fold, one repeat", columns, rows)


def deal_table(found: CrossValidation) -> Table:
    """Return how many events are learnt from, watched and held out, by fold."""
    rows = []
    for repeat in range(found.n_repeats):
        for fold in range(found.n_folds):
            counts = (found.n_train, found.n_validation, found.n_held_out)
            numbers = [f"{one[repeat][fold]:,}" for one in counts]
            rows.append([f"repeat {repeat + 1}, fold {fold + 1}", *numbers])
    columns = ["", "training", "validation", "held out"]
    caption = (
        f"{_times(found.n_folds * found.n_repeats, 'model')} of {found.n_parameters:,} parameters, "
        f"trained in {found.seconds:,.0f} s"
    )
    return table(caption, columns, rows)


def limits(head: CrossValidatedHead, level: str) -> list[str]:
    """Return what so many events can and cannot show of a head, in sentences.

    Args:
        head: its results.
        level: coverage of the intervals, in words.
    """
    position = next((p for name in _PRIMARY for p in reversed(overall_metrics(head, (name,)))), None)
    interval = None if position is None else head.metrics[position].interval
    if position is None or interval is None:
        return []
    metric = head.metrics[position]
    half = number(float(f"{(interval.high - interval.low) / 2:.2g}"))
    unit = f" {metric.unit}" if metric.unit else ""
    found = [
        f"{head.task}: {head.n_events:,} events give the {metric_title(metric)} to about \N{PLUS-MINUS SIGN}"
        f"{half}{unit} ({level})."
    ]
    for one in head.baselines:
        difference = one.differences[position]
        if difference.interval is None:
            continue
        word = {"good": "is better than", "bad": "is worse than"}.get(verdict(difference))
        name = "the constant answer" if one.trivial else method_label(one.name)
        if word is None:
            width = (difference.interval.high - difference.interval.low) / 2
            wide = number(float(f"{width:.2g}"))
            found.append(
                f"{head.task}: these events cannot tell the model from {name} (difference "
                f"{metric_text(difference)}); to be seen it would have to be about {wide}{unit}."
            )
        else:
            found.append(f"{head.task}: the model {word} {name} (difference {metric_text(difference)}).")
    return found


def _section(found: CrossValidation, position: int) -> dict[str, object]:
    head, task = found.heads[position], found.first.tasks[position]
    drawn = [_fold_figure(head, number) for number in overall_metrics(head, (*_PRIMARY, "auc"))]
    tables = [method_table(head), class_table(head), spread_table(head)]
    shown = task.n_events > 0
    return {
        "name": head.task,
        "meaning": head.meaning,
        "tables": [one for one in tables if one is not None] if shown else [],
        "notes": [f"{method_label(one.name)}: {one.meaning}." for one in head.baselines],
        "figures": drawn if shown else [],
        "first": tuple(task_figures(task)) if shown else (),
        "slices": tuple(slice_figures(task)) if shown else (),
    }


def _fold_figure(head: CrossValidatedHead, position: int) -> DrawnFigure:
    metric = head.metrics[position]
    label = metric_title(metric)
    others = "; ".join(
        f"{method_label(one.name)} {metric_text(one.metrics[position])}" for one in head.baselines
    )
    return as_drawn(
        f"{head.task}_{metric.name}_folds",
        fold_values(head, position),
        f"The {label} of the model in each fold, and of all methods on all events with their intervals.",
        f"The {label}: model {metric_text(metric)}; {others}.",
    )


def _subtitle(found: CrossValidation) -> str:
    return (
        f"{found.detector} / {found.task}: {found.n_events:,} events, dealt "
        f"{_times(found.n_repeats, 'time')} into {found.n_folds} folds; each fold predicted by a model "
        "trained on the others."
    )


def _times(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _short(value: float | None) -> str:
    return "-" if value is None else number(float(f"{value:.3g}"))


def _spread(value: float | None) -> str:
    return "-" if value is None else number(float(f"{value:.2g}"))
