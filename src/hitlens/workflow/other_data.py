"""A trained run on other labelled events than its own: predicted, compared with its training, evaluated."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hitlens.config import DataConfig, RunConfig
from hitlens.datasets.duplicates import image_fingerprints
from hitlens.datasets.targets import strata_of
from hitlens.detector import Detector, Task
from hitlens.detectors import get_detector
from hitlens.errors import DataError, LeakageError, NotFoundError, RunError, SelectionError
from hitlens.evaluate.config import EvaluateConfig
from hitlens.evaluate.evaluation import evaluate
from hitlens.evaluate.predictions import Predictions, write_predictions
from hitlens.evaluate.results import Reading, Results, write_results
from hitlens.events import EventSource
from hitlens.io.atomic import written_whole
from hitlens.io.guard import damage_as_format_error
from hitlens.io.records import read_record
from hitlens.workflow import runs
from hitlens.workflow.baselines import Progress, run_baselines, training_rows
from hitlens.workflow.data import BLOCK
from hitlens.workflow.galleries import drawn_galleries
from hitlens.workflow.origins import made_from, read_run_predictions
from hitlens.workflow.prediction import open_model, predict_events, predicts_in_bfloat16
from hitlens.workflow.readings import now
from hitlens.workflow.reporting import write_run_report
from hitlens.workflow.run_events import match_events, read_data, read_run_events, rows_of

#: Name of the fact that says in which folder an evaluation is.
FOLDER = "kept in"

#: Name of the split of events that had no part in a training.
OTHER = "none"


@dataclass(frozen=True, eq=False)
class _Trained:
    """A run with its own events, so far as they are there.

    Attributes:
        predictions: of its validation and test events.
        events: its own events; None where their files are not there.
        rows: positions of its training events among them; None where they cannot be told.
    """

    folder: Path
    run: RunConfig
    detector: Detector
    predictions: Predictions
    events: EventSource | None
    rows: NDArray[np.int64] | None


def evaluate_other(
    folder: Path,
    run: RunConfig,
    files: Sequence[Path],
    config: EvaluateConfig,
    *,
    out: Path | None = None,
    again: bool = False,
    drop_seen: bool = False,
    progress: Progress | None = None,
) -> Results:
    """Evaluate the model of a run on all labelled events of other files than it was trained on.

    The methods beside the model learn from the events of the training and are asked about these. Predictions,
    numbers, page and figures go to a folder of their own; the run's are not touched.

    Args:
        folder: run folder.
        run: its settings.
        files: other event files of its detector.
        config: settings of the evaluation.
        out: where to; None takes a folder below the run's ``evaluations``, named after the files.
        again: evaluate although these files were evaluated before with this model.
        drop_seen: leave out events the model was trained on or chosen by, instead of refusing them.
        progress: told what is being done.

    Raises:
        RunError: the files were evaluated before, or the folder holds something else.
        LeakageError: events of these files were in the training.
        DataError: no event has what the task is to predict.
    """
    checksums = runs.file_checksums(files)
    target = out or folder / runs.EVALUATIONS / _name(files, checksums)
    origin = made_from(folder)
    reading, earlier = _next_reading(target, origin | checksums, config, again=again)
    config = config.model_copy(update={"split": OTHER})
    trained = _open_run(folder, run)
    events, unlabelled = _labelled(run, trained.predictions.heads, files)
    events, notes = _unseen(trained, events, drop_seen=drop_seen)
    notes += runs.read_provenance(folder).get("data", {}).get("told_by_file", [])
    if run.data.selection:
        notes.append(
            f"data.selection of the run, '{run.data.selection}', is not applied to these files: all their "
            "events that can be compared with the truth are evaluated."
        )
    if unlabelled:
        notes.append(f"{unlabelled:,} events of these files have nothing to compare with and are left out.")
    predictions = _predict(folder, events)
    baselines = run_baselines(
        predictions, events, trained.detector, config, trained.rows, run, progress, taught=trained.events
    )
    _write_record(target, folder, origin | checksums, files, [*earlier, reading])
    training = None if trained.events is None or trained.rows is None else trained.events.truth[trained.rows]
    results = evaluate(
        predictions,
        trained.detector,
        config,
        baselines=baselines,
        training=trained.predictions.split("validation").truth() if training is None else training,
        validation=trained.predictions.split("validation"),
        data=_facts(folder, files, checksums) | {FOLDER: str(target)},
    )
    pictures = drawn_galleries(predictions, events, trained.detector, config.cut)
    done = replace(reading, finished=True)
    results = replace(
        results,
        readings=(*earlier, done),
        galleries=tuple(picture for picture, _ in pictures),
        made_from=origin | checksums,
        notes=tuple(notes),
    )
    (target / runs.REPORT).unlink(missing_ok=True)
    write_predictions(predictions, target / runs.PREDICTIONS)
    write_results(results, target / runs.METRICS)
    drawn = [(picture.title, figure) for picture, figure in pictures]
    write_run_report(folder, run, results, drawn, out=target)
    _write_record(target, folder, origin | checksums, files, [*earlier, done])
    return results


def _name(files: Sequence[Path], checksums: dict[str, str]) -> str:
    """The folder of an evaluation: the first file's name, and what tells these files from others so named."""
    stem = files[0].name.partition(".")[0] or files[0].name
    more = f"-and-{len(files) - 1}" if len(files) > 1 else ""
    return f"{stem}{more}-{hashlib.sha256(' '.join(checksums.values()).encode()).hexdigest()[:8]}"


