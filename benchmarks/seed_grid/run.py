"""The seed's grid of 18 networks, trained our way and the seed's plain way, each search killed twice.

    python benchmarks/seed_grid/run.py

Simulates 40,000 CeBr events (seed 11) and searches ``cebr/seed_grid`` and ``cebr/seed_grid_plain`` on them,
without repeats over seeds and longer training, with one `hitlens tune` each. The first one is ended twice
with SIGKILL and goes on. Sets both side by side on the validation split: best epoch, and lowest of the last
five. Writes RESULTS.md. A finished search is not run again, an unfinished one goes on; `--force` starts over.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from hitlens.evaluate.results import MetricResult
from hitlens.tune.results import TrialResult, TuneResults, read_tuning
from hitlens.workflow import runs
from hitlens.workflow.simulation import simulate_to_file

HERE = Path(__file__).resolve().parent
N_EVENTS, SEED = 40_000, 11
OURS, PLAIN = "seed_grid", "seed_grid_plain"
#: The grid alone.
GRID_ALONE = ("finalists.count=0", "finalists.seeds=[]", "longer.epochs=0")
#: Seconds after which the first search is ended, each time it was begun.
KILLED_AFTER = (150, 200)
#: The default training is to swing by no more than this over its last five epochs.
GOAL = 0.003


def search(recipe: str, data: Path, folder: Path, killed_after: tuple[int, ...], workers: str) -> None:
    """Run a search in one command, killed after so many seconds and begun again until it is over."""
    if (folder / "tune.json").is_file():
        return
    for seconds in (*killed_after, None):
        command = [sys.executable, "-m", "hitlens", "tune", f"cebr/{recipe}", "--data", str(data)]
        command += ["-o", str(folder), "--quiet", "--workers", workers]
        command += [word for setting in GRID_ALONE for word in ("--set", setting)]
        command += ["--resume"] if folder.exists() else []
        process = subprocess.Popen(command, start_new_session=True)
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            print(f"{recipe}: killed after {seconds} s with {n_finished(folder)} trials finished", flush=True)
            continue
        if status:
            raise SystemExit(f"hitlens tune ended with status {status}")
        return


def n_finished(folder: Path) -> int:
    """Return how many trainings of a search are finished."""
    return sum(runs.is_finished(one) for one in (folder / "trials").glob("*"))


def metric(trial: TrialResult, name: str) -> MetricResult:
    """Return one of the numbers of a trial's only head."""
    if trial.run is None:
        raise SystemExit(f"trial {trial.number} failed: {trial.error}")
    return next(one for one in trial.run.heads[0].metrics if one.name == name and not one.column)


def swing(trial: TrialResult) -> tuple[float, float]:
    """Return the best validation accuracy of a training, and the lowest of its last five epochs."""
    if trial.run is None:
        raise SystemExit(f"trial {trial.number} failed: {trial.error}")
    last = trial.run.stability
    return last.worst + last.below_best, last.worst


def grid_of(found: TuneResults) -> dict[tuple[object, ...], TrialResult]:
    """Return the trials of the grid by their settings."""
    paths = [parameter.path for parameter in found.parameters]
    searched = [trial for trial in found.trials if trial.stage == "search"]
    return {tuple(trial.values[path] for path in paths): trial for trial in searched}


def render(found: Mapping[str, TuneResults]) -> str:
    """Return RESULTS.md."""
    ours, plain = (grid_of(found[name]) for name in (OURS, PLAIN))
    names = [parameter.path.rpartition(".")[2] for parameter in found[OURS].parameters]
    head = [*names, "accuracy", "F1", "MCC", "best", "lowest of last 5", "difference"]
    head += ["plain: best", "plain: lowest of last 5", "plain: difference"]
    rows, worst, worst_plain = [], 0.0, 0.0
    for settings, trial in ours.items():
        best, lowest = swing(trial)
        plain_best, plain_lowest = swing(plain[settings])
        worst, worst_plain = max(worst, best - lowest), max(worst_plain, plain_best - plain_lowest)
        cells = list(map(str, settings))
        cells += [str(metric(trial, name).interval) for name in ("accuracy", "f1", "mcc")]
        cells += [f"{value:.4f}" for value in (best, lowest, best - lowest)]
        cells += [f"{value:.4f}" for value in (plain_best, plain_lowest, plain_best - plain_lowest)]
        rows.append(cells)
    lines = [" | ".join(["", *cells, ""]).strip() for cells in (head, ["---"] * len(head), *rows)]
    reached = "reached" if worst <= GOAL else "not reached"
    return "\n".join(
        [
            "# CeBr: the seed's grid of 18 networks",
            "",
            f"{N_EVENTS:,} simulated events, seed {SEED}; 60 % training, 20 % validation. Numbers are of the",
            "validation split; accuracy, F1 and MCC with their 95 % intervals. `plain` is the same network",
            "trained the seed notebook's way. Each search is one command; the first was ended with SIGKILL",
            "at least twice and went on. Made by `run.py` beside this file.",
            "",
            *lines,
            "",
            f"Largest difference of best and lowest of the last five epochs: {worst:.4f} (goal {GOAL}: "
            f"{reached}); trained plainly {worst_plain:.4f}.",
            "",
            *(summary(name, one) for name, one in found.items()),
            "",
        ]
    )


def summary(name: str, found: TuneResults) -> str:
    """Return a line on one search."""
    n_resumed = sum(trial.n_resumed for trial in found.trials)
    minutes = f"{found.seconds / 60:.1f} minutes in all (those trained at once overlap)"
    return (
        f"- `cebr/{name}`: {len(found.trials)} trainings, {minutes}, {n_resumed} gone on after a kill; "
        f"{found.machine['processor']}. {found.reason}"
    )


def main() -> None:
    """Search both ways and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("runs/seed_grid"), help="where searches go")
    parser.add_argument("--force", action="store_true", help="start over")
    parser.add_argument("--workers", default="1", help="processes that train side by side")
    chosen = parser.parse_args()
    if chosen.force:
        shutil.rmtree(chosen.folder, ignore_errors=True)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    data = chosen.folder / "events.h5"
    if not data.exists():
        simulate_to_file(data, "cebr", N_EVENTS, SEED)
    started = time.perf_counter()
    for recipe, killed_after in ((OURS, KILLED_AFTER), (PLAIN, ())):
        search(recipe, data, chosen.folder / recipe, killed_after, chosen.workers)
    found = {name: read_tuning(chosen.folder / name / "tune.json") for name in (OURS, PLAIN)}
    (HERE / "RESULTS.md").write_text(render(found), encoding="utf-8")
    print(f"{HERE / 'RESULTS.md'} written after {(time.perf_counter() - started) / 60:.0f} minutes")


if __name__ == "__main__":
    main()
