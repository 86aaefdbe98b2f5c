"""Training: learns, resumes to the same result, survives Ctrl-C, says when it diverges."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import Callback

from hitlens.datasets.augment import Augmentation
from hitlens.datasets.resident import ResidentData
from hitlens.datasets.transforms import fit_scaling
from hitlens.detectors import get_detector
from hitlens.errors import NotFoundError, RunError
from hitlens.events import Events
from hitlens.models import build_network
from hitlens.models.preprocessing import Preprocessing
from hitlens.train import engine
from hitlens.train.callbacks import read_history
from hitlens.train.checkpoints import epoch_checkpoint, epoch_checkpoints, read_checkpoint
from hitlens.train.config import TrainConfig
from hitlens.train.data_module import EventDataModule, draw_chances
from hitlens.train.engine import TrainingResult, run_training
from hitlens.train.module import TrainingModule, rate_factor
from hitlens.train.scores import monitored

CEBR = get_detector("cebr")
HEADS = (CEBR.task("multiplicity"),)
N = 640
CONFIG = TrainConfig(epochs=4, batch_size=64, precision="float32", accelerator="cpu", ema_decay=0.9)


def easy_events() -> Events:
    """Doubles are brighter than singles: a few steps suffice."""
    rng = np.random.default_rng(0)
    n_electrons = rng.integers(1, 3, N)
    images = rng.poisson(20 * n_electrons[:, None, None], (N, 16, 16)).astype(np.uint16)
    truth = pl.DataFrame({"file": ["a"] * N, "event": range(N), "n_electrons": n_electrons})
    return Events({"anode": images}, truth, "cebr")


EVENTS = easy_events()
DATA = ResidentData.from_events(EVENTS, CEBR, HEADS)
TRAIN, VALIDATION = np.arange(512), np.arange(512, N)


def module_of(config: TrainConfig) -> TrainingModule:
    scaling = fit_scaling("log1p", DATA.pixels["anode"], TRAIN)
    torch.manual_seed(config.seed)
    network = build_network("plain_cnn", {"features": (8, 8), "last_features": 8}, CEBR.views, 1, 1)
    preprocessing = Preprocessing(scalings={"anode": (scaling,)}, targets={})
    return TrainingModule(
        network, HEADS, preprocessing, config, Augmentation(CEBR, HEADS, EVENTS.truth, TRAIN)
    )


def run(
    folder: Path, config: TrainConfig = CONFIG, *, resume: bool = False
) -> tuple[TrainingResult, TrainingModule]:
    module = module_of(config)
    result = run_training(module, DATA, TRAIN, VALIDATION, folder, resume=resume, progress=False)
    return result, module


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainingResult, TrainingModule]:
    folder = tmp_path_factory.mktemp("unbroken")
    return folder, *run(folder)


@pytest.fixture(autouse=True)
def listening_to_ctrl_c() -> Iterator[None]:
    """Python's own handler: a shell that starts the tests in the background has the signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class InterruptAfter(Callback):
    """Presses Ctrl-C in the middle of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, trainer: lightning.Trainer, *args: object) -> None:
        if trainer.current_epoch == self.epoch:
            os.kill(os.getpid(), signal.SIGINT)


def interrupt(monkeypatch: pytest.MonkeyPatch, epoch: int) -> None:
    original = engine._callbacks
    monkeypatch.setattr(engine, "_callbacks", lambda *args: [*original(*args), InterruptAfter(epoch)])


def test_it_learns(unbroken: tuple[Path, TrainingResult, TrainingModule]) -> None:
    _, result, _ = unbroken
    assert result.n_epochs == 4
    assert result.monitor == "val_accuracy"
    assert result.best_score > 0.9


def test_the_last_epoch_can_be_kept_whatever_its_score(
    unbroken: tuple[Path, TrainingResult, TrainingModule], tmp_path: Path
) -> None:
    _, best, _ = unbroken
    result, module = run(tmp_path, CONFIG.model_copy(update={"keep": "last"}))
    assert result.best_epoch == 3
    assert result.best_score == pytest.approx(float(read_history(tmp_path / "history.csv")[3]["val_metric"]))
    (last,) = (tmp_path / "checkpoints").glob("epoch=003*")
    for name, tensor in torch.load(last, weights_only=True)["state_dict"].items():
        torch.testing.assert_close(module.state_dict()[name], tensor)
    assert best.best_score >= result.best_score


def test_the_history_covers_every_epoch_and_few_checkpoints_stay(
    unbroken: tuple[Path, TrainingResult, TrainingModule],
) -> None:
    folder, result, _ = unbroken
    rows = read_history(folder / "history.csv")
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3"]
    assert list(rows[0])[:6] == ["epoch", "train_loss", "val_loss", "val_metric", "lr", "seconds"]
    names = {path.name for path in (folder / "checkpoints").iterdir()}
    assert f"epoch={result.best_epoch:03d}-val_accuracy={result.best_score:.5f}.ckpt" in names
    assert {int(name[6:9]) for name in names} == {result.best_epoch, 2, 3}


def test_a_checkpoint_cut_off_while_it_was_written_is_passed_over(
    unbroken: tuple[Path, TrainingResult, TrainingModule],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    _, whole, _ = unbroken
    with monkeypatch.context() as patch:
        interrupt(patch, epoch=3)
        run(tmp_path)
    newest = sorted((tmp_path / "checkpoints").iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[:1000])
    resumed, _ = run(tmp_path, resume=True)
    assert "is not whole" in caplog.text
    assert resumed.n_epochs == 4
    assert resumed.best_score == whole.best_score


def test_a_resumed_run_ends_like_an_unbroken_one(
    unbroken: tuple[Path, TrainingResult, TrainingModule], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, whole, module = unbroken
    with monkeypatch.context() as patch:
        interrupt(patch, epoch=2)
        first, _ = run(tmp_path)
    assert first.interrupted
    assert first.n_epochs == 2
    second, resumed = run(tmp_path, resume=True)
    assert second == whole
    for (name, one), other in zip(
        module.network.state_dict().items(), resumed.network.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), name
    assert len(read_history(tmp_path / "history.csv")) == 4


def test_ctrl_c_leaves_the_best_weights_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = signal.getsignal(signal.SIGINT)
    interrupt(monkeypatch, epoch=1)
    result, module = run(tmp_path)
    assert result.interrupted
    assert result.best_epoch == 0
    best = torch.load(next((tmp_path / "checkpoints").iterdir()), weights_only=True)["state_dict"]
    assert torch.equal(best["network.output.weight"], module.network.output.weight)  # type: ignore[union-attr,arg-type]
    assert signal.getsignal(signal.SIGINT) is handler


def test_ctrl_c_in_the_first_epoch_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(monkeypatch, epoch=0)
    with pytest.raises(RunError, match="before its first epoch"):
        run(tmp_path)


def test_a_diverging_loss_is_named(tmp_path: Path) -> None:
    wild = CONFIG.model_copy(update={"learning_rate": 1e30, "gradient_clip": 0.0})
    with pytest.raises(RunError, match="diverged in epoch 1"):
        run(tmp_path, wild)


def test_early_stopping_keeps_the_best_epoch(tmp_path: Path) -> None:
    still = CONFIG.model_copy(update={"learning_rate": 1e-12, "patience": 1, "ema_decay": 0.0, "epochs": 6})
    result, _ = run(tmp_path, still)
    scores = [float(row["val_metric"]) for row in read_history(tmp_path / "history.csv")]
    assert result.n_epochs == len(scores) < 6
    assert result.best_epoch == np.argmax(scores) == result.n_epochs - 2


def test_every_epoch_may_be_kept_with_the_weights_it_had(tmp_path: Path) -> None:
    few, _ = run(tmp_path / "few")
    result, module = run(tmp_path / "all", CONFIG.model_copy(update={"keep_epochs": "all"}))
    assert result.best_score == few.best_score
    folder = tmp_path / "all" / "checkpoints"
    assert [read_checkpoint(path)["epoch"] for path in epoch_checkpoints(folder)] == [0, 1, 2, 3]
    best = read_checkpoint(epoch_checkpoint(folder, result.best_epoch))
    for name, value in module.state_dict().items():
        torch.testing.assert_close(best["state_dict"][name], value)
    with pytest.raises(NotFoundError, match=r"no checkpoint of epoch 4. There are: 0, 1, 2, 3"):
        epoch_checkpoint(folder, 4)


def test_the_training_accuracy_is_that_of_the_events_as_they_were_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right: list[torch.Tensor] = []
    losses_of = TrainingModule._losses

    def noted(
        self: TrainingModule, outputs: torch.Tensor, targets: dict[str, torch.Tensor], *rest: object
    ) -> object:
        if torch.is_grad_enabled():
            right.append((outputs.detach() > 0).float() == targets["multiplicity"])
        return losses_of(self, outputs, targets, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(TrainingModule, "_losses", noted)
    run(tmp_path, CONFIG.model_copy(update={"epochs": 2}))
    rows = read_history(tmp_path / "history.csv")
    n_steps = len(right) // 2
    for row, steps in zip(rows, (right[:n_steps], right[n_steps:]), strict=True):
        assert float(row["train_accuracy"]) == pytest.approx(torch.cat(steps).float().mean().item(), rel=1e-5)


def stop_rule(losses: list[float], patience: int) -> tuple[int, int]:
    """Keras' EarlyStopping: the best epoch, and how many were trained."""
    best, waited = 0, 0
    for epoch, loss in enumerate(losses):
        if epoch == 0 or loss < losses[best]:
            best, waited = epoch, 0
        else:
            waited += 1
        if waited >= patience:
            return best, epoch + 1
    return best, len(losses)


