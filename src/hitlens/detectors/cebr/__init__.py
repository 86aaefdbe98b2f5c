"""CeBr: a 16x16 segmented CeBr3 scintillator on a position-sensitive photomultiplier."""

from __future__ import annotations

from hitlens.detector import Detector, Simulator
from hitlens.detectors.cebr import description


def _simulator() -> Simulator:
    from hitlens.detectors.cebr.simulate import CebrSimulator

    return CebrSimulator()


#: The detector; files, simulator and fit are bound here and nowhere else.
DETECTOR = Detector(
    name="cebr",
    title="CeBr3 scintillator, 16x16 anodes",
    views=(description.ANODE,),
    truth=description.TRUTH,
    tasks=description.TASKS,
    symmetries=description.SYMMETRIES,
    slices=description.SLICES,
    laws=description.LAWS,
    published=description.PUBLISHED,
    downloads=description.DOWNLOADS,
    simulator=_simulator,
)
