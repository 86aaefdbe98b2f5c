"""Read the same NOvA events by a notebook's loop, by whole blocks and by hitlens, in one interleaved run.

The files hold what the public ones hold, written as h5py does by default: contiguous, not compressed. Writes
RESULTS_NOVA.md beside this file; exits with 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np
from run import HERE, machine
from scipy import sparse

from hitlens import __version__
from hitlens.workflow.data import convert, read_events
from hitlens.workflow.simulation import simulate_to_files

LOOP = "notebook's loop"
OURS, NATIVE = "hitlens, neutrino*.h5", "hitlens, native file"

#: Goals of the project: times as fast as the loop, and peak memory over the arrays' size.
FILES_GOAL, NATIVE_GOAL, MEMORY_GOAL = 10.0, 40.0, 1.5

Paths = Sequence[Path]


def loop(paths: Paths) -> int:
    """Event by event: image and kind of interaction, as the course's notebooks do."""
    maps, labels = [], []
    for path in paths:
        with h5py.File(path, "r") as file:
            for i in range(len(file["neutrino"]["evt"])):
                maps.append(file["cvnmap"][i].reshape((2, 100, 80)))
                labels.append(file["neutrino"]["interaction"][i][0])
    return len(maps)


def images_alone(paths: Paths) -> int:
    """The least a loop can do: one dataset looked up once, images only."""
    maps = []
    for path in paths:
        with h5py.File(path, "r") as file:
            pixels = file["cvnmap"]
            maps += [pixels[i].reshape((2, 100, 80)) for i in range(len(pixels))]
    return len(maps)


def _blocks(paths: Paths) -> list[np.ndarray]:
    blocks = []
    for path in paths:
        with h5py.File(path, "r") as file:
            blocks.append(file["cvnmap"][:])
    return blocks


def block_read(paths: Paths) -> int:
    """Whole arrays, dense."""
    return sum(map(len, _blocks(paths)))


def block_and_scipy(paths: Paths) -> int:
    """Whole arrays, made sparse by scipy."""
    views = [sparse.csr_array(block[:, k * 8000 :][:, :8000]) for block in _blocks(paths) for k in (0, 1)]
    return sum(view.shape[0] for view in views) // 2


def hitlens(paths: Paths) -> int:
    """Sparse views and the whole truth table, derived columns too."""
    return len(read_events(paths))


def prepare(folder: Path, n_events: int, n_files: int) -> tuple[list[Path], Path]:
    made = simulate_to_files(folder / "made", "nova", n_events, n_files, seed=1)
    (folder / "files").mkdir()
    paths = []
    for file in made:
        paths.append(folder / "files" / file.path.name)
        with h5py.File(file.path) as source, h5py.File(paths[-1], "w") as target:
            target["cvnmap"] = source["cvnmap"][:]
            for name, column in source["neutrino"].items():
                target[f"neutrino/{name}"] = column[:]
        file.path.unlink()
    native = folder / "native.h5"
    convert(paths, native)
    return paths, native


def measure(paths: list[Path], native: Path, n_rounds: int) -> dict[str, float]:
    readers: dict[str, tuple[Callable[[Paths], int], Paths]] = {
        LOOP: (loop, paths),
        "images alone, event by event": (images_alone, paths),
        "whole blocks, dense": (block_read, paths),
        "whole blocks, then scipy": (block_and_scipy, paths),
        OURS: (hitlens, paths),
        NATIVE: (hitlens, [native]),
    }
    seconds: dict[str, list[float]] = {}
    for name in (OURS, NATIVE):
        readers[name][0](readers[name][1])
    for i in range(n_rounds):
        for name, (read, given) in readers.items():
            start = time.perf_counter()
            read(given)
            seconds.setdefault(name, []).append(time.perf_counter() - start)
            print(f"round {i + 1} of {n_rounds}: {name} {seconds[name][-1]:.3f} s", file=sys.stderr)
    return {name: statistics.median(times) for name, times in seconds.items()}


def memory_ratios(paths: list[Path], native: Path) -> dict[str, float]:
    probe = HERE.parent / "memory" / "probe.py"
    ratios = {}
    for name, given in ((OURS, paths), (NATIVE, [native])):
        command = [sys.executable, str(probe), *map(str, given)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        _, arrays, rise, _ = map(int, done.stdout.split())
        ratios[name] = rise / arrays
    return ratios


def page(seconds: dict[str, float], memory: dict[str, float], n_events: int, n_rounds: int) -> str:
    lines = [
        "# Reading speed, NOvA",
        "",
        f"{n_events:,} simulated events, {n_events * 16000 / 1e6:,.0f} MB of pixels; medians of {n_rounds} "
        "interleaved rounds.",
        f"hitlens {__version__}; {machine()}, h5py {h5py.__version__}; "
        f"load average {os.getloadavg()[0]:.1f}.",
        "",
        "| reader | s | events/s | times the loop | peak memory / arrays |",
        "|---|---|---|---|---|",
    ]
    for name, time_s in sorted(seconds.items(), key=lambda item: -item[1]):
        peak = f"{memory[name]:.2f}" if name in memory else ""
        ratio = f"{seconds[LOOP] / time_s:.1f}"
        lines.append(f"| {name} | {time_s:.3f} | {n_events / time_s:,.0f} | {ratio} | {peak} |")
    reached = [f"- {'reached' if good else 'MISSED'}: {words}" for words, good in verdicts(seconds, memory)]
    notes = (
        "The loop reads one image and one label an event and keeps them, as the course's notebooks do. "
        "hitlens reads all sixteen columns and makes the views sparse. Memory is how far the peak resident "
        "size rises in a process of its own that has read the events once before; see also benchmarks/memory."
    )
    return "\n".join([*lines, "", *reached, "", notes, ""])


def verdicts(seconds: dict[str, float], memory: dict[str, float]) -> list[tuple[str, bool]]:
    files, native = seconds[LOOP] / seconds[OURS], seconds[LOOP] / seconds[NATIVE]
    return [
        (
            f"neutrino*.h5 {files:.1f} times as fast as the loop (goal: at least {FILES_GOAL:g})",
            files >= FILES_GOAL,
        ),
        (
            f"native file {native:.1f} times as fast as the loop (goal: at least {NATIVE_GOAL:g})",
            native >= NATIVE_GOAL,
        ),
        (
            f"peak memory {memory[OURS]:.2f} times the arrays (goal: below {MEMORY_GOAL:g})",
            memory[OURS] < MEMORY_GOAL,
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=28_000, help="events to simulate")
    parser.add_argument("--files", type=int, default=4, help="files they are in")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=HERE / "RESULTS_NOVA.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        paths, native = prepare(Path(name), arguments.events, arguments.files)
        seconds = measure(paths, native, arguments.rounds)
        memory = memory_ratios(paths, native)
    text = page(seconds, memory, arguments.events, arguments.rounds)
    arguments.out.write_text(text)
    print(text)
    return 0 if all(reached for _, reached in verdicts(seconds, memory)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
