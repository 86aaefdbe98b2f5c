"""Cross-validation: every event of a small sample predicted by a model that never saw it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hitlens.config import RunConfig, dump_config
from hitlens.datasets.splits import duplicate_groups
from hitlens.detector import Detector
from hitlens.detectors import get_detector
from hitlens.errors import ConfigError, DataError, RunError
from hitlens.evaluate.baselines import BaselineColumns
from hitlens.evaluate.crossvalidation import (
    CrossValidation,
    evaluate_folds,
    read_cross_validation,
    write_cross_validation,
)
from hitlens.evaluate.learned import LEARNERS
from hitlens.evaluate.predictions import Predictions, write_predictions
from hitlens.events import EventSource
from hitlens.io.atomic import remove, written_whole
from hitlens.io.ownership import owned
from hitlens.report.crossvalidation_page import render_cross_validation
from hitlens.report.render import write_whole
from hitlens.settings import explain, read_yaml
from hitlens.workflow import runs
from hitlens.workflow.baselines import run_baselines, training_rows
from hitlens.workflow.evaluation import copies_fact
from hitlens.workflow.folders import check_folder, clear_folder
from hitlens.workflow.origins import check_models, models_of, read_run_predictions
from hitlens.workflow.pool import open_pool
from hitlens.workflow.preparing import split_run
from hitlens.workflow.run_events import locate_run_files, match_events, read_data, read_run_config
from hitlens.workflow.training import train

log = logging.getLogger(__name__)

SETTINGS, RESULTS, PAGE = "crossvalidation.yaml", "cv.json", "cv.html"


class CrossValidationConfig(BaseModel):
    """A run, done once a fold.

    Attributes:
        folds: parts the events are dealt into; each is held out once.
        repeats: how often the events are dealt anew, each time with another seed of split and training.
        run: settings of every training. Of its split, ``train`` and ``validation`` say in which proportion
            the events that are not held out are shared; ``test`` means nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    folds: int = Field(5, ge=2)
    repeats: int = Field(1, ge=1)
    run: RunConfig

    def fold_config(self, repeat: int, fold: int) -> RunConfig:
        """Return the settings of one training.

        Args:
            repeat: from 0; shifts the seeds of split and training.
            fold: which part is held out, from 0.
        """
        changes = {"folds": self.folds, "fold": fold, "seed": self.run.split.seed + repeat}
        return self.run.model_copy(
            update={
                "split": self.run.split.model_copy(update=changes),
                "train": self.run.train.model_copy(update={"seed": self.run.train.seed + repeat}),
            }
        )

    def folders(self, folder: Path) -> Iterator[tuple[int, int, Path]]:
        """Yield repeat, fold and run folder of every training, in order; numbers in names count from 1."""
        for repeat in range(self.repeats):
            for fold in range(self.folds):
                yield repeat, fold, folder / f"repeat{repeat + 1}" / f"fold{fold + 1}"


def cross_validate(
    config: CrossValidationConfig,
    folder: Path,
    *,
    resume: bool = False,
    force: bool = False,
    progress: bool = True,
    cluster: str = "",
    workers: int | None = None,
) -> Path:
    """Train one model a fold and repeat, and join what each says of the events it never saw.

    The folder gets ``crossvalidation.yaml``, a run folder ``repeatR/foldF`` for each training (without its
    checkpoints), ``predictions.parquet``, ``cv.json`` and ``cv.html``.

    Args:
        config: the settings.
        folder: where to.
        resume: keep the finished folds, continue an interrupted one, train the rest.
        force: throw away what the folder holds.
        progress: show a bar; never on a cluster.
        cluster: where the folds are trained; "" for one after the other in this process, else as
            `hitlens.workflow.pool.open_pool`.
        workers: as there; each trains a fold at a time.

    Returns:
        Path of the page.

    Raises:
        RunError: the folder holds something else or a cross-validation, there is nothing to resume, Ctrl-C
            ended a training, or the cluster failed.
        ConfigError: no files were given, lists of them deal the events out, it is to be resumed with other
            settings, or as `hitlens.workflow.pool.open_pool`.
        LeakageError: an exact image or event key is there twice, so that it could be on both sides.
    """
    folder = Path(folder)
    if config.run.split.files:
        raise ConfigError(
            "split: lists of files deal the events out; a cross-validation holds out parts of all of them. "
            "Give fractions there, and the files as data.files."
        )
    if not config.run.data.files:
        raise ConfigError(
            "The recipe names no files. Give them with --data FILE, or as data.files in the recipe."
        )
    with owned(folder, is_folder=True):
        _check_folder(config, folder, resume=resume, force=force)
        _check_copies(config)
        _open_folder(config, folder, resume=resume)
        folds = [
            _Fold(config, repeat, fold, path.absolute(), progress and not cluster)
            for repeat, fold, path in config.folders(folder)
        ]
        with open_pool(cluster, workers=workers, shared=folder) as pool:
            for _ in pool.run(train_fold, folds):
                pass
        return compare_folds(folder)


