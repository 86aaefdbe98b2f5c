"""The seed notebook's network for two views: three convolutions and poolings a branch, joined by 8 units.

Rebuilt to the notebook's count of 40,433 parameters for two views of 100 x 80 pixels and one output. As
there, only the first convolution has an activation: the second and third are linear but for the pooling
between them. `activations` = "all" repairs that.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from hitlens.detector import View
from hitlens.models.dropout import ByteDropout
from hitlens.models.keras_defaults import initialise_like_keras


class TwoBranchCnnConfig(BaseModel):
    """Settings of `TwoBranchCnn`.

    Attributes:
        features: channels of the convolutions of each branch; each is followed by a pooling of 2 x 2.
        activations: which convolutions end in a rectifier: "first" as written in the notebook, or "all".
        hidden: units of the layer that joins the branches.
        dropout: before the output.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: tuple[int, ...] = Field((8, 16, 16), min_length=1)
    activations: Literal["first", "all"] = "first"
    hidden: int = Field(8, ge=1)
    dropout: float = Field(0.0, ge=0, lt=1)


class TwoBranchCnn(nn.Module):
    """A branch a view; the notebook has two, any number will do.

    Classification and regression differ in the number of outputs alone: the notebook's regression has one
    linear output, which is what the raw output of a classification is before its sigmoid.

    Args:
        views: geometry of the views.
        n_channels: input channels of each view.
        n_outputs: numbers to put out.
        config: settings.
    """

    def __init__(
        self, views: tuple[View, ...], n_channels: int, n_outputs: int, config: TwoBranchCnnConfig
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleDict({view.name: _branch(n_channels, config) for view in views})
        n_flat = 0
        for view in views:
            rows, cols = view.shape
            for _ in config.features:
                rows, cols = -(-rows // 2), -(-cols // 2)
            n_flat += config.features[-1] * rows * cols
        self.hidden = nn.Sequential(nn.Linear(n_flat, config.hidden), nn.ReLU(), ByteDropout(config.dropout))
        self.output = nn.Linear(config.hidden, n_outputs)
        self.apply(initialise_like_keras)

    def forward(self, images: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return raw outputs (event, n_outputs) for images of shape (event, channel, row, col)."""
        features = torch.cat([branch(images[name]) for name, branch in self.branches.items()], dim=-1)
        hidden = self.hidden(features)  # (event, hidden)
        with torch.autocast(hidden.device.type, enabled=False):
            outputs: torch.Tensor = self.output(hidden.float())
        return outputs


def _branch(n_channels: int, config: TwoBranchCnnConfig) -> nn.Sequential:
    layers: list[nn.Module] = []
    n_in = n_channels
    for number, n_features in enumerate(config.features):
        layers.append(nn.Conv2d(n_in, n_features, 3, padding=1))
        if number == 0 or config.activations == "all":
            layers.append(nn.ReLU())
        layers.append(nn.MaxPool2d(2, ceil_mode=True))  # Keras' "same": a last odd row is kept
        n_in = n_features
    return nn.Sequential(*layers, nn.Flatten())
