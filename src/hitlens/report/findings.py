"""Worst slices and dependences -> tables, for the page and the terminal."""

from __future__ import annotations

from hitlens.evaluate.dependence import CLASS, NOISE
from hitlens.evaluate.findings import Dependence, Influence, WorstSlice
from hitlens.evaluate.results import Results, TaskResult
from hitlens.report.labels import column_label, interval_text, metric_label, with_unit
from hitlens.report.tables import Cell, Table, table

#: What the tables do and do not say; stands below them.
NOTES = (
    "Worst slices were searched among single bins of the quantities and pairs of them on a random half of "
    "the events; the worst of so many looks worse than it is, so only the value on the other half counts. "
    "Listed are those that are certainly worse there, by a difference to all other events whose interval "
    "excludes zero, the worst first; where no such table stands there was none.",
    "An importance is what the score of foretelling the performance from the quantities loses when one of "
    "them is shuffled (among events of one true class, where there are classes); quantities that say the "
    "same hide each other, so see what each foretells without the others. It says where the performance "
    "differs, not why. Compare with the random numbers.",
)


def findings_tables(task: TaskResult) -> list[Table]:
    """Return where a model does worst and what its performance depends on, none where it was not looked for.

    Args:
        task: results of one head.
    """
    slices = [worst_slice_table(task)] if any(one.is_certain for one in task.worst_slices) else []
    return [*slices, *(dependence_table(task, one) for one in task.dependences)]


def findings_summary(results: Results) -> Table | None:
    """Return the worst slice and the most important quantity of each head, None where nothing was looked for.

    Args:
        results: of a run.
    """
    rows: list[list[str | Cell]] = []
    for task in results.tasks:
        for one in [one for one in task.worst_slices if one.is_certain][:1]:
            here = Cell(interval_text(one.value), "bad")
            rows.append([task.task, f"worst where {one.words}", _metric(one), here, interval_text(one.rest)])
        for found in task.dependences:
            first = next((one for one in found.influences if one.name not in (CLASS, NOISE)), None)
            if first is None:
                continue
            what = f"importance for {_about(found)}"
            rows.append([task.task, f"depends on {first.label}", what, interval_text(first.importance), ""])
    columns = ["task", "finding", "measure", "value", "all other events"]
    return table("Where it is worst, and what it depends on", columns, rows, numeric=3) if rows else None


def worst_slice_table(task: TaskResult) -> Table:
    """Return the worst slices of one head.

    Args:
        task: its results.
    """
    rows: list[list[str | Cell]] = [
        [
            one.words,
            _metric(one),
            f"{one.found:.4g}",
            Cell(interval_text(one.value), "bad"),
            f"{one.n_events:,}",
            interval_text(one.rest),
            interval_text(one.difference),
            one.condition,
        ]
        for one in task.worst_slices
        if one.is_certain
    ]
    columns = ["worst slice", "metric", "where searched", "other half", "events", "all others"]
    columns += ["difference", "condition"]
    return table(f"Where {task.task} is worst", columns, rows, numeric=2)


def _metric(one: WorstSlice) -> str:
    about = f" of {column_label(one.column)}" if one.column else ""
    classes = f" of {', '.join(one.classes)}" if one.classes else ""
    return with_unit(f"{metric_label(one.metric)}{about}{classes}", one.unit)


def dependence_table(task: TaskResult, one: Dependence) -> Table:
    """Return the quantities a performance depends on, the most important first.

    Args:
        task: results of the head.
        one: of its dependences.
    """
    noise = next((each for each in one.influences if each.name == NOISE), None)
    rows: list[list[str | Cell]] = [
        [
            str(rank),
            each.label,
            Cell(interval_text(each.importance), _verdict(each, noise)),
            interval_text(each.alone),
        ]
        for rank, each in enumerate(one.influences, 1)
    ]
    score = "AUC" if one.score == "auc" else "R² of its logarithm"
    caption = (
        f"What {_about(one)} depends on: foretold from all quantities with {score} "
        f"{interval_text(one.value)}, {one.n_events:,} events of {task.task}"
    )
    has_class = any(each.name == CLASS for each in one.influences)
    alone = f"{score} of class and it alone" if has_class else f"{score} of it alone"
    return table(caption, ["rank", "quantity", f"importance (loss of {score})", alone], rows, numeric=2)


def _about(one: Dependence) -> str:
    return f"the size of the error of {column_label(one.column)}" if one.column else "being right"


def _verdict(one: Influence, noise: Influence | None) -> str:
    """Return "good" for an importance that is certain and above that of random numbers."""
    if one.importance is None or one is noise:
        return ""
    level = noise.importance.high if noise is not None and noise.importance is not None else 0.0
    return "good" if one.importance.low > max(level, 0.0) else ""
