"""One step of training: weights of heads, losses by head, targets on their curves."""

from __future__ import annotations

import pytest
import torch

from hitlens.datasets.resident import Batch
from hitlens.datasets.transforms import Scaling
from hitlens.detector import Task
from hitlens.detectors import CEBR
from hitlens.models import build_network
from hitlens.models.preprocessing import Preprocessing, fit_target_scaling
from hitlens.train.config import TrainConfig
from hitlens.train.module import TrainingModule

KIND = CEBR.task("multiplicity")
ENERGY = CEBR.task("single_energy")
TRUE = torch.tensor([[0.5], [2.0], [8.0], [0.0]])
BATCH = Batch(
    {"anode": torch.randint(0, 99, (4, 16, 16))},
    {KIND.name: torch.tensor([[0.0], [1.0], [0.0], [1.0]]), ENERGY.name: TRUE},
    {KIND.name: torch.ones(4, dtype=torch.bool), ENERGY.name: torch.tensor([True, True, True, False])},
    torch.arange(4),
    torch.ones(4),
)


def module_of(
    config: TrainConfig, curve: str = "linear", heads: tuple[Task, ...] = (KIND, ENERGY)
) -> TrainingModule:
    torch.manual_seed(1)
    network = build_network("logistic", {}, CEBR.views, 1, len(heads))
    targets = {ENERGY.name: fit_target_scaling(ENERGY, TRUE[:3], curve)}  # type: ignore[arg-type]
    scaling = Scaling(curve="log1p", offset=0, scale=1)
    return TrainingModule(
        network, heads, Preprocessing(scalings={"anode": (scaling,)}, targets=targets), config
    )


def losses(module: TrainingModule) -> torch.Tensor:
    outputs = module.network(module._scaled(BATCH.images))
    return module._losses(outputs, BATCH.targets, BATCH.defined, BATCH.weights)[0]


def test_given_weights_multiply_the_heads_losses() -> None:
    plain, weighted = module_of(TrainConfig()), module_of(TrainConfig(task_weights={ENERGY.name: 3.0}))
    one, other = losses(plain)
    assert plain.training_step(BATCH, 0).item() == pytest.approx((one + other).item())
    assert weighted.training_step(BATCH, 0).item() == pytest.approx((one + 3 * other).item())
    assert weighted.task_weights == {KIND.name: 1.0, ENERGY.name: 3.0}


def test_learned_weights_fall_where_the_loss_is_large() -> None:
    module = module_of(TrainConfig(task_weights="learned"))
    module.training_step(BATCH, 0).backward()
    expected = 1 - losses(module).detach()  # d/ds of exp(-s) L + s at s = 0
    torch.testing.assert_close(module.log_variances.grad, expected)
    assert module.task_weights == {KIND.name: 1.0, ENERGY.name: 1.0}


def test_an_event_without_a_target_has_no_say() -> None:
    for curve in ("linear", "log"):
        module = module_of(TrainConfig(), curve, (ENERGY,))
        outputs = torch.zeros(4, 1, requires_grad=True)
        module._losses(outputs, BATCH.targets, BATCH.defined, BATCH.weights)[0].sum().backward()
        assert outputs.grad is not None
        assert torch.isfinite(outputs.grad).all()
        assert outputs.grad[3] == 0


def test_a_loss_may_be_named_by_head() -> None:
    relative = module_of(TrainConfig(loss={ENERGY.name: "relative"}), heads=(ENERGY,))
    outputs = relative.preprocessing.scale_target(ENERGY, TRUE * 1.5)
    found = relative._losses(outputs, BATCH.targets, BATCH.defined, BATCH.weights)[0]
    assert found.item() == pytest.approx(0.5, rel=1e-4)


def test_a_relative_loss_and_a_logarithmic_target_agree_for_small_errors() -> None:
    module = module_of(TrainConfig(loss={ENERGY.name: "relative"}), "log", (ENERGY,))
    outputs = module.preprocessing.scale_target(ENERGY, TRUE * 1.01)
    found = module._losses(outputs, BATCH.targets, BATCH.defined, BATCH.weights)[0]
    assert found.item() == pytest.approx(0.01, rel=1e-2)
