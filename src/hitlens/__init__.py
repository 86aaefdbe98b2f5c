"""hitlens: detector images into physics, with error bars, baselines and guards.

The types every study uses can be imported from here; the functions that chain the stages from
`hitlens.workflow`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hitlens.detector import Detector, Task
    from hitlens.detectors import get_detector
    from hitlens.errors import HitlensError
    from hitlens.events import Events, concat

__version__ = "0.1.0"

__all__ = ["Detector", "Events", "HitlensError", "Task", "__version__", "concat", "get_detector"]

#: Where each name lives; imported at first use, so that the command line starts without NumPy and polars.
_HOMES = {
    "Detector": "hitlens.detector",
    "Events": "hitlens.events",
    "HitlensError": "hitlens.errors",
    "Task": "hitlens.detector",
    "concat": "hitlens.events",
    "get_detector": "hitlens.detectors",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'hitlens' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
