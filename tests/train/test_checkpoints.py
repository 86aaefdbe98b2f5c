"""Checkpoints of epochs: whole, numbered, and good wherever the run folder lies."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import Callback
from safetensors.torch import load_file

from hitlens.config import RunConfig
from hitlens.errors import RunError
from hitlens.events import Events
from hitlens.io.native_writer import NativeWriter
from hitlens.train import engine
from hitlens.train.callbacks import read_history
from hitlens.train.checkpoints import WholeFiles, epoch_checkpoints, last_epoch, read_checkpoint
from hitlens.train.module import TrainingModule
from hitlens.workflow.training import train

#: Accuracies of the validation split by epoch: the second epoch is the best of all.
SCORES = (0.5, 0.9, 0.6, 0.7, 0.8, 0.65)


class Stopped(BaseException):
    pass


class StopIn(Callback):
    """Ends the training without a warning in the middle of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, trainer: lightning.Trainer, *args: object) -> None:
        if trainer.current_epoch == self.epoch:
            raise Stopped


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, make_cebr: Callable[..., Events]) -> RunConfig:
    path = tmp_path_factory.mktemp("data") / "events.h5"
    with NativeWriter(path, "cebr") as writer:
        writer.write(make_cebr(200))
    return RunConfig(
        detector="cebr",
        task="multiplicity",
        data={"files": [str(path)]},
        model={"name": "dense", "settings": {"hidden": [8]}},
        train={
            "epochs": len(SCORES),
            "batch_size": 40,
            "precision": "float32",
            "accelerator": "cpu",
            "ema_decay": 0.9,
            "monitor": "accuracy",
        },
    )


