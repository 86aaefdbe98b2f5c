"""What metrics require of their arrays: the checks all of them share, with one wording."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hitlens.errors import DataError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def as_labels(name: str, labels: ArrayLike) -> IntArray:
    """Return class indices as int64, shape (event,).

    Args:
        name: what to call the array in an error.
        labels: class indices from 0 or booleans, shape (event,) or (event, 1).

    Raises:
        DataError: empty, not one number an event, or not class indices.

    Examples:
        >>> as_labels("y_true", [True, False, True])
        array([1, 0, 1])
    """
    array = _as_column(name, labels)
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name} must hold class indices (0, 1, ...). Got values of type {array.dtype}.")
    as_integers = np.nan_to_num(array, nan=-1).astype(np.int64) if array.dtype.kind == "f" else array
    result = np.asarray(as_integers, dtype=np.int64)
    bad = (result < 0) | (result != array)
    if bad.any():
        where = int(np.argmax(bad))
        raise DataError(f"{name} must hold class indices (0, 1, ...). Got {array[where]} at event {where}.")
    return result


def as_binary(name: str, labels: ArrayLike) -> IntArray:
    """Return labels of two classes, 1 the signal, as int64, shape (event,).

    Raises:
        DataError: as `as_labels`, or a label above 1.

    Examples:
        >>> as_binary("y_true", [0.0, 1.0])
        array([0, 1])
    """
    result = as_labels(name, labels)
    if result.max() > 1:
        where = int(np.argmax(result > 1))
        raise DataError(
            f"{name} must hold 0 (background) or 1 (signal). Got {result[where]} at event {where}."
        )
    return result


def as_scores(name: str, scores: ArrayLike) -> FloatArray:
    """Return one finite number an event as float64, shape (event,).

    Raises:
        DataError: empty, not one number an event, or not finite.

    Examples:
        >>> as_scores("y_score", [[0.25], [0.5]])
        array([0.25, 0.5 ])
    """
    return _finite(name, _as_column(name, scores))


def as_probabilities(name: str, probabilities: ArrayLike) -> FloatArray:
    """Return one probability an event as float64, shape (event,).

    Raises:
        DataError: as `as_scores`, or outside [0, 1].

    Examples:
        >>> as_probabilities("y_prob", [0, 1])
        array([0., 1.])
    """
    result = as_scores(name, probabilities)
    bad = (result < 0) | (result > 1)
    if bad.any():
        where = int(np.argmax(bad))
        raise DataError(f"{name} must lie in [0, 1]. Got {result[where]} at event {where}.")
    return result


def as_values(name: str, values: ArrayLike) -> FloatArray:
    """Return finite values as float64, shape (event, component).

    Args:
        name: what to call the array in an error.
        values: shape (event,) or (event, ...); further axes are flattened to components.

    Raises:
        DataError: empty or not finite.

    Examples:
        >>> as_values("y_true", [1, 2, 3]).shape
        (3, 1)
    """
    array = np.asarray(values)
    if array.ndim == 0 or array.size == 0:
        raise DataError(f"{name} must hold at least one event. Got shape {array.shape}.")
    return _finite(name, array).reshape(len(array), -1)


def same_shape(**arrays: NDArray[Any]) -> None:
    """Check that arrays have one shape.

    Raises:
        DataError: they have not; the shapes are listed.

    Examples:
        >>> same_shape(y_true=np.zeros(3), y_pred=np.zeros(3))
    """
    if len({array.shape for array in arrays.values()}) > 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise DataError(f"{' and '.join(arrays)} must have one shape. Got {shapes}.")


def as_weights(weights: ArrayLike | None, n_events: int) -> FloatArray:
    """Return event weights as float64; none means one each.

    Args:
        weights: non-negative, shape (event,) or (resample, event), or None.
        n_events: how many events there are.

    Raises:
        DataError: the last axis is not the events, or a weight is negative or not finite.

    Examples:
        >>> as_weights(None, 2)
        array([1., 1.])
    """
    if weights is None:
        return np.ones(n_events)
    result = np.asarray(weights, dtype=np.float64)
    if result.ndim not in (1, 2) or result.shape[-1] != n_events:
        raise DataError(
            f"weights must have shape ({n_events},) or (resample, {n_events}). Got {result.shape}."
        )
    if result.size and not (result.min() >= 0 and np.isfinite(result.max())):
        raise DataError("weights must be finite and not negative.")
    return result


def divide(numerator: Any, denominator: Any) -> Any:
    """Return the quotient, NaN where the denominator is 0; a float if it is one number.

    Examples:
        >>> divide(np.array([1.0, 1.0]), np.array([2.0, 0.0]))
        array([0.5, nan])
        >>> divide(1.0, 4.0)
        0.25
    """
    top, bottom = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    shape = np.broadcast_shapes(top.shape, bottom.shape)
    return plain(np.divide(top, bottom, out=np.full(shape, np.nan), where=bottom != 0))


def plain(values: Any) -> Any:
    """Return a float for a single number, the array otherwise.

    Examples:
        >>> plain(np.float64(0.5))
        0.5
    """
    array = np.asarray(values, dtype=np.float64)
    return float(array) if array.ndim == 0 else array


def _as_column(name: str, values: ArrayLike) -> NDArray[Any]:
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise DataError(f"{name} must have one value an event, shape (event,). Got shape {array.shape}.")
    if len(array) == 0:
        raise DataError(f"{name} must hold at least one event. Got none.")
    return array


def _finite(name: str, array: NDArray[Any]) -> FloatArray:
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name} must hold numbers. Got values of type {array.dtype}.")
    result = np.asarray(array, dtype=np.float64)
    if not np.isfinite(result).all():
        where = int(np.argwhere(~np.isfinite(result))[0][0])
        n_bad = int((~np.isfinite(result)).sum())
        raise DataError(f"{name} must be finite. Got {n_bad} NaN or infinite values, first at event {where}.")
    return result
