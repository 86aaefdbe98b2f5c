"""Whether bfloat16 is harmless is judged by a model's own errors."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from hitlens.detector import Task
from hitlens.events import Events
from hitlens.models.preprocessing import Preprocessing, TargetScaling
from hitlens.train.bfloat16 import rms_change, tolerates_bfloat16

N = 400
ENERGY = Task(
    name="energy",
    kind="regression",
    meaning="",
    columns=("e", "x"),
    units=("MeV", "px"),
    selection="e > 0.2",
)
CALL = Task(name="call", kind="binary", meaning="", target="e > 0.5", class_names=("low", "high"))
KIND = Task(name="kind", kind="multiclass", meaning="", target="k", class_names=("a", "b", "c"))
PAIR = Task(
    name="pair",
    kind="set_regression",
    meaning="",
    elements=(("e", "x"), ("e2", "x2")),
    units=("MeV", "px"),
)
SCALING = {"pair": TargetScaling(mean=(0.5,) * 4, spread=(0.3,) * 4)}


def make_events(seed=1):
    rng = np.random.default_rng(seed)
    truth = {name: rng.random(N) for name in ("e", "x", "e2", "x2")} | {"k": rng.integers(0, 3, N)}
    return Events({"anode": np.zeros((N, 2, 2))}, pl.DataFrame(truth), "demo")


def model_of(head, exact, fast):
    """As much of a trained model as is asked: its outputs are its answers."""
    card = SimpleNamespace(heads=(head,), preprocessing=Preprocessing(scalings={}, targets=SCALING))
    return SimpleNamespace(
        card=card,
        outputs=lambda events, bfloat16=False: {head.name: fast if bfloat16 else exact},
        answers=lambda outputs: outputs,
    )


@pytest.mark.parametrize(("share", "harmless"), [(0.01, True), (0.03, False)])
def test_values_may_change_by_a_fiftieth_of_their_error(share, harmless):
    rng = np.random.default_rng(2)
    events = make_events()
    truth = events.truth.select("e", "x").to_numpy().astype(np.float32)
    error = np.array([0.02, 0.5], dtype=np.float32)
    exact = truth + error * rng.standard_normal((N, 2), dtype=np.float32)
    fast = exact.copy()
    fast[:, 0] += share * error[0] * rng.standard_normal(N, dtype=np.float32)  # the finer column alone
    assert tolerates_bfloat16(model_of(ENERGY, exact, fast), events) is harmless


def test_events_without_a_target_do_not_count():
    events = make_events()
    truth = events.truth.select("e", "x").to_numpy().astype(np.float32)
    fast = np.where(truth[:, :1] > 0.2, truth, 99).astype(np.float32) + 0.1
    assert tolerates_bfloat16(model_of(ENERGY, truth + np.float32(0.1), fast), events)


def test_a_set_in_another_order_has_not_changed():
    rng = np.random.default_rng(3)
    events = make_events()
    truth = events.truth.select("e", "x", "e2", "x2").to_numpy().astype(np.float32)
    exact = truth + 0.05 * rng.standard_normal((N, 4), dtype=np.float32)
    swapped = exact[:, [2, 3, 0, 1]]
    assert tolerates_bfloat16(model_of(PAIR, exact, swapped), events)
    assert not tolerates_bfloat16(model_of(PAIR, exact, swapped + np.float32(0.01)), events)
    changed, error = rms_change(PAIR, Preprocessing(scalings={}, targets=SCALING), swapped, exact, truth)
    np.testing.assert_allclose(changed, 0)
    np.testing.assert_allclose(error, 0.05, rtol=0.2)


@pytest.mark.parametrize("head", [CALL, KIND])
def test_scores_may_change_by_a_fiftieth_of_their_error_or_a_thousandth(head):
    rng = np.random.default_rng(4)
    events = make_events()
    if head.kind == "binary":
        true = (events.truth["e"].to_numpy() > 0.5).astype(np.float32)[:, None]
    else:
        true = np.eye(3, dtype=np.float32)[events.truth["k"].to_numpy()]
    noise = rng.standard_normal(true.shape, dtype=np.float32)
    unsure = 0.7 * true + 0.1  # rms error 0.1 to 0.2
    assert tolerates_bfloat16(model_of(head, unsure, unsure + 0.0015 * noise), events)
    assert not tolerates_bfloat16(model_of(head, unsure, unsure + 0.01 * noise), events)
    assert tolerates_bfloat16(model_of(head, true, true + 0.0008 * noise), events)
    assert not tolerates_bfloat16(model_of(head, true, true + 0.0015 * noise), events)
