"""The detector's symmetries, applied to whole batches on the device, truth moving along."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hitlens.detector import Detector, Symmetry, Task, View
from hitlens.errors import ConfigError


def pixel_order(view: View, symmetry: Symmetry | None) -> NDArray[np.int64]:
    """Return for each pixel of the changed image the flat index of the pixel it comes from, shape (row*col,).

    Args:
        view: geometry of the image.
        symmetry: what is done to it; None is the identity.

    Raises:
        ConfigError: a transposition of an image that is not square.
    """
    index = np.arange(int(np.prod(view.shape))).reshape(view.shape)
    if symmetry is not None:
        if symmetry.transpose:
            if len(set(view.shape)) != 1:
                raise ConfigError(
                    f"Symmetry '{symmetry.name}' needs a square image; view '{view.name}' is {view.shape}."
                )
            index = index.T
        for axis in symmetry.flips:
            if axis in view.axes:
                index = np.flip(index, axis=view.axes.index(axis))
    return np.ascontiguousarray(index).reshape(-1)


class Augmentation(torch.nn.Module):
    """Draws one symmetry an event, the identity among them, and applies it to images and targets at once.

    Args:
        detector: gives views and legal symmetries.
        heads: tasks whose targets move along.
        names: which symmetries to use; all legal ones by default.

    Raises:
        ConfigError: an unknown symmetry, or one that needs a square image.
    """

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
        self.views = [view.name for view in detector.views]
        for view in detector.views:
            self._constant(
                f"order_{view.name}", np.stack([pixel_order(view, symmetry) for symmetry in chosen])
            )
        self.heads = [head for head in heads if not head.is_classification]
        for head in self.heads:
            effects = [_column_effects(head, symmetry) for symmetry in chosen]
            for part, name in enumerate(("source", "scale", "offset")):
                self._constant(f"{name}_{head.name}", np.stack([effect[part] for effect in effects]))

    def _constant(self, name: str, values: NDArray[Any]) -> None:
        self.register_buffer(name, torch.from_numpy(values), persistent=False)

    def draw(self, n_events: int, device: torch.device) -> torch.Tensor:
        """Return a random symmetry number for each event; 0 is the identity."""
        return torch.randint(self.n_symmetries, (n_events,), device=device)

    def images(self, view: str, images: torch.Tensor, number: torch.Tensor) -> torch.Tensor:
        """Return changed images, shape (event, row, col) as given.

        Args:
            view: name of the view.
            images: pixel values of any type, shape (event, row, col).
            number: symmetry of each event, shape (event,).
        """
        order = self.get_buffer(f"order_{view}")[number]
        flat = images.flatten(1)
        if flat.dtype == torch.uint16:  # torch gathers no uint16 on the CPU; the bits are the same
            return flat.view(torch.int16).gather(1, order).view(torch.uint16).view(images.shape)
        return flat.gather(1, order).view(images.shape)

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