def compare_folds(folder: Path) -> Path:
    """Write predictions.parquet, cv.json and cv.html of a cross-validation whose folds are all trained.

    Args:
        folder: of the cross-validation.

    Returns:
        Path of the page.

    Raises:
        RunError: it is no cross-validation, or a fold is not finished.
        DataError: the event files are not those of the folds.
    """
    config = read_cv_config(folder)
    records = _records(config, folder)
    first_fold = next(iter(records))
    files = locate_run_files(first_fold, read_run_config(first_fold))
    # Of a detector described in YAML the folds keep a copy.
    detector = get_detector(read_run_config(first_fold).detector)
    events = read_data(config.run.data, detector, files)
    folds, repeats, beside = [], [], []
    for repeat in range(config.repeats):
        mine = [path for number, _, path in config.folders(folder) if number == repeat]
        held_out = [read_run_predictions(path) for path in mine]
        others = [
            _baselines(path, one, events, detector, records[path])
            for path, one in zip(mine, held_out, strict=True)
        ]
        folds.append([one.split("test") for one in held_out])
        joined, order = _join_folds(folds[-1], repeat, events, detector)
        repeats.append(joined)
        beside.append(_join_baselines(others, [len(one) for one in folds[-1]], order))
    heads, first = evaluate_folds(folds, repeats, beside, detector, config.run.evaluate)
    together = repeats[0].with_table(pl.concat([one.table for one in repeats]))
    write_predictions(together, folder / runs.PREDICTIONS)
    first = replace(first, data=_facts(records))
    found = _result(config, folder, records, heads=heads, first=first)
    write_cross_validation(found, folder / RESULTS)
    return write_whole(folder / PAGE, render_cross_validation(found, detector))


def write_cv_page(folder: Path) -> Path:
    """Write cv.html of a cross-validation again, from cv.json; return its path.

    Raises:
        RunError: a fold was trained again since.
        NotFoundError: the cross-validation is not over.
    """
    read_cv_config(folder)
    found = read_cross_validation(folder / RESULTS)
    check_models(folder, found.made_from, (RESULTS, PAGE), "hitlens crossvalidate --resume")
    first_fold = next(iter(found.made_from), "repeat1/fold1")
    detector = get_detector(read_run_config(folder / first_fold).detector)
    return write_whole(folder / PAGE, render_cross_validation(found, detector))


def read_cv_config(folder: Path) -> CrossValidationConfig:
    """Return the settings of a cross-validation.

    Raises:
        RunError: the folder holds none.
        ConfigError: its settings are damaged.
    """
    path = folder / SETTINGS
    if not path.is_file():
        raise RunError(f"{folder} is not a cross-validation of hitlens: it has no {SETTINGS}.")
    content = read_yaml(path.read_text(encoding="utf-8"), str(path))
    try:
        return CrossValidationConfig(**content)
    except ValidationError as error:
        raise explain(error, CrossValidationConfig, str(path)) from None


