"""Results of a study: variants of one run on the same events, each beside the first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import TypeAdapter

from hitlens.detector import Detector, SliceVariable
from hitlens.errors import ConfigError, DataError, choose_from
from hitlens.evaluate.baselines import BaselineColumns
from hitlens.evaluate.classification import BASELINE_CUT
from hitlens.evaluate.config import EvaluateConfig
from hitlens.evaluate.documents import read_document, write_document
from hitlens.evaluate.evaluation import evaluate
from hitlens.evaluate.predictions import Predictions
from hitlens.evaluate.results import Histogram, MetricResult, Reading, SliceResult, TaskResult

#: Version of study.json. 1: first.
FORMAT_VERSION = 1

#: Share of the events above which one class makes accuracy a poor measure.
_MOST = 0.75

#: Epochs at the end of a training by which its stability is judged.
LAST_EPOCHS = 5


@dataclass(frozen=True)
class VariantHead:
    """What one variant reaches on one head.

    Attributes:
        task: name of the head.
        n_events: events evaluated.
        metrics: the variant's numbers.
        differences: variant minus first variant, both on the same resampled events; of the first, none.
        slices: its metrics against the quantities asked for.
        class_names: classification: by class index.
        class_counts: classification: true events by class.
    """

    task: str
    n_events: int
    metrics: tuple[MetricResult, ...]
    differences: tuple[MetricResult, ...] = ()
    slices: tuple[SliceResult, ...] = ()
    class_names: tuple[str, ...] = ()
    class_counts: tuple[int, ...] = ()


@dataclass(frozen=True)
class Stability:
    """How much the monitored score swings at the end of a training.

    Attributes:
        n_epochs: how many epochs at the end were looked at.
        worst: the worst of them: the lowest of a score to be high, the highest of one to be low.
        spread: highest minus lowest of them.
        below_best: how much worse than the best epoch of all `worst` is.
    """

    n_epochs: int
    worst: float
    spread: float
    below_best: float


@dataclass(frozen=True)
class VariantResult:
    """One variant of a study.

    Attributes:
        name: of its run.
        settings: those in which the variants differ, as text, by key.
        heads: its numbers on the split of the study.
        history: columns of history.csv, one value an epoch.
        best_epoch: counted from 0.
        stability: of its last epochs.
        seconds: time of the training, reading and predicting included.
        n_parameters: of the network.
        initial_weights: sha256 of the weights the training began with.
        inputs: what the network is given: scaled pixels of the training events, one histogram a view and
            channel, counts under the name of the channel's curve.
        n_train: events of the training split it was shown; 0 where that is not recorded.
    """

    name: str
    settings: Mapping[str, str]
    heads: tuple[VariantHead, ...]
    history: Mapping[str, tuple[float | None, ...]]
    best_epoch: int
    stability: Stability
    seconds: float
    n_parameters: int
    initial_weights: str
    inputs: tuple[Histogram, ...] = ()
    n_train: int = 0


@dataclass(frozen=True)
class StudyResults:
    """All a study found.

    Attributes:
        title: heading.
        question: what it asks, one sentence.
        detector: name of the detector.
        task: name of the task.
        monitor: score that chose each variant's epoch.
        higher_is_better: of that score.
        n_events_by_split: events of each split, the same for all variants.
        split_hash: of the events in each split.
        level: coverage of the intervals.
        n_bootstrap: resamplings behind each interval.
        constants: numbers of a constant answer, by head.
        variants: the first is the one the others are set beside.
        machine: what computed the first variant, by name.
        settings: all that the variants share, as YAML.
        split: events the variants are compared on.
        readings: every time a variant was evaluated on that split, by this study or alone.
        made_from: sha256 of each variant's model, by its folder; empty in older results.
    """

    title: str
    question: str
    detector: str
    task: str
    monitor: str
    higher_is_better: bool
    n_events_by_split: Mapping[str, int]
    split_hash: str
    level: float
    n_bootstrap: int
    constants: Mapping[str, tuple[MetricResult, ...]]
    variants: tuple[VariantResult, ...]
    machine: Mapping[str, str]
    settings: str
    split: str = "validation"
    readings: tuple[Reading, ...] = ()
    made_from: Mapping[str, str] = field(default_factory=dict)


def evaluate_variants(
    predictions: Mapping[str, Predictions],
    detector: Detector,
    config: EvaluateConfig,
    split: Literal["validation", "test"] = "validation",
    slices: Sequence[str] = (),
) -> dict[str, tuple[TaskResult, ...]]:
    """Evaluate variants on one split; all but the first have it as their only physics method.

    Args:
        predictions: of each variant, by its name; of the same events in the same order.
        detector: its description.
        config: settings; their split is not looked at.
        split: events to compare the variants on.
        slices: names of slice variables in which to compare them.

    Returns:
        Results of each head, by variant.

    Raises:
        DataError: the variants do not predict the same events.
        ConfigError: no such slice variable.
    """
    config = config.model_copy(update={"split": split, "metadata": False})
    chosen = detector.model_copy(update={"slices": chosen_slices(detector, slices)})
    first = next(iter(predictions.values()))
    baseline = _as_baseline(next(iter(predictions)), first.split(split), config.cut)
    found = {}
    for name, one in predictions.items():
        _check_alike(name, one, first, detector)
        beside = () if one is first else (baseline,)
        found[name] = evaluate(one, chosen, config, baselines=beside).tasks
    return found


def chosen_slices(detector: Detector, names: Sequence[str]) -> tuple[SliceVariable, ...]:
    """Return slice variables of a detector by name.

    Raises:
        ConfigError: there is none of a name.
    """
    known = {one.name: one for one in detector.slices}
    for name in names:
        if name not in known:
            raise ConfigError(
                f"Detector '{detector.name}' has no slice variable '{name}'. {choose_from(name, known)}"
            )
    return tuple(known[name] for name in names)


def variant_head(result: TaskResult) -> VariantHead:
    """Return what a study keeps of one head's results."""
    beside = [one for one in result.baselines if not one.trivial]
    return VariantHead(
        task=result.task,
        n_events=result.n_events,
        metrics=result.metrics,
        differences=beside[0].differences if beside else (),
        slices=tuple(one for one in result.slices if one.method == "model"),
        class_names=result.class_names,
        class_counts=result.class_counts,
    )