@pytest.mark.parametrize("losses", [[5, 3, 4, 4, 3, 2, 1, 9], [1, 2, 3, 4], [4, 3, 2, 1, 2], [3, 3, 3, 1, 0]])
def test_patience_counts_epochs_as_keras_does_and_ships_the_best_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, losses: list[float]
) -> None:
    weights: list[torch.Tensor] = []

    def scores(self: TrainingModule, *_: object) -> dict[str, float]:
        weights.append(next(self.network.parameters()).detach().clone())
        return {"val_loss": float(losses[self.current_epoch])}

    monkeypatch.setattr(TrainingModule, "_scores", scores)
    config = CONFIG.model_copy(
        update={"epochs": len(losses), "patience": 3, "monitor": "loss", "ema_decay": 0.0}
    )
    result, module = run(tmp_path, config)
    assert (result.best_epoch, result.n_epochs) == stop_rule(losses, 3)
    torch.testing.assert_close(next(module.network.parameters()).detach(), weights[result.best_epoch])


@pytest.mark.parametrize("last_batch", ["drop", "keep"])
def test_the_events_of_the_last_batch_may_be_kept(last_batch: str) -> None:
    rows = np.arange(130)
    config = CONFIG.model_copy(update={"last_batch": last_batch})
    sizes = [len(batch) for batch in EventDataModule(DATA, rows, VALIDATION, config).train_dataloader()]
    assert sizes == ([64, 64] if last_batch == "drop" else [64, 64, 2])


