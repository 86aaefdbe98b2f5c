"""From a trained run to its numbers and its report; the only place where a test split is read."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from hitlens.config import RunConfig
from hitlens.detector import Detector
from hitlens.detectors import get_detector
from hitlens.errors import ConfigError, NotFoundError, RunError
from hitlens.evaluate.config import EvaluateConfig
from hitlens.evaluate.evaluation import evaluate
from hitlens.evaluate.predictions import Predictions, read_predictions
from hitlens.evaluate.results import Picture, Results, write_results
from hitlens.events import EventSource
from hitlens.report.drawn import DrawnFigure
from hitlens.report.embed import figure_to_bytes
from hitlens.report.event_display import draw_gallery
from hitlens.workflow import runs
from hitlens.workflow.baselines import Progress, run_baselines, training_rows
from hitlens.workflow.galleries import DPI, run_galleries
from hitlens.workflow.listing import numbers_of
from hitlens.workflow.readings import earlier_readings
from hitlens.workflow.reporting import METRICS, write_run_report
from hitlens.workflow.run_events import read_data, read_run_config

log = logging.getLogger(__name__)


def evaluate_run(
    folder: Path,
    *,
    files: Sequence[Path] | None = None,
    again: bool = False,
    progress: Progress | None = None,
    **changes: Any,
) -> Results:
    """Evaluate a finished run: write metrics.json, report.html and figures/.

    A split is read once. Evaluating it again must be asked for, and every reading is listed in metrics.json
    and in the report.

    Args:
        folder: run folder.
        files: where the event files are now, if they were moved; None takes the settings'.
        again: evaluate although this split was evaluated before.
        progress: told what is being done.
        changes: settings of `EvaluateConfig` that differ from the run's.

    Raises:
        RunError: the folder is no finished run, or the split was evaluated before.
        ConfigError: a setting does not exist or is out of range.
        DataError: the split is empty, or the event files are not those of the run.
    """
    folder = Path(folder)
    run = read_run_config(folder)
    config = _changed(run.evaluate, changes)
    provenance = runs.read_provenance(folder)
    if provenance.get("status") == "running":
        raise RunError(f"The run in {folder} is not finished. Continue it: hitlens train ... --resume.")
    readings = earlier_readings(folder)
    if not again and any(one.split == config.split for one in readings):
        raise RunError(
            f"The {config.split} split of {folder} was evaluated before ({readings[-1].when}). "
            f"'hitlens report {folder}' writes its report again; --again evaluates it once more, which the "
            "report will say."
        )
    predictions = read_predictions(folder / runs.PREDICTIONS)
    detector = get_detector(run.detector)
    events = _read_events(run, files)
    rows = None if events is None else training_rows(predictions, events, detector, run, provenance)
    results = evaluate(
        predictions,
        detector,
        config,
        baselines=()
        if events is None
        else run_baselines(predictions, events, detector, config, rows, run, progress),
        training=None if events is None or rows is None else events.truth[rows],
        readings=readings,
        data=_facts(provenance, events, rows),
    )
    pictures = (
        _pictures(predictions.split(config.split), events, detector, config) if events is not None else []
    )
    results = replace(results, galleries=tuple(picture for picture, _ in pictures))
    write_results(results, folder / METRICS)
    numbers = numbers_of(json.loads((folder / METRICS).read_text(encoding="utf-8")))
    runs.write_provenance(folder, runs.read_provenance(folder) | {"evaluation": numbers})
    write_run_report(folder, run, results, [(picture.title, drawn) for picture, drawn in pictures])
    return results


def _changed(config: EvaluateConfig, changes: dict[str, Any]) -> EvaluateConfig:
    try:
        return EvaluateConfig(**(config.model_dump() | changes))
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            f"evaluate.{'.'.join(map(str, first['loc']))}: {first['msg']}. Got {first['input']!r}."
        ) from None


def _read_events(run: RunConfig, files: Sequence[Path] | None) -> EventSource | None:
    """Return the run's events; without them the numbers stand, without pictures and physics baselines."""
    try:
        return read_data(run.data, run.detector, files)
    except NotFoundError as error:
        if files:
            raise
        log.warning("The run's event files are not there: no gallery and no likelihood fit. %s", error)
        return None


def _facts(
    provenance: dict[str, Any], events: EventSource | None, rows: NDArray[np.int64] | None
) -> dict[str, str]:
    data = provenance.get("data", {})
    facts = {"event files": ", ".join(map(str, data.get("files", ())))}
    facts |= {f"left out of the run: {why}": f"{n:,}" for why, n in data.get("left_out", {}).items()}
    facts |= copies_fact(provenance)
    if events is None:
        facts["at evaluation"] = "the event files were not there: no gallery, no physics baseline"
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


def _pictures(
    chosen: Predictions, events: EventSource, detector: Detector, config: EvaluateConfig
) -> list[tuple[Picture, DrawnFigure]]:
    found = []
    for one in run_galleries(chosen, events, detector, config.cut):
        content = figure_to_bytes(draw_gallery(one, detector.views), "png", DPI)
        picture = Picture(one.name, one.title, one.caption, one.alt)
        found.append((picture, DrawnFigure(one.name, content, "png", one.caption, one.alt, wide=True)))
    return found
