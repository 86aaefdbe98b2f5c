"""The seed notebook's network for two views: three convolutions and poolings a branch, joined by 8 units.

Rebuilt to the notebook's count of 40,433 parameters for two views of 100 x 80 pixels and one output. As
there, only the first convolution has an activation: the second and third are linear but for the pooling
between them. `activations` = "all" repairs that. Dropout stands after each pooling and before the output.
"""

from __future__ import annotations

from typing import Annotated, Literal

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
        branch_dropout: after the pooling of each convolution; the last one counts for all further ones.
        hidden: units of the layer that joins the branches.
        hidden_activation: "relu", or "linear" for none, as in the notebook's regressions.
        dropout: before the output.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: tuple[int, ...] = Field((8, 16, 16), min_length=1)
    activations: Literal["first", "all"] = "first"
    branch_dropout: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = Field((0.25, 0.25, 0.4), min_length=1)
    hidden: int = Field(8, ge=1)
    hidden_activation: Literal["relu", "linear"] = "relu"
    dropout: float = Field(0.5, ge=0, lt=1)


class TwoBranchCnn(nn.Module):
    """A branch a view; the notebook has two, any number will do.

    The notebook's regression has one linear output, which is what the raw output of a classification is
    before its sigmoid, and no activation in the layer before (`hidden_activation`).

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
        activation = nn.ReLU() if config.hidden_activation == "relu" else nn.Identity()
        self.hidden = nn.Sequential(nn.Linear(n_flat, config.hidden), activation, ByteDropout(config.dropout))
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
        dropout = ByteDropout(config.branch_dropout[min(number, len(config.branch_dropout) - 1)])
        # Keras' "same": a last odd row is kept. One module of both: weights keep the names they always had.
        layers.append(nn.Sequential(nn.MaxPool2d(2, ceil_mode=True), dropout))
        n_in = n_features
    return nn.Sequential(*layers, nn.Flatten())
