"""Several networks of equal shape computed as one: channels side by side, convolutions in groups.

Each network keeps its own weights; they are joined on the fly in every pass, so gradients, running statistics
and random draws are those of each network alone, to rounding. Images of K networks are (event, K * channel,
pixel axes), flat features (event, K, feature), outputs (event, K, n_outputs).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from hitlens.errors import ConfigError
from hitlens.models.dense import Dense, Logistic
from hitlens.models.dropout import ByteDropout
from hitlens.models.keras_defaults import (
    KerasNorm1d,
    KerasNorm2d,
    SamePadding,
    keras_batch_norm,
    towards_population,
)
from hitlens.models.plain_cnn import PlainCnn
from hitlens.models.preprocessing import CHANNELS_LAST
from hitlens.models.residual_cnn import Block, ResidualCnn, Tower
from hitlens.models.two_branch_cnn import TwoBranchCnn

Layer = TypeVar("Layer", bound=nn.Module)

#: Modules whose `forward` treats channels and the last axis alike, however many networks lie side by side.
CONTAINERS = (
    nn.Sequential,
    nn.ModuleDict,
    PlainCnn,
    ResidualCnn,
    Tower,
    Block,
    TwoBranchCnn,
    Dense,
    Logistic,
)

#: Layers without weights that treat each channel alone.
BY_CHANNEL = (
    *(nn.ReLU, nn.Identity, nn.ZeroPad2d, nn.ZeroPad3d, SamePadding, nn.MaxPool2d, nn.MaxPool3d),
    *(nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
)

_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)
#: Those whose running variance is the biased one.
_KERAS_NORMS = (KerasNorm1d, KerasNorm2d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, *_KERAS_NORMS)


class StackedConvolution(nn.Module):
    """Convolutions of several networks as one convolution in groups.

    Args:
        layers: one of each network.
    """

    def __init__(self, layers: Sequence[nn.Conv2d | nn.Conv3d]) -> None:
        super().__init__()
        self.layers = list(layers)
        self._convolve: Callable[..., torch.Tensor] = (
            functional.conv2d if isinstance(layers[0], nn.Conv2d) else functional.conv3d
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (event, K * n_out, pixel axes) from (event, K * n_in, pixel axes)."""
        first = self.layers[0]
        weight, bias = _joined(self.layers, "weight"), _joined(self.layers, "bias")
        how = {"stride": first.stride, "padding": first.padding, "dilation": first.dilation}
        return self._convolve(x, weight, bias, groups=len(self.layers), **how)


