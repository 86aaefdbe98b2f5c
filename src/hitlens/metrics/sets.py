"""Unordered sets: the members of a predicted set are matched to the true ones before they are compared."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from hitlens.errors import DataError
from hitlens.metrics.checking import FloatArray

#: Sets up to this size are matched by trying every order, all events at once.
_LARGEST_TRIED = 4


def match_sets(y_true: ArrayLike, y_pred: ArrayLike, scale: ArrayLike | None = None) -> FloatArray:
    """Return predictions with the members of each set in the order that fits the truth best.

    Args:
        y_true: true values, shape (event, member, component).
        y_pred: predicted values in any order of members, shape (event, member, component).
        scale: size of a typical error of each component, which makes different units comparable,
            shape (component,); None is 1 each.

    Returns:
        Predictions reordered, shape (event, member, component).

    Raises:
        DataError: shapes that differ or are not three-dimensional, values not finite, a scale not above 0.

    Examples:
        >>> match_sets([[[0.0], [5.0]]], [[[4.9], [0.2]]]).ravel()
        array([0.2, 4.9])
    """
    order = match_order(y_true, y_pred, scale)
    return np.take_along_axis(np.asarray(y_pred, dtype=np.float64), order[:, :, None], axis=1)


def match_order(y_true: ArrayLike, y_pred: ArrayLike, scale: ArrayLike | None = None) -> NDArray[np.intp]:
    """Return which predicted member belongs to each true member, shape (event, member).

    The sum over members of the squared distances, in units of the scale, is least. Arguments and errors are
    those of `match_sets`.

    Examples:
        >>> match_order([[[0.0], [5.0]]], [[[4.9], [0.2]]])
        array([[1, 0]])
    """
    true, predicted = _format(y_true, y_pred)
    units = _format_scale(scale, true.shape[2])
    # cost[event, i, j]: squared distance of true member i and predicted member j
    cost = (((true[:, :, None] - predicted[:, None]) / units) ** 2).sum(-1)
    n_members = true.shape[1]
    if n_members <= _LARGEST_TRIED:
        orders = np.array(list(permutations(range(n_members))), dtype=np.intp)
        totals = cost[:, np.arange(n_members), orders].sum(-1)
        return np.asarray(orders[np.argmin(totals, axis=1)], dtype=np.intp)
    # SciPy solves one event a call; no listed library solves many.
    return np.array([linear_sum_assignment(one)[1] for one in cost], dtype=np.intp)


def _format(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[FloatArray, FloatArray]:
    true, predicted = np.asarray(y_true, dtype=np.float64), np.asarray(y_pred, dtype=np.float64)
    if true.ndim != 3 or true.shape != predicted.shape or true.shape[1] == 0:
        raise DataError(
            "y_true and y_pred must both have shape (event, member, component). "
            f"Got {true.shape} and {predicted.shape}."
        )
    for name, array in (("y_true", true), ("y_pred", predicted)):
        bad = ~np.isfinite(array).all(axis=(1, 2))
        if bad.any():
            raise DataError(
                f"{name} must be finite. Got NaN or infinite values in {int(bad.sum())} events, "
                f"first at event {int(np.argmax(bad))}."
            )
    return true, predicted


def _format_scale(scale: ArrayLike | None, n_components: int) -> FloatArray:
    units = np.ones(n_components) if scale is None else np.asarray(scale, dtype=np.float64)
    if units.shape != (n_components,) or not (np.isfinite(units) & (units > 0)).all():
        raise DataError(
            f"scale must be {n_components} numbers above 0, one a component. Got {units.tolist()}."
        )
    return units
