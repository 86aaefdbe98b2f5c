"""Does the truth of a sample follow the laws the detector's description states? Checked block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from scipy import stats

from hitlens.datasets.histograms import Histogram
from hitlens.detector import TruthLaw
from hitlens.errors import SelectionError
from hitlens.events import evaluate_condition, evaluate_expression
from hitlens.metrics.interval import Interval, binomial
from hitlens.sql import columns_of

#: A law is said to be broken below this p-value: of ten laws, one faithful sample in a hundred is accused.
SIGNIFICANCE = 1e-3
#: The distribution is compared at this many points, so that a distance is right to 1.5e-5.
_N_BINS = 1 << 16
#: Bins of the histogram that is shown.
_N_SHOWN = 32
#: Text files round to 6 digits; a value past the limit by less is not outside.
_ROUNDING = 1e-5


@dataclass(frozen=True)
class LawResult:
    """What a sample says about one law.

    Attributes:
        name: the law, in words.
        kind: "uniform" or "fraction", as `hitlens.detector.TruthLaw`.
        expected: what the law says, in words.
        n_events: events the law speaks of.
        n_outside: uniform: values outside the limits by more than rounding.
        statistic: uniform: Kolmogorov-Smirnov distance; fraction: the fraction found. NaN without events.
        interval: fraction: with its 95 % interval.
        p_value: how often a faithful sample would be at least as far off; NaN without events.
        verdict: "differs" where the p-value is below `SIGNIFICANCE`.
        histogram: uniform: the values between the limits, None without events.
        expression: what was looked at, as in the law.
    """

    name: str
    kind: Literal["uniform", "fraction"]
    expected: str
    n_events: int
    n_outside: int
    statistic: float
    interval: Interval | None
    p_value: float
    verdict: Literal["agrees", "differs", "not checked"]
    histogram: Histogram | None = None
    expression: str = ""


class LawCheck:
    """Collects what one law needs, in memory that does not depend on the number of events.

    Examples:
        >>> law = TruthLaw(name="flat", kind="uniform", expression="e", low=0, high=1)
        >>> check = LawCheck(law)
        >>> check.fill(pl.DataFrame({"e": [0.1, 0.4, 0.7, 0.9]}))
        >>> result = check.result()
        >>> result.n_events, result.verdict, round(result.statistic, 3)
        (4, 'agrees', 0.2)
    """

    def __init__(self, law: TruthLaw) -> None:
        self.law = law
        self._n = self._below = self._above = self._outside = 0
        self._counts = np.zeros(_N_BINS if law.kind == "uniform" else 2, dtype=np.int64)

    def fill(self, truth: pl.DataFrame) -> None:
        """Add the events of a block; a block without the columns of the law is left out.

        Raises:
            SelectionError: the law's SQL cannot be evaluated, or gives a text.
        """
        law, where = self.law, f"law '{self.law.name}'"
        if not columns_of(law.selection) | columns_of(law.expression) <= set(truth.columns):
            return
        chosen = truth.filter(pl.Series(evaluate_condition(truth, law.selection, setting=where)))
        values = evaluate_expression(chosen, law.expression, setting=where).drop_nulls()
        if law.kind == "fraction":
            if values.dtype == pl.String:
                raise SelectionError(f"{where}: '{law.expression}' must be a condition. It gives a text.")
            found = values.cast(pl.Boolean).to_numpy()
            self._counts += np.bincount(found.astype(np.int64), minlength=2)
            self._n += len(found)
        else:
            self._fill_uniform(values.cast(pl.Float64))

    def _fill_uniform(self, values: pl.Series) -> None:
        scaled = (values.to_numpy() - self.law.low) / (self.law.high - self.law.low)
        self._n += len(scaled)
        self._below += int((scaled < 0).sum())
        self._above += int((scaled > 1).sum())
        self._outside += int(((scaled < -_ROUNDING) | (scaled > 1 + _ROUNDING)).sum())
        inside = scaled[(scaled >= 0) & (scaled <= 1)]
        places = np.minimum((inside * _N_BINS).astype(np.int64), _N_BINS - 1)
        self._counts += np.bincount(places, minlength=_N_BINS)

    def result(self) -> LawResult:
        """Return the verdict on everything filled so far."""
        return self._uniform_result() if self.law.kind == "uniform" else self._fraction_result()

    def _uniform_result(self) -> LawResult:
        law = self.law
        distance = p_value = float("nan")
        if self._n:
            found = (self._below + np.concatenate([[0], np.cumsum(self._counts)])) / self._n
            distance = float(np.abs(found - np.linspace(0, 1, _N_BINS + 1)).max())
            p_value = float(stats.kstwo.sf(distance, self._n))
        expected = f"uniform from {law.low:.6g} to {law.high:.6g}"
        return self._judged(expected, distance, None, p_value)

    def _fraction_result(self) -> LawResult:
        law, n_true = self.law, int(self._counts[1])
        interval = binomial(n_true, self._n)
        p_value = float("nan")
        if self._n:
            nearest = min(max(interval.value, law.low), law.high)
            p_value = float(stats.binomtest(n_true, self._n, nearest).pvalue)
        same = law.low == law.high
        expected = f"fraction {law.low:g}" if same else f"fraction from {law.low:g} to {law.high:g}"
        return self._judged(expected, interval.value, interval, p_value)

    def _judged(
        self, expected: str, statistic: float, interval: Interval | None, p_value: float
    ) -> LawResult:
        verdict: Literal["agrees", "differs", "not checked"] = "not checked"
        if self._n:
            verdict = "differs" if p_value < SIGNIFICANCE else "agrees"
        return LawResult(
            self.law.name,
            self.law.kind,
            expected,
            self._n,
            self._outside,
            statistic,
            interval,
            p_value,
            verdict,
            self._histogram(),
            self.law.expression,
        )

    def _histogram(self) -> Histogram | None:
        if self.law.kind != "uniform" or not self._n:
            return None
        edges = np.linspace(self.law.low, self.law.high, _N_SHOWN + 1)
        return Histogram(edges, self._counts.reshape(_N_SHOWN, -1).sum(axis=1))
