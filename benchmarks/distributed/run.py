"""Train one network by one process and by two on the same events: how far apart they end, and how fast.

Run it through `run.sh`. Writes RESULTS.md beside this file.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file

from hitlens.train.callbacks import read_history
from hitlens.workflow import runs

HERE = Path(__file__).resolve().parent
ONE = (sys.executable, "-m", "hitlens")
TWO = (
    *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
    *("-m", "hitlens"),
)


@dataclass(frozen=True)
class Row:
    """One way to train.

    Attributes:
        folder: of its run.
        command: that starts hitlens.
        n_threads: of each process.
    """

    name: str
    folder: str
    command: tuple[str, ...]
    n_threads: int


ROWS = (
    Row("one process, one thread", "one", ONE, 1),
    Row("one process, two threads", "threads", ONE, 2),
    Row("two processes, one thread each", "two", TWO, 1),
)


def run(*command: str, n_threads: int = 1) -> None:
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": str(n_threads)})


def largest_difference(one: Path, other: Path) -> float:
    weights, others = (load_file(folder / runs.MODEL) for folder in (one, other))
    learnt = [name for name in weights if name.endswith(("weight", "bias"))]
    return max((weights[name] - others[name]).abs().max().item() for name in learnt)


def table(folder: Path) -> list[str]:
    lines = [
        "| | training events/s | ratio | largest difference of a weight | validation accuracy by epoch |",
        "|---|---|---|---|---|",
    ]
    first = folder / ROWS[0].folder
    n_train = runs.read_provenance(first)["split"]["n_train"]
    speeds = []
    for row in ROWS:
        history = read_history(folder / row.folder / runs.HISTORY)
        speeds.append(n_train / statistics.median(float(epoch["seconds"]) for epoch in history[1:]))
        scores = ", ".join(f"{float(epoch['val_accuracy']):.4f}" for epoch in history)
        apart = "" if row is ROWS[0] else f"{largest_difference(first, folder / row.folder):.1e}"
        lines.append(
            f"| {row.name} | {speeds[-1]:,.0f} | {speeds[-1] / speeds[0]:.2f} | {apart} | {scores} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=4000)
    parser.add_argument("--epochs", type=int, default=3)
    given = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        events = str(folder / "events.h5")
        run(*ONE, "simulate", "cebr", "--n-events", str(given.events), "--output", events)
        settings = (
            *(f"train.epochs={given.epochs}", "train.learning_rate=0.0003", "train.keep=last"),
            *("train.precision=float32", "train.accelerator=cpu"),
        )
        for row in ROWS:
            command = (*row.command, "train", "cebr/plain_cnn_multiplicity", "--data", events, "--quiet")
            changed = [word for setting in settings for word in ("--set", setting)]
            run(*command, "--output", str(folder / row.folder), *changed, n_threads=row.n_threads)
        rows = table(folder)
    text = [
        "# One process and two",
        "",
        f"`cebr/plain_cnn_multiplicity` in float32 at a learning rate of 0.0003, {given.events:,} simulated "
        f"events, {given.epochs} epochs, the same batches of the same size. Speed is the median over the "
        "epochs after the first, validation counted in. The difference is to the first row, after the last "
        "epoch.",
        "",
        *rows,
        "",
        "Single precision rounds sums that are made in another order, and Adam makes that visible within a "
        "few steps; how far it goes is told by one process with another number of threads. In double "
        "precision two processes end within 1e-9 of one (`tests/workflow/test_training_together.py`). Two "
        "processes on two cores that other work shares take more of them than one does: the ratio means "
        "something only at a load average below 3.",
        "",
        f"Machine: {runs.describe_machine()['processor']}, {os.cpu_count()} cores; Python "
        f"{platform.python_version()}, torch {runs.library_versions()['torch']}. Load average while it ran: "
        f"{os.getloadavg()[0]:.1f}. The whole took {time.perf_counter() - started:.0f} s. Made by "
        "`benchmarks/distributed/run.sh`.",
        "",
    ]
    (HERE / "RESULTS.md").write_text("\n".join(text), encoding="utf-8")
    print("\n".join(text))


if __name__ == "__main__":
    main()
