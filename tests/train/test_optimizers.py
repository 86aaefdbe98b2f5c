"""Optimisers against their published formulas, written out number by number."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch

from hitlens.train.config import TrainConfig
from hitlens.train.optimizers import KerasAdam, KerasRMSprop, make_optimizer

#: Gradients of some steps: large, tiny beside the optimisers' small number, zero.
GRADIENTS = (0.5, -3e-6, 2e-8, 0.0, -1.0)


def steps(
    optimizer: torch.optim.Optimizer, weight: torch.Tensor, gradients: tuple[float, ...] = GRADIENTS
) -> list[float]:
    found = []
    for gradient in gradients:
        weight.grad = torch.full_like(weight, gradient)
        optimizer.step()
        found.append(weight.item())
    return found


def adam(start: float, rate: float, gradients: tuple[float, ...]) -> list[float]:
    """Keras: w -= rate sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + 1e-7)."""
    weight, m, v, found = start, 0.0, 0.0, []
    for t, g in enumerate(gradients, start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        weight -= rate * math.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (math.sqrt(v) + 1e-7)
        found.append(weight)
    return found


def rmsprop(start: float, rate: float, gradients: tuple[float, ...]) -> list[float]:
    """Keras: w -= rate g / sqrt(v + 1e-7)."""
    weight, v, found = start, 0.0, []
    for g in gradients:
        v = 0.9 * v + 0.1 * g * g
        weight -= rate * g / math.sqrt(v + 1e-7)
        found.append(weight)
    return found


@pytest.mark.parametrize("gradients", [GRADIENTS, GRADIENTS[::-1]])
@pytest.mark.parametrize(("kind", "formula"), [(KerasAdam, adam), (KerasRMSprop, rmsprop)])
def test_steps_are_those_of_keras(
    kind: type[torch.optim.Optimizer], formula: Callable[..., list[float]], gradients: tuple[float, ...]
) -> None:
    weight = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    found = steps(kind([weight], lr=0.01), weight, gradients)  # type: ignore[call-arg]
    assert found == pytest.approx(formula(2.0, 0.01, gradients), rel=1e-12)


def test_tiny_gradients_tell_them_from_the_optimisers_of_torch() -> None:
    """Of a gradient as small as the small number, Keras' first steps are other ones."""
    for kind, other in ((KerasAdam, torch.optim.Adam), (KerasRMSprop, torch.optim.RMSprop)):
        moved = []
        for one in (kind, other):
            weight = torch.tensor([0.0], requires_grad=True)
            optimizer = one([weight], lr=0.01) if one is kind else one([weight], lr=0.01, eps=1e-7)
            weight.grad = torch.tensor([1e-6])
            optimizer.step()
            moved.append(weight.item())
        assert moved[0] / moved[1] < 0.5


@pytest.mark.parametrize("name", ["keras_adam", "rmsprop", "adam", "adamw"])
def test_a_saved_state_goes_on_as_if_unbroken(name: str) -> None:
    config = TrainConfig(optimizer=name, learning_rate=0.1)  # type: ignore[arg-type]
    weight = torch.tensor([1.0], requires_grad=True)
    optimizer = make_optimizer(config, [{"params": [weight], "weight_decay": 0.0}])
    steps(optimizer, weight)
    state, other = copy.deepcopy(optimizer.state_dict()), weight.detach().clone().requires_grad_()
    resumed = make_optimizer(config, [{"params": [other], "weight_decay": 0.0}])
    resumed.load_state_dict(state)
    assert steps(optimizer, weight) == steps(resumed, other)


def test_weight_decay_pulls_towards_zero() -> None:
    config = TrainConfig(optimizer="rmsprop", learning_rate=0.1)
    weight = torch.tensor([4.0], requires_grad=True)
    optimizer = make_optimizer(config, [{"params": [weight], "weight_decay": 0.5}])
    weight.grad = torch.tensor([0.0])
    optimizer.step()  # the gradient is 0.5 * 4: one step is rate * sqrt(10) whatever its size
    assert weight.item() == pytest.approx(4 - 0.1 * math.sqrt(10), rel=1e-6)
