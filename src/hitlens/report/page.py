"""Results -> the report of a run: one HTML page that needs no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from hitlens.detector import Detector
from hitlens.evaluate.results import Reading, Results, TaskResult
from hitlens.report.drawn import DrawnFigure, all_figures
from hitlens.report.findings import NOTES, findings_tables
from hitlens.report.gallery import Gallery
from hitlens.report.labels import file_name, split_words
from hitlens.report.render import render
from hitlens.report.summary import FEW_HEADS, best_cut_table, summary_table, task_table
from hitlens.report.tables import (
    Table,
    data_table,
    metric_tables,
    provenance_table,
    published_table,
    table,
)


@dataclass(frozen=True, eq=False)
class ReportContent:
    """Everything a report is made of.

    Attributes:
        results: of the evaluation.
        detector: description, for published results.
        history: training history, one row an epoch; None where there is none.
        metric_name: what the history's val_metric is.
        galleries: pictures of single events, drawn, with their titles.
        config: settings of the run, as text.
        provenance: record of how the run came about.
        title: heading; empty takes detector and task.
    """

    results: Results
    detector: Detector
    history: pl.DataFrame | None = None
    metric_name: str = "metric"
    galleries: Sequence[tuple[str, DrawnFigure]] = ()
    config: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""


def render_report(content: ReportContent) -> tuple[str, tuple[DrawnFigure, ...]]:
    """Return the page, and its figures (but the galleries) for those who want them as files.

    Args:
        content: what the report is made of.
    """
    results, detector = content.results, content.detector
    drawn = all_figures(results, content.history, content.metric_name)
    sections = [_task_section(task.task, task.meaning, results, drawn) for task in results.tasks]
    page = render(
        "report.html",
        title=content.title or f"{detector.name}: {results.task}",
        subtitle=_subtitle(results, detector),
        warnings=reading_warnings(results),
        level=f"{100 * results.level:g} %",
        n_bootstrap=results.n_bootstrap,
        summary=summary_table(results),
        data_tables=_data_tables(results),
        training=drawn["training"],
        training_table=_training_table(content),
        tasks=sections,
        findings_notes=NOTES,
        galleries=_by_head(content.galleries, results),
        folded=len(results.tasks) > FEW_HEADS,
        published=published_table(results, detector),
        provenance=provenance_table(content.provenance) if content.provenance else None,
        config=content.config,
        split=results.split,
    )
    return page, tuple(figure for figures in drawn.values() for figure in figures)


@dataclass(frozen=True)
class TaskSection:
    """One head's part of the page."""

    name: str
    meaning: str
    tables: tuple[Table, ...]
    notes: tuple[str, ...]
    figures: tuple[DrawnFigure, ...]
    slices: tuple[DrawnFigure, ...]
    findings: tuple[Table, ...] = ()


def _task_section(
    name: str, meaning: str, results: Results, drawn: Mapping[str, tuple[DrawnFigure, ...]]
) -> TaskSection:
    task = results.head(name)
    notes = [f"The constant answer is {one.meaning}." for one in task.baselines if one.trivial]
    if not task.n_events:
        notes = ["No event of this split has a target for this task."]
    return TaskSection(
        name=name,
        meaning=meaning,
        tables=_tables(task) if task.n_events else (),
        notes=tuple(notes),
        figures=drawn.get(name, ()),
        slices=drawn.get(f"{name} slices", ()),
        findings=tuple(findings_tables(task)),
    )


def _tables(task: TaskResult) -> tuple[Table, ...]:
    first, *rest = metric_tables(task)
    best = best_cut_table(task)
    return (first, *((best,) if best else ()), *rest)


def _data_tables(results: Results) -> list[Table]:
    if len(results.tasks) <= FEW_HEADS:
        return [data_table(results), *_data_facts(results)]
    return [data_table(results, by_task=False), task_table(results), *_data_facts(results)]


