"""Results of a head that predicts values, of one electron or of an unordered set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hitlens import metrics
from hitlens.detector import Task
from hitlens.errors import DataError, choose_from
from hitlens.evaluate.baselines import TRIVIAL, BaselineColumns, column_means
from hitlens.evaluate.compare import Measure, compare, measure
from hitlens.evaluate.context import Context
from hitlens.evaluate.predictions import Predictions
from hitlens.evaluate.results import BaselineResult, SliceResult, TaskResult
from hitlens.evaluate.slices import slice_results
from hitlens.evaluate.value_maps import migration, residual_histograms, truth_map
from hitlens.events import evaluate_condition
from hitlens.metrics.interval import Interval

#: The numbers given of each quantity; all but R2 and the relative ones have its unit.
METRICS: Mapping[str, Callable[..., Any]] = {
    "bias": metrics.bias,
    "rmse": metrics.rmse,
    "mae": metrics.mae,
    "r2": metrics.r2,
    "resolution": metrics.resolution,
    "relative_bias": metrics.relative_bias,
    "relative_sd": metrics.relative_sd,
    "relative_resolution": metrics.relative_resolution,
}

#: Those shown against the slice variables.
SLICE_METRICS = ("bias", "resolution", "rmse", "mae", "relative_bias", "relative_resolution")

#: Those taken relative to the truth, which must be above 0.
RELATIVE_METRICS = ("relative_bias", "relative_sd", "relative_resolution")

#: Units for which they are given: a beam's energies lie far above 0, those of decays (MeV) go down to it.
RELATIVE_UNITS = ("GeV",)


@dataclass(frozen=True, eq=False)
class Values:
    """Events for which a head's target is defined; a plain regression is a set of one member.

    Attributes:
        rows: positions in the evaluated split, shape (n,).
        y_true: shape (n, member, component).
        y_pred: the same, members in the order that fits the truth best.
        scale: spread of each component's truth, by which members are matched, shape (component,).
        n_excluded: events left out, by reason.
    """

    rows: NDArray[np.int64]
    y_true: NDArray[np.float64]
    y_pred: NDArray[np.float64]
    scale: NDArray[np.float64]
    n_excluded: dict[str, int]


@dataclass(frozen=True)
class Component:
    """One component, or several of one unit taken together.

    Attributes:
        name: truth column without its member number, or several, joined by a comma.
        unit: unit of all of them.
        components: their positions.
    """

    name: str
    unit: str
    components: tuple[int, ...]


def evaluate_regression(head: Task, context: Context) -> TaskResult:
    """Return all results of a regression or set regression head.

    Raises:
        DataError: the predictions hold no truth for this head.
    """
    values = collect_values(head, context.predictions, context.truth)
    config = context.config
    asked = quantities(head)
    measures = _measures(METRICS, asked, values)
    single = [q for q in asked if len(q.components) == 1]

    def pair(quantity: Component) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        k = quantity.components[0]
        return values.y_true[..., k].ravel(), values.y_pred[..., k].ravel()

    methods = [
        _trivial(head, values, context),
        *(_method(head, values, one) for one in context.baselines if head.name in one.columns),
    ]
    return TaskResult(
        task=head.name,
        kind=head.kind,
        meaning=head.meaning,
        n_events=len(values.rows),
        n_excluded=values.n_excluded,
        metrics=measure(
            measures,
            values.y_true,
            values.y_pred,
            rng=context.rng,
            n_bootstrap=config.n_bootstrap,
            level=config.level,
        ),
        slices=_slices(head, values, methods, context),
        baselines=tuple(_baseline_result(measures, values, one, context) for one in methods),
        histograms=tuple(one for q in single for one in residual_histograms(q.name, q.unit, *pair(q))),
        maps=tuple(truth_map(q.name, q.unit, *pair(q)) for q in single),
        migrations=tuple(migration(q.name, q.unit, *pair(q)) for q in single) if len(values.rows) else (),
    )


def pooled_name(columns: tuple[str, ...]) -> str:
    """Return what the columns of a set's members have in common in their names.

    Examples:
        >>> pooled_name(("energy_1_mev", "energy_2_mev"))
        'energy_mev'
        >>> pooled_name(("charge",))
        'charge'
    """
    parts = [column.split("_") for column in columns]
    if len({len(part) for part in parts}) != 1:
        return columns[0]
    return "_".join(words[0] for words in zip(*parts, strict=True) if len(set(words)) == 1)


def quantities(head: Task) -> tuple[Component, ...]:
    """Return each component of a head's target, then those of one unit taken together.

    Examples:
        >>> units = ("px", "px")
        >>> spot = Task(name="spot", kind="regression", meaning="", columns=("x_px", "y_px"), units=units)
        >>> [q.name for q in quantities(spot)]
        ['x_px', 'y_px', 'x_px, y_px']
    """
    members = head.elements or (head.columns,)
    names = [pooled_name(columns) for columns in zip(*members, strict=True)]
    found = [Component(name, head.units[k], (k,)) for k, name in enumerate(names)]
    for unit in dict.fromkeys(head.units):
        same = tuple(k for k, other in enumerate(head.units) if other == unit)
        if len(same) > 1:
            found.append(Component(", ".join(names[k] for k in same), unit, same))
    return tuple(found)


def shown_quantities(head: Task) -> tuple[Component, ...]:
    """Return a head's quantities, of components with one unit (x and y) only those taken together.

    Examples:
        >>> units = ("px", "px")
        >>> spot = Task(name="spot", kind="regression", meaning="", columns=("x_px", "y_px"), units=units)
        >>> [q.name for q in shown_quantities(spot)]
        ['x_px, y_px']
    """
    asked = quantities(head)
    pooled = {k for q in asked if len(q.components) > 1 for k in q.components}
    return tuple(q for q in asked if len(q.components) > 1 or q.components[0] not in pooled)


def is_relative(quantity: Component, values: Values) -> bool:
    """Return whether errors of a quantity are also given relative to the truth: an energy that is above 0.

    Args:
        quantity: one of the head's.
        values: its events.
    """
    true = values.y_true[..., list(quantity.components)]
    return quantity.unit in RELATIVE_UNITS and bool((true > 0).all())


def collect_values(head: Task, predictions: Predictions, truth: pl.DataFrame) -> Values:
    """Return truth and prediction where the target is defined, members of sets matched.

    Args:
        head: a regression or set regression.
        predictions: of all events.
        truth: their truth under the detector's names.

    Raises:
        DataError: the predictions hold no truth for this head.
    """
    table = predictions.table
    missing = [column for column in head.target_columns if column not in truth.columns]
    if missing:
        raise DataError(
            f"These predictions hold no truth for task '{head.name}': column 'true_{missing[0]}' is missing. "
            f"{choose_from(f'true_{missing[0]}', table.columns)}"
        )
    y_true = _stack(truth, head.target_columns, head)
    y_pred = _stack(table, predictions.output_columns(head), head)
    defined = evaluate_condition(truth, head.selection)
    known, finite = np.isfinite(y_true).all(axis=(1, 2)), np.isfinite(y_pred).all(axis=(1, 2))
    excluded = {
        f"not {head.selection}": int((~defined).sum()),
        "truth unknown": int((defined & ~known).sum()),
        "prediction not finite": int((defined & known & ~finite).sum()),
    }
    rows = np.flatnonzero(defined & known & finite)
    true = y_true[rows]
    spread = true.std(axis=(0, 1)) if len(rows) else np.ones(true.shape[2])
    scale = np.where(spread > 0, spread, 1.0)
    return Values(
        rows, true, _match(true, y_pred[rows], scale), scale, {why: n for why, n in excluded.items() if n}
    )


def largest_errors(head: Task, predictions: Predictions) -> NDArray[np.int64]:
    """Return positions of the events with a defined target, the largest error first.

    The error is the sum of squares over components, each in units of the spread of its truth.

    Args:
        head: a regression or set regression.
        predictions: with truth.
    """
    values = collect_values(head, predictions, predictions.truth())
    error = (((values.y_pred - values.y_true) / values.scale) ** 2).sum(axis=(1, 2))
    return values.rows[np.argsort(-error, kind="stable")]


def _stack(table: pl.DataFrame, columns: tuple[str, ...], head: Task) -> NDArray[np.float64]:
    values = table.select(pl.col(columns).cast(pl.Float64).fill_null(float("nan"))).to_numpy()
    n_members = max(len(head.elements), 1)
    return values.reshape(len(table), n_members, len(columns) // n_members)


def _match(
    y_true: NDArray[np.float64], y_pred: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    return metrics.match_sets(y_true, y_pred, scale) if y_true.shape[1] > 1 and len(y_true) else y_pred


def _measures(names: Iterable[str], asked: Sequence[Component], values: Values) -> list[Measure]:
    found = []
    for quantity in asked:
        relative = is_relative(quantity, values)
        found += [_measure_of(n, quantity) for n in names if relative or n not in RELATIVE_METRICS]
    return found


def _measure_of(name: str, quantity: Component) -> Measure:
    components, function = list(quantity.components), METRICS[name]

    def of_values(y: Any, p: Any, weights: Any = None) -> Any:
        return function(y[..., components], p[..., components], weights=weights)

    pure = name == "r2" or name in RELATIVE_METRICS
    return Measure(name, of_values, quantity.name, "" if pure else quantity.unit)


@dataclass(frozen=True, eq=False)
class _Method:
    """A baseline's matched values for some of the sample; `among` are positions in the sample."""

    name: str
    meaning: str
    trivial: bool
    among: NDArray[np.int64]
    y_pred: NDArray[np.float64]
    n_failed: int = 0
    seconds_per_event: float | None = None


