"""Events a second of the simulators, by number of workers: medians of several runs, in memory.

python benchmarks/simulation/run.py
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

from hitlens.detectors import DETECTORS
from hitlens.workflow.pool import available_cores
from hitlens.workflow.simulation import simulate

#: Events a run, some seconds' worth on one core.
N_EVENTS = {"cebr": 60_000, "nova": 6_000}


def rates(detector: str, workers: int, rounds: int) -> list[float]:
    """Return events a second of each run, after one that compiles."""
    simulate(detector, 600, workers=workers)
    found = []
    for seed in range(1, rounds + 1):
        started = time.perf_counter()
        simulate(detector, N_EVENTS[detector], seed, workers=workers)
        found.append(N_EVENTS[detector] / (time.perf_counter() - started))
    return found


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="runs behind each median")
    options = parser.parse_args()
    print(f"{available_cores()} cores, load {os.getloadavg()[0]:.1f}\n")
    print("| simulator | workers | events/s | lowest to highest |")
    print("|---|---|---|---|")
    for detector in sorted(name for name, one in DETECTORS.items() if one.simulator is not None):
        for workers in range(1, available_cores() + 1):
            found = rates(detector, workers, options.rounds)
            spread = f"{min(found):,.0f} to {max(found):,.0f}"
            print(f"| {detector} | {workers} | {statistics.median(found):,.0f} | {spread} |", flush=True)


if __name__ == "__main__":
    main()