def _by_head(
    galleries: Sequence[tuple[str, DrawnFigure]], results: Results
) -> dict[str, list[tuple[str, DrawnFigure]]]:
    """Return galleries by the head they are of, the others under an empty name."""
    found: dict[str, list[tuple[str, DrawnFigure]]] = {}
    starts = {file_name("gallery", task.task) + "_": task.task for task in results.tasks}
    for heading, figure in galleries:
        mine = [start for start in starts if figure.name.startswith(start)]
        head = starts[max(mine, key=len)] if mine else ""
        found.setdefault(head, []).append((heading, figure))
    return found


def _subtitle(results: Results, detector: Detector) -> str:
    when = results.readings[-1].when[:16].replace("T", " ") + " UTC" if results.readings else "unknown time"
    return (
        f"{detector.title}. Task {results.task}: {results.n_events:,} events, {split_words(results.split)}, "
        f"evaluated {when}."
    )


def reading_warnings(results: Results) -> list[str]:
    """Return what a reader must know of the evaluation: which events, and how often they were looked at.

    Examples:
        >>> one = Results("cebr", "multiplicity", "validation", 0, {}, (), level=0.95, n_bootstrap=20, seed=1)
        >>> reading_warnings(one)[0][:46]
        'These numbers are from the validation split, o'
    """
    warnings = list(results.notes)
    if training := results.data.get("training"):
        warnings.append(f"The training was {training}; --resume would change these numbers.")
    if results.split in ("validation", "train"):
        use = "the epoch was chosen" if results.split == "validation" else "the model was trained"
        warnings.append(
            f"These numbers are from the {results.split} split, on which {use}: they are better than on new "
            "events."
        )
    if results.split == "none":
        files = results.data.get("evaluated files", "files that had no part in the training")
        warnings.insert(0, f"These numbers are of other events than the run's own test split: {files}.")
    what = "These files were" if results.split == "none" else "The test split was"
    counted = "none" if results.split == "none" else "test"
    readings = [reading for reading in results.readings if reading.split == counted]
    if len(readings) > 1:
        listed = ", ".join(_reading_words(one, readings[-1]) for one in readings)
        warnings.append(
            f"{what} evaluated {len(readings)} times: {listed}. A choice made between these "
            "readings makes the last one too good."
        )
    return warnings


def _reading_words(one: Reading, last: Reading) -> str:
    earlier = ", an earlier model" if one.model != last.model and last.model and one.model else ""
    return f"{one.when[:16].replace('T', ' ')} (cut {one.cut:g}{earlier})"


def _data_facts(results: Results) -> list[Table]:
    if not results.data:
        return []
    return [
        table(
            "Where the events are from",
            ["", "value"],
            [list(pair) for pair in results.data.items()],
            numeric=99,
        )
    ]


def _training_table(content: ReportContent) -> Table | None:
    history = content.history
    if history is None or not len(history):
        return None
    rows = [["epochs", f"{len(history)}"]]
    if "seconds" in history.columns:
        rows.append(["time", f"{history['seconds'].sum():,.0f} s"])
    best = content.provenance.get("best_epoch")
    score = content.provenance.get("validation_score")
    if best is not None and score is not None:
        what = "epoch gone back to" if content.provenance.get("rolled_back") else "best epoch"
        rows.append([f"{what} (validation {content.metric_name})", f"{int(best) + 1} ({score:.5g})"])
    for column in history.columns:
        if column.startswith("train_") and column.endswith("accuracy"):
            name = column.removeprefix("train_").replace("_", " ")
            rows.append([f"training {name} in the last epoch, as shown", f"{float(history[column][-1]):.5g}"])
    last = history["val_metric"].tail(5)
    rows.append([f"validation {content.metric_name} in the last {len(last)} epochs", _range(last)])
    return table("How the training went", ["", "value"], rows)


def _range(values: pl.Series) -> str:
    numbers = [float(value) for value in values.to_list() if value is not None]
    return f"{min(numbers):.5g} to {max(numbers):.5g}" if numbers else "none"


def render_gallery(gallery: Gallery, picture: bytes, title: str) -> str:
    """Return a page with one gallery.

    Args:
        gallery: what is shown.
        picture: it, drawn, as the content of a PNG file.
        title: heading of the page.
    """
    drawn = DrawnFigure(gallery.name, picture, "png", gallery.caption, gallery.alt, wide=True)
    return render("gallery.html", title=title, heading=gallery.title, figure=drawn)
