"""Checkpoints within an epoch: a killed run goes on at the very batch and ends like an unbroken one."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import Callback
from safetensors.torch import load_file

from hitlens.config import RunConfig
from hitlens.events import Events
from hitlens.io.native_writer import NativeWriter
from hitlens.train import engine
from hitlens.train.callbacks import read_history
from hitlens.train.within_epoch import WITHIN, newest_checkpoint
from hitlens.workflow.training import train

#: 384 training events, 12 batches an epoch.
N, BATCH = 640, 32

QUICK: dict[str, Any] = {
    "epochs": 3,
    "batch_size": BATCH,
    "precision": "float32",
    "accelerator": "cpu",
    "ema_decay": 0.9,
    "checkpoint_minutes": 1e-9,
}


class Stopped(BaseException):
    pass


class StopAt(Callback):
    """Ends the training without a warning after a batch."""

    def __init__(self, epoch: int, batch: int) -> None:
        self.place = (epoch, batch)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: object, outputs: object, batch: object, batch_idx: int
    ) -> None:
        if (trainer.current_epoch, batch_idx) == self.place:
            raise Stopped


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, make_cebr: Callable[..., Events]) -> Path:
    path = tmp_path_factory.mktemp("data") / "events.h5"
    with NativeWriter(path, "cebr") as writer:
        writer.write(make_cebr(N))
    return path


def config_of(file: Path, memory: str, changes: dict[str, Any]) -> RunConfig:
    model = {"name": "plain_cnn", "settings": {"features": [4, 4], "last_features": 8, "dropout": 0.3}}
    data = {"files": (str(file),), "memory": memory, "shuffle_events": 128}
    return RunConfig(detector="cebr", task="multiplicity", data=data, model=model, train=QUICK | changes)


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def stop(monkeypatch: pytest.MonkeyPatch, config: RunConfig, folder: Path, epoch: int, batch: int) -> None:
    original = engine._callbacks
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(engine, "_callbacks", lambda *args: [*original(*args), StopAt(epoch, batch)])
        train(config, folder, progress=False)


def assert_alike(one: Path, other: Path) -> None:
    for name, tensor in weights_of(one).items():
        assert torch.equal(tensor, weights_of(other)[name]), name
    rows, others = (read_history(folder / "history.csv") for folder in (one, other))
    assert [{k: v for k, v in row.items() if k != "seconds"} for row in rows] == [
        {k: v for k, v in row.items() if k != "seconds"} for row in others
    ]


@pytest.mark.parametrize(
    ("memory", "changes"),
    [
        ("streaming", {}),
        ("streaming", {"draws": 200, "mix": "balanced"}),
        ("resident", {}),
        ("resident", {"hard_sampling": 0.5}),
    ],
)
def test_a_run_stopped_in_mid_epoch_goes_on_at_the_batch(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: str, changes: dict[str, Any]
) -> None:
    config = config_of(file, memory, changes)
    train(config, tmp_path / "whole", progress=False)
    n_batches = (200 if "draws" in changes else 384) // BATCH
    for epoch, batch in ((0, 2), (1, n_batches - 2)):
        folder = tmp_path / f"stopped_{epoch}"
        stop(monkeypatch, config, folder, epoch, batch)
        held = torch.load(folder / "checkpoints" / WITHIN, weights_only=True)
        assert held["epoch"] == epoch
        assert held["within_epoch"]["n_batches"] == batch + 1
        train(config, folder, resume=True, progress=False)
        assert_alike(tmp_path / "whole", folder)
        assert not (folder / "checkpoints" / WITHIN).exists()


def test_a_run_can_be_stopped_again_and_again(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(file, "streaming", {})
    train(config, tmp_path / "whole", progress=False)
    folder, original = tmp_path / "stopped", engine._callbacks
    for number, place in enumerate([(0, 3), (0, 7), (1, 0), (2, 10)]):
        with monkeypatch.context() as patch, pytest.raises(Stopped):
            patch.setattr(engine, "_callbacks", lambda *args, at=place: [*original(*args), StopAt(*at)])
            train(config, folder, resume=number > 0, progress=False)
    train(config, folder, resume=True, progress=False)
    assert_alike(tmp_path / "whole", folder)


@pytest.mark.parametrize("memory", ["streaming", pytest.param("resident", marks=pytest.mark.slow)])
def test_a_run_killed_in_mid_epoch_ends_like_an_unbroken_one(file: Path, tmp_path: Path, memory: str) -> None:
    config = config_of(file, memory, {"epochs": 2})
    folder = tmp_path / "killed"
    script = f"""
import os, signal, torch
from pathlib import Path
from pytorch_lightning.callbacks import Callback
from hitlens.config import RunConfig
from hitlens.train import engine
from hitlens.workflow.training import train

class KillAt(Callback):
    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == (1, 6):
            os.kill(os.getpid(), signal.SIGKILL)

torch.set_num_threads(1)
original = engine._callbacks
engine._callbacks = lambda *args: [*original(*args), KillAt()]
train(RunConfig.model_validate_json({config.model_dump_json()!r}), Path({str(folder)!r}), progress=False)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        train(config, folder, resume=True, progress=False)
        train(config, tmp_path / "whole", progress=False)
    finally:
        torch.set_num_threads(threads)
    assert_alike(tmp_path / "whole", folder)


def test_a_checkpoint_cut_off_while_it_was_written_is_passed_over(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stop(monkeypatch, config_of(file, "streaming", {}), tmp_path, 1, 4)
    folder = tmp_path / "checkpoints"
    assert newest_checkpoint(folder) == folder / WITHIN
    (folder / WITHIN).write_bytes((folder / WITHIN).read_bytes()[:1000])
    newest = newest_checkpoint(folder)
    assert newest is not None
    assert newest.name.startswith("epoch=000")
    assert "is not whole" in caplog.text


def test_none_is_written_unasked(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop(monkeypatch, config_of(file, "resident", {"checkpoint_minutes": 0}), tmp_path, 1, 4)
    assert not (tmp_path / "checkpoints" / WITHIN).exists()
