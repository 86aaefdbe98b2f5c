"""A trained model on events: the predictions table, its rows keyed to the events and in their order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hitlens.datasets.summaries import count_seen
from hitlens.datasets.targets import encode_target
from hitlens.detector import Detector, Task
from hitlens.detectors import get_detector, read_detector
from hitlens.errors import SelectionError
from hitlens.evaluate.predictions import Predictions, truth_column, value_column
from hitlens.events import Events
from hitlens.models.trained import TrainedModel, load_model, read_card
from hitlens.train.hardware import has_bfloat16


def open_model(path: Path) -> TrainedModel:
    """Return the model of a file or of a run folder.

    Raises:
        ModelFileError: it is missing, damaged, foreign or from a newer version.
        NotFoundError: its detector is not known here.
    """
    file = path / "model.safetensors" if path.is_dir() else path
    card = read_card(file)
    if card.description:
        return load_model(file, read_detector(card.description, f"{file} (its detector)"))
    return load_model(file, get_detector(card.detector))


def predicts_in_bfloat16(model: TrainedModel) -> bool:
    """Whether a model predicts in bfloat16 here: where its training tried that and found it harmless."""
    return model.card.predicts_in_bfloat16 is True and has_bfloat16("cpu")


def predict_events(
    model: TrainedModel,
    events: Events,
    split: NDArray[np.str_] | None = None,
    outputs: Mapping[str, NDArray[Any]] | None = None,
) -> Predictions:
    """Return the predictions of a model for every event, in order.

    Args:
        model: a trained model.
        events: events of its detector, with or without truth.
        split: name of the split each event is in; "none" for all by default.
        outputs: of the model for these events, where they are known already.
    """
    if outputs is None:
        outputs = model.outputs(events, bfloat16=predicts_in_bfloat16(model))
    answers = model.answers(outputs)
    table = _columns(events, model.detector, model.card.task, model.card.heads, answers, split)
    return Predictions(table, model.card.task, model.card.heads, model.card.detector, {})


def no_predictions(model: TrainedModel, metadata: Mapping[str, str]) -> Predictions:
    """Return the predictions of no events: the columns a model fills, without a row.

    Args:
        model: a trained model.
        metadata: what to say of the predictions.
    """
    images = {view.name: np.zeros((0, *view.shape), dtype=np.uint16) for view in model.detector.views}
    keys = {name: pl.String if name == "file" else pl.Int64 for name in model.detector.labels}
    empty = predict_events(model, Events(images, pl.DataFrame(schema=keys), model.detector.name))
    return replace(empty, metadata=dict(metadata))


def _columns(
    events: Events,
    detector: Detector,
    task: Task,
    heads: tuple[Task, ...],
    answers: Mapping[str, NDArray[Any]],
    split: NDArray[np.str_] | None,
) -> pl.DataFrame:
    """Event key, split, totals over the views, known truth, then the columns of each head."""
    truth = events.truth
    keys = [truth[name] for name in detector.labels if name in truth.columns]
    columns = [*keys, pl.Series("split", ["none"] * len(truth) if split is None else split)]
    columns += count_seen(events).get_columns()
    known = [c.name for c in detector.truth if c.role == "truth" and c.name in truth.columns]
    columns += [truth[name].rename(truth_column(heads, name)) for name in known]
    for head in heads:
        columns += _head_columns(truth, task, head, answers[head.name])
    return pl.DataFrame(columns)


def _head_columns(truth: pl.DataFrame, task: Task, head: Task, answer: NDArray[Any]) -> list[pl.Series]:
    if not head.is_classification:
        named = zip(head.target_columns, answer.T, strict=True)
        return [pl.Series(value_column(task, head, column), values) for column, values in named]
    names = np.array(head.class_names)
    if head.kind == "binary":
        scores = [pl.Series(f"score_{head.name}", answer[:, 0])]
        called = (answer[:, 0] > 0.5).astype(int)
    else:
        scores = [
            pl.Series(f"score_{head.name}_{name}", answer[:, i]) for i, name in enumerate(head.class_names)
        ]
        called = answer.argmax(axis=1)
    columns = [*scores, pl.Series(f"pred_{head.name}", names[called])]
    try:
        target = encode_target(truth, head)
    except SelectionError:  # events without truth
        return columns
    true = pl.Series(f"true_{head.name}", names[target.values[:, 0].astype(int)])
    return [
        *columns,
        true.zip_with(pl.Series(target.defined), pl.Series([None] * len(true), dtype=pl.String)),
    ]