def _check_folder(config: CrossValidationConfig, folder: Path, *, resume: bool, force: bool) -> None:
    """Refuse a folder that must not be touched; nothing is changed."""
    check_folder(folder, "cross-validation", SETTINGS, resume=resume, force=force)
    if resume and read_cv_config(folder) != config:
        raise ConfigError(
            f"The cross-validation in {folder} began with other settings (see {SETTINGS} there). Resume it "
            "with those, or start a new one."
        )


def _check_copies(config: CrossValidationConfig) -> None:
    """Refuse events that are there twice before the first training, not when their fold comes."""
    run = config.run
    detector = get_detector(run.detector)
    events = read_data(run.data, run.detector)
    if not duplicate_groups(events, detector.key):
        return
    for repeat in range(config.repeats):
        for fold in range(config.folds):
            split_run(config.fold_config(repeat, fold), events)


def _open_folder(config: CrossValidationConfig, folder: Path, *, resume: bool) -> None:
    if resume:
        return
    clear_folder(folder)
    with written_whole(folder / SETTINGS) as partial:
        partial.write_text(dump_config(config), encoding="utf-8")


@dataclass(frozen=True)
class _Fold:
    """One training; its text says which."""

    config: CrossValidationConfig
    repeat: int
    fold: int
    folder: Path
    progress: bool

    def __str__(self) -> str:
        return f"repeat {self.repeat + 1}, fold {self.fold + 1} of the cross-validation"


def train_fold(fold: _Fold) -> None:
    """Train the model of one fold, or go on with it; a finished one stays.

    Raises:
        RunError: Ctrl-C ended it.
    """
    begun = (fold.folder / runs.PROVENANCE).is_file()
    if not runs.is_finished(fold.folder):
        log.info("%s", fold)
        config = fold.config.fold_config(fold.repeat, fold.fold)
        if train(config, fold.folder, resume=begun, progress=fold.progress).interrupted:
            raise RunError(
                f"The cross-validation was interrupted in repeat {fold.repeat + 1}, fold {fold.fold + 1}. "
                "--resume continues it there."
            )
    # A finished training is not resumed, and checkpoints of many models are much.
    remove(fold.folder / "checkpoints")


def _records(config: CrossValidationConfig, folder: Path) -> dict[Path, dict[str, Any]]:
    records = {path: runs.read_provenance(path) for _, _, path in config.folders(folder)}
    for path, record in records.items():
        if record.get("status") != "finished":
            raise RunError(f"{path.relative_to(folder)} of {folder} is not finished. Continue with --resume.")
    checksums = next(iter(records.values()))["data"]["sha256"]
    if any(record["data"]["sha256"] != checksums for record in records.values()):
        raise DataError(
            f"The folds of {folder} were trained on different event files. Start over with --force."
        )
    return records


def _join_folds(
    folds: Sequence[Predictions], repeat: int, events: EventSource, detector: Detector
) -> tuple[Predictions, NDArray[np.int64]]:
    """Return the held-out predictions of one repeat in the order of the events, and that order."""
    if any(one.heads != folds[0].heads for one in folds):
        raise DataError(
            "Some fold has no training event of a class that others have, so their models answer different "
            "questions. Ask for fewer folds, or take more events."
        )
    tables = []
    for number, one in enumerate(folds):
        table = one.table.with_columns(
            repeat=pl.lit(repeat + 1, dtype=pl.Int64), fold=pl.lit(number + 1, dtype=pl.Int64)
        )
        tables.append(table)
    table = pl.concat(tables, how="diagonal_relaxed")
    position = match_events(table, events, detector.key)
    if len(np.unique(position)) < len(position):
        raise DataError("An event is held out in two folds. Start over with --force.")
    order = np.argsort(position)
    return folds[0].with_table(table[order]), order


