"""First weights as Keras draws them, for the seeds' networks."""

from __future__ import annotations

from torch import nn


def initialise_like_keras(module: nn.Module) -> None:
    """Give a layer Glorot uniform weights and zero biases, the defaults of the seeds' framework.

    Examples:
        >>> layer = nn.Linear(3, 2)
        >>> _ = layer.apply(initialise_like_keras)
        >>> layer.bias.tolist()
        [0.0, 0.0]
    """
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
