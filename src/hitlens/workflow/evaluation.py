"""From a trained run to its numbers and its report; the only place where a test split is read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from hitlens.config import RunConfig
from hitlens.datasets.confounding import told_by_file
from hitlens.detectors import get_detector
from hitlens.errors import ConfigError, RunError, SelectionError
from hitlens.evaluate.config import EvaluateConfig
from hitlens.evaluate.evaluation import check_split, evaluate
from hitlens.evaluate.predictions import Predictions
from hitlens.evaluate.results import Reading, Results, write_results
from hitlens.events import EventSource
from hitlens.io.outputs import check_output
from hitlens.io.ownership import owning_folder
from hitlens.models.trained import read_card
from hitlens.report.drawn import DrawnFigure
from hitlens.workflow import runs
from hitlens.workflow.baselines import Progress, run_baselines, training_rows
from hitlens.workflow.continuing import training_facts
from hitlens.workflow.epoch_predictions import epoch_folder, predict_epoch, write_epoch_record
from hitlens.workflow.event_files import EventFiles
from hitlens.workflow.galleries import drawn_galleries
from hitlens.workflow.listing import numbers_of
from hitlens.workflow.origins import (
    made_from,
    note_readings,
    read_run_predictions,
    readings_of,
    set_outdated_aside,
)
from hitlens.workflow.other_data import FOLDER, evaluate_other
from hitlens.workflow.readings import next_reading
from hitlens.workflow.reporting import write_run_report
from hitlens.workflow.run_events import locate_run_files, read_data, read_run_config


@owning_folder
def evaluate_run(
    folder: Path,
    *,
    files: Sequence[Path] | None = None,
    again: bool = False,
    interrupted: bool = False,
    without_events: bool = False,
    out: Path | None = None,
    drop_seen: bool = False,
    epoch: int | None = None,
    progress: Progress | None = None,
    **changes: Any,
) -> Results:
    """Evaluate a finished run: write metrics.json, report.html and figures/.

    A split is read once with a model. Evaluating it again must be asked for, and every reading is listed in
    metrics.json and in the report. The reading is noted before it is made and done when the report is there:
    what was killed in between is finished by the next evaluation, as the same reading.

    Args:
        folder: run folder.
        files: the event files of the run, where they are now; or other ones, told apart by checksum, of
            which all labelled events are evaluated into a folder of their own: see
            `hitlens.workflow.other_data.evaluate_other`. None looks for the run's.
        again: evaluate although this split was evaluated before.
        interrupted: evaluate the model of a training that was interrupted and can be continued.
        without_events: do without the event files: numbers only, no baselines and no gallery.
        out: folder for the evaluation of other files.
        drop_seen: leave out events of other files that were in the training.
        epoch: evaluate the weights of this epoch, counted from 0, whose checkpoint is kept, into
            ``evaluations/epoch-NNN``; the run's own numbers are not touched. Each is a reading of the split.
        progress: told what is being done.
        changes: settings of `EvaluateConfig` that differ from the run's.

    Raises:
        RunError: the folder is no finished run, the split was evaluated before, or model or predictions are
            not those its training wrote.
        ConfigError: a setting does not exist or is out of range.
        NotFoundError: an event file is missing; nothing was read.
        DataError: the split is empty, or the event files are not those of the run.
    """
    folder = Path(folder)
    if folder.is_dir():
        check_output(folder, "folder")
    run = read_run_config(folder)
    config = _changed(run.evaluate, changes)
    provenance = runs.read_provenance(folder)
    _check_status(folder, provenance, interrupted)
    predictions = read_run_predictions(folder)
    located = None if without_events else locate_run_files(folder, run, files)
    if located is None and not without_events:
        if epoch is not None:
            raise ConfigError("--epoch is evaluated on the events of the run. Leave out other files.")
        return evaluate_other(
            folder, run, files or (), config, out=out, again=again, drop_seen=drop_seen, progress=progress
        )
    if out is not None:
        raise ConfigError("-o is the folder for the evaluation of other files than the run's: --data FILE.")
    if epoch is not None:
        return _evaluate_epoch(folder, run, config, predictions, located, epoch, again, progress)
    set_outdated_aside(folder)
    reading = next_reading(folder, config, made_from(folder).get(runs.MODEL, ""), again=again)
    check_split(predictions, config.split)
    own = None if located is None else read_data(run.data, run.detector, located)
    return _evaluate(folder, run, config, predictions, own, reading, progress)


def _evaluate_epoch(
    folder: Path,
    run: RunConfig,
    config: EvaluateConfig,
    predictions: Predictions,
    located: EventFiles | None,
    epoch: int,
    again: bool,
    progress: Progress | None,
) -> Results:
    """Evaluate the weights of an epoch into a folder of their own."""
    if located is None:
        raise ConfigError("--epoch is predicted from the event files. Leave out --numbers-only.")
    events = read_data(run.data, run.detector, located)
    target = epoch_folder(folder, epoch)
    predictions = predict_epoch(folder, run, epoch, predictions, events, target)
    model = made_from(target)[runs.MODEL]
    reading = next_reading(folder, config, model, again=again, out=target)
    results = _evaluate(folder, run, config, predictions, events, reading, progress, target=target)
    write_epoch_record(folder, epoch, target, [one for one in results.readings if one.model == model])
    return results


def _evaluate(
    folder: Path,
    run: RunConfig,
    config: EvaluateConfig,
    predictions: Predictions,
    events: EventSource | None,
    reading: Reading,
    progress: Progress | None,
    *,
    target: Path | None = None,
) -> Results:
    """Make a reading of a split: numbers and page, in the run folder or that of an epoch's evaluation."""
    provenance, detector = runs.read_provenance(folder), get_detector(run.detector)
    check_split(predictions, config.split)
    rows = None if events is None else training_rows(predictions, events, detector, run, provenance)
    baselines = (
        [] if events is None else run_baselines(predictions, events, detector, config, rows, run, progress)
    )
    note_readings(folder, [reading])
    results = evaluate(
        predictions,
        detector,
        config,
        baselines=baselines,
        training=None if events is None or rows is None else events.truth[rows],
        data=_facts(provenance, events, rows) | ({} if target is None else _epoch_facts(provenance, target)),
    )
    pictures = (
        drawn_galleries(predictions.split(config.split), events, detector, config.cut)
        if events is not None
        else []
    )
    done = replace(reading, finished=True)
    results = replace(
        results,
        readings=(*(one for one in readings_of(folder) if one.when != reading.when), done),
        galleries=tuple(picture for picture, _ in pictures),
        made_from=made_from(target or folder),
        notes=training_notes(provenance, predictions),
    )
    _write(folder, run, results, [(picture.title, drawn) for picture, drawn in pictures], target)
    note_readings(folder, [done])
    return results


