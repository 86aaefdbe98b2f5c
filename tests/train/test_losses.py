"""Losses: of sets, whatever the order; of classes, against torch's own."""

from __future__ import annotations

import pytest
import torch

from hitlens.detectors import get_detector
from hitlens.train.losses import REGRESSION_LOSSES, event_losses, relative_loss, set_loss

CEBR = get_detector("cebr")


@pytest.mark.parametrize("loss", list(REGRESSION_LOSSES))
def test_the_order_of_the_elements_does_not_matter(loss: str) -> None:
    torch.manual_seed(0)
    pred, true = torch.randn(50, 6), torch.randn(50, 6)
    swapped = true.view(50, 2, 3).flip(1).reshape(50, 6)
    torch.testing.assert_close(set_loss(pred, true, 2, loss), set_loss(pred, swapped, 2, loss))
    assert (set_loss(pred, true, 2, loss) <= set_loss(pred, true, 1, loss) + 1e-6).all()


def test_three_elements_find_their_assignment() -> None:
    true = torch.tensor([[1.0, 2.0, 3.0]])
    assert set_loss(torch.tensor([[3.0, 1.0, 2.0]]), true, 3, "mae").item() == 0


def test_binary_loss_and_class_weights() -> None:
    task = CEBR.task("multiplicity")
    raw, target = torch.tensor([[2.0], [2.0]]), torch.tensor([[1.0], [0.0]])
    plain = event_losses(task, raw, target, "huber")
    torch.testing.assert_close(plain, torch.tensor([0.126928, 2.126928]))
    weighted = event_losses(task, raw, target, "huber", torch.tensor([3.0, 1.0]))
    torch.testing.assert_close(weighted, plain * torch.tensor([1.0, 3.0]))


def test_multiclass_loss_is_the_cross_entropy() -> None:
    task = CEBR.task("multiplicity").model_copy(update={"kind": "multiclass", "class_names": ("a", "b", "c")})
    raw, target = torch.randn(5, 3), torch.tensor([[0.0], [1.0], [2.0], [1.0], [0.0]])
    expected = -raw.log_softmax(dim=1)[torch.arange(5), target[:, 0].long()]
    torch.testing.assert_close(event_losses(task, raw, target, "huber"), expected)


def test_regression_loss_is_the_mean_over_columns() -> None:
    task = CEBR.task("single_position")
    losses = event_losses(task, torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0, 0.0]]), "mae")
    assert losses.item() == 2


def test_a_relative_error_does_not_depend_on_the_scale() -> None:
    pred, true = torch.tensor([[2.0], [30.0]]), torch.tensor([[4.0], [20.0]])
    torch.testing.assert_close(relative_loss(pred, true), torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(relative_loss(pred * 7, true * 7), relative_loss(pred, true))
    assert torch.isfinite(relative_loss(pred, torch.zeros(2, 1))).all()