def _trivial(head: Task, values: Values, context: Context) -> _Method:
    means = column_means(context.training, head)
    y_pred = np.broadcast_to(means.reshape(1, -1, len(values.scale)), values.y_true.shape)
    meaning = f"the mean of {context.training_source} for every event"
    return _Method(TRIVIAL, meaning, True, np.arange(len(values.rows)), y_pred)


def _method(head: Task, values: Values, baseline: BaselineColumns) -> _Method:
    columns = baseline.columns[head.name]
    table = pl.DataFrame({c: np.asarray(columns[c], dtype=np.float64) for c in head.target_columns})
    y_pred = _stack(table, head.target_columns, head)
    wanted = np.isin(baseline.rows, values.rows)
    good = wanted & np.isfinite(y_pred).all(axis=(1, 2))
    among = np.searchsorted(values.rows, baseline.rows[good])
    n = len(baseline.rows)
    return _Method(
        baseline.name,
        baseline.meaning,
        False,
        among,
        _match(values.y_true[among], y_pred[good], values.scale),
        int((wanted & ~good).sum()),
        None if baseline.seconds is None or n == 0 else baseline.seconds / n,
    )


def _baseline_result(
    measures: list[Measure], values: Values, method: _Method, context: Context
) -> BaselineResult:
    compared = compare(
        measures,
        values.y_true[method.among],
        values.y_pred[method.among],
        method.y_pred,
        rng=context.rng,
        n_bootstrap=context.config.n_bootstrap,
        level=context.config.level,
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


def _slices(head: Task, values: Values, methods: list[_Method], context: Context) -> tuple[SliceResult, ...]:
    everything = _Method("model", "", False, np.arange(len(values.rows)), values.y_pred)
    measures = _measures(SLICE_METRICS, shown_quantities(head), values)
    measured = tuple((m.name, m.column, m.unit) for m in measures)
    config = context.config
    found: list[SliceResult] = []
    for method in (everything, *methods):
        y_true, y_pred = values.y_true[method.among], method.y_pred

        def per_bin(
            rows: NDArray[np.int64], y_true: Any = y_true, y_pred: Any = y_pred
        ) -> list[tuple[int, Interval | None]]:
            results = measure(
                measures,
                y_true[rows],
                y_pred[rows],
                rng=context.rng,
                n_bootstrap=config.n_bootstrap_slices,
                level=config.level,
            )
            return [(len(rows), result.interval) for result in results]

        binned = tuple(one.select(values.rows[method.among]) for one in context.binned)
        found += slice_results(
            binned, (method.name, method.name), measured, per_bin, min_events=config.min_events
        )
    return tuple(found)
