"""Losses: of sets, whatever the order; of classes, against torch's own."""

from __future__ import annotations

import pytest
import torch

from hitlens.detectors import get_detector
from hitlens.models.preprocessing import Preprocessing, sigmoid_scores
from hitlens.train.losses import REGRESSION_LOSSES, class_mean_loss, event_losses, relative_loss, set_loss

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


@pytest.mark.parametrize("n_classes", [3, 5])
def test_the_loss_of_sigmoid_classes_is_keras_categorical_crossentropy(n_classes: int) -> None:
    """Keras divides the outputs by their sum, keeps them 1e-7 from 0 and 1 and takes -log of the true one."""
    names = tuple("abcde"[:n_classes])
    task = CEBR.task("multiplicity").model_copy(update={"kind": "multiclass", "class_names": names})
    raw = torch.randn(40, n_classes, dtype=torch.float64) * 3
    raw[0, 0], raw[0, 1] = -60, 60  # a true class whose share is cut off at 1e-7
    raw.requires_grad_()
    target = torch.arange(40)[:, None] % n_classes
    shares = raw.sigmoid() / raw.sigmoid().sum(dim=1, keepdim=True)
    expected = -shares.clamp(1e-7, 1 - 1e-7).gather(1, target)[:, 0].log()
    (wanted,) = torch.autograd.grad(expected.sum(), raw)
    kept = Preprocessing(scalings={}, targets={}, shares="sigmoid")
    losses = event_losses(task, kept.class_scores(task, raw), target.double(), "huber")
    (found,) = torch.autograd.grad(losses.sum(), raw)
    torch.testing.assert_close(losses.double(), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=2e-6)
    torch.testing.assert_close(sigmoid_scores(raw).softmax(dim=1).double(), shares, rtol=1e-4, atol=1e-6)
    assert kept.class_scores(CEBR.task("multiplicity"), raw) is raw


@pytest.mark.parametrize("n_of_first", [1, 90])
def test_the_mean_over_classes_does_not_depend_on_their_sizes(n_of_first: int) -> None:
    task = CEBR.task("multiplicity")
    raw = torch.cat([torch.full((n_of_first, 1), -1.0), torch.full((3, 1), -2.0)])
    target = torch.cat([torch.zeros(n_of_first, 1), torch.ones(3, 1)])
    # log(1 + e^-1) and log(1 + e^2)
    assert class_mean_loss(task, raw, target) == pytest.approx((0.3132617 + 2.1269280) / 2, rel=1e-6)
    assert torch.tensor(class_mean_loss(task, raw[:n_of_first], target[:n_of_first])).isnan()
