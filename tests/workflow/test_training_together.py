"""Training by two real processes: the result of one, killed, interrupted, resumed, ended by an error."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
import yaml
from safetensors.torch import load_file

from hitlens.config import load_config
from hitlens.evaluate.predictions import read_predictions
from hitlens.events import Events
from hitlens.io.native_writer import NativeWriter
from hitlens.train.callbacks import read_history
from hitlens.workflow import runs
from hitlens.workflow.training import train

pytestmark = pytest.mark.slow

#: Trains the recipes it is given, in double precision: what is left is rounding of the 16th digit, which no
#: rectifier and no optimiser makes large in a few steps.
IN_DOUBLE = """
import sys
from pathlib import Path
import torch
from hitlens.config import load_config
from hitlens.models.preprocessing import Preprocessing
from hitlens.train.processes import started_together
from hitlens.workflow import training

torch.set_default_dtype(torch.float64)
torch.Tensor.float = torch.Tensor.double
scaled = Preprocessing.images
Preprocessing.images = lambda self, *images: scaled(self, *images).double()
run_training = training.run_training

def in_double(module, *rest, **more):
    result = run_training(module.double(), *rest, **more)
    torch.save((module.state_dict(), module.last_losses, result), rest[3] / "result.pt")
    return result

training.run_training = in_double
training.finish_training = lambda *_: None
with started_together() as processes:
    if not processes.is_first:
        torch.save = lambda *_: None
    for recipe in sys.argv[2:]:
        training.train(load_config(recipe), Path(sys.argv[1], Path(recipe).stem), progress=False)
"""

#: Fails in the second process, in the middle of the first epoch.
FAILS_IN_ONE = """
import sys
from hitlens.cli import main
from hitlens.errors import DataError
from hitlens.train.module import TrainingModule
from hitlens.train.processes import find_processes

step = TrainingModule.training_step

def failing(self, batch, number):
    if number == 2 and find_processes().rank == 1:
        ACTION
    return step(self, batch, number)

TrainingModule.training_step = failing
main()
"""

PLAIN = {"name": "plain_cnn", "settings": {"features": [4, 4], "last_features": 8}, "symmetrise": False}
RESIDUAL = {
    "name": "residual_cnn",
    "settings": {"features": [4, 8], "blocks": [1, 1], "hidden": 8, "dropout": 0.2},
    "symmetrise": False,
}
QUICK = {"epochs": 2, "batch_size": 64, "precision": "float32", "accelerator": "cpu", "ema_decay": 0.9}
RECIPES = {
    "joint": ("joint", PLAIN, {"task_weights": "learned"}),
    "hard": ("multiplicity", RESIDUAL, {"hard_sampling": 0.5, "class_weights": "balanced", "epochs": 3}),
    "few": ("multiplicity", PLAIN, {"draws": 51, "mix": "balanced", "ema_decay": 0.0, "keep": "last"}),
    "streamed": ("multiplicity", PLAIN, {}),
    "streamed_mix": ("joint", RESIDUAL, {"mix": "balanced", "draws": 200, "batch_size": 20}),
}


@pytest.fixture(scope="module")
def recipes(make_cebr: Callable[..., Events], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with events and recipes."""
    folder = tmp_path_factory.mktemp("recipes")
    with NativeWriter(folder / "made.h5", "cebr") as writer:
        writer.write(make_cebr(420))
    for name, (task, model, settings) in RECIPES.items():
        content = {"title": name, "detector": "cebr", "task": task, "model": model}
        data = {"files": [str(folder / "made.h5")], "shuffle_events": 96}
        data |= {"memory": "streaming" if name.startswith("streamed") else "resident"}
        content |= {"data": data, "train": QUICK | settings}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    (folder / "in_double.py").write_text(IN_DOUBLE)
    return folder


