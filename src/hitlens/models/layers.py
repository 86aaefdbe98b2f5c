"""The layers of a network in the order they compute, what each puts out and how many numbers it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class LayerRow:
    """One layer.

    Attributes:
        name: within the network, ``tower.conv``.
        kind: its class.
        output_shape: of one event; None for a layer that this input does not pass.
        n_parameters: all numbers it holds, running statistics of a normalisation among them.
        n_trainable: those that are trained.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...] | None
    n_parameters: int
    n_trainable: int


@dataclass(frozen=True)
class LayerTable:
    """The layers of a network.

    Attributes:
        rows: in the order in which they first compute.
    """

    rows: tuple[LayerRow, ...]

    @property
    def n_parameters(self) -> int:
        """All numbers the network holds, as Keras counts them: with the running statistics."""
        return sum(row.n_parameters for row in self.rows)

    @property
    def n_trainable(self) -> int:
        """Numbers that are trained."""
        return sum(row.n_trainable for row in self.rows)


def layer_table(network: nn.Module, images: Mapping[str, torch.Tensor]) -> LayerTable:
    """Return the layers of a network.

    Args:
        network: is left as it is.
        images: input of one event by view, shape (1, channel, pixel axes).

    Examples:
        >>> class Demo(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.dense = nn.Linear(4, 3)
        ...         self.norm = nn.BatchNorm1d(3)
        ...     def forward(self, images):
        ...         return self.norm(self.dense(images["x"]))
        >>> table = layer_table(Demo(), {"x": torch.zeros(1, 4)})
        >>> [(row.name, row.output_shape, row.n_parameters, row.n_trainable) for row in table.rows]
        [('dense', (3,), 15, 15), ('norm', (3,), 12, 6)]
        >>> table.n_parameters, table.n_trainable
        (27, 21)
    """
    named = {layer: name for name, layer in network.named_modules() if _is_layer(layer)}
    shapes: dict[nn.Module, tuple[int, ...] | None] = {}

    def note(layer: nn.Module, _: object, output: object) -> None:
        shapes.setdefault(layer, tuple(output.shape[1:]) if isinstance(output, torch.Tensor) else None)

    handles = [layer.register_forward_hook(note) for layer in named]
    was_training = network.training
    try:
        with torch.no_grad():
            network.eval()(dict(images))
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    rows = [_row(named[layer], layer, shape) for layer, shape in shapes.items()]
    rows += [_row(name, layer, None) for layer, name in named.items() if layer not in shapes]
    return LayerTable(tuple(rows))


def _is_layer(module: nn.Module) -> bool:
    """Whether a module computes something of its own: it has no parts, or weights beside them."""
    return not list(module.children()) or bool(module._parameters)


def _row(name: str, layer: nn.Module, shape: tuple[int, ...] | None) -> LayerRow:
    weights = list(layer.parameters(recurse=False))
    statistics = [b for key, b in layer.named_buffers(recurse=False) if key.startswith("running_")]
    return LayerRow(
        name or "network",
        type(layer).__name__,
        shape,
        sum(one.numel() for one in (*weights, *statistics)),
        sum(one.numel() for one in weights if one.requires_grad),
    )
