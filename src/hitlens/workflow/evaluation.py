"""From a trained run to its numbers and its report; the only place where a test split is read."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import ValidationError

from hitlens.config import RunConfig
from hitlens.detector import Baseline, Detector, Task
from hitlens.detectors import get_detector
from hitlens.errors import ConfigError, DataError, NotFoundError, RunError
from hitlens.evaluate.baselines import BaselineColumns
from hitlens.evaluate.config import EvaluateConfig
from hitlens.evaluate.evaluation import evaluate
from hitlens.evaluate.predictions import Predictions, read_predictions
from hitlens.evaluate.results import Picture, Reading, Results, read_results, write_results
from hitlens.events import Events, evaluate_condition
from hitlens.report.drawn import DrawnFigure
from hitlens.report.embed import figure_to_bytes
from hitlens.report.event_display import draw_gallery
from hitlens.workflow import runs
from hitlens.workflow.galleries import DPI, run_galleries
from hitlens.workflow.reporting import METRICS, write_run_report
from hitlens.workflow.run_events import match_events, read_data, read_run_config

log = logging.getLogger(__name__)

#: Called with what is being done, and how much of it: (words, done, total).
Progress = Callable[[str, int, int], None]

#: Events a physics method is given at once, so that progress shows.
_BLOCK = 500


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
    readings = _earlier_readings(folder)
    if not again and any(one.split == config.split for one in readings):
        raise RunError(
            f"The {config.split} split of {folder} was evaluated before ({readings[-1].when}). "
            f"'hitlens report {folder}' writes its report again; --again evaluates it once more, which the "
            "report will say."
        )
    predictions = read_predictions(folder / runs.PREDICTIONS)
    detector = get_detector(run.detector)
    events = _read_events(run, files)
    results = evaluate(
        predictions,
        detector,
        config,
        baselines=_baselines(predictions, events, detector, config, progress) if events is not None else (),
        training=_training_truth(predictions, events, detector, provenance) if events is not None else None,
        readings=readings,
        data=_facts(provenance, events),
    )
    pictures = (
        _pictures(predictions.split(config.split), events, detector, config) if events is not None else []
    )
    results = replace(results, galleries=tuple(picture for picture, _ in pictures))
    write_results(results, folder / METRICS)
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


def _earlier_readings(folder: Path) -> tuple[Reading, ...]:
    path = folder / METRICS
    return read_results(path).readings if path.is_file() else ()


def _read_events(run: RunConfig, files: Sequence[Path] | None) -> Events | None:
    """Return the run's events; without them the numbers stand, without pictures and physics baselines."""
    try:
        return read_data(run.data, run.detector, files)
    except NotFoundError as error:
        if files:
            raise
        log.warning("The run's event files are not there: no gallery and no likelihood fit. %s", error)
        return None


def _facts(provenance: dict[str, Any], events: Events | None) -> dict[str, str]:
    data = provenance.get("data", {})
    facts = {"event files": ", ".join(map(str, data.get("files", ())))}
    facts |= {f"left out of the run: {why}": f"{n:,}" for why, n in data.get("left_out", {}).items()}
    if events is None:
        facts["at evaluation"] = "the event files were not there: no gallery, no physics baseline"
    return facts


def _training_truth(
    predictions: Predictions, events: Events, detector: Detector, provenance: dict[str, Any]
) -> pl.DataFrame | None:
    """Return the truth of the training split: the events without a prediction, if there are that many."""
    key = list(detector.key)
    rest = events.truth.join(predictions.table.select(key), on=key, how="anti")
    # Events without a target, or copies of another, have no prediction either.
    expected = provenance.get("split", {}).get("n_train")
    defined = np.zeros(len(rest), dtype=bool)
    for head in predictions.heads:
        defined |= evaluate_condition(rest, head.selection)
    rest = rest.filter(pl.Series(defined))
    return rest if len(rest) and len(rest) == expected else None


def _baselines(
    predictions: Predictions,
    events: Events,
    detector: Detector,
    config: EvaluateConfig,
    progress: Progress | None,
) -> list[BaselineColumns]:
    """Run the detector's own methods on some events of the split."""
    chosen = predictions.split(config.split)
    names = {head.name for head in predictions.heads}
    methods = [one for one in detector.baselines if config.baselines and names & set(one.tasks)]
    if not methods or not len(chosen):
        return []
    truth = chosen.truth()
    defined = np.zeros(len(chosen), dtype=bool)
    for head in chosen.heads:
        defined |= evaluate_condition(truth, head.selection)
    rows = np.flatnonzero(defined)
    if config.baseline_events and len(rows) > config.baseline_events:
        rng = np.random.default_rng(config.seed)
        rows = np.sort(rng.choice(rows, config.baseline_events, replace=False))
    some = chosen.with_table(chosen.table[rows])
    picked = events.select(match_events(some.table, events, detector.key))
    return [_run_baseline(one, some, picked, rows, progress) for one in methods]


def _run_baseline(
    baseline: Baseline,
    some: Predictions,
    events: Events,
    rows: NDArray[np.int64],
    progress: Progress | None,
) -> BaselineColumns:
    started = time.perf_counter()
    n_solved = 0
    columns = {}
    for head in some.heads:
        if head.name not in baseline.tasks:
            continue
        wanted = np.flatnonzero(evaluate_condition(events.truth, head.selection))
        columns[head.name] = _solve(baseline, head, events, wanted, progress)
        n_solved += len(wanted)
    seconds = time.perf_counter() - started
    # Heads that need only some of the events make an event cheaper: the time is that of a head and event.
    per_event = seconds / max(n_solved, 1)
    return BaselineColumns(baseline.name, baseline.meaning, rows, columns, per_event * len(rows))


def _solve(
    baseline: Baseline, head: Task, events: Events, wanted: NDArray[np.int64], progress: Progress | None
) -> dict[str, NDArray[np.float64]]:
    """Return a method's columns for one head, NaN for the events it was not asked about."""
    outputs = (head.name,) if head.is_classification else head.target_columns
    columns = {name: np.full(len(events), np.nan) for name in outputs}
    for start in range(0, len(wanted), _BLOCK):
        block = wanted[start : start + _BLOCK]
        found = baseline.predict(events.select(block), head)
        missing = [name for name in outputs if name not in found]
        if missing:
            raise DataError(
                f"Baseline '{baseline.name}' must give {', '.join(outputs)} for task '{head.name}'. "
                f"Got {', '.join(found)}."
            )
        for name in outputs:
            columns[name][block] = np.asarray(found[name], dtype=np.float64)
        if progress is not None:
            progress(f"{baseline.name.replace('_', ' ')}: {head.name}", start + len(block), len(wanted))
    return columns


def _pictures(
    chosen: Predictions, events: Events, detector: Detector, config: EvaluateConfig
) -> list[tuple[Picture, DrawnFigure]]:
    found = []
    for one in run_galleries(chosen, events, detector, config.cut):
        content = figure_to_bytes(draw_gallery(one, detector.views[0]), "png", DPI)
        picture = Picture(one.name, one.title, one.caption, one.alt)
        found.append((picture, DrawnFigure(one.name, content, "png", one.caption, one.alt, wide=True)))
    return found
