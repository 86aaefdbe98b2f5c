"""What a run would predict with the weights of another epoch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from hitlens.config import RunConfig
from hitlens.evaluate.predictions import Predictions, read_predictions
from hitlens.evaluate.results import Reading
from hitlens.events import EventSource
from hitlens.io.atomic import written_whole
from hitlens.models.trained import save_model
from hitlens.train.calibrate import fit_temperature
from hitlens.workflow import runs
from hitlens.workflow.data import BLOCK
from hitlens.workflow.origins import made_from
from hitlens.workflow.prediction import open_model, predicts_in_bfloat16
from hitlens.workflow.prediction_files import write_event_predictions
from hitlens.workflow.run_events import match_events, rows_of


def epoch_folder(folder: Path, epoch: int) -> Path:
    """Return where the evaluation of an epoch of a run is kept.

    Args:
        folder: run folder.
        epoch: counted from 0.

    Examples:
        >>> epoch_folder(Path("run"), 3).as_posix()
        'run/evaluations/epoch-003'
    """
    return folder / runs.EVALUATIONS / f"epoch-{epoch:03d}"


def predict_epoch(
    folder: Path, run: RunConfig, epoch: int, predicted: Predictions, events: EventSource, target: Path
) -> Predictions:
    """Write model and predictions of an epoch as the training would have, had it chosen that one.

    Args:
        folder: run folder.
        run: its settings.
        epoch: counted from 0, as in history.csv.
        predicted: predictions of the run, which say what events are in which split.
        events: among which those are.
        target: folder for both.

    Returns:
        The predictions.

    Raises:
        NotFoundError: the epoch was not kept.
        DataError: a predicted event is not among the events.
    """
    model = open_model(folder, epoch=epoch)
    rows = match_events(predicted.table, events, model.detector.key)
    chosen, split = rows_of(events, rows), predicted.table["split"].to_numpy()
    bfloat16 = predicts_in_bfloat16(model)
    blocks = [model.outputs(block, bfloat16=bfloat16) for block in chosen.blocks(BLOCK)]
    outputs = {head.name: np.concatenate([one[head.name] for one in blocks]) for head in model.card.heads}
    heads = [head for head in model.card.heads if head.is_classification]
    temperature: dict[str, float] = {}
    if run.model.calibrate and heads:
        known = split == "validation"
        of_validation = {name: values[known] for name, values in outputs.items()}
        temperature = fit_temperature(of_validation, chosen.truth.filter(known), heads)
    model = replace(model, card=model.card.model_copy(update={"temperature": temperature}))
    target.mkdir(parents=True, exist_ok=True)
    save_model(model, target / runs.MODEL)
    write_event_predictions(model, chosen, split.astype(np.str_), outputs, target / runs.PREDICTIONS)
    return read_predictions(target / runs.PREDICTIONS)


def write_epoch_record(folder: Path, epoch: int, target: Path, readings: Sequence[Reading]) -> None:
    """Write what the evaluation of an epoch is of, beside it.

    Args:
        folder: run folder.
        epoch: counted from 0.
        target: folder of the evaluation.
        readings: of the splits with this epoch's model.
    """
    record = {"run": str(folder.resolve()), "epoch": epoch, "made_from": made_from(target)}
    record["readings"] = [asdict(one) for one in readings]
    with written_whole(target / runs.EVALUATION) as partial:
        partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
