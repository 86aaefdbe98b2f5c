"""What a detector is: views, truth columns, symmetries, tasks; frozen descriptions from Python or YAML."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import polars as pl
from pydantic import BaseModel, ConfigDict, model_validator

from hitlens.errors import DataError, HitlensError, NotFoundError, choose_from, foreign_errors_as
from hitlens.events import Events, evaluate_columns
from hitlens.simulate.comparison import Comparison
from hitlens.sql import columns_of

Named = TypeVar("Named", "View", "Task")


class Description(BaseModel):
    """A frozen description; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class View(Description):
    """One projection of the detector: the geometry and meaning of an image.

    Attributes:
        name: one word; the images of events go by it.
        shape: pixels along each axis, (row, col), or (depth, row, col) for a volume.
        axes: what the axes are, for labels and for the flips of a symmetry; one name an axis.
        pitch_mm: size of a pixel along each axis, mm; empty where pixels have no size, as in a map of angles.
        unit: what a pixel value counts.
        dtype: type that holds every legal pixel value: of counts the smallest integer type, else float32.
    """

    name: str
    shape: tuple[int, ...]
    axes: tuple[str, ...]
    pitch_mm: tuple[float, ...] = ()
    unit: str
    dtype: Literal["uint8", "uint16", "uint32", "float32"] = "uint16"


class TruthColumn(Description):
    """One column of the truth table: its meaning and unit.

    Attributes:
        role: "key" columns together name an event; a "file" column says which file it came from, where that
            is no part of its name; "truth" columns say what happened.
        expression: SQL over other truth columns; such a column is computed when events are read.
        codes: what each value of a column of codes stands for, (value, words); others are unknown codes.
        symbol: short name of the quantity in the caption of an event, for example "E".
    """

    name: str
    meaning: str
    unit: str = ""
    role: Literal["key", "file", "truth"] = "truth"
    expression: str = ""
    codes: tuple[tuple[int, str], ...] = ()
    symbol: str = ""


class TruthEffect(Description):
    """New value of a truth column under a symmetry: ``scale * source + offset``.

    Attributes:
        source: truth column whose old value counts; the column itself, or the one it changes places with.
        scale: -1 where the symmetry reverses the quantity.
        offset: in the unit of the column; for a position in pixels the number of pixels along its axis.
    """

    source: str
    scale: float = 1.0
    offset: float = 0.0


class Symmetry(Description):
    """A change of the image that leaves the physics alone, with its effect on the truth.

    Attributes:
        name: what settings call it.
        transpose: rows and columns are exchanged first.
        flips: names of the axes reversed afterwards.
        truth: new value by truth column; columns not named do not change.
    """

    name: str
    transpose: bool = False
    flips: tuple[str, ...] = ()
    truth: dict[str, TruthEffect] = {}


class SliceVariable(Description):
    """A quantity against which results are shown.

    Attributes:
        name: what settings and files call it.
        label: what figures call it.
        expression: SQL over truth columns, and ``seen_hits`` and ``seen_charge``, the totals of an event.
        edges: bin edges, ascending.
        unit: of the edges.
        selection: SQL condition; events where the quantity has a meaning.
        labels: names of the bins, where they are kinds of events rather than ranges.
    """

    name: str
    label: str
    expression: str
    edges: tuple[float, ...]
    unit: str = ""
    selection: str = "TRUE"
    labels: tuple[str, ...] = ()


class TruthLaw(Description):
    """What the truth of a faithful sample follows; checked by a Kolmogorov-Smirnov test or a fraction.

    Attributes:
        name: what pages call it.
        kind: "uniform" checks ``expression`` against U(low, high); "fraction" checks that the mean of a
            condition lies between low and high.
        expression: SQL over truth columns.
        low: lowest value, or lowest fraction.
        high: highest value, or highest fraction.
        selection: SQL condition; events of which the law speaks.
    """

    name: str
    kind: Literal["uniform", "fraction"]
    expression: str
    low: float
    high: float
    selection: str = "TRUE"


