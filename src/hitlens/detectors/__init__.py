"""The detectors in the box, and the ones other packages bring."""

from __future__ import annotations

from importlib.metadata import entry_points

from hitlens.detector import Detector
from hitlens.detectors.cebr import DETECTOR as CEBR
from hitlens.detectors.nova import DETECTOR as NOVA
from hitlens.errors import NotFoundError, choose_from

__all__ = ["CEBR", "DETECTORS", "NOVA", "get_detector"]

#: Detectors that ship with hitlens, by name.
DETECTORS: dict[str, Detector] = {"cebr": CEBR, "nova": NOVA}


def get_detector(name: str) -> Detector:
    """Return a detector by name: ours, or one of a package with an entry point in `hitlens.detectors`.

    Raises:
        NotFoundError: no detector has that name.

    Examples:
        >>> get_detector("cebr").views[0].shape
        (16, 16)
    """
    if name in DETECTORS:
        return DETECTORS[name]
    foreign = {entry.name: entry for entry in entry_points(group="hitlens.detectors")}
    if name not in foreign:
        raise NotFoundError(
            f"No detector is called '{name}'. {choose_from(name, DETECTORS.keys() | foreign.keys())}"
        )
    detector: Detector = foreign[name].load()
    return detector
