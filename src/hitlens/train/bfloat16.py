"""Whether a trained model tolerates bfloat16: measured on events it was not trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hitlens.datasets.targets import encode_target
from hitlens.detector import Task
from hitlens.events import Events
from hitlens.models.matching import match_outputs
from hitlens.models.preprocessing import Preprocessing
from hitlens.models.trained import TrainedModel

#: Share of a model's own rms error that bfloat16 may change its answers by, rms; a score by so much anyhow.
TOLERANCE, TOLERANCE_OF_SCORE = 0.02, 1e-3


def tolerates_bfloat16(model: TrainedModel, events: Events) -> bool:
    """Return whether every answer of a model is in bfloat16 what it is in float32, compared to its errors.

    Args:
        model: a trained model.
        events: with truth; some of the validation split.
    """
    exact = model.answers(model.outputs(events))
    fast = model.answers(model.outputs(events, bfloat16=True))
    for head in model.card.heads:
        target = encode_target(events.truth, head)
        rows = target.defined
        if not rows.any():
            continue
        truth = target.values[rows]
        of_head = exact[head.name][rows], fast[head.name][rows]
        changed, error = rms_change(head, model.card.preprocessing, *of_head, truth)
        least = TOLERANCE_OF_SCORE if head.is_classification else 0.0
        if not (changed <= np.maximum(TOLERANCE * error, least)).all():
            return False
    return True


def rms_change(
    head: Task,
    preprocessing: Preprocessing,
    exact: NDArray[Any],
    fast: NDArray[Any],
    truth: NDArray[Any],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return rms difference of two answers and rms error of the first, by column; members of a set matched.

    Args:
        head: the task.
        preprocessing: gives the spread that weighs columns when a set is matched.
        exact: scores (event, class) or values (event, n_outputs).
        fast: likewise, less precise.
        truth: class index (event, 1) or true values (event, n_outputs).
    """
    if head.is_classification:
        truth = truth if head.kind == "binary" else np.eye(exact.shape[1])[truth[:, 0].astype(int)]
    elif head.kind == "set_regression":
        spread = torch.tensor(preprocessing.targets[head.name].spread, dtype=torch.float64)
        n_elements = len(head.elements)
        ordered = match_outputs(
            torch.from_numpy(exact).double(), torch.from_numpy(truth).double(), n_elements, spread
        )
        fast = match_outputs(torch.from_numpy(fast).double(), ordered, n_elements, spread).numpy()
        exact = ordered.numpy()
    return _rms(fast - exact), _rms(exact - truth)


def _rms(values: NDArray[Any]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.sqrt(np.square(values, dtype=np.float64).mean(axis=0))
    return found
