"""Losses of the heads; those of sets do not depend on the order of the elements."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch.nn import functional

from hitlens.detector import Task

#: Element-wise losses of regression, on targets in units of their spread.
REGRESSION_LOSSES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "huber": lambda pred, true: functional.smooth_l1_loss(pred, true, reduction="none", beta=0.1),
    "mse": lambda pred, true: functional.mse_loss(pred, true, reduction="none"),
    "mae": lambda pred, true: functional.l1_loss(pred, true, reduction="none"),
}

#: Smallest true value a relative error is taken over, in the target's unit.
_LEAST = 1e-3


def event_losses(
    task: Task,
    outputs: torch.Tensor,
    target: torch.Tensor,
    loss: str,
    class_weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the loss of each event, shape (event,).

    Args:
        task: a task with a head of its own.
        outputs: raw outputs of the head, shape (event, n_outputs).
        target: class index (event, 1), or targets in units of their spread (event, n_outputs).
        loss: a key of `REGRESSION_LOSSES`.
        class_weights: weight by class, shape (class,); classification only.
    """
    if task.kind == "binary":
        values = functional.binary_cross_entropy_with_logits(outputs, target, reduction="none")[:, 0]
        return values if class_weights is None else values * class_weights[target[:, 0].long()]
    if task.kind == "multiclass":
        return functional.cross_entropy(outputs, target[:, 0].long(), weight=class_weights, reduction="none")
    if task.kind == "set_regression":
        return set_loss(outputs, target, len(task.elements), loss)
    return REGRESSION_LOSSES[loss](outputs, target).mean(dim=1)


def class_mean_loss(task: Task, outputs: torch.Tensor, target: torch.Tensor) -> float:
    """Return the mean over the classes of the mean loss of each, NaN where a class has no event.

    Args:
        task: a classification.
        outputs: class scores, shape (event, n_outputs).
        target: class index, shape (event, 1).

    Examples:
        >>> task = Task(name="many", kind="binary", meaning="", target="n > 1", class_names=("one", "many"))
        >>> certain = torch.tensor([[-99.0], [-99.0], [-99.0], [-2.0]])
        >>> round(class_mean_loss(task, certain, torch.tensor([[0.0], [0.0], [0.0], [1.0]])), 4)
        1.0635
    """
    losses = event_losses(task, outputs, target, "huber").double()
    by_class = [losses[target[:, 0] == number].mean() for number in range(len(task.class_names))]
    return torch.stack(by_class).mean().item()


def relative_loss(values: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Return the mean absolute error over the true value, shape (event,).

    Args:
        values: predictions in physical units, shape (event, n_outputs).
        true: as values; where it is 0 the error is taken over the smallest number that is not.

    Examples:
        >>> relative_loss(torch.tensor([[3.0], [0.5]]), torch.tensor([[2.0], [1.0]])).tolist()
        [0.5, 0.5]
    """
    return ((values - true).abs() / true.abs().clamp(min=_LEAST)).mean(dim=1)


def set_loss(outputs: torch.Tensor, target: torch.Tensor, n_elements: int, loss: str) -> torch.Tensor:
    """Return the loss under the best assignment of outputs to elements, shape (event,).

    Args:
        outputs: elements one after the other, shape (event, n_elements * n_columns).
        target: as outputs, in any order of the elements.
        n_elements: members of the set.
        loss: a key of `REGRESSION_LOSSES`.

    Examples:
        >>> one = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
        >>> set_loss(one, one.roll(2, dims=1), 2, "mse").item()
        0.0
    """
    shape = (len(outputs), n_elements, -1)
    outputs, target = outputs.view(shape), target.view(shape)
    orders = list(itertools.permutations(range(n_elements)))
    costs = [REGRESSION_LOSSES[loss](outputs, target[:, order]).flatten(1).mean(dim=1) for order in orders]
    return torch.stack(costs).amin(dim=0)
