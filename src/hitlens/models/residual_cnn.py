"""The default network: residual stages at falling resolution for each view, joined by a dense layer.

Pre-activation residual blocks after K. He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016.
The first convolution and the head run in float32: bfloat16 pixels would carry a rounding error of the size of
the photon noise.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
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

    @model_validator(mode="after")
    def _has_stages(self) -> ResidualCnnConfig:
        if len(self.features) != len(self.blocks):
            raise ValueError(f"features and blocks must be as many: {len(self.features)}, {len(self.blocks)}")
        return self


class Layers(NamedTuple):
    """The layers of a tower for views of as many axes."""

    convolution: type[nn.Conv2d | nn.Conv3d]
    norm: type[nn.BatchNorm2d | nn.BatchNorm3d]
    border: type[nn.ZeroPad2d | nn.ZeroPad3d]
    mean: type[nn.AdaptiveAvgPool2d | nn.AdaptiveAvgPool3d]


#: By number of axes of a view: flat, (row, col), or a volume, (depth, row, col).
LAYERS = {
    2: Layers(nn.Conv2d, nn.BatchNorm2d, nn.ZeroPad2d, nn.AdaptiveAvgPool2d),
    3: Layers(nn.Conv3d, nn.BatchNorm3d, nn.ZeroPad3d, nn.AdaptiveAvgPool3d),
}


class Block(nn.Module):
    """Two convolutions of 3 pixels a side around which the input is carried unchanged."""

    def __init__(self, n_features: int, layers: Layers) -> None:
        super().__init__()
        self.body = nn.Sequential(
            layers.norm(n_features),
            nn.ReLU(),
            layers.convolution(n_features, n_features, 3, padding=1, bias=False),
            layers.norm(n_features),
            nn.ReLU(),
            layers.convolution(n_features, n_features, 3, padding=1, bias=False),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return features of the same shape."""
        out: torch.Tensor = x + self.body(x)
        return out


class Tower(nn.Module):
    """Stages of residual blocks for one view: (event, channel, pixel axes) -> (event, n_out)."""

    def __init__(self, shape: tuple[int, ...], n_channels: int, config: ResidualCnnConfig) -> None:
        super().__init__()
        of = LAYERS[len(shape)]
        kernel, stride = config.stem_kernel, config.stem_stride
        size = [-(-n // stride) for n in shape]
        self.border = of.border(_border(shape, kernel, stride))  # type: ignore[arg-type]
        self.stem = of.convolution(n_channels, config.features[0], kernel, stride=stride)
        layers: list[nn.Module] = []
        n_in = config.features[0]
        for stage, (n_features, n_blocks) in enumerate(zip(config.features, config.blocks, strict=True)):
            if stage:
                layers.append(of.convolution(n_in, n_features, 3, stride=2, padding=1))
                size = [-(-n // 2) for n in size]
            layers += [Block(n_features, of) for _ in range(n_blocks)]
            n_in = n_features
        layers += [of.norm(n_in), nn.ReLU()]
        if config.head == "mean":
            layers.append(of.mean(1))
            size = [1]
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.n_out = n_in * math.prod(size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return flattened features of one view."""
        with torch.autocast(x.device.type, enabled=False):
            x = self.stem(self.border(x.float()))  # (event, features, *view / stem_stride)
        out: torch.Tensor = self.body(x)
        return out


class ResidualCnn(nn.Module):
    """A tower a view, or one for all of them, their features joined by a dense layer.

    Views may be flat or volumes, or some of each.

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
        """Return raw outputs (event, n_outputs) for images of shape (event, channel, pixel axes)."""
        if len(self.towers) < len(self.views):
            stacked = torch.cat([images[name] for name in self.views])  # (view * event, channel, row, col)
            features = torch.cat(self.towers[self.views[0]](stacked).chunk(len(self.views)), dim=-1)
        else:
            features = torch.cat([tower(images[name]) for name, tower in self.towers.items()], dim=-1)
        hidden = self.hidden(features)  # (event, hidden)
        with torch.autocast(hidden.device.type, enabled=False):
            outputs: torch.Tensor = self.output(hidden.float())
        return outputs


def _border(shape: tuple[int, ...], kernel: int, stride: int) -> tuple[int, ...]:
    """Pixels to add before and after, the last axis first, so that the strides reach every pixel."""
    before = max(0, kernel - stride + 1) // 2
    after = [max(0, (-(-n // stride) - 1) * stride + kernel - n - before) for n in shape]
    return tuple(width for one in reversed(after) for width in (before, one))


def _check_views(views: tuple[View, ...], config: ResidualCnnConfig) -> None:
    if config.shared_towers and len({view.shape for view in views}) > 1:
        shapes = ", ".join(f"{view.name} {view.shape}" for view in views)
        raise ConfigError(f"model.settings.shared_towers needs views of one shape. Got {shapes}.")
