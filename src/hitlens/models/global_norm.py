"""Batch normalisation over the events of all processes, for training a network in several of them.

torch.nn.SyncBatchNorm does this on GPUs; it refuses to run on a CPU, where `GlobalNorm` takes its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hitlens.models.keras_defaults import KerasNorm1d, KerasNorm2d

_BACKWARD = torch.ops.aten.native_batch_norm_backward


class GlobalNorm(_BatchNorm):
    """Normalises with mean and variance of the whole batch, of which every process has a share.

    Shares may differ in size. Once trained, or in one process alone, it does what the layer it was made from
    does; parameters, buffers and their names are those of that layer.

    Args:
        norm: the layer it stands for; parameters and buffers are taken over, not copied.
    """

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        self.biased = isinstance(norm, KerasNorm1d | KerasNorm2d)
        take_over(norm, self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return normalised features of the same shape (event, feature, ...)."""
        if not (self.training and distributed.is_initialized() and distributed.get_world_size() > 1):
            return super().forward(x)
        out: torch.Tensor
        out, mean, variance, n_values = _Normalise.apply(x, self.weight, self.bias, self.eps)  # type: ignore[no-untyped-call]
        if self.running_mean is not None and self.running_var is not None and self.momentum is not None:
            self.running_mean.lerp_(mean, self.momentum)
            variance = variance if self.biased else variance * n_values / (n_values - 1)
            self.running_var.lerp_(variance, self.momentum)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        return out

    def _check_input_dim(self, x: torch.Tensor) -> None:
        """Take images, volumes and flat features alike."""


class _Normalise(torch.autograd.Function):
    """One exchange of mean, variance and count forward, one of two sums a feature backward."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        mean, variance, n_values = _whole_statistics(x)
        ctx.save_for_backward(x, weight, mean, variance, n_values)
        ctx.eps = eps
        out = torch.batch_norm(x, weight, bias, mean, variance, False, 0.0, eps, False)
        ctx.mark_non_differentiable(mean, variance, n_values)
        return out, mean, variance, n_values

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor, *_: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight, mean, variance, n_values = ctx.saved_tensors
        inverse = (variance + ctx.eps).rsqrt()
        fixed = (mean, variance, mean, inverse, False, ctx.eps, [True, True, True])
        # The gradient at fixed mean and variance; those of weight and bias are sums over the own share.
        grad_x, grad_weight, grad_bias = _BACKWARD(grad, x, weight, *fixed)
        sums = torch.stack([grad_weight, grad_bias])
        distributed.all_reduce(sums)
        # What x changes through mean and variance is linear in the normalised x.
        slope, offset = sums * weight * inverse / n_values
        grad_x -= torch.batch_norm(x, slope, offset, mean, variance, False, 0.0, ctx.eps, False)
        return grad_x, grad_weight, grad_bias, None


def _whole_statistics(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean and variance by feature over all shares, and the number of values in each, float32 at least.

    Source: T. F. Chan, G. H. Golub and R. J. LeVeque, "Updating Formulae and a Pairwise Algorithm for
    Computing Sample Variances", 1979: no difference of large sums.
    """
    n_features = x.shape[1]
    # Given float32 places to write to, the statistics of bfloat16 values are float32.
    places = x.new_ones(2, n_features, dtype=torch.promote_types(x.dtype, torch.float32))
    mean, variance = torch.batch_norm_update_stats(x, places[0], places[1], 0.0)
    own = torch.cat([mean, variance, mean.new_full((1,), x.numel() / n_features)])
    parts = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, own)
    found = torch.stack(parts)  # (process, 2 * feature + 1)
    means, variances, counts = found[:, :n_features], found[:, n_features:-1], found[:, -1:]
    n_values = counts.sum()
    mean = (counts * means).sum(dim=0) / n_values
    variance = (counts * (variances + (means - mean).square())).sum(dim=0) / n_values
    return mean, variance, n_values


@contextmanager
def normalised_together(network: nn.Module, device: str) -> Iterator[None]:
    """Let every batch normalisation of a network see the events of all processes, until the end of the block.

    Args:
        network: changed in place, and back; names and values of its weights stay.
        device: type of the device it is trained on, "cpu" or "cuda".
    """
    alone = _norms(network)
    for parent, name, layer in alone:
        setattr(parent, name, GlobalNorm(layer) if device == "cpu" else _synchronised(layer))
    try:
        yield
    finally:
        for parent, name, layer in alone:
            take_over(getattr(parent, name), layer)
            setattr(parent, name, layer)


def _synchronised(layer: _BatchNorm) -> nn.Module:
    together: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(layer)  # type: ignore[no-untyped-call]
    return together


def take_over(source: _BatchNorm, target: _BatchNorm) -> None:
    """Give one layer parameters, buffers and mode of another, not copies of them."""
    target._parameters.update(source._parameters)
    target._buffers.update(source._buffers)
    target.train(source.training)


def _norms(network: nn.Module) -> list[tuple[nn.Module, str, _BatchNorm]]:
    """Batch normalisations of a network: the module each belongs to, its name there, the layer."""
    return [
        (parent, name, layer)
        for parent in network.modules()
        for name, layer in parent.named_children()
        if isinstance(layer, _BatchNorm)
    ]
