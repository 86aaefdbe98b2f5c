"""The seed notebook's network: two modules of three convolutions, one last convolution, one output layer.

Source: G. Ulvik, event_classification_example. At the defaults 326,081 parameters in Keras' count, which
includes the running statistics of the normalisation; 325,249 of them are trained.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from hitlens.detector import View
from hitlens.models.dropout import ByteDropout
from hitlens.models.keras_defaults import (
    KERAS_NORM_EPS,
    KERAS_NORM_MOMENTUM,
    KerasNorm1d,
    KerasNorm2d,
    SamePadding,
    initialise_like_keras,
)


class PlainCnnConfig(BaseModel):
    """Settings of `PlainCnn`.

    Attributes:
        features: channels of each module.
        dropout: after each module.
        dropout_final: before the output layer.
        last_features: channels of the last layer.
        head: "conv" ends in a convolution over what is left of the image, "dense" in a dense layer of as many
            features. Both are the same linear map of the same inputs and differ in their first weights only.
        batch_norm_eps: added to the variance; Keras' default.
        batch_norm_momentum: share of the new batch in the running statistics; 1 - Keras' default .99. The
            running variance is the biased one, as there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: tuple[int, ...] = (32, 64)
    dropout: float = Field(0.4, ge=0, lt=1)
    dropout_final: float = Field(0.4, ge=0, lt=1)
    last_features: int = Field(128, ge=1)
    head: Literal["conv", "dense"] = "conv"
    batch_norm_eps: float = KERAS_NORM_EPS
    batch_norm_momentum: float = KERAS_NORM_MOMENTUM


class PlainCnn(nn.Module):
    """Sees one view; a network for several needs another architecture.

    Args:
        views: geometry of the views; the first is used.
        n_channels: input channels of each view.
        n_outputs: numbers to put out.
        config: settings.
    """

    def __init__(
        self, views: tuple[View, ...], n_channels: int, n_outputs: int, config: PlainCnnConfig
    ) -> None:
        super().__init__()
        self.view = views[0].name
        rows, cols = views[0].shape
        layers: list[nn.Module] = []
        n_in = n_channels
        for n_features in config.features:
            for kernel, stride in ((3, 1), (3, 1), (5, 2)):
                layers += [
                    _convolution(n_in, n_features, kernel, stride),
                    nn.ReLU(),
                    _norm(n_features, config),
                ]
                n_in = n_features
            layers.append(ByteDropout(config.dropout))
            rows, cols = -(-rows // 2), -(-cols // 2)
        if config.head == "conv":
            layers += [
                nn.Conv2d(n_in, config.last_features, (rows, cols)),
                nn.ReLU(),
                _norm(config.last_features, config),
            ]
            layers += [ByteDropout(config.dropout_final), nn.Flatten()]
        else:
            layers += [nn.Flatten(), nn.Linear(n_in * rows * cols, config.last_features), nn.ReLU()]
            layers += [_norm(config.last_features, config, flat=True), ByteDropout(config.dropout_final)]
        self.body = nn.Sequential(*layers)
        self.output = nn.Linear(config.last_features, n_outputs)
        self.apply(initialise_like_keras)

    def forward(self, images: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return raw outputs (event, n_outputs) for images of shape (event, channel, row, col)."""
        features = self.body(images[self.view])  # (event, last_features)
        with torch.autocast(features.device.type, enabled=False):
            outputs: torch.Tensor = self.output(features.float())
        return outputs


def _convolution(n_in: int, n_out: int, kernel: int, stride: int) -> nn.Module:
    """Convolution with the padding Keras calls "same": at stride 2, the odd row is at the far end."""
    if stride == 1:
        return nn.Conv2d(n_in, n_out, kernel, padding=kernel // 2)
    return nn.Sequential(SamePadding(kernel, stride), nn.Conv2d(n_in, n_out, kernel, stride=stride))


def _norm(n_features: int, config: PlainCnnConfig, *, flat: bool = False) -> nn.Module:
    kind = KerasNorm1d if flat else KerasNorm2d
    return kind(n_features, eps=config.batch_norm_eps, momentum=config.batch_norm_momentum)
