"""Dropout from cheap random bytes; torch's own draws one slow Bernoulli number a value on the CPU."""

from __future__ import annotations

import math

import torch
from torch import nn

from hitlens.datasets.share import Share
from hitlens.errors import ConfigError


class ByteDropout(nn.Module):
    """Zeroes each value with probability p while training, and scales the rest so that the mean stays.

    The probability is rounded to 1/256, since one random byte decides each value; the scale uses the rounded
    probability, so the mean is exact.

    Where several processes share a batch, each draws for all of it and uses its own part, so that the result
    is that of one process; `share` must be set before each batch, whose events are the first axis.

    Args:
        p: probability to drop a value, from 0 to below 1.

    Attributes:
        generator: draws; torch's own for the device where None.

    Raises:
        ConfigError: p is out of range.

    Examples:
        >>> layer = ByteDropout(0.5).eval()
        >>> layer(torch.ones(2)).tolist()
        [1.0, 1.0]
    """

    generator: torch.Generator | None = None

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ConfigError(f"dropout must be at least 0 and below 1. Got {p}.")
        self.n_dropped = round(p * 256)
        self.share: Share | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x with values dropped, same shape and memory layout."""
        if not self.training or self.n_dropped == 0:
            return x
        if _is_dense(x):  # drawn in the order in memory
            return x * self.draw((len(x), x.numel() // max(1, len(x))), x).as_strided(x.shape, x.stride())
        return x * self.draw(tuple(x.shape), x)

    def draw(self, shape: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
        """Return factors of a shape, events first: 0 for a value to drop, else what keeps the mean.

        Args:
            shape: of the factors, in the order in which they are drawn.
            like: gives type and device.
        """
        if self.n_dropped == 0:
            return like.new_ones(shape)
        share = self.share or Share(0, shape[0], shape[0])
        n_values = math.prod(shape[1:])
        n_words = (n_values * share.n_events + 7) // 8
        words = torch.empty(n_words, dtype=torch.int64, device=like.device)
        words.random_(-(2**63), None, generator=self.generator)
        drawn = words.view(torch.uint8)[n_values * share.start : n_values * share.stop]
        keep = drawn >= self.n_dropped
        return keep.to(like.dtype).mul_(256 / (256 - self.n_dropped)).view(shape)

    def extra_repr(self) -> str:
        """Return the effective probability for printing."""
        return f"p={self.n_dropped / 256:.4f}"


def _is_dense(x: torch.Tensor) -> bool:
    """Whether x fills its memory without gaps, so a flat mask can take its strides."""
    return (
        x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last)
        if x.ndim == 4
        else x.is_contiguous()
    )
