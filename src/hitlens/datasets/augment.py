"""The detector's symmetries, applied to whole batches on the device, truth moving along."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from hitlens.datasets.resident import Batch
from hitlens.datasets.symmetries import OutputEffect, changed_target, named_symmetries, stated_effect
from hitlens.datasets.targets import encode_target
from hitlens.detector import Detector, Symmetry, Task, View
from hitlens.errors import ConfigError


def change_images(images: torch.Tensor, view: View, symmetry: Symmetry) -> torch.Tensor:
    """Return the images of a view as the symmetry changes them, of the same shape.

    Args:
        images: pixel values of any type, shape (event, row, col), one axis more for a view of volumes.
        view: geometry of the images.
        symmetry: what is done to them.

    Raises:
        ConfigError: a transposition of an image that is not square.
    """
    if symmetry.transpose:
        if len(set(view.shape)) != 1:
            raise ConfigError(
                f"Symmetry '{symmetry.name}' needs a square image; view '{view.name}' is {view.shape}."
            )
        images = images.permute(0, *range(images.ndim - 1, 0, -1))
    flipped = [1 + view.axes.index(axis) for axis in symmetry.flips if axis in view.axes]
    if not flipped:
        return images
    if images.dtype == torch.uint16:  # which torch does not flip on the CPU; the bits are the same
        return images.view(torch.int16).flip(flipped).view(torch.uint16)
    return images.flip(flipped)


class TargetTable:
    """Targets of one head for every event under every symmetry, looked up by batch.

    No buffers of a module, which moving averages, copies and processes would copy at every step.

    Args:
        values: class index or target columns, shape (symmetry, event, n_outputs).
        defined: where they have a meaning, shape (symmetry, event).
    """

    def __init__(self, values: torch.Tensor, defined: torch.Tensor) -> None:
        self.values, self.defined = values, defined

    def __deepcopy__(self, memo: dict[int, object]) -> TargetTable:
        return self

    def at(self, number: torch.Tensor, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return targets, shape (event, n_outputs), and where they are defined, shape (event,).

        Args:
            number: symmetry of each event, shape (event,).
            rows: position of each event, shape (event,).
        """
        if self.values.device != rows.device:
            self.values, self.defined = self.values.to(rows.device), self.defined.to(rows.device)
        values = self.values[number, rows]
        return values if values.is_floating_point() else values.float(), self.defined[number, rows]


class Augmentation(torch.nn.Module):
    """Draws one symmetry an event, the identity among them, and applies it to images and targets at once.

    Targets move along by the stated effects where these decide; where classes or selections depend on what a
    symmetry changes, the target of each event is computed from its changed truth, for every symmetry, here.

    Args:
        detector: gives views and legal symmetries.
        heads: tasks whose targets move along.
        truth: of all events of the training data, in their order.
        rows: positions of the training events.
        names: which symmetries to use; all legal ones by default.

    Attributes:
        generator: draws; torch's own for the device where None.

    Raises:
        ConfigError: an unknown symmetry, or one that makes targets which a task does not have.
    """

    generator: torch.Generator | None = None

    def __init__(
        self,
        detector: Detector,
        heads: Sequence[Task],
        truth: pl.DataFrame,
        rows: NDArray[np.int64],
        names: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self.symmetries = named_symmetries(detector, names)
        self.n_symmetries = 1 + len(self.symmetries)
        self.views = {view.name: view for view in detector.views}
        self.tables: dict[str, TargetTable] = {}
        for head in heads:
            effects = [stated_effect(detector, symmetry, head) for symmetry in self.symmetries]
            stated = [effect for effect in effects if effect is not None]
            if len(stated) < len(effects):
                self.tables[head.name] = self._table(detector, head, truth, rows)
            elif any(effect != OutputEffect.none(head.n_outputs) for effect in stated):
                self._keep_effects(head, [OutputEffect.none(head.n_outputs), *stated])

    def _keep_effects(self, head: Task, effects: Sequence[OutputEffect]) -> None:
        """Keep what each symmetry does to the targets of any event, shape (symmetry, n_outputs)."""
        for part in ("source", "scale", "offset"):
            kind = torch.int64 if part == "source" else torch.float64
            values = torch.tensor([getattr(effect, part) for effect in effects], dtype=kind)
            self.register_buffer(f"{part}_{head.name}", values, persistent=False)

    def _table(
        self, detector: Detector, head: Task, truth: pl.DataFrame, rows: NDArray[np.int64]
    ) -> TargetTable:
        """Targets of the training events under each symmetry; those of others are undefined."""
        shown = truth[rows]
        of_each = [encode_target(shown, head)]
        of_each += [changed_target(shown, detector, symmetry, head) for symmetry in self.symmetries]
        width = of_each[0].values.shape[1]
        small = head.is_classification and len(head.class_names) <= 256
        kind = np.uint8 if small else of_each[0].values.dtype
        values = np.zeros((len(of_each), len(truth), width), dtype=kind)
        defined = np.zeros((len(of_each), len(truth)), dtype=bool)
        for number, target in enumerate(of_each):
            values[number, rows] = np.where(target.defined[:, None], target.values, 0).astype(kind)
            defined[number, rows] = target.defined
        return TargetTable(torch.from_numpy(values), torch.from_numpy(defined))

    def draw(self, n_events: int, device: torch.device) -> torch.Tensor:
        """Return a random symmetry number for each event; 0 is the identity."""
        return torch.randint(self.n_symmetries, (n_events,), device=device, generator=self.generator)

    def images(self, view: str, images: torch.Tensor, number: torch.Tensor) -> torch.Tensor:
        """Return changed images, shape (event, row, col) as given.

        Args:
            view: name of the view.
            images: pixel values of any type, shape (event, row, col).
            number: symmetry of each event, shape (event,).
        """
        # torch selects no uint16 on the CPU; the bits are the same.
        bits = images.view(torch.int16) if images.dtype == torch.uint16 else images
        changed = bits
        for position, symmetry in enumerate(self.symmetries, start=1):
            if not _touches(symmetry, self.views[view]):
                continue
            rows = (number == position).nonzero()[:, 0]
            if len(rows):
                changed = bits.clone() if changed is bits else changed
                changed[rows] = change_images(bits[rows], self.views[view], symmetry)
        return changed.view(images.dtype)

    def targets(
        self, batch: Batch, number: torch.Tensor
    ) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Return by head the targets of the changed events, and where they are defined.

        Args:
            batch: training events.
            number: symmetry of each event, shape (event,).
        """
        targets, defined = dict(batch.targets), dict(batch.defined)
        kept = dict(self.named_buffers())
        for name, values in batch.targets.items():
            if name in self.tables:
                targets[name], defined[name] = self.tables[name].at(number, batch.rows)
            elif f"source_{name}" in kept:
                parts = (kept[f"{part}_{name}"][number] for part in ("source", "scale", "offset"))
                source, scale, offset = parts
                targets[name] = (values.gather(1, source) * scale + offset).to(values.dtype)
        return targets, defined


def _touches(symmetry: Symmetry, view: View) -> bool:
    return symmetry.transpose or any(axis in view.axes for axis in symmetry.flips)
