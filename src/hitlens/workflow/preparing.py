"""What a training starts from: events read and split, constants fixed, a fresh network."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from hitlens.config import RunConfig
from hitlens.datasets.augment import Augmentation
from hitlens.datasets.confounding import told_by_file
from hitlens.datasets.duplicates import CopyCount, count_copies
from hitlens.datasets.mix import Kinds, balanced_kinds, mixed_kinds, undersampled
from hitlens.datasets.regions import shown_detector
from hitlens.datasets.resident import ResidentData
from hitlens.datasets.splits import NAMES, Split, split_events
from hitlens.datasets.stored import StoredEvents
from hitlens.datasets.streaming import StreamedData
from hitlens.datasets.symmetries import (
    OutputEffect,
    check_invariant,
    check_positive,
    check_whole_views,
    learnt_effect,
    named_symmetries,
)
from hitlens.datasets.targets import count_undefined, encode_target, present_classes, strata_of
from hitlens.datasets.transforms import fit_scaling
from hitlens.detector import Detector, ReadReport, Symmetry, Task
from hitlens.detectors import get_detector
from hitlens.errors import ConfigError, DataError, choose_from
from hitlens.events import Events, EventSource, concat, evaluate_condition
from hitlens.models import build_network
from hitlens.models.preprocessing import Preprocessing, fit_target_scaling
from hitlens.train.module import TrainingModule
from hitlens.workflow import runs
from hitlens.workflow.class_checks import check_classes
from hitlens.workflow.event_files import EventFiles
from hitlens.workflow.storing import check_conditions, chosen_events, is_streamed, needed_columns, open_events

log = logging.getLogger(__name__)

#: Column of the split whose list names the file of an event, while events are read and chosen.
_LISTED = "split of the file"

#: Settings on which the events of a training depend.
_DECIDES_EVENTS = ("detector", "task", "data", "split", "train.selection", "train.mix")


@dataclass(frozen=True)
class Prepared:
    """Everything a training starts from.

    Attributes:
        config: the settings it was made with.
        events: those the task can learn from or be tested on, all splits.
        split: positions in these events, for each split those where some head is defined.
        left_out: number of events left out, by reason.
        checksums: sha256 of each event file, by name.
        kinds: of the training events, drawn in shares; None shows each event once an epoch.
        copies: how many events have equal images; of all events, whether the task can use them or not.
        told_by_file: a sentence for each classification whose class the file of a training event tells.
    """

    config: RunConfig
    detector: Detector
    task: Task
    heads: tuple[Task, ...]
    events: Events | StoredEvents
    split: Split
    left_out: dict[str, int]
    checksums: dict[str, str]
    kinds: Kinds | None = None
    copies: CopyCount = field(default_factory=partial(CopyCount, 0, 0, 0))
    told_by_file: tuple[str, ...] = ()

    @property
    def chances(self) -> NDArray[np.float64] | None:
        """Chance of each training event to be drawn, shape (n,); None shows each once an epoch."""
        return None if self.kinds is None else self.kinds.chances

    @property
    def is_streamed(self) -> bool:
        """Whether the images stay in their files."""
        return isinstance(self.events, StoredEvents)

    def some(self, rows: NDArray[np.int64]) -> Events | StoredEvents:
        """Return the events at these ascending positions; those in files stay there."""
        return self.events.select(rows) if isinstance(self.events, Events) else self.events.narrowed(rows)

    def check_serves(self, config: RunConfig) -> None:
        """Refuse settings of a run that would start from other events than these.

        Raises:
            ConfigError: a setting differs that decides which events are learnt from.
        """
        for name in _DECIDES_EVENTS:
            mine, other = (_setting(one, name) for one in (self.config, config))
            if mine != other:
                raise ConfigError(
                    f"Trainings that share their events cannot differ in {name}. Got {mine} and {other}."
                )


def _setting(config: RunConfig, path: str) -> object:
    return reduce(getattr, path.split("."), config)


def prepare(config: RunConfig, files: EventFiles | None = None) -> Prepared:
    """Read and split the events of a run.

    All tasks of one detector share the split of the same events with the same seed, so their test sets agree.

    Args:
        config: the settings.
        files: where the event files are, if not where the settings say; None takes the settings'.

    Raises:
        ConfigError: no files were given, or settings contradict each other.
        DataError: no event of a split can be learnt from.
        LeakageError: the same event stands in more than one split.
    """
    if not config.data.files:
        raise ConfigError(
            "The recipe names no files. Give them with --data FILE, or as data.files in the recipe."
        )
    detector = get_detector(config.detector)
    task = detector.task(config.task)
    heads = detector.heads(task)
    report = ReadReport([])
    files = files or EventFiles(tuple(map(Path, config.data.files)))
    events, left_out = chosen_events(config.data, _open(config, detector, task, report, files))
    if report.skipped:
        left_out = {"malformed": len(report.skipped)} | left_out
    events, listed = _split_lists(events)
    split = split_run(config, events, listed)
    if split.n_dropped:
        left_out["later copies of an event"] = split.n_dropped
    defined = strata_of(events.truth, heads) > 0
    parts = {name: getattr(split, name)[defined[getattr(split, name)]] for name in NAMES}
    kept = np.sort(np.concatenate([split.train, split.validation, split.test]))
    left_out |= count_undefined(events.truth[kept], heads, task.name)
    for name in ("train", "validation"):
        if len(parts[name]) == 0:
            raise DataError(f"No event of the {name} split has a target for task '{task.name}'.")
    shown = _shown(config, events.truth, parts["train"])
    left_out["outside train.selection, in the training split"] = len(parts["train"]) - len(shown)
    if config.train.mix == "undersampled":
        n_before = len(shown)
        shown = shown[undersampled(events.truth[shown], heads, config.split.seed)]
        left_out["beyond the size of the rarest class, in the training split"] = n_before - len(shown)
    truth = events.truth[shown]
    heads = tuple(present_classes(truth, head) for head in heads)
    check_classes(heads, truth, events.truth[parts["validation"]], config.train.monitor)
    kept_split = Split(shown, parts["validation"], parts["test"], split.n_dropped, split.hash)
    kinds = _kinds(config, truth, heads)
    counted = {reason: number for reason, number in left_out.items() if number}
    checksums = runs.file_checksums(files.paths)
    copies = _copies(split, events.truth, heads)
    told = told_by_file(events.truth, heads, shown)
    for sentence in told:
        log.warning("%s", sentence)
    return Prepared(
        config, detector, task, heads, events, kept_split, counted, checksums, kinds, copies, told
    )


def _copies(split: Split, truth: pl.DataFrame, heads: tuple[Task, ...]) -> CopyCount:
    """Count and tell events with equal images."""
    targets = [encode_target(truth, head) for head in heads]
    labels = [np.where(one.defined[:, None], one.values, np.nan) for one in targets]
    copies = count_copies(split.copies, np.concatenate(labels, axis=1))
    if copies.n_events:
        log.warning(
            "%s events have the image of another (%s images); %s have one that has another target elsewhere.",
            f"{copies.n_events:,}",
            f"{copies.n_images:,}",
            f"{copies.n_other_truth:,}",
        )
    return copies


def _open(
    config: RunConfig, detector: Detector, task: Task, report: ReadReport, files: EventFiles
) -> Events | StoredEvents:
    columns = needed_columns(config, detector, task)

    def opened(paths: Sequence[Path]) -> Events | StoredEvents:
        return open_events(config.data, detector, paths, columns=columns, report=report, called=files.called)

    events = opened_by_lists(config, detector, files, opened) if config.split.files else opened(files.paths)
    if isinstance(events, StoredEvents):
        if config.train.hard_sampling:
            raise ConfigError(
                "train.hard_sampling draws single events, which streaming cannot. Set "
                "train.hard_sampling=0 or data.memory=resident."
            )
        if config.train.last_batch == "keep":
            raise ConfigError(
                "train.last_batch=keep needs resident events; streamed ones come in whole batches. Set "
                "train.last_batch=drop or data.memory=resident."
            )
        check_conditions(config, events)
    return events


def opened_by_lists(
    config: RunConfig,
    detector: Detector,
    files: EventFiles,
    opened: Callable[[Sequence[Path]], Events | StoredEvents],
) -> Events | StoredEvents:
    """Read files that the lists of a split name, and note for each event which list its file is in."""
    parts = np.array([config.split.part_of(file) for file in config.data.files])
    if is_streamed(config.data, detector, files.paths):
        stored = cast(StoredEvents, opened(files.paths))
        ends = np.cumsum([file.n_events for file in stored.files])
        part = pl.Series(_LISTED, parts[np.searchsorted(ends, stored.rows, side="right")])
        return replace(stored, truth=stored.truth.with_columns(part))
    read = [cast(Events, opened([path])) for path in files.paths]
    noted = [pl.lit(int(part)).alias(_LISTED) for part in parts]
    return concat(
        [replace(one, truth=one.truth.with_columns(note)) for one, note in zip(read, noted, strict=True)]
    )


def _split_lists(events: Events | StoredEvents) -> tuple[Events | StoredEvents, NDArray[np.int64] | None]:
    """Take off the note of `opened_by_lists`: the events, and the split of each, None without lists."""
    if _LISTED not in events.truth.columns:
        return events, None
    listed = events.truth[_LISTED].to_numpy().astype(np.int64)
    return replace(events, truth=events.truth.drop(_LISTED)), listed


def split_run(config: RunConfig, events: EventSource, listed: NDArray[np.int64] | None = None) -> Split:
    """Deal the events of a run out to its splits; unless asked otherwise the same way whatever the task.

    Args:
        config: the settings.
        events: all events of the run.
        listed: number of the split whose list names the file of each event, shape (event,).

    Raises:
        ConfigError: lists of files deal the events out, and they are not told apart here.
        LeakageError: the same event stands in more than one split.
    """
    if config.split.files and listed is None:
        raise ConfigError(
            "split: lists of files deal the events out, so there are no folds to hold out. Give fractions."
        )
    detector = get_detector(config.detector)
    learnt = detector.heads(detector.task(config.task))
    classes = tuple(t for t in detector.tasks if t.is_classification)[:1]
    by_task = config.split.stratify == "task" or not classes
    strata = strata_of(events.truth, learnt if by_task else classes)
    return split_events(events, config.split, key=detector.key, strata=strata, listed=listed)


def _shown(config: RunConfig, truth: pl.DataFrame, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions of the training events that fulfil train.selection."""
    if not config.train.selection:
        return rows
    shown = rows[evaluate_condition(truth[rows], config.train.selection, setting="train.selection")]
    if not len(shown):
        raise DataError(
            f"train.selection: no event of the training split fulfils '{config.train.selection}'."
        )
    return shown


