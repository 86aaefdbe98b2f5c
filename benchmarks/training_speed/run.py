"""Train the seed's network with hitlens and with Keras on the same events, interleaved, and compare.

Run it through `run.sh`; it makes Keras an environment of its own. Writes RESULTS.md beside this file.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from hitlens.datasets.splits import SplitConfig, split_events
from hitlens.datasets.transforms import fit_scaling
from hitlens.io.native import read_native

HERE = Path(__file__).resolve().parent
#: The command of the environment this runs in.
HITLENS = Path(sys.executable).with_name("hitlens")
KERAS_ENV = HERE / ".venv-keras"

#: Fractions of the events; the same on both sides, and so is the seed of the draw.
SPLIT = {"train": 0.8, "validation": 0.1, "test": 0.1}


@dataclass
class Row:
    """One way to train, and what was measured of it.

    Attributes:
        recipe: the shipped recipe, empty for Keras.
        settings: what is set beside batch size and epochs.
        speeds: training events a second, one an epoch, first epochs left out.
        accuracies: validation accuracy after the last epoch, one a repeat.
    """

    name: str
    batch_size: int
    recipe: str = ""
    settings: tuple[str, ...] = ()
    speeds: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)


#: The notebook's training as the Keras side has it: its default network, no flips, the same constants.
NOTEBOOK = (
    "model.normalise=standard",
    "model.settings={}",
    "train.augment=false",
)

ROWS = (
    Row("Keras", 64),
    Row("hitlens, default path", 64, "cebr/plain_cnn_multiplicity"),
    Row("hitlens, the notebook's training", 64, "cebr/seed_multiplicity", NOTEBOOK),
    Row("hitlens, default path", 256, "cebr/plain_cnn_multiplicity"),
)


def make_environment() -> None:
    """Make Keras' environment, once."""
    stamp = KERAS_ENV / ".installed"
    wanted = (HERE / "requirements.txt").read_text(encoding="utf-8")
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    print("Installing Keras into its own environment ...", flush=True)
    subprocess.run([sys.executable, "-m", "venv", KERAS_ENV], check=True)
    pip = [KERAS_ENV / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", HERE / "requirements.txt"], check=True)
    stamp.write_text(wanted, encoding="utf-8")


def prepare(work: Path, n_events: int) -> tuple[Path, int]:
    """Simulate, and write arrays of the same split and scaling for Keras; return file and n_train."""
    data = work / "cebr.h5"
    if not data.exists():
        simulate = ["simulate", "cebr", "-n", str(n_events), "--seed", "1", "-o", str(data)]
        subprocess.run([HITLENS, *simulate], check=True)
    events = read_native(data)
    strata = events.truth["n_electrons"].to_numpy().astype(np.int64)
    split = split_events(events, SplitConfig(**SPLIT), key=("file", "event"), strata=strata)
    images = events.dense("anode")
    scaling = fit_scaling("log1p", torch.from_numpy(images), split.train)
    for name in ("train", "validation"):
        rows = getattr(split, name)
        pixels = (np.log1p(images[rows].astype(np.float32)) - scaling.offset) / scaling.scale
        np.save(work / f"{name}_x.npy", pixels.astype(np.float32))
        np.save(work / f"{name}_y.npy", (strata[rows] == 2).astype(np.float32))
    return data, len(split.train)


def train_keras(row: Row, work: Path, epochs: int, seed: int) -> tuple[list[float], float]:
    """Return seconds of each epoch and the last validation accuracy."""
    options = ["--batch-size", str(row.batch_size), "--epochs", str(epochs), "--seed", str(seed)]
    command = [KERAS_ENV / "bin" / "python", HERE / "keras_side.py", work, *options]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result = json.loads(done.stdout.strip().splitlines()[-1])
    return result["seconds"], result["accuracy"][-1]


def train_hitlens(row: Row, data: Path, work: Path, epochs: int, seed: int) -> tuple[list[float], float]:
    """Return seconds of each epoch and the last validation accuracy."""
    run = work / f"run-{ROWS.index(row)}-{seed}"
    settings = [
        "model.symmetrise=false",
        "model.calibrate=false",
        f"train.epochs={epochs}",
        f"train.batch_size={row.batch_size}",
        f"train.seed={seed}",
        *(f"split.{name}={value}" for name, value in SPLIT.items()),
        *row.settings,
    ]
    sets = [part for setting in settings for part in ("--set", setting)]
    train = ["train", row.recipe, "--data", str(data), "-o", str(run), "--force", *sets]
    subprocess.run([HITLENS, *train], check=True, capture_output=True, text=True)
    with (run / "history.csv").open(newline="") as file:
        history = list(csv.DictReader(file))
    return [float(epoch["seconds"]) for epoch in history], float(history[-1]["val_metric"])


def processor() -> str:
    """Return the name of the processor and its number of cores."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


def results_page(n_events: int, epochs: int, repeats: int, minutes: float) -> str:
    """Return RESULTS.md."""
    base = statistics.median(ROWS[0].speeds)
    lines = [
        "# Training speed beside Keras",
        "",
        f"The seed's network (326,081 parameters), task multiplicity, {n_events:,} simulated events of which "
        f"{SPLIT['train']:.0%} are trained on, {epochs} epochs, {repeats} repeats of all rows in turn. "
        "Speed is the median over epochs and repeats, the first epoch of each left out, "
        "validation after each epoch counted in on both sides. "
        "Accuracy is that of the last epoch on the validation split, median and range over the repeats.",
        "",
        "| | batch | training events/s | ratio to Keras, batch 64 | accuracy (range) |",
        "|---|---|---|---|---|",
    ]
    for row in ROWS:
        speed = statistics.median(row.speeds)
        middle, low, high = statistics.median(row.accuracies), min(row.accuracies), max(row.accuracies)
        lines.append(
            f"| {row.name} | {row.batch_size} | {speed:,.0f} | {speed / base:.2f} "
            f"| {middle:.4f} ({low:.4f}-{high:.4f}) |"
        )
    lines += [
        "",
        f"Machine: {processor()}. Python {platform.python_version()}; Keras side: "
        f"{', '.join((HERE / 'requirements.txt').read_text(encoding='utf-8').split())}. "
        f"The whole comparison took {minutes:.0f} minutes. Made by `benchmarks/training_speed/run.sh`.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", type=Path, default=HERE.parents[1] / "build" / "training_speed")
    options = parser.parse_args()

    make_environment()
    options.work.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    data, n_train = prepare(options.work, options.events)
    for seed in range(1, options.repeats + 1):
        for row in ROWS:
            if not row.recipe:
                seconds, accuracy = train_keras(row, options.work, options.epochs, seed)
            else:
                seconds, accuracy = train_hitlens(row, data, options.work, options.epochs, seed)
            row.speeds += [n_train / epoch for epoch in seconds[1:]]
            row.accuracies.append(accuracy)
            speed = statistics.median(row.speeds)
            print(f"{seed}  {row.name}, batch {row.batch_size}: {speed:,.0f} /s, {accuracy:.4f}", flush=True)
    minutes = (time.perf_counter() - started) / 60
    page = results_page(options.events, options.epochs, options.repeats, minutes)
    (HERE / "RESULTS.md").write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
