"""Networks computed as one give the outputs, gradients, running statistics and draws of each alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from hitlens.detector import View
from hitlens.errors import ConfigError
from hitlens.models import MODELS, build_network
from hitlens.models.dropout import ByteDropout
from hitlens.models.preprocessing import CHANNELS_LAST, in_fast_layout
from hitlens.models.stacked import join_images, shape_of, stack_networks

K, N = 3, 16


def flat(name: str, shape: tuple[int, ...] = (16, 12)) -> View:
    return View(
        name=name, shape=shape, axes=("row", "col"), pitch_mm=(1.0, 1.0), unit="counts", dtype="uint8"
    )


def volume(name: str) -> View:
    return View(
        name=name,
        shape=(6, 5, 4),
        axes=("depth", "row", "col"),
        pitch_mm=(1.0, 1.0, 1.0),
        unit="counts",
        dtype="uint8",
    )


RESIDUAL = {"features": [4, 6], "blocks": [1, 1], "hidden": 8, "dropout": 0.3}

#: Architecture, settings, views.
CASES: dict[str, tuple[str, dict[str, Any], tuple[View, ...]]] = {
    "residual_cnn": ("residual_cnn", RESIDUAL, (flat("x"),)),
    "two towers": ("residual_cnn", RESIDUAL, (flat("x"), flat("y", (8, 8)))),
    "shared tower": ("residual_cnn", RESIDUAL | {"shared_towers": True}, (flat("x"), flat("y"))),
    "mean, stride": ("residual_cnn", RESIDUAL | {"head": "mean", "stem_stride": 2}, (flat("x"),)),
    "volume and flat": ("residual_cnn", RESIDUAL, (volume("v"), flat("x"))),
    "plain_cnn": ("plain_cnn", {"features": [4, 6], "last_features": 8}, (flat("x"),)),
    "plain_cnn, dense": ("plain_cnn", {"features": [4], "last_features": 8, "head": "dense"}, (flat("x"),)),
    "two_branch_cnn": ("two_branch_cnn", {"features": [4, 4], "dropout": 0.25}, (flat("x"), flat("y"))),
    "dense": ("dense", {"hidden": [8, 6]}, (flat("x"), volume("v"))),
    "logistic": ("logistic", {}, (flat("x"), flat("y"))),
}


def networks_of(case: str) -> list[nn.Module]:
    name, settings, views = CASES[case]
    found = []
    for seed in range(K):
        torch.manual_seed(seed)
        network = in_fast_layout(build_network(name, settings, views, 2, 3)).train()
        for layer in network.modules():
            if isinstance(layer, ByteDropout):
                layer.generator = torch.Generator().manual_seed(seed + 10)
        found.append(network)
    return found


def images_of(case: str, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = {view.name: torch.randn(N, 2, *view.shape, generator=generator) for view in CASES[case][2]}
    return {name: one.contiguous(memory_format=CHANNELS_LAST[one.ndim]) for name, one in images.items()}


def test_every_architecture_is_covered() -> None:
    assert {name for name, _, _ in CASES.values()} == MODELS.keys()


@pytest.mark.parametrize("case", CASES)
def test_a_stack_answers_learns_and_draws_as_each_network_alone(case: str) -> None:
    alone = networks_of(case)
    stacked_ones = networks_of(case)
    images = [images_of(case, seed) for seed in range(K)]
    expected = [network(one) for network, one in zip(alone, images, strict=True)]
    for outputs in expected:
        outputs.square().sum().backward()

    stack = stack_networks(stacked_ones)
    outputs = stack(join_images(images))
    assert outputs.shape == (N, K, 3)
    torch.testing.assert_close(outputs.detach(), torch.stack(expected, dim=1).detach(), rtol=1e-4, atol=1e-5)
    outputs.square().sum().backward()
    for one, other in zip(alone, stacked_ones, strict=True):
        scale = max(weight.grad.abs().max().item() for weight in one.parameters())
        for (name, weight), (_, mine) in zip(one.named_parameters(), other.named_parameters(), strict=True):
            assert mine.grad is not None, name
            torch.testing.assert_close(mine.grad, weight.grad, rtol=0, atol=1e-5 * scale, msg=name)
        for (name, buffer), (_, mine) in zip(one.named_buffers(), other.named_buffers(), strict=True):
            torch.testing.assert_close(mine, buffer, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("case", ["plain_cnn", "residual_cnn"])
def test_each_network_keeps_its_own_chance_of_dropout(case: str) -> None:
    alone, stacked_ones = networks_of(case), networks_of(case)
    for networks in (alone, stacked_ones):
        for network, chance in zip(networks, (0, 64, 128), strict=True):
            for layer in network.modules():
                if isinstance(layer, ByteDropout):
                    layer.n_dropped = chance
    images = [images_of(case, 1)] * K
    expected = torch.stack([network(images[0]) for network in alone], dim=1)
    torch.testing.assert_close(
        stack_networks(stacked_ones)(join_images(images)), expected, rtol=1e-4, atol=1e-5
    )


def test_values_that_are_no_numbers_stay_with_their_network() -> None:
    networks = networks_of("residual_cnn")
    images = [images_of("residual_cnn", seed) for seed in range(K)]
    next(networks[1].parameters()).data.fill_(torch.nan)
    outputs = stack_networks(networks)(join_images(images))
    assert outputs.isnan().all(dim=2).all(dim=0).tolist() == [False, True, False]
    assert not outputs[:, [0, 2]].isnan().any()


def test_a_stack_has_no_weights_and_leaves_the_networks_whole() -> None:
    networks = networks_of("residual_cnn")
    before = copy.deepcopy(networks[0].state_dict())
    stack = stack_networks(networks)
    assert not list(stack.parameters())
    assert networks[0].state_dict().keys() == before.keys()
    assert isinstance(networks[0].get_submodule("output.1"), nn.Linear)


def test_networks_of_several_shapes_are_refused() -> None:
    one = build_network("dense", {"hidden": [4]}, (flat("x"),), 1, 1)
    other = build_network("dense", {"hidden": [5]}, (flat("x"),), 1, 1)
    assert shape_of(one) != shape_of(other)
    with pytest.raises(ConfigError, match="one shape"):
        stack_networks([one, other])


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        (nn.Conv2d(4, 4, 3, groups=2), "in groups"),
        (nn.BatchNorm2d(4, affine=False), "normalisation"),
        (nn.GRU(3, 3), "GRU cannot be computed for several"),
        (nn.Dropout(0.5), "Dropout cannot"),
    ],
)
def test_what_cannot_be_stacked_says_so(layer: nn.Module, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        shape_of(nn.Sequential(layer))


def test_chance_of_dropout_is_no_part_of_the_shape() -> None:
    assert shape_of(ByteDropout(0.1)) == shape_of(ByteDropout(0.5))
    assert shape_of(nn.BatchNorm1d(3, momentum=0.1)) != shape_of(nn.BatchNorm1d(3, momentum=0.2))
