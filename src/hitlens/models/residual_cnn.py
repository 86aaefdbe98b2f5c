"""The default network: residual stages at falling resolution for each view, joined by a dense layer.

Pre-activation residual blocks after K. He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016.
The first convolution and the head run in float32: bfloat16 pixels would carry a rounding error of the size of
the photon noise.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from hitlens.detector import View
from hitlens.errors import ConfigError
from hitlens.models.dropout import ByteDropout


class ResidualCnnConfig(BaseModel):
    """Settings of `ResidualCnn`.

    Attributes:
        features: channels of each stage; every stage after the first halves the image.
        blocks: residual blocks of each stage.
        hidden: features of the dense layer before the output.
        dropout: before the dense layer and before the output.
        stem_kernel: pixels along each side that the first convolution sees.
        stem_stride: pixels between its places. Large thin images want 4 or so: a convolution at every pixel
            of an image that is 99 % empty costs most of the time and tells little.
        shared_towers: one tower for all views, which must be of one shape; separate ones otherwise.
        head: "places" gives the dense layer the features of every place of the last stage, "mean" their mean
            over the image, which has fewer weights to learn from few events.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: tuple[int, ...] = Field((32, 64, 128), min_length=1)
    blocks: tuple[int, ...] = Field((1, 1, 1), min_length=1)
    hidden: int = Field(256, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)
    stem_kernel: int = Field(3, ge=1)
    stem_stride: int = Field(1, ge=1)
    shared_towers: bool = False
    head: Literal["places", "mean"] = "places"


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
        kernel, stride = config.stem_kernel, config.stem_stride
        rows, cols = (-(-n // stride) for n in shape)
        self.border = nn.ZeroPad2d(_border(shape, kernel, stride))
        self.stem = nn.Conv2d(n_channels, config.features[0], kernel, stride=stride)
        layers: list[nn.Module] = []
        n_in = config.features[0]
        for stage, (n_features, n_blocks) in enumerate(zip(config.features, config.blocks, strict=True)):
            if stage:
                layers.append(nn.Conv2d(n_in, n_features, 3, stride=2, padding=1))
                rows, cols = -(-rows // 2), -(-cols // 2)
            layers += [Block(n_features) for _ in range(n_blocks)]
            n_in = n_features
        layers += [nn.BatchNorm2d(n_in), nn.ReLU()]
        if config.head == "mean":
            layers.append(nn.AdaptiveAvgPool2d(1))
            rows, cols = 1, 1
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.n_out = n_in * rows * cols

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return flattened features of one view."""
        with torch.autocast(x.device.type, enabled=False):
            x = self.stem(self.border(x.float()))  # (event, features, row, col)
        out: torch.Tensor = self.body(x)
        return out


class ResidualCnn(nn.Module):
    """A tower a view, or one for all of them, their features joined by a dense layer.

    Args:
        views: geometry of the views.
        n_channels: input channels of each view.
        n_outputs: numbers to put out.
        config: settings.

    Raises:
        ConfigError: one tower for views of several shapes.
    """

    def __init__(
        self, views: tuple[View, ...], n_channels: int, n_outputs: int, config: ResidualCnnConfig
    ) -> None:
        super().__init__()
        _check_views(views, config)
        self.views = [view.name for view in views]
        seen = views[:1] if config.shared_towers else views
        towers = {view.name: Tower(view.shape, n_channels, config) for view in seen}
        self.towers = nn.ModuleDict(towers)
        n_features = sum(tower.n_out for tower in towers.values()) * len(views) // len(seen)
        self.hidden = nn.Sequential(
            ByteDropout(config.dropout),
            nn.Linear(n_features, config.hidden),
            nn.BatchNorm1d(config.hidden),
            nn.ReLU(),
        )
        self.output = nn.Sequential(ByteDropout(config.dropout), nn.Linear(config.hidden, n_outputs))

    def forward(self, images: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return raw outputs (event, n_outputs) for images of shape (event, channel, row, col)."""
        if len(self.towers) < len(self.views):
            stacked = torch.cat([images[name] for name in self.views])  # (view * event, channel, row, col)
            features = torch.cat(self.towers[self.views[0]](stacked).chunk(len(self.views)), dim=1)
        else:
            features = torch.cat([tower(images[name]) for name, tower in self.towers.items()], dim=1)
        hidden = self.hidden(features)  # (event, hidden)
        with torch.autocast(hidden.device.type, enabled=False):
            outputs: torch.Tensor = self.output(hidden.float())
        return outputs


def _border(shape: tuple[int, ...], kernel: int, stride: int) -> tuple[int, int, int, int]:
    """Pixels to add left, right, above and below, so that the strides reach every pixel."""
    before = max(0, kernel - stride + 1) // 2
    after = [max(0, (-(-n // stride) - 1) * stride + kernel - n - before) for n in shape]
    return before, after[1], before, after[0]


def _check_views(views: tuple[View, ...], config: ResidualCnnConfig) -> None:
    if config.shared_towers and len({view.shape for view in views}) > 1:
        shapes = ", ".join(f"{view.name} {view.shape}" for view in views)
        raise ConfigError(f"model.settings.shared_towers needs views of one shape. Got {shapes}.")
