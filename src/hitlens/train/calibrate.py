"""Temperature scaling: one number a head that makes its scores probabilities.

Source: C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import minimize_scalar

from hitlens.datasets.targets import encode_target
from hitlens.detector import Task
from hitlens.events import EventSource
from hitlens.models.trained import TrainedModel

#: Range searched, as powers of ten.
_LOW, _HIGH = -1.0, 1.0

#: Events predicted at a time; a multiple of the batches of a prediction, which so stay what they are.
_BLOCK = 16384


def fit_temperature(
    model: TrainedModel, validation: EventSource, heads: Sequence[Task], *, bfloat16: bool = False
) -> dict[str, float]:
    """Return for each head the temperature with the least log loss on the validation split.

    Args:
        model: with temperatures of 1.
        validation: events of the validation split, in memory or in their files.
        heads: heads that classify.
        bfloat16: as the predictions will be computed, see `TrainedModel.predict`.
    """
    parts = [model.predict(block, bfloat16=bfloat16) for block in validation.blocks(_BLOCK)]
    found = {}
    for head in heads:
        target = encode_target(validation.truth, head)
        answers = np.concatenate([part[head.name] for part in parts])
        scores = torch.from_numpy(answers[target.defined]).double().clamp(1e-12, 1 - 1e-12)
        labels = torch.from_numpy(target.values[target.defined, 0]).double()
        raw = torch.logit(scores[:, 0]) if head.kind == "binary" else scores.log()
        found[head.name] = _best_temperature(raw, labels)
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
