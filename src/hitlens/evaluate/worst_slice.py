"""The kind of events on which a model does worst: searched on one half, measured on the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitlens import metrics
from hitlens.evaluate.compare import Measure, measure
from hitlens.evaluate.config import EvaluateConfig
from hitlens.evaluate.findings import WorstSlice
from hitlens.evaluate.metadata import Metadata
from hitlens.metrics.checking import divide
from hitlens.metrics.interval import Interval

#: A slice holds at least so many events of each half, and at least this share of them.
_N_SLICE, _SHARE = 50, 0.01

#: Events of a class from which it counts in a slice.
_N_CLASS = 10

#: Slices given of each figure, and the overlap (intersection over union) from which two are one.
_N_GIVEN, _OVERLAP = 3, 0.5


@dataclass(frozen=True, eq=False)
class Quality:
    """What a slice is judged by.

    Attributes:
        name: of the metric.
        column: as in `MetricResult`.
        unit: its unit.
        lower_is_better: of the metric.
        quick: positions of events -> value, its standard error and the classes it is a mean over; None where
            there are too few events.
        interval: positions of events, those classes -> the metric with its interval.
        usual: those classes -> the metric over all events, by which a slice of hard classes is not bad.
    """

    name: str
    column: str
    unit: str
    lower_is_better: bool
    quick: Callable[[NDArray[np.int64]], tuple[float, float, tuple[int, ...]] | None]
    interval: Callable[[NDArray[np.int64], tuple[int, ...]], Interval | None]
    usual: Callable[[tuple[int, ...]], float]


def score_quality(
    y_true: NDArray[np.int64], scores: NDArray[np.float64], config: EvaluateConfig, rng: np.random.Generator
) -> Quality:
    """Return the AUC of signal against background, of slices with enough of both.

    It needs no cut, so it says something of a rare signal as well.

    Args:
        y_true: 1 for signal, shape (event,).
        scores: of signal, shape (event,).
        config: of the intervals.
        rng: source of their resamplings.
    """

    def quick(rows: NDArray[np.int64]) -> tuple[float, float, tuple[int, ...]] | None:
        n_signal = int(y_true[rows].sum())
        n_few = min(n_signal, len(rows) - n_signal)
        if n_few < _N_CLASS:
            return None
        value = float(metrics.auc(y_true[rows], scores[rows]))
        # Bamber's bound; half an event is added where nothing is wrong.
        return value, float(np.sqrt((value * (1 - value) + 0.5 / n_few) / n_few)), ()

    def interval(rows: NDArray[np.int64], classes: tuple[int, ...]) -> Interval | None:
        n_signal = int(y_true[rows].sum())
        few = min(n_signal, len(rows) - n_signal) < config.min_events
        return None if few else _interval(metrics.auc, y_true[rows], scores[rows], config, rng)

    return Quality("auc", "", "", False, quick, interval, lambda classes: 0.0)


def class_quality(
    y_true: NDArray[np.int64], called: NDArray[np.int64], config: EvaluateConfig, rng: np.random.Generator
) -> Quality:
    """Return the balanced accuracy over those classes of which a slice holds enough events, at least two.

    A slice of one class would only say which class is hard.

    Args:
        y_true: class of each event.
        called: class each event is given.
        config: of the intervals.
        rng: source of their resamplings.
    """
    right = (y_true == called).astype(np.float64)

    def quick(rows: NDArray[np.int64]) -> tuple[float, float, tuple[int, ...]] | None:
        counts = np.bincount(y_true[rows])
        classes = np.flatnonzero(counts >= _N_CLASS)
        if len(classes) < 2:
            return None
        n = counts[classes]
        share = np.bincount(y_true[rows], right[rows])[classes] / n
        # Add half an event to each side: a share of one is not known without error.
        spread = (share * n + 0.5) * (n - share * n + 0.5) / (n + 1) ** 2 / n
        return float(share.mean()), float(np.sqrt(spread.sum()) / len(classes)), tuple(map(int, classes))

    def interval(rows: NDArray[np.int64], classes: tuple[int, ...]) -> Interval | None:
        kept = rows[np.isin(y_true[rows], classes)]
        number = np.searchsorted(classes, y_true[kept])

        def balanced(y: Any, ok: Any, weights: Any = None) -> Any:
            w = np.ones(len(y)) if weights is None else weights
            member = np.eye(len(classes))[y]
            return np.asarray(divide((w * ok) @ member, w @ member)).mean(-1)

        return _interval(balanced, number, right[kept], config, rng)

    each = np.bincount(y_true, right) / np.maximum(np.bincount(y_true), 1)
    return Quality(
        "balanced_accuracy", "", "", False, quick, interval, lambda classes: float(each[[*classes]].mean())
    )


def error_quality(
    name: str,
    column: str,
    unit: str,
    errors: NDArray[np.float64],
    config: EvaluateConfig,
    rng: np.random.Generator,
) -> Quality:
    """Return half the width of the central 68 % of errors.

    Args:
        name: "resolution" or "relative_resolution".
        column: the quantity.
        unit: of the errors.
        errors: predicted minus true, relative to it or not, shape (event, component).
        config: of the intervals.
        rng: source of their resamplings.
    """

    def quick(rows: NDArray[np.int64]) -> tuple[float, float, tuple[int, ...]]:
        value = float(np.diff(np.quantile(errors[rows], (0.158655, 0.841345)))[0] / 2)
        # The standard error of this width of a normal distribution is its sigma over the root of n.
        return value, value / np.sqrt(len(rows)), ()

    def interval(rows: NDArray[np.int64], classes: tuple[int, ...]) -> Interval | None:
        return _interval(metrics.resolution, np.zeros_like(errors[rows]), errors[rows], config, rng)

    return Quality(name, column, unit, True, quick, interval, lambda classes: 0.0)


def worst_slices(
    quality: Quality,
    metadata: Sequence[Metadata],
    rows: NDArray[np.int64],
    class_names: tuple[str, ...],
    config: EvaluateConfig,
) -> tuple[WorstSlice, ...]:
    """Return the slices on which a model certainly does worse, the worst first; none where none is certain.

    A slice is of one condition or of two joined by AND.

    Half of the events, drawn at random, chooses: the slice with the worst metric less one standard error, or
    two for two conditions, of which there are many: small slices must not win by luck alone. The other half
    says how bad it is, and whether the difference to all other events excludes zero.

    Args:
        quality: the metric.
        metadata: quantities of all evaluated events, with their bins.
        rows: positions of the events the metric is about.
        class_names: names of the classes.
        config: settings.
    """
    half = np.zeros(len(rows), dtype=bool)
    half[np.random.default_rng([config.seed, 3]).permutation(len(rows))[: len(rows) // 2]] = True
    least = max(_N_SLICE, int(np.ceil(_SHARE * len(rows) / 2)))
    if len(rows) < 4 * least:
        return ()
    found: list[_Slice] = []
    for slice_ in _worst_first(quality, metadata, rows, half, least):
        if len(found) == _N_GIVEN:
            break
        if all(_overlap(slice_.inside & half, other.inside & half) < _OVERLAP for other in found):
            found.append(slice_)
    measured = [_measured(quality, one, half, class_names, least) for one in found]
    certain = [one for one in measured if one.is_certain]
    return tuple(sorted(certain, key=lambda one: -abs(one.difference.value if one.difference else 0.0)))


@dataclass(frozen=True, eq=False)
class _Slice:
    words: str
    sql: str
    inside: NDArray[np.bool_]
    found: tuple[float, float, tuple[int, ...]]


def _worst_first(
    quality: Quality,
    metadata: Sequence[Metadata],
    rows: NDArray[np.int64],
    half: NDArray[np.bool_],
    least: int,
) -> list[_Slice]:
    sign = 1.0 if quality.lower_is_better else -1.0
    judged: list[tuple[float, int, _Slice]] = []
    for n_conditions, words, sql, inside in _candidates(metadata, rows, half, least):
        chosen = np.flatnonzero(inside & half)
        found = quality.quick(chosen) if len(chosen) >= least else None
        if found is not None:
            bad = sign * (found[0] - quality.usual(found[2])) - n_conditions * found[1]
            judged.append((bad, len(judged), _Slice(words, sql, inside, found)))
    judged.sort(key=lambda one: (-one[0], one[1]))
    return [one[2] for one in judged]


def _candidates(
    metadata: Sequence[Metadata], rows: NDArray[np.int64], half: NDArray[np.bool_], least: int
) -> Iterator[tuple[int, str, str, NDArray[np.bool_]]]:
    """Yield the bins of each quantity, then two bins of different quantities, with the number of bins."""
    large = []
    for number, one in enumerate(metadata):
        for condition in one.conditions:
            holds = condition.holds[rows]
            n = int((holds & half).sum())
            if least <= n < half.sum():
                large.append((number, condition, holds))
    yield from ((1, condition.words, condition.sql, holds) for _, condition, holds in large)
    for (a, first, here), (b, second, there) in combinations(large, 2):
        if a != b:
            yield 2, f"{first.words}; {second.words}", f"{first.sql} AND {second.sql}", here & there


def _overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))


def _measured(
    quality: Quality, one: _Slice, half: NDArray[np.bool_], class_names: tuple[str, ...], least: int
) -> WorstSlice:
    value, _, classes = one.found
    inside, outside = np.flatnonzero(one.inside & ~half), np.flatnonzero(~one.inside & ~half)
    return WorstSlice(
        words=one.words,
        condition=one.sql,
        metric=quality.name,
        column=quality.column,
        unit=quality.unit,
        classes=tuple(class_names[k] for k in classes),
        found=round(value, 9),
        n_found=int((one.inside & half).sum()),
        n_events=len(inside),
        value=quality.interval(inside, classes) if len(inside) >= least // 2 else None,
        rest=quality.interval(outside, classes) if len(outside) else None,
    )


def _interval(
    function: Callable[..., Any],
    y_true: NDArray[Any],
    y_pred: NDArray[Any],
    config: EvaluateConfig,
    rng: np.random.Generator,
) -> Interval | None:
    [found] = measure(
        [Measure("", function)],
        y_true,
        y_pred,
        rng=rng,
        n_bootstrap=config.n_bootstrap_slices,
        level=config.level,
    )
    return found.interval
