"""Regions of interest: which part of an image a network is shown, and how coarse; kept in the model."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, model_validator

from hitlens.detector import Detector, View
from hitlens.errors import ConfigError, choose_from

#: Key under which a region holds for every view that has none of its own.
EVERY_VIEW = "all"

#: Where the window lies along an axis: around the event's mean charge, from its first hit on, or at pixel 0.
Anchor = Literal["mean", "first", "fixed"]


class Region(BaseModel):
    """A window of each image, and its pooling.

    Attributes:
        crop: pixels kept along each axis, before pooling; empty keeps the whole image.
        anchor: where the window lies, for all axes or one an axis. It never leaves the image.
        pool: pixels joined to one along each axis; empty joins none.
        reduce: what joined pixels become: the sum of their charges, or the largest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    crop: tuple[int, ...] = ()
    anchor: Anchor | tuple[Anchor, ...] = "mean"
    pool: tuple[int, ...] = ()
    reduce: Literal["sum", "max"] = "sum"

    @model_validator(mode="after")
    def _is_possible(self) -> Region:
        if any(number < 1 for number in (*self.crop, *self.pool)):
            raise ValueError("crop and pool must be at least 1 along each axis")
        return self

    def view(self, view: View) -> View:
        """Return the geometry of what the network is shown of a view.

        Raises:
            ConfigError: a window larger than the image, one that the pooling does not divide, or a wrong
                number of axes.

        Examples:
            >>> u = View(name="u", shape=(500, 500), axes=("wire", "time"), pitch_mm=(5, 5), unit="adc")
            >>> Region(crop=(200, 240), pool=(4, 4)).view(u).shape
            (50, 60)
        """
        n_axes = len(view.shape)
        crop, pool = self.crop or view.shape, self.pool or (1,) * n_axes
        anchors = self._anchors(n_axes)
        for name, given in (("crop", crop), ("pool", pool), ("anchor", anchors)):
            if len(given) != n_axes:
                raise ConfigError(
                    f"model.regions: {name} must have one entry an axis of view '{view.name}' "
                    f"({', '.join(view.axes)}). Got {len(given)}."
                )
        for axis, size, kept, joined in zip(view.axes, view.shape, crop, pool, strict=True):
            if kept > size or kept % joined:
                raise ConfigError(
                    f"model.regions: along '{axis}' of view '{view.name}' ({size} pixels) crop must be at "
                    f"most {size} and a multiple of pool. Got crop {kept} and pool {joined}."
                )
        return view.model_copy(
            update={
                "shape": tuple(kept // joined for kept, joined in zip(crop, pool, strict=True)),
                # A view whose pixels have no size has no pitch.
                "pitch_mm": tuple(pitch * joined for pitch, joined in zip(view.pitch_mm, pool, strict=False)),
            }
        )

    def fill(
        self,
        event: torch.Tensor,
        places: torch.Tensor,
        charges: torch.Tensor,
        n_events: int,
        shape: tuple[int, ...],
    ) -> torch.Tensor:
        """Return dense images of the region, float32, of the shape of the region.

        Args:
            event: event number of each hit, shape (hit,).
            places: flat pixel number of each hit in the whole image, shape (hit,).
            charges: pixel value of each hit, shape (hit,).
            n_events: number of events.
            shape: pixels of the whole image along each axis.
        """
        crop, pool = self.crop or shape, self.pool or (1,) * len(shape)
        charges = charges.float()
        inside = torch.ones_like(event, dtype=torch.bool)
        flat, stride = event, math.prod(shape)
        for size, kept, joined, anchor in zip(shape, crop, pool, self._anchors(len(shape)), strict=True):
            stride //= size
            along = places // stride % size
            along = along - _window_start(anchor, event, along, charges, n_events, size, kept)[event]
            inside &= (along >= 0) & (along < kept)
            flat = flat * (kept // joined) + along // joined
        sizes = [kept // joined for kept, joined in zip(crop, pool, strict=True)]
        images = charges.new_zeros(n_events * math.prod(sizes))
        how = "sum" if self.reduce == "sum" else "amax"
        images.scatter_reduce_(0, flat[inside], charges[inside], how)
        return images.view(n_events, *sizes)

    def _anchors(self, n_axes: int) -> tuple[Anchor, ...]:
        return (self.anchor,) * n_axes if isinstance(self.anchor, str) else self.anchor


def _window_start(
    anchor: Anchor,
    event: torch.Tensor,
    along: torch.Tensor,
    charges: torch.Tensor,
    n_events: int,
    size: int,
    kept: int,
) -> torch.Tensor:
    """First pixel of the window along one axis, shape (event,); events without a hit have theirs at 0."""
    if anchor == "fixed" or kept == size:
        return event.new_zeros(n_events)
    if anchor == "first":
        start = event.new_full((n_events,), size).scatter_reduce(0, event, along, "amin")
        return torch.where(start < size, start, 0).clamp(0, size - kept)
    weight = charges.new_zeros(n_events).index_add(0, event, charges)
    mean = charges.new_zeros(n_events).index_add(0, event, charges * along) / weight.clamp(min=1e-9)
    return (mean.round().long() - kept // 2).clamp(0, size - kept)


def region_of(regions: dict[str, Region], view: str) -> Region | None:
    """Return the region of a view: its own, the one for every view, or None."""
    return regions.get(view, regions.get(EVERY_VIEW))


def shown_detector(detector: Detector, regions: dict[str, Region]) -> Detector:
    """Return the detector with each view as a network is shown it.

    Raises:
        ConfigError: a region names no view, or does not fit its view.
    """
    names = [view.name for view in detector.views]
    for name in regions:
        if name not in (*names, EVERY_VIEW):
            raise ConfigError(f"model.regions: there is no view '{name}'. {choose_from(name, names)}")
    found = ((view, region_of(regions, view.name)) for view in detector.views)
    views = tuple(view if region is None else region.view(view) for view, region in found)
    return detector.model_copy(update={"views": views})
