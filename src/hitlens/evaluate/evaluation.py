"""Predictions and truth -> results: every number with its interval, beside baselines, in slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import polars as pl

from hitlens.detector import Detector, Task
from hitlens.errors import DataError
from hitlens.evaluate.baselines import BaselineColumns, training_truth
from hitlens.evaluate.classification import evaluate_classification
from hitlens.evaluate.config import EvaluateConfig
from hitlens.evaluate.context import Context
from hitlens.evaluate.investigate import investigate
from hitlens.evaluate.metadata import Metadata, describe_metadata
from hitlens.evaluate.predictions import SPLITS, Predictions
from hitlens.evaluate.regression import evaluate_regression
from hitlens.evaluate.results import Reading, Results, TaskResult
from hitlens.evaluate.slices import bin_events


def evaluate(
    predictions: Predictions,
    detector: Detector,
    config: EvaluateConfig | None = None,
    *,
    baselines: Sequence[BaselineColumns] = (),
    training: pl.DataFrame | None = None,
    validation: Predictions | None = None,
    readings: Sequence[Reading] = (),
    data: Mapping[str, str] | None = None,
) -> Results:
    """Return all results of the events of one split.

    Args:
        predictions: of a model, with truth; all splits.
        detector: its description: slice variables and truth columns.
        config: settings; None takes the defaults.
        baselines: what physics methods say of events of that split.
        training: truth of the training split, for the constant predictor; None takes the rows the
            predictions have of it, or else of the validation split.
        validation: of events on which a cut may be chosen; None takes the validation split where the test
            split is evaluated.
        readings: earlier evaluations of this model.
        data: facts about the events, for the report.

    Raises:
        DataError: the split is empty, or its truth is not known.
    """
    config = config or EvaluateConfig()
    chosen = predictions.split(config.split)
    counts = predictions.table["split"].value_counts()
    by_split = dict(zip(counts["split"].to_list(), counts["count"].to_list(), strict=True))
    check_split(predictions, config.split)
    truth = chosen.truth()
    known, source = training_truth(predictions, training)
    context = Context(
        predictions=chosen,
        truth=truth,
        binned=bin_events(truth, detector),
        training=known,
        training_source=source,
        baselines=tuple(baselines),
        config=config,
        rng=np.random.default_rng(config.seed),
        validation=predictions.split("validation")
        if validation is None and config.split == "test"
        else validation,
    )
    metadata = describe_metadata(truth, detector, context.binned) if config.metadata else ()
    now = Reading(datetime.now(UTC).isoformat(timespec="milliseconds"), config.split, config.cut)
    return Results(
        detector=predictions.detector,
        task=predictions.task.name,
        split=config.split,
        n_events=len(chosen),
        n_events_by_split={name: by_split[name] for name in SPLITS if name in by_split},
        tasks=tuple(_evaluate_head(head, context, metadata) for head in predictions.heads),
        level=config.level,
        n_bootstrap=config.n_bootstrap,
        seed=config.seed,
        readings=(*readings, now),
        data=dict(data or {}),
    )


def check_split(predictions: Predictions, split: str) -> None:
    """Refuse a split without events.

    Args:
        predictions: of a model.
        split: name of the split.

    Raises:
        DataError: naming those there are.
    """
    if not (predictions.table["split"] == split).any():
        counts = dict(predictions.table["split"].value_counts().iter_rows())
        there = ", ".join(f"{name} ({counts[name]})" for name in SPLITS if name in counts) or "none"
        raise DataError(f"No events of the {split} split in these predictions. There are: {there}.")


def _evaluate_head(head: Task, context: Context, metadata: Sequence[Metadata]) -> TaskResult:
    of_kind = evaluate_classification if head.is_classification else evaluate_regression
    result = of_kind(head, context)
    if not metadata or not result.n_events:
        return result
    worst, dependences = investigate(head, context, metadata)
    return replace(result, worst_slices=worst, dependences=dependences)
