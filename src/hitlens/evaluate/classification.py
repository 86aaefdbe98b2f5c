"""Results of a head that tells classes apart."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hitlens import metrics
from hitlens.detector import Task
from hitlens.errors import DataError
from hitlens.evaluate.baselines import TRIVIAL, BaselineColumns, class_shares
from hitlens.evaluate.class_curves import (
    calibration_curves,
    choose_cut,
    cut_curve,
    roc_curve,
    score_histograms,
)
from hitlens.evaluate.class_measures import called, class_measures
from hitlens.evaluate.compare import compare, measure
from hitlens.evaluate.context import Context
from hitlens.evaluate.results import BaselineResult, BestCut, Curve, SliceResult, TaskResult
from hitlens.evaluate.slices import slice_results
from hitlens.metrics.interval import Interval

#: Score from which a physics method calls an event signal.
BASELINE_CUT = 0.5


@dataclass(frozen=True, eq=False)
class ClassSample:
    """Events with a known class and a finite score.

    Attributes:
        rows: positions in the evaluated split, shape (n,).
        y_true: class of each, shape (n,).
        scores: of the signal class, shape (n,), or of each class, shape (n, class).
        n_excluded: events left out, by reason.
    """

    rows: NDArray[np.int64]
    y_true: NDArray[np.int64]
    scores: NDArray[np.float64]
    n_excluded: dict[str, int]


def evaluate_classification(head: Task, context: Context) -> TaskResult:
    """Return all results of a binary or multiclass head.

    Raises:
        DataError: the predictions hold no true classes.
    """
    sample = collect_classes(head, context)
    config = context.config
    cut = config.cut if head.kind == "binary" else None
    found = measure(
        class_measures(head, config.cut, config.min_events),
        sample.y_true,
        sample.scores,
        rng=context.rng,
        n_bootstrap=config.n_bootstrap,
        level=config.level,
    )
    methods = [_trivial(head, sample, context), *_physics(head, sample, context)]
    return TaskResult(
        task=head.name,
        kind=head.kind,
        meaning=head.meaning,
        n_events=len(sample.rows),
        n_excluded=sample.n_excluded,
        class_names=head.class_names,
        class_counts=_counts(sample.y_true, len(head.class_names)),
        cut=cut,
        metrics=found,
        confusion=_confusion(head, sample, config.cut),
        slices=_slices(head, sample, methods, context),
        baselines=tuple(_baseline_result(head, sample, one, context) for one in methods),
        curves=_curves(head, sample, methods, config.level),
        histograms=score_histograms(
            head,
            sample.y_true,
            sample.scores,
            [one.select(sample.rows) for one in context.binned if one.variable.labels],
        ),
        best_cut=_best_cut(head, sample, context),
    )


def collect_classes(head: Task, context: Context) -> ClassSample:
    """Return the events of a head whose class is known and whose score is finite.

    Args:
        head: a binary or multiclass task.
        context: the evaluated events.

    Raises:
        DataError: the predictions hold no true classes.
    """
    table = context.predictions.table
    if f"true_{head.name}" not in table.columns:
        raise DataError(
            f"These predictions hold no true classes (column 'true_{head.name}'), so there is nothing to "
            "evaluate. Predict on events whose truth is known."
        )
    index = {name: number for number, name in enumerate(head.class_names)}
    true = table[f"true_{head.name}"].replace_strict(index, default=-1, return_dtype=pl.Int64)
    y_true = true.fill_null(-1).to_numpy()
    outputs = context.predictions.output_columns(head)[:-1]
    scores = table.select(pl.col(outputs).cast(pl.Float64).fill_null(float("nan"))).to_numpy()
    finite = np.isfinite(scores).all(axis=1)
    rows = np.flatnonzero((y_true >= 0) & finite)
    excluded = {
        "true class unknown": int((y_true < 0).sum()),
        "score not finite": int(((y_true >= 0) & ~finite).sum()),
    }
    chosen = scores[rows] if head.kind == "multiclass" else scores[rows, 0]
    return ClassSample(rows, y_true[rows], chosen, {why: n for why, n in excluded.items() if n})


def _counts(y: NDArray[np.int64], n_classes: int) -> tuple[int, ...]:
    return tuple(int(n) for n in np.bincount(y, minlength=n_classes))


def _confusion(head: Task, sample: ClassSample, cut: float) -> tuple[tuple[int, ...], ...]:
    n = len(head.class_names)
    cells = np.bincount(n * sample.y_true + called(sample.scores, cut), minlength=n * n).reshape(n, n)
    return tuple(tuple(int(count) for count in row) for row in cells)


@dataclass(frozen=True, eq=False)
class _Method:
    """A baseline's scores for some of the sample; `among` are positions in the sample."""

    name: str
    meaning: str
    trivial: bool
    among: NDArray[np.int64]
    scores: NDArray[np.float64]
    n_failed: int = 0
    seconds_per_event: float | None = None