class PublishedResult(Description):
    """A number from the literature, shown beside ours with its conditions.

    Attributes:
        task: name of the task it is about.
        model: what was trained.
        metric: what the number is.
        value: the number, as text.
        conditions: of the events and the training.
        source: where it is published.
    """

    task: str
    model: str
    metric: str
    value: str
    conditions: str
    source: str


class Download(Description):
    """A public file of real events.

    Attributes:
        name: of the file.
        url: where it is.
        meaning: what it holds.
        number: number of a file that is one of a numbered series, by which several are asked for.
    """

    name: str
    url: str
    meaning: str
    number: int | None = None


TaskKind = Literal["binary", "multiclass", "regression", "set_regression", "joint"]


class Task(Description):
    """What is to be learnt, and how target and selection come from the truth columns.

    Attributes:
        name: what recipes call it.
        kind: "binary", "multiclass", "regression", "set_regression" or "joint".
        meaning: what is learnt, half a sentence.
        selection: SQL condition; the events for which the target is defined.
        target: binary and multiclass: SQL expression that gives the class index (or true/false).
        class_names: binary and multiclass: by class index; of two, the second is the signal.
        optional_classes: multiclass: left out of a network whose training events have none of them.
        columns: regression: truth columns to predict.
        elements: set_regression: one tuple of truth columns for each member of the unordered set.
        units: unit by column (of one element, for a set).
        heads: joint: names of the tasks learnt together.
    """

    name: str
    kind: TaskKind
    meaning: str
    selection: str = "TRUE"
    target: str = ""
    class_names: tuple[str, ...] = ()
    optional_classes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    elements: tuple[tuple[str, ...], ...] = ()
    units: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _is_complete(self) -> Task:
        needed = {
            "binary": ("target", "class_names"),
            "multiclass": ("target", "class_names"),
            "regression": ("columns", "units"),
            "set_regression": ("elements", "units"),
            "joint": ("heads",),
        }[self.kind]
        missing = [field for field in needed if not getattr(self, field)]
        if missing:
            raise ValueError(f"a {self.kind} task must give {' and '.join(missing)}")
        twice = [name for name in self.class_names if self.class_names.count(name) > 1]
        if twice:
            raise ValueError(f"two classes are called '{twice[0]}'. Rename one")
        unknown = set(self.optional_classes) - set(self.class_names)
        if unknown:
            raise ValueError(f"optional class '{min(unknown)}' is not among the class names")
        if self.kind == "binary" and len(self.class_names) != 2:
            raise ValueError(f"a binary task must have two class names, got {len(self.class_names)}")
        return self

    @property
    def target_columns(self) -> tuple[str, ...]:
        """Truth columns predicted by a regression, a set's elements one after the other."""
        return self.columns or tuple(column for element in self.elements for column in element)

    @property
    def is_classification(self) -> bool:
        """Whether the target is a class."""
        return self.kind in ("binary", "multiclass")

    @property
    def n_outputs(self) -> int:
        """Numbers a network puts out for this task alone; 0 for a joint task, whose heads have theirs."""
        if self.kind == "binary":
            return 1
        return len(self.class_names) if self.kind == "multiclass" else len(self.target_columns)


class Writer(Protocol):
    """Writes events block by block; nothing appears under the final name before a clean exit.

    Used as a context manager: leaving it by an exception removes what was written.
    """

    def __enter__(self) -> Writer: ...
    def __exit__(self, *exc: object) -> None: ...
    def write(self, events: Events) -> None:
        """Append a block of events."""
        ...


