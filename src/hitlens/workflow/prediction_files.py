"""Predictions of event files, by this process or by many: a part a range of events, joined in order."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hitlens.detector import ReadReport, Task
from hitlens.errors import RunError
from hitlens.evaluate.predictions import (
    REASON,
    Predictions,
    check_predictions_name,
    join_predictions,
    read_predictions,
)
from hitlens.events import EventSource, join_truth
from hitlens.io.atomic import temporary_folder
from hitlens.io.outputs import check_output
from hitlens.io.ownership import owned
from hitlens.models.trained import TrainedModel
from hitlens.workflow.data import BLOCK, OnBadEvent
from hitlens.workflow.event_ranges import EventRange, event_ranges, file_facts
from hitlens.workflow.parts import PartRecord, Parts, PartTask, kept_parts
from hitlens.workflow.pool import SerialPool, open_pool
from hitlens.workflow.prediction import epoch_model_file, no_predictions, open_model, predict_events
from hitlens.workflow.sources import DESCRIPTION, Source, check_options, find_sources

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PredictedFile:
    """A file of predictions.

    Attributes:
        path: where it is.
        n_events: rows in it.
        task: what was predicted.
        skipped: one message a bad event that was left out.
        odd: one message an oddity of events that were predicted.
        n_unanswered: events for which there is no answer; the column `reason` says why.
    """

    path: Path
    n_events: int
    task: Task
    skipped: tuple[str, ...]
    odd: tuple[str, ...]
    n_unanswered: int = 0

    def __str__(self) -> str:
        """Return what was written in one line."""
        text = f"{self.n_events} predictions of '{self.task.name}' to {self.path}"
        if self.n_unanswered:
            text += f"; {self.n_unanswered:,} events have no answer, column '{REASON}' says why"
        return f"{text}; {len(self.skipped):,} bad events skipped" if self.skipped else text


@dataclass(frozen=True)
class PredictedRange:
    """Events that one task predicts.

    Attributes:
        model: the model file.
        checksum: its sha256, so that a worker never uses an older one it has in memory.
        events: which events.
        symmetrise: average over the symmetries; what the model's card says where None.
    """

    model: Path
    checksum: str
    events: EventRange
    symmetrise: bool | None = None

    def __str__(self) -> str:
        return f"prediction of {self.events}"


def predict_files(
    model_path: Path,
    files: Sequence[Path],
    output: Path,
    *,
    layout: str | None = None,
    options: Mapping[str, str] | None = None,
    on_bad_event: OnBadEvent = "raise",
    symmetrise: bool | None = None,
    report: ReadReport | None = None,
) -> Predictions:
    """Predict files in this process, write the predictions to one file and return them.

    Args:
        model_path: model file or run folder.
        files: event files, in the order the rows shall have.
        output: ``.parquet``, ``.h5``, ``.root`` or ``.csv``.
        layout: name of the files' layout; recognised where None.
        options: options of the layout's reader.
        on_bad_event: "raise" or "skip".
        symmetrise: average over the symmetries; what the model's card says where None.
        report: collects what was skipped.

    Raises:
        ModelFileError: as `hitlens.workflow.prediction.open_model`.
        FileFormatError: a file that no layout fits, or with a bad event.
    """
    made = predict_to_file(
        model_path,
        files,
        output,
        layout=layout,
        options=options,
        on_bad_event=on_bad_event,
        symmetrise=symmetrise,
        force=True,
    )
    if report is not None:
        report.skipped.extend(made.skipped)
        report.odd.extend(made.odd)
    return read_predictions(output)


def predict_to_file(
    model_path: Path,
    files: Sequence[Path],
    output: Path,
    *,
    layout: str | None = None,
    options: Mapping[str, str] | None = None,
    on_bad_event: OnBadEvent = "raise",
    symmetrise: bool | None = None,
    epoch: int | None = None,
    cluster: str = "",
    workers: int | None = None,
    part_events: int = BLOCK,
    progress: Callable[[int], object] | None = None,
    force: bool = False,
) -> PredictedFile:
    """Predict files of any size and write the predictions to one file, in this process or by many.

    On a cluster each finished part is kept in ``OUTPUT.parts`` until all are there: the same command goes on
    after an interruption. Parts are joined in the order of the events; a Parquet file is joined without
    holding it in memory.

    Args:
        model_path: model file or run folder.
        files: event files, in the order the rows shall have.
        output: ``.parquet``, ``.h5``, ``.root`` or ``.csv``.
        layout: name of the files' layout; recognised where None.
        options: options of the layout's reader.
        on_bad_event: "raise" or "skip".
        symmetrise: average over the symmetries; what the model's card says where None.
        epoch: of a run folder, the weights of this epoch; see `hitlens.workflow.prediction.open_model`.
        cluster: "" for this process, else as `hitlens.workflow.pool.open_pool`.
        workers: as there.
        part_events: most events of a native file in one part.
        progress: called with the number of events of each part.
        force: replace the output, and throw away parts of other settings.

    Raises:
        RunError: the output exists, or parts of other settings do, without ``force``; another process
            works on it; or the cluster failed.
        OutputError: it cannot be written.
        ModelFileError: as `hitlens.workflow.prediction.open_model`.
        FileFormatError: a file that no layout fits, or with a bad event.
        ConfigError: as `hitlens.workflow.pool.open_pool`.
    """
    output = Path(output)
    check_predictions_name(output)
    check_output(output)
    if output.exists() and not force:
        raise RunError(f"{output} exists. Choose another name, or --force to replace it.")
    if epoch is not None:
        model_path = epoch_model_file(model_path, epoch)
    stated = open_model(model_path)
    model = stated.averaging(symmetrise)
    if stated.card.temperature and model.card.symmetrise != stated.card.symmetrise:
        log.warning(
            "The scores are not calibrated: the model's temperature was fixed on predictions %s the average "
            "over the symmetries.",
            "with" if stated.card.symmetrise else "without",
        )
    for symmetry, effect in (model.card.symmetries or {}).items() if symmetrise else ():
        if isinstance(effect, str):
            log.warning("The average leaves out symmetry '%s'. %s", symmetry, effect)
    sources = find_sources(files, model.detector, layout)
    check_options(sources, options or {})
    ranges = event_ranges(sources, part_events, on_bad_event=on_bad_event, options=options)
    file = (model_path / "model.safetensors" if model_path.is_dir() else model_path).resolve()
    checksum = hashlib.sha256(file.read_bytes()).hexdigest()
    works = [PredictedRange(file, checksum, one, symmetrise) for one in ranges]
    with owned(output, is_folder=False):
        if output.exists() and not force:
            raise RunError(f"{output} exists. Choose another name, or --force to replace it.")
        if cluster:
            settings = _settings(checksum, sources, layout, options, on_bad_event, part_events)
            settings |= {} if symmetrise is None else {"symmetrise": symmetrise}
            with kept_parts(output, settings, predict_part, works, suffix=".parquet", force=force) as parts:
                if parts.n_finished < len(parts):
                    with open_pool(cluster, workers=workers, shared=parts.folder) as pool:
                        parts.make(pool, progress)
                return _join(parts, model, model_path, output)
        with _passing_parts(works, output) as parts:
            parts.make(SerialPool(), progress)
            return _join(parts, model, model_path, output)


def write_event_predictions(
    model: TrainedModel,
    events: EventSource,
    split: NDArray[np.str_],
    outputs: Mapping[str, NDArray[Any]],
    output: Path,
) -> None:
    """Write the predictions of events, in memory or in their files, a block of them at a time.

    Args:
        model: a trained model.
        events: events of its detector.
        split: name of the split each event is in.
        outputs: of the model for these events.
        output: Parquet file.
    """
    with temporary_folder(output) as folder:
        parts, start = [], 0
        for number, block in enumerate(events.blocks(BLOCK)):
            parts.append(folder / f"part-{number:06d}.parquet")
            rows = slice(start, start + len(block))
            of_block = {head: values[rows] for head, values in outputs.items()}
            predict_events(model, block, split[rows], of_block).table.write_parquet(parts[-1])
            start += len(block)
        join_predictions(parts, no_predictions(model, {}), output)


def predict_part(work: PredictedRange, path: Path) -> PartRecord:
    """Write the predictions of a range of events as a table.

    Args:
        work: which events, and the model.
        path: Parquet file to write.

    Raises:
        RunError: the model file is not the one the command began with.
        FileFormatError: the file is damaged, or has a bad event.
    """
    model = _model(work.model, work.checksum, work.symmetrise)
    report = ReadReport([])
    tables = [predict_events(model, block).table for block in work.events.blocks(report)]
    if tables:
        join_truth(tables).write_parquet(path)
    n_unanswered = sum(table[REASON].count() for table in tables if REASON in table.columns)
    return PartRecord(sum(map(len, tables)), tuple(report.skipped), tuple(report.odd), n_unanswered)


@lru_cache(maxsize=1)
def _model(path: Path, checksum: str, symmetrise: bool | None) -> TrainedModel:
    if hashlib.sha256(path.read_bytes()).hexdigest() != checksum:
        raise RunError(f"{path} has changed since the prediction began. Start over with --force.")
    return open_model(path).averaging(symmetrise)


@contextmanager
def _passing_parts(works: Sequence[PredictedRange], output: Path) -> Iterator[Parts]:
    """Give parts that are gone at the end, whatever happens: one process has nobody to go on for."""
    with temporary_folder(output) as folder:
        tasks = [
            PartTask(folder / f"part-{n:06d}.parquet", work, predict_part) for n, work in enumerate(works)
        ]
        yield Parts(folder, tasks)


def _join(parts: Parts, model: TrainedModel, model_path: Path, output: Path) -> PredictedFile:
    own = {DESCRIPTION: model.detector.yaml} if model.detector.yaml else {}
    averaged = {"symmetrise": str(model.card.symmetrise).lower()}
    metadata = {"model": model_path.name, "split_hash": model.card.split_hash, **averaged, **own}
    join_predictions(parts.files, no_predictions(model, metadata), output)
    skipped = tuple(message for record in parts.records for message in record.skipped)
    if skipped:
        log.warning("%d bad events skipped", len(skipped))
    odd = tuple(message for record in parts.records for message in record.odd)
    odd += _shared_keys(parts.files, model.detector.key)
    n_events = sum(record.n_events for record in parts.records)
    n_unanswered = sum(record.n_unanswered for record in parts.records)
    return PredictedFile(output, n_events, model.card.task, skipped, odd, n_unanswered)


def _shared_keys(tables: Sequence[Path], key: tuple[str, ...]) -> tuple[str, ...]:
    """Say how many predicted events have a key that another has too."""
    if not tables:
        return ()
    scanned = [pl.scan_parquet(table, glob=False).select(key) for table in tables]
    n_shared = int(pl.concat(scanned, how="vertical_relaxed").collect().is_duplicated().sum())
    if not n_shared:
        return ()
    message = (
        f"{n_shared:,} predicted events share their key ({', '.join(key)}) with another: they cannot be "
        "joined to anything by it. Rows are in the order of the files."
    )
    log.warning("%s", message)
    return (message,)


def _settings(
    checksum: str,
    sources: Sequence[Source],
    layout: str | None,
    options: Mapping[str, str] | None,
    on_bad_event: str,
    part_events: int,
) -> dict[str, Any]:
    """Return all that decides what is in the parts."""
    return {
        "command": "predict",
        "model": checksum,
        "files": file_facts(sources),
        "layout": layout or "",
        "options": dict(options or {}),
        "on_bad_event": on_bad_event,
        "part_events": part_events,
    }