def _next_reading(
    target: Path, origin: dict[str, str], config: EvaluateConfig, *, again: bool
) -> tuple[Reading, tuple[Reading, ...]]:
    """Return the reading to make, the one begun and not finished where there is one, and those before it."""
    new = Reading(now(), OTHER, config.cut, model=origin.get(runs.MODEL, ""), finished=False)
    if not (target / runs.EVALUATION).is_file():
        if target.exists() and any(target.iterdir()):
            raise RunError(f"{target} is not empty and no evaluation of hitlens. Choose another folder.")
        return new, ()
    path, advice = target / runs.EVALUATION, "Remove the folder, or choose another with -o."
    record = read_record(path, advice)
    with damage_as_format_error(path, advice=advice):
        origin_then = dict(record["made_from"])
        earlier = tuple(Reading(**one) for one in record["readings"])
        last = earlier[-1]
    if origin_then != origin:
        if {k: v for k, v in origin_then.items() if k in (runs.MODEL, runs.PREDICTIONS)} == {
            k: v for k, v in origin.items() if k in (runs.MODEL, runs.PREDICTIONS)
        }:
            raise RunError(f"{target} holds the evaluation of other files. Choose another folder.")
        return new, earlier
    if (not last.finished or not (target / runs.REPORT).is_file()) and last.cut == config.cut:
        return replace(last, finished=False), earlier[:-1]
    if not again:
        raise RunError(
            f"These files were evaluated before with this model ({last.when}), see {target}. --again "
            "evaluates them once more, which the report will say."
        )
    return new, earlier


def _write_record(
    target: Path, folder: Path, origin: dict[str, str], files: Sequence[Path], readings: Sequence[Reading]
) -> None:
    record: dict[str, Any] = {"run": str(folder.resolve()), "made_from": origin}
    record["files"] = [str(path.resolve()) for path in files]
    record["readings"] = [asdict(one) for one in readings]
    with written_whole(target / runs.EVALUATION) as partial:
        partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _open_run(folder: Path, run: RunConfig) -> _Trained:
    detector = get_detector(run.detector)
    predictions = read_run_predictions(folder)
    try:
        events = read_run_events(folder, run)
    except (NotFoundError, DataError):  # what depends on them is left out, which the page says
        return _Trained(folder, run, detector, predictions, None, None)
    rows = training_rows(predictions, events, detector, run, runs.read_provenance(folder))
    return _Trained(folder, run, detector, predictions, events, rows)