class StackedNorm(nn.Module):
    """Batch normalisations of several networks as one over all their channels.

    Args:
        layers: one of each network; their running statistics are kept.
    """

    def __init__(self, layers: Sequence[_BatchNorm]) -> None:
        super().__init__()
        self.layers = list(layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x normalised, shape as given, feature by feature of each network."""
        layers, first = self.layers, self.layers[0]
        flat = x.flatten(1) if isinstance(first, nn.BatchNorm1d) else x
        mean, variance = (
            torch.cat([layer.get_buffer(name) for layer in layers])
            for name in ("running_mean", "running_var")
        )
        weight, bias = _joined(layers, "weight"), _joined(layers, "bias")
        momentum = first.momentum or 0.0
        if isinstance(first, _KERAS_NORMS):
            before = variance.clone()
            out = keras_batch_norm(flat, mean, variance, weight, bias, momentum, first.eps)
            variance = towards_population(before, variance, momentum, flat.numel() // flat.shape[1])
        else:
            out = functional.batch_norm(flat, mean, variance, weight, bias, True, momentum, first.eps)
        with torch.no_grad():
            for layer, own_mean, own_variance in zip(
                layers, mean.chunk(len(layers)), variance.chunk(len(layers)), strict=True
            ):
                layer.get_buffer("running_mean").copy_(own_mean)
                layer.get_buffer("running_var").copy_(own_variance)
                layer.get_buffer("num_batches_tracked").add_(1)
        return out.view(x.shape)


class StackedLinear(nn.Module):
    """Dense layers of several networks as one batched product.

    Args:
        layers: one of each network.
    """

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.layers = list(layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (event, K, n_out) from (event, K, n_in)."""
        by_network = x.transpose(0, 1)  # (K, event, n_in)
        weight = torch.stack([layer.weight for layer in self.layers]).transpose(1, 2)
        if self.layers[0].bias is None:
            return torch.bmm(by_network, weight).transpose(0, 1)
        bias = torch.stack([layer.bias for layer in self.layers])[:, None]
        return torch.baddbmm(bias, by_network, weight).transpose(0, 1)


class StackedFlatten(nn.Module):
    """From images of several networks to flat features of each.

    Args:
        layers: one of each network.
    """

    def __init__(self, layers: Sequence[nn.Flatten]) -> None:
        super().__init__()
        self.n_networks = len(layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (event, K, feature) from (event, K * channel, pixel axes)."""
        by_network = x.view(len(x), self.n_networks, -1, *x.shape[2:])  # (event, K, channel, pixel axes)
        return by_network.flatten(2)


class StackedDropout(nn.Module):
    """Dropout of several networks, each with its own chance and from its own generator.

    Args:
        layers: one of each network.
    """

    def __init__(self, layers: Sequence[ByteDropout]) -> None:
        super().__init__()
        self.layers = list(layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x with values dropped as each network alone would drop them."""
        if not any(layer.n_dropped for layer in self.layers):
            return x
        n_networks = len(self.layers)
        if x.ndim == 3:  # flat features, (event, K, feature)
            masks = [layer.draw((len(x), x.shape[2]), x) for layer in self.layers]
            return x * torch.stack(masks, dim=1)
        n_channels = x.shape[1] // n_networks
        if x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last):
            shape = (len(x), *x.shape[2:], n_channels)  # the order in memory, in which values are drawn
            drawn = torch.cat([layer.draw(shape, x) for layer in self.layers], dim=-1)
            return x * drawn.movedim(-1, 1)
        return x * torch.cat([layer.draw((len(x), n_channels, *x.shape[2:]), x) for layer in self.layers], 1)


#: By type of a layer with weights, draws or a change of shape: what computes it for several networks.
STACKED: dict[type[nn.Module], Callable[[Sequence[Any]], nn.Module]] = {
    **dict.fromkeys(_CONVOLUTIONS, StackedConvolution),
    **dict.fromkeys(_NORMS, StackedNorm),
    nn.Linear: StackedLinear,
    nn.Flatten: StackedFlatten,
    ByteDropout: StackedDropout,
}


def shape_of(network: nn.Module) -> Hashable:
    """Return what networks must share to be computed as one: layers, their sizes and fixed settings.

    Chances of dropout are no part of it; each network keeps its own.

    Args:
        network: of an architecture of `hitlens.models.MODELS`.

    Raises:
        ConfigError: a layer or a module that cannot be computed for several networks at once.

    Examples:
        >>> shape_of(nn.Linear(3, 2)) == shape_of(nn.Linear(3, 2))
        True
        >>> shape_of(nn.Linear(3, 2)) == shape_of(nn.Linear(2, 3))
        False
    """
    kind = type(network)
    if kind in STACKED or kind in BY_CHANNEL:
        return (kind, *_fixed(network))
    if kind not in CONTAINERS or network._parameters or network._buffers:
        raise ConfigError(f"{kind.__name__} cannot be computed for several networks at once.")
    return (kind, *((name, shape_of(child)) for name, child in network.named_children()))


def stack_networks(networks: Sequence[nn.Module]) -> nn.Module:
    """Return a module that computes several networks in training at once.

    It has no weights of its own: it reads those of the networks in every pass, and gradients arrive there.

    Args:
        networks: of one shape, see `shape_of`.

    Raises:
        ConfigError: their shapes differ, or cannot be computed at once.
    """
    if len({shape_of(network) for network in networks}) > 1:
        raise ConfigError("Networks that are computed at once must be of one shape.")
    return _stack(networks)


def join_images(images: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Return the images of several networks, by view, as the stacked network takes them.

    Args:
        images: by view, scaled, shape (event, channel, pixel axes), as many events for each network.

    Examples:
        >>> join_images([{"x": torch.zeros(5, 1, 4, 4)}] * 3)["x"].shape
        torch.Size([5, 3, 4, 4])
    """
    joined = {view: torch.cat([one[view] for one in images], dim=1) for view in images[0]}
    return {view: one.contiguous(memory_format=CHANNELS_LAST[one.ndim]) for view, one in joined.items()}


def _stack(networks: Sequence[nn.Module]) -> nn.Module:
    first = networks[0]
    if type(first) in STACKED:
        return STACKED[type(first)](networks)
    if type(first) in BY_CHANNEL:
        return first
    # Its own forward runs, on stacked layers in place of its own.
    stacked = copy.copy(first)
    stacked._modules = {name: _stack([one._modules[name] for one in networks]) for name in first._modules}  # type: ignore[misc]
    return stacked


def _joined(layers: Sequence[nn.Module], name: str) -> torch.Tensor | None:
    parts = [getattr(layer, name) for layer in layers]
    return None if parts[0] is None else torch.cat(parts)


def _fixed(layer: nn.Module) -> tuple[Hashable, ...]:
    """What a layer's answer depends on beside its weights."""
    if isinstance(layer, _CONVOLUTIONS):
        if layer.groups != 1 or layer.padding_mode != "zeros":
            raise ConfigError("A convolution in groups cannot be computed for several networks at once.")
        how = (layer.stride, layer.padding, layer.dilation, layer.bias is None)
        return (tuple(layer.weight.shape), *how)
    if isinstance(layer, _BatchNorm):
        if not layer.affine or not layer.track_running_stats or layer.momentum is None:
            raise ConfigError("A normalisation without weights or running mean cannot be computed at once.")
        return (layer.num_features, layer.eps, layer.momentum)
    return () if isinstance(layer, ByteDropout) else (repr(layer),)
