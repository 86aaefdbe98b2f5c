"""What a search for settings found: every trial, the repeats over seeds, and the one that was chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from hitlens.evaluate.documents import read_document, write_document
from hitlens.evaluate.study import VariantResult

#: Version of tune.json. 1: first.
FORMAT_VERSION = 1

#: What a trial may be judged by.
ObjectiveName = Literal["score", "stability", "latency", "parameters"]

#: How a trial ended.
TrialState = Literal["finished", "pruned", "failed"]

#: What a training is for: the search itself, a repeat of one of the best, the longer training.
Stage = Literal["search", "seeds", "longer"]

#: A value of a setting that is searched.
Value = str | int | float | bool | None | tuple[str | int | float | bool, ...]


@dataclass(frozen=True)
class Parameter:
    """One setting that is searched.

    Attributes:
        path: of the setting, for example ``model.settings.dropout``.
        choices: the values there are, of a range with steps too; empty for a range without.
        low: smallest value of a range; likewise `high`.
        log: whether the range is searched on a logarithmic scale.
        whole: whether the range has whole numbers only.
        step: between the values of a range; None without one, and for choices.
    """

    path: str
    choices: tuple[Value, ...] = ()
    low: float | None = None
    high: float | None = None
    log: bool = False
    whole: bool = False
    step: float | None = None


@dataclass(frozen=True)
class Objective:
    """One thing the search makes better.

    Attributes:
        name: "score" the monitored score of the validation split, "stability" the spread of that score over
            the last epochs, "latency" the time to predict one event, "parameters" the weights of the network.
        label: what a table or an axis calls it.
        unit: "" for none.
        higher_is_better: which way is better.
    """

    name: ObjectiveName
    label: str
    unit: str
    higher_is_better: bool


@dataclass(frozen=True)
class TrialResult:
    """One training of a search.

    Attributes:
        number: of the trial, from 0, in the order they were begun.
        stage: "search", "seeds" for a repeat of one of the best with another seed, "longer" for the chosen
            settings trained longer.
        values: of the settings that are searched, by path.
        seed: of the training.
        state: "finished"; "pruned" where it was ended early because others were better; "failed".
        objectives: by name of the objective; empty where it failed.
        run: history, stability and numbers with intervals on the validation split; None where it failed.
        confusion: by head that classifies, events by true (row) and called (column) class.
        latency_us: time to predict one event, in microseconds; None where it was not measured.
        folder: of its run, relative to that of the search.
        error: why it failed.
        n_resumed: how often it went on after its process had died.
    """

    number: int
    stage: Stage
    values: Mapping[str, Value]
    seed: int
    state: TrialState
    objectives: Mapping[str, float]
    run: VariantResult | None
    confusion: Mapping[str, tuple[tuple[int, ...], ...]]
    latency_us: float | None
    folder: str
    error: str = ""
    n_resumed: int = 0


@dataclass(frozen=True)
class Finalist:
    """Settings that were trained with several seeds before one was chosen.

    Attributes:
        trial: number of the trial of the search.
        trials: numbers of all trainings with these settings, that of the search first.
        mean: of the first objective over the seeds.
        spread: standard deviation of it over the seeds.
        worst: the worst of the seeds.
    """

    trial: int
    trials: tuple[int, ...]
    mean: float
    spread: float
    worst: float


@dataclass(frozen=True)
class TuneResults:
    """All a search found. Nothing in it comes from the test split.

    Attributes:
        title: heading.
        question: what the search asks, one sentence; "" for none.
        detector: name of the detector.
        task: name of the task.
        monitor: score that chose each trial's epoch.
        higher_is_better: of that score.
        method: "grid", "random" or "tpe".
        pruner: name of the rule that ended trials early; "none" for none.
        parameters: the settings that were searched.
        objectives: what they were judged by, the first one first.
        trials: in order of their number.
        best: numbers of the trials of the search no other one beats in all objectives; with one objective,
            the best one.
        importances: by objective, the share of its variance each setting explains, by path; empty where too
            few trials finished.
        finalists: the best few over several seeds, the chosen one first; empty where none were repeated.
        chosen: number of the trial whose settings were chosen; None before one was.
        longer: number of the trial in which they were trained longer; None where they were not.
        reason: one sentence on how it was chosen.
        n_events_by_split: events of each split, the same for all trials; the test split was not read.
        split_hash: of the events in each split.
        level: coverage of the intervals.
        n_bootstrap: resamplings behind each interval.
        machine: what computed the first trial, by name.
        settings: all that the trials share, as YAML.
        seconds: of training, all trials together.
        made_from: sha256 of each trial's model, by its folder; empty in older results.
    """

    title: str
    question: str
    detector: str
    task: str
    monitor: str
    higher_is_better: bool
    method: str
    pruner: str
    parameters: tuple[Parameter, ...]
    objectives: tuple[Objective, ...]
    trials: tuple[TrialResult, ...]
    best: tuple[int, ...]
    importances: Mapping[str, Mapping[str, float]]
    finalists: tuple[Finalist, ...]
    chosen: int | None
    longer: int | None
    reason: str
    n_events_by_split: Mapping[str, int]
    split_hash: str
    level: float
    n_bootstrap: int
    machine: Mapping[str, str]
    settings: str
    seconds: float
    made_from: Mapping[str, str] = field(default_factory=dict)


_ADAPTER: TypeAdapter[TuneResults] = TypeAdapter(TuneResults)


def write_tuning(found: TuneResults, path: Path) -> Path:
    """Write tune.json, whole or not at all; return its path."""
    return write_document(found, _ADAPTER, FORMAT_VERSION, path)


def read_tuning(path: Path) -> TuneResults:
    """Read what `write_tuning` wrote.

    Raises:
        NotFoundError: no such file.
        FileFormatError: the file is damaged or of another version.
    """
    return read_document(_ADAPTER, FORMAT_VERSION, path, what="a search", made_by="A finished search")
