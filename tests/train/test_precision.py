"""bfloat16 is taken where processor, network and data bear it, and nowhere else."""

from __future__ import annotations

import logging

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from hitlens.datasets.resident import ResidentData
from hitlens.detector import Detector, Task, TruthColumn, View
from hitlens.events import Events
from hitlens.models.preprocessing import Preprocessing, TargetScaling
from hitlens.train import hardware, precision
from hitlens.train.config import TrainConfig
from hitlens.train.hardware import has_bfloat16
from hitlens.train.module import TrainingModule
from hitlens.train.precision import gradients_agree, training_precision

AMX = ["avx512_bf16", "amx_bf16", "amx_tile"]
ENERGY = Task(name="energy", kind="regression", meaning="", columns=("e",), units=("MeV",), selection="e > 0")
DETECTOR = Detector(
    name="plate",
    title="",
    views=(View(name="a", shape=(6, 5), axes=("row", "col"), pitch_mm=(1, 1), unit="counts"),),
    truth=(TruthColumn(name="e", meaning="energy", unit="MeV"),),
    tasks=(ENERGY,),
)
RNG = np.random.default_rng(3)
IMAGES = RNG.poisson(4, (80, 6, 5)).astype(np.uint8)
ROWS = np.arange(8, 80)


class _WrongInBfloat16(torch.autograd.Function):
    """The identity, whose gradient is not one where bfloat16 is computed in."""

    @staticmethod
    def forward(ctx, values, change):
        ctx.change = change
        return values.clone()

    @staticmethod
    def backward(ctx, gradient):
        return ctx.change(gradient), None


class Plate(nn.Module):
    """One hidden layer; what its first weights get back can be spoilt."""

    def __init__(self, change=None):
        super().__init__()
        self.hidden, self.last, self.change = nn.Linear(30, 8), nn.Linear(8, 1), change

    def forward(self, images):
        weight = self.hidden.weight
        if self.change is not None and torch.is_autocast_enabled("cpu"):
            weight = _WrongInBfloat16.apply(weight, self.change)
        hidden = nn.functional.linear(images["a"].flatten(1), weight, self.hidden.bias)
        return self.last(hidden.tanh())


def module_of(change=None, **settings):
    torch.manual_seed(1)
    config = TrainConfig(batch_size=32, accelerator="cpu", loss="mse", **settings)
    scaling = Preprocessing(
        scalings={"a": ()}, targets={"energy": TargetScaling(mean=(100.0,), spread=(10.0,))}
    )
    module = TrainingModule(Plate(change), (ENERGY,), scaling, config)
    module._scaled = lambda images: {view: raw.float() / 4 for view, raw in images.items()}
    return module


def data_of(energy=None):
    energy = IMAGES.sum(axis=(1, 2)).astype(float) if energy is None else energy
    return ResidentData.from_events(
        Events({"a": IMAGES}, pl.DataFrame({"e": energy}), "plate"), DETECTOR, (ENERGY,)
    )


@pytest.mark.parametrize(
    ("flags", "expected"),
    [(AMX, True), (["avx512_bf16"], False), (["amx_tile", "amx_int8"], False), ([], False)],
)
def test_a_processor_needs_amx(flags, expected, monkeypatch):
    monkeypatch.setattr(hardware, "cpu_flags", lambda: flags)
    assert has_bfloat16("cpu") is expected


@pytest.mark.parametrize(
    ("asked", "flags", "expected"),
    [
        ("auto", AMX, "bf16-mixed"),
        ("auto", ["avx512_bf16"], "32-true"),
        ("float32", AMX, "32-true"),
        ("bfloat16", AMX, "bf16-mixed"),
    ],
)
def test_the_precision_follows_setting_and_processor(asked, flags, expected, monkeypatch, caplog):
    monkeypatch.setattr(hardware, "cpu_flags", lambda: flags)
    assert training_precision(module_of(precision=asked), data_of(), ROWS) == expected
    assert not caplog.records


def test_forced_bfloat16_without_amx_is_said(monkeypatch, caplog):
    monkeypatch.setattr(hardware, "cpu_flags", lambda: ["avx512_bf16"])
    with caplog.at_level(logging.WARNING):
        assert training_precision(module_of(precision="bfloat16"), data_of(), ROWS) == "bf16-mixed"
    assert "without AMX" in caplog.text


CHANGES = {
    "half": lambda gradient: 0.5 * gradient,
    "one weight": lambda gradient: gradient + nn.functional.one_hot(torch.tensor(2), 30) * gradient.norm(),
    "sign": lambda gradient: -gradient,
    "NaN": lambda gradient: gradient * torch.nan,
    "infinite": lambda gradient: gradient / 0.0,
}


@pytest.mark.parametrize("name", CHANGES)
def test_wrong_gradients_are_trained_in_float32(name, monkeypatch, caplog):
    monkeypatch.setattr(hardware, "cpu_flags", lambda: AMX)
    with caplog.at_level(logging.WARNING):
        assert training_precision(module_of(CHANGES[name]), data_of(), ROWS) == "32-true"
    assert "trained in float32" in caplog.text


def test_a_gradient_that_is_wrong_now_and_then_is_seen(monkeypatch):
    passes = []

    def third(gradient):
        passes.append(1)
        return gradient * torch.nan if len(passes) % precision._N_PASSES == 0 else gradient

    assert not gradients_agree(module_of(third), data_of().take(torch.from_numpy(ROWS)))


def test_the_check_looks_at_training_events_and_leaves_the_module_as_it_is(monkeypatch):
    monkeypatch.setattr(hardware, "cpu_flags", lambda: AMX)
    taken = []
    monkeypatch.setattr(
        precision, "gradients_agree", lambda module, batch, device: taken.append(batch) or True
    )
    module = module_of()
    training_precision(module, data_of(), ROWS)
    assert len(taken[0]) == 32
    assert set(taken[0].rows.tolist()) <= set(ROWS.tolist())
    before = {name: one.clone() for name, one in module.state_dict().items()}
    assert gradients_agree(module, taken[0])
    assert all(torch.equal(before[name], one) for name, one in module.state_dict().items())
    assert all(one.grad is None for one in module.parameters())
    assert module._train_losses == []


def test_a_batch_that_teaches_nothing_proves_nothing():
    batch = data_of(np.full(80, -1.0)).take(torch.from_numpy(ROWS))
    assert not gradients_agree(module_of(), batch)