def _kinds(config: RunConfig, truth: pl.DataFrame, heads: tuple[Task, ...]) -> Kinds | None:
    mix = config.train.mix
    if isinstance(mix, str):
        return balanced_kinds(truth, heads) if mix == "balanced" else None
    return mixed_kinds(truth, mix)


def training_data(config: RunConfig, prepared: Prepared) -> ResidentData | StreamedData:
    """Return the events of a run, ready to be dealt out in batches."""
    shown_detector(prepared.detector, config.model.regions)
    chosen = (prepared.detector, prepared.heads, config.model.regions)
    if isinstance(prepared.events, Events):
        return ResidentData.from_events(prepared.events, *chosen)
    return StreamedData.from_events(
        prepared.events, *chosen, shuffle_events=config.data.shuffle_events, kinds=prepared.kinds
    )


def build_module(config: RunConfig, prepared: Prepared, data: ResidentData | StreamedData) -> TrainingModule:
    """Return a fresh network with constants fixed on the training split; weights depend on the seed alone."""
    rows = prepared.split.train
    _check_heads(config, prepared.heads)
    scalings = {
        name: tuple(
            fit_scaling(curve, pixels, rows, config.model.normalise) for curve in config.model.scaling
        )
        for name, pixels in data.pixels.items()
    }
    targets = {
        head.name: fit_target_scaling(
            head,
            data.targets[head.name][_defined_rows(data, head, rows)],
            config.model.target_curve.get(head.name, "linear"),
            config.model.target_units.get(head.name, "spread"),
        )
        for head in prepared.heads
        if not head.is_classification
    }
    shown = shown_detector(prepared.detector, config.model.regions)
    torch.manual_seed(config.train.seed)
    network = build_network(
        config.model.name,
        config.model.settings,
        shown.views,
        len(config.model.scaling),
        sum(head.n_outputs for head in prepared.heads),
    )
    augmentation = _augmentation(config, prepared, shown)
    weights = {}
    if config.train.class_weights == "balanced":
        weights = {h.name: _class_weights(data, h, rows) for h in prepared.heads if h.is_classification}
    preprocessing = Preprocessing(
        scalings=scalings,
        targets=targets,
        regions=config.model.regions,
        shares=config.model.class_scores,
    )
    return TrainingModule(network, prepared.heads, preprocessing, config.train, augmentation, weights)


