"""The calorimetric baseline: how far the total charge alone gives a quantity."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hitlens.detector import Task


def fit_calorimetric(
    head: Task, features: pl.DataFrame, target: NDArray[np.float64], balanced: bool = False, seed: int = 1
) -> Callable[[pl.DataFrame], dict[str, NDArray[np.float64]]]:
    """Fit a monotone curve from ``seen_charge`` to each target column, and return the method.

    Isotonic least squares: the mean of the target against the charge, forced to rise (or, where charge and
    target are anticorrelated, to fall) and straight between the charges seen; flat beyond them.

    Args:
        head: a regression.
        features: with the column ``seen_charge``.
        target: shape (event, column).
        balanced: of no meaning here.
        seed: nothing is drawn.

    Returns:
        Summary numbers -> values by truth column.

    Examples:
        >>> task = Task(name="e", kind="regression", meaning="", columns=("e",), units=("GeV",))
        >>> charge = pl.DataFrame({"seen_charge": [1.0, 2.0, 3.0]})
        >>> method = fit_calorimetric(task, charge, np.array([[10.0], [30.0], [20.0]]))
        >>> method(pl.DataFrame({"seen_charge": [1.0, 1.5, 9.0]}))["e"]
        array([10. , 17.5, 25. ])
    """
    charge = _charge(features)
    curves = [_fit_curve(charge, column) for column in target.T]

    def values(numbers: pl.DataFrame) -> dict[str, NDArray[np.float64]]:
        seen = _charge(numbers)
        return {name: one(seen) for name, one in zip(head.target_columns, curves, strict=True)}

    return values


def _charge(features: pl.DataFrame) -> NDArray[np.float64]:
    return features["seen_charge"].cast(pl.Float64).to_numpy()


def _fit_curve(
    charge: NDArray[np.float64], target: NDArray[np.float64]
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    from scipy import stats
    from sklearn.isotonic import IsotonicRegression

    if np.ptp(charge) == 0 or np.ptp(target) == 0:
        mean = float(target.mean())
        return lambda seen: np.full(len(seen), mean)
    rises = stats.spearmanr(charge, target).statistic >= 0
    curve = IsotonicRegression(increasing=bool(rises), out_of_bounds="clip").fit(charge, target)
    return lambda seen: np.asarray(curve.predict(seen), dtype=np.float64) if len(seen) else np.zeros(0)