def _labelled(run: RunConfig, heads: tuple[Task, ...], files: Sequence[Path]) -> tuple[EventSource, int]:
    """Return the events for which some head can be compared with the truth, and how many others there are."""
    alike = {path.suffix for path in files} <= {Path(name).suffix for name in run.data.files}
    how = run.data.model_copy(update={"files": (), "selection": "", "max_events": 0})
    data = how if alike else DataConfig(on_bad_event=run.data.on_bad_event, memory=run.data.memory)
    events = read_data(data, run.detector, list(files))
    try:
        labelled = np.flatnonzero(strata_of(events.truth, heads) > 0)
    except SelectionError as error:
        raise DataError(
            f"The events of {', '.join(map(str, files))} have no labels to compare with: {error}"
        ) from None
    if not len(labelled):
        raise DataError(f"No event of {', '.join(map(str, files))} has what the task is to predict.")
    return rows_of(events, labelled), len(events) - len(labelled)


def _unseen(trained: _Trained, events: EventSource, *, drop_seen: bool) -> tuple[EventSource, list[str]]:
    """Return the events the model was not trained on or chosen by, and what a reader must know of them."""
    if trained.events is None or trained.rows is None:
        if drop_seen:
            raise LeakageError(
                "Which of these events were in the training cannot be told: its event files are gone or were "
                "changed. Bring them back, or evaluate without --drop-seen; the report then says so."
            )
        return events, [
            "The events of the training are not there or not told apart any more: whether some of these "
            "events were among them could not be checked, and no method could learn from them."
        ]
    key = list(trained.detector.key)
    validation = match_events(trained.predictions.split("validation").table, trained.events, key)
    rows = np.sort(np.concatenate([trained.rows, validation]))
    same_image = np.isin(_prints(events), _shown_prints(trained.events, rows))
    named = events.truth.select(key).with_row_index("row")
    shared = named.join(trained.events.truth.select(key)[rows], on=key, how="semi")["row"].to_numpy()
    same_key = np.zeros(len(events), dtype=bool)
    same_key[shared] = True
    # A file's name may be that of another file; without it a key names one event everywhere.
    seen = same_image if "file" in key else same_image | same_key
    notes = []
    if (n_alike := int((same_key & ~seen).sum())) > 0:
        notes.append(
            f"{n_alike:,} of these events have the key ({', '.join(key)}) of an event of the training, but "
            "another image: the files have one name."
        )
    if not seen.any():
        return events, notes
    if not drop_seen:
        first = events.truth.select(key).row(int(seen.argmax()), named=True)
        raise LeakageError(
            f"{int(seen.sum()):,} of {len(events):,} events were in the training or chose its epoch (equal "
            f"image or key), first {first}: the model knows them. Give other files, or leave these out "
            "with --drop-seen."
        )
    if seen.all():
        raise LeakageError("All of these events were in the training. Give other files.")
    notes.append(f"{int(seen.sum()):,} events that were in the training or chose its epoch are left out.")
    return rows_of(events, np.flatnonzero(~seen)), notes


def _prints(events: EventSource) -> NDArray[np.uint64]:
    return np.concatenate([image_fingerprints(block) for block in events.blocks(BLOCK)])


def _shown_prints(events: EventSource, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Fingerprints of some events without those of blank images, which are alike without being copies."""
    prints = _prints(events)[rows]
    return prints[prints > 0]


def _predict(folder: Path, events: EventSource) -> Predictions:
    model = open_model(folder)
    bfloat16 = predicts_in_bfloat16(model)
    parts = [
        predict_events(model, block, outputs=model.outputs(block, bfloat16=bfloat16))
        for block in events.blocks(BLOCK)
    ]
    return parts[0].with_table(pl.concat([one.table for one in parts], how="diagonal_relaxed"))


def _facts(folder: Path, files: Sequence[Path], checksums: dict[str, str]) -> dict[str, str]:
    facts = {"evaluated files": ", ".join(map(str, files)), "model": f"of the run {folder}"}
    facts |= {f"sha256 of {name}": sha256 for name, sha256 in checksums.items()}
    trained = runs.read_provenance(folder).get("data", {}).get("files", ())
    return facts | {"trained on": ", ".join(map(str, trained))}