@contextmanager
def started(*command: object, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Start a command and end it with all its children, however the test ends."""
    quiet = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    process = subprocess.Popen(
        [sys.executable, *map(str, command)],
        env=os.environ | quiet | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        kill_all(process)


def kill_all(process: subprocess.Popen[str]) -> None:
    """Kill a process and its children at once, as a machine that loses power does."""
    try:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        family = []
    for one in family:
        one.kill()
    process.wait()
    process.stdout.close()  # type: ignore[union-attr]


def torchrun(*command: object) -> tuple[object, ...]:
    return ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2, *command)


def output_of(*command: object, status: int = 0, **environment: str) -> str:
    with started(*command, **environment) as process:
        said, _ = process.communicate(timeout=240)
    assert process.returncode == status, said
    return said


def wait_for_epochs(folder: Path, n: int, process: subprocess.Popen[str]) -> None:
    while len(read_history(folder / "history.csv")) < n:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)


def assert_same_weights(one: Path, other: Path, tolerance: float) -> None:
    weights, others = (load_file(folder / runs.MODEL) for folder in (one, other))
    assert weights.keys() == others.keys()
    for name, value in weights.items():
        torch.testing.assert_close(others[name], value, rtol=0, atol=tolerance, msg=name)


def scores_of(folder: Path) -> dict[str, list[float]]:
    rows = read_history(folder / runs.HISTORY)
    return {name: [float(row[name]) for row in rows] for name in rows[0] if name != "seconds"}


def test_two_processes_do_what_one_does_to_the_last_digits(recipes: Path, tmp_path: Path) -> None:
    scripts = [recipes / f"{name}.yaml" for name in RECIPES]
    output_of(recipes / "in_double.py", tmp_path / "one", *scripts)
    output_of(*torchrun(recipes / "in_double.py", tmp_path / "two", *scripts))
    for name in RECIPES:
        one, two = (tmp_path / many / name for many in ("one", "two"))
        (weights, losses, result), (others, other_losses, other_result) = (
            torch.load(folder / "result.pt", weights_only=False) for folder in (one, two)
        )
        assert weights.keys() == others.keys()
        for key, value in weights.items():
            torch.testing.assert_close(others[key], value, rtol=1e-8, atol=1e-9, msg=f"{name} {key}")
        torch.testing.assert_close(other_losses, losses, rtol=1e-8, atol=1e-9, equal_nan=True)
        assert len(losses) > 0 or name != "hard"
        assert other_result.best_epoch == result.best_epoch
        assert other_result.best_score == pytest.approx(result.best_score)
        history = scores_of(one)
        assert history["val_loss"][-1] != history["val_loss"][0]
        for column, values in scores_of(two).items():
            np.testing.assert_allclose(values, history[column], rtol=2e-6, atol=1e-9, err_msg=column)


def test_the_run_folder_is_written_once_and_says_how(recipes: Path, tmp_path: Path) -> None:
    command = ("-m", "hitlens", "train", recipes / "joint.yaml", "--quiet", "-o", tmp_path / "two")
    said = output_of(*torchrun(*command))
    train(load_config(str(recipes / "joint.yaml")), tmp_path / "one", progress=False)
    assert said.count("Training finished") == said.count("Next: hitlens evaluate") == 1
    assert "Warning" not in said
    assert {path.name for path in (tmp_path / "two").iterdir()} == {
        path.name for path in (tmp_path / "one").iterdir()
    }
    record, other = (runs.read_provenance(tmp_path / name) for name in ("two", "one"))
    assert record["status"] == "finished"
    assert record["processes"] == {"n_processes": 2, "n_machines": 1, "backend": "gloo"}
    assert other["processes"] == {"n_processes": 1, "n_machines": 1, "backend": ""}
    assert record["initial_weights"] == other["initial_weights"]
    # Single precision: as far apart as one process is from itself with another number of threads.
    assert_same_weights(tmp_path / "one", tmp_path / "two", 0.02)
    tables = [read_predictions(tmp_path / name / "predictions.parquet").table for name in ("one", "two")]
    assert tables[0].columns == tables[1].columns
    assert tables[0]["event"].equals(tables[1]["event"])


def test_killed_together_and_resumed_by_two_or_by_one(recipes: Path, tmp_path: Path) -> None:
    command = ("-m", "hitlens", "train", recipes / "hard.yaml", "--quiet", "--set", "train.epochs=6", "-o")
    output_of(*torchrun(*command, tmp_path / "whole"))
    for name, resumed in (("by_two", torchrun), ("by_one", lambda *words: words)):
        with started(*torchrun(*command, tmp_path / name)) as process:
            wait_for_epochs(tmp_path / name, 2, process)
            kill_all(process)
        assert runs.read_provenance(tmp_path / name)["status"] == "running"
        output_of(*resumed(*command, tmp_path / name, "--resume"))
        assert runs.is_finished(tmp_path / name)
        assert len(read_history(tmp_path / name / runs.HISTORY)) == 6
    assert_same_weights(tmp_path / "whole", tmp_path / "by_two", 0)
    assert_same_weights(tmp_path / "whole", tmp_path / "by_one", 0.05)


def test_ctrl_c_ends_both_with_the_best_model_so_far(recipes: Path, tmp_path: Path) -> None:
    command = ("-m", "hitlens", "train", recipes / "joint.yaml", "--quiet", "-o", tmp_path / "run")
    with started(*torchrun(*command, "--set", "train.epochs=400")) as process:
        wait_for_epochs(tmp_path / "run", 2, process)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert said.count("Training interrupted") == 1, said
    record = runs.read_provenance(tmp_path / "run")
    assert record["status"] == "interrupted"
    assert 2 <= record["n_epochs"] == len(read_history(tmp_path / "run" / runs.HISTORY)) < 400
    assert (tmp_path / "run" / runs.MODEL).is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nowhere.yaml",), "Error: No file nowhere.yaml"),
        (("joint.yaml", "--set", "train.learning_rate=1e30", "--set", "train.gradient_clip=0"), "diverged"),
        (("joint.yaml", "--set", "train.batch_size=63"), "must be a multiple of the number of processes"),
        (("cebr/head_study",), "A study runs in one process; 2 were started together"),
    ],
)
def test_an_error_ends_all_with_one_message(
    recipes: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    recipe = recipes / words[0] if (recipes / words[0]).is_file() else words[0]
    command = ("-m", "hitlens", "train", recipe, *words[1:], "--quiet", "-o", tmp_path / "run")
    said = output_of(*torchrun(*command), status=1)
    assert said.count("Error: ") - said.count("ChildFailedError: ") == 1, said
    assert message in said
    assert "hitlens/train" not in said  # no traceback


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ("raise DataError('event 7 is broken')", "Error: event 7 is broken"),
        ("import os; os.kill(os.getpid(), 9)", "Signal 9"),
    ],
)
def test_what_happens_to_one_ends_the_others(
    recipes: Path, tmp_path: Path, action: str, message: str
) -> None:
    script = tmp_path / "fails.py"
    script.write_text(FAILS_IN_ONE.replace("ACTION", action))
    said = output_of(
        *torchrun(script, "train", recipes / "joint.yaml", "--quiet", "-o", tmp_path / "run"), status=1
    )
    assert message in said
    assert said.count("Error: ") - said.count("ChildFailedError: ") <= 1, said


def test_slurm_starts_it_too(recipes: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    step = {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_STEP_NUM_TASKS": "2"}
    step |= {"SLURM_STEP_NUM_NODES": "1", "SLURM_NNODES": "1", "SLURM_NODEID": "0"}
    step |= {"SLURM_NODELIST": "127.0.0.1", "SLURM_JOB_ID": "17", "MASTER_PORT": str(port)}
    command = ("-m", "hitlens", "train", recipes / "few.yaml", "--quiet", "-o", tmp_path / "run")

    def task(number: int, *more: str) -> dict[str, str]:
        return step | {"SLURM_PROCID": str(number), "SLURM_LOCALID": str(number)}

    with started(*command, **task(1)) as second:
        said = output_of(*command, **task(0))
        assert second.wait(timeout=60) == 0
    assert said.count("Training finished") == 1
    assert runs.read_provenance(tmp_path / "run")["processes"]["n_processes"] == 2
    # The folder is now in use: one says so, both end.
    with started(*command, **task(1)) as second:
        said = output_of(*command, status=2, **task(0))
        assert second.wait(timeout=60) == 2
        assert "holds a run (finished)" in said
        assert second.communicate()[0] == ""