def _baselines(
    folder: Path,
    predictions: Predictions,
    events: EventSource,
    detector: Detector,
    record: dict[str, Any],
) -> list[BaselineColumns]:
    """Return what other methods say of the held-out events, taught with all events that were not held out."""
    run = read_run_config(folder)
    rows = training_rows(predictions, events, detector, run, record)
    if rows is None:
        raise DataError(f"The training events of {folder} are not in the event files. Give the same files.")
    chosen = match_events(predictions.split("validation").table, events, detector.key)
    config = run.evaluate.model_copy(update={"split": "test"})
    return run_baselines(predictions, events, detector, config, np.sort(np.concatenate([rows, chosen])), run)


def _join_baselines(
    folds: Sequence[Sequence[BaselineColumns]], sizes: Sequence[int], order: NDArray[np.int64]
) -> list[BaselineColumns]:
    """Join the columns of each method over the folds of one repeat, in the order of the joined table."""
    names = dict.fromkeys(one.name for fold in folds for one in fold)
    return [_join_method(name, folds, sizes, order) for name in names]


def _join_method(
    name: str,
    folds: Sequence[Sequence[BaselineColumns]],
    sizes: Sequence[int],
    order: NDArray[np.int64],
) -> BaselineColumns:
    columns: dict[str, dict[str, NDArray[np.float64]]] = {}
    asked, seconds = np.zeros(sum(sizes), dtype=bool), 0.0
    starts = np.cumsum([0, *sizes])
    meaning = ""
    for start, fold in zip(starts, folds, strict=False):
        for one in fold:
            if one.name != name:
                continue
            meaning, seconds = one.meaning, seconds + (one.seconds or 0.0)
            asked[start + one.rows] = True
            for head, outputs in one.columns.items():
                for output, values in outputs.items():
                    empty = np.full((sum(sizes), *values.shape[1:]), np.nan)
                    columns.setdefault(head, {}).setdefault(output, empty)[start + one.rows] = values
    if name in LEARNERS:
        meaning = f"{LEARNERS[name].meaning}, fitted in each fold on all events that were not held out"
    rows = np.flatnonzero(asked[order])
    chosen = order[rows]
    picked = {
        head: {output: values[chosen] for output, values in outputs.items()}
        for head, outputs in columns.items()
    }
    return BaselineColumns(name, meaning, rows, picked, seconds)


def _facts(records: dict[Path, dict[str, Any]]) -> dict[str, str]:
    first = next(iter(records.values()))
    data = first["data"]
    facts = {"event files": ", ".join(map(str, data["files"]))} | copies_fact(first)
    return facts | {f"left out: {why}": f"{n:,}" for why, n in data.get("left_out", {}).items()}


def _result(
    config: CrossValidationConfig,
    folder: Path,
    records: dict[Path, dict[str, Any]],
    *,
    heads: Any,
    first: Any,
) -> CrossValidation:
    some = next(iter(records.values()))
    machine = some["machine"]

    def sizes(split: str) -> tuple[tuple[int, ...], ...]:
        counts = [record["split"][f"n_{split}"] for record in records.values()]
        return tuple(
            tuple(counts[repeat * config.folds : (repeat + 1) * config.folds])
            for repeat in range(config.repeats)
        )

    return CrossValidation(
        title=config.run.title or f"{config.run.detector}: {config.run.task}",
        detector=config.run.detector,
        task=config.run.task,
        n_folds=config.folds,
        n_repeats=config.repeats,
        n_events=first.n_events,
        n_train=sizes("train"),
        n_validation=sizes("validation"),
        n_held_out=sizes("test"),
        heads=heads,
        first=first,
        seconds=sum(record["seconds"] for record in records.values()),
        n_parameters=some["n_parameters"],
        machine={
            "processor": f"{machine['processor']}, {machine['n_cores']} cores",
            "precision": ", ".join(dict.fromkeys(str(one["precision"]) for one in records.values())),
            "versions": ", ".join(f"{name} {number}" for name, number in machine["versions"].items()),
        },
        settings=dump_config(config),
        made_from=models_of(folder, [path.relative_to(folder).as_posix() for path in records]),
    )
