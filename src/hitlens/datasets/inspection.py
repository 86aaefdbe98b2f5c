"""Events -> data report: what a physicist should know of a sample before training on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hitlens.datasets.confounding import FILE, class_and_file
from hitlens.datasets.duplicates import BLANK, count_copies, equal_fingerprints, image_fingerprints
from hitlens.datasets.histograms import GrowingHistogram, Histogram, same_bins, sensible_bins
from hitlens.datasets.targets import class_indices
from hitlens.datasets.truth_columns import ColumnReport, ColumnStatistics
from hitlens.datasets.truth_laws import LawCheck, LawResult
from hitlens.datasets.view_statistics import ViewReport, ViewStatistics, best_orientation
from hitlens.detector import Detector, ReadReport, Task, View
from hitlens.errors import DataError, SelectionError, choose_from
from hitlens.events import Events, Images
from hitlens.metrics.interval import Interval, binomial

#: Oddities of the reader that are listed, at most.
_N_ODD = 5


@dataclass(frozen=True)
class ClassBalance:
    """How many events each class of a task has.

    Attributes:
        task: name of the classification task.
        classes: class names.
        counts: events a class.
        fractions: of the events whose class is known, with 95 % intervals.
        n_unknown: events outside the task's selection, or without the truth it needs.
    """

    task: str
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    fractions: tuple[Interval, ...]
    n_unknown: int


@dataclass(frozen=True)
class DuplicateGroup:
    """Events that are the same.

    Attributes:
        positions: places in the input, counted from 0 over all files.
        labels: their keys, for example "a.txt 17".
    """

    positions: tuple[int, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class DataReport:
    """All of it.

    Attributes:
        detector: name of the detector.
        title: its title.
        sources: files the events came from.
        n_events: events read.
        n_blank: events without a hit in any view.
        skipped: one message an event the reader left out on request.
        odd: one message an oddity of events that were read all the same.
        columns: the truth table, key columns first.
        missing_columns: columns of the description that no event has.
        balances: one a classification task that could be evaluated.
        views: one a view.
        sum_spectra: sum over all pixels of an event, by class of the first classification task, and "all".
        image_duplicates: groups of identical images, blank ones left out.
        n_other_class: events whose image also stands with another class, of any classification task.
        key_duplicates: groups of events with the same key.
        laws: what the description states of the truth, checked.
        warnings: what of all this deserves a look, in words.
    """

    detector: str
    title: str
    sources: tuple[str, ...]
    n_events: int
    n_blank: int
    skipped: tuple[str, ...]
    columns: tuple[ColumnReport, ...]
    missing_columns: tuple[str, ...]
    balances: tuple[ClassBalance, ...]
    views: tuple[ViewReport, ...]
    sum_spectra: dict[str, Histogram]
    image_duplicates: tuple[DuplicateGroup, ...]
    key_duplicates: tuple[DuplicateGroup, ...]
    laws: tuple[LawResult, ...]
    warnings: tuple[str, ...]
    odd: tuple[str, ...] = ()
    n_other_class: int = 0

    @property
    def n_image_copies(self) -> int:
        """Events that repeat the image of an earlier one."""
        return sum(len(group.positions) - 1 for group in self.image_duplicates)

    @property
    def n_key_copies(self) -> int:
        """Events that repeat the key of an earlier one."""
        return sum(len(group.positions) - 1 for group in self.key_duplicates)


def inspect_events(
    blocks: Iterable[Events],
    detector: Detector,
    *,
    sources: Iterable[str] = (),
    read_report: ReadReport | None = None,
) -> DataReport:
    """Look through events block by block and report.

    Kept in memory are one block, and some 40 bytes an event (fingerprint and key) to find duplicates.
    Images count as identical when their 64-bit fingerprints are: of 37 samples with a billion different
    images each, one is expected to show a false pair.

    Args:
        blocks: the events.
        detector: their description.
        sources: names of the files, for the report.
        read_report: what the reader skipped; looked at after the last block.

    Raises:
        DataError: events of another detector, images of another shape, or a sparse view nobody described.

    Examples:
        >>> from hitlens.detectors import get_detector
        >>> images = np.ones((3, 16, 16), dtype=np.uint16) * np.arange(3, dtype=np.uint16)[:, None, None]
        >>> truth = pl.DataFrame({"file": "a", "event": [0, 1, 2], "n_electrons": [1, 2, 2]})
        >>> report = inspect_events([Events({"anode": images}, truth, "cebr")], get_detector("cebr"))
        >>> report.n_events, report.n_blank, report.balances[0].counts
        (3, 1, (1, 2))
    """
    inspector = _Inspector(detector)
    for block in blocks:
        inspector.fill(block)
    skipped, odd = (read_report.skipped, read_report.odd) if read_report else ([], [])
    return inspector.report(tuple(sources), tuple(skipped), tuple(odd))


class _Inspector:
    """The running state of `inspect_events`."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self.n_events = 0
        self.columns: dict[str, ColumnStatistics] = {}
        self.tasks = [task for task in detector.tasks if task.is_classification]
        self.counts = {task.name: np.zeros(len(task.class_names), dtype=np.int64) for task in self.tasks}
        self.views = {view.name: ViewStatistics(view, detector) for view in detector.views}
        self.spectra: dict[str, GrowingHistogram] = {}
        self.laws = [LawCheck(law) for law in detector.laws]
        self.fingerprints: list[NDArray[np.uint64]] = []
        self.keys: list[pl.DataFrame] = []
        self.classes: list[NDArray[np.int16]] = []
        self.files: list[pl.Series] = []

    def fill(self, events: Events) -> None:
        if events.detector != self.detector.name:
            raise DataError(
                f"These are events of '{events.detector}', to be inspected as '{self.detector.name}'. "
                "Name the detector they belong to."
            )
        for name, images in events.images.items():
            if name not in self.views:
                self.views[name] = ViewStatistics(
                    _undescribed_view(name, images, self.detector), self.detector
                )
        self.n_events += len(events)
        for name in events.truth.columns:
            if name not in self.columns:
                self.columns[name] = ColumnStatistics(name, self.detector)
            self.columns[name].fill(events.truth[name])
        for law in self.laws:
            law.fill(events.truth)
        self.fingerprints.append(image_fingerprints(events))
        self.keys.append(events.truth.select(self._labels(events)))
        file = events.truth[FILE] if FILE in events.truth.columns else pl.Series([None] * len(events))
        self.files.append(file.cast(pl.Categorical))
        self._fill_images(events)

    def _labels(self, events: Events) -> list[pl.Expr]:
        """Return the columns that say which event a row is; few names of files take little memory."""
        known = [name for name in self.detector.labels if name in events.truth.columns]
        text = [name for name in known if events.truth.schema[name] == pl.String]
        return [pl.col(name).cast(pl.Categorical) if name in text else pl.col(name) for name in known]

    def _fill_images(self, events: Events) -> None:
        sums = np.zeros(len(events))
        for name, images in events.images.items():
            sums += self.views[name].fill(images, events.truth)
        self.spectra.setdefault("all", GrowingHistogram()).fill(sums)
        labels = np.empty((len(events), len(self.tasks)), dtype=np.int16)
        for number, task in enumerate(self.tasks):
            classes = _class_indices(events.truth, task)
            labels[:, number] = classes
            for index, name in enumerate(task.class_names):
                chosen = classes == index
                self.counts[task.name][index] += int(chosen.sum())
                if number == 0 and chosen.any():
                    self.spectra.setdefault(name, GrowingHistogram()).fill(sums[chosen])
        self.classes.append(labels)

    def report(
        self, sources: tuple[str, ...], skipped: tuple[str, ...], odd: tuple[str, ...] = ()
    ) -> DataReport:
        fingerprints = np.concatenate([np.zeros(0, dtype=np.uint64), *self.fingerprints])
        keys = pl.concat(self.keys, how="diagonal_relaxed") if self.keys else pl.DataFrame()
        alike = equal_fingerprints(fingerprints)
        order = {column.name: place for place, column in enumerate(self.detector.truth)}
        names = sorted(self.columns, key=lambda name: order.get(name, len(order)))
        found = DataReport(
            detector=self.detector.name,
            title=self.detector.title,
            sources=sources,
            n_events=self.n_events,
            n_blank=int((fingerprints == BLANK).sum()),
            skipped=skipped,
            columns=tuple(self.columns[name].report(self.n_events) for name in names),
            missing_columns=tuple(name for name in order if name not in self.columns),
            balances=tuple(self._balance(task) for task in self.tasks if self.counts[task.name].any()),
            views=tuple(view.report() for view in self.views.values() if view.n_events),
            sum_spectra=same_bins(self.spectra, sensible_bins(self.n_events)),
            image_duplicates=_groups(alike, keys),
            key_duplicates=_groups(_equal_keys(keys, self.detector.key), keys),
            laws=tuple(law.result() for law in self.laws),
            warnings=(),
            odd=odd,
            n_other_class=count_copies(alike, np.concatenate(self.classes)).n_other_truth if alike else 0,
        )
        return replace(found, warnings=(*_warnings(found), *self._told_by_file()))

    def _told_by_file(self) -> list[str]:
        """Say of each task whose class the file tells that it does."""
        if not self.files:
            return []
        files, classes = pl.concat(self.files), np.concatenate(self.classes)
        told = [
            class_and_file(files, classes[:, number], task.class_names, task.name)
            for number, task in enumerate(self.tasks)
        ]
        return [sentence for sentence in told if sentence]

    def _balance(self, task: Task) -> ClassBalance:
        counts = self.counts[task.name]
        n_known = int(counts.sum())
        return ClassBalance(
            task=task.name,
            classes=task.class_names,
            counts=tuple(int(count) for count in counts),
            fractions=tuple(binomial(int(count), n_known) for count in counts),
            n_unknown=self.n_events - n_known,
        )


