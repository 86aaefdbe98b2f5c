"""The network for volumes: residual stages of 3-D convolutions at falling resolution, one tower a view.

Pre-activation residual blocks after K. He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016,
with 3-D convolutions after K. Hara et al., "Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and
ImageNet?", CVPR 2018. The first convolution and the output run in float32, as in `residual_cnn`.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn

from hitlens.detector import View
from hitlens.models.dropout import ByteDropout


class VolumeCnnConfig(BaseModel):
    """Settings of `VolumeCnn`.

    Attributes:
        features: channels of each stage; every stage after the first halves the volume along each axis.
        blocks: residual blocks of each stage.
        stem_stride: voxels along each axis from one place of the first convolution to the next; 2 makes all
            that follows eight times cheaper.
        hidden: features of the dense layer before the output.
        dropout: before the dense layer and before the output.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: tuple[int, ...] = Field((16, 32, 64), min_length=1)
    blocks: tuple[int, ...] = Field((1, 1, 1), min_length=1)
    stem_stride: int = Field(2, ge=1)
    hidden: int = Field(128, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _has_stages(self) -> VolumeCnnConfig:
        if len(self.features) != len(self.blocks):
            raise ValueError(f"features and blocks must be as many: {len(self.features)}, {len(self.blocks)}")
        return self


class VolumeBlock(nn.Module):
    """Two 3x3x3 convolutions around which the input is carried unchanged."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm3d(n_features),
            nn.ReLU(),
            nn.Conv3d(n_features, n_features, 3, padding=1, bias=False),
            nn.BatchNorm3d(n_features),
            nn.ReLU(),
            nn.Conv3d(n_features, n_features, 3, padding=1, bias=False),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return features of the same shape."""
        out: torch.Tensor = x + self.body(x)
        return out


class VolumeTower(nn.Module):
    """Stages of residual blocks for one view: (event, channel, depth, row, col) -> (event, n_out)."""

    def __init__(self, shape: tuple[int, ...], n_channels: int, config: VolumeCnnConfig) -> None:
        super().__init__()
        size = [-(-n // config.stem_stride) for n in shape]
        self.stem = nn.Conv3d(n_channels, config.features[0], 3, stride=config.stem_stride, padding=1)
        layers: list[nn.Module] = []
        n_in = config.features[0]
        for stage, (n_features, n_blocks) in enumerate(zip(config.features, config.blocks, strict=True)):
            if stage:
                layers.append(nn.Conv3d(n_in, n_features, 3, stride=2, padding=1))
                size = [-(-n // 2) for n in size]
            layers += [VolumeBlock(n_features) for _ in range(n_blocks)]
            n_in = n_features
        self.body = nn.Sequential(*layers, nn.BatchNorm3d(n_in), nn.ReLU(), nn.Flatten())
        self.n_out = n_in * size[0] * size[1] * size[2]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return flattened features of one view."""
        with torch.autocast(x.device.type, enabled=False):
            x = self.stem(x.float())  # (event, features, depth, row, col)
        out: torch.Tensor = self.body(x)
        return out


class VolumeCnn(nn.Module):
    """A tower a view, their features joined by a dense layer.

    Args:
        views: geometry of the views, all of them volumes.
        n_channels: input channels of each view.
        n_outputs: numbers to put out.
        config: settings.
    """

    def __init__(
        self, views: tuple[View, ...], n_channels: int, n_outputs: int, config: VolumeCnnConfig
    ) -> None:
        super().__init__()
        towers = {view.name: VolumeTower(view.shape, n_channels, config) for view in views}
        self.towers = nn.ModuleDict(towers)
        self.hidden = nn.Sequential(
            ByteDropout(config.dropout),
            nn.Linear(sum(tower.n_out for tower in towers.values()), config.hidden),
            nn.BatchNorm1d(config.hidden),
            nn.ReLU(),
        )
        self.output = nn.Sequential(ByteDropout(config.dropout), nn.Linear(config.hidden, n_outputs))

    def forward(self, images: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return raw outputs (event, n_outputs) for volumes of shape (event, channel, depth, row, col)."""
        features = torch.cat([tower(images[name]) for name, tower in self.towers.items()], dim=1)
        hidden = self.hidden(features)  # (event, hidden)
        with torch.autocast(hidden.device.type, enabled=False):
            outputs: torch.Tensor = self.output(hidden.float())
        return outputs