def _augmentation(config: RunConfig, prepared: Prepared, shown: Detector) -> Augmentation | None:
    """Symmetries that are drawn from, checked against all settings that are about truth."""
    if config.train.augment is False:
        return None
    names = None if config.train.augment is True else config.train.augment
    symmetries = named_symmetries(prepared.detector, names)
    for symmetry in symmetries:
        for head in prepared.heads:
            check_whole_views(prepared.detector, symmetry, head, config.model.regions)
            if config.model.target_curve.get(head.name) == "log":
                truth = prepared.events.truth[prepared.split.train]
                check_positive(prepared.detector, symmetry, head, truth)
    _check_settings(config, prepared, symmetries)
    return Augmentation(shown, prepared.heads, prepared.events.truth, prepared.split.train, names)


def _check_settings(config: RunConfig, prepared: Prepared, symmetries: Sequence[Symmetry]) -> None:
    """Refuse selections and shares that hold for an event, but not for its image under a symmetry."""
    truth = prepared.events.truth[prepared.split.train]
    _check_selections(config, prepared.detector, symmetries, truth)
    mix = config.train.mix
    for text in () if isinstance(mix, str) else mix:
        labels = partial(evaluate_condition, expression=text)
        check_invariant(prepared.detector, symmetries, truth, f"train.mix '{text}'", [text], labels)
    classifying = [head for head in prepared.heads if head.is_classification]
    by_class = [("train.mix = balanced", head) for head in classifying[:1] if mix == "balanced"]
    if config.train.class_weights == "balanced":
        by_class += [("train.class_weights = balanced", head) for head in classifying]
    for setting, head in by_class:
        check_invariant(
            prepared.detector,
            symmetries,
            truth,
            f"{setting}, which counts the classes of task '{head.name}',",
            [head.target, head.selection],
            partial(_class_numbers, head=head),
        )


