"""Pixel values -> network input: scalings with constants from the training split, kept in the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from hitlens.errors import DataError

#: Pixels that are dense at a time while constants are fixed.
_BLOCK_PIXELS = 1 << 24

Curve = Literal["linear", "log1p", "sqrt", "shape"]

#: How the values of a curve are shifted and stretched, see `fit_scaling`.
Normalise = Literal["standard", "minmax", "full_range"]


class PixelSource(Protocol):
    """Pixels of one view of all events, in memory or not."""

    def __getitem__(self, rows: torch.Tensor, /) -> torch.Tensor:
        """Return dense images of the events at these positions."""
        ...


def _shape(pixels: torch.Tensor) -> torch.Tensor:
    mean = pixels.flatten(1).mean(dim=1).view(-1, *(1,) * (pixels.ndim - 1))
    return torch.log1p(pixels / torch.where(mean > 0, mean, 1))


#: Curves applied to images before shifting and stretching. sqrt makes photon noise the same everywhere;
#: shape is the logarithm of a pixel over the mean pixel of its event: dim events look like bright ones.
CURVES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "linear": lambda pixels: pixels,
    "log1p": torch.log1p,
    "sqrt": torch.sqrt,
    "shape": _shape,
}


class Scaling(BaseModel):
    """One input channel of a view: ``(curve(pixel) - offset) / scale``.

    Attributes:
        curve: what is applied to the pixel values first.
        offset: in units of the curve.
        scale: in units of the curve, above 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    curve: Curve
    offset: float
    scale: float

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return scaled pixels, float32, of the same shape."""
        return (CURVES[self.curve](pixels.float()) - self.offset) / self.scale


def fit_scaling(
    curve: Curve,
    pixels: PixelSource,
    rows: NDArray[np.int64],
    normalise: Normalise = "standard",
) -> Scaling:
    """Fix the constants of a scaling on the training events.

    Args:
        curve: a key of `CURVES`.
        pixels: of all events; a block of them is dense at a time.
        rows: positions of the training events; no other event is looked at.
        normalise: "minmax" maps the training range to 0..1; "standard" gives mean 0 and deviation 1;
            "full_range" maps 0 and the largest value of the pixels' integer type to 0 and 1.

    Raises:
        DataError: every training pixel has the same value, or pixels without a largest value.

    Examples:
        >>> fit_scaling("linear", torch.tensor([[[0, 4]], [[0, 99]]]), np.array([0]), "minmax")
        Scaling(curve='linear', offset=0.0, scale=4.0)
    """
    low, high, total, squares, n = np.inf, -np.inf, 0.0, 0.0, 0
    for block in blocks_of(pixels, rows):
        values = CURVES[curve](block.float())
        low, high = min(low, values.min().item()), max(high, values.max().item())
        values = values.double()
        total, squares, n = (
            total + values.sum().item(),
            squares + values.square().sum().item(),
            n + values.numel(),
        )
    if not high > low:
        raise DataError(f"Every training pixel has the value {low:g}: there is nothing to learn from.")
    if normalise == "full_range":
        return _full_range(curve, pixels[torch.from_numpy(rows[:1])])
    if normalise == "minmax":
        return Scaling(curve=curve, offset=low, scale=high - low)
    mean = total / n
    return Scaling(curve=curve, offset=mean, scale=float(np.sqrt(max(squares / n - mean**2, 1e-12))))


def _full_range(curve: Curve, pixels: torch.Tensor) -> Scaling:
    """Return the scaling of a curve from 0 to the largest value that the pixels' type can hold."""
    if pixels.dtype.is_floating_point or curve == "shape":
        raise DataError(
            f"model.normalise=full_range needs integer pixels and a curve of single pixels. Got "
            f"{str(pixels.dtype).removeprefix('torch.')} and {curve}. Take minmax or standard."
        )
    low, high = CURVES[curve](torch.tensor([0.0, float(torch.iinfo(pixels.dtype).max)])).tolist()
    return Scaling(curve=curve, offset=low, scale=high - low)


def blocks_of(pixels: PixelSource, rows: NDArray[np.int64]) -> Iterator[torch.Tensor]:
    """Yield dense images of the events at these positions, a bounded number of pixels at a time."""
    n_pixels = max(1, pixels[torch.from_numpy(rows[:1])].numel())
    for part in np.array_split(rows, max(1, len(rows) * n_pixels // _BLOCK_PIXELS)):
        yield pixels[torch.from_numpy(part)]
