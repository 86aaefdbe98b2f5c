"""From raw pixels to a network and from its raw outputs to physics: constants that travel with the model."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from hitlens.datasets.regions import Region
from hitlens.datasets.transforms import Scaling
from hitlens.detector import Task
from hitlens.errors import DataError

#: How errors of a regression are measured: as they are, or relative to the target.
TargetCurve = Literal["linear", "log"]

#: Channels last in memory, by number of axes of a batch or of weights: flat views and volumes.
CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}

#: How the raw outputs of several classes become their shares.
ClassScores = Literal["softmax", "sigmoid"]

#: In what units a regression is learnt.
TargetUnits = Literal["spread", "maximum", "physical"]

#: Keras keeps class shares this far from 0 and 1 before it takes their logarithm.
_KERAS_EPSILON = 1e-7

#: Keeps the logarithm of targets without a meaning finite; they have no weight.
_LEAST = 1e-30


class TargetScaling(BaseModel):
    """Regression targets in units of their spread over the training split.

    ``(target - mean) / spread``, or ``(log(target) - mean) / spread`` on the curve "log".

    Attributes:
        mean: by output of the head, on the curve.
        spread: by output of the head, on the curve.
        curve: "log" weighs errors relative to the target; the targets must be above 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: tuple[float, ...]
    spread: tuple[float, ...]
    curve: TargetCurve = "linear"


class Preprocessing(BaseModel):
    """Constants fixed on the training split.

    Attributes:
        scalings: by view, one an input channel.
        targets: by head; heads that classify have none.
        regions: part and coarseness of each view the network is shown, by view.
        shares: of several classes: "softmax" of the raw outputs, or a "sigmoid" of each, divided by the sum.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scalings: dict[str, tuple[Scaling, ...]]
    targets: dict[str, TargetScaling]
    regions: dict[str, Region] = {}
    shares: ClassScores = "softmax"

    @property
    def n_channels(self) -> int:
        """Input channels of each view."""
        return len(next(iter(self.scalings.values())))

    def images(self, view: str, pixels: torch.Tensor) -> torch.Tensor:
        """Return network input (event, channel, row, col), channels last in memory, from raw pixels."""
        channels = torch.stack([scaling(pixels) for scaling in self.scalings[view]], dim=1)
        return channels.contiguous(memory_format=CHANNELS_LAST[channels.ndim])

    def scale_target(self, head: Task, values: torch.Tensor) -> torch.Tensor:
        """Return targets in units of their spread, float32; class indices unchanged."""
        if head.is_classification:
            return values
        values = values.double()  # the difference to the mean, not the target, is rounded to float32
        mean, spread = self._constants(head, values)
        if self.targets[head.name].curve == "log":
            values = values.clamp(min=_LEAST).log()
        return ((values - mean) / spread).float()

    def unscale_output(self, head: Task, outputs: torch.Tensor) -> torch.Tensor:
        """Return outputs of a regression in physical units, float64; class scores as `class_scores`."""
        if head.is_classification:
            return self.class_scores(head, outputs)
        mean, spread = self._constants(head, outputs.double())
        values = outputs.double() * spread + mean
        return values.exp() if self.targets[head.name].curve == "log" else values

    def class_scores(self, head: Task, outputs: torch.Tensor) -> torch.Tensor:
        """Return scores of several classes whose softmax are their shares; all other outputs unchanged."""
        if head.kind != "multiclass" or self.shares == "softmax":
            return outputs
        return sigmoid_scores(outputs)

    def _constants(self, head: Task, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scaling = self.targets[head.name]
        return like.new_tensor(scaling.mean), like.new_tensor(scaling.spread)


def fit_target_scaling(
    head: Task, values: torch.Tensor, curve: TargetCurve = "linear", units: TargetUnits = "spread"
) -> TargetScaling:
    """Fix a target scaling on the training events; elements of a set share their constants.

    Args:
        head: a regression.
        values: targets of the training events where they are defined, shape (event, n_outputs).
        curve: on which errors are measured.
        units: "spread" gives mean 0 and deviation 1, "maximum" divides by the largest value, "physical"
            leaves targets as they are.

    Raises:
        DataError: a target on the curve "log" that is not above 0, or a largest value that is not.
    """
    values = values.double()
    if curve == "log":
        if not (values > 0).all():
            raise DataError(
                f"model.target_curve: targets of '{head.name}' must be above 0 for the curve 'log'. "
                f"The training split has {values.min().item():g}."
            )
        values = values.log()
    n_elements = max(1, len(head.elements))
    columns = values.reshape(-1, values.shape[1] // n_elements)  # (event * element, column)
    mean, spread = _target_constants(head, columns, units)
    safe = torch.where(spread > 0, spread, torch.ones_like(spread))
    constants = (tuple(mean.tolist()) * n_elements, tuple(safe.tolist()) * n_elements)
    return TargetScaling(mean=constants[0], spread=constants[1], curve=curve)


def _target_constants(
    head: Task, columns: torch.Tensor, units: TargetUnits
) -> tuple[torch.Tensor, torch.Tensor]:
    """What is taken off each target column, and what it is divided by."""
    zeros = torch.zeros_like(columns[0])
    if units == "physical":
        return zeros, torch.ones_like(zeros)
    if units == "maximum":
        largest = columns.amax(dim=0)
        if not (largest > 0).all():
            raise DataError(
                f"model.target_units: the largest target of '{head.name}' must be above 0 to divide by it. "
                f"The training split has {largest.min().item():g}."
            )
        return zeros, largest
    return columns.mean(dim=0), columns.std(dim=0, correction=0)


def sigmoid_scores(outputs: torch.Tensor) -> torch.Tensor:
    """Return the logarithms of the classes' sigmoids divided by their sum, kept from 0 and 1 as by Keras.

    The cross-entropy of them is what Keras' categorical cross-entropy makes of sigmoid outputs.

    Args:
        outputs: raw, shape (event, class).

    Examples:
        >>> sigmoid_scores(torch.tensor([[0.0, 0.0, -99.0]])).exp().round(decimals=7).tolist()[0]
        [0.5, 0.5, 1.0000000116860974e-07]
    """
    logs = nn.functional.logsigmoid(outputs.float())
    return logs.log_softmax(dim=1).clamp(math.log(_KERAS_EPSILON), math.log1p(-_KERAS_EPSILON))


def in_fast_layout(network: nn.Module) -> nn.Module:
    """Return the network, the weights of its convolutions channels last in memory."""
    for weights in network.parameters():
        if weights.ndim in CHANNELS_LAST:
            weights.data = weights.data.contiguous(memory_format=CHANNELS_LAST[weights.ndim])
    return network


def split_outputs(heads: tuple[Task, ...], outputs: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the raw outputs of each head from those of the whole network, shape (event, n_outputs) each."""
    parts = torch.split(outputs, [head.n_outputs for head in heads], dim=1)
    return dict(zip((head.name for head in heads), parts, strict=True))
