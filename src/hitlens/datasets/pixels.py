"""Pixels of one view of all events, dense or as hits; both hand out dense batches by position."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from hitlens.datasets.regions import Region
from hitlens.detector import View
from hitlens.errors import DataError
from hitlens.events import Images


@dataclass(frozen=True)
class HitImages:
    """Images kept as hits; an image becomes dense when it is asked for.

    Attributes:
        starts: position of each event's first hit, and the number of hits last, int64, shape (event + 1,).
        places: flat pixel number, row-major, int32, shape (hit,).
        charges: pixel value, shape (hit,).
        shape: pixels of an image along each axis.
        region: part and coarseness of the images handed out; None for whole ones.
    """

    starts: torch.Tensor
    places: torch.Tensor
    charges: torch.Tensor
    shape: tuple[int, ...]
    region: Region | None = None

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, rows: torch.Tensor) -> torch.Tensor:
        """Return dense images of the events at these positions, shape (n, row, col) or that of the region.

        Whole images have the stored type, those of a region are float32.
        """
        first, counts = self.starts[rows], self.starts[rows + 1] - self.starts[rows]
        number = torch.arange(len(rows), device=rows.device)
        event = torch.repeat_interleave(number, counts)
        skipped = torch.repeat_interleave(first - (counts.cumsum(0) - counts), counts)
        hits = skipped + torch.arange(len(event), device=rows.device)
        places, charges = self.places[hits].long(), self.charges[hits]
        if self.region is not None:
            return self.region.fill(event, places, charges, len(rows), self.shape)
        n_pixels = math.prod(self.shape)
        images = charges.new_zeros(len(rows) * n_pixels)
        images[event * n_pixels + places] = charges
        return images.view(len(rows), *self.shape)

    def to(self, device: torch.device) -> HitImages:
        """Return the same hits on a device."""
        starts, places, charges = self.starts.to(device), self.places.to(device), self.charges.to(device)
        return HitImages(starts, places, charges, self.shape, self.region)


#: Pixels of one view of all events, indexed by event positions.
Pixels = torch.Tensor | HitImages


def view_pixels(images: Images, view: View, region: Region | None = None) -> Pixels:
    """Return a view's pixels for batches; arrays are shared, not copied, where nothing has to change.

    Args:
        images: dense (event, row, col) or sparse (event, row*col).
        view: geometry of the images.
        region: part and coarseness of the images; None for whole ones.

    Raises:
        DataError: the images do not have the view's shape, or hold no numbers.

    Examples:
        >>> view = View(name="x", shape=(2, 2), axes=("plane", "cell"), pitch_mm=(1, 1), unit="counts")
        >>> hits = sparse.csr_array(np.array([[0, 7, 0, 0], [0, 0, 0, 9]], dtype=np.uint8))
        >>> view_pixels(hits, view)[torch.tensor([1])].tolist()
        [[[0, 0], [0, 9]]]
    """
    if isinstance(images, np.ndarray):
        if images.shape[1:] != view.shape:
            raise DataError(
                f"View '{view.name}' must have images of shape {view.shape}. Got {images.shape[1:]}."
            )
        if region is None:
            return torch.from_numpy(np.ascontiguousarray(_numbers(images, view)))
        images = sparse.csr_array(images.reshape(len(images), math.prod(view.shape)))
    if images.shape[1] != math.prod(view.shape):
        raise DataError(
            f"View '{view.name}' of shape {view.shape} must have {math.prod(view.shape)} pixels an event. "
            f"Got {images.shape[1]}."
        )
    # torch fills in no 16- or 32-bit unsigned numbers on the CPU; the hits are few.
    charges = _numbers(images.data, view)
    wide = {np.dtype(np.uint16): np.int32, np.dtype(np.uint32): np.int64}.get(charges.dtype)
    return HitImages(
        torch.from_numpy(images.indptr.astype(np.int64)),
        torch.from_numpy(images.indices),
        torch.from_numpy(charges if wide is None else charges.astype(wide)),
        view.shape,
        region,
    )


def _numbers(values: NDArray[Any], view: View) -> NDArray[Any]:
    """Return pixel values in a type that torch has."""
    if values.dtype.kind not in "buif":
        raise DataError(f"View '{view.name}' must hold real numbers. Got {values.dtype}.")
    if values.dtype in (np.dtype(np.longdouble), np.dtype(np.uint64)):
        return values.astype(np.float64)
    return values.astype(values.dtype.newbyteorder("="), copy=False)
