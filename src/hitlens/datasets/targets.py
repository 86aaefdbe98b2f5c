"""Truth columns -> target arrays: what each head of a network is to predict, and where that is defined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hitlens.detector import Task
from hitlens.errors import DataError, SelectionError, choose_from
from hitlens.events import evaluate_condition, evaluate_expression

#: Whole numbers up to here are themselves as float64.
_LARGEST_WHOLE = 2**53


@dataclass(frozen=True)
class Target:
    """Target of one head.

    Attributes:
        values: class index (event, 1), float32, or target columns (event, n_outputs), float64, NaN or 0 where
            undefined. float32 would round a target that is large beside its spread, such as a time stamp.
        defined: events for which the target has a meaning and is not missing, shape (event,).
    """

    values: NDArray[Any]
    defined: NDArray[np.bool_]


def encode_target(truth: pl.DataFrame, task: Task) -> Target:
    """Return the target of one head (not of a joint task) for every event.

    Raises:
        SelectionError: the truth table lacks a column the task needs, or one that holds no numbers.
        DataError: a class index outside the task's classes, or a target that is infinite.

    Examples:
        >>> task = Task(name="many", kind="binary", meaning="", target="n > 1", class_names=("one", "many"))
        >>> encode_target(pl.DataFrame({"n": [1, 2]}), task).values.tolist()
        [[0.0], [1.0]]
    """
    if task.is_classification:
        classes = class_indices(truth, task)
        return Target(np.maximum(classes, 0).astype(np.float32)[:, None], classes >= 0)
    defined = evaluate_condition(truth, task.selection, setting=f"selection of task '{task.name}'")
    values = _target_values(truth, task)
    defined &= ~np.isnan(values).any(axis=1)
    wrong = defined & ~np.isfinite(values).all(axis=1)
    if wrong.any():
        raise DataError(
            f"Task '{task.name}' needs finite targets where \"{task.selection}\". "
            f"Row {np.flatnonzero(wrong)[0]} has {values[wrong][0].tolist()} ({wrong.sum()} such rows)."
        )
    return Target(values.copy(), defined)  # torch wants arrays it might write to


def _refuse_rounded(columns: pl.DataFrame, task: Task) -> None:
    """Refuse whole numbers so large that neighbours fall together as float64."""
    for name, dtype in columns.schema.items():
        if not dtype.is_integer() or columns[name].null_count() == len(columns):
            continue
        # As Python's numbers: the absolute value of the smallest int64 does not fit int64.
        top = max(abs(number) for number in columns.select(low=pl.min(name), high=pl.max(name)).row(0))
        if top > _LARGEST_WHOLE:
            raise DataError(
                f"Task '{task.name}' predicts '{name}', whole numbers up to {top}: above 2**53 they would be "
                "rounded. Subtract an offset, for example in a column with an 'expression'."
            )


def _target_values(truth: pl.DataFrame, task: Task) -> NDArray[np.float64]:
    for column in task.target_columns:
        if column not in truth.columns:
            raise SelectionError(
                f"Task '{task.name}' needs truth column '{column}', which these events do not have. "
                f"{choose_from(column, truth.columns)}"
            )
        if truth[column].dtype == pl.String:
            raise SelectionError(f"Task '{task.name}' needs numbers. Truth column '{column}' holds texts.")
    columns = truth.select(task.target_columns)
    _refuse_rounded(columns, task)
    return columns.select(pl.all().cast(pl.Float64).fill_null(float("nan"))).to_numpy()


def class_indices(truth: pl.DataFrame, task: Task) -> NDArray[np.int64]:
    """Return the class of each event, shape (event,); -1 where it is missing and outside the selection.

    Raises:
        SelectionError: the truth table lacks a column the task needs, or the target is a text.
        DataError: a class index outside the task's classes.

    Examples:
        >>> task = Task(name="many", kind="binary", meaning="", target="n > 1", class_names=("one", "many"))
        >>> class_indices(pl.DataFrame({"n": [1, None, 2]}), task)
        array([ 0, -1,  1])
    """
    where = f"of task '{task.name}'"
    defined = evaluate_condition(truth, task.selection, setting=f"selection {where}")
    values = evaluate_expression(truth, task.target, setting=f"target {where}")
    if values.dtype == pl.String:
        raise SelectionError(
            f"target {where}: '{task.target}' must give class numbers or true/false, not texts."
        )
    defined &= values.is_not_null().to_numpy()
    numbers = values.cast(pl.Float64).fill_null(-1.0).to_numpy()
    wrong = defined & ~np.isin(numbers, np.arange(len(task.class_names)))
    if wrong.any():
        raise DataError(
            f"Task '{task.name}' has classes 0 to {len(task.class_names) - 1}. "
            f"Got {numbers[wrong][0]:g} in row {np.flatnonzero(wrong)[0]} ({wrong.sum()} such rows)."
        )
    return np.where(defined, numbers, -1).astype(np.int64)


def count_undefined(truth: pl.DataFrame, heads: tuple[Task, ...], name: str) -> dict[str, int]:
    """Return how many events no head has a target for, by reason.

    Args:
        truth: one row an event.
        heads: tasks learnt together.
        name: of the task they are the heads of.

    Examples:
        >>> task = Task(name="many", kind="binary", meaning="", target="n > 1", selection="good",
        ...             class_names=("one", "many"))
        >>> count_undefined(pl.DataFrame({"n": [1, None, 2], "good": [True, True, False]}), (task,), "many")
        {'no target for many': 1, 'target of many missing': 1}
    """
    selected = np.zeros(len(truth), dtype=np.bool_)
    defined = np.zeros(len(truth), dtype=np.bool_)
    for head in heads:
        selected |= evaluate_condition(truth, head.selection, setting=f"selection of task '{head.name}'")
        defined |= encode_target(truth, head).defined
    return {
        f"no target for {name}": int((~selected & ~defined).sum()),
        f"target of {name} missing": int((selected & ~defined).sum()),
    }


def present_classes(truth: pl.DataFrame, task: Task) -> Task:
    """Return a task without those optional classes that these events have none of; other tasks as they are.

    Args:
        truth: of the training events.
        task: any task with a head of its own.

    Examples:
        >>> names = ("mu", "tau", "e")
        >>> task = Task(name="f", kind="multiclass", meaning="", target="f", class_names=names,
        ...             optional_classes=("tau",))
        >>> smaller = present_classes(pl.DataFrame({"f": [0, 2, 2]}), task)
        >>> smaller.class_names, encode_target(pl.DataFrame({"f": [0, 1, 2]}), smaller).defined.tolist()
        (('mu', 'e'), [True, False, True])
    """
    if not task.optional_classes:
        return task
    classes = class_indices(truth, task)
    counts = np.bincount(classes[classes >= 0], minlength=len(task.class_names))
    kept = [
        number
        for number, name in enumerate(task.class_names)
        if counts[number] or name not in task.optional_classes
    ]
    cases = " ".join(f"WHEN {old} THEN {new}" for new, old in enumerate(kept))
    return task.model_copy(
        update={
            "class_names": tuple(task.class_names[number] for number in kept),
            "optional_classes": (),
            "target": f"CASE ({task.target}) {cases} END",
        }
    )


def strata_of(truth: pl.DataFrame, heads: tuple[Task, ...]) -> NDArray[np.int64]:
    """Return a class number for each event by which a split keeps proportions, shape (event,)."""
    strata = np.zeros(len(truth), dtype=np.int64)
    for head in heads:
        target = encode_target(truth, head)
        label = (
            target.values[:, 0].astype(np.int64) + 1
            if head.is_classification
            else np.ones(len(truth), np.int64)
        )
        strata = strata * (len(head.class_names) + 2) + np.where(target.defined, label, 0)
    return strata
