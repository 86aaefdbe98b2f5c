"""Who looked at a split of a run, and when; the next reading, or why there is none."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from hitlens.errors import RunError
from hitlens.evaluate.config import EvaluateConfig
from hitlens.evaluate.results import Reading, read_results
from hitlens.workflow import runs
from hitlens.workflow.origins import is_of_this_model, readings_of


def next_reading(
    folder: Path, config: EvaluateConfig, model: str, *, again: bool, out: Path | None = None
) -> Reading:
    """Return the reading an evaluation makes: a new one, or the one that was begun and not finished.

    Args:
        folder: run folder.
        config: settings of the evaluation.
        model: checksum of the model.
        again: whether a split may be read once more.
        out: folder of the page, if not the run's.

    Raises:
        RunError: the split was evaluated before with this model, or that was begun with another cut.
    """
    record = runs.read_provenance(folder)
    before = [
        one
        for one in readings_of(folder)
        if one.split == config.split and is_of_this_model(one, record, model)
    ]
    new = Reading(now(), config.split, config.cut, model=model, finished=False)
    if not before:
        return new
    last = before[-1]
    if last.by == new.by and not (last.finished and ((out or folder) / runs.REPORT).is_file()):
        if last.cut == config.cut:
            return Reading(last.when, last.split, last.cut, model=model, finished=False)
        if not again:
            raise RunError(
                f"The evaluation of {folder} begun at {last.when} with cut {last.cut:g} did not finish. "
                f"Finish it with --cut {last.cut:g}; --again evaluates with cut {config.cut:g}, which the "
                "report will say."
            )
    if not again:
        raise RunError(
            f"The {config.split} split of {folder} was evaluated before ({last.when}). "
            f"{_shown_again(out or folder, config)}--again evaluates it once more, which the report will say."
        )
    return new


def now() -> str:
    """Return the time of a reading, UTC, so precise that two readings differ."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _shown_again(folder: Path, config: EvaluateConfig) -> str:
    path = folder / runs.METRICS
    if not (folder / runs.PROVENANCE).is_file():  # of one epoch
        return f"See {folder / runs.REPORT}; "
    if path.is_file() and read_results(path).split == config.split:
        return f"'hitlens report {folder}' writes its report again; "
    return ""
