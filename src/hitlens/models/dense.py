"""The simplest models that learn: one linear layer on the pixels, and a stack of dense layers."""

from __future__ import annotations

import itertools
import math

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from hitlens.detector import View
from hitlens.models.dropout import ByteDropout


class LogisticConfig(BaseModel):
    """Settings of `Logistic`: none."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DenseConfig(BaseModel):
    """Settings of `Dense`.

    Attributes:
        hidden: features of each hidden layer.
        dropout: after each hidden layer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden: tuple[int, ...] = Field((256, 128, 64), min_length=1)
    dropout: float = Field(0.2, ge=0, lt=1)


class Dense(nn.Module):
    """Dense layers on the flattened pixels of all views.

    Args:
        views: geometry of the views.
        n_channels: input channels of each view.
        n_outputs: numbers to put out.
        config: settings.
    """

    def __init__(self, views: tuple[View, ...], n_channels: int, n_outputs: int, config: DenseConfig) -> None:
        super().__init__()
        self.views = tuple(view.name for view in views)
        self.flatten = nn.Flatten()
        sizes = [n_channels * sum(math.prod(view.shape) for view in views), *config.hidden]
        layers: list[nn.Module] = []
        for n_in, n_out in itertools.pairwise(sizes):
            layers += [nn.Linear(n_in, n_out), nn.ReLU(), nn.BatchNorm1d(n_out), ByteDropout(config.dropout)]
        self.body = nn.Sequential(*layers)
        self.output = nn.Linear(sizes[-1], n_outputs)

    def forward(self, images: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return raw outputs (event, n_outputs) for images of shape (event, channel, row, col)."""
        flat = torch.cat([self.flatten(images[view]) for view in self.views], dim=-1)  # (event, pixels)
        outputs: torch.Tensor = self.output(self.body(flat)).float()
        return outputs


class Logistic(nn.Module):
    """One linear layer on the flattened pixels of all views: logistic or linear regression.

    Args:
        views: geometry of the views.
        n_channels: input channels of each view.
        n_outputs: numbers to put out.
        config: settings.
    """

    def __init__(
        self, views: tuple[View, ...], n_channels: int, n_outputs: int, config: LogisticConfig
    ) -> None:
        super().__init__()
        self.views = tuple(view.name for view in views)
        self.flatten = nn.Flatten()
        self.output = nn.Linear(n_channels * sum(math.prod(view.shape) for view in views), n_outputs)

    def forward(self, images: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return raw outputs (event, n_outputs) for images of shape (event, channel, row, col)."""
        flat = torch.cat([self.flatten(images[view]) for view in self.views], dim=-1)  # (event, pixels)
        outputs: torch.Tensor = self.output(flat).float()
        return outputs
