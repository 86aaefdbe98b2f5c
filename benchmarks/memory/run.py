"""How much memory NOvA events take, against their number, and what that means for all 1.4 million.

Four files of 10,000 simulated events each are read under many names, which are links to them: what an event
takes does not depend on whether it was read before. Writes RESULTS.md beside this file; exits with 1 where a
goal is missed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hitlens import __version__
from hitlens.workflow.simulation import simulate_to_files

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "reading"))

from run import machine  # noqa: E402

N_IN_FILE, N_DISTINCT = 10_000, 4
#: All public files, and the memory they must fit in, bytes.
N_ALL, MOST_BYTES = 1_400_000, 6e9
#: Peak over what the events take themselves.
MEMORY_GOAL = 1.5


@dataclass(frozen=True)
class Point:
    n_events: int
    arrays: int
    rise: int
    peak: int


def measure(files: list[Path], folder: Path, n_events: int) -> Point:
    folder.mkdir()
    links = [folder / f"neutrino{number}.h5" for number in range(1, n_events // N_IN_FILE + 1)]
    for number, link in enumerate(links):
        link.hardlink_to(files[number % len(files)])
    command = [sys.executable, str(HERE / "probe.py"), *map(str, links)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    point = Point(*map(int, done.stdout.split()))
    print(point, file=sys.stderr)
    return point


def page(points: list[Point], whole: Point | None) -> tuple[str, bool]:
    sizes = np.array([point.n_events for point in points])
    slope, start = np.polyfit(sizes, [point.peak for point in points], 1)
    expected = start + slope * N_ALL
    lines = [
        "# Memory against events, NOvA",
        "",
        f"hitlens {__version__}; {machine()}; load average {os.getloadavg()[0]:.1f}.",
        "",
        "| events | events themselves, MB | peak above the start, MB | ratio | peak of the process, MB |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {point.n_events:,} | {point.arrays / 1e6:,.0f} | {point.rise / 1e6:,.0f} "
        f"| {point.rise / point.arrays:.2f} | {point.peak / 1e6:,.0f} |"
        for point in [*points, *([whole] if whole else [])]
    ]
    goals = [
        (
            f"the line through the first {len(points)} rows is {start / 1e6:,.0f} MB + {slope:,.0f} bytes an "
            f"event: {expected / 1e9:.2f} GB for {N_ALL:,} events (goal: below {MOST_BYTES / 1e9:g} GB)",
            expected < MOST_BYTES,
        ),
        (
            f"peak above the start {points[-1].rise / points[-1].arrays:.2f} times the events themselves at "
            f"{points[-1].n_events:,} (goal: below {MEMORY_GOAL:g})",
            points[-1].rise / points[-1].arrays < MEMORY_GOAL,
        ),
    ]
    if whole:
        words = (
            f"{whole.n_events:,} events read: {whole.peak / 1e9:.2f} GB (goal: below {MOST_BYTES / 1e9:g} GB)"
        )
        goals.append((words, whole.peak < MOST_BYTES))
    notes = (
        f"{N_DISTINCT} files of {N_IN_FILE:,} simulated events each, read under as many names as it takes. "
        "The events themselves are both sparse views and the truth table. The first reading in a process, "
        "of one file, is not counted."
    )
    reached = [f"- {'reached' if good else 'MISSED'}: {words}" for words, good in goals]
    return "\n".join([*lines, "", *reached, "", notes, ""]), all(good for _, good in goals)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, nargs="+", default=[10_000, 100_000, 400_000])
    parser.add_argument("--whole", action="store_true", help=f"read {N_ALL:,} events too")
    parser.add_argument("--out", type=Path, default=HERE / "RESULTS.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = simulate_to_files(folder / "made", "nova", N_IN_FILE * N_DISTINCT, N_DISTINCT, seed=1)
        files = [file.path for file in made]
        points = [measure(files, folder / str(n), n) for n in arguments.events]
        whole = measure(files, folder / "whole", N_ALL) if arguments.whole else None
    text, is_good = page(points, whole)
    arguments.out.write_text(text)
    print(text)
    return 0 if is_good else 1


if __name__ == "__main__":
    raise SystemExit(main())
