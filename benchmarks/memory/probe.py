"""Read files in a process of its own; print events, bytes of the arrays, and how memory rose and peaked.

The first of two readings is thrown away: it loads libraries and compiles. The kernel's record of the peak is
cleared between them.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import numpy as np

from hitlens.events import Events
from hitlens.workflow.data import read_events


def kilobytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name)))


def n_bytes(events: Events) -> int:
    found = events.truth.estimated_size()
    for view in events.images.values():
        parts = (view,) if isinstance(view, np.ndarray) else (view.data, view.indices, view.indptr)
        found += sum(part.nbytes for part in parts)
    return int(found)


def main() -> None:
    read_events(sys.argv[1])
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before = kilobytes("VmRSS")
    events = read_events(sys.argv[1:])
    peak = kilobytes("VmHWM")
    print(len(events), n_bytes(events), (peak - before) * 1024, peak * 1024)


if __name__ == "__main__":
    main()
