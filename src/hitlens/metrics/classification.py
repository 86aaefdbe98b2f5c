"""How well classes are told apart. Class 1 is the signal of a binary task.

Every metric takes event weights as well, shape (event,) or (resample, event); with the latter it gives one
value a resample, which is how `hitlens.metrics.interval.bootstrap` draws a thousand samples at once. A value
that does not exist is NaN: an AUC with one class only, the purity of an empty selection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hitlens.errors import DataError
from hitlens.metrics.checking import (
    FloatArray,
    IntArray,
    as_binary,
    as_labels,
    as_probabilities,
    as_scores,
    as_weights,
    divide,
    plain,
    same_shape,
)


@dataclass(frozen=True, eq=False)
class RocCurve:
    """Signal efficiency against background efficiency, from the tightest cut to none.

    Attributes:
        background_efficiency: fraction of background with a score at or above the threshold, shape (point,).
        signal_efficiency: fraction of signal with a score at or above the threshold, shape (point,).
        thresholds: score cut, descending from infinity, shape (point,).
    """

    background_efficiency: FloatArray
    signal_efficiency: FloatArray
    thresholds: FloatArray


def confusion_matrix(
    y_true: ArrayLike, y_pred: ArrayLike, *, n_classes: int | None = None, weights: ArrayLike | None = None
) -> FloatArray:
    """Return events counted by true class (row) and predicted class (column).

    Args:
        y_true: class indices, shape (event,).
        y_pred: class indices, shape (event,).
        n_classes: classes there are; None takes the highest index seen, and at least two.
        weights: event weights, shape (event,) or (resample, event).

    Returns:
        Counts, shape (class, class) or (resample, class, class).

    Raises:
        DataError: arrays that are empty, differ in shape or hold no class indices below `n_classes`.

    Examples:
        >>> confusion_matrix([0, 0, 1, 1], [0, 1, 1, 1])
        array([[1., 1.],
               [0., 2.]])
    """
    true, predicted = _format_labels(y_true, y_pred)
    highest = int(max(true.max(), predicted.max()))
    n = max(highest + 1, 2) if n_classes is None else n_classes
    if highest >= n:
        raise DataError(f"Class indices must lie below n_classes = {n}. Got {highest}.")
    w = as_weights(weights, len(true))
    cells = n * true + predicted
    if w.ndim == 1:
        return np.asarray(np.bincount(cells, weights=w, minlength=n * n), dtype=np.float64).reshape(n, n)
    columns = np.zeros((len(true), n * n))
    columns[np.arange(len(true)), cells] = 1
    return np.asarray(w @ columns).reshape(-1, n, n)


def accuracy(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Any:
    """Return the fraction of events with the right class.

    Args:
        y_true: class indices, shape (event,).
        y_pred: class indices, shape (event,).
        weights: event weights, shape (event,) or (resample, event).

    Returns:
        A float, or shape (resample,).

    Raises:
        DataError: arrays that are empty, differ in shape or hold no class indices.

    Examples:
        >>> accuracy([0, 0, 1, 1], [0, 1, 1, 1])
        0.75
    """
    true, predicted = _format_labels(y_true, y_pred)
    w = as_weights(weights, len(true))
    return divide(w @ (true == predicted).astype(np.float64), w.sum(-1))


def balanced_accuracy(
    y_true: ArrayLike, y_pred: ArrayLike, *, n_classes: int | None = None, weights: ArrayLike | None = None
) -> Any:
    """Return the mean over classes of the fraction of their events with the right class.

    Args:
        y_true: class indices, shape (event,).
        y_pred: class indices, shape (event,).
        n_classes: classes there are; None takes the highest index seen, and at least two.
        weights: event weights, shape (event,) or (resample, event).

    Returns:
        A float, or shape (resample,); NaN where one of the classes has no events.
        scikit-learn leaves such a class out of the mean.

    Raises:
        DataError: arrays that are empty, differ in shape or hold no class indices.

    Examples:
        >>> balanced_accuracy([0, 0, 0, 1], [0, 0, 0, 0])
        0.5
    """
    matrix = confusion_matrix(y_true, y_pred, n_classes=n_classes, weights=weights)
    recall = np.asarray(divide(_diagonal(matrix), matrix.sum(-1)))
    return plain(recall.mean(-1))


def f1(
    y_true: ArrayLike, y_pred: ArrayLike, *, n_classes: int | None = None, weights: ArrayLike | None = None
) -> Any:
    """Return the harmonic mean of purity and signal efficiency; of several classes, their plain mean.

    Args:
        y_true: class indices, shape (event,).
        y_pred: class indices, shape (event,).
        n_classes: classes there are; None takes the highest index seen, and at least two.
        weights: event weights, shape (event,) or (resample, event).

    Returns:
        A float, or shape (resample,); NaN where a class is neither there nor predicted;
        scikit-learn gives it 0.

    Raises:
        DataError: arrays that are empty, differ in shape or hold no class indices.

    Examples:
        >>> f1([0, 0, 1, 1], [0, 1, 1, 1])
        0.8
    """
    matrix = confusion_matrix(y_true, y_pred, n_classes=n_classes, weights=weights)
    each = np.asarray(divide(2 * _diagonal(matrix), matrix.sum(-1) + matrix.sum(-2)))
    return plain(each[..., 1] if each.shape[-1] == 2 else each.mean(-1))


def mcc(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Any:
    """Return Matthews' correlation coefficient; of several classes, Gorodkin's R_K.

    Args:
        y_true: class indices, shape (event,).
        y_pred: class indices, shape (event,).
        weights: event weights, shape (event,) or (resample, event).

    Returns:
        A float, or shape (resample,): 1 perfect, 0 where all events are given one class, NaN where there
        is one true class only.

    Raises:
        DataError: arrays that are empty, differ in shape or hold no class indices.

    Examples:
        >>> round(mcc([0, 0, 1, 1], [0, 1, 1, 1]), 4)
        0.5774
    """
    matrix = confusion_matrix(y_true, y_pred, weights=weights)
    true, predicted, n = matrix.sum(-1), matrix.sum(-2), matrix.sum((-2, -1))
    right = _diagonal(matrix).sum(-1)
    spread_true = n**2 - (true**2).sum(-1)
    spread_predicted = n**2 - (predicted**2).sum(-1)
    covariance = right * n - (true * predicted).sum(-1)
    constant = (spread_predicted == 0) & (spread_true > 0)
    value = divide(covariance, np.sqrt(spread_true * spread_predicted))
    return plain(np.where(constant, 0.0, value))


def signal_efficiency(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Any:
    """Return the fraction of signal events called signal (recall); NaN without signal.

    Args:
        y_true: 1 for signal, shape (event,).
        y_pred: 1 for called signal, shape (event,).
        weights: event weights, shape (event,) or (resample, event).

    Returns:
        A float, or shape (resample,).

    Raises:
        DataError: arrays that are empty, differ in shape or hold other values than 0 and 1.

    Examples:
        >>> signal_efficiency([0, 0, 1, 1], [0, 1, 1, 0])
        0.5
    """
    matrix = _binary_matrix(y_true, y_pred, weights)
    return divide(matrix[..., 1, 1], matrix[..., 1, :].sum(-1))


def background_rejection(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Any:
    """Return the fraction of background events not called signal; NaN without background.

    Args:
        y_true: 1 for signal, shape (event,).
        y_pred: 1 for called signal, shape (event,).
        weights: event weights, shape (event,) or (resample, event).

    Returns:
        A float, or shape (resample,).

    Raises:
        DataError: arrays that are empty, differ in shape or hold other values than 0 and 1.

    Examples:
        >>> background_rejection([0, 0, 0, 0, 1], [0, 1, 0, 0, 1])
        0.75
    """
    matrix = _binary_matrix(y_true, y_pred, weights)
    return divide(matrix[..., 0, 0], matrix[..., 0, :].sum(-1))


def purity(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Any:
    """Return the fraction of events called signal that are signal (precision); NaN if none is.

    Args:
        y_true: 1 for signal, shape (event,).
        y_pred: 1 for called signal, shape (event,).
        weights: event weights, shape (event,) or (resample, event).

    Returns:
        A float, or shape (resample,).

    Raises:
        DataError: arrays that are empty, differ in shape or hold other values than 0 and 1.

    Examples:
        >>> purity([0, 0, 1, 1], [0, 1, 1, 0])
        0.5
    """
    matrix = _binary_matrix(y_true, y_pred, weights)
    return divide(matrix[..., 1, 1], matrix[..., 1].sum(-1))


def auc(y_true: ArrayLike, y_score: ArrayLike, *, weights: ArrayLike | None = None) -> Any:
    """Return the probability that a signal event scores above a background event, ties counting half.

    Args:
        y_true: 1 for signal, shape (event,).
        y_score: higher is more like signal, shape (event,).
        weights: event weights, shape (event,) or (resample, event).

    Returns:
        A float, or shape (resample,); NaN where one class is missing.

    Raises:
        DataError: arrays that are empty or differ in shape, other labels than 0 and 1, scores not finite.

    Examples:
        >>> auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
        0.75
    """
    true, score = as_binary("y_true", y_true), as_scores("y_score", y_score)
    same_shape(y_true=true, y_score=score)
    # scikit-learn's takes one set of weights a call and sorts anew each time: here a thousand at once.
    order = np.argsort(score, kind="stable")
    w = as_weights(weights, len(true))[..., order]
    signal, background = w * true[order], w * (1 - true[order])
    starts = np.flatnonzero(np.r_[True, np.diff(score[order]) > 0])
    if len(starts) < len(order):  # ties
        signal = np.add.reduceat(signal, starts, axis=-1)
        background = np.add.reduceat(background, starts, axis=-1)
    below = np.cumsum(background, axis=-1) - background / 2
    pairs = signal.sum(-1) * background.sum(-1)
    return divide((signal * below).sum(-1), pairs)


def average_precision(y_true: ArrayLike, y_score: ArrayLike, *, weights: ArrayLike | None = None) -> Any:
    """Return the mean purity over the signal events, each at the cut that just finds it.

    It is the area under purity against signal efficiency, as steps. A constant score gives the prevalence
    of the signal, so of a rare signal it says more than the AUC.

    Args:
        y_true: 1 for signal, shape (event,).
        y_score: higher is more like signal, shape (event,).
        weights: event weights, shape (event,) or (resample, event).

    Returns:
        A float, or shape (resample,); NaN without signal.

    Raises:
        DataError: as `auc`.

    Examples:
        >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
        0.8333
    """
    true, score = as_binary("y_true", y_true), as_scores("y_score", y_score)
    same_shape(y_true=true, y_score=score)
    order = np.argsort(-score, kind="stable")
    w = as_weights(weights, len(true))[..., order]
    signal = w * true[order]
    starts = np.flatnonzero(np.r_[True, np.diff(score[order]) < 0])
    if len(starts) < len(order):  # ties
        signal, w = np.add.reduceat(signal, starts, axis=-1), np.add.reduceat(w, starts, axis=-1)
    called = np.cumsum(w, axis=-1)
    pure = np.divide(np.cumsum(signal, axis=-1), called, out=np.zeros_like(called), where=called > 0)
    return divide((signal * pure).sum(-1), signal.sum(-1))


def roc_curve(y_true: ArrayLike, y_score: ArrayLike) -> RocCurve:
    """Return the efficiency of signal and background at every cut that changes one of them.

    Args:
        y_true: 1 for signal, shape (event,).
        y_score: higher is more like signal, shape (event,).

    Raises:
        DataError: as `auc`, or one class is missing.

    Examples:
        >>> roc_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).signal_efficiency
        array([0. , 0.5, 0.5, 1. , 1. ])
    """
    from sklearn import metrics

    true, score = as_binary("y_true", y_true), as_scores("y_score", y_score)
    same_shape(y_true=true, y_score=score)
    if true.min() == true.max():
        raise DataError(f"A ROC curve needs both classes. All {len(true)} events are of class {true[0]}.")
    return RocCurve(*(np.asarray(part, dtype=np.float64) for part in metrics.roc_curve(true, score)))


def log_loss(y_true: ArrayLike, y_prob: ArrayLike, *, weights: ArrayLike | None = None) -> Any:
    """Return the mean negative logarithm of the probability given to the true class.

    Probabilities are kept the resolution of their type away from 0 and 1, as scikit-learn does.

    Args:
        y_true: 1 for signal, shape (event,).
        y_prob: probability of signal, shape (event,).
        weights: event weights, shape (event,) or (resample, event).

    Returns:
        A float, or shape (resample,).

    Raises:
        DataError: arrays that are empty or differ in shape, other labels than 0 and 1, no probabilities.

    Examples:
        >>> round(log_loss([0, 1], [0.5, 0.5]), 4)
        0.6931
    """
    kind = np.asarray(y_prob).dtype
    smallest = np.finfo(kind).eps if kind.kind == "f" else np.finfo(np.float64).eps
    true, probability = _format_probabilities(y_true, y_prob)
    probability = np.clip(probability, smallest, 1 - smallest)
    loss = -np.log(np.where(true == 1, probability, 1 - probability))
    w = as_weights(weights, len(true))
    return divide(w @ loss, w.sum(-1))


def brier_score(y_true: ArrayLike, y_prob: ArrayLike, *, weights: ArrayLike | None = None) -> Any:
    """Return the mean squared difference of the probability of signal and the truth.

    Args:
        y_true: 1 for signal, shape (event,).
        y_prob: probability of signal, shape (event,).
        weights: event weights, shape (event,) or (resample, event).

    Returns:
        A float, or shape (resample,).

    Raises:
        DataError: arrays that are empty or differ in shape, other labels than 0 and 1, no probabilities.

    Examples:
        >>> brier_score([0, 1], [0.5, 0.5])
        0.25
    """
    true, probability = _format_probabilities(y_true, y_prob)
    w = as_weights(weights, len(true))
    return divide(w @ (probability - true) ** 2, w.sum(-1))


def _format_labels(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[IntArray, IntArray]:
    true, predicted = as_labels("y_true", y_true), as_labels("y_pred", y_pred)
    same_shape(y_true=true, y_pred=predicted)
    return true, predicted


def _format_probabilities(y_true: ArrayLike, y_prob: ArrayLike) -> tuple[IntArray, FloatArray]:
    true, probability = as_binary("y_true", y_true), as_probabilities("y_prob", y_prob)
    same_shape(y_true=true, y_prob=probability)
    return true, probability


def _binary_matrix(y_true: ArrayLike, y_pred: ArrayLike, weights: ArrayLike | None) -> FloatArray:
    true, predicted = as_binary("y_true", y_true), as_binary("y_pred", y_pred)
    return confusion_matrix(true, predicted, n_classes=2, weights=weights)


def _diagonal(matrix: FloatArray) -> FloatArray:
    return np.diagonal(matrix, axis1=-2, axis2=-1)
