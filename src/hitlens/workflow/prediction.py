"""A trained model on events: the predictions table, its rows keyed to the events and in their order."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hitlens.datasets.summaries import count_seen
from hitlens.datasets.symmetries import moved_columns, task_columns
from hitlens.datasets.targets import encode_target
from hitlens.detector import Detector, Task
from hitlens.detectors import get_detector, read_detector
from hitlens.errors import ConfigError, SelectionError
from hitlens.evaluate.predictions import REASON, Predictions, truth_column, value_column
from hitlens.events import Events
from hitlens.io.pixels import bad_pixels
from hitlens.models.trained import TrainedModel, load_model, read_card, save_model
from hitlens.train.callbacks import read_history
from hitlens.train.checkpoints import epoch_checkpoint, read_checkpoint
from hitlens.train.hardware import has_bfloat16

log = logging.getLogger(__name__)


def open_model(path: Path, *, epoch: int | None = None) -> TrainedModel:
    """Return the model of a file or of a run folder.

    Args:
        path: model file or run folder.
        epoch: of a run folder, the weights of this epoch, counted from 0 as in history.csv, instead of those
            that were shipped. Its scores have no temperature: that was fixed for the shipped weights.

    Raises:
        ModelFileError: it is missing, damaged, foreign or from a newer version.
        NotFoundError: its detector is not known here, or the epoch was not kept.
        ConfigError: an epoch of a model file.
    """
    if epoch is not None:
        return _open_epoch(path, epoch)
    file = path / "model.safetensors" if path.is_dir() else path
    card = read_card(file)
    if card.description:
        model = load_model(file, read_detector(card.description, f"{file} (its detector)"))
    else:
        model = load_model(file, get_detector(card.detector))
    _warn_of_labels(model, file)
    return model


def epoch_model_file(folder: Path, epoch: int) -> Path:
    """Return a model file of one epoch of a run, written into its folder ``epochs``.

    Args:
        folder: run folder.
        epoch: counted from 0, as in history.csv.

    Raises:
        NotFoundError: the epoch was not kept.
        ConfigError: a model file instead of a run folder.
    """
    model = open_model(folder, epoch=epoch)
    path = folder / "epochs" / f"epoch_{epoch:03d}.safetensors"
    path.parent.mkdir(exist_ok=True)
    save_model(model, path)
    return path


def _open_epoch(folder: Path, epoch: int) -> TrainedModel:
    if not folder.is_dir():
        raise ConfigError(f"{folder} is a model file, which holds one epoch only. Give the run folder.")
    shipped = open_model(folder)
    if epoch == shipped.card.best_epoch:
        return shipped
    content = read_checkpoint(epoch_checkpoint(folder / "checkpoints", epoch))
    weights = {
        name.removeprefix("network."): tensor
        for name, tensor in content["state_dict"].items()
        if name.startswith("network.")
    }
    shipped.network.load_state_dict(weights)
    rows = {int(row["epoch"]): row for row in read_history(folder / "history.csv")}
    score = float(rows[epoch]["val_metric"]) if epoch in rows else None
    changed: dict[str, object] = {"best_epoch": epoch, "validation_score": score, "temperature": {}}
    return replace(shipped, card=shipped.card.model_copy(update=changed))


def _warn_of_labels(model: TrainedModel, file: Path) -> None:
    """Say of a model from before classes moved along with symmetries that its labels may have been wrong."""
    if model.card.symmetries is not None:
        return
    for symmetry in model.detector.symmetries:
        moved = moved_columns(model.detector, symmetry)
        for head in model.card.heads:
            if head.is_classification and moved & task_columns(head):
                log.warning(
                    "%s was trained by a version that kept the class of '%s' under symmetry '%s', which "
                    "changes %s. Unless that was with train.augment: false, its labels were wrong: train it "
                    "again.",
                    file,
                    head.name,
                    symmetry.name,
                    ", ".join(sorted(moved & task_columns(head))),
                )
                return


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

    An event whose answer is not a number has none: null, and the column `reason` says why. The column is
    there where there is such an event.

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
    unseen = _bad_events(events)
    seen = ~np.isin(np.arange(len(truth)), list(unseen))
    answered = {head.name: seen & np.isfinite(answers[head.name]).all(axis=1) for head in heads}
    for head in heads:
        columns += _head_columns(truth, task, head, answers[head.name], pl.Series(answered[head.name]))
    if not all(good.all() for good in answered.values()):
        columns.append(_reasons(answered, unseen))
    return pl.DataFrame(columns)


def _bad_events(events: Events) -> dict[int, str]:
    """Return which events have a pixel that is no number, and where."""
    found: dict[int, str] = {}
    for view, images in events.images.items():
        for fault in bad_pixels(images):
            found.setdefault(fault.event, f"view '{view}': {fault.problem} (at {fault.pixel})")
    return found


def _reasons(answered: Mapping[str, NDArray[np.bool_]], unseen: Mapping[int, str]) -> pl.Series:
    """Return for each event why it has no answer; null where it has one."""
    table = pl.DataFrame({name: ~good for name, good in answered.items()})
    names = pl.concat_str(
        [pl.when(name).then(pl.lit(name)) for name in table.columns], separator=", ", ignore_nulls=True
    )
    words = pl.lit("the answer of the network is not a finite number: ") + names
    reasons = table.select(pl.when(pl.any_horizontal(pl.all())).then(words)).to_series().to_list()
    for event, problem in unseen.items():
        reasons[event] = problem
    return pl.Series(REASON, reasons, dtype=pl.String)


def _only_where(answered: pl.Series, values: pl.Series) -> pl.Series:
    if answered.all():
        return values
    return pl.select(pl.when(answered).then(values).alias(values.name)).to_series()


def _head_columns(
    truth: pl.DataFrame, task: Task, head: Task, answer: NDArray[Any], answered: pl.Series
) -> list[pl.Series]:
    if not head.is_classification:
        named = zip(head.target_columns, answer.T, strict=True)
        columns = [pl.Series(value_column(task, head, column), values) for column, values in named]
        return [_only_where(answered, column) for column in columns]
    names = np.array(head.class_names)
    if head.kind == "binary":
        scores = [pl.Series(f"score_{head.name}", answer[:, 0])]
        called = (answer[:, 0] > 0.5).astype(int)
    else:
        scores = [
            pl.Series(f"score_{head.name}_{name}", answer[:, i]) for i, name in enumerate(head.class_names)
        ]
        called = answer.argmax(axis=1)
    columns = [_only_where(answered, one) for one in (*scores, pl.Series(f"pred_{head.name}", names[called]))]
    try:
        target = encode_target(truth, head)
    except SelectionError:  # events without truth
        return columns
    true = pl.Series(f"true_{head.name}", names[target.values[:, 0].astype(int)])
    return [
        *columns,
        true.zip_with(pl.Series(target.defined), pl.Series([None] * len(true), dtype=pl.String)),
    ]
