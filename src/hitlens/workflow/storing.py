"""Whether the events of a run are read into memory, or stay in their files and are streamed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hitlens.config import DataConfig, RunConfig
from hitlens.datasets.stored import StoredEvents, open_stored
from hitlens.datasets.symmetries import columns_behind
from hitlens.detector import Detector, ReadReport, Task
from hitlens.errors import ConfigError
from hitlens.events import Events, evaluate_condition
from hitlens.io.native import is_native, open_native
from hitlens.sql import columns_of
from hitlens.train.hardware import available_memory
from hitlens.workflow.data import read_events

log = logging.getLogger(__name__)

#: Part of the free memory that images may take before they are streamed.
_RESIDENT_SHARE = 0.5


def open_events(
    data: DataConfig,
    detector: Detector,
    files: Sequence[Path],
    *,
    columns: Iterable[str] | None = None,
    report: ReadReport | None = None,
    called: Mapping[Path, Path] | None = None,
) -> Events | StoredEvents:
    """Return the events of files: in memory, or left in their files where the settings or their size say so.

    Args:
        data: what to read and how.
        detector: of all files.
        files: where they are.
        columns: truth columns that are needed of events that stay in their files; None for all.
        report: collects what was skipped.
        called: as in `hitlens.workflow.sources.find_sources`.

    Raises:
        ConfigError: files that are not native are to be streamed.
        NotFoundError: a file is missing.
        FileFormatError: a file cannot be read.
    """
    if not is_streamed(data, detector, files):
        return read_events(
            list(files),
            detector,
            layout=data.layout or None,
            on_bad_event=data.on_bad_event,
            options=data.options,
            report=report,
            called=called,
        )
    if data.options:
        raise ConfigError(f"Native files, which are streamed, have no options. Got {sorted(data.options)}.")
    if len({file.resolve() for file in files}) < len(files):
        raise ConfigError("data.files: a file is given twice, so its events would be counted twice.")
    skipped = None if data.on_bad_event == "raise" else (report or ReadReport([])).skipped
    return open_stored(files, detector, None if columns is None else sorted(set(columns)), skipped=skipped)


def chosen_events(
    data: DataConfig, events: Events | StoredEvents
) -> tuple[Events | StoredEvents, dict[str, int]]:
    """Return the events that the settings choose, and how many were left out, by reason.

    Args:
        data: selection and largest number.
        events: all events of the files.
    """
    left_out = {}
    if data.selection:
        kept = events.filter(data.selection, setting="data.selection")
        left_out["outside data.selection"] = len(events) - len(kept)
        events = kept
    if data.max_events:
        left_out["beyond data.max_events"] = max(0, len(events) - data.max_events)
        first = slice(0, data.max_events)
        events = events.select(first) if isinstance(events, Events) else events.narrowed(first)
    return events, left_out


def is_streamed(data: DataConfig, detector: Detector, files: Sequence[Path]) -> bool:
    """Whether events stay in their files.

    Args:
        data: the settings.
        detector: of all files.
        files: where they are.

    Raises:
        ConfigError: files that are not native are to be streamed.
    """
    if data.memory == "resident":
        return False
    foreign = [file for file in files if file.exists() and not is_native(file)]
    if data.memory == "streaming":
        if foreign or data.layout not in ("", "native"):
            raise ConfigError(
                f"data.memory = streaming needs native files. '{(foreign or files)[0]}' is none: convert it, "
                "hitlens convert FILE -o FILE.h5, or set data.memory=resident."
            )
        return True
    if foreign or not all(file.exists() for file in files):
        return False
    needed = sum(_image_bytes(file, detector) for file in files)
    free = available_memory()
    if needed <= _RESIDENT_SHARE * free:
        return False
    log.info(
        "Images of %.1f GB are streamed from their files: %.1f GB of memory are free.",
        needed / 1e9,
        free / 1e9,
    )
    return True


def needed_columns(config: RunConfig, detector: Detector, task: Task) -> set[str]:
    """Return the truth columns a training reads.

    Args:
        config: the settings.
        detector: of the events.
        task: what is learnt.
    """
    tasks = (*detector.heads(task), *[one for one in detector.tasks if one.is_classification][:1])
    conditions = [text for one in tasks for text in (one.selection, one.target) if text]
    names = {*detector.labels, "file", *(name for one in tasks for name in one.target_columns)}
    for text in (*conditions, *(text for _, text in _own_conditions(config))):
        names.update(columns_of(text))
    return columns_behind(detector, names)


def check_conditions(config: RunConfig, events: StoredEvents) -> None:
    """Refuse conditions over truth columns that the files do not have, naming those they have.

    Raises:
        SelectionError: such a condition.
    """
    with events.reader() as reader:
        truth = next(reader.events(events.rows[:1])).truth
    for setting, text in _own_conditions(config):
        evaluate_condition(truth, text, setting=setting)


def _own_conditions(config: RunConfig) -> list[tuple[str, str]]:
    """Return the conditions of a recipe with the names of their settings."""
    mix = config.train.mix
    shares = [("train.mix", text) for text in mix] if isinstance(mix, dict) else []
    selections = (("data.selection", config.data.selection), ("train.selection", config.train.selection))
    return [(setting, text) for setting, text in (*selections, *shares) if text]


def _image_bytes(path: Path, detector: Detector) -> int:
    with open_native(path, detector=detector.name) as file:
        return file.image_bytes
