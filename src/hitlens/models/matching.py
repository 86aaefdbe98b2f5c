"""Unordered outputs brought into the order that fits a reference best, on tensors."""

from __future__ import annotations

import itertools

import torch


def match_outputs(
    values: torch.Tensor, reference: torch.Tensor, n_elements: int, spread: torch.Tensor
) -> torch.Tensor:
    """Return values with the elements of each event in the order that fits the reference best.

    Args:
        values: elements one after the other, shape (event, n_elements * n_columns).
        reference: likewise.
        n_elements: members of the set.
        spread: scale of each column, shape (n_elements * n_columns,).

    Examples:
        >>> match_outputs(torch.tensor([[1.0, 5.0]]), torch.tensor([[4.0, 2.0]]), 2, torch.ones(2)).tolist()
        [[5.0, 1.0]]
    """
    shape = (len(values), n_elements, -1)
    elements, scaled = values.view(shape), (values / spread).view(shape)
    wanted = (reference / spread).view(shape)
    orders = torch.tensor(list(itertools.permutations(range(n_elements))), device=values.device)
    costs = torch.stack([(scaled[:, order] - wanted).square().flatten(1).sum(dim=1) for order in orders])
    best = orders[costs.argmin(dim=0)]  # (event, n_elements)
    return elements.gather(1, best[:, :, None].expand_as(elements)).reshape(values.shape)


def align_outputs(answers: torch.Tensor, n_elements: int, spread: torch.Tensor) -> torch.Tensor:
    """Return the mean of several answers to the same events, each matched to the most central of them.

    The most central answer has the least distance to all others; unlike the first, it does not depend on the
    order of the answers, so the mean over a group of symmetries is symmetric itself.

    Args:
        answers: shape (answer, event, n_elements * n_columns).
        n_elements: members of the set.
        spread: scale of each column, shape (n_elements * n_columns,).

    Examples:
        >>> answers = torch.tensor([[[1.0, 5.0]], [[5.2, 1.2]], [[0.8, 4.8]]])
        >>> align_outputs(answers, 2, torch.ones(2)).round(decimals=2).tolist()
        [[1.0, 5.0]]
    """
    best_cost = answers.new_full((answers.shape[1],), torch.inf)
    best_mean = answers[0]
    for reference in answers:
        matched = torch.stack([match_outputs(answer, reference, n_elements, spread) for answer in answers])
        cost = ((matched - reference) / spread).square().sum(dim=(0, 2))  # (event,)
        closer = cost < best_cost
        best_mean = torch.where(closer[:, None], matched.mean(dim=0), best_mean)
        best_cost = torch.where(closer, cost, best_cost)
    return best_mean
