"""Pixel values -> network input: scalings with constants from the training split, kept in the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from hitlens.errors import DataError

Curve = Literal["linear", "log1p", "sqrt", "shape"]


def _shape_array(pixels: NDArray[Any]) -> NDArray[Any]:
    mean = pixels.mean(axis=(-2, -1), keepdims=True)
    return np.asarray(np.log1p(pixels / np.where(mean > 0, mean, 1)))


def _shape_tensor(pixels: torch.Tensor) -> torch.Tensor:
    mean = pixels.mean(dim=(-2, -1), keepdim=True)
    return torch.log1p(pixels / torch.where(mean > 0, mean, 1))


#: Curves applied to images before shifting and stretching. sqrt makes photon noise the same everywhere;
#: shape is the logarithm of a pixel over the mean pixel of its event: dim events look like bright ones.
CURVES: dict[str, tuple[Callable[[NDArray[Any]], NDArray[Any]], Callable[[torch.Tensor], torch.Tensor]]] = {
    "linear": (lambda pixels: pixels, lambda pixels: pixels),
    "log1p": (np.log1p, torch.log1p),
    "sqrt": (np.sqrt, torch.sqrt),
    "shape": (_shape_array, _shape_tensor),
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
        return (CURVES[self.curve][1](pixels.float()) - self.offset) / self.scale


def fit_scaling(
    curve: Curve,
    images: NDArray[Any],
    rows: NDArray[np.int64],
    normalise: Literal["minmax", "standard"] = "standard",
) -> Scaling:
    """Fix the constants of a scaling on the training events.

    Args:
        curve: a key of `CURVES`.
        images: pixel values of all events, shape (event, row, col).
        rows: positions of the training events; no other event is looked at.
        normalise: "minmax" maps the training range to 0..1; "standard" gives mean 0 and deviation 1.

    Raises:
        DataError: every training pixel has the same value.

    Examples:
        >>> fit_scaling("linear", np.array([[[0, 4]], [[0, 99]]]), np.array([0]), "minmax")
        Scaling(curve='linear', offset=0.0, scale=4.0)
    """
    low, high, total, squares, n = np.inf, -np.inf, 0.0, 0.0, 0
    for part in np.array_split(rows, max(1, len(rows) // 8192)):
        values = CURVES[curve][0](images[part].astype(np.float64))
        low, high = min(low, values.min()), max(high, values.max())
        total, squares, n = total + values.sum(), squares + np.square(values).sum(), n + values.size
    if not high > low:
        raise DataError(f"Every training pixel has the value {low:g}: there is nothing to learn from.")
    if normalise == "minmax":
        return Scaling(curve=curve, offset=float(low), scale=float(high - low))
    mean = total / n
    return Scaling(curve=curve, offset=float(mean), scale=float(np.sqrt(max(squares / n - mean**2, 1e-12))))
