"""Quick scores of the validation split, one or two a head, to watch and to choose the best epoch by."""

from __future__ import annotations

import torch

from hitlens.detector import Task
from hitlens.errors import ConfigError
from hitlens.models.matching import match_outputs
from hitlens.models.preprocessing import Preprocessing
from hitlens.train.config import Monitor


def monitored(heads: tuple[Task, ...], monitor: Monitor = "auto") -> tuple[str, str]:
    """Return the name of the score that chooses the best epoch, and "max" or "min".

    Args:
        heads: tasks learnt together.
        monitor: "auto" is the accuracy of a lone classification, and else the loss, in units of the targets'
            spread.

    Raises:
        ConfigError: a score of a class for a task that is not one classification alone.

    Examples:
        >>> energy = Task(name="energy", kind="regression", meaning="", columns=("e",), units=("GeV",))
        >>> monitored((energy,))
        ('val_loss', 'min')
    """
    lone = len(heads) == 1 and heads[0].is_classification
    if monitor == "auto":
        return ("val_accuracy", "max") if lone else ("val_loss", "min")
    if monitor == "loss":
        return "val_loss", "min"
    if not lone:
        raise ConfigError(
            f"train.monitor = {monitor} needs one task with classes. Got {', '.join(h.name for h in heads)}."
        )
    return f"val_{monitor}", "min" if monitor == "balanced_loss" else "max"


def validation_scores(
    head: Task, values: torch.Tensor, target: torch.Tensor, preprocessing: Preprocessing
) -> dict[str, float]:
    """Return accuracies and AUC, or mean absolute error and rms error by unit, after best matching for sets.

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
        right = (called == target).float()
        return {"accuracy": right.mean().item(), **_class_scores(values, target[:, 0].long(), right[:, 0])}
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


def _class_scores(values: torch.Tensor, label: torch.Tensor, right: torch.Tensor) -> dict[str, float]:
    """Balanced accuracy and area under the ROC curve, of several classes the mean of one against the rest.

    They are means over all classes: undefined, so not there, where a class has no event.
    """
    n_classes = max(2, values.shape[1])
    if len(torch.unique(label)) < n_classes:
        return {}
    shares, areas = [], []
    for number in range(n_classes):
        own = label == number
        shares.append(right[own].mean().item())
        score = values[:, 0] if values.shape[1] == 1 else values.double().softmax(dim=1)[:, number]
        if values.shape[1] > 1 or number == 1:
            areas.append(_area(score, own))
    return {"balanced_accuracy": sum(shares) / len(shares), "auc": sum(areas) / len(areas)}


def _area(score: torch.Tensor, own: torch.Tensor) -> float:
    """Chance that an event of the class has a higher score than another; needs one of each."""
    n_own, n_rest = int(own.sum()), int((~own).sum())
    _, inverse, counts = torch.unique(score, return_inverse=True, return_counts=True)
    ranks = counts.cumsum(0).double() - (counts.double() - 1) / 2
    return float((ranks[inverse][own].sum() - n_own * (n_own + 1) / 2) / (n_own * n_rest))
