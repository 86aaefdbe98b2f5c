"""Layers as Keras computes them, for the seed notebooks' networks: first weights, padding, normalisation."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

#: Added to the variance by Keras' BatchNormalization; its momentum of .99 is torch's .01.
KERAS_NORM_EPS, KERAS_NORM_MOMENTUM = 1e-3, 0.01


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


class SamePadding(nn.Module):
    """Pads images with zeros as Keras does for ``padding="same"``: an odd row or column goes to the far end.

    A convolution after it puts out one value a stride, ``ceil(n / stride)`` along each axis, whatever n.

    Args:
        kernel: of the convolution that follows.
        stride: of that convolution.

    Examples:
        >>> SamePadding(5, 2)(torch.ones(1, 1, 16, 15)).shape
        torch.Size([1, 1, 19, 19])
    """

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x with a border, from (event, channel, row, col)."""
        rows, cols = (self._border(n) for n in x.shape[2:])
        return functional.pad(x, (*cols, *rows))

    def _border(self, n: int) -> tuple[int, int]:
        """Zeros before and after n values."""
        total = max(0, (-(-n // self.stride) - 1) * self.stride + self.kernel - n)
        return total // 2, total - total // 2

    def extra_repr(self) -> str:
        """Return what the border depends on, for printing."""
        return f"kernel={self.kernel}, stride={self.stride}"


class _KerasNorm(_BatchNorm):
    """Batch normalisation whose running variance is that of the batch as it is, divided by n.

    torch follows the unbiased variance, divided by n - 1: 1.6 % more where a batch of 64 events has one value
    a channel. A batch of a single value, which torch refuses, is normalised to 0, as by Keras.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return normalised features of the same shape (event, feature, ...)."""
        before = self.running_var
        if not self.training or before is None:
            return super().forward(x)
        after, momentum = before.clone(), self.momentum or 0.0
        out = keras_batch_norm(x, self.running_mean, after, self.weight, self.bias, momentum, self.eps)
        with torch.no_grad():
            before.copy_(towards_population(before, after, momentum, x.numel() // x.shape[1]))
            self.get_buffer("num_batches_tracked").add_(1)
        return out


class KerasNorm1d(_KerasNorm, nn.BatchNorm1d):
    """Of flat features, shape (event, feature)."""


class KerasNorm2d(_KerasNorm, nn.BatchNorm2d):
    """Of images, shape (event, channel, row, col)."""


def keras_batch_norm(
    x: torch.Tensor,
    mean: torch.Tensor | None,
    variance: torch.Tensor,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    momentum: float,
    eps: float,
) -> torch.Tensor:
    """Return torch's batch normalisation in training; a single value a feature is normalised to 0.

    Args:
        x: shape (event, feature, ...).
        mean: running one, shape (feature,); takes torch's step.
        variance: as mean; its step is corrected by `towards_population`.
        weight: of each feature.
        bias: of each feature.
        momentum: share of the step, torch's.
        eps: added to the variance.
    """
    alone = x.numel() == x.shape[1]
    values = x.repeat(2, *(1,) * (x.ndim - 1)) if alone else x
    return functional.batch_norm(values, mean, variance, weight, bias, True, momentum, eps)[: len(x)]


def towards_population(
    before: torch.Tensor, after: torch.Tensor, momentum: float, n_values: int
) -> torch.Tensor:
    """Return running variances after a step towards the biased variance instead of torch's unbiased one.

    Args:
        before: running variances before the step, shape (feature,).
        after: after torch's step.
        momentum: share of the step, torch's.
        n_values: of each feature in the batch.

    Examples:
        >>> one = torch.tensor([1.0])  # the values 0 and 2 have the unbiased variance 2, and 1 divided by n
        >>> round(towards_population(one, one * 0.9 + 0.1 * 2, 0.1, 2).item(), 6)
        1.0
    """
    kept = before * (1 - momentum)
    return kept + (after - kept) * ((n_values - 1) / max(1, n_values))
