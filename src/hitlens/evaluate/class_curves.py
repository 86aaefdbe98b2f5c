"""What is drawn of a classification: ROC, scans of the cut, calibration, distributions of the score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitlens import metrics
from hitlens.detector import Task
from hitlens.errors import DataError
from hitlens.evaluate.results import BestCut, Curve, Histogram
from hitlens.evaluate.slices import Binned

#: Points kept of a curve: more than a figure can show.
N_POINTS = 300
#: Cuts of a scan, from 0 to 1, and bins of a calibration curve.
N_CUTS, N_CALIBRATION = 201, 10
#: Events for each of them, on average; few events have fewer. And bins of a score: of many events, of few.
_PER_BIN, _N_SCORES, _N_SCORES_FEW, _FEW = 20, 50, 20, 1000
#: Quantities by whose kinds of events a score is shown, at most.
N_KINDS = 2

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


def roc_curve(name: str, y_true: Int64, scores: Float64) -> Curve:
    """Return signal efficiency against background efficiency, thinned to what a figure can show.

    Args:
        name: of the curve.
        y_true: 1 for signal, shape (event,).
        scores: of the signal class, shape (event,).
    """
    roc = metrics.roc_curve(y_true, scores)
    x, y = roc.background_efficiency, roc.signal_efficiency
    wanted = np.concatenate(
        [
            np.searchsorted(x, np.geomspace(1e-6, 1, N_POINTS // 2)),
            np.searchsorted(y, np.linspace(0, 1, N_POINTS // 2)),
            [0, len(x) - 1],
        ]
    )
    keep = np.unique(np.clip(wanted, 0, len(x) - 1))
    return Curve(name, {"background_efficiency": numbers(x[keep]), "signal_efficiency": numbers(y[keep])})


def cut_curve(y_true: Int64, scores: Float64, level: float) -> Curve:
    """Return efficiency, purity, rejection and figure of merit against the cut, curve "cuts".

    Efficiency and purity come with binomial bounds, ``<name>_low`` and ``<name>_high``. Cuts that nothing
    passes are left out.

    Args:
        y_true: 1 for signal, shape (event,).
        scores: of the signal class, shape (event,).
        level: coverage of the bounds.
    """
    scan = metrics.scan_cuts(y_true, scores, np.linspace(0, 1, N_CUTS))
    some = scan.n_signal + scan.n_background > 0
    columns = {
        "cut": scan.thresholds,
        "signal_efficiency": scan.signal_efficiency,
        "purity": scan.purity,
        "background_rejection": scan.background_rejection,
        "figure_of_merit": scan.figure_of_merit,
    }
    passed = scan.n_signal + scan.n_background
    for name, n_good, n_all in (
        ("signal_efficiency", scan.n_signal, np.full_like(passed, scan.total_signal)),
        ("purity", scan.n_signal, passed),
    ):
        bounds = np.array([_bounds(n, total, level) for n, total in zip(n_good, n_all, strict=True)])
        columns |= {f"{name}_low": bounds[:, 0], f"{name}_high": bounds[:, 1]}
    return Curve("cuts", {name: numbers(values[some]) for name, values in columns.items()})


def _bounds(n_passed: float, n_total: float, level: float) -> tuple[float, float]:
    found = metrics.binomial(int(n_passed), int(n_total), level=level)
    return found.low, found.high


def calibration_curves(head: Task, y_true: Int64, scores: Float64, level: float) -> tuple[Curve, ...]:
    """Return the observed fraction of a class against its score, one curve "calibration <class>" a class.

    Of a binary task only the signal has one; classes without events have none. Columns: mean_probability,
    signal_fraction with its bounds low and high, and n_events; empty bins are left out.

    Args:
        head: a classification.
        y_true: class index, shape (event,).
        scores: of the signal class, shape (event,), or of each class, shape (event, class).
        level: coverage of the bounds.
    """
    columns = scores.reshape(len(scores), -1)
    names = head.class_names[1:] if head.kind == "binary" else head.class_names
    n_bins = int(np.clip(len(scores) // _PER_BIN, 3, N_CALIBRATION))
    found = []
    for number, name in enumerate(names):
        index = number + 1 if head.kind == "binary" else number
        if not (y_true == index).any():
            continue
        probability = np.clip(columns[:, number], 0, 1)
        curve = metrics.reliability_curve(
            (y_true == index).astype(np.int64), probability, n_bins=n_bins, level=level
        )
        some = curve.counts > 0
        fractions = [one for one, keep in zip(curve.signal_fraction, some, strict=True) if keep]
        data = {
            "mean_probability": numbers(curve.mean_probability[some]),
            "signal_fraction": numbers(np.array([one.value for one in fractions])),
            "low": numbers(np.array([one.low for one in fractions])),
            "high": numbers(np.array([one.high for one in fractions])),
            "n_events": numbers(curve.counts[some]),
        }
        found.append(Curve(f"calibration {name}", data))
    return tuple(found)


def choose_cut(
    validation: tuple[Int64, Float64], y_true: Int64, scores: Float64, level: float
) -> BestCut | None:
    """Return the cut of highest s / sqrt(s + b) on validation events, with its numbers on the evaluated ones.

    Args:
        validation: truth and scores of validation events.
        y_true: 1 for signal, of the evaluated events, shape (event,).
        scores: of the signal class, shape (event,).
        level: coverage of the intervals.

    Returns:
        None where one of the two samples has no signal or no background.
    """
    if any(len(set(truth.tolist())) < 2 for truth in (validation[0], y_true)):
        return None
    try:
        cut = metrics.best_cut(*validation)
    except DataError:
        return None
    found = metrics.apply_cut(y_true, scores, cut, level=level)
    if not np.isfinite(found.purity.value):
        return None
    return BestCut(
        cut=cut,
        n_validation=len(validation[0]),
        signal_efficiency=found.signal_efficiency,
        purity=found.purity,
        background_rejection=found.background_rejection,
        figure_of_merit=found.figure_of_merit,
    )


def score_histograms(
    head: Task, y_true: Int64, scores: Float64, kinds: Sequence[Binned] = ()
) -> tuple[Histogram, ...]:
    """Return how often each score is given: by true class, and of the signal score by kinds of events.

    Args:
        head: a classification.
        y_true: class index, shape (event,).
        scores: of the signal class, shape (event,), or of each class, shape (event, class).
        kinds: the same events in quantities whose bins have names.
    """
    names = head.class_names[1:] if head.kind == "binary" else head.class_names
    columns = np.clip(scores.reshape(len(y_true), -1), 0, 1)
    by_class = {name: y_true == k for k, name in enumerate(head.class_names) if (y_true == k).any()}
    found = [
        _histogram(f"score {name}", f"score of class {name}", columns[:, number], by_class)
        for number, name in enumerate(names)
    ]
    if head.kind == "binary":
        for one in kinds[:N_KINDS]:
            members = {label: one.bins == k for k, label in enumerate(one.variable.labels)}
            there = {label: which for label, which in members.items() if which.any()}
            if there:
                label = f"score of class {names[0]}"
                found.append(_histogram(f"score by {one.variable.name}", label, columns[:, 0], there))
    return tuple(found)


def _histogram(name: str, label: str, scores: Float64, members: Mapping[str, NDArray[np.bool_]]) -> Histogram:
    n_bins = _N_SCORES if len(scores) >= _FEW else _N_SCORES_FEW
    edges = np.linspace(0, 1, n_bins + 1)
    counts = {key: tuple(np.histogram(scores[which], edges)[0].tolist()) for key, which in members.items()}
    return Histogram(name=name, label=label, edges=numbers(edges), counts=counts)


def numbers(values: NDArray[Any]) -> tuple[float, ...]:
    """Return values as numbers for a file, to nine digits after the point.

    Examples:
        >>> numbers(np.array([1 / 3]))
        (0.333333333,)
    """
    return tuple(round(float(value), 9) for value in values)
