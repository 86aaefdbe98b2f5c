"""What one column of the truth table holds, added up block by block."""

from __future__ import annotations

import math
from dataclasses import dataclass

import polars as pl

from hitlens.datasets.histograms import GrowingHistogram, Histogram, sensible_bins
from hitlens.detector import Detector, TruthColumn
from hitlens.sql import missing_as_null

#: A column of whole numbers or text with at most so many different values has them counted.
N_VALUES = 64


@dataclass(frozen=True)
class ValueCount:
    """How often one value stands in a column.

    Attributes:
        value: as text.
        meaning: what the detector's description says the value stands for; empty where it says nothing.
        n_events: events with it.
    """

    value: str
    meaning: str
    n_events: int


@dataclass(frozen=True)
class ColumnReport:
    """Range of one column of the truth table.

    Attributes:
        meaning: from the detector's description; empty for a column it does not know.
        unit: from the description, empty where it has none.
        role: "key", "file", "truth", or "extra" where only some layouts bring it or nobody described it.
        n_known: events with a value.
        n_missing: events with none (null, NaN, or a file without the column).
        minimum: smallest value as a number; None for text.
        maximum: largest value as a number; None for text.
        mean: mean value; None for text.
        n_distinct: different values of a text; None for numbers.
        histogram: of a column of real numbers, None for others.
        counts: of a column of whole numbers or text with few values: each with its events, ascending.
        unknown_codes: values the description's codes do not hold, where it has codes.
    """

    name: str
    meaning: str
    unit: str
    role: str
    n_known: int
    n_missing: int
    minimum: float | None
    maximum: float | None
    mean: float | None
    n_distinct: int | None
    histogram: Histogram | None
    counts: tuple[ValueCount, ...] = ()
    unknown_codes: tuple[ValueCount, ...] = ()


class ColumnStatistics:
    """Adds up one truth column, in memory that does not depend on the number of events but for its texts.

    Examples:
        >>> from hitlens.detectors import get_detector
        >>> column = ColumnStatistics("n_electrons", get_detector("cebr"))
        >>> column.fill(pl.Series([1, 2, 2]))
        >>> [(one.value, one.n_events) for one in column.report(3).counts]
        [('1', 1), ('2', 2)]
    """

    def __init__(self, name: str, detector: Detector) -> None:
        known = {column.name: column for column in (*detector.truth, *detector.extra_columns)}
        self.name, self.described = name, known.get(name)
        self.role = self.described.role if self.described in detector.truth and self.described else "extra"
        self.n_known, self.total = 0, 0.0
        self.minimum, self.maximum = math.inf, -math.inf
        self.texts: set[str] = set()
        self.numeric = self.real = False
        self.histogram = GrowingHistogram()
        self._counts: dict[str | int, int] | None = {}

    def fill(self, values: pl.Series) -> None:
        """Add the values of a block."""
        known = missing_as_null(values).drop_nulls()
        self.real = self.real or known.dtype.is_float()
        if self.real or self.role == "key":
            self._counts = None
        self._count(known)
        if known.dtype.is_numeric() or known.dtype == pl.Boolean:
            self._fill_numbers(known)
        else:
            self.n_known += len(known)
            self.texts |= set(known.unique().cast(pl.String).to_list())

    def _fill_numbers(self, known: pl.Series) -> None:
        self.numeric = True
        numbers = known.cast(pl.Float64).to_numpy()
        self.n_known += len(numbers)
        if len(numbers):
            self.minimum = min(self.minimum, float(numbers.min()))
            self.maximum = max(self.maximum, float(numbers.max()))
            self.total += float(numbers.sum())
            if self.real:
                self.histogram.fill(numbers)

    def _count(self, known: pl.Series) -> None:
        if self._counts is None:
            return
        if known.dtype == pl.Boolean:
            known = known.cast(pl.Int64)
        for value, n_events in known.value_counts().iter_rows():
            self._counts[value] = self._counts.get(value, 0) + n_events
        if len(self._counts) > N_VALUES and not (self.described and self.described.codes):
            self._counts = None

    def report(self, n_events: int) -> ColumnReport:
        """Return what was added up.

        Args:
            n_events: events read, with or without this column.
        """
        described = self.described or TruthColumn(name=self.name, meaning="")
        numbers = self.numeric and self.n_known > 0
        counts = self._value_counts(described)
        return ColumnReport(
            name=self.name,
            meaning=described.meaning,
            unit=described.unit,
            role=self.role,
            n_known=self.n_known,
            n_missing=n_events - self.n_known,
            minimum=self.minimum if numbers else None,
            maximum=self.maximum if numbers else None,
            mean=self.total / self.n_known if numbers else None,
            n_distinct=len(self.texts) if not self.numeric else None,
            histogram=self.histogram.histogram(sensible_bins(self.n_known))
            if numbers and self.real
            else None,
            counts=counts,
            unknown_codes=tuple(one for one in counts if described.codes and not one.meaning),
        )

    def _value_counts(self, described: TruthColumn) -> tuple[ValueCount, ...]:
        meanings = dict(described.codes)
        found = sorted((self._counts or {}).items(), key=lambda pair: (isinstance(pair[0], str), pair[0]))
        return tuple(
            ValueCount(str(value), meanings.get(value, "") if isinstance(value, int) else "", n_events)
            for value, n_events in found
        )
