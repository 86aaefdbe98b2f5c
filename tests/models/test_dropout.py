"""Dropout from random bytes: right share, right mean, any memory layout."""

from __future__ import annotations

import pytest
import torch

from hitlens.datasets.share import share_of
from hitlens.errors import ConfigError
from hitlens.models.dropout import ByteDropout


@pytest.mark.parametrize("p", [0.1, 0.4, 0.5])
@pytest.mark.parametrize("layout", ["flat", "contiguous", "channels_last", "strided"])
def test_share_and_mean(p: float, layout: str) -> None:
    torch.manual_seed(0)
    x = torch.ones(64, 32, 8, 9)
    if layout == "flat":
        x = x.flatten(1)
    elif layout == "channels_last":
        x = x.contiguous(memory_format=torch.channels_last)
    elif layout == "strided":
        x = x[:, ::2]
    out = ByteDropout(p)(x)
    assert out.shape == x.shape
    assert (out == 0).float().mean().item() == pytest.approx(p, abs=0.005)
    assert out.mean().item() == pytest.approx(1, abs=0.01)


def test_events_are_dropped_independently() -> None:
    torch.manual_seed(0)
    out = ByteDropout(0.5)(torch.ones(2000, 10)) > 0
    correlation = torch.corrcoef(out.float().T) - torch.eye(10)
    assert correlation.abs().max() < 0.1


def test_gradients_pass_where_values_did() -> None:
    x = torch.ones(1000, requires_grad=True)
    out = ByteDropout(0.5)(x)
    out.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, out.detach())


def test_evaluation_changes_nothing() -> None:
    x = torch.randn(5)
    assert ByteDropout(0.4).eval()(x) is x


@pytest.mark.parametrize("p", [-0.1, 1.0])
def test_impossible_probabilities_are_refused(p: float) -> None:
    with pytest.raises(ConfigError, match="dropout"):
        ByteDropout(p)


@pytest.mark.parametrize("shape", [(7, 5), (6, 4, 3, 3), (6, 2, 3, 3, 2)])
@pytest.mark.parametrize("fast", [False, True])
def test_shares_of_a_batch_are_dropped_as_the_whole_batch_is(shape: tuple[int, ...], fast: bool) -> None:
    if fast and len(shape) != 4:
        pytest.skip("the layout is one of images")
    layer = ByteDropout(0.4)
    x = torch.rand(shape) + 1
    x = x.to(memory_format=torch.channels_last) if fast else x
    torch.manual_seed(5)
    whole, following = layer(x), torch.rand(1)
    parts = []
    for number in range(3):
        layer.share = share_of(len(x), (number, 3))
        torch.manual_seed(5)
        parts.append(layer(x[layer.share.rows]))
        assert torch.equal(torch.rand(1), following)
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=0)
    assert 0 < (whole == 0).float().mean() < 1
