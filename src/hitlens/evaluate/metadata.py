"""What is known of an event besides its images: quantities, and conditions on them in words and in SQL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hitlens.detector import Detector, SliceVariable, TruthColumn
from hitlens.evaluate.slices import Binned
from hitlens.events import evaluate_condition, evaluate_expression
from hitlens.sql import columns_of

#: Bins of a quantity for which the detector names none: each holds as many events.
_N_BINS = 4

#: Different values up to which whole numbers without codes are kinds of events; more are numbers of things.
_N_KINDS = 12


@dataclass(frozen=True, eq=False)
class Condition:
    """Some of the events.

    Attributes:
        words: which, for a reader.
        sql: the same as a condition over the truth columns.
        holds: whether each event is one of them, shape (event,).
    """

    words: str
    sql: str
    holds: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Metadata:
    """One quantity of the events.

    Attributes:
        name: of the slice variable or truth column.
        label: what it is.
        values: NaN where it has no meaning, shape (event,).
        conditions: its bins.
    """

    name: str
    label: str
    values: NDArray[np.float64]
    conditions: tuple[Condition, ...]


def describe_metadata(
    truth: pl.DataFrame, detector: Detector, binned: Iterable[Binned]
) -> tuple[Metadata, ...]:
    """Return the quantities of which a performance may depend.

    They are the detector's slice variables, then truth columns none of them is made of: numbers in four bins
    of equally many events, few whole numbers by value; columns of codes only where the detector names no
    slice variables. What does not vary is left out.

    Args:
        truth: under the detector's names.
        detector: its description.
        binned: bins of the slice variables.

    Examples:
        >>> from hitlens.detector import View
        >>> view = View(name="v", shape=(2, 2), axes=("x", "y"), pitch_mm=(1, 1), unit="")
        >>> columns = (TruthColumn(name="e", meaning="energy", unit="GeV"),)
        >>> demo = Detector(name="demo", title="", views=(view,), truth=columns, tasks=())
        >>> [found] = describe_metadata(pl.DataFrame({"e": [1.0, 2.0, 3.0, 4.0]}), demo, ())
        >>> found.conditions[0].words, found.conditions[0].sql
        ('energy up to 1.75 GeV', 'e < 1.75')
    """
    named = [_of_variable(truth, one) for one in binned]
    taken = _sources(detector)
    others = (
        _of_column(truth, column)
        for column in detector.truth
        if column.role == "truth" and column.name in truth.columns and not _is_known(column, taken)
        if not (column.codes and detector.slices)
    )
    return tuple(one for one in (*named, *others) if one is not None and _varies(one.values))


def _varies(values: NDArray[np.float64]) -> bool:
    known = values[np.isfinite(values)]
    return len(known) > 1 and bool(np.ptp(known) > 0)


def _sources(detector: Detector) -> set[str]:
    """Return the truth columns that slice variables show, those behind derived ones as well."""
    derived = {column.name: column.expression for column in detector.truth if column.expression}
    waiting = [name for variable in detector.slices for name in _names(variable.expression)]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _names(derived[name]) if name in derived else []
    return found


def _names(expression: str) -> list[str]:
    return sorted(columns_of(expression))


def _is_known(column: TruthColumn, taken: set[str]) -> bool:
    sources = _names(column.expression) if column.expression else []
    return column.name in taken or (bool(sources) and set(sources) <= taken)


def _of_variable(truth: pl.DataFrame, binned: Binned) -> Metadata:
    variable = binned.variable
    values = _numbers(evaluate_expression(truth, variable.expression))
    values[~evaluate_condition(truth, variable.selection)] = np.nan
    conditions = tuple(
        Condition(_words(variable, k), _sql(variable, k), binned.bins == k) for k in range(binned.n_bins)
    )
    return Metadata(variable.name, variable.label, values, conditions)


def _words(variable: SliceVariable, k: int) -> str:
    if variable.labels:
        return f"{variable.label}: {variable.labels[k]}"
    low, high = variable.edges[k : k + 2]
    return f"{variable.label} {low:g} to {high:g} {variable.unit}".rstrip()


def _sql(variable: SliceVariable, k: int) -> str:
    low, high = variable.edges[k : k + 2]
    upper = "<=" if k == len(variable.edges) - 2 else "<"
    what = variable.expression if variable.expression.isidentifier() else f"({variable.expression})"
    is_kind = variable.labels and high - low == 1 and float(low + 0.5).is_integer()
    text = f"{what} = {low + 0.5:g}" if is_kind else f"{what} >= {low:g} AND {what} {upper} {high:g}"
    return text if variable.selection == "TRUE" else f"{text} AND ({variable.selection})"


def _of_column(truth: pl.DataFrame, column: TruthColumn) -> Metadata | None:
    series = truth[column.name]
    if not series.dtype.is_numeric():
        return None
    values = _numbers(series)
    known = values[np.isfinite(values)]
    kinds = np.unique(known)
    if not len(kinds):
        return None
    whole = series.dtype.is_integer() or bool(column.codes)
    if whole and (column.codes or len(kinds) <= _N_KINDS):
        conditions = tuple(_kinds(column, kinds, values))
    elif whole:
        return None
    else:
        conditions = tuple(_ranges(column, known, values))
    return Metadata(column.name, column.meaning, values, conditions)


def _kinds(
    column: TruthColumn, kinds: NDArray[np.float64], values: NDArray[np.float64]
) -> Iterator[Condition]:
    names = dict(column.codes)
    for kind in kinds:
        word = names.get(int(kind), f"{kind:g}")
        yield Condition(f"{column.meaning}: {word}", f"{column.name} = {kind:g}", values == kind)


def _ranges(
    column: TruthColumn, known: NDArray[np.float64], values: NDArray[np.float64]
) -> Iterator[Condition]:
    inner = np.unique(
        [float(f"{edge:.3g}") for edge in np.quantile(known, np.linspace(0, 1, _N_BINS + 1)[1:-1])]
    )
    for low, high in zip((None, *inner), (*inner, None), strict=True):
        above = np.isfinite(values) if low is None else values >= low
        below = np.isfinite(values) if high is None else values < high
        bounds = [f"{column.name} >= {low:g}"] if low is not None else []
        bounds += [f"{column.name} < {high:g}"] if high is not None else []
        if low is None:
            span = "of any value" if high is None else f"up to {high:g}"
        else:
            span = f"{low:g} to {high:g}" if high is not None else f"from {low:g}"
        yield Condition(
            f"{column.meaning} {span} {column.unit}".rstrip(),
            " AND ".join(bounds) or f"{column.name} IS NOT NULL",
            above & below,
        )


def _numbers(series: pl.Series) -> NDArray[np.float64]:
    values = series.cast(pl.Float64).fill_null(float("nan")).to_numpy().copy()
    values[~np.isfinite(values)] = np.nan
    return values
