"""Streamed data beside resident data: events a second of the loader and of training, and memory.

Every measurement runs in a process of its own, streamed and resident ones in turn; medians are shown. Files
are simulated. Speeds are by second of processor time, of all threads of the process: what reading ahead costs
is in them, and what other work on the machine takes is not. Writes RESULTS.md beside this file; exits with 1
where the goal is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hitlens import __version__
from hitlens.workflow.simulation import simulate_to_file

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "reading"))

from run import machine  # noqa: E402

#: Streaming may take so much longer than resident data.
GOAL = 0.85
KINDS = ("resident", "streaming")
WORK = {
    "loader": "loader alone",
    "plain_cnn": "training, plain_cnn",
    "residual_cnn": "training, residual_cnn",
}


@dataclass(frozen=True)
class Sample:
    """Files of one detector: a few are made and read under several names, which are links to them."""

    detector: str
    n_made: int
    n_files: int
    n_links: int
    pool: int


SAMPLES = (Sample("cebr", 150_000, 2, 2, 65_536), Sample("nova", 15_000, 1, 5, 16_384))


def files_of(sample: Sample, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for number in range(sample.n_files):
        made = folder / f"{sample.detector}_{number}.h5"
        if not made.exists():
            simulate_to_file(made, sample.detector, sample.n_made, seed=number + 1)
        for link in range(sample.n_links):
            found.append(folder / f"{sample.detector}_{number}_{link}.h5")
            if not found[-1].exists():
                found[-1].hardlink_to(made)
    return found


def measure(sample: Sample, memory: str, seconds: float, files: Sequence[Path]) -> dict[str, Any]:
    command = [
        sys.executable,
        str(HERE / "probe.py"),
        sample.detector,
        memory,
        str(seconds),
        str(sample.pool),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, *map(str, files)], check=True, capture_output=True, text=True, env=environment
    )
    found: dict[str, Any] = json.loads(done.stdout)
    print(sample.detector, memory, found, file=sys.stderr)
    return found


def rows_of(sample: Sample, runs: dict[str, list[dict[str, Any]]]) -> tuple[list[str], list[float]]:
    lines, ratios = [], []
    first = runs["resident"][0]
    what = f"{sample.detector}, {first['n_events']:,} events, pool {sample.pool:,}"
    for key, words in WORK.items():
        speeds = {kind: statistics.median(run[key][1] for run in runs[kind]) for kind in KINDS}
        walls = {kind: statistics.median(run[key][0] for run in runs[kind]) for kind in KINDS}
        ratio = speeds["streaming"] / speeds["resident"]
        if key != "loader":
            ratios.append(ratio)
        peak = {
            kind: statistics.median(run["peak_loader" if key == "loader" else "peak"] for run in runs[kind])
            - statistics.median(run["start"] for run in runs[kind])
            for kind in KINDS
        }
        lines.append(
            f"| {what} | {words} | {speeds['resident']:,.0f} | {speeds['streaming']:,.0f} | {ratio:.2f} "
            f"| {walls['streaming'] / walls['resident']:.2f} | {peak['resident']:,.0f} "
            f"| {peak['streaming']:,.0f} |"
        )
    return lines, ratios


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8, help="processor time a training")
    parser.add_argument("--folder", type=Path, help="where simulated files stay; a passing folder by default")
    parser.add_argument("--out", type=Path, default=HERE / "RESULTS.md")
    arguments = parser.parse_args()
    lines, ratios = [], []
    with tempfile.TemporaryDirectory() as name:
        for sample in SAMPLES:
            files = files_of(sample, arguments.folder or Path(name))
            runs: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
            for number in range(arguments.rounds):
                for kind in KINDS if number % 2 == 0 else reversed(KINDS):
                    runs[kind].append(measure(sample, kind, arguments.seconds, files))
            some_lines, some_ratios = rows_of(sample, runs)
            lines += some_lines
            ratios += some_ratios
    is_good = min(ratios) >= GOAL
    text = "\n".join(
        [
            "# Streamed beside resident data",
            "",
            f"hitlens {__version__}; {machine()}; load average {os.getloadavg()[0]:.1f}.",
            "",
            "| data | what | resident, events by s | streamed, events by s | ratio "
            "| ratio on the clock | resident, MB | streamed, MB |",
            "|---|---|---|---|---|---|---|---|",
            *lines,
            "",
            f"- {'reached' if is_good else 'MISSED'}: training on streamed data at least {GOAL:g} times as "
            f"fast as on resident data, here {min(ratios):.2f} to {max(ratios):.2f}",
            "",
            f"Medians of {arguments.rounds} runs each, in turn, one torch thread; batches of 256. Events by "
            "second of processor time, of all threads of the process: reading ahead is counted, other work "
            "on the machine is not; the clock's ratio holds both. Memory is the highest of the process above "
            "its start, data and network together, the page cache not counted; reading ahead is a thread of "
            "the same process. 60 % of the events are trained with, as in a run. NOvA's file of simulated "
            "events is read under five names.",
            "",
        ]
    )
    arguments.out.write_text(text)
    print(text)
    return 0 if is_good else 1


if __name__ == "__main__":
    raise SystemExit(main())