def _trivial(head: Task, sample: ClassSample, context: Context) -> _Method:
    shares = class_shares(context.training, head)
    n = len(sample.rows)
    scores = np.full(n, shares[1]) if head.kind == "binary" else np.tile(shares, (n, 1))
    named = ", ".join(f"{share:.3g} {name}" for name, share in zip(head.class_names, shares, strict=True))
    meaning = f"the class fractions of {context.training_source} for every event ({named})"
    return _Method(TRIVIAL, meaning, True, np.arange(n), scores)


def _physics(head: Task, sample: ClassSample, context: Context) -> list[_Method]:
    return [_method(head, sample, one) for one in context.baselines if head.name in one.columns]


def _method(head: Task, sample: ClassSample, baseline: BaselineColumns) -> _Method:
    scores = np.asarray(baseline.columns[head.name][head.name], dtype=np.float64)
    wanted = np.isin(baseline.rows, sample.rows)
    good = wanted & np.isfinite(scores.reshape(len(scores), -1)).all(axis=1)
    among = np.searchsorted(sample.rows, baseline.rows[good])
    n = len(baseline.rows)
    return _Method(
        baseline.name,
        baseline.meaning,
        False,
        among,
        scores[good],
        int((wanted & ~good).sum()),
        None if baseline.seconds is None or n == 0 else baseline.seconds / n,
    )


def _baseline_result(head: Task, sample: ClassSample, method: _Method, context: Context) -> BaselineResult:
    config = context.config
    # Both are compared at their own cut: shifting the scores puts the two cuts in one place.
    shift = 0.0 if method.trivial or head.kind != "binary" else config.cut - BASELINE_CUT
    compared = compare(
        class_measures(head, config.cut, config.min_events),
        sample.y_true[method.among],
        sample.scores[method.among],
        method.scores + shift,
        rng=context.rng,
        n_bootstrap=config.n_bootstrap,
        level=config.level,
    )
    return BaselineResult(
        name=method.name,
        meaning=method.meaning,
        trivial=method.trivial,
        n_events=len(method.among),
        n_failed=method.n_failed,
        metrics=compared.baseline,
        model_metrics=compared.model,
        differences=compared.differences,
        seconds_per_event=method.seconds_per_event,
    )


def _slices(
    head: Task, sample: ClassSample, methods: list[_Method], context: Context
) -> tuple[SliceResult, ...]:
    config = context.config
    found = _slices_of(head, ("model", "model"), sample, np.arange(len(sample.rows)), sample.scores, context)
    for method in methods:
        cut_shift = 0.0 if method.trivial else config.cut - BASELINE_CUT
        scores = method.scores + (cut_shift if head.kind == "binary" else 0.0)
        results = _slices_of(head, (method.name, method.name), sample, method.among, scores, context)
        # An answer that is always the same finds all of one class and none of the other.
        found += [one for one in results if not method.trivial or one.metric == "accuracy"]
    return tuple(found)


def _slices_of(
    head: Task,
    method: tuple[str, str],
    sample: ClassSample,
    among: NDArray[np.int64],
    scores: NDArray[np.float64],
    context: Context,
) -> list[SliceResult]:
    y_true = sample.y_true[among]
    right = called(scores, context.config.cut) == y_true
    groups: list[tuple[str, str, NDArray[np.bool_]]] = [("accuracy", "", np.ones(len(y_true), dtype=bool))]
    if head.kind == "binary":
        answer = called(scores, context.config.cut)
        groups += [("signal_efficiency", "", y_true == 1), ("purity", "", answer == 1)]
        groups += [("background_rejection", "", y_true == 0)]
    else:
        groups += [("efficiency", name, y_true == k) for k, name in enumerate(head.class_names)]

    def per_bin(rows: NDArray[np.int64]) -> list[tuple[int, Interval | None]]:
        cells = []
        for _, _, member in groups:
            inside = rows[member[rows]]
            n, n_right = len(inside), int(right[inside].sum())
            value = metrics.binomial(n_right, n, level=context.config.level) if n else None
            cells.append((n, value))
        return cells

    binned = tuple(one.select(sample.rows[among]) for one in context.binned)
    measured = tuple((name, column, "") for name, column, _ in groups)
    return slice_results(binned, method, measured, per_bin, min_events=context.config.min_events)


def _curves(head: Task, sample: ClassSample, methods: list[_Method], level: float) -> tuple[Curve, ...]:
    if len(set(sample.y_true.tolist())) < 2:
        return ()
    calibration = calibration_curves(head, sample.y_true, sample.scores, level)
    if head.kind != "binary":
        return calibration
    found = [roc_curve("roc model", sample.y_true, sample.scores)]
    for method in methods:
        y_true = sample.y_true[method.among]
        if not method.trivial and len(set(y_true.tolist())) == 2:
            found.append(roc_curve(f"roc {method.name}", y_true, method.scores))
    return (*found, cut_curve(sample.y_true, sample.scores, level), *calibration)


def _best_cut(head: Task, sample: ClassSample, context: Context) -> BestCut | None:
    if head.kind != "binary" or context.validation is None or not len(context.validation):
        return None
    chosen_on = collect_classes(head, replace(context, predictions=context.validation))
    level = context.config.level
    return choose_cut((chosen_on.y_true, chosen_on.scores), sample.y_true, sample.scores, level)