@pytest.fixture(autouse=True)
def scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the scores be those of the table, whatever is learnt."""

    def scores_of(module: TrainingModule, *_: Any) -> dict[str, float]:
        return {"val_loss": 0.1, "val_accuracy": SCORES[module.current_epoch % len(SCORES)]}

    monkeypatch.setattr(TrainingModule, "_scores", scores_of)


def stop_in(epoch: int, config: RunConfig, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = engine._callbacks
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(engine, "_callbacks", lambda *args: [*original(*args), StopIn(epoch)])
        train(config, folder, progress=False)


def changed(config: RunConfig, **settings: Any) -> RunConfig:
    return config.model_copy(update={"train": config.train.model_copy(update=settings)})


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def same_weights(one: Path, other: Path) -> bool:
    a, b = (load_file(folder / "model.safetensors") for folder in (one, other))
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("keep", ["best", "last"])
@pytest.mark.parametrize("moved", [False, True])
def test_a_run_that_was_moved_or_copied_ends_like_an_unbroken_one(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: str, moved: bool
) -> None:
    settings = changed(config, keep=keep)
    whole = train(settings, tmp_path / "whole", progress=False)
    assert whole.best_epoch == {"best": 1, "last": 5}[keep]
    stop_in(4, settings, tmp_path / "first", monkeypatch)
    before = content_of(tmp_path / "first")
    (shutil.move if moved else shutil.copytree)(tmp_path / "first", tmp_path / "other")
    assert train(settings, tmp_path / "other", resume=True, progress=False) == whole
    assert same_weights(tmp_path / "whole", tmp_path / "other")
    names = [path.name for path in epoch_checkpoints(tmp_path / "whole" / "checkpoints")]
    assert [path.name for path in epoch_checkpoints(tmp_path / "other" / "checkpoints")] == names
    if not moved:
        assert content_of(tmp_path / "first") == before


def test_no_checkpoint_says_where_it_lies(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_in(3, config, tmp_path / "run", monkeypatch)
    newest = epoch_checkpoints(tmp_path / "run" / "checkpoints")[-1]
    assert str(tmp_path) not in repr(read_checkpoint(newest)["callbacks"])


@pytest.mark.parametrize("n_bytes", [0, 1, 1000, -1])
def test_the_one_before_stands_in_for_a_damaged_checkpoint_and_knows_its_best_epoch(
    config: RunConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    n_bytes: int,
) -> None:
    # The newest epoch is the best of all: that of the one before must still be there.
    monkeypatch.setattr(f"{__name__}.SCORES", (0.8, 0.5, 0.6, 0.9, 0.7, 0.65))
    train(config, tmp_path / "whole", progress=False)
    stop_in(4, config, tmp_path / "cut", monkeypatch)
    newest = epoch_checkpoints(tmp_path / "cut" / "checkpoints")[-1]
    content = newest.read_bytes()
    # The last case is of full length, with a byte of the weights changed.
    weights = max(read_checkpoint(newest)["state_dict"].values(), key=torch.numel)
    middle = content.index(weights.numpy().tobytes()) + 40
    cut = content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]
    newest.write_bytes(cut if n_bytes < 0 else content[:n_bytes])
    with caplog.at_level(logging.WARNING):
        train(config, tmp_path / "cut", resume=True, progress=False)
    assert "is not whole" in caplog.text and "goes on from the one before" in caplog.text
    assert same_weights(tmp_path / "whole", tmp_path / "cut")


def test_a_run_whose_best_epoch_is_gone_is_refused(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_in(4, config, tmp_path / "run", monkeypatch)
    (best,) = (tmp_path / "run" / "checkpoints").glob("epoch=001*")
    best.unlink()
    with pytest.raises(RunError, match=r"epoch=001.* no longer in .*--force"):
        train(config, tmp_path / "run", resume=True, progress=False)


def test_a_run_begun_by_version_0_1_0_goes_on(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(config, tmp_path / "whole", progress=False)
    stop_in(4, config, tmp_path / "old", monkeypatch)
    for path in epoch_checkpoints(tmp_path / "old" / "checkpoints"):
        held = torch.load(path, weights_only=True)
        state = held["callbacks"].pop("EpochCheckpoints")
        held["callbacks"]["ModelCheckpoint{'monitor': 'val_accuracy'}"] = {
            "best_model_path": f"/gone/checkpoints/{state['best']}",
            "best_model_score": torch.tensor(state["best_score"]),
        }
        torch.save(held, path)
    assert train(config, tmp_path / "old", resume=True, progress=False).best_epoch == 1
    assert same_weights(tmp_path / "whole", tmp_path / "old")


def test_a_training_that_lost_its_patience_does_not_go_on(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = changed(config, patience=2)
    whole = train(impatient, tmp_path / "whole", progress=False)
    assert whole.n_epochs == 4
    # Killed between the last epoch and the model.
    folder = tmp_path / "killed"
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(engine, "_keep_weights", raise_stopped)
        train(impatient, folder, progress=False)
    assert train(impatient, folder, resume=True, progress=False) == whole
    assert len(read_history(folder / "history.csv")) == 4
    assert same_weights(tmp_path / "whole", folder)


def raise_stopped(*_: object) -> None:
    raise Stopped


def test_epochs_are_sorted_by_number(tmp_path: Path) -> None:
    for epoch in (998, 999, 1000, 1001, 10000):
        content = {"global_step": epoch, "epoch": epoch, "state_dict": {}}
        torch.save(content, tmp_path / f"epoch={epoch:03d}-val_loss=0.10000.ckpt")
    assert [int(path.name[6:].partition("-")[0]) for path in epoch_checkpoints(tmp_path)] == [
        *(998, 999, 1000, 1001, 10000)
    ]
    last = last_epoch(tmp_path)
    assert last is not None and read_checkpoint(last)["epoch"] == 10000


def test_a_checkpoint_is_written_beside_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path] = []

    def write(path: Path, content: bytes) -> int:
        seen.append(path)
        raise OSError("no more")

    monkeypatch.setenv("TMPDIR", str(tmp_path / "elsewhere"))
    monkeypatch.setattr(Path, "write_bytes", write)
    with pytest.raises(OSError, match="no more"):
        WholeFiles().save_checkpoint({}, tmp_path / "a.ckpt")
    assert [path.parent for path in seen] == [tmp_path]
    assert list(tmp_path.iterdir()) == []
