"""Layers as Keras computes them: padding, running variance, first weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hitlens.models.keras_defaults import KerasNorm1d, KerasNorm2d, SamePadding, initialise_like_keras


@pytest.mark.parametrize(
    ("n", "kernel", "stride", "border"),
    [(16, 5, 2, (1, 2)), (15, 5, 2, (2, 2)), (8, 4, 3, (1, 1)), (1, 5, 2, (2, 2)), (6, 2, 3, (0, 0))],
)
def test_the_border_is_that_of_keras(n: int, kernel: int, stride: int, border: tuple[int, int]) -> None:
    """Closed form of TensorFlow's "SAME": max(0, (ceil(n / s) - 1) s + k - n), the smaller half before."""
    padded = SamePadding(kernel, stride)(torch.ones(1, 1, n, n + stride))
    row = padded[0, 0, :, padded.shape[3] // 2]
    assert int(row.argmax()) == border[0]
    assert len(row) == n + sum(border)
    convolved = nn.Conv2d(1, 1, kernel, stride=stride)(padded)
    assert convolved.shape[2:] == (-(-n // stride), -(-(n + stride) // stride))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(KerasNorm1d(3), (5, 3)), (KerasNorm2d(3), (2, 3, 1, 1)), (KerasNorm2d(3), (4, 3, 2, 5))],
)
def test_the_running_variance_is_that_of_the_batch_divided_by_n(
    layer: nn.Module, shape: tuple[int, ...]
) -> None:
    layer.train()
    layer.momentum = 0.25  # type: ignore[assignment]
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1), requires_grad=True)
    layer(x).square().sum().backward()
    values = x.detach().transpose(0, 1).flatten(1)
    variance = (values - values.mean(dim=1, keepdim=True)).square().mean(dim=1)
    torch.testing.assert_close(layer.get_buffer("running_var"), 0.75 + 0.25 * variance)
    torch.testing.assert_close(layer.get_buffer("running_mean"), 0.25 * values.mean(dim=1))
    plain = nn.BatchNorm2d(3).train() if len(shape) == 4 else nn.BatchNorm1d(3).train()
    torch.testing.assert_close(layer(x), plain(x))
    assert int(layer.get_buffer("num_batches_tracked")) == 2


@pytest.mark.parametrize(("layer", "shape"), [(KerasNorm1d(2), (1, 2)), (KerasNorm2d(2), (1, 2, 1, 1))])
def test_a_batch_of_a_single_value_is_normalised_to_the_bias(
    layer: nn.Module, shape: tuple[int, ...]
) -> None:
    nn.init.constant_(layer.get_parameter("bias"), 3.0)
    out = layer.train()(torch.full(shape, 7.0))
    torch.testing.assert_close(out, torch.full(shape, 3.0), rtol=0, atol=1e-3)
    torch.testing.assert_close(layer.get_buffer("running_var"), torch.full((2,), 0.9))


@pytest.mark.parametrize("layer", [nn.Conv2d(8, 16, 3), nn.Conv2d(64, 128, 4), nn.Linear(300, 8)])
def test_first_weights_are_glorot_uniform(layer: nn.Module) -> None:
    torch.manual_seed(3)
    layer.apply(initialise_like_keras)
    weight = layer.get_parameter("weight")
    area = weight[0, 0].numel()
    limit = (6 / (area * (weight.shape[0] + weight.shape[1]))) ** 0.5
    assert 0.95 * limit < weight.abs().max().item() <= limit
    assert weight.std().item() == pytest.approx(limit / 3**0.5, rel=0.05)
    assert not layer.get_parameter("bias").any()
