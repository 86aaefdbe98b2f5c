"""The detector's symmetries, applied to whole batches on the device, truth moving along."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hitlens.detector import Detector, Symmetry, Task, View
from hitlens.errors import ConfigError


def change_images(images: torch.Tensor, view: View, symmetry: Symmetry) -> torch.Tensor:
    """Return the images of a view as the symmetry changes them, of the same shape.

    Args:
        images: shape (event, row, col), one axis more for a view of volumes.
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
    return images.flip(flipped) if flipped else images


class Augmentation(torch.nn.Module):
    """Draws one symmetry an event, the identity among them, and applies it to images and targets at once.

    Args:
        detector: gives views and legal symmetries.
        heads: tasks whose targets move along.
        names: which symmetries to use; all legal ones by default.

    Attributes:
        generator: draws; torch's own for the device where None.

    Raises:
        ConfigError: an unknown symmetry.
    """

    generator: torch.Generator | None = None

    def __init__(self, detector: Detector, heads: Sequence[Task], names: Sequence[str] | None = None) -> None:
        super().__init__()
        known = {symmetry.name: symmetry for symmetry in detector.symmetries}
        unknown = sorted(set(names or ()) - known.keys())
        if unknown:
            raise ConfigError(
                f"'{unknown[0]}' is not a symmetry of {detector.name}. There are: {', '.join(known)}."
            )
        chosen = [None, *(known[name] for name in (known if names is None else names))]
        self.n_symmetries = len(chosen)
        self.symmetries = chosen
        self.views = {view.name: view for view in detector.views}
        self.heads = [head for head in heads if not head.is_classification]
        for head in self.heads:
            effects = [_column_effects(head, symmetry) for symmetry in chosen]
            for part, name in enumerate(("source", "scale", "offset")):
                self._constant(f"{name}_{head.name}", np.stack([effect[part] for effect in effects]))

    def _constant(self, name: str, values: NDArray[Any]) -> None:
        self.register_buffer(name, torch.from_numpy(values), persistent=False)

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
        # torch selects and flips no uint16 on the CPU; the bits are the same.
        bits = images.view(torch.int16) if images.dtype == torch.uint16 else images
        changed = bits
        for position, symmetry in enumerate(self.symmetries):
            if symmetry is None or not _touches(symmetry, self.views[view]):
                continue
            rows = (number == position).nonzero()[:, 0]
            if len(rows):
                changed = bits.clone() if changed is bits else changed
                changed[rows] = change_images(bits[rows], self.views[view], symmetry)
        return changed.view(images.dtype)

    def target(self, head: Task, values: torch.Tensor, number: torch.Tensor) -> torch.Tensor:
        """Return the targets of the changed events, physical units, shape (event, n_outputs)."""
        if head.is_classification:
            return values
        source, scale, offset = (
            self.get_buffer(f"{part}_{head.name}")[number] for part in ("source", "scale", "offset")
        )
        return values.gather(1, source) * scale + offset

    def undo_target(self, head: Task, values: torch.Tensor, number: torch.Tensor) -> torch.Tensor:
        """Return predictions made on changed events in the frame of the original ones."""
        if head.is_classification:
            return values
        source, scale, offset = (
            self.get_buffer(f"{part}_{head.name}")[number] for part in ("source", "scale", "offset")
        )
        return torch.zeros_like(values).scatter(1, source, (values - offset) / scale)


def _touches(symmetry: Symmetry, view: View) -> bool:
    return symmetry.transpose or any(axis in view.axes for axis in symmetry.flips)


def _column_effects(
    head: Task, symmetry: Symmetry | None
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    """Source position, scale and offset for each target column of a head."""
    columns = head.target_columns
    source, scale, offset = np.arange(len(columns)), np.ones(len(columns)), np.zeros(len(columns))
    for position, column in enumerate(columns):
        effect = None if symmetry is None else symmetry.truth.get(column)
        if effect is None:
            continue
        if effect.source not in columns:
            raise ConfigError(
                f"Symmetry '{symmetry.name if symmetry else ''}' mixes '{column}' with '{effect.source}', "
                f"which task '{head.name}' does not predict. Leave the symmetry out for this task."
            )
        source[position], scale[position], offset[position] = (
            columns.index(effect.source),
            effect.scale,
            effect.offset,
        )
    return source, scale.astype(np.float32), offset.astype(np.float32)
