"""Quick scores of the validation split, one or two a head, to watch and to choose the best epoch by."""

from __future__ import annotations

import torch

from hitlens.detector import Task
from hitlens.models.matching import match_outputs
from hitlens.models.preprocessing import Preprocessing


def monitored(heads: tuple[Task, ...]) -> tuple[str, str]:
    """Return the name of the score that chooses the best epoch, and "max" or "min".

    Accuracy for a lone classification; the loss, in units of the targets' spread, for all else.
    """
    return ("val_accuracy", "max") if len(heads) == 1 and heads[0].is_classification else ("val_loss", "min")


def validation_scores(
    head: Task, values: torch.Tensor, target: torch.Tensor, preprocessing: Preprocessing
) -> dict[str, float]:
    """Return accuracy, or mean absolute error and rms error by unit, after best matching for sets.

    Args:
        head: the task.
        values: raw class scores, or predictions in physical units, shape (event, n_outputs).
        target: class index (event, 1) or true values (event, n_outputs).
        preprocessing: gives the spread that weighs columns when a set is matched.
    """
    if len(values) == 0:
        return {}
    if head.is_classification:
        called = (values > 0).float() if head.kind == "binary" else values.argmax(dim=1, keepdim=True).float()
        return {"accuracy": (called == target).float().mean().item()}
    if head.kind == "set_regression":
        spread = values.new_tensor(preprocessing.targets[head.name].spread)
        values = match_outputs(values, target, len(head.elements), spread)
    residual = (values - target).double()
    units = list(head.units) * max(1, len(head.elements))
    scores = {}
    for unit in dict.fromkeys(units):
        part = residual[:, [position for position, other in enumerate(units) if other == unit]]
        scores[f"mae_{unit.lower()}"] = part.abs().mean().item()
        scores[f"rmse_{unit.lower()}"] = part.square().mean().sqrt().item()
    return scores
