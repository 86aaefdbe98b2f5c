"""NOvA: two views of a segmented scintillator detector, 100 planes of 80 cells each."""

from __future__ import annotations

from hitlens.detector import Detector, Simulator
from hitlens.detectors.nova import description
from hitlens.detectors.nova.files import LAYOUTS

__all__ = ["DETECTOR"]


def _simulator() -> Simulator:
    from hitlens.detectors.nova.simulate import NovaSimulator

    return NovaSimulator()


#: The detector; files and simulator are bound here and nowhere else.
DETECTOR = Detector(
    name="nova",
    title="NOvA pixel maps, two views of 100 planes and 80 cells",
    views=description.VIEWS,
    truth=description.TRUTH,
    tasks=description.TASKS,
    symmetries=description.SYMMETRIES,
    slices=description.SLICES,
    laws=description.LAWS,
    published=description.PUBLISHED,
    downloads=description.DOWNLOADS,
    headline=description.HEADLINE,
    layouts=LAYOUTS,
    simulator=_simulator,
)
