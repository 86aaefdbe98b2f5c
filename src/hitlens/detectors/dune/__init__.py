"""DUNE far detector: liquid argon, three views of wire against drift time."""

from __future__ import annotations

from hitlens.detector import Detector
from hitlens.detectors.dune import description
from hitlens.detectors.dune.files import LAYOUTS

__all__ = ["DETECTOR"]

#: The detector; files are bound here and nowhere else.
DETECTOR = Detector(
    name="dune",
    title="DUNE far detector, three views of wire and time",
    views=description.VIEWS,
    truth=description.TRUTH,
    tasks=description.TASKS,
    headline=description.HEADLINE,
    layouts=LAYOUTS,
    symmetries=description.SYMMETRIES,
    slices=description.SLICES,
    published=description.PUBLISHED,
)
