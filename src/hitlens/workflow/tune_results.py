"""What a search found, from its folder: the trials, the finalists, the chosen one, their page."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hitlens.config import TuneConfig, dump_config, load_config
from hitlens.detectors import get_detector
from hitlens.errors import ConfigError, RunError
from hitlens.io.records import read_record
from hitlens.report.render import write_whole
from hitlens.report.tune_page import render_tuning
from hitlens.train.scores import monitored
from hitlens.tune.results import (
    Finalist,
    Objective,
    ObjectiveName,
    TrialResult,
    TuneResults,
    read_tuning,
    write_tuning,
)
from hitlens.tune.selection import candidates, judge_finalists, not_beaten, say_why
from hitlens.workflow import runs
from hitlens.workflow.origins import check_models, models_of
from hitlens.workflow.trials import TRIALS, read_trial, record_of
from hitlens.workflow.variants import as_text, machine_facts

SETTINGS, RESULTS, PAGE, TABLE = "tune.yaml", "tune.json", "tune.html", "trials.csv"

#: How a search began: name in its storage, versions, checksums of the events.
BEGUN = "begun.json"

#: Trials as the sampler knows them, where no SQL database keeps them.
JOURNAL = "trials.journal"

#: Run folder of the longer training.
BEST = "best"


def read_tune_config(folder: Path) -> TuneConfig:
    """Return the settings of a search; a detector described in YAML is that of the copy the search keeps.

    Raises:
        RunError: the folder holds no search.
        FileFormatError: its record is damaged.
        ConfigError: this version cannot read its settings.
    """
    path = folder / SETTINGS
    if not path.is_file():
        raise RunError(f"{folder} is not a search of hitlens: it has no {SETTINGS}.")
    try:
        config = load_config(path)
    except ConfigError as error:
        raise ConfigError(f"{error} The search began with hitlens {read_begun(folder)['hitlens']}.") from None
    if not isinstance(config, TuneConfig):
        raise RunError(f"{path} does not describe a search.")
    kept = folder / runs.DETECTOR
    if not kept.is_file():
        return config
    return config.model_copy(update={"base": config.base.model_copy(update={"detector": str(kept)})})


def read_begun(folder: Path) -> dict[str, Any]:
    """Return how a search began.

    Raises:
        RunError: the folder holds no search.
    """
    if not (folder / BEGUN).is_file():
        raise RunError(f"{folder} is not a search of hitlens: it has no {BEGUN}.")
    return read_record(folder / BEGUN, "Start the search over with --force, or choose another folder.")


def objectives_of(config: TuneConfig) -> tuple[Objective, ...]:
    """Return what the trials of a search are judged by."""
    detector = get_detector(config.base.detector)
    monitor, mode = monitored(detector.heads(detector.task(config.base.task)), config.base.train.monitor)
    label = monitor.replace("val_", "validation ").replace("_", " ")
    known: dict[ObjectiveName, Objective] = {
        "score": Objective("score", label, "", mode == "max"),
        "stability": Objective("stability", f"spread of the {label} over the last epochs", "", False),
        "latency": Objective("latency", "time to predict an event", "µs", False),
        "parameters": Objective("parameters", "parameters", "", False),
    }
    return tuple(known[name] for name in config.search.objectives)


def repeat_name(number: int, seed: int) -> str:
    """Return the name of a repeat of a trial.

    Examples:
        >>> repeat_name(7, 2)
        '007-seed2'
    """
    return f"{number:03d}-seed{seed}"


def search_trials(folder: Path) -> list[TrialResult]:
    """Return the trials of a search that have ended, in order."""
    paths = [path for path in (folder / TRIALS).glob("*.json") if path.stem.isdecimal()]
    return sorted(map(read_trial, paths), key=lambda one: one.number)


def finalists_of(
    config: TuneConfig, folder: Path
) -> tuple[tuple[Finalist, ...], dict[int, tuple[TrialResult, ...]]]:
    """Return the finalists, the chosen one first, and all trainings of each by number of its trial.

    Raises:
        NotFoundError: a repeat has not ended.
    """
    trials, objectives, seeds = search_trials(folder), objectives_of(config), config.finalists.seeds
    number = len(trials)
    repeats: dict[int, tuple[TrialResult, ...]] = {}
    for trial in candidates(trials, objectives, config.finalists.count):
        again = [read_trial(record_of(folder, repeat_name(trial.number, seed))) for seed in seeds]
        numbered = [replace(one, number=number + place) for place, one in enumerate(again)]
        number += len(again)
        repeats[trial.number] = (trial, *numbered)
    return judge_finalists(repeats, objectives[0]), repeats


def chosen_trial(config: TuneConfig, folder: Path) -> TrialResult:
    """Return the trial of the search whose settings are chosen: the best finalist, or the best trial."""
    finalists, _ = finalists_of(config, folder)
    trials = search_trials(folder)
    if finalists:
        return next(one for one in trials if one.number == finalists[0].trial)
    return candidates(trials, objectives_of(config), 1)[0]


def write_search(folder: Path, importances: Mapping[str, Mapping[str, float]]) -> Path:
    """Write tune.json, tune.html and trials.csv of a search that is over.

    Args:
        folder: of the search.
        importances: by objective, how much each setting matters, by path.

    Returns:
        Path of the page.

    Raises:
        RunError: it is no search.
        NotFoundError: it is not over.
    """
    config = read_tune_config(folder)
    found = replace(collect(config, folder), importances=importances)
    write_tuning(found, folder / RESULTS)
    write_whole(folder / TABLE, trials_table(found))
    return write_tune_page(folder)


def write_tune_page(folder: Path) -> Path:
    """Write tune.html of a search again, from tune.json; return its path.

    Raises:
        RunError: a trial was trained again since.
        NotFoundError: the search is not over.
    """
    detector = get_detector(read_tune_config(folder).base.detector)
    found = read_tuning(folder / RESULTS)
    check_models(folder, found.made_from, (RESULTS, PAGE, TABLE), "hitlens tune --resume")
    return write_whole(folder / PAGE, render_tuning(found, detector))


def collect(config: TuneConfig, folder: Path) -> TuneResults:
    """Return what a search found; nothing is said of which setting matters.

    Args:
        config: its settings.
        folder: of the search.

    Raises:
        NotFoundError: a training has not ended.
    """
    trials, objectives = search_trials(folder), objectives_of(config)
    finalists, repeats = finalists_of(config, folder)
    chosen = chosen_trial(config, folder)
    everything = [*trials, *(one for some in repeats.values() for one in some[1:])]
    longer = None
    if config.longer.epochs:
        longer = len(everything)
        everything.append(replace(read_trial(record_of(folder, BEST)), number=longer))
    begun = read_begun(folder)
    detector = get_detector(config.base.detector)
    heads = detector.heads(detector.task(config.base.task))
    monitor, mode = monitored(heads, config.base.train.monitor)
    records = [runs.read_provenance(folder / one.folder) for one in everything if one.run]
    return TuneResults(
        title=config.title,
        question=config.question,
        detector=detector.name,
        task=config.base.task,
        monitor=monitor,
        higher_is_better=mode == "max",
        method=config.search.method,
        pruner=config.search.pruner,
        parameters=config.parameters(),
        objectives=objectives,
        trials=tuple(everything),
        best=not_beaten(trials, objectives),
        importances={},
        finalists=finalists,
        chosen=chosen.number,
        longer=longer,
        reason=_reason(config, chosen, finalists, objectives),
        n_events_by_split={name: begun["split"][f"n_{name}"] for name in ("train", "validation", "test")},
        split_hash=begun["split"]["hash"],
        level=config.base.evaluate.level,
        n_bootstrap=config.base.evaluate.n_bootstrap,
        machine=machine_facts(records),
        settings=dump_config(config.base),
        seconds=round(sum(one.run.seconds for one in everything if one.run), 1),
        made_from=models_of(folder, [one.folder for one in everything if one.run]),
    )


def _reason(
    config: TuneConfig,
    chosen: TrialResult,
    finalists: Sequence[Finalist],
    objectives: Sequence[Objective],
) -> str:
    if finalists:
        return say_why(finalists, objectives[0], 1 + len(config.finalists.seeds))
    first = objectives[0]
    value = f"{chosen.objectives[first.name]:.5g}{f' {first.unit}' if first.unit else ''}"
    among = "" if len(objectives) == 1 else " of those no other trial beats in everything"
    return f"Trial {chosen.number} has the best {first.label}{among}, {value}, with one seed."


def trials_table(found: TuneResults) -> str:
    """Return a CSV with a row for each training.

    Args:
        found: what the search found.
    """
    file = io.StringIO()
    rows = [_row(trial, found) for trial in found.trials]
    writer = csv.DictWriter(file, fieldnames=list(dict.fromkeys(key for row in rows for key in row)))
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _row(trial: TrialResult, found: TuneResults) -> dict[str, Any]:
    row: dict[str, Any] = {"trial": trial.number, "stage": trial.stage, "state": trial.state}
    row |= {one.path: as_text(trial.values[one.path]) for one in found.parameters}
    row |= {"seed": trial.seed}
    row |= {one.name: trial.objectives.get(one.name, "") for one in found.objectives}
    if trial.run is not None:
        for head in trial.run.heads:
            before = f"{head.task}." if len(trial.run.heads) > 1 else ""
            for metric in head.metrics:
                name = f"{before}{metric.name}{f'.{metric.column}' if metric.column else ''}"
                row[name] = "" if metric.interval is None else metric.interval.value
        last = trial.run.stability
        row |= {"worst_of_last_epochs": last.worst, "epochs": len(trial.run.history["epoch"])}
        row |= {"parameters": trial.run.n_parameters, "seconds": trial.run.seconds}
    return row | {"resumed": trial.n_resumed, "folder": trial.folder, "error": trial.error}
