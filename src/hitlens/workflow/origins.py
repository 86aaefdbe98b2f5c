"""What the numbers of a folder were made from: told by checksums, and set aside when that has changed."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hitlens.errors import FileFormatError, RunError
from hitlens.evaluate.predictions import Predictions, read_predictions
from hitlens.evaluate.results import Reading, Results, read_results
from hitlens.workflow import runs

log = logging.getLogger(__name__)

#: Name in provenance.json of the readings of a run's splits.
READINGS = "readings"

#: Said of a reading made before models had checksums, once the model has changed.
ANOTHER = "another model"


def written_checksums(folder: Path) -> dict[str, str]:
    """Return the checksums of model and predictions that a training notes when it is over."""
    return {name: runs.file_checksum(folder / name) for name in (runs.MODEL, runs.PREDICTIONS)}


def made_from(folder: Path) -> dict[str, str]:
    """Return the checksums of the model and the predictions a run holds now; of what is there."""
    names = (runs.MODEL, runs.PREDICTIONS)
    return {name: runs.file_checksum(folder / name) for name in names if (folder / name).is_file()}


def read_run_predictions(folder: Path) -> Predictions:
    """Return the predictions of a run, compared with what its training wrote.

    Raises:
        RunError: model or predictions are not those the training wrote.
        NotFoundError: there are none.
        FileFormatError: they are damaged.
    """
    for name, expected in runs.read_provenance(folder).get(runs.WRITTEN, {}).items():
        path = folder / name
        if path.is_file() and runs.file_checksum(path) != expected:
            raise RunError(
                f"{path} is not what the training wrote: its checksum differs, so it was changed, damaged or "
                "put there from another run. Copy the run again, or train it again with --force."
            )
    return read_predictions(folder / runs.PREDICTIONS)


def readings_of(folder: Path) -> tuple[Reading, ...]:
    """Return every reading of a run's splits, in the order they were made.

    Args:
        folder: run folder.

    Raises:
        RunError: it is not a run.
        FileFormatError: its metrics.json is damaged.
    """
    path = folder / runs.METRICS
    noted = [Reading(**one) for one in runs.read_provenance(folder).get(READINGS, ())]
    names = {_name(one) for one in noted}
    written = read_results(path).readings if path.is_file() else ()
    noted += [one for one in written if _name(one) not in names]
    return tuple(sorted(noted, key=lambda one: one.when))


def note_readings(folder: Path, readings: Iterable[Reading]) -> None:
    """Write readings into a run's record; one that is noted already is replaced.

    Args:
        folder: run folder.
        readings: of its splits.
    """
    record = runs.read_provenance(folder)
    all_readings = [*(Reading(**one) for one in record.get(READINGS, ())), *readings]
    noted = {_name(one): asdict(one) for one in all_readings}
    runs.write_provenance(folder, record | {READINGS: list(noted.values())})


def _name(reading: Reading) -> tuple[str, str, str]:
    return reading.when, reading.split, reading.by


def is_of_this_model(reading: Reading, record: Mapping[str, Any], model: str) -> bool:
    """Whether a reading was made with the model a run holds now.

    Args:
        reading: of a split.
        record: of the run.
        model: checksum of its model.
    """
    if reading.model:
        return reading.model == model
    return reading.when >= str(record.get("finished", ""))


def is_outdated(results: Results, record: Mapping[str, Any], now: Mapping[str, str]) -> bool:
    """Whether numbers are of another model or of other predictions than a run holds.

    Args:
        results: of its evaluation.
        record: of the run.
        now: as `made_from`.
    """
    if results.made_from:
        return any(now.get(name, sha256) != sha256 for name, sha256 in results.made_from.items())
    return bool(results.readings) and results.readings[-1].when < record.get("finished", "")


def set_outdated_aside(folder: Path) -> Path | None:
    """Move the numbers, page and figures of a run that are of another model aside, and say so.

    Args:
        folder: run folder.

    Returns:
        Where they are now; None where there are none, or they are of the model the run holds.
    """
    if not (folder / runs.METRICS).is_file():
        return None
    try:
        results = read_results(folder / runs.METRICS)
    except FileFormatError:  # whoever wants to show them says so
        return None
    record = runs.read_provenance(folder)
    if not is_outdated(results, record, made_from(folder)):
        return None
    model = results.made_from.get(runs.MODEL, ANOTHER)
    note_readings(folder, [replace(one, model=one.model or model) for one in readings_of(folder)])
    return move_aside(folder, (runs.METRICS, runs.REPORT, runs.FIGURES))


def set_evaluations_aside(folder: Path) -> Path | None:
    """Move the evaluations of a run on other files aside that are of another model, and say so.

    Those of single epochs stay: they are of the weights of that epoch, whichever the run ships.

    Args:
        folder: run folder.

    Returns:
        Where they are now; None where there are none.
    """
    model = made_from(folder).get(runs.MODEL)
    outdated = []
    for path in sorted((folder / runs.EVALUATIONS).glob(f"*/{runs.EVALUATION}")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            is_other = "epoch" not in record and record["made_from"][runs.MODEL] != model
        except (OSError, ValueError, TypeError, KeyError):  # whoever opens it says so
            continue
        if is_other:
            outdated.append(path.parent.relative_to(folder).as_posix())
    return move_aside(folder, outdated) if outdated else None


def move_aside(folder: Path, names: Iterable[str]) -> Path:
    """Move what is outdated into a folder of its own, and say so.

    Args:
        folder: of a run, a study or a search.
        names: of files and folders in it; those that are there are moved.

    Returns:
        Where they are now.
    """
    number = 1
    while (target := folder / runs.OUTDATED / str(number)).exists():
        number += 1
    target.mkdir(parents=True)
    moved = [name for name in names if (folder / name).exists()]
    for name in moved:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).replace(target / name)
    log.warning(
        "%s of %s were made from another model than the one that is there now: moved to %s.",
        ", ".join(moved),
        folder,
        target,
    )
    return target


def models_of(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the checksum of the model of each run of a study, a search or a cross-validation, by its folder.

    Args:
        folder: that holds them.
        names: of the run folders in it; those without a model are left out.
    """
    paths = {name: folder / name / runs.MODEL for name in names}
    return {name: runs.file_checksum(path) for name, path in paths.items() if path.is_file()}


def check_models(folder: Path, expected: Mapping[str, str], files: Iterable[str], remedy: str) -> None:
    """Refuse to show numbers of several runs of which one holds another model now; they are moved aside.

    Args:
        folder: of the study, the search or the cross-validation.
        expected: as `models_of` gave it when the numbers were made.
        files: with these numbers.
        remedy: how they are made again.

    Raises:
        RunError: naming the run.
    """
    now = models_of(folder, expected)
    for name, sha256 in expected.items():
        if now.get(name, sha256) != sha256:
            target = move_aside(folder, files)
            raise RunError(
                f"{folder / name} was trained again after these numbers were made: they were moved to "
                f"{target}. Make them again: {remedy}."
            )
