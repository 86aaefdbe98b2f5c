"""On which quantities of the events a performance depends: permutation importance, cross-fitted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitlens import metrics
from hitlens.evaluate.compare import defined
from hitlens.evaluate.config import EvaluateConfig
from hitlens.evaluate.findings import Dependence, Influence
from hitlens.evaluate.metadata import Metadata
from hitlens.metrics.interval import Interval, bootstrap_all

#: Parts the events are dealt into; each is answered by trees fitted to the others.
_N_PARTS = 3

#: Fewest events, and fewest right and wrong ones, of which anything can be said.
_N_EVENTS, _N_KIND = 200, 20

#: Shuffles of one quantity, whose answers are judged together.
_N_SHUFFLES = 2

#: Bins of equally many events by which one quantity alone foretells.
_N_BINS = 12

#: Names of what is ranked beside the metadata.
NOISE, CLASS = "noise", "class"


def performance_dependence(
    outcome: NDArray[Any],
    metadata: Sequence[Metadata],
    rows: NDArray[np.int64],
    config: EvaluateConfig,
    column: str = "",
    classes: NDArray[np.int64] | None = None,
) -> Dependence | None:
    """Return how well quantities of the events foretell the performance, and how much each of them matters.

    Trees foretell the outcome of an event from its metadata; each third of the events is answered by trees
    fitted to the others. A quantity's importance is what the score loses when that quantity is shuffled among
    the answered events; a column of random numbers, which means nothing, shows how much is luck. Of
    quantities that say the same each hides the other: `Influence.alone` says what one foretells without the
    others. Intervals are from resamplings of the events.

    Where events have true classes these are a quantity of their own, and the others are shuffled among events
    of one class only, so that what counts is beyond the class.

    Args:
        outcome: true where an event is given the right class, or its absolute error, above 0 as a rule.
        metadata: quantities of all evaluated events.
        rows: positions of the events the outcome is of.
        config: settings.
        column: the quantity whose error it is.
        classes: true class of each event.

    Returns:
        None where there are too few events, or hardly any right or wrong ones.
    """
    rng = np.random.default_rng([config.seed, 4])
    chosen = np.arange(len(rows))
    if config.metadata_events and len(rows) > config.metadata_events:
        chosen = np.sort(rng.choice(len(rows), config.metadata_events, replace=False))
    is_class = outcome.dtype == bool
    y = outcome[chosen].astype(np.float64) if is_class else _log_error(outcome[chosen])
    named = [one for one in metadata if np.isfinite(one.values[rows]).any()]
    if classes is not None:
        named = [one for one in named if not _is_the_class(one.values[rows], classes)]
    if len(y) < _N_EVENTS or not named or (is_class and min(y.sum(), (1 - y).sum()) < _N_KIND):
        return None
    group = np.zeros(len(y), dtype=np.int64) if classes is None else classes[chosen]
    names, x = _quantities(named, rows[chosen], None if classes is None else group, rng)
    # The class itself can only be shuffled among all.
    groups = [np.zeros_like(group) if name == CLASS else group for name, _ in names]
    part = rng.permutation(len(y)) % _N_PARTS
    whole, shuffled = _foretold(x, y, part, is_class, groups, rng)
    alone = [_binned_means(values, y, part, group) for values in x.T]
    intervals = _intervals(y, whole, shuffled, alone, is_class, config, rng)
    influences = [
        Influence(name, label, intervals[f"importance {k}"], intervals[f"alone {k}"])
        for k, (name, label) in enumerate(names)
    ]
    influences.sort(key=lambda one: -one.importance.value if one.importance else np.inf)
    score = "auc" if is_class else "r2"
    return Dependence(score, column, len(y), intervals["whole"], tuple(influences))


def _quantities(
    named: Sequence[Metadata],
    rows: NDArray[np.int64],
    classes: NDArray[np.int64] | None,
    rng: np.random.Generator,
) -> tuple[list[tuple[str, str]], NDArray[np.float64]]:
    """Return name and label of each quantity, with the true class and random numbers, and their values."""
    names = [(one.name, one.label) for one in named]
    columns = [one.values[rows] for one in named]
    if classes is not None and len(np.unique(classes)) > 1:
        names.append((CLASS, "true class"))
        columns.append(classes.astype(np.float64))
    names.append((NOISE, "random numbers, which mean nothing"))
    return names, np.column_stack([*columns, rng.normal(size=len(rows))])


def _is_the_class(values: NDArray[np.float64], classes: NDArray[np.int64]) -> bool:
    """Say whether a quantity has one value in each class: shuffled within it, it would mean nothing."""
    return all(len(np.unique(values[classes == number])) == 1 for number in np.unique(classes))


def _log_error(error: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithm of the error: its size spans decades, and the largest must not decide alone."""
    positive = error[error > 0]
    least = float(np.quantile(positive, 0.01)) if len(positive) else 1.0
    return np.asarray(np.log10(np.maximum(error, least)), dtype=np.float64)