def test_a_last_batch_of_one_event_is_learnt_from(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"epochs": 1, "last_batch": "keep", "ema_decay": 0.0})
    module = module_of(config)
    result = run_training(module, DATA, np.arange(65), VALIDATION, tmp_path, progress=False)
    assert result.n_epochs == 1
    assert all(torch.isfinite(weight).all() for weight in module.network.state_dict().values())


def test_the_loss_of_rare_classes_may_choose_the_epoch(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"epochs": 2, "monitor": "balanced_loss"})
    result, module = run(tmp_path, config)
    assert monitored(HEADS, "balanced_loss") == (result.monitor, "min") == ("val_balanced_loss", "min")
    module.eval()
    batch = DATA.take(torch.from_numpy(VALIDATION))
    raw, label = module.network(module._scaled(batch.images)).detach(), batch.targets["multiplicity"]
    losses = torch.nn.functional.binary_cross_entropy_with_logits(raw, label, reduction="none")
    by_class = [losses[label == number].mean().item() for number in (0, 1)]
    assert result.best_score == pytest.approx(sum(by_class) / 2, rel=1e-4)


def test_bfloat16_learns_as_well(tmp_path: Path) -> None:
    result, _ = run(tmp_path, CONFIG.model_copy(update={"precision": "bfloat16"}))
    assert result.precision == "bf16-mixed"
    assert result.best_score > 0.9


def test_the_averaged_weights_are_the_ones_validated(tmp_path: Path) -> None:
    run(tmp_path)
    last = sorted((tmp_path / "checkpoints").iterdir())[-1]
    checkpoint = torch.load(last, weights_only=True)
    assert any(
        not torch.equal(checkpoint["state_dict"][name], value)
        for name, value in checkpoint["current_model_state"].items()
        if name.endswith("weight")
    )
    shutil.rmtree(tmp_path / "checkpoints")


def test_the_rate_rises_then_falls() -> None:
    factors = [rate_factor(step, 100, 10, "cosine") for step in range(100)]
    assert np.argmax(factors) == 9
    assert factors[-1] < 0.001
    assert {rate_factor(step, 100, 0, "constant") for step in range(100)} == {1.0}


def test_hard_events_are_drawn_more_often_and_the_run_resumes_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = CONFIG.model_copy(update={"hard_sampling": 0.5})
    whole, module = run(tmp_path / "whole", config)
    assert whole.best_score > 0.9
    with monkeypatch.context() as patch:
        interrupt(patch, epoch=2)
        run(tmp_path / "broken", config)
    second, resumed = run(tmp_path / "broken", config, resume=True)
    assert second == whole
    assert torch.equal(module.network.output.weight, resumed.network.output.weight)  # type: ignore[union-attr,arg-type]
    assert np.isfinite(module.last_losses[TRAIN].numpy()).mean() > 0.9


def test_chances_follow_the_losses_and_keep_a_floor() -> None:
    losses = np.array([0.0, 1.0, 3.0, np.nan, 9.0], dtype=np.float32)
    rows = np.array([0, 1, 2, 3, 7])
    chances = draw_chances(losses, rows, 0.6)
    assert chances.sum() == pytest.approx(1)
    assert chances.min() == pytest.approx(0.4 / 5)
    assert chances[2] - chances[0] == pytest.approx(3 * (chances[1] - chances[0]))
    assert chances[3] == chances[4]
