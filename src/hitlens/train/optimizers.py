"""Optimisers by name; those of the seed notebooks step as Keras does, which is not quite what torch does."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from torch.optim import Adam, AdamW, Optimizer

from hitlens.train.config import TrainConfig

#: Keras' default for all its optimisers; torch's is 1e-8.
KERAS_EPSILON = 1e-7


class KerasAdam(Adam):
    """Adam in Keras' form: the small number is added before the second moment is corrected for its start.

    D. P. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, call it "epsilon hat",
    just before section 2.1. In torch's form it is ``epsilon / sqrt(1 - beta2^t)`` at step t.

    Args:
        params: tensors or groups of them.
        lr: learning rate.
    """

    def __init__(self, params: Any, lr: float = 1e-3) -> None:
        super().__init__(params, lr=lr, eps=KERAS_EPSILON, fused=True)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step; a closure computes the gradients first and returns the loss."""
        n_before = max((int(state["step"]) for state in self.state.values()), default=0)
        for group in self.param_groups:
            group["eps"] = KERAS_EPSILON / math.sqrt(1 - group["betas"][1] ** (n_before + 1))
        return super().step(closure)


class KerasRMSprop(Optimizer):
    """RMSprop in Keras' form: the small number stands under the root, beside the running mean square.

    Args:
        params: tensors or groups of them.
        lr: learning rate.
        rho: share kept a step of the running mean of the squared gradient.
        epsilon: added to that mean.

    Examples:
        >>> weight = torch.tensor([10.0], requires_grad=True)
        >>> optimizer = KerasRMSprop([weight], lr=0.1)
        >>> (weight**2 / 2).backward()
        >>> optimizer.step()
        >>> round(weight.item(), 6)
        9.683772
    """

    def __init__(
        self, params: Any, lr: float = 1e-3, rho: float = 0.9, epsilon: float = KERAS_EPSILON
    ) -> None:
        super().__init__(params, {"lr": lr, "rho": rho, "epsilon": epsilon, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step; a closure computes the gradients first and returns the loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            gradients = [cast(torch.Tensor, weight.grad) for weight in weights]
            if group["weight_decay"]:
                gradients = list(torch._foreach_add(gradients, weights, alpha=group["weight_decay"]))
            squares = [self._mean_square(weight) for weight in weights]
            torch._foreach_mul_(squares, group["rho"])
            torch._foreach_addcmul_(squares, gradients, gradients, value=1 - group["rho"])
            roots = torch._foreach_add(squares, group["epsilon"])
            torch._foreach_sqrt_(roots)
            torch._foreach_addcdiv_(weights, gradients, roots, value=-group["lr"])
        return loss

    def _mean_square(self, weight: torch.Tensor) -> torch.Tensor:
        state = self.state[weight]
        if not state:
            state["mean_square"] = torch.zeros_like(weight, memory_format=torch.preserve_format)
        square: torch.Tensor = state["mean_square"]
        return square


def make_optimizer(config: TrainConfig, groups: list[dict[str, Any]]) -> Optimizer:
    """Return the optimiser that the settings name.

    Args:
        config: settings of training.
        groups: of weights, each with its own weight decay.
    """
    if config.optimizer == "rmsprop":
        return KerasRMSprop(groups, lr=config.learning_rate)
    if config.optimizer == "keras_adam":
        return KerasAdam(groups, lr=config.learning_rate)
    kind = AdamW if config.optimizer == "adamw" else Adam
    return kind(groups, lr=config.learning_rate, fused=True)