@dataclass(frozen=True)
class ReadReport:
    """What a reader left out on request, and what it found odd.

    Attributes:
        skipped: one message an event skipped, naming file, line and column.
        odd: one message a file and oddity, of events that were read all the same.
    """

    skipped: list[str]
    odd: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Layout:
    """A file layout the detector's events come in.

    Attributes:
        name: what ``--layout`` takes.
        meaning: one line for the help.
        suffixes: endings of the names this layout's files are written with.
        recognises: whether a path (file or folder) is of this layout, judged by name and first bytes.
        read: path, events a block, "raise" or "skip" (bad events), report, options -> blocks of events.
        open_writer: path -> writer; None where the layout is only read.
        options: names of the reader's own options (for example ``axes``) with their meaning.
        parts: name of the numbered files that together are one sample, with # in place of the number. A
            folder stands for those it holds, which are read in the order of their numbers.
    """

    name: str
    meaning: str
    suffixes: tuple[str, ...]
    recognises: Callable[[Path], bool]
    read: Callable[[Path, int, str, ReadReport, dict[str, str]], Iterator[Events]]
    open_writer: Callable[[Path], Writer] | None = None
    options: dict[str, str] | None = None
    parts: str = ""

    def fits(self, path: Path) -> bool:
        """Tell whether a path is of this layout; one that cannot be looked into is not."""
        try:
            with foreign_errors_as(DataError):
                return self.recognises(path)
        except HitlensError:
            return False

    def part_number(self, path: Path) -> int | None:
        """Return the number in the name of one of the numbered files; None for any other name."""
        return _number_in(path.name, self.parts)

    def part_name(self, number: int) -> str:
        """Return the name of the numbered file of that number."""
        return self.parts.replace("#", str(number))

    def parts_in(self, folder: Path) -> list[Path]:
        """Return the numbered files of a folder, by number."""
        return numbered_files(folder, self.parts)


def numbered_files(folder: Path, parts: str) -> list[Path]:
    """Return the numbered files of a folder, by number; none where ``parts`` is empty.

    Args:
        folder: where to look.
        parts: their name with # in place of the number.
    """
    numbered = [(_number_in(path.name, parts), path) for path in folder.iterdir()] if folder.is_dir() else []
    return [path for _, path in sorted((n, path) for n, path in numbered if n is not None)]


def _number_in(name: str, parts: str) -> int | None:
    before, _, after = parts.partition("#")
    found = re.fullmatch(f"{re.escape(before)}([0-9]+){re.escape(after)}", name)
    return int(found[1]) if found and parts else None


class Simulator(Protocol):
    """Makes events: the same for a seed whatever the number of workers."""

    @property
    def config(self) -> type[Description]:
        """The settings, all of them; validating an empty mapping gives the defaults."""
        ...

    @property
    def block_events(self) -> int:
        """Events a block, the last one excepted; a block depends on settings, seed and its number alone."""
        ...

    def blocks(self, config: Any, n_events: int, seed: int, workers: int, first: int = 0) -> Iterator[Events]:
        """Yield blocks of events, in order, from block number ``first`` on."""
        ...

    def compare(self, events: Events, config: Any, real: Events | None = None) -> Comparison:
        """Set simulated events beside what is known of real ones, and fit real events if some are given."""
        ...


@dataclass(frozen=True)
class Baseline:
    """A physics method that solves tasks without learning, on the same events.

    Attributes:
        tasks: names of the tasks it solves.
        predict: events -> one prediction column an output: for classification the score of the signal
            class under the task's name, for regression the values under the names of the truth columns.
    """

    name: str
    meaning: str
    tasks: tuple[str, ...]
    predict: Callable[[Events, Task], dict[str, Any]]


