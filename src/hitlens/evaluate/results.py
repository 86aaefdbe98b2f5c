"""Results: every number of an evaluation, small typed objects that go to metrics.json and back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from hitlens.errors import FileFormatError, NotFoundError, choose_from, foreign_errors_as
from hitlens.evaluate.findings import Dependence, WorstSlice
from hitlens.io.atomic import written_whole
from hitlens.io.guard import damage_as_format_error
from hitlens.metrics.interval import Interval

#: Version of metrics.json. 1: first.
FORMAT_VERSION = 1


@dataclass(frozen=True)
class MetricResult:
    """One number with its interval.

    Attributes:
        name: what is measured, for example "accuracy" or "rmse".
        interval: value with bounds; None where it is not defined on these events.
        column: the quantity a regression metric is about, for example "energy_mev", or the class a metric
            of one among several classes is about; else empty.
        unit: unit of the value, empty for a pure number.
        reason: why it is not defined, where that is known.
    """

    name: str
    interval: Interval | None
    column: str = ""
    unit: str = ""
    reason: str = ""


@dataclass(frozen=True)
class SliceResult:
    """One metric of one method against a quantity of the events.

    Attributes:
        variable: name of the slice variable.
        label: what the variable is, for axes.
        variable_unit: its unit.
        method: "model" or a baseline's name.
        metric: name of the metric.
        column: as in `MetricResult`.
        unit: unit of the metric.
        edges: bin edges in the variable's unit, shape (bin + 1,).
        n_events: events in each bin that the metric counts, shape (bin,).
        values: one a bin; None where there are too few events.
        method_label: the method in words, for legends.
        bin_labels: names of the bins, where they are kinds of events.
    """

    variable: str
    label: str
    variable_unit: str
    method: str
    metric: str
    column: str
    unit: str
    edges: tuple[float, ...]
    n_events: tuple[int, ...]
    values: tuple[Interval | None, ...]
    method_label: str = ""
    bin_labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class BaselineResult:
    """A method without a network on the same events as the model.

    Attributes:
        name: name of the method.
        meaning: what it does, and from which events its constants come.
        trivial: whether it knows nothing of the image.
        n_events: events both answered.
        n_failed: events for which the baseline found no answer; they are left out for both.
        metrics: the baseline's numbers.
        model_metrics: the model's numbers on the same events.
        differences: model minus baseline, from the same resamplings of the events.
        seconds_per_event: time the method took an event, None where it was not measured.
    """

    name: str
    meaning: str
    trivial: bool
    n_events: int
    metrics: tuple[MetricResult, ...]
    model_metrics: tuple[MetricResult, ...]
    differences: tuple[MetricResult, ...]
    seconds_per_event: float | None = None
    n_failed: int = 0


@dataclass(frozen=True)
class Curve:
    """Columns of equal length that are drawn against each other.

    Attributes:
        name: for example "roc".
        data: values by column name.
    """

    name: str
    data: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Histogram:
    """Counts in bins, one series a kind of event.

    Attributes:
        name: for example "score".
        label: what is counted against, with unit.
        edges: shape (bin + 1,).
        counts: by series, each of shape (bin,); events outside the edges are in the outermost bins.
    """

    name: str
    label: str
    edges: tuple[float, ...]
    counts: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Map:
    """Counts in two dimensions.

    Attributes:
        name: the quantity, for example "energy_mev".
        unit: its unit.
        x_edges: shape (bin x + 1,), truth.
        y_edges: shape (bin y + 1,), prediction.
        counts: by x bin, then y bin; events outside the edges are not counted.
        n_outside: how many those are.
    """

    name: str
    unit: str
    x_edges: tuple[float, ...]
    y_edges: tuple[float, ...]
    counts: tuple[tuple[int, ...], ...]
    n_outside: int


@dataclass(frozen=True)
class BestCut:
    """The cut of highest s / sqrt(s + b) on validation events, with its numbers on the evaluated ones.

    Attributes:
        cut: score from which an event is called signal.
        n_validation: events it was chosen on.
        signal_efficiency: of the evaluated events.
        purity: of the evaluated events, at their natural prevalence.
        background_rejection: of the evaluated events.
        figure_of_merit: s / sqrt(s + b) of the evaluated events.
    """

    cut: float
    n_validation: int
    signal_efficiency: Interval
    purity: Interval
    background_rejection: Interval
    figure_of_merit: float


@dataclass(frozen=True)
class TaskResult:
    """All results of one head.

    Attributes:
        task: name of the head.
        kind: as in `hitlens.detector.Task`.
        meaning: what is predicted.
        n_events: events evaluated.
        n_excluded: events left out, by reason.
        class_names: classification: by class index.
        class_counts: classification: true events by class.
        cut: binary: score from which an event is called signal.
        metrics: the model's numbers.
        confusion: classification: events by true class, then predicted class.
        slices: the model and the baselines against quantities of the events.
        baselines: methods without a network on the same events.
        curves: ROC, cut scan, calibration.
        histograms: scores by true class, residuals.
        maps: truth against prediction.
        worst_slices: kinds of events on which the model does worst.
        dependences: on which quantities its performance depends.
        best_cut: binary: the cut a selection would take; None where there are no validation events.
        migrations: truth against prediction in few bins, those outside in the outermost ones.
    """

    task: str
    kind: str
    meaning: str
    n_events: int
    n_excluded: Mapping[str, int]
    class_names: tuple[str, ...] = ()
    class_counts: tuple[int, ...] = ()
    cut: float | None = None
    metrics: tuple[MetricResult, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    slices: tuple[SliceResult, ...] = ()
    baselines: tuple[BaselineResult, ...] = ()
    curves: tuple[Curve, ...] = ()
    histograms: tuple[Histogram, ...] = ()
    maps: tuple[Map, ...] = ()
    worst_slices: tuple[WorstSlice, ...] = ()
    dependences: tuple[Dependence, ...] = ()
    best_cut: BestCut | None = None
    migrations: tuple[Map, ...] = ()

    def metric(self, name: str, column: str = "") -> MetricResult:
        """Return one of the model's numbers.

        Raises:
            NotFoundError: there is none of that name.
        """
        for metric in self.metrics:
            if metric.name == name and metric.column == column:
                return metric
        wanted = f"{name} of {column}" if column else name
        known = [f"{m.name} of {m.column}" if m.column else m.name for m in self.metrics]
        raise NotFoundError(f"Task '{self.task}' has no metric '{wanted}'. {choose_from(wanted, known)}")

    def baseline(self, name: str) -> BaselineResult:
        """Return one baseline's results.

        Raises:
            NotFoundError: there is none of that name.
        """
        for baseline in self.baselines:
            if baseline.name == name:
                return baseline
        names = [baseline.name for baseline in self.baselines]
        raise NotFoundError(f"Task '{self.task}' has no baseline '{name}'. {choose_from(name, names)}")

    def slice(self, variable: str, metric: str, column: str = "", method: str = "model") -> SliceResult:
        """Return one metric of one method against one quantity.

        Raises:
            NotFoundError: there is none of these names.
        """
        for result in self.slices:
            if (result.variable, result.metric, result.column, result.method) == (
                variable,
                metric,
                column,
                method,
            ):
                return result
        known = {" / ".join((s.variable, s.metric, s.column, s.method)) for s in self.slices}
        wanted = " / ".join((variable, metric, column, method))
        raise NotFoundError(f"Task '{self.task}' has no slice '{wanted}'. {choose_from(wanted, known)}")


@dataclass(frozen=True)
class Picture:
    """A figure of single events that cannot be drawn again without the event files.

    Attributes:
        name: file name in ``figures/`` without its ending.
        title: what the events have in common.
        caption: how many there are, and how they were chosen.
        alt: the picture in words.
        sha256: of the file; empty in older results.
    """

    name: str
    title: str
    caption: str
    alt: str
    sha256: str = ""


@dataclass(frozen=True)
class Reading:
    """One reading of a split: who chose what, when.

    Attributes:
        when: UTC, ISO 8601.
        split: name of the split.
        cut: score from which an event was called signal.
        by: what read it, "evaluate" or "study".
        model: sha256 of the model that was read with; empty in older records.
        finished: whether its numbers and its page were written.
    """

    when: str
    split: str
    cut: float
    by: str = "evaluate"
    model: str = ""
    finished: bool = True


@dataclass(frozen=True)
class Results:
    """One evaluation of one model.

    Attributes:
        detector: name of the detector description.
        task: name of the task learnt.
        split: which events were evaluated.
        n_events: events of that split.
        n_events_by_split: events in the predictions, by split.
        tasks: one result a head.
        level: coverage of the intervals.
        n_bootstrap: resamplings behind each interval.
        seed: of the resampling.
        readings: every time a split of this run was evaluated, this one last.
        data: facts about the events by name, for the report: files, counts.
        galleries: pictures of single events.
        made_from: sha256 of the model and of the predictions, by file name; empty in older results.
        notes: what a reader must know before the numbers, a sentence each.
    """

    detector: str
    task: str
    split: str
    n_events: int
    n_events_by_split: Mapping[str, int]
    tasks: tuple[TaskResult, ...]
    level: float
    n_bootstrap: int
    seed: int
    readings: tuple[Reading, ...] = ()
    data: Mapping[str, str] = field(default_factory=dict)
    galleries: tuple[Picture, ...] = ()
    made_from: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def head(self, name: str) -> TaskResult:
        """Return the results of one head.

        Raises:
            NotFoundError: there is none of that name.
        """
        for task in self.tasks:
            if task.task == name:
                return task
        names = [task.task for task in self.tasks]
        raise NotFoundError(f"These results have no task '{name}'. {choose_from(name, names)}")


_ADAPTER: TypeAdapter[Results] = TypeAdapter(Results)


def results_to_json(results: Results) -> str:
    """Return results as JSON text; numbers that are not finite are an error.

    Examples:
        >>> empty = Results("cebr", "multiplicity", "test", 0, {}, (), level=0.95, n_bootstrap=10, seed=1)
        >>> results_from_json(results_to_json(empty)) == empty
        True
    """
    content: dict[str, Any] = {"version": FORMAT_VERSION}
    content |= _ADAPTER.dump_python(results, mode="json")
    text = json.dumps(content, allow_nan=False, indent=1)
    # A list of plain numbers fits one line; a line break in this text never belongs to a string.
    return re.sub(r"\[\n\s*([^\[\]{}]*?)\n\s*\]", lambda m: "[" + re.sub(r"\n\s*", " ", m[1]) + "]", text)


def results_from_json(text: str, path: Path | str = "metrics.json") -> Results:
    """Return the results a JSON text holds.

    Args:
        text: what `results_to_json` gave.
        path: where it came from, for messages.

    Raises:
        FileFormatError: the text is not such JSON, or of a newer version.
    """
    with foreign_errors_as(
        lambda reason: FileFormatError(
            f"does not hold results of hitlens ({reason}). Evaluate the run again.", path=path
        )
    ):
        content = json.loads(text)
        version = content.pop("version")
        if version > FORMAT_VERSION:
            raise FileFormatError(
                f"has version {version}; this hitlens reads up to {FORMAT_VERSION}. Install a newer hitlens.",
                path=path,
            )
        return _ADAPTER.validate_python(content)


def write_results(results: Results, path: Path | str) -> Path:
    """Write results as JSON, whole or not at all.

    Returns:
        The path.
    """
    path = Path(path)
    text = results_to_json(results)
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def read_results(path: Path | str) -> Results:
    """Read what `write_results` wrote.

    Raises:
        NotFoundError: no such file.
        FileFormatError: the file is damaged or of a newer version.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFoundError(f"No results '{path}'. Make them with 'hitlens evaluate RUN'.")
    with damage_as_format_error(path):
        text = path.read_text(encoding="utf-8")
    return results_from_json(text, path)
