"""Temperature scaling: one number a head that makes its scores probabilities.

Source: C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from hitlens.datasets.targets import encode_target
from hitlens.detector import Task

#: Range searched, as powers of ten.
_LOW, _HIGH = -1.0, 1.0


def fit_temperature(
    outputs: Mapping[str, NDArray[Any]], truth: pl.DataFrame, heads: Sequence[Task]
) -> dict[str, float]:
    """Return for each head the temperature with the least log loss on the validation split.

    Args:
        outputs: of `hitlens.models.trained.TrainedModel.outputs` for its events.
        truth: of the same events.
        heads: heads that classify.

    Examples:
        >>> task = Task(name="many", kind="binary", meaning="", target="n > 1", class_names=("one", "many"))
        >>> truth = pl.DataFrame({"n": [1, 1, 1, 2, 2, 2]})
        >>> overconfident = np.array([[-6.0], [-6.0], [6.0], [-6.0], [6.0], [6.0]])
        >>> round(fit_temperature({"many": overconfident}, truth, [task])["many"], 2)
        8.66
    """
    found = {}
    for head in heads:
        target = encode_target(truth, head)
        raw = torch.from_numpy(outputs[head.name][target.defined]).double()
        labels = torch.from_numpy(target.values[target.defined, 0]).double()
        found[head.name] = _best_temperature(raw[:, 0] if head.kind == "binary" else raw, labels)
    return found


def _best_temperature(raw: torch.Tensor, labels: torch.Tensor) -> float:
    """Minimise the log loss of raw / T; raw is (event,) for two classes, (event, class) for more."""

    def loss(power: float) -> float:
        scaled = raw / 10**power
        if raw.ndim == 1:
            return float(torch.nn.functional.binary_cross_entropy_with_logits(scaled, labels))
        return float(torch.nn.functional.cross_entropy(scaled, labels.long()))

    best = minimize_scalar(loss, bounds=(_LOW, _HIGH), method="bounded")
    return float(np.round(10**best.x, 6))
