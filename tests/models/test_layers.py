"""The layer table counts every number once, whatever the architecture."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hitlens.detector import View
from hitlens.models import MODELS, build_network
from hitlens.models.layers import layer_table

SQUARE = View(name="a", shape=(16, 16), axes=("x", "y"), pitch_mm=(3, 3), unit="photons")
OTHER = View(name="b", shape=(16, 16), axes=("x", "y"), pitch_mm=(3, 3), unit="photons")


@pytest.mark.parametrize("settings", [{}, {"shared_towers": True}])
@pytest.mark.parametrize("name", MODELS)
def test_the_table_holds_every_number_once(name: str, settings: dict[str, bool]) -> None:
    views = (SQUARE,) if name == "plain_cnn" else (SQUARE, OTHER)
    settings = settings if name == "residual_cnn" else {}
    network = build_network(name, settings, views, 2, 3).train()
    table = layer_table(network, {view.name: torch.zeros(1, 2, 16, 16) for view in views})
    assert table.n_trainable == sum(p.numel() for p in network.parameters())
    statistics = sum(b.numel() for key, b in network.named_buffers() if "running" in key)
    assert table.n_parameters == table.n_trainable + statistics
    assert table.rows[-1].output_shape == (3,)
    assert network.training
    assert not any(layer._forward_hooks for layer in network.modules())


def test_a_layer_that_is_not_passed_and_one_that_is_fixed_are_listed() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unused, self.used = nn.Linear(2, 5), nn.Linear(4, 1)
            self.used.weight.requires_grad_(False)

        def forward(self, images: dict[str, torch.Tensor]) -> torch.Tensor:
            return self.used(images["a"])

    rows = layer_table(Odd(), {"a": torch.zeros(1, 4)}).rows
    assert [(row.name, row.output_shape, row.n_parameters, row.n_trainable) for row in rows] == [
        ("used", (1,), 5, 1),
        ("unused", None, 15, 15),
    ]