def stability(scores: Sequence[float], higher_is_better: bool) -> Stability:
    """Return how a score behaves in the last epochs of a training.

    Args:
        scores: one an epoch.
        higher_is_better: of that score.

    Raises:
        DataError: no epoch has a score.

    Examples:
        >>> stability([0.5, 0.99, 0.9, 0.98, 0.98, 0.97, 0.98], True)
        Stability(n_epochs=5, worst=0.9, spread=0.08, below_best=0.09)
    """
    known = [score for score in scores if math.isfinite(score)]
    if not known:
        raise DataError("A training without epochs has no stability. Train it again.")
    last = known[-LAST_EPOCHS:]
    worst, best = (min(last), max(known)) if higher_is_better else (max(last), min(known))
    return Stability(len(last), worst, round(max(last) - min(last), 9), round(abs(best - worst), 9))


def _as_baseline(name: str, chosen: Predictions, cut: float) -> BaselineColumns:
    columns: dict[str, dict[str, np.ndarray]] = {}
    for head in chosen.heads:
        outputs = chosen.output_columns(head)
        if head.is_classification:
            scores = chosen.table.select(outputs[:-1]).to_numpy().astype(np.float64)
            # Methods beside a model have a cut of their own; a variant has the model's.
            binary = head.kind == "binary"
            columns[head.name] = {head.name: scores[:, 0] - cut + BASELINE_CUT if binary else scores}
        else:
            values = (chosen.table[output].to_numpy() for output in outputs)
            columns[head.name] = dict(zip(head.target_columns, values, strict=True))
    return BaselineColumns(name, "the first variant", np.arange(len(chosen)), columns)


def _check_alike(name: str, one: Predictions, first: Predictions, detector: Detector) -> None:
    key = [*detector.key, "split"]
    if not one.table.select(key).equals(first.table.select(key)):
        raise DataError(
            f"Variant '{name}' does not predict the events of the first variant. Train the study again with "
            "--force, all variants on the same files."
        )


def primary_metrics(head: VariantHead) -> tuple[int, ...]:
    """Return the positions of the metrics by which variants are set side by side in sentences.

    Accuracy for classes, and where one class has most of the events also balanced accuracy and AUC, for then
    accuracy says little; for values the root mean squared error of the last quantity.
    """
    of_all = [metric.name if not metric.column else "" for metric in head.metrics]
    if "accuracy" in of_all:
        wanted = ["accuracy", "balanced_accuracy", "auc"] if is_uneven(head) else ["accuracy"]
        return tuple(of_all.index(name) for name in wanted if name in of_all)
    names = [metric.name for metric in head.metrics]
    return (len(names) - 1 - names[::-1].index("rmse"),)


def is_uneven(head: VariantHead) -> bool:
    """Return whether one class has so many of the events that calling all of them so is accurate.

    Examples:
        >>> is_uneven(VariantHead("nue", 100, (), class_counts=(95, 5)))
        True
    """
    return bool(head.class_counts) and max(head.class_counts) > _MOST * sum(head.class_counts)


_ADAPTER: TypeAdapter[StudyResults] = TypeAdapter(StudyResults)


def write_study(study: StudyResults, path: Path) -> Path:
    """Write study.json, whole or not at all; return its path."""
    return write_document(study, _ADAPTER, FORMAT_VERSION, path)


def read_study(path: Path) -> StudyResults:
    """Read what `write_study` wrote.

    Raises:
        NotFoundError: no such file.
        FileFormatError: the file is damaged or of another version.
    """
    return read_document(_ADAPTER, FORMAT_VERSION, path, what="a study", made_by="A finished study")
