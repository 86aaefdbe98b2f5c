"""The events behind a run's predictions: read again, and matched by their keys."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hitlens.config import DataConfig, RunConfig, load_config
from hitlens.detector import Detector, ReadReport
from hitlens.detectors import get_detector
from hitlens.errors import DataError, RunError
from hitlens.events import EventSource
from hitlens.workflow import runs
from hitlens.workflow.event_files import (
    EventFiles,
    find_event_files,
    match_given_files,
    recorded_files,
)
from hitlens.workflow.storing import chosen_events, open_events


def read_run_config(folder: Path) -> RunConfig:
    """Return the settings of a run; a detector described in YAML is that of the copy the run keeps.

    Raises:
        RunError: the folder holds no settings of a single run.
    """
    path = folder / runs.CONFIG
    if not path.is_file():
        raise RunError(f"{folder} is not a run of hitlens: it has no {runs.CONFIG}.")
    config = load_config(path)
    if not isinstance(config, RunConfig):
        raise RunError(f"{path} describes a study of several runs. Give the folder of one of them.")
    kept = folder / runs.DETECTOR
    return config.model_copy(update={"detector": str(kept)}) if kept.is_file() else config


def read_data(
    config: DataConfig, detector: str | Detector, files: Sequence[Path] | EventFiles | None = None
) -> EventSource:
    """Return the events of a run as its training had them; those that are streamed stay in their files.

    Args:
        config: what to read.
        detector: the detector, its name or the YAML file that describes it.
        files: where the files are now, if they were moved; None takes the settings'.

    Raises:
        NotFoundError: a file is missing.
        FileFormatError: a file cannot be read.
    """
    if not isinstance(files, EventFiles):
        files = EventFiles(tuple(files) if files else tuple(map(Path, config.files)))
    report = ReadReport([])
    events = open_events(config, get_detector(detector), files.paths, report=report, called=files.called)
    return chosen_events(config, events)[0]


def locate_run_files(
    folder: Path, config: RunConfig, files: Sequence[Path] | None = None
) -> EventFiles | None:
    """Return where the event files of a run are, from wherever it is asked; None where others were given.

    Args:
        folder: run folder.
        config: its settings.
        files: where they are now, if they were moved; None looks for them.

    Raises:
        NotFoundError: a file is missing.
        DataError: a file is not the one of the training, or only some of the given ones are.
    """
    recorded = recorded_files(folder, runs.read_provenance(folder), config.data.files)
    if files:
        return match_given_files(recorded, files)
    return find_event_files(recorded, f"the run in {folder}")


def read_run_events(folder: Path, config: RunConfig, files: Sequence[Path] | None = None) -> EventSource:
    """Return the events of a run, whose files are compared with those of its training.

    Args:
        folder: run folder.
        config: its settings.
        files: where the files are now, if they were moved; None looks for them.

    Raises:
        NotFoundError: a file is missing.
        DataError: a file is not the one of the training.
        FileFormatError: a file cannot be read.
    """
    located = locate_run_files(folder, config, files)
    if located is None:
        raise DataError(
            f"None of the files given is an event file of the run in {folder}: their checksums differ. Give "
            "the files it was trained on."
        )
    return read_data(config.data, config.detector, located)


def match_events(table: pl.DataFrame, events: EventSource, key: Sequence[str]) -> NDArray[np.int64]:
    """Return the position among events of each row of a predictions table, shape (row,).

    Args:
        table: with the key columns.
        events: those to look in; of several with one key the first counts.
        key: columns that together name an event.

    Raises:
        DataError: an event of the table is not among them, or two of its events have one key.
    """
    doubled = table.select(key).is_duplicated()
    if doubled.any():
        first = table.select(key).row(int(doubled.arg_max() or 0), named=True)
        raise DataError(
            f"{int(doubled.sum()):,} of {len(table):,} predicted events share their key with another, first "
            f"{first}: which event a prediction is of cannot be told. Make the keys of the files unique."
        )
    where = events.truth.select(key).with_row_index("position").unique(subset=list(key), keep="first")
    found = table.select(key).join(where, on=list(key), how="left", maintain_order="left")["position"]
    if found.null_count():
        row = table.select(key).row(int(found.is_null().arg_max() or 0))
        raise DataError(
            f"{found.null_count():,} of {len(table):,} predicted events are not in the event files, first "
            f"{dict(zip(key, row, strict=True))}. Give the files the predictions were made from."
        )
    return found.to_numpy().astype(np.int64)


def rows_of(events: EventSource, rows: NDArray[np.int64]) -> EventSource:
    """Return the events at these ascending positions; those that are streamed stay in their files."""
    return events.narrowed(rows) if hasattr(events, "narrowed") else events.select(rows)


def images_of(events: EventSource, rows: NDArray[Any], view: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return the dense images of some events, shape (event, row, col)."""
    return events.select(rows).dense(view, shape)
