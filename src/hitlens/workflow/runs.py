"""The run folder: what it holds, its state, and the record of how it came about."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hitlens.errors import HitlensError, NotFoundError, RunError, foreign_errors_as
from hitlens.io.atomic import written_whole
from hitlens.workflow.folders import check_folder, clear_folder

#: Libraries whose versions decide a result.
_RECORDED = ("hitlens", "torch", "pytorch-lightning", "numpy", "scipy", "polars", "h5py", "scikit-learn")

CONFIG, MODEL, HISTORY = "config.yaml", "model.safetensors", "history.csv"
PREDICTIONS, PROVENANCE = "predictions.parquet", "provenance.json"
METRICS, REPORT, FIGURES = "metrics.json", "report.html", "figures"
#: Folder of a run with its evaluations on other events or of other epochs, and the record in each of them.
EVALUATIONS, EVALUATION = "evaluations", "evaluation.json"
#: Folder of a run, a study or a search to which numbers of other models are moved.
OUTDATED = "outdated"
#: Name in provenance.json of the checksums of what the training wrote.
WRITTEN = "written"
#: The YAML that describes the detector, where one does.
DETECTOR = "detector.yaml"
#: Where an error came from that ended a training.
LOG = "error.log"


def check_run(folder: Path, *, resume: bool, force: bool) -> None:
    """Refuse a folder a training must not touch; nothing is changed.

    Args:
        folder: the run folder.
        resume: it must hold a run, which is continued.
        force: what it holds will be thrown away.

    Raises:
        RunError: the folder holds a run and neither was asked for, there is nothing to resume, or the folder
            holds something else.
        ConfigError: both were asked for.
    """
    known = (folder / PROVENANCE).is_file()
    status = read_provenance(folder).get("status", "unfinished") if known and not (resume or force) else ""
    check_folder(folder, "run", PROVENANCE, resume=resume, force=force, status=status)


def open_run(folder: Path, *, resume: bool, force: bool) -> None:
    """Make a run folder ready for training; arguments and errors as `check_run`."""
    check_run(folder, resume=resume, force=force)
    folder.mkdir(parents=True, exist_ok=True)
    if not resume:
        clear_folder(folder)


def read_provenance(folder: Path) -> dict[str, Any]:
    """Return the record of a run.

    Raises:
        RunError: the folder is not a run.
    """
    with foreign_errors_as(
        lambda reason: RunError(f"{folder} is not a run of hitlens, or {PROVENANCE} is damaged: {reason}.")
    ):
        record: dict[str, Any] = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
    if not isinstance(record, dict):
        raise RunError(f"{folder} is not a run of hitlens: {PROVENANCE} holds no record.")
    return record


def is_finished(folder: Path) -> bool:
    """Whether a folder holds a run whose training came to its end.

    Examples:
        >>> is_finished(Path("no such folder"))
        False
    """
    return (folder / PROVENANCE).is_file() and read_provenance(folder).get("status") == "finished"


def write_provenance(folder: Path, record: Mapping[str, Any]) -> None:
    """Write the record of a run, in one piece."""
    with written_whole(folder / PROVENANCE) as partial:
        partial.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def note_failure(folder: Path, error: BaseException) -> None:
    """Note in the record of a run that it failed, and in `LOG` where; what cannot be written is left out.

    Args:
        folder: run folder.
        error: what ended it.
    """
    described = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    with suppress(OSError, HitlensError):
        lines = traceback.format_exception(error)
        with written_whole(folder / LOG) as partial:
            partial.write_text(f"{now()} hitlens {library_versions()['hitlens']}\n{''.join(lines)}", "utf-8")
    with suppress(OSError, HitlensError):
        write_provenance(folder, read_provenance(folder) | {"status": "failed", "error": described})


def describe_machine() -> dict[str, Any]:
    """Return what computed a run: processor, cores, system, Python and library versions."""
    return {
        "processor": _processor(),
        "n_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": sys.version.split()[0],
        "versions": library_versions(),
    }


def library_versions() -> dict[str, str]:
    """Return the versions of hitlens and of the libraries that decide a result."""
    versions = {}
    for name in _RECORDED:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def now() -> str:
    """Return the time, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def file_checksums(paths: Sequence[Path]) -> dict[str, str]:
    """Return the sha256 of each file by name, by path where two have one name.

    A folder has that of its files in order of their names.
    """
    return {key: file_checksum(path) for key, path in zip(checksum_keys(paths), paths, strict=True)}


def checksum_keys(paths: Sequence[Path]) -> list[str]:
    """Return the names under which the checksums of files are kept.

    Examples:
        >>> checksum_keys([Path("a/one.h5"), Path("b/one.h5"), Path("two.h5")])
        ['a/one.h5', 'b/one.h5', 'two.h5']
    """
    names = [path.name for path in paths]
    return [path.name if names.count(path.name) == 1 else path.as_posix() for path in paths]


def file_checksum(path: Path) -> str:
    """Return the sha256 of a file; of a folder that of its files in order of their names.

    Raises:
        NotFoundError: there is neither.
    """
    if not path.exists():
        raise NotFoundError(f"No file or folder '{path}'. Check the name.")
    digest = hashlib.sha256()
    for part in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if part.is_file():
            with part.open("rb") as file:
                while block := file.read(1 << 22):
                    digest.update(block)
    return digest.hexdigest()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
