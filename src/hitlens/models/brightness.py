"""How bright the events of a training were, so that images in other units are noticed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hitlens.detector import Detector
from hitlens.events import Events

#: Events that are looked at.
N_EVENTS = 500

#: Brightest pixels beyond the training's by more than this factor are in other units, or of another detector.
FACTOR = 10.0


def brightest_pixels(events: Events, detector: Detector) -> dict[str, NDArray[np.float64]]:
    """Return the size of the brightest pixel of some events, by view, shape (event,).

    Args:
        events: of the detector.
        detector: its description.
    """
    some = events.select(np.arange(len(events))[:: max(1, len(events) // N_EVENTS)][:N_EVENTS])
    found = {}
    for view in detector.views:
        pixels = np.abs(some.dense(view.name, view.shape).astype(np.float64))
        found[view.name] = pixels.reshape(len(some), -1).max(axis=1, initial=0.0)
    return found


def usual_brightness(events: Events, detector: Detector) -> dict[str, tuple[float, float]]:
    """Return by view between what sizes the brightest pixels of 98 % of the events are, unlit ones left out.

    Args:
        events: of the training.
        detector: their description.
    """
    found = {}
    for view, sizes in brightest_pixels(events, detector).items():
        lit = sizes[np.isfinite(sizes) & (sizes > 0)]
        if len(lit):
            low, high = np.quantile(lit, [0.01, 0.99])
            found[view] = (float(low), float(high))
    return found


def foreign_brightness(
    usual: Mapping[str, tuple[float, float]], events: Events, detector: Detector
) -> str | None:
    """Return in words that events are far from as bright as those of the training; None where they are not.

    Args:
        usual: of `usual_brightness`; nothing is said of views it does not have.
        events: to be predicted.
        detector: their description.
    """
    if not usual or not len(events):
        return None
    for view, sizes in brightest_pixels(events, detector).items():
        lit = sizes[np.isfinite(sizes) & (sizes > 0)]
        if view not in usual or not len(lit):
            continue
        low, high = usual[view]
        typical = float(np.median(lit))
        if low / FACTOR <= typical <= high * FACTOR:
            continue
        scaled = ""
        if lit.max() <= 1 < low:
            scaled = " They seem to be scaled to 0..1 already: give the values as the detector has them."
        return (
            f"The brightest pixel of these events is typically {typical:.3g} in view '{view}'; in the events "
            f"the model was trained on it was {low:.3g} to {high:.3g}. Its answers mean nothing where units "
            f"or scaling differ.{scaled}"
        )
    return None
