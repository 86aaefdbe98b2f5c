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


def _signed_shape(pixels: torch.Tensor) -> torch.Tensor:
    size = pixels.abs().flatten(1).double().mean(dim=1).to(pixels.dtype).view(-1, *(1,) * (pixels.ndim - 1))
    return _mirrored(torch.log1p)(pixels / torch.where(size > 0, size, 1))


def _mirrored(curve: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a curve for pixels of both signs from one for those above 0: sign(x) curve(|x|)."""
    return lambda pixels: torch.copysign(curve(pixels.abs()), pixels)


#: Curves applied to images before shifting and stretching. sqrt makes photon noise the same everywhere;
#: shape is the logarithm of a pixel over the mean pixel of its event: dim events look like bright ones.
CURVES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "linear": lambda pixels: pixels,
    "log1p": torch.log1p,
    "sqrt": torch.sqrt,
    "shape": _shape,
}

#: The same for pixels of both signs, as pedestals leave them when they are subtracted; equal from 0 on.
SIGNED_CURVES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "linear": CURVES["linear"],
    "log1p": _mirrored(torch.log1p),
    "sqrt": _mirrored(torch.sqrt),
    "shape": _signed_shape,
}

#: Types that hold no negative pixel; types whose whole numbers float32 would round.
_NEVER_NEGATIVE = (torch.uint8, torch.uint16, torch.uint32, torch.bool)
_LONG = (torch.uint32, torch.int64)

#: Network input is kept within so many units of the scale: what lies far outside of what the training saw
#: gives an answer for all that, a finite one.
_MOST = 1e6


class Scaling(BaseModel):
    """One input channel of a view: ``(curve(pixel / unit) - offset) / scale``.

    Attributes:
        curve: what is applied to the pixel values first.
        offset: in units of the curve.
        scale: in units of the curve, above 0.
        signed: whether negative pixels are mirrored, sign(x) curve(|x|). Models written before there was a
            choice have none: log1p is undefined there from -1 down, sqrt from 0.
        unit: pixel value from which the logarithm compresses; 1 where pixels are counts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    curve: Curve
    offset: float
    scale: float
    signed: bool = False
    unit: float = 1.0

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return scaled pixels, float32, of the same shape."""
        values = (_on_curve(self, pixels) - self.offset) / self.scale
        return values.float().clamp_(-_MOST, _MOST)

    def __str__(self) -> str:
        """Return the scaling in words.

        Examples:
            >>> print(Scaling(curve="log1p", offset=1.5, scale=0.5, signed=True, unit=0.02))
            (sign(x) log1p(|x| / 0.02) - 1.5) / 0.5
        """
        unit = f" / {self.unit:.4g}" if self.unit != 1 else ""
        curve = f"{self.curve}(x{unit})" if self.curve != "linear" else f"x{unit}"
        if self.signed and self.curve != "linear":
            curve = f"sign(x) {self.curve}(|x|{unit})"
        return f"({curve} - {self.offset:.4g}) / {self.scale:.4g}"


def _on_curve(scaling: Scaling, pixels: torch.Tensor) -> torch.Tensor:
    mirrored = scaling.signed and pixels.dtype not in _NEVER_NEGATIVE
    values = pixels.double() if pixels.dtype in _LONG else pixels.float()
    if scaling.unit != 1:
        values = values / scaling.unit
    return (SIGNED_CURVES if mirrored else CURVES)[scaling.curve](values)


def fit_scaling(
    curve: Curve,
    pixels: PixelSource,
    rows: NDArray[np.int64],
    normalise: Normalise = "standard",
) -> Scaling:
    """Fix the constants of a scaling on the training events.

    Pixels of floats that are small, as of normalised maps, are measured in their mean size before the
    logarithm, which would compress nothing of them otherwise.

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
        Scaling(curve='linear', offset=0.0, scale=4.0, signed=True, unit=1.0)
    """
    unit = _unit_of(pixels, rows) if curve == "log1p" else 1.0
    raw = Scaling(curve=curve, offset=0, scale=1, signed=True, unit=unit)
    low, high, mean, squares, n = np.inf, -np.inf, 0.0, 0.0, 0
    for block in blocks_of(pixels, rows):
        values = _on_curve(raw, block)
        low, high = min(low, values.min().item()), max(high, values.max().item())
        # Deviations from the block's own mean: of pixels far from 0 the squares would cancel.
        values = values.double()
        here, n_here = values.mean().item(), values.numel()
        squares += (values - here).square().sum().item() + (here - mean) ** 2 * n * n_here / (n + n_here)
        mean += (here - mean) * n_here / (n + n_here)
        n += n_here
    if not high > low:
        value = pixels[torch.from_numpy(rows[:1])].flatten()[0].item()
        raise DataError(f"Every training pixel has the value {value:g}: there is nothing to learn from.")
    if normalise == "full_range":
        return _full_range(curve, pixels[torch.from_numpy(rows[:1])])
    constants = (low, high - low) if normalise == "minmax" else (mean, float(np.sqrt(squares / n)))
    return raw.model_copy(update={"offset": constants[0], "scale": constants[1]})


def _unit_of(pixels: PixelSource, rows: NDArray[np.int64]) -> float:
    """Return the mean size of the training pixels that are not 0, at most 1; 1 for whole numbers."""
    total, n = 0.0, 0
    for block in blocks_of(pixels, rows):
        if not block.is_floating_point():
            return 1.0
        total += block.abs().double().sum().item()
        n += int(torch.count_nonzero(block))
    return min(1.0, total / n) if n else 1.0


def _full_range(curve: Curve, pixels: torch.Tensor) -> Scaling:
    """Return the scaling of a curve from 0 to the largest value that the pixels' type can hold."""
    if pixels.dtype.is_floating_point or curve == "shape":
        raise DataError(
            f"model.normalise=full_range needs integer pixels and a curve of single pixels. Got "
            f"{str(pixels.dtype).removeprefix('torch.')} and {curve}. Take minmax or standard."
        )
    low, high = CURVES[curve](torch.tensor([0.0, float(torch.iinfo(pixels.dtype).max)])).tolist()
    return Scaling(curve=curve, offset=low, scale=high - low, signed=True)


def blocks_of(pixels: PixelSource, rows: NDArray[np.int64]) -> Iterator[torch.Tensor]:
    """Yield dense images of the events at these positions, a bounded number of pixels at a time."""
    n_pixels = max(1, pixels[torch.from_numpy(rows[:1])].numel())
    for part in np.array_split(rows, max(1, len(rows) * n_pixels // _BLOCK_PIXELS)):
        yield pixels[torch.from_numpy(part)]