def _foretold(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    part: NDArray[np.int64],
    is_class: bool,
    groups: Sequence[NDArray[np.int64]],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what trees say of each event, and what with a quantity shuffled, (shuffle, column, event)."""
    whole = np.zeros(len(y))
    shuffled = np.zeros((_N_SHUFFLES, x.shape[1], len(y)))
    for answered, predict in _fits(x, y, part, is_class):
        inputs = x[answered]
        whole[answered] = predict(inputs)
        for shuffle in range(_N_SHUFFLES):
            luck = rng.random(len(answered))
            # All columns are asked about at once: trees answer many events hardly slower than few.
            changed = np.tile(inputs, (x.shape[1], 1, 1))
            for k in range(x.shape[1]):
                changed[k, :, k] = inputs[_shuffled(groups[k][answered], luck), k]
            shuffled[shuffle][:, answered] = predict(changed.reshape(-1, x.shape[1])).reshape(x.shape[1], -1)
    return whole, shuffled


def _shuffled(group: NDArray[np.int64], luck: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return positions that put the events of each group in random order among themselves."""
    order = np.empty(len(group), dtype=np.int64)
    order[np.argsort(group, kind="stable")] = np.lexsort((luck, group))
    return order


def _fits(
    x: NDArray[np.float64], y: NDArray[np.float64], part: NDArray[np.int64], is_class: bool
) -> Iterator[tuple[NDArray[np.int64], Callable[[NDArray[np.float64]], NDArray[np.float64]]]]:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    settings: dict[str, Any] = {
        "max_iter": 60,
        "max_leaf_nodes": 15,
        "min_samples_leaf": 30,
        "l2_regularization": 1.0,
        "early_stopping": False,
    }
    for number in range(_N_PARTS):
        learnt = part != number
        if is_class:
            classifier = HistGradientBoostingClassifier(**settings).fit(x[learnt], y[learnt])
            yield np.flatnonzero(~learnt), classifier.decision_function
        else:
            regressor = HistGradientBoostingRegressor(**settings).fit(x[learnt], y[learnt])
            yield np.flatnonzero(~learnt), regressor.predict


def _binned_means(
    values: NDArray[np.float64], y: NDArray[np.float64], part: NDArray[np.int64], group: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return for each event the mean outcome of those of other parts, same group and same bin."""
    known = np.isfinite(values)
    edges = np.unique(np.quantile(values[known], np.linspace(0, 1, _N_BINS + 1)[1:-1]))
    bins = np.where(known, np.searchsorted(edges, values, side="right"), len(edges) + 1)
    n_bins = len(edges) + 2
    bins += n_bins * group
    n_bins *= int(group.max(initial=0)) + 1
    found = np.zeros(len(y))
    for number in range(_N_PARTS):
        learnt = part != number
        mean = float(y[learnt].mean())
        n = np.bincount(bins[learnt], minlength=n_bins)
        total = np.bincount(bins[learnt], y[learnt], minlength=n_bins)
        found[~learnt] = ((total + mean) / (n + 1))[bins[~learnt]]
    return found


def _intervals(
    y: NDArray[np.float64],
    whole: NDArray[np.float64],
    shuffled: NDArray[np.float64],
    alone: list[NDArray[np.float64]],
    is_class: bool,
    config: EvaluateConfig,
    rng: np.random.Generator,
) -> dict[str, Interval | None]:
    score = metrics.auc if is_class else metrics.r2
    events = np.arange(len(y))

    last: list[Any] = [None, None]

    def of_whole(weights: Any) -> Any:
        if weights is None or last[0] is not weights:
            last[:] = weights, score(y, whole, weights=weights)
        return last[1]

    def of_answers(answers: NDArray[np.float64]) -> Callable[..., Any]:
        def value(rows: Any, weights: Any = None) -> Any:
            return score(y, answers, weights=weights)

        return value

    def lost(answers: NDArray[np.float64]) -> Callable[..., Any]:
        def value(rows: Any, weights: Any = None) -> Any:
            each = [score(y, one, weights=weights) for one in answers]
            return of_whole(weights) - np.mean(each, axis=0)

        return value

    functions = {"whole": of_answers(whole)}
    functions |= {f"importance {k}": lost(shuffled[:, k]) for k in range(shuffled.shape[1])}
    functions |= {f"alone {k}": of_answers(answers) for k, answers in enumerate(alone)}
    found = bootstrap_all(
        functions, events, rng=rng, n_resamples=config.n_bootstrap_slices, level=config.level
    )
    return {name: defined(interval) for name, interval in found.items()}