def _check_selections(
    config: RunConfig, detector: Detector, symmetries: Sequence[Symmetry], truth: pl.DataFrame
) -> None:
    selections = {"data.selection": config.data.selection, "train.selection": config.train.selection}
    for setting, text in selections.items():
        if text:
            labels = partial(evaluate_condition, expression=text)
            check_invariant(detector, symmetries, truth, f"{setting} '{text}'", [text], labels)


def _class_numbers(truth: pl.DataFrame, head: Task) -> NDArray[np.float32]:
    target = encode_target(truth, head)
    return np.where(target.defined, target.values[:, 0], -1)


def learnt_effects(config: RunConfig, prepared: Prepared) -> dict[str, dict[str, OutputEffect] | str]:
    """Return what each symmetry does to the outputs of each head; why it cannot be averaged over, if so.

    Raises:
        ConfigError: model.symmetrise is on and no symmetry can be averaged over.
    """
    truth = prepared.events.truth[prepared.split.train]
    effects: dict[str, dict[str, OutputEffect] | str] = {}
    for symmetry in prepared.detector.symmetries:
        try:
            _check_selections(config, prepared.detector, [symmetry], truth)
            for head in prepared.heads:
                check_whole_views(prepared.detector, symmetry, head, config.model.regions)
            effects[symmetry.name] = {
                head.name: learnt_effect(prepared.detector, symmetry, head, truth) for head in prepared.heads
            }
        except ConfigError as error:
            effects[symmetry.name] = str(error)
    refused = [effect for effect in effects.values() if isinstance(effect, str)]
    if config.model.symmetrise and refused and len(refused) == len(effects):
        raise ConfigError(f"model.symmetrise: {refused[0]}")
    return effects


def _check_heads(config: RunConfig, heads: tuple[Task, ...]) -> None:
    """Refuse settings by head that name no head, or one they mean nothing for."""
    known = [head.name for head in heads]
    regressions = [head.name for head in heads if not head.is_classification]
    by_head = {
        "train.loss": (config.train.loss, regressions),
        "train.task_weights": (config.train.task_weights, known),
        "model.target_curve": (config.model.target_curve, regressions),
        "model.target_units": (config.model.target_units, regressions),
    }
    for setting, (given, names) in by_head.items():
        for name in {} if isinstance(given, str) else given:
            if name not in names:
                raise ConfigError(f"{setting}: there is no such head as '{name}'. {choose_from(name, names)}")


def weights_hash(network: torch.nn.Module) -> str:
    """Return the sha256 of a network's weights: equal for networks that start alike.

    Examples:
        >>> weights_hash(torch.nn.ReLU())[:8]
        'e3b0c442'
    """
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _defined_rows(data: ResidentData | StreamedData, head: Task, rows: NDArray[np.int64]) -> torch.Tensor:
    positions = torch.from_numpy(rows)
    return positions[data.defined[head.name][positions]]


def _class_weights(data: ResidentData | StreamedData, head: Task, rows: NDArray[np.int64]) -> torch.Tensor:
    labels = data.targets[head.name][_defined_rows(data, head, rows), 0].long()
    counts = torch.bincount(labels, minlength=len(head.class_names)).clamp(min=1)
    return len(labels) / (len(head.class_names) * counts.float())
