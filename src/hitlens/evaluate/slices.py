"""Events in bins of a quantity: where in the detector's phase space a method does well."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hitlens.detector import Detector, SliceVariable
from hitlens.errors import SelectionError
from hitlens.evaluate.results import SliceResult
from hitlens.events import evaluate_condition, evaluate_expression
from hitlens.metrics.interval import Interval
from hitlens.sql import columns_of


@dataclass(frozen=True, eq=False)
class Binned:
    """Which bin of a quantity each event is in.

    Attributes:
        variable: the quantity and its edges.
        bins: bin number, -1 outside the edges or where the quantity has no meaning, shape (event,).
    """

    variable: SliceVariable
    bins: NDArray[np.int64]

    @property
    def n_bins(self) -> int:
        """Number of bins."""
        return len(self.variable.edges) - 1

    def rows(self) -> Iterator[NDArray[np.int64]]:
        """Yield the positions of the events of each bin."""
        for number in range(self.n_bins):
            yield np.flatnonzero(self.bins == number)

    def select(self, which: NDArray[Any]) -> Binned:
        """Return the same for some of the events."""
        return Binned(self.variable, self.bins[which])

    def counts(self) -> tuple[int, ...]:
        """Return the number of events in each bin."""
        found = np.bincount(self.bins[self.bins >= 0], minlength=self.n_bins)
        return tuple(int(n) for n in found)


def bin_events(truth: pl.DataFrame, detector: Detector) -> tuple[Binned, ...]:
    """Bin events in each of the detector's slice variables whose truth columns are there.

    A bin holds its lower edge; the last one its upper edge as well.

    Args:
        truth: truth table under the detector's names.
        detector: its description.

    Examples:
        >>> from hitlens.detector import View
        >>> energy = SliceVariable(name="e", label="energy", expression="e", edges=(0, 1, 2))
        >>> view = View(name="v", shape=(2, 2), axes=("x", "y"), pitch_mm=(1, 1), unit="")
        >>> demo = Detector(name="demo", title="", views=(view,), truth=(), tasks=(), slices=(energy,))
        >>> bin_events(pl.DataFrame({"e": [0.5, 2.0, 1.0, 3.0]}), demo)[0].bins
        array([ 0,  1,  1, -1])
    """
    known = set(truth.columns)
    return tuple(
        Binned(variable, _bin(truth, variable))
        for variable in detector.slices
        if columns_of(variable.expression) | columns_of(variable.selection) <= known
    )


def _bin(truth: pl.DataFrame, variable: SliceVariable) -> NDArray[np.int64]:
    where = f"slice '{variable.name}'"
    values = evaluate_expression(truth, variable.expression, setting=where)
    if values.dtype == pl.String:
        raise SelectionError(f"{where}: '{variable.expression}' must give numbers. It gives texts.")
    array, edges = values.cast(pl.Float64).to_numpy(), np.asarray(variable.edges)
    bins = np.searchsorted(edges, array, side="right") - 1
    bins[array == edges[-1]] = len(edges) - 2
    outside = ~((array >= edges[0]) & (array <= edges[-1]))
    bins[outside | ~evaluate_condition(truth, variable.selection, setting=where)] = -1
    return bins.astype(np.int64)


def slice_results(
    binned: tuple[Binned, ...],
    method: tuple[str, str],
    measured: tuple[tuple[str, str, str], ...],
    per_bin: Callable[[NDArray[np.int64]], list[tuple[int, Interval | None]]],
    *,
    min_events: int,
) -> list[SliceResult]:
    """Return metrics in every bin of every variable; a metric without a value in any bin is left out.

    Args:
        binned: the bins of the events.
        method: name and label of the method.
        measured: name, column and unit of each metric.
        per_bin: positions of a bin's events -> for each metric the events it counts, and its value.
        min_events: a bin with fewer counted events shows no value.
    """
    found = []
    for one in binned:
        columns = list(zip(*(per_bin(rows) for rows in one.rows()), strict=True))
        for (metric, column, unit), cells in zip(measured, columns, strict=True):
            values = tuple(value if n >= min_events else None for n, value in cells)
            if all(value is None for value in values):
                continue
            found.append(
                SliceResult(
                    variable=one.variable.name,
                    label=one.variable.label,
                    variable_unit=one.variable.unit,
                    method=method[0],
                    method_label=method[1],
                    metric=metric,
                    column=column,
                    unit=unit,
                    edges=tuple(one.variable.edges),
                    n_events=tuple(n for n, _ in cells),
                    values=values,
                    bin_labels=tuple(one.variable.labels),
                )
            )
    return found
