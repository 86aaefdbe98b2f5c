"""The detectors in the box, and the ones other packages bring."""

from __future__ import annotations

from importlib.metadata import entry_points

from hitlens.detector import Detector
from hitlens.detectors.cebr import DETECTOR as CEBR
from hitlens.detectors.dune import DETECTOR as DUNE
from hitlens.detectors.from_yaml import is_description, load_detector, read_detector
from hitlens.detectors.nova import DETECTOR as NOVA
from hitlens.errors import ConfigError, NotFoundError, choose_from

__all__ = [
    "CEBR",
    "DETECTORS",
    "DUNE",
    "NOVA",
    "get_detector",
    "is_description",
    "load_detector",
    "read_detector",
]

#: Detectors that ship with hitlens, by name.
DETECTORS: dict[str, Detector] = {"cebr": CEBR, "dune": DUNE, "nova": NOVA}


def get_detector(name: str | Detector) -> Detector:
    """Return a detector: ours, of a package with an entry point in `hitlens.detectors`, or of a YAML file.

    Args:
        name: of the detector, or the path of a YAML file that describes one; a description is returned as is.

    Raises:
        NotFoundError: no detector has that name, or there is no such file.
        ConfigError: the YAML file is no right description.

    Examples:
        >>> get_detector("cebr").views[0].shape
        (16, 16)
    """
    if isinstance(name, Detector):
        return name
    if name in DETECTORS:
        return DETECTORS[name]
    if is_description(name):
        described = load_detector(name)
        if described.name in DETECTORS:
            raise ConfigError(
                f"{name}: name: '{described.name}' is a detector of hitlens. Give yours another name."
            )
        return described
    foreign = {entry.name: entry for entry in entry_points(group="hitlens.detectors")}
    if name not in foreign:
        raise NotFoundError(
            f"No detector is called '{name}'. {choose_from(name, DETECTORS.keys() | foreign.keys())} "
            "A detector of your own is named by the path of the YAML file that describes it."
        )
    detector: Detector = foreign[name].load()
    return detector
