"""CeBr: a 16x16 segmented CeBr3 scintillator on a position-sensitive photomultiplier."""

from __future__ import annotations

from typing import Any

from hitlens.detector import Baseline, Detector, Simulator, Task
from hitlens.detectors.cebr import description
from hitlens.detectors.cebr.files import EXTRA_COLUMNS, LAYOUTS
from hitlens.events import Events

__all__ = ["DETECTOR"]


def _simulator() -> Simulator:
    from hitlens.detectors.cebr.simulate import CebrSimulator

    return CebrSimulator()


def _likelihood_fit(events: Events, task: Task) -> dict[str, Any]:
    from hitlens.detectors.cebr.fit import predict

    return predict(events, task)


#: Methods without learning, on the same events.
BASELINES = (
    Baseline(
        name="likelihood_fit",
        meaning="two-spot Poisson likelihood fit with the simulator's response",
        tasks=tuple(task.name for task in description.TASKS if task.kind != "joint"),
        predict=_likelihood_fit,
    ),
)

#: The detector; files, simulator and fit are bound here and nowhere else.
DETECTOR = Detector(
    name="cebr",
    title="CeBr3 scintillator, 16x16 anodes",
    views=(description.ANODE,),
    truth=description.TRUTH,
    tasks=description.TASKS,
    extra_columns=EXTRA_COLUMNS,
    layouts=LAYOUTS,
    symmetries=description.SYMMETRIES,
    slices=description.SLICES,
    laws=description.LAWS,
    published=description.PUBLISHED,
    downloads=description.DOWNLOADS,
    simulator=_simulator,
    baselines=BASELINES,
)
