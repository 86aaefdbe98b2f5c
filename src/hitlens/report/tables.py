"""Results -> tables of text, for the page and the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hitlens.detector import Detector, PublishedResult, Task
from hitlens.errors import NotFoundError
from hitlens.evaluate.crossvalidation import CrossValidatedHead
from hitlens.evaluate.regression import METRICS, quantities
from hitlens.evaluate.results import BaselineResult, MetricResult, Results, TaskResult
from hitlens.evaluate.study import VariantHead
from hitlens.report.labels import (
    MEANINGS,
    column_label,
    method_label,
    metric_label,
    metric_text,
    split_words,
    with_unit,
)

#: Metrics of which less is better.
_LOWER_IS_BETTER = ("rmse", "mae", "resolution", "relative_sd", "relative_resolution")


@dataclass(frozen=True)
class Cell:
    """A text and what it means: "good" or "bad" is shown in colour."""

    text: str
    verdict: str = ""


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        caption: what it shows.
        columns: headings.
        rows: one cell a column.
        numeric: number of the first column that holds numbers.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: int = 1


def table(
    caption: str, columns: Sequence[str], rows: Sequence[Sequence[str | Cell]], numeric: int = 1
) -> Table:
    """Return a table from texts and cells.

    Examples:
        >>> table("counts", ["split", "events"], [["test", "10"]]).rows[0][1].text
        '10'
    """
    cells = tuple(tuple(c if isinstance(c, Cell) else Cell(c) for c in row) for row in rows)
    return Table(caption, tuple(columns), cells, numeric)


def metric_tables(task: TaskResult) -> list[Table]:
    """Return the numbers of one head: model and constant answer, then the model beside physics methods."""
    beside = [_comparison(task, one) for one in task.baselines if not one.trivial]
    if not task.class_names:
        return [_regression_table(task), *beside]
    return [_classification_table(task), *_per_class(task), *beside]


def _classification_table(task: TaskResult) -> Table:
    trivial = [one for one in task.baselines if one.trivial]
    rows: list[list[str | Cell]] = []
    for number, metric in enumerate(task.metrics):
        if metric.column:  # of one class
            continue
        constants: list[str | Cell] = [metric_text(one.metrics[number]) for one in trivial]
        rows.append(
            [metric_label(metric.name), metric_text(metric), *constants, MEANINGS.get(metric.name, "")]
        )
    signal = "" if task.cut is None else f"; signal is {task.class_names[1]}, from a score of {task.cut:g}"
    caption = f"{task.n_events:,} events{signal}"
    return table(caption, ["", "model", *(method_label(one.name) for one in trivial), "meaning"], rows)


def _per_class(task: TaskResult) -> list[Table]:
    """The numbers of each of several classes, one table; none for a binary task."""
    names = list(dict.fromkeys(metric.name for metric in task.metrics if metric.column))
    if not names:
        return []
    rows = [
        [column, f"{n:,}", *(metric_text(task.metric(name, column)) for name in names)]
        for column, n in zip(task.class_names, task.class_counts, strict=True)
    ]
    columns = ["class", "true events", *map(metric_label, names)]
    return [table("Each class against the rest", columns, rows)]


def _regression_table(task: TaskResult) -> Table:
    found = {metric.name for metric in task.metrics}
    names = [name for name in METRICS if name in found]
    methods: list[tuple[str, tuple[MetricResult, ...]]] = [("model", task.metrics)]
    methods += [(method_label(one.name), one.metrics) for one in task.baselines if one.trivial]
    rows = []
    for column in dict.fromkeys(metric.column for metric in task.metrics):
        for label, metrics in methods:
            mine = {metric.name: metric for metric in metrics if metric.column == column}
            unit = mine[names[0]].unit
            numbers = [str(mine[n].interval or "-") if n in mine else "" for n in names]
            rows.append([with_unit(column_label(column), unit), label, *numbers])
    matched = "; members of a pair matched to the truth" if task.kind == "set_regression" else ""
    caption = f"{task.n_events:,} events{matched}"
    return table(caption, ["", "method", *map(metric_label, names)], rows, numeric=2)


def _comparison(task: TaskResult, one: BaselineResult) -> Table:
    rows: list[list[str | Cell]] = []
    for mine, theirs, difference in zip(one.model_metrics, one.metrics, one.differences, strict=True):
        if task.class_names and mine.column:
            continue
        label = metric_label(mine.name)
        rows.append(
            [
                f"{label} of {column_label(mine.column)}" if mine.column else label,
                metric_text(mine),
                metric_text(theirs),
                Cell(metric_text(difference), verdict(difference)),
            ]
        )
    speed = f"; {1 / one.seconds_per_event:,.0f} events/s" if one.seconds_per_event else ""
    failed = f"; it found no answer for {one.n_failed:,} more" if one.n_failed else ""
    name = method_label(one.name)
    return table(
        f"Beside the {name} ({one.meaning}) on the same {one.n_events:,} events{failed}{speed}",
        ["", "model", name, f"model \N{MINUS SIGN} {name}"],
        rows,
    )


def verdict(difference: MetricResult) -> str:
    """Return "good" or "bad" for a difference whose interval leaves out zero, else nothing.

    Args:
        difference: a metric of one method minus that of another.

    Examples:
        >>> from hitlens.metrics.interval import Interval
        >>> verdict(MetricResult("rmse", Interval(-0.2, -0.3, -0.1)))
        'good'
    """
    interval = difference.interval
    if interval is None or difference.name in ("bias", "relative_bias") or interval.low <= 0 <= interval.high:
        return ""
    higher = interval.low > 0
    return "good" if higher != (difference.name in _LOWER_IS_BETTER) else "bad"


def overall_metrics(head: VariantHead | CrossValidatedHead, names: Sequence[str]) -> list[int]:
    """Return where the metrics of these names are: of one unit those taken together, of no single class.

    Args:
        head: results of one head.
        names: of the wanted metrics, in the wanted order.

    Examples:
        >>> found = [MetricResult("rmse", None, column) for column in ("x_px", "y_px", "x_px, y_px")]
        >>> overall_metrics(VariantHead("position", 10, tuple(found)), ["r2", "rmse"])
        [2]
    """
    together = [metric.column for metric in head.metrics if ", " in metric.column]
    pooled = {name for column in together for name in column.split(", ")}
    return [
        position
        for name in names
        for position, metric in enumerate(head.metrics)
        if metric.name == name and metric.column not in pooled and not (head.class_names and metric.column)
    ]


def data_table(results: Results, *, by_task: bool = True) -> Table:
    """Return the events of the evaluation: by split, by class, left out.

    Args:
        results: of an evaluation.
        by_task: whether each task's events are listed.
    """
    rows = [
        [
            f"{split_words(name).removeprefix('the ')}{' (evaluated here)' if name == results.split else ''}",
            f"{n:,}",
        ]
        for name, n in results.n_events_by_split.items()
    ]
    for task in results.tasks if by_task else ():
        rows.append([f"{task.task}: evaluated", f"{task.n_events:,}"])
        rows += [
            [f"{task.task}: true {name}", f"{n:,}"]
            for name, n in zip(task.class_names, task.class_counts, strict=False)
        ]
        rows += [[f"{task.task}: left out, {why}", f"{n:,}"] for why, n in task.n_excluded.items()]
    return table("Events", ["", "events"], rows)


def published_table(results: Results, detector: Detector) -> Table | None:
    """Return published values beside ours, as quoted, with their conditions; None where there are none.

    Args:
        results: of a run.
        detector: its description, with the published results.
    """
    rows = []
    for one in detector.published:
        ours = _ours(one, results, detector)
        if ours is not None:
            in_mm = _in_mm(ours, detector)
            rows.append(
                [
                    detector.task(one.task).name,
                    one.model,
                    one.metric,
                    one.value,
                    metric_text(ours) + in_mm,
                    f"{one.conditions} ({one.source})",
                ]
            )
    if not rows:
        return None
    caption = (
        "Published values as quoted, beside this run. They were found on other events and, where it says "
        "so, on validation events: compare with care."
    )
    columns = ["task", "published model", "metric", "published", "this run", "conditions (source)"]
    return table(caption, columns, rows, numeric=99)


def _ours(one: PublishedResult, results: Results, detector: Detector) -> MetricResult | None:
    """Our number for the same quantity, from the task itself or from a head that predicts it among others."""
    wanted = detector.task(one.task)
    for task in results.tasks:
        head = detector.task(task.task)
        if wanted.is_classification:
            if head.name != wanted.name:
                continue
            column = ""
        elif _predicts(head, wanted):
            column = quantities(wanted)[-1].name
        else:
            continue
        try:
            return task.metric(one.metric.lower(), column)
        except NotFoundError:
            return None
    return None


def _predicts(head: Task, wanted: Task) -> bool:
    return (
        head.kind == wanted.kind
        and head.selection == wanted.selection
        and set(wanted.target_columns) <= set(head.target_columns)
    )


def _in_mm(metric: MetricResult, detector: Detector) -> str:
    pitches = set(detector.views[0].pitch_mm)
    if metric.unit != "px" or metric.interval is None or len(pitches) != 1:
        return ""
    return f" = {metric.interval.value * pitches.pop():.3g} mm"


def provenance_table(provenance: Mapping[str, Any]) -> Table:
    """Return a record of how a run came about as names and values; nested names are joined by dots.

    Examples:
        >>> [[cell.text for cell in row] for row in provenance_table({"data": {"files": ["a", "b"]}}).rows]
        [['data.files', 'a, b']]
    """
    # What the page itself shows is not repeated: its numbers, and who read the split when.
    record = {name: value for name, value in provenance.items() if name not in ("readings", "evaluation")}
    rows = [[name, text] for name, text in _flat("", record)]
    return table("How this run came about", ["", "value"], rows, numeric=99)


def _flat(prefix: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [pair for name, inner in value.items() for pair in _flat(f"{prefix}.{name}", inner)]
    if isinstance(value, (list, tuple)):
        return [(prefix.lstrip("."), ", ".join(map(str, value)))]
    return [(prefix.lstrip("."), str(value))]
