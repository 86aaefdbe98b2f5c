"""Kill commands at random moments, finish them as documented, and compare with what an unbroken one writes.

    python tests/kill.py --kills 20 --seed 1 --seconds 600 [--only train --only predict]

Each round starts a command on small inputs, sends it SIGKILL, SIGTERM or SIGINT after a random part of the
time an unbroken one takes, and gives the same command again, with ``--resume`` where the documentation says
so. The results must be equal (weights, predictions, numbers), and nothing may be left over. Prints counts by
command; the exit status is 1 where a round failed.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from safetensors.numpy import load_file

from hitlens.io.atomic import is_temporary
from hitlens.io.native import read_native

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)

RECIPE = """\
detector: cebr
task: multiplicity
data: {files: [events.h5]}
model: {name: dense, settings: {hidden: [8]}}
train: {epochs: 4, batch_size: 40, accelerator: cpu, precision: float32}
evaluate: {n_bootstrap: 50}
"""
SEARCH = """\
title: Rates
base:
  detector: cebr
  task: multiplicity
  data: {files: [events.h5]}
  model: {name: dense, settings: {hidden: [8]}}
  train: {epochs: 2, batch_size: 40, accelerator: cpu, precision: float32}
  evaluate: {n_bootstrap: 50}
search: {method: grid, space: {train.learning_rate: [0.001, 0.01]}}
"""


@dataclass
class Killed:
    """A command that is killed.

    Attributes:
        name: of the command.
        arguments: of hitlens, in the folder of the round.
        output: file or folder it writes.
        compare: returns what must be equal.
        resume: arguments of the finishing command beside the same ones.
        prepare: makes what the command needs there.
    """

    name: str
    arguments: Sequence[str]
    output: str
    compare: Callable[[Path], Any]
    resume: Sequence[str] = ()
    prepare: Callable[[Path, Path], object] = field(default=lambda inputs, folder: None)


def weights(folder: Path) -> dict[str, bytes]:
    """Return the weights of all models below a folder, and their predictions."""
    found = {}
    for path in sorted(folder.rglob("model.safetensors")):
        name = path.parent.relative_to(folder)
        found |= {f"{name}/{key}": value.tobytes() for key, value in load_file(path).items()}
    for path in sorted(folder.rglob("predictions.parquet")):
        table = pl.read_parquet(path).write_csv().encode()
        found[str(path.relative_to(folder))] = table
    return found


def metrics(folder: Path) -> Any:
    """Return the numbers of an evaluation, without times and the list of readings."""
    return numbers(json.loads((folder / "metrics.json").read_text())["tasks"])


def numbers(content: Any) -> Any:
    """Return a document without what depends on the clock; NaN equals NaN."""
    if isinstance(content, dict):
        return {
            key: numbers(value) for key, value in content.items() if not key.startswith(("seconds", "when"))
        }
    if isinstance(content, list):
        return [numbers(value) for value in content]
    return "nan" if isinstance(content, float) and math.isnan(content) else content


def events(path: Path) -> tuple[bytes, str]:
    """Return images and truth of a native file."""
    read = read_native(path)
    return b"".join(image.tobytes() for image in read.images.values()), read.truth.write_csv()


def copy_run(inputs: Path, folder: Path) -> None:
    """Give a round a finished run."""
    shutil.copytree(inputs / "run", folder / "run")


COMMANDS = (
    Killed("train", ["train", "r.yaml", "-o", "out", "--quiet"], "out", weights, ["--resume"]),
    Killed(
        "train --seeds",
        ["train", "r.yaml", "-o", "out", "--quiet", "--seeds", "1-3"],
        "out",
        weights,
        ["--resume"],
    ),
    Killed("evaluate", ["evaluate", "run"], "run", metrics, prepare=copy_run),
    Killed(
        "predict",
        ["predict", "../inputs/run", "events.h5", "-o", "out.parquet", "--force"],
        "out.parquet",
        pl.read_parquet,
    ),
    Killed("convert", ["convert", "events.h5", "out.txt", "--force"], "out.txt", Path.read_bytes),
    Killed("simulate", ["simulate", "cebr", "-n", "3000", "-o", "out.h5", "--force"], "out.h5", events),
    Killed("tune", ["tune", "search.yaml", "-o", "out", "--quiet"], "out", weights, ["--resume"]),
    Killed(
        "crossvalidate",
        ["crossvalidate", "r.yaml", "--folds", "2", "-o", "out", "--quiet"],
        "out",
        weights,
        ["--resume"],
    ),
)


def hitlens(folder: Path, arguments: Sequence[str]) -> subprocess.Popen[str]:
    """Start a command; Ctrl-C reaches it also where this process ignores it."""
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from hitlens.cli import main; main()"
    )
    command = [sys.executable, "-c", code, *arguments]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, cwd=folder, text=True, **pipes)


def done(folder: Path, arguments: Sequence[str]) -> None:
    """Do a command to its end."""
    process = hitlens(folder, arguments)
    said, _ = process.communicate(timeout=600)
    if process.returncode:
        raise RuntimeError(f"hitlens {' '.join(arguments)} ended with {process.returncode}: {said[-600:]}")


def finish(command: Killed, folder: Path) -> None:
    """Finish a command that was killed, as the documentation says."""
    begun = bool(command.resume) and (folder / command.output).exists()
    process = hitlens(folder, [*command.arguments, *(command.resume if begun else ())])
    said, _ = process.communicate(timeout=600)
    # A command killed before it had begun or after it had ended says so.
    if process.returncode and "to resume" in said:
        done(folder, command.arguments)
    elif process.returncode and "is finished" not in said and "was evaluated before" not in said:
        raise RuntimeError(f"finishing ended with {process.returncode}: {said[-600:]}")


def left_over(folder: Path) -> list[str]:
    """Return what no command should leave behind."""
    names = [path.relative_to(folder) for path in folder.rglob("*")]
    return [str(name) for name in names if is_temporary(name.name) or name.name.endswith(".lock")]


def make_inputs(folder: Path) -> None:
    """Write events, recipes and a finished run."""
    folder.mkdir()
    (folder / "r.yaml").write_text(RECIPE)
    (folder / "search.yaml").write_text(SEARCH)
    done(folder, ["simulate", "cebr", "-n", "400", "-o", "events.h5"])
    done(folder, ["train", "r.yaml", "-o", "run", "--quiet"])


def make_round(inputs: Path, folder: Path, command: Killed) -> None:
    """Make the folder of a round."""
    folder.mkdir()
    for name in ("events.h5", "r.yaml", "search.yaml"):
        shutil.copy(inputs / name, folder)
    command.prepare(inputs, folder)


def one_round(
    inputs: Path, folder: Path, command: Killed, expected: Any, seconds: float, rng: random.Random
) -> str:
    """Kill a command once and finish it; return what was wrong, nothing where all is well."""
    make_round(inputs, folder, command)
    number, after = rng.choice(SIGNALS), rng.uniform(0.2, 1.0) * seconds
    process = hitlens(folder, command.arguments)
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
    said, _ = process.communicate(timeout=600)
    where = f"{number.name} after {after:.1f} s"
    if "Traceback" in said:
        return f"{where}: a traceback: {said[-400:]}"
    try:
        finish(command, folder)
    except RuntimeError as error:
        return f"{where}: {error}"
    found = command.compare(folder / command.output)
    equal = found.equals(expected) if isinstance(found, pl.DataFrame) else found == expected
    if not equal:
        return f"{where}: the result differs"
    left = left_over(folder)
    return f"{where}: left over {left}" if left else ""


def campaign(n_kills: int, seed: int, seconds: float, only: Sequence[str] = ()) -> dict[str, list[str]]:
    """Kill each command in turn until the number or the time is used up; return the problems by command."""
    rng, started = random.Random(seed), time.monotonic()
    commands = [command for command in COMMANDS if not only or command.name in only]
    problems: dict[str, list[str]] = {}
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="hitlens-kill-") as name:
        root = Path(name)
        make_inputs(root / "inputs")
        expected: dict[str, tuple[Any, float]] = {}
        for number in range(n_kills):
            if time.monotonic() - started > seconds:
                break
            command = commands[number % len(commands)]
            if command.name not in expected:
                make_round(root / "inputs", whole := root / f"whole{number}", command)
                begun = time.monotonic()
                done(whole, command.arguments)
                expected[command.name] = (command.compare(whole / command.output), time.monotonic() - begun)
            folder = root / f"round{number}"
            problem = one_round(root / "inputs", folder, command, *expected[command.name], rng)
            shutil.rmtree(folder)
            counts[command.name] += 1
            problems.setdefault(command.name, [])
            if problem:
                problems[command.name].append(problem)
                print(f"{command.name}: {problem}", flush=True)
    for name, n_done in counts.items():
        print(f"{name:15} {n_done - len(problems[name])} of {n_done} as if never killed", flush=True)
    return problems


def main() -> None:
    """Run a campaign from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=900.0)
    parser.add_argument("--only", action="append", default=[], choices=[one.name for one in COMMANDS])
    given = parser.parse_args()
    sys.exit(any(campaign(given.kills, given.seed, given.seconds, given.only).values()))


if __name__ == "__main__":
    main()