def _undescribed_view(name: str, images: Images, detector: Detector) -> View:
    """Describe, as far as its images do, a view that only some files of the detector bring."""
    if not isinstance(images, np.ndarray) or images.ndim != 3:
        names = [view.name for view in detector.views]
        raise DataError(f"View '{name}' is not one of '{detector.name}'. {choose_from(name, names)}")
    return View(name=name, shape=images.shape[1:], axes=("row", "col"), pitch_mm=(), unit="value")


def _class_indices(truth: pl.DataFrame, task: Task) -> NDArray[np.int64]:
    """Return the class of each event, -1 where it is not known."""
    try:
        return class_indices(truth, task)
    except SelectionError:
        return np.full(len(truth), -1)


def _equal_keys(keys: pl.DataFrame, key: tuple[str, ...]) -> list[NDArray[np.int64]]:
    if not key or not len(keys) or not set(key) <= set(keys.columns):
        return []
    numbered = keys.select(key).with_row_index("position").drop_nulls()
    repeated = numbered.filter(pl.struct(key).is_duplicated())
    groups = repeated.group_by(key, maintain_order=True).agg("position")["position"]
    return [group.to_numpy().astype(np.int64) for group in groups]


def _groups(found: list[NDArray[np.int64]], keys: pl.DataFrame) -> tuple[DuplicateGroup, ...]:
    groups = []
    for rows in found:
        named = keys[rows].iter_rows() if keys.width else ((f"number {row}",) for row in rows)
        labels = tuple(" ".join(str(part) for part in row) for row in named)
        groups.append(DuplicateGroup(tuple(rows.tolist()), labels))
    return tuple(groups)


