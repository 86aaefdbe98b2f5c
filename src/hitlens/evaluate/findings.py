"""What metadata tell of a performance: the worst slices, and the quantities it depends on."""

from __future__ import annotations

from dataclasses import dataclass

from hitlens.metrics.interval import Interval, independent_difference


@dataclass(frozen=True)
class WorstSlice:
    """A kind of events on which the model does badly, found on one half of the events, measured on the other.

    Attributes:
        words: which events, for a reader.
        condition: the same as SQL over the truth columns and the totals seen.
        metric: what is bad there.
        column: as in `MetricResult`.
        unit: unit of the metric.
        classes: the classes it is a mean over, those with enough events in the slice; else empty.
        found: the metric on the half in which it was searched; of many slices the worst, so worse than it is.
        n_found: events of that half.
        n_events: events of the other half.
        value: the metric on the other half.
        rest: the metric on the events of the other half outside the slice.
    """

    words: str
    condition: str
    metric: str
    column: str
    unit: str
    classes: tuple[str, ...]
    found: float
    n_found: int
    n_events: int
    value: Interval | None
    rest: Interval | None

    @property
    def difference(self) -> Interval | None:
        """The metric in the slice less that on all other events, of the other half."""
        if self.value is None or self.rest is None:
            return None
        return independent_difference(self.value, self.rest)

    @property
    def is_certain(self) -> bool:
        """Whether the other half agrees: it is worse there, by a difference whose interval excludes zero."""
        difference = self.difference
        if difference is None:
            return False
        if self.metric in ("balanced_accuracy", "auc"):
            return difference.high < 0
        return difference.low > 0


@dataclass(frozen=True)
class Influence:
    """How much of what can be foretold of the performance is due to one quantity of the events.

    Attributes:
        name: of the slice variable or truth column; "class" for the true class, "noise" for random numbers.
        label: what it is.
        importance: loss of the score when the quantity is shuffled among the events, of one true class where
            they have classes.
        alone: the score when only this quantity is known, and the true class where there is one.
    """

    name: str
    label: str
    importance: Interval | None
    alone: Interval | None


@dataclass(frozen=True)
class Dependence:
    """On which quantities of the events the performance depends.

    Attributes:
        score: "auc" of foretelling which events are given the right class, or "r2" of foretelling the
            logarithm of the absolute error.
        column: as in `MetricResult`.
        n_events: events looked at.
        value: the score with all quantities.
        influences: the largest importance first.
    """

    score: str
    column: str
    n_events: int
    value: Interval | None
    influences: tuple[Influence, ...]
