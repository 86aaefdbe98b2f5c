"""Gradient boosting on summary numbers of an event: what is possible without looking at the pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hitlens.detector import Task

#: Most trees; early stopping ends before where there are enough events.
_N_TREES = 200

#: Events from which a tenth of them decides when to stop.
_N_EARLY = 1000

#: Members a class must have for that.
_N_CLASS = 10

#: The 99 % quantile of a positive target above so many medians calls for a logarithmic link.
_LONG_TAIL = 3.0


def fit_boosting(
    head: Task, features: pl.DataFrame, target: NDArray[np.float64], balanced: bool, seed: int
) -> Callable[[pl.DataFrame], dict[str, NDArray[np.float64]]]:
    """Fit trees to the summary numbers of training events, and return the method.

    Classes get probabilities. Values are fitted one column at a time with squared errors; a positive target
    with a long tail (an energy) with a logarithmic link and the gamma deviance, which weighs relative errors
    and whose answer is still the mean.

    Args:
        head: a classification or a regression.
        features: shape (event, feature); NaN where a number does not exist.
        target: class index, shape (event, 1), or values, shape (event, column).
        balanced: whether each class gets the same total weight.
        seed: of the events that decide when to stop.

    Returns:
        Summary numbers -> score of the signal class, of each class (event, class), or values by column.

    Examples:
        >>> task = Task(name="many", kind="binary", meaning="", target="n > 1", class_names=("one", "many"))
        >>> charge = pl.DataFrame({"charge": np.arange(100.0)})
        >>> method = fit_boosting(task, charge, (charge.to_numpy() > 50).astype(float), False, 1)
        >>> method(pl.DataFrame({"charge": [10.0, 90.0]}))["many"].round(2)
        array([0., 1.])
    """
    x = features.to_numpy()
    if head.is_classification:
        classify = _fit_classes(x, target[:, 0].astype(np.int64), len(head.class_names), balanced, seed)

        def scores(numbers: pl.DataFrame) -> dict[str, NDArray[np.float64]]:
            each = classify(numbers.to_numpy())
            return {head.name: each[:, 1] if head.kind == "binary" else each}

        return scores
    fitted = [_fit_values(x, column, seed) for column in target.T]

    def values(numbers: pl.DataFrame) -> dict[str, NDArray[np.float64]]:
        inputs = numbers.to_numpy()
        return {name: one(inputs) for name, one in zip(head.target_columns, fitted, strict=True)}

    return values


def is_long_tailed(target: NDArray[np.float64]) -> bool:
    """Return whether values are all positive with a long tail.

    Examples:
        >>> is_long_tailed(np.array([1.0, 1.0, 2.0, 90.0])), is_long_tailed(np.array([0.0, 1.0, 90.0]))
        (True, False)
    """
    return bool(target.min() > 0 and np.quantile(target, 0.99) > _LONG_TAIL * np.median(target))


def _settings(n_events: int, smallest: int, seed: int) -> dict[str, Any]:
    return {
        "max_iter": _N_TREES if n_events >= _N_EARLY else _N_TREES // 2,
        "early_stopping": n_events >= _N_EARLY and smallest >= _N_CLASS,
        # A leaf of a small sample must be allowed to be small.
        "min_samples_leaf": int(np.clip(n_events // 20, 2, 20)),
        "random_state": seed,
    }


def _fit_classes(
    x: NDArray[Any], y: NDArray[np.int64], n_classes: int, balanced: bool, seed: int
) -> Callable[[NDArray[Any]], NDArray[np.float64]]:
    from sklearn.ensemble import HistGradientBoostingClassifier

    found, counts = np.unique(y, return_counts=True)
    if len(found) == 1:
        return lambda inputs: np.tile(np.eye(n_classes)[found[0]], (len(inputs), 1))
    settings = _settings(len(y), int(counts.min()), seed)
    model = HistGradientBoostingClassifier(class_weight="balanced" if balanced else None, **settings)
    model.fit(x, y)

    def scores(inputs: NDArray[Any]) -> NDArray[np.float64]:
        each = np.zeros((len(inputs), n_classes))
        if len(inputs):
            each[:, found] = model.predict_proba(inputs)
        return each

    return scores


def _fit_values(
    x: NDArray[Any], y: NDArray[np.float64], seed: int
) -> Callable[[NDArray[Any]], NDArray[np.float64]]:
    from sklearn.ensemble import HistGradientBoostingRegressor

    loss = "gamma" if is_long_tailed(y) else "squared_error"
    model = HistGradientBoostingRegressor(loss=loss, **_settings(len(y), len(y), seed))
    model.fit(x, y)
    return lambda inputs: np.asarray(model.predict(inputs), dtype=np.float64) if len(inputs) else np.zeros(0)