def _epoch_facts(provenance: dict[str, Any], target: Path) -> dict[str, str]:
    """Say which epoch was evaluated, where it was asked for by number."""
    card = read_card(target / runs.MODEL)
    return {
        "model": f"epoch {card.best_epoch + 1}, asked for, with {card.monitor} {card.validation_score:.5g}; "
        f"the run's own model is epoch {provenance['best_epoch'] + 1}",
        FOLDER: str(target),
    }


def training_notes(provenance: dict[str, Any], predictions: Predictions) -> tuple[str, ...]:
    """Return what a reader must know of the events a model was trained on.

    Args:
        provenance: of the run.
        predictions: of the run, by which older records are completed.
    """
    told = provenance.get("data", {}).get("told_by_file")
    if told is None:
        rows = np.arange(len(predictions))
        try:
            told = told_by_file(predictions.truth(), predictions.heads, rows)
        except SelectionError:  # the predictions do not keep every column of a target
            told = ()
    return tuple(told)


def _check_status(folder: Path, provenance: dict[str, Any], interrupted: bool) -> None:
    status = provenance.get("status")
    if status in ("running", "failed"):
        raise RunError(f"The run in {folder} is not finished. Continue it: hitlens train ... --resume.")
    if status == "interrupted" and not interrupted:
        raise RunError(
            f"The training in {folder} was interrupted: --resume continues it, and its model will be another "
            "one. To evaluate the model so far, which reads the split with it, give --interrupted."
        )


def _write(
    folder: Path,
    run: RunConfig,
    results: Results,
    galleries: list[tuple[str, DrawnFigure]],
    target: Path | None,
) -> None:
    """Write numbers and page; an old page never lies beside new numbers."""
    place = target or folder
    (place / runs.REPORT).unlink(missing_ok=True)
    write_results(results, place / runs.METRICS)
    if target is None:
        numbers = numbers_of(json.loads((folder / runs.METRICS).read_text(encoding="utf-8")))
        evaluation = {"evaluation": numbers, "evaluated": dict(results.made_from)}
        runs.write_provenance(folder, runs.read_provenance(folder) | evaluation)
    write_run_report(folder, run, results, galleries, out=target)


def _changed(config: EvaluateConfig, changes: dict[str, Any]) -> EvaluateConfig:
    try:
        return EvaluateConfig(**(config.model_dump() | changes))
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            f"evaluate.{'.'.join(map(str, first['loc']))}: {first['msg']}. Got {first['input']!r}."
        ) from None


def _facts(
    provenance: dict[str, Any], events: EventSource | None, rows: NDArray[np.int64] | None
) -> dict[str, str]:
    data = provenance.get("data", {})
    facts = {"event files": ", ".join(map(str, data.get("files", ())))}
    by_files = provenance.get("split", {}).get("files", {})
    facts |= {f"{name} split, by file": ", ".join(files) for name, files in by_files.items() if files}
    facts |= {f"left out of the run: {why}": f"{n:,}" for why, n in data.get("left_out", {}).items()}
    facts |= copies_fact(provenance)
    for head, classes in provenance.get("shown", {}).items():
        total = max(1.0, sum(classes.values()))
        shares = ", ".join(f"{name} {n:,.0f} ({n / total:.1%})" for name, n in classes.items())
        facts[f"shown in an epoch of the training, {head}"] = shares
    facts |= training_facts(provenance)
    if provenance.get("status") == "interrupted":
        facts["training"] = "interrupted: the model is that of the best epoch so far"
    if events is None:
        facts["at evaluation"] = "without the event files, as asked: no gallery, no baselines"
    elif rows is None:
        facts["at evaluation"] = "the training events were not found again: no baseline that learns"
    return facts


def copies_fact(record: dict[str, Any]) -> dict[str, str]:
    """Say how many events of a run have equal images, nothing where none has.

    Args:
        record: provenance of the run.

    Examples:
        >>> copies = {"n_images": 2, "n_events": 5, "n_other_truth": 0}
        >>> copies_fact({"split": {"on_duplicates": "group", "copies": copies}})
        {'events with equal images': '5, of 2 images (kept in one split each)'}
    """
    copies = record.get("split", {}).get("copies", {})
    if not copies.get("n_events"):
        return {}
    done = {
        "keep_first": "the first of each kept",
        "group": "kept in one split each",
        "refuse": "none in two splits",
    }[record["split"]["on_duplicates"]]
    text = f"{copies['n_events']:,}, of {copies['n_images']:,} images ({done})"
    other = f"; {copies['n_other_truth']:,} have one that also stands with another target"
    return {"events with equal images": text + (other if copies["n_other_truth"] else "")}
