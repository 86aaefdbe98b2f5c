"""Read the same 200,000 events by the seeds' loop, by other parsers and by hitlens, in one interleaved run.

Every reader ends with the same things in memory: counts of shape (event, 16, 16) and six numbers an event.
Writes RESULTS.md beside this file; exits with 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from hitlens import __version__
from hitlens.workflow.data import convert, read_events

HERE = Path(__file__).resolve().parent
N_PIXELS, N_FIELDS = 256, 262
LOOP = "seeds' loop"

#: Goals of the project: times as fast as the loop on plain text, and peak memory over the arrays' size.
TEXT_GOAL, NATIVE_GOAL, MEMORY_GOAL = 7.0, 50.0, 1.5

#: Reads a file in a process of its own; prints the arrays' size and how far memory rose above the start. The
#: kernel's record of the peak is cleared first: imports have a higher one than the reading of a few events.
MEMORY_PROBE = """
import sys
from pathlib import Path
from hitlens.workflow.data import read_events

def kilobytes(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name)))

read_events(sys.argv[1])
Path("/proc/self/clear_refs").write_text("5")
before = kilobytes("VmRSS")
events = read_events(sys.argv[2])
arrays = events.images["anode"].nbytes + events.truth.estimated_size()
print(arrays, (kilobytes("VmHWM") - before) * 1024)
"""


@dataclass(frozen=True)
class Files:
    """The same events in three layouts."""

    text: Path
    gz: Path
    native: Path


def loop(path: Path) -> None:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        table = [np.fromstring(line, sep=" ") for line in file]
    images = np.array([row[:N_PIXELS] for row in table]).reshape(-1, 16, 16)
    values = np.array([row[N_PIXELS:] for row in table])
    _check(images, values)


def loadtxt(path: Path) -> None:
    table = np.loadtxt(path)
    _check(table[:, :N_PIXELS].reshape(-1, 16, 16), table[:, N_PIXELS:])


def pandas(path: Path) -> None:
    import pandas as pd

    table = pd.read_csv(path, sep=" ", header=None).to_numpy()
    _check(table[:, :N_PIXELS].reshape(-1, 16, 16), table[:, N_PIXELS:])


def polars(path: Path) -> None:
    schema = {f"p{i}": pl.UInt16 if i < N_PIXELS else pl.Float64 for i in range(N_FIELDS)}
    table = pl.read_csv(path, separator=" ", has_header=False, schema=schema)
    images = np.empty((len(table), N_PIXELS), np.uint16)
    for i in range(N_PIXELS):
        images[:, i] = table[f"p{i}"].to_numpy()
    _check(images.reshape(-1, 16, 16), table[:, N_PIXELS:].to_numpy())


def hitlens(path: Path) -> None:
    events = read_events(path)
    _check(events.dense("anode"), events.truth["energy_1_mev"].to_numpy())


def _check(images: np.ndarray, values: np.ndarray) -> None:
    if images.shape[1:] != (16, 16) or len(images) != len(values):
        raise SystemExit(f"a reader gave {images.shape} images and {values.shape} numbers")


def readers(files: Files) -> dict[str, tuple[Callable[[Path], None], Path]]:
    found: dict[str, tuple[Callable[[Path], None], Path]] = {
        LOOP: (loop, files.text),
        "numpy.loadtxt": (loadtxt, files.text),
        "polars, typed schema": (polars, files.text),
        "hitlens, text": (hitlens, files.text),
        f"{LOOP}, gzipped": (loop, files.gz),
        "hitlens, gzipped text": (hitlens, files.gz),
        "hitlens, native file": (hitlens, files.native),
    }
    if importlib.util.find_spec("pandas"):
        found["pandas"] = (pandas, files.text)
    return found


def prepare(folder: Path, source: Path | None, n_events: int) -> Files:
    files = Files(folder / "events.txt", folder / "events.txt.gz", folder / "events.h5")
    if source is None:
        from hitlens.workflow.simulation import simulate_to_file

        simulate_to_file(files.native, "cebr", n_events, seed=1)
        convert(files.native, files.text)
        files.native.unlink()
    else:
        convert(source, files.text)
    convert(files.text, files.gz)
    convert(files.text, files.native)
    return files


def measure(files: Files, n_rounds: int) -> dict[str, float]:
    seconds: dict[str, list[float]] = {}
    for path in (files.text, files.native):
        hitlens(path)
    for i in range(n_rounds):
        for name, (read, path) in readers(files).items():
            start = time.perf_counter()
            read(path)
            seconds.setdefault(name, []).append(time.perf_counter() - start)
            print(f"round {i + 1} of {n_rounds}: {name} {seconds[name][-1]:.3f} s", file=sys.stderr)
    return {name: statistics.median(times) for name, times in seconds.items()}


def memory_ratios(files: Files, folder: Path) -> dict[str, float]:
    ratios = {}
    for name, path in (
        ("hitlens, text", files.text),
        ("hitlens, gzipped text", files.gz),
        ("hitlens, native file", files.native),
    ):
        small = folder / f"small{''.join(path.suffixes)}"
        with files.text.open() as whole, (folder / "small.txt").open("w") as part:
            part.writelines(next(whole) for _ in range(10))
        if small.name != "small.txt":
            convert(folder / "small.txt", small, force=True)
        command = [sys.executable, "-c", MEMORY_PROBE, str(small), str(path)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        arrays, rise = map(int, done.stdout.split())
        ratios[name] = rise / arrays
    return ratios


def table(seconds: dict[str, float], memory: dict[str, float], n_bytes: int, n_events: int) -> str:
    lines = [
        "| reader | s | MB/s of text | events/s | times the seeds' loop | peak memory / arrays |",
        "|---|---|---|---|---|---|",
    ]
    for name, time_s in sorted(seconds.items(), key=lambda item: -item[1]):
        peak = f"{memory[name]:.2f}" if name in memory else ""
        lines.append(
            f"| {name} | {time_s:.3f} | {n_bytes / time_s / 1e6:.0f} | {n_events / time_s:,.0f} "
            f"| {seconds[LOOP] / time_s:.1f} | {peak} |"
        )
    return "\n".join(lines)


def machine() -> str:
    model = platform.processor() or platform.machine()
    try:
        text = Path("/proc/cpuinfo").read_text()
        model = next(
            line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")
        )
    except (OSError, StopIteration):
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model}, {cores} cores; Python {platform.python_version()}, numpy {np.__version__}"


def verdicts(seconds: dict[str, float], memory: dict[str, float]) -> list[tuple[str, bool]]:
    text = seconds[LOOP] / seconds["hitlens, text"]
    native = seconds[LOOP] / seconds["hitlens, native file"]
    peak = memory["hitlens, text"]
    return [
        (f"text {text:.1f} times as fast as the loop (goal: at least {TEXT_GOAL:g})", text >= TEXT_GOAL),
        (
            f"native file {native:.1f} times as fast as the loop (goal: at least {NATIVE_GOAL:g})",
            native >= NATIVE_GOAL,
        ),
        (f"peak memory {peak:.2f} times the arrays (goal: below {MEMORY_GOAL:g})", peak < MEMORY_GOAL),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, help="events to read, of any layout; simulated unless given")
    parser.add_argument("--events", type=int, default=200_000, help="events to simulate")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=HERE / "RESULTS.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = prepare(folder, arguments.file, arguments.events)
        n_bytes = files.text.stat().st_size
        n_events = len(read_events(files.native))
        seconds = measure(files, arguments.rounds)
        memory = memory_ratios(files, folder)
    goals = verdicts(seconds, memory)
    page = "\n".join(
        [
            "# Reading speed",
            "",
            f"{n_events:,} events, {n_bytes / 1e6:.0f} MB of text; "
            f"medians of {arguments.rounds} interleaved rounds.",
            f"hitlens {__version__}; {machine()}; load average {os.getloadavg()[0]:.1f}.",
            "",
            table(seconds, memory, n_bytes, n_events),
            "",
            *(f"- {'reached' if reached else 'MISSED'}: {words}" for words, reached in goals),
            "",
            "The loop is `numpy.fromstring(line, sep=' ')` on every line. Memory is how far the peak "
            "resident size rises in a process of its own that has read ten events before.",
            "",
        ]
    )
    arguments.out.write_text(page)
    print(page)
    return 0 if all(reached for _, reached in goals) else 1


if __name__ == "__main__":
    raise SystemExit(main())
