"""What is drawn of predicted values: residuals, truth against prediction, migration between bins."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitlens import metrics
from hitlens.evaluate.class_curves import numbers
from hitlens.evaluate.results import Histogram, Map

#: Bins of a histogram or an axis, and of an axis of a migration matrix.
N_BINS, N_MIGRATION = 60, 10

#: A truth above zero whose highest hundredth is this factor above its lowest tenth is binned logarithmically;
#: one that is uniform from zero is not.
WIDE = 20.0

Float64 = NDArray[np.float64]


def residual_histograms(name: str, unit: str, y_true: Float64, y_pred: Float64) -> tuple[Histogram, ...]:
    """Return predicted minus true, and where the truth spans decades the same over the truth.

    Both go to five times their resolution; what lies beyond is in the outermost bins.

    Args:
        name: the quantity.
        unit: its unit.
        y_true: shape (n,).
        y_pred: shape (n,).
    """
    label = f"predicted - true [{unit}]" if unit else "predicted - true"
    found = [_residual(f"residual {name}", label, y_pred - y_true)]
    if is_wide(y_true):
        relative = (y_pred - y_true) / y_true
        found.append(_residual(f"relative residual {name}", "(predicted - true) / true", relative))
    return tuple(found)


def _residual(name: str, label: str, residual: Float64) -> Histogram:
    half = 5 * metrics.resolution(np.zeros_like(residual), residual) if len(residual) else 1.0
    edges = np.linspace(-1, 1, N_BINS + 1) * (half or 1.0)
    counts = np.histogram(np.clip(residual, edges[0], edges[-1]), edges)[0]
    return Histogram(name=name, label=label, edges=numbers(edges), counts={"model": tuple(counts.tolist())})


def is_wide(y_true: Float64) -> bool:
    """Return whether values are all above zero and span decades, so that relative errors are what counts.

    Examples:
        >>> is_wide(np.geomspace(1, 100, 50)), is_wide(np.linspace(-1, 100, 50)), is_wide(np.zeros(0))
        (True, False, False)
    """
    if not len(y_true) or float(y_true.min()) <= 0:
        return False
    low, high = np.quantile(y_true, [0.1, 0.99])
    return bool(high > WIDE * low)


def truth_map(name: str, unit: str, y_true: Float64, y_pred: Float64) -> Map:
    """Return counts of predicted against true values, in bins of the truth's range.

    Args:
        name: the quantity.
        unit: its unit.
        y_true: shape (n,).
        y_pred: shape (n,).
    """
    low, high = (float(y_true.min()), float(y_true.max())) if len(y_true) else (0.0, 1.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    wide = is_wide(y_true)
    if wide:
        low = max(low, float(np.quantile(y_true, 0.002)))
    edges = np.geomspace(low, high, N_BINS + 1) if wide else np.linspace(low, high, N_BINS + 1)
    counts = np.histogram2d(y_true, y_pred, bins=(edges, edges))[0].astype(np.int64)
    return _map(name, unit, edges, counts, int(len(y_true) - counts.sum()))


def migration(name: str, unit: str, y_true: Float64, y_pred: Float64) -> Map:
    """Return events by bin of the truth, then of the prediction; what is outside is in the outermost bins.

    Args:
        name: the quantity.
        unit: its unit.
        y_true: shape (n,), at least one value.
        y_pred: shape (n,).

    Examples:
        >>> truth = np.linspace(0, 10, 101)
        >>> found = migration("e", "GeV", truth, truth)
        >>> sum(map(sum, found.counts)), found.counts[0][1]
        (101, 0)
    """
    edges = migration_edges(y_true)
    true, pred = (np.clip(values, edges[0], edges[-1]) for values in (y_true, y_pred))
    counts = np.histogram2d(true, pred, bins=(edges, edges))[0].astype(np.int64)
    return _map(name, unit, edges, counts, 0)


def migration_edges(y_true: Float64) -> Float64:
    """Return edges of two digits between the outer hundredths of the truth; logarithmic where it is wide."""
    low, high = (float(q) for q in np.quantile(y_true, [0.01, 0.99]))
    if not high > low:
        return np.array([low - 0.5, high + 0.5])
    if is_wide(y_true):
        edges = np.geomspace(low, high, N_MIGRATION + 1)
        digits = np.floor(np.log10(edges)) - 1
        rounded = np.round(edges / 10**digits) * 10**digits
    else:
        step = 10 ** np.floor(np.log10((high - low) / N_MIGRATION))
        rounded = np.round(np.linspace(low, high, N_MIGRATION + 1) / step) * step
    unique = np.unique(rounded)
    return unique if len(unique) > 2 else np.linspace(low, high, N_MIGRATION + 1)


def _map(name: str, unit: str, edges: Float64, counts: NDArray[Any], n_outside: int) -> Map:
    return Map(
        name=name,
        unit=unit,
        x_edges=numbers(edges),
        y_edges=numbers(edges),
        counts=tuple(tuple(int(n) for n in row) for row in counts),
        n_outside=n_outside,
    )
