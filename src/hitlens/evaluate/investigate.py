"""What metadata tell of the performance on one head: where it is worst, and what it depends on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hitlens.detector import Task
from hitlens.evaluate.class_measures import called
from hitlens.evaluate.classification import collect_classes
from hitlens.evaluate.context import Context
from hitlens.evaluate.dependence import performance_dependence
from hitlens.evaluate.findings import Dependence, WorstSlice
from hitlens.evaluate.metadata import Metadata
from hitlens.evaluate.regression import collect_values, is_relative, shown_quantities
from hitlens.evaluate.worst_slice import class_quality, error_quality, score_quality, worst_slices


def investigate(
    head: Task, context: Context, metadata: Sequence[Metadata]
) -> tuple[tuple[WorstSlice, ...], tuple[Dependence, ...]]:
    """Return the worst slices of a head and what its performance depends on.

    Two classes are judged by AUC, several by balanced accuracy, and both by being right; values by the half
    width of the central 68 % of their errors and by the size of the error, relative to the truth where that
    is an energy above 0.

    Args:
        head: a classification, regression or set regression.
        context: the evaluated events.
        metadata: quantities of all of them.
    """
    of_head = _of_classes if head.is_classification else _of_values
    # The search must not move the resamplings of what is evaluated after it.
    rng = np.random.default_rng([context.config.seed, 5])
    return of_head(head, context, metadata, rng)


def _of_classes(
    head: Task, context: Context, metadata: Sequence[Metadata], rng: np.random.Generator
) -> tuple[tuple[WorstSlice, ...], tuple[Dependence, ...]]:
    sample, config = collect_classes(head, context), context.config
    calls = called(sample.scores, config.cut)
    quality = (
        score_quality(sample.y_true, sample.scores, config, rng)
        if head.kind == "binary"
        else class_quality(sample.y_true, calls, config, rng)
    )
    right, true = calls == sample.y_true, sample.y_true
    found = performance_dependence(right, metadata, sample.rows, config, classes=true)
    return worst_slices(quality, metadata, sample.rows, head.class_names, config), (
        () if found is None else (found,)
    )


def _of_values(
    head: Task, context: Context, metadata: Sequence[Metadata], rng: np.random.Generator
) -> tuple[tuple[WorstSlice, ...], tuple[Dependence, ...]]:
    values, config = collect_values(head, context.predictions, context.truth), context.config
    slices: list[WorstSlice] = []
    dependences = []
    for quantity in shown_quantities(head):
        true, pred = (array[..., list(quantity.components)] for array in (values.y_true, values.y_pred))
        relative = is_relative(quantity, values)
        errors = ((pred - true) / true if relative else pred - true).reshape(len(true), -1)
        name = "relative_resolution" if relative else "resolution"
        unit = "" if relative else quantity.unit
        quality = error_quality(name, quantity.name, unit, errors, config, rng)
        slices += worst_slices(quality, metadata, values.rows, (), config)
        size = np.sqrt((errors**2).mean(axis=1))
        found = performance_dependence(size, metadata, values.rows, config, quantity.name)
        dependences += [] if found is None else [found]
    return tuple(slices), tuple(dependences)
