"""A campaign of damaged files: every door of the package, many mutations, in child processes.

    python tests/fuzz/campaign.py --number 200 --seed 1 --door native

A door may refuse a file with an error of ours or accept it. All else is counted as a fault: an exception of
a library, a process that hangs, and one that crashes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import pickle
import resource
import signal
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from scipy import sparse

from hitlens.config import load_config
from hitlens.datasets.transforms import Scaling
from hitlens.detector import ReadReport, Task
from hitlens.detectors import get_detector
from hitlens.detectors.dune.partition import read_partition
from hitlens.detectors.from_yaml import load_detector
from hitlens.errors import HitlensError
from hitlens.evaluate.predictions import Predictions, read_predictions, write_predictions
from hitlens.events import Events
from hitlens.io.columns import open_columns
from hitlens.io.fetch import read_lock
from hitlens.io.native import NativeWriter
from hitlens.models import build_network
from hitlens.models.preprocessing import Preprocessing
from hitlens.models.trained import ModelCard, TrainedModel, load_model, save_model
from hitlens.train.checkpoints import read_checkpoint
from hitlens.workflow.data import iterate_events
from hitlens.workflow.runs import read_provenance

#: Seconds a child may take, and bytes of address space it may have.
LIMIT_S, LIMIT_BYTES = 20.0, 8 << 30
OUTCOMES = ("refused", "accepted", "foreign", "hang", "crash")


@dataclass(frozen=True)
class Door:
    """A reader of files that others made.

    Attributes:
        file: name of the file that is damaged.
        make: writes a small valid one, given its path.
        read: reads it.
    """

    file: str
    make: Callable[[Path], object]
    read: Callable[[Path], object]


def _events(detector: str = "") -> Callable[[Path], object]:
    def read(path: Path) -> None:
        folder = path.name in ("images.npy", "event0.gz", "event0.info")
        for block in iterate_events(path.parent if folder else path, detector or None, report=ReadReport([])):
            for images in block.images.values():
                images.sum()

    return read


def _cebr(n: int = 12) -> Events:
    rng = np.random.default_rng(1)
    truth = {"file": ["a"] * n, "event": np.arange(n), "energy_1_mev": rng.random(n)}
    truth |= {"x_1_px": rng.uniform(0, 16, n), "y_1_px": rng.uniform(0, 16, n), "n_electrons": [1] * n}
    truth |= {name: [None] * n for name in ("energy_2_mev", "x_2_px", "y_2_px")}
    overrides = dict.fromkeys(("energy_2_mev", "x_2_px", "y_2_px"), pl.Float64)
    images = rng.poisson(3, (n, 16, 16)).astype(np.uint16)
    return Events({"anode": images}, pl.DataFrame(truth, schema_overrides=overrides), "cebr")


def _native(path: Path, *, thin: bool = False) -> None:
    events = _cebr()
    if thin:
        events = Events(
            {"anode": sparse.csr_array(np.asarray(events.images["anode"]).reshape(12, -1))},
            events.truth,
            "cebr",
        )
    with NativeWriter(path, "cebr") as writer:
        writer.write(events)


def _text(path: Path) -> None:
    rng = np.random.default_rng(2)
    rows = [[*rng.integers(0, 9, 256).tolist(), 0.5, 3.25, 4.5, 0, -100, -100] for _ in range(4)]
    path.write_text("\n".join(" ".join(map(str, row)) for row in rows) + "\n")


def _samples_of(heads: Sequence[Sequence[float]], n: int) -> Callable[[Path], object]:
    """Return what writes lines of a head and n samples or pixels."""

    def write(path: Path) -> None:
        samples = np.random.default_rng(6).integers(0, 99, (len(heads), n)).tolist()
        lines = [[*head, *row] for head, row in zip(heads, samples, strict=True)]
        path.write_text("\n".join(" ".join(map(str, line)) for line in lines) + "\n")

    return write


def _checkpoint(path: Path) -> None:
    torch.save({"global_step": 3, "epoch": 1, "state_dict": {"weight": torch.ones(40)}}, path)


def _npy(path: Path) -> None:
    np.save(path, np.random.default_rng(3).integers(0, 9, (6, 16, 16)).astype(np.uint16))


def _decoded(path: Path) -> None:
    image = np.random.default_rng(4).integers(0, 3, (80, 100)).astype(np.uint8)
    np.savez_compressed(path, **{f"truetype2_caltype2_event7_{view}": image for view in "xy"})


def _arrays() -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(5)
    return {"adc": rng.integers(0, 99, (20, 4)).astype(np.uint16), "energy": rng.random(20)}


def _hdf5(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        for name, values in _arrays().items():
            file.create_dataset(name, data=values, chunks=True, compression="gzip")
        file["name"] = ["a", "bc"] * 10
        lists = file.create_dataset("lists", 20, h5py.vlen_dtype(np.int32))
        for n in range(20):
            lists[n] = np.arange(n % 4)


def _parquet(path: Path) -> None:
    table = {"energy": _arrays()["energy"], "lists": [[n] * (n % 3) for n in range(20)], "name": ["a"] * 20}
    pl.DataFrame(table).write_parquet(path)


def _root(path: Path) -> None:
    import uproot

    with uproot.recreate(path) as file:
        file.mktree("events", _arrays())


def _all_columns(path: Path) -> None:
    with open_columns(path) as columns:
        for name in columns.names:
            columns.read(name, 0, columns.length(name))


def _predictions(path: Path) -> None:
    task = Task(name="charge", kind="regression", meaning="charge", columns=("q",), units=("e",))
    table = pl.DataFrame({"event": range(20), "split": ["test"] * 20, "pred_q": np.arange(20) / 7})
    write_predictions(Predictions(table, task, (task,), "demo"), path)


def _model(path: Path) -> None:
    torch.manual_seed(0)
    detector = get_detector("cebr")
    task = detector.task("multiplicity")
    settings: dict[str, Any] = {"features": [4, 4], "blocks": [1, 1], "hidden": 4}
    network = build_network("residual_cnn", settings, detector.views, 1, 1).eval()
    card = ModelCard(
        detector="cebr",
        task=task,
        heads=(task,),
        architecture="residual_cnn",
        settings=settings,
        preprocessing=Preprocessing(
            scalings={"anode": (Scaling(curve="log1p", offset=0.0, scale=1.0),)}, targets={}
        ),
    )
    save_model(TrainedModel(card, network, detector), path)


_DETECTOR = """name: strips
title: Strips
views:
- {name: plane, shape: [2, 2], axes: [z, x], pitch_mm: [10, 4], unit: photons}
truth:
- {name: is_muon, meaning: 1 for a muon}
tasks:
- {name: muon, kind: binary, meaning: muon, target: is_muon = 1, class_names: [pion, muon]}
"""
_RECIPE = """detector: cebr
task: multiplicity
data: {files: [a.h5]}
train: {epochs: 3}
"""
_LOCK = (
    '{"version": 1, "files": {"a.h5": {"url": "https://host.org/a.h5", "sha256": "ab", "n_bytes": 3, '
    '"recorded": "2026-01-01"}}}'
)


def _written(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text)


DOORS = {
    "native": Door("a.h5", _native, _events()),
    "native sparse": Door("a.h5", lambda path: _native(path, thin=True), _events()),
    "cebr text": Door("a.txt", _text, _events("cebr")),
    "cebr traces": Door(
        "training_pm1.dat",
        _samples_of([(1, 200, 5000, 1.0, 0.06, 60, 4150, 0, 0, 0, 0)] * 4, 200),
        _events("cebr"),
    ),
    "cebr anodedata": Door(
        "anodedata_1.txt", _samples_of([(900, 1), (901, 16), (17, 9)], 256), _events("cebr")
    ),
    "checkpoint": Door("epoch=1.ckpt", _checkpoint, read_checkpoint),
    "cebr npy": Door("images.npy", _npy, _events("cebr")),
    "nova decoded": Door("a.npz", _decoded, _events("nova")),
    "dune partition": Door(
        "partition_a.p",
        lambda path: path.write_bytes(pickle.dumps({"0": [0] * 7, "1": [1] * 7})),
        read_partition,
    ),
    "columns hdf5": Door("a.h5", _hdf5, _all_columns),
    "columns npz": Door("a.npz", lambda path: np.savez_compressed(path, **_arrays()), _all_columns),
    "columns parquet": Door("a.parquet", _parquet, _all_columns),
    "columns root": Door("a.root", _root, _all_columns),
    **{
        f"predictions {ending}": Door(f"p.{ending}", _predictions, read_predictions)
        for ending in ("parquet", "h5", "csv", "root")
    },
    "model": Door("model.safetensors", _model, lambda path: load_model(path, get_detector("cebr"))),
    "recipe": Door("run.yaml", _written(_RECIPE), load_config),
    "detector yaml": Door("strips.yaml", _written(_DETECTOR), load_detector),
    "provenance": Door(
        "provenance.json", _written('{"status": "finished"}'), lambda path: read_provenance(path.parent)
    ),
    "lock": Door("fetch.lock.json", _written(_LOCK), read_lock),
}


def make_samples(folder: Path) -> None:
    """Write a small valid file for every door, each in a folder of its own."""
    for name, door in DOORS.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        door.make(folder / name / door.file)


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """Return a damaged copy: flipped bits, a cut, runs of one byte, exchanged pieces, or a changed header."""
    made = bytearray(content)
    n = len(made)
    way = int(rng.integers(6))
    if way == 0:
        for bit in rng.integers(8 * n, size=int(rng.integers(1, 9))).tolist():
            made[bit // 8] ^= 1 << bit % 8
    elif way == 1:
        del made[int(rng.integers(n)) :]
    elif way == 2:
        at, length = int(rng.integers(n)), int(rng.integers(1, 64))
        made[at : at + length] = bytes([int(rng.choice([0, 1, 127, 255]))]) * len(made[at : at + length])
    elif way == 3:
        first, second = sorted(rng.integers(n, size=2).tolist())
        length = min(int(rng.integers(1, 64)), second - first, n - second)
        piece = made[first : first + length]
        made[first : first + length] = made[second : second + length]
        made[second : second + length] = piece
    elif way == 4:
        at = int(rng.integers(min(n, 512)))
        made[at] = int(rng.integers(256))
    else:
        at = int(rng.integers(n))
        made[at:at] = rng.bytes(int(rng.integers(1, 16)))
    return bytes(made)


def attempt(door: str, path: Path, contents: Sequence[bytes]) -> tuple[list[tuple[str, str]], int]:
    """Read contents in turn, all in one child process; another goes on after one that hangs or crashes.

    Returns:
        Outcome and what was said, for each content, and the most memory a child took (bytes).
    """
    outcomes: list[tuple[str, str]] = []
    memory = 0
    while len(outcomes) < len(contents):
        receiver, sender = multiprocessing.Pipe(duplex=False)
        child = os.fork()
        if not child:
            _read_all(door, path, contents[len(outcomes) :], sender)
        sender.close()
        ending = "crash"
        while len(outcomes) < len(contents):
            if not receiver.poll(LIMIT_S):
                ending = "hang"
                break
            try:
                outcomes.append(receiver.recv())
            except EOFError:
                break
        os.kill(child, signal.SIGKILL)
        memory = max(memory, os.wait4(child, 0)[2].ru_maxrss * 1024)
        receiver.close()
        if len(outcomes) < len(contents):
            outcomes.append((ending, ""))
    return outcomes, memory


def _read_all(door: str, path: Path, contents: Sequence[bytes], sender: Connection) -> None:
    """Send the outcome of every content and leave the process."""
    try:
        resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        warnings.simplefilter("ignore")
        for content in contents:
            path.unlink(missing_ok=True)
            path.write_bytes(content)
            sender.send(_outcome(door, path))
    finally:
        os._exit(0)


def _outcome(door: str, path: Path) -> tuple[str, str]:
    try:
        DOORS[door].read(path)
    except HitlensError as error:
        return "refused", str(error)
    except BaseException as error:
        return "foreign", f"{type(error).__module__}.{type(error).__name__}: {str(error)[:200]}"
    return "accepted", ""


def campaign(folder: Path, doors: Sequence[str], number: int, seed: int) -> dict[str, Counter[str]]:
    """Return the outcomes by door; the counter "memory" holds the most bytes a child took.

    Args:
        folder: for the files; those of faults stay in it.
        doors: names.
        number: mutations a door.
        seed: of the mutations.
    """
    samples = _in_a_child(folder)
    counts: dict[str, Counter[str]] = {}
    for door in doors:
        rng = np.random.default_rng([seed, *door.encode()])
        target = samples / door / DOORS[door].file
        content = target.read_bytes()
        counts[door] = Counter()
        contents = [content, *(mutated(content, rng) for _ in range(number))]
        ((outcome, text), *outcomes), memory = attempt(door, target, contents)
        if outcome != "accepted":
            raise RuntimeError(f"{door} does not accept its own sample: {outcome} {text}")
        counts[door].update(outcome for outcome, _ in outcomes)
        counts[door]["memory"] = memory
        for n, (outcome, text) in enumerate(outcomes):
            if outcome not in ("refused", "accepted"):
                kept = folder / f"{door}-{seed}-{n}-{outcome}"
                kept.write_bytes(contents[n + 1])
                print(f"{kept}: {text}", file=sys.stderr)
        target.write_bytes(content)
        print(f"{door}: done", file=sys.stderr, flush=True)
    return counts


def _in_a_child(folder: Path) -> Path:
    # The parent must not start threads (polars, OpenMP): a fork would not have them.
    samples = folder / "samples"
    child = os.fork()
    if not child:
        status = 1
        try:
            make_samples(samples)
            status = 0
        except Exception as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(status)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise RuntimeError("the samples could not be made")
    return samples


def table(counts: dict[str, Counter[str]]) -> str:
    """Return the outcomes as lines of text."""
    lines = [f"{'door':20}" + "".join(f"{name:>10}" for name in OUTCOMES) + f"{'memory MB':>11}"]
    for door, found in counts.items():
        lines.append(
            f"{door:20}" + "".join(f"{found[name]:10}" for name in OUTCOMES) + f"{found['memory'] >> 20:11}"
        )
    total = sum(counts.values(), Counter())
    lines.append(f"{'all':20}" + "".join(f"{total[name]:10}" for name in OUTCOMES))
    return "\n".join(lines)


def main() -> int:
    """Run a campaign; return 1 where a file was answered by anything but an error of ours."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--number", type=int, default=200, help="mutations a door")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--door", action="append", choices=sorted(DOORS), help="one or several; else all")
    parser.add_argument("--folder", type=Path, help="for the files of faults; else a temporary one")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="hitlens-fuzz-"))
    counts = campaign(folder, given.door or list(DOORS), given.number, given.seed)
    print(table(counts))
    return int(any(found[name] for found in counts.values() for name in ("foreign", "hang", "crash")))


if __name__ == "__main__":
    sys.exit(main())
