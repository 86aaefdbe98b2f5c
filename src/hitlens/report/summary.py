"""The numbers a reader asks for first: every head beside its baselines, what was evaluated, the best cut."""

from __future__ import annotations

from hitlens.evaluate.results import BaselineResult, MetricResult, Results, TaskResult
from hitlens.report.labels import column_label, method_label, metric_label, metric_text, split_words
from hitlens.report.tables import Cell, Table, table, verdict

#: A report of more heads than this is kept short: two numbers a head, slices and galleries folded away.
FEW_HEADS = 3

_NUMBERS = {
    True: ("accuracy", "balanced_accuracy", "auc", "mcc"),
    False: ("rmse", "mae", "r2"),
}
_KEY_NUMBERS = {
    True: ("auc", "balanced_accuracy"),
    False: ("r2", "relative_resolution", "rmse"),
}
_N_KEY = 2


def summary_table(results: Results) -> Table:
    """Return the model's numbers of every head, beside those of the baselines on the same events.

    A baseline's number is marked good where the model is clearly better on the same events, bad where it is
    clearly worse. Of many heads there are two numbers each.
    """
    names = list(dict.fromkeys(one.name for task in results.tasks for one in task.baselines))
    rows: list[list[str | Cell]] = []
    for task in results.tasks:
        for metric in summary_metrics(task, len(results.tasks)):
            about = f" of {column_label(metric.column)}" if metric.column else ""
            row: list[str | Cell] = [task.task, f"{metric_label(metric.name)}{about}", metric_text(metric)]
            baselines = {one.name: one for one in task.baselines}
            row += [_beside(metric, baselines.get(name)) for name in names]
            rows.append(row)
    level = f"{100 * results.level:g} % interval"
    columns = ["task", "metric", f"model [{level}]", *map(method_label, names)]
    return table(f"Results on {split_words(results.split)}", columns, rows, numeric=2)


def summary_metrics(task: TaskResult, n_heads: int) -> list[MetricResult]:
    """Return the numbers of a head that stand in the summary.

    Args:
        task: the head's results.
        n_heads: heads in the report; of many each has two numbers.
    """
    classes, few = bool(task.class_names), n_heads <= FEW_HEADS
    found = []
    for metric in task.metrics:
        alone = ", " in metric.column or not any(
            metric.column in other.column.split(", ") for other in task.metrics if ", " in other.column
        )
        if metric.name in (_NUMBERS if few else _KEY_NUMBERS)[classes] and (
            not metric.column if classes else alone
        ):
            found.append(metric)
    if few:
        return found
    order = _KEY_NUMBERS[classes]
    return sorted(found, key=lambda metric: order.index(metric.name))[:_N_KEY]


def _beside(metric: MetricResult, baseline: BaselineResult | None) -> Cell:
    if baseline is None:
        return Cell("")
    for theirs, difference in zip(baseline.metrics, baseline.differences, strict=True):
        if (theirs.name, theirs.column) == (metric.name, metric.column):
            return Cell(metric_text(theirs), verdict(difference))
    return Cell("")


def task_table(results: Results) -> Table:
    """Return how many events each head was evaluated on, by class, and how many were left out and why."""
    rows = []
    for task in results.tasks:
        classes = ", ".join(
            f"{name}: {n:,}" for name, n in zip(task.class_names, task.class_counts, strict=False)
        )
        left_out = "; ".join(f"{n:,} {why}" for why, n in task.n_excluded.items())
        rows.append([task.task, f"{task.n_events:,}", classes, left_out])
    return table("Events by task", ["task", "evaluated", "of true class", "left out"], rows, numeric=99)


def best_cut_table(task: TaskResult) -> Table | None:
    """Return the selection a cut chosen on validation events makes, None where there is none."""
    best = task.best_cut
    if best is None:
        return None
    rows = [
        ["cut", f"{best.cut:.4f}"],
        ["signal efficiency", str(best.signal_efficiency)],
        ["purity", str(best.purity)],
        ["background rejection", str(best.background_rejection)],
        ["s / √(s + b) of these events", f"{best.figure_of_merit:.2f}"],
    ]
    caption = (
        f"At the cut of highest s / √(s + b), chosen on {best.n_validation:,} validation events: "
        f"{task.n_events:,} evaluated events at their natural prevalence"
    )
    return table(caption, ["", "value"], rows)
