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