class Detector(Description):
    """Everything hitlens knows of a detector.

    Attributes:
        extra_columns: columns that only some layouts bring, such as what an experiment says of an event.
        symmetries: legal changes of the image besides the identity.
        layouts: file layouts beside the native one.
        simulator: makes the simulator; called only when events are simulated: describing costs nothing.
        headline: truth columns that say in the caption of a picture what an event is, in this order.
        yaml: the YAML text that describes it, empty for one in Python; models, runs and events files keep it.
    """

    name: str
    title: str
    views: tuple[View, ...]
    truth: tuple[TruthColumn, ...]
    tasks: tuple[Task, ...]
    extra_columns: tuple[TruthColumn, ...] = ()
    symmetries: tuple[Symmetry, ...] = ()
    slices: tuple[SliceVariable, ...] = ()
    laws: tuple[TruthLaw, ...] = ()
    published: tuple[PublishedResult, ...] = ()
    downloads: tuple[Download, ...] = ()
    layouts: tuple[Layout, ...] = ()
    simulator: Callable[[], Simulator] | None = None
    baselines: tuple[Baseline, ...] = ()
    headline: tuple[str, ...] = ()
    yaml: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """Names of the truth columns that together name an event."""
        return tuple(column.name for column in self.truth if column.role == "key")

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the columns that say which event a row is about: the key, and the file it came from."""
        return tuple(column.name for column in self.truth if column.role != "truth")

    def complete(self, events: Events) -> Events:
        """Return events with the derived truth columns whose sources are there; those present stay.

        Raises:
            SelectionError: an expression cannot be evaluated.
        """
        truth = events.truth
        todo = [column for column in self.truth if column.expression and column.name not in truth.columns]
        while ready := [column for column in todo if _has_sources(truth, column.expression)]:
            truth = evaluate_columns(truth, {column.name: column.expression for column in ready})
            todo = [column for column in todo if column not in ready]
        derived = [column.name for column in self.truth if column.name not in events.truth.columns]
        truth = truth.select(*events.truth.columns, *(name for name in derived if name in truth.columns))
        return Events(events.images, truth, events.detector)

    def view(self, name: str) -> View:
        """Return the view of that name.

        Raises:
            NotFoundError: there is none.
        """
        return _named(self.views, name, f"view of detector '{self.name}'")

    def task(self, name: str) -> Task:
        """Return the task of that name.

        Raises:
            NotFoundError: there is none.
        """
        return _named(self.tasks, name, f"task of detector '{self.name}'")

    def heads(self, task: Task) -> tuple[Task, ...]:
        """Return the tasks a network for this task has one head each for."""
        return tuple(self.task(name) for name in task.heads) if task.kind == "joint" else (task,)

    def unit(self, column: str) -> str:
        """Return the unit of a truth column, empty where it has none."""
        return next((k.unit for k in (*self.truth, *self.extra_columns) if k.name == column), "")


def _has_sources(truth: pl.DataFrame, expression: str) -> bool:
    sources = columns_of(expression)
    return bool(sources) and sources <= set(truth.columns)


def _named(items: Sequence[Named], name: str, what: str) -> Named:
    for item in items:
        if item.name == name:
            return item
    raise NotFoundError(f"No {what} is called '{name}'. {choose_from(name, [item.name for item in items])}")


def dihedral_group(view: View, points: Sequence[tuple[str, str]]) -> tuple[Symmetry, ...]:
    """Return the seven symmetries of a square image besides the identity.

    Args:
        view: a square view.
        points: truth columns that hold a position in pixels, (along rows, along columns) for each point.

    Examples:
        >>> square = View(name="anode", shape=(16, 16), axes=("x", "y"), pitch_mm=(3, 3), unit="photons")
        >>> [s.name for s in dihedral_group(square, [("x", "y")])][:3]
        ['flip_y', 'flip_x', 'flip_x_y']
        >>> dihedral_group(square, [("x", "y")])[1].truth["x"]
        TruthEffect(source='x', scale=-1.0, offset=16.0)
    """
    symmetries = []
    for transpose in (False, True):
        for flip_row, flip_col in ((False, False), (False, True), (True, False), (True, True)):
            flips = tuple(a for a, flip in zip(view.axes, (flip_row, flip_col), strict=True) if flip)
            if not transpose and not flips:
                continue
            truth = {}
            for pair in points:
                sources = pair[::-1] if transpose else pair
                for column, source, flip, n in zip(
                    pair, sources, (flip_row, flip_col), view.shape, strict=True
                ):
                    truth[column] = TruthEffect(
                        source=source, scale=-1.0 if flip else 1.0, offset=n if flip else 0
                    )
            name = "_".join((*(("transpose",) if transpose else ()), *(("flip", *flips) if flips else ())))
            symmetries.append(Symmetry(name=name, transpose=transpose, flips=flips, truth=truth))
    return tuple(symmetries)
