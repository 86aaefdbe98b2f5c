"""What the detector's symmetries do to truth, targets and answers; truth columns decide the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from hitlens.datasets.regions import Region, region_of
from hitlens.datasets.targets import Target, encode_target
from hitlens.detector import Detector, Symmetry, Task, TruthEffect
from hitlens.errors import ConfigError, DataError, choose_from
from hitlens.events import Events
from hitlens.sql import columns_of


def named_symmetries(detector: Detector, names: Sequence[str] | None = None) -> tuple[Symmetry, ...]:
    """Return the symmetries of these names, all of the detector by default.

    Raises:
        ConfigError: an unknown symmetry.
    """
    known = {symmetry.name: symmetry for symmetry in detector.symmetries}
    for name in names or ():
        if name not in known:
            raise ConfigError(f"'{name}' is not a symmetry of {detector.name}. {choose_from(name, known)}")
    return tuple(known[name] for name in (known if names is None else names))


def moved_columns(detector: Detector, symmetry: Symmetry) -> frozenset[str]:
    """Return the truth columns that a symmetry changes, by a stated effect or through their expression.

    Examples:
        >>> from hitlens.detectors import get_detector
        >>> cebr = get_detector("cebr")
        >>> sorted(moved_columns(cebr, cebr.symmetries[0]))[:2]
        ['y_1_px', 'y_2_px']
    """
    moved = {column for column, effect in symmetry.truth.items() if effect != TruthEffect(source=column)}
    derived = [one for one in detector.truth if one.expression and one.name not in symmetry.truth]
    while more := [
        one.name for one in derived if one.name not in moved and columns_of(one.expression) & moved
    ]:
        moved.update(more)
    return frozenset(moved)


def columns_behind(detector: Detector, names: Iterable[str]) -> set[str]:
    """Return these truth columns with all others on which their values, also those under a symmetry, depend.

    Args:
        detector: gives expressions and symmetries.
        names: of truth columns.
    """
    expressions = {column.name: column.expression for column in detector.truth if column.expression}
    found: set[str] = set()
    todo = set(names)
    while todo:
        found |= todo
        effects = [one.truth[name].source for one in detector.symmetries for name in todo & one.truth.keys()]
        todo = {*effects, *(c for name in todo & expressions.keys() for c in columns_of(expressions[name]))}
        todo -= found
    return found


def changed_truth(truth: pl.DataFrame, detector: Detector, symmetry: Symmetry) -> pl.DataFrame:
    """Return the truth of the events as a symmetry changes them; what cannot be known of them is null.

    Args:
        truth: one row an event, derived columns computed.
        detector: gives the derived columns.
        symmetry: its stated effects are applied, then columns computed from changed ones are computed again.

    Raises:
        ConfigError: an effect cannot be applied to what its source holds.

    Examples:
        >>> from hitlens.detectors import get_detector
        >>> cebr = get_detector("cebr")
        >>> changed_truth(pl.DataFrame({"x_1_px": [1.0, None]}), cebr, cebr.symmetries[1])["x_1_px"].to_list()
        [15.0, None]
    """
    stated = {
        column: _changed_column(truth, symmetry, column, effect)
        for column, effect in symmetry.truth.items()
        if column in truth.columns
    }
    derived = moved_columns(detector, symmetry) - symmetry.truth.keys()
    plain = truth.with_columns(**stated).drop(derived & set(truth.columns))
    changed = detector.complete(Events({}, plain, detector.name)).truth
    missing = [name for name in truth.columns if name not in changed.columns]
    return changed.with_columns(pl.lit(None, truth.schema[name]).alias(name) for name in missing).select(
        truth.columns
    )


def _changed_column(truth: pl.DataFrame, symmetry: Symmetry, column: str, effect: TruthEffect) -> pl.Series:
    """New values of one column, of the type of its source."""
    if effect.source not in truth.columns:
        return pl.Series(column, [None], truth.schema[column]).new_from_index(0, len(truth))
    values = truth[effect.source].rename(column)
    if (effect.scale, effect.offset) == (1, 0):
        return values
    if not (values.dtype.is_numeric() or values.dtype in (pl.Boolean, pl.Null)):
        raise ConfigError(
            f"Symmetry '{symmetry.name}' makes '{column}' from '{effect.source}' by scale and offset, but "
            f"that holds {values.dtype}. State the effect on a column of numbers."
        )
    whole = float(effect.scale).is_integer() and float(effect.offset).is_integer()
    if whole and (values.dtype.is_integer() or values.dtype == pl.Boolean):
        changed = values.cast(pl.Int64) * int(effect.scale) + int(effect.offset)
    else:
        changed = values.cast(pl.Float64) * effect.scale + effect.offset
    if values.dtype == pl.Boolean:
        if not changed.drop_nulls().is_in([0, 1]).all():
            raise ConfigError(
                f"Symmetry '{symmetry.name}' makes of '{effect.source}', which is true or false, other "
                "numbers than 0 and 1. Scale -1 with offset 1 exchanges the two."
            )
        return changed.cast(pl.Boolean)
    return changed.cast(values.dtype) if values.dtype.is_float() else changed


def task_columns(head: Task) -> frozenset[str]:
    """Return the truth columns that target and selection of a task are computed from."""
    target = columns_of(head.target) if head.is_classification else frozenset(head.target_columns)
    return target | columns_of(head.selection)


def changed_target(truth: pl.DataFrame, detector: Detector, symmetry: Symmetry, head: Task) -> Target:
    """Return the target of events as a symmetry changes them: that of the changed truth.

    Raises:
        ConfigError: it has a class that the task does not have, or an effect cannot be applied.
    """
    changed = changed_truth(truth, detector, symmetry)
    known = np.ones(len(truth), dtype=bool)
    if not head.is_classification:
        numbers = changed.select(pl.col(head.target_columns).cast(pl.Float64).fill_null(float("nan")))
        known = np.isfinite(numbers.to_numpy()).all(axis=1)
    try:
        target = encode_target(changed.filter(known), head)
    except DataError as error:
        columns = _listed(moved_columns(detector, symmetry) & task_columns(head))
        raise ConfigError(f"Symmetry '{symmetry.name}', which changes {columns}: {error}") from None
    values, defined = (
        np.zeros((len(truth), target.values.shape[1]), target.values.dtype),
        np.zeros(len(truth), bool),
    )
    values[known], defined[known] = target.values, target.defined
    return Target(values, defined)


class OutputEffect(BaseModel):
    """What a symmetry does to the outputs of a head: ``scale * outputs[source] + offset`` for each.

    Of two classes that change places, the score changes its sign; of more, scores are permuted.

    Attributes:
        source: by output, the position of the one whose value counts.
        scale: by output.
        offset: by output, in its unit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: tuple[int, ...]
    scale: tuple[float, ...]
    offset: tuple[float, ...]

    @classmethod
    def none(cls, n_outputs: int) -> OutputEffect:
        """Return the effect that changes nothing."""
        return cls(source=tuple(range(n_outputs)), scale=(1.0,) * n_outputs, offset=(0.0,) * n_outputs)

    @classmethod
    def of_classes(cls, head: Task, images: Sequence[int]) -> OutputEffect:
        """Return the effect on raw scores when classes change places.

        Args:
            head: the task.
            images: by class, which it becomes.

        Examples:
            >>> task = Task(name="s", kind="binary", meaning="", target="s", class_names=("a", "b"))
            >>> OutputEffect.of_classes(task, [1, 0])
            OutputEffect(source=(0,), scale=(-1.0,), offset=(0.0,))
        """
        if head.kind == "binary":
            return cls(source=(0,), scale=(1.0 if images[0] == 0 else -1.0,), offset=(0.0,))
        n = len(images)
        source = tuple(int(one) for one in np.argsort(images))
        return cls(source=source, scale=(1.0,) * n, offset=(0.0,) * n)

    @property
    def can_be_undone(self) -> bool:
        """Whether the original outputs follow from the changed ones."""
        return len(set(self.source)) == len(self.source) and all(self.scale)

    def undo(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return outputs for changed events in the frame of the original ones, shape (event, n_outputs)."""
        scale, offset = outputs.new_tensor(self.scale), outputs.new_tensor(self.offset)
        original = torch.empty_like(outputs)
        original[:, list(self.source)] = (outputs - offset) / scale
        return original


def stated_effect(detector: Detector, symmetry: Symmetry, head: Task) -> OutputEffect | None:
    """Return the effect on a head's targets that the description alone gives; None where truth must decide.

    That is where classes, the selection or columns with an expression depend on what the symmetry changes, or
    where a target comes from a column that is not predicted.
    """
    moved = moved_columns(detector, symmetry) & task_columns(head)
    if not moved:
        return OutputEffect.none(head.n_outputs)
    columns = head.target_columns
    if head.is_classification or moved & columns_of(head.selection) or not moved <= symmetry.truth.keys():
        return None
    effects = [symmetry.truth.get(column, TruthEffect(source=column)) for column in columns]
    if not all(effect.source in columns for effect in effects):
        return None
    return OutputEffect(
        source=tuple(columns.index(effect.source) for effect in effects),
        scale=tuple(effect.scale for effect in effects),
        offset=tuple(effect.offset for effect in effects),
    )


def learnt_effect(detector: Detector, symmetry: Symmetry, head: Task, truth: pl.DataFrame) -> OutputEffect:
    """Return the effect of a symmetry on a head's outputs, the same for all events, so that it can be undone.

    Args:
        detector: of the events.
        symmetry: one of its symmetries.
        head: a task with a head of its own.
        truth: of the training events.

    Raises:
        ConfigError: the effect is not the same for all events, or cannot be undone.
    """
    effect = stated_effect(detector, symmetry, head)
    if effect is None:
        before, after = encode_target(truth, head), changed_target(truth, detector, symmetry, head)
        effect = _effect_on(head, before, after)
    if effect is None or not effect.can_be_undone:
        columns = _listed(moved_columns(detector, symmetry) & task_columns(head))
        what = "classes" if head.is_classification else "targets"
        raise ConfigError(
            f"Predictions of task '{head.name}' cannot be averaged over symmetry '{symmetry.name}': it "
            f"changes {columns}, and what it does to the {what} is not the same for all events, or cannot be "
            "undone."
        )
    return effect


def _effect_on(head: Task, before: Target, after: Target) -> OutputEffect | None:
    """Effect that turns all of these targets into the others; None where no single one does."""
    rows = before.defined
    if not (rows == after.defined).all():
        return None
    old, new = before.values[rows], after.values[rows]
    if not head.is_classification:
        return OutputEffect.none(head.n_outputs) if np.allclose(old, new, rtol=1e-5, atol=1e-6) else None
    pairs = np.unique(np.column_stack([old[:, 0], new[:, 0]]).astype(int), axis=0)
    images = dict(pairs.tolist())
    classes = set(range(len(head.class_names)))
    if len(images) < len(pairs) or len(set(images.values())) < len(images):
        return None
    absent, left = classes - images.keys(), classes - set(images.values())
    if len(absent) > 1:  # where only one has no event, it is clear what it becomes
        return None
    images |= dict(zip(absent, left, strict=True))
    return OutputEffect.of_classes(head, [images[number] for number in sorted(classes)])


def check_invariant(
    detector: Detector,
    symmetries: Sequence[Symmetry],
    truth: pl.DataFrame,
    setting: str,
    texts: Sequence[str],
    labels: Callable[[pl.DataFrame], NDArray[Any]],
) -> None:
    """Refuse a setting that tells an event from its image under a symmetry.

    Args:
        detector: of the events.
        symmetries: those that are used.
        truth: of the training events.
        setting: what the error calls it.
        texts: SQL that it is computed from.
        labels: what it makes of each event of a truth table, shape (event,).

    Raises:
        ConfigError: some event is told from its image.
    """
    used = frozenset().union(*map(columns_of, texts))
    for symmetry in symmetries:
        columns = moved_columns(detector, symmetry) & used
        if not columns:
            continue
        differ = labels(truth) != labels(changed_truth(truth, detector, symmetry))
        if differ.any():
            raise ConfigError(
                f"{setting} tells an event from its image under symmetry '{symmetry.name}', which changes "
                f"{_listed(columns)}: {differ.sum():,} of {len(truth):,} training events. Leave the symmetry "
                "out (train.augment: false, or a list of the others), or the setting."
            )


def check_whole_views(detector: Detector, symmetry: Symmetry, head: Task, regions: dict[str, Region]) -> None:
    """Refuse a symmetry that moves a target along an axis of which the network is shown a part.

    A part that is flipped is another part than that of the flipped image; the target would be wrong.

    Args:
        detector: with whole views.
        symmetry: one of its symmetries.
        head: a task with a head of its own.
        regions: part of the images the network is shown, by view.

    Raises:
        ConfigError: such a symmetry.
    """
    used = columns_behind(detector, task_columns(head)) & moved_columns(detector, symmetry)
    shifted = {name for name in used & symmetry.truth.keys() if symmetry.truth[name].offset}
    shifted |= {
        one.name for one in detector.truth if one.name in used and getattr(one, "axis", "") in symmetry.flips
    }
    if not shifted:
        return
    for view in detector.views:
        region = region_of(regions, view.name)
        crop = region.crop if region and region.crop else view.shape
        for axis, kept, size in zip(view.axes, crop, view.shape, strict=True):
            if axis in symmetry.flips and kept < size:
                raise ConfigError(
                    f"model.regions shows {kept} of {size} pixels of view '{view.name}' along '{axis}', "
                    f"which symmetry '{symmetry.name}' flips, and task '{head.name}' depends on "
                    f"{_listed(shifted)}: a flipped part is not the same part of the flipped image. Leave "
                    "the symmetry out (train.augment), or show the whole axis."
                )


def check_positive(detector: Detector, symmetry: Symmetry, head: Task, truth: pl.DataFrame) -> None:
    """Refuse a symmetry that makes targets of 0 or less, of a regression whose target curve is "log".

    Args:
        detector: of the events.
        symmetry: one of its symmetries.
        head: the regression.
        truth: of the training events.

    Raises:
        ConfigError: such a target.
    """
    moved = moved_columns(detector, symmetry) & task_columns(head)
    if not moved:
        return
    target = changed_target(truth, detector, symmetry, head)
    lowest = target.values[target.defined].min(initial=np.inf)
    if not lowest > 0:
        raise ConfigError(
            f"model.target_curve: targets of '{head.name}' must be above 0 for the curve 'log'. Symmetry "
            f"'{symmetry.name}', which changes {_listed(moved)}, makes {lowest:g}. Leave the symmetry out "
            "(train.augment), or take the curve 'linear'."
        )


def _listed(columns: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(columns))
