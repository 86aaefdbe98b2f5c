"""Results of a cross-validation: every event predicted by models that never saw it, and their spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from hitlens.detector import Detector
from hitlens.errors import DataError, NotFoundError
from hitlens.evaluate.baselines import BaselineColumns
from hitlens.evaluate.config import EvaluateConfig
from hitlens.evaluate.documents import read_document, write_document
from hitlens.evaluate.evaluation import evaluate
from hitlens.evaluate.predictions import Predictions
from hitlens.evaluate.results import BaselineResult, MetricResult, Results, TaskResult
from hitlens.metrics.interval import Interval

#: Version of cv.json. 1: first.
FORMAT_VERSION = 1


@dataclass(frozen=True)
class FoldMetric:
    """One number in every fold of every repeat.

    Attributes:
        name: as in `MetricResult`; likewise `column` and `unit`.
        folds: by repeat, then fold, on the events held out there; None where it is not defined on them.
        repeats: by repeat, on all events.
    """

    name: str
    column: str
    unit: str
    folds: tuple[tuple[float | None, ...], ...]
    repeats: tuple[float | None, ...]

    @property
    def fold_spread(self) -> float | None:
        """Standard deviation over all folds: luck of the training, and of the few events held out."""
        return _deviation([value for repeat in self.folds for value in repeat])

    @property
    def repeat_spread(self) -> float | None:
        """Standard deviation over the repeats: luck of the training and of the deal, same events."""
        return _deviation(self.repeats)


@dataclass(frozen=True)
class CrossValidatedHead:
    """All of one head.

    Attributes:
        task: name of the head.
        kind: as in `hitlens.detector.Task`.
        meaning: what is predicted.
        n_events: events with a target, each predicted once a repeat.
        class_names: classification: by class index.
        class_counts: classification: events by class.
        metrics: mean over the repeats; bounds of the interval over events likewise.
        baselines: methods beside the model, on the same events, fitted in each fold like the model.
        by_fold: the same metrics fold by fold.
    """

    task: str
    kind: str
    meaning: str
    n_events: int
    class_names: tuple[str, ...]
    class_counts: tuple[int, ...]
    metrics: tuple[MetricResult, ...]
    baselines: tuple[BaselineResult, ...]
    by_fold: tuple[FoldMetric, ...]


@dataclass(frozen=True)
class CrossValidation:
    """All a cross-validation found.

    Attributes:
        title: heading.
        detector: name of the detector.
        task: name of the task.
        n_folds: parts the events are dealt into.
        n_repeats: how often they are dealt.
        n_events: events predicted.
        n_train: events a model learns from, by repeat and fold; likewise `n_validation` and `n_held_out`.
        heads: the numbers.
        first: everything of the first repeat, for figures.
        seconds: time of all trainings.
        n_parameters: of the network.
        machine: what computed it, by name.
        settings: all settings, as YAML.
        made_from: sha256 of each fold's model, by its folder; empty in older results.
    """

    title: str
    detector: str
    task: str
    n_folds: int
    n_repeats: int
    n_events: int
    n_train: tuple[tuple[int, ...], ...]
    n_validation: tuple[tuple[int, ...], ...]
    n_held_out: tuple[tuple[int, ...], ...]
    heads: tuple[CrossValidatedHead, ...]
    first: Results
    seconds: float
    n_parameters: int
    machine: Mapping[str, str]
    settings: str
    made_from: Mapping[str, str] = field(default_factory=dict)

    def head(self, name: str) -> CrossValidatedHead:
        """Return the results of one head.

        Raises:
            NotFoundError: there is none of that name.
        """
        for head in self.heads:
            if head.task == name:
                return head
        raise NotFoundError(f"No head '{name}'. There are: {', '.join(head.task for head in self.heads)}.")


def evaluate_folds(
    folds: Sequence[Sequence[Predictions]],
    repeats: Sequence[Predictions],
    baselines: Sequence[Sequence[BaselineColumns]],
    detector: Detector,
    config: EvaluateConfig,
) -> tuple[tuple[CrossValidatedHead, ...], Results]:
    """Return the numbers of every head, and the whole evaluation of the first repeat.

    Args:
        folds: by repeat, then fold, predictions of the events held out there.
        repeats: the same joined, one table of all events a repeat.
        baselines: what other methods say of the events of each repeat.
        detector: its description.
        config: settings; the split is the test split whatever it says.

    Raises:
        DataError: the repeats do not predict the same events.
    """
    config = config.model_copy(update={"split": "test"})
    key = list(detector.key)
    for one in repeats[1:]:
        if not one.table.select(key).equals(repeats[0].table.select(key)):
            raise DataError("The repeats do not predict the same events. Start over with --force.")
    whole = [
        evaluate(one, detector, config, baselines=beside)
        for one, beside in zip(repeats, baselines, strict=True)
    ]
    # Of a fold only the values are used, neither intervals nor slices.
    quick, plain = config.model_copy(update={"n_bootstrap": 20}), detector.model_copy(update={"slices": ()})
    parts = [[evaluate(one, plain, quick) for one in repeat] for repeat in folds]
    heads = []
    for number, head in enumerate(whole[0].tasks):
        mine = [one.tasks[number] for one in whole]
        by_fold = [[one.tasks[number] for one in repeat] for repeat in parts]
        heads.append(_joined(head, mine, by_fold))
    return tuple(heads), whole[0]


def _joined(
    head: TaskResult, repeats: Sequence[TaskResult], folds: Sequence[Sequence[TaskResult]]
) -> CrossValidatedHead:
    by_fold = [
        FoldMetric(
            metric.name,
            metric.column,
            metric.unit,
            tuple(tuple(_value(fold.metrics[number]) for fold in repeat) for repeat in folds),
            tuple(_value(repeat.metrics[number]) for repeat in repeats),
        )
        for number, metric in enumerate(head.metrics)
    ]
    return CrossValidatedHead(
        task=head.task,
        kind=head.kind,
        meaning=head.meaning,
        n_events=head.n_events,
        class_names=head.class_names,
        class_counts=head.class_counts,
        metrics=mean_metrics([one.metrics for one in repeats]),
        baselines=tuple(
            _mean_baseline([one.baseline(baseline.name) for one in repeats]) for baseline in head.baselines
        ),
        by_fold=tuple(by_fold),
    )


def mean_metrics(repeats: Sequence[Sequence[MetricResult]]) -> tuple[MetricResult, ...]:
    """Return metrics averaged over repeats: values, and the bounds of their intervals.

    The interval of one repeat covers the luck of the events, which all repeats share; it does not shrink
    with the number of repeats.

    Examples:
        >>> one = MetricResult("auc", Interval(0.8, 0.7, 0.9))
        >>> two = MetricResult("auc", Interval(0.6, 0.5, 0.7))
        >>> print(mean_metrics([[one], [two]])[0].interval)
        0.70 [0.60, 0.80]
    """
    found = []
    for metrics in zip(*repeats, strict=True):
        intervals = [metric.interval for metric in metrics if metric.interval is not None]
        mean = None
        if len(intervals) == len(metrics):
            value, low, high = np.mean([(one.value, one.low, one.high) for one in intervals], axis=0).tolist()
            mean = Interval(round(value, 12), round(low, 12), round(high, 12), intervals[0].level)
        reason = next((metric.reason for metric in metrics if metric.interval is None), "")
        found.append(replace(metrics[0], interval=mean, reason=reason))
    return tuple(found)


def _mean_baseline(repeats: Sequence[BaselineResult]) -> BaselineResult:
    return replace(
        repeats[0],
        n_events=min(one.n_events for one in repeats),
        n_failed=max(one.n_failed for one in repeats),
        metrics=mean_metrics([one.metrics for one in repeats]),
        model_metrics=mean_metrics([one.model_metrics for one in repeats]),
        differences=mean_metrics([one.differences for one in repeats]),
    )


def _value(metric: MetricResult) -> float | None:
    return None if metric.interval is None else metric.interval.value


def _deviation(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.std(known, ddof=1)) if len(known) > 1 else None


_ADAPTER: TypeAdapter[CrossValidation] = TypeAdapter(CrossValidation)


def write_cross_validation(found: CrossValidation, path: Path) -> Path:
    """Write cv.json, whole or not at all; return its path."""
    return write_document(found, _ADAPTER, FORMAT_VERSION, path)


def read_cross_validation(path: Path) -> CrossValidation:
    """Read what `write_cross_validation` wrote.

    Raises:
        NotFoundError: no such file.
        FileFormatError: the file is damaged or of another version.
    """
    made_by = "'hitlens crossvalidate'"
    return read_document(_ADAPTER, FORMAT_VERSION, path, what="a cross-validation", made_by=made_by)
