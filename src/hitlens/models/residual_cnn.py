"""The default network: residual stages at falling resolution, and a dense head that keeps places.

Pre-activation residual blocks after K. He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016.
The first convolution and the head run in float32: bfloat16 pixels would carry a rounding error of the size of
the photon noise.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from hitlens.detector import View
from hitlens.models.dropout import ByteDropout


class ResidualCnnConfig(BaseModel):
    """Settings of `ResidualCnn`.

    Attributes:
        features: channels of each stage; every stage after the first halves the image.
        blocks: residual blocks of each stage.
        hidden: features of the dense layer before the output.
        dropout: before the dense layer and before the output.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: tuple[int, ...] = Field((32, 64, 128), min_length=1)
    blocks: tuple[int, ...] = Field((1, 1, 1), min_length=1)
    hidden: int = Field(256, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)


class Block(nn.Module):
    """Two 3x3 convolutions around which the input is carried unchanged."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(n_features),
            nn.ReLU(),
            nn.Conv2d(n_features, n_features, 3, padding=1, bias=False),
            nn.BatchNorm2d(n_features),
            nn.ReLU(),
            nn.Conv2d(n_features, n_features, 3, padding=1, bias=False),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return features of the same shape."""
        out: torch.Tensor = x + self.body(x)
        return out


class Tower(nn.Module):
    """Stages of residual blocks for one view: (event, channel, row, col) -> (event, n_out)."""

    def __init__(self, shape: tuple[int, ...], n_channels: int, config: ResidualCnnConfig) -> None:
        super().__init__()
        rows, cols = shape
        self.stem = nn.Conv2d(n_channels, config.features[0], 3, padding=1)
        layers: list[nn.Module] = []
        n_in = config.features[0]
        for stage, (n_features, n_blocks) in enumerate(zip(config.features, config.blocks, strict=True)):
            if stage:
                layers.append(nn.Conv2d(n_in, n_features, 3, stride=2, padding=1))
                rows, cols = -(-rows // 2), -(-cols // 2)
            layers += [Block(n_features) for _ in range(n_blocks)]
            n_in = n_features
        self.body = nn.Sequential(*layers, nn.BatchNorm2d(n_in), nn.ReLU(), nn.Flatten())
        self.n_out = n_in * rows * cols

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return flattened features of one view."""
        with torch.autocast(x.device.type, enabled=False):
            x = self.stem(x.float())  # (event, features, row, col)
        out: torch.Tensor = self.body(x)
        return out


class ResidualCnn(nn.Module):
    """One tower a view, their features joined by a dense layer.

    Args:
        views: geometry of the views.
        n_channels: input channels of each view.
        n_outputs: numbers to put out.
        config: settings.
    """

    def __init__(
        self, views: tuple[View, ...], n_channels: int, n_outputs: int, config: ResidualCnnConfig
    ) -> None:
        super().__init__()
        towers = {view.name: Tower(view.shape, n_channels, config) for view in views}
        self.towers = nn.ModuleDict(towers)
        n_features = sum(tower.n_out for tower in towers.values())
        self.hidden = nn.Sequential(
            ByteDropout(config.dropout),
            nn.Linear(n_features, config.hidden),
            nn.BatchNorm1d(config.hidden),
            nn.ReLU(),
        )
        self.output = nn.Sequential(ByteDropout(config.dropout), nn.Linear(config.hidden, n_outputs))

    def forward(self, images: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return raw outputs (event, n_outputs) for images of shape (event, channel, row, col)."""
        features = torch.cat([tower(images[name]) for name, tower in self.towers.items()], dim=1)
        hidden = self.hidden(features)  # (event, hidden)
        with torch.autocast(hidden.device.type, enabled=False):
            outputs: torch.Tensor = self.output(hidden.float())
        return outputs