def _warnings(report: DataReport) -> list[str]:
    """Put into words what deserves a look."""
    found = []
    if not report.n_events:
        found.append("There are no events.")
    if report.skipped:
        found.append(f"Events that could not be read and were skipped: {len(report.skipped):,}.")
    found += [f"The reader says: {message}" for message in report.odd[:_N_ODD]]
    if len(report.odd) > _N_ODD:
        found.append(f"The reader says {len(report.odd) - _N_ODD} more things of this kind.")
    if report.n_blank:
        found.append(f"Blank events, without a pixel hit: {report.n_blank:,}.")
    found += _copy_warnings(report)
    found += [
        f"The truth differs from the law: {law.name}." for law in report.laws if law.verdict == "differs"
    ]
    found += [
        f"Values outside the limits of the law '{law.name}': {law.n_outside:,}."
        for law in report.laws
        if law.n_outside
    ]
    for column in report.columns:
        if column.unknown_codes:
            listed = ", ".join(f"{one.value} ({one.n_events:,} events)" for one in column.unknown_codes[:8])
            found.append(f"Column '{column.name}' holds codes nobody described: {listed}.")
    for view in report.views:
        found += _view_warnings(view)
    return found


def _copy_warnings(report: DataReport) -> list[str]:
    counts = {
        "Events that repeat the image of another: {}. In different splits they would leak; "
        "split.on_duplicates=group keeps them in one.": report.n_image_copies,
        "Events whose image also stands with another class: {}.": report.n_other_class,
        "Events that repeat the key of another: {}.": report.n_key_copies,
    }
    return [text.format(f"{n:,}") for text, n in counts.items() if n]


def _view_warnings(report: ViewReport) -> list[str]:
    name = report.view.name
    found = []
    if report.dead:
        found.append(f"View '{name}': {len(report.dead)} dead pixel{'s' if len(report.dead) > 1 else ''}.")
    if report.hot:
        found.append(f"View '{name}': {len(report.hot)} hot pixel{'s' if len(report.hot) > 1 else ''}.")
    if report.n_not_finite:
        found.append(f"View '{name}': pixel values that are not finite: {report.n_not_finite:,}.")
    if report.n_negative:
        found.append(f"View '{name}': negative pixel values: {report.n_negative:,}.")
    better = best_orientation(report.orientations)
    if better is not None:
        described = report.orientations[0]
        found.append(
            f"The images of view '{name}' seem to be turned by '{better.name}': their brightest pixel then "
            f"holds a true position in {better.fraction:.1%} of the events, as they are in "
            f"{described.fraction:.1%}. Read the file with its axes in the right order."
        )
    return found
