"""The training step: symmetry, scaling, network, losses; whole batches on the device."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytorch_lightning as lightning
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import nn

from hitlens.datasets.augment import Augmentation
from hitlens.datasets.resident import Batch
from hitlens.detector import Task
from hitlens.models.preprocessing import Preprocessing, in_fast_layout, split_outputs
from hitlens.train.config import TrainConfig
from hitlens.train.losses import event_losses, relative_loss
from hitlens.train.scores import validation_scores


class TrainingModule(lightning.LightningModule):
    """A network with all that one step of training needs; data stay outside.

    Args:
        network: raw outputs of all heads from scaled images.
        heads: tasks learnt together, in the order of the network's outputs.
        preprocessing: constants fixed on the training split.
        config: settings of training.
        augmentation: symmetries to draw from; None for none.
        class_weights: by head that classifies, shape (class,).
    """

    def __init__(
        self,
        network: nn.Module,
        heads: tuple[Task, ...],
        preprocessing: Preprocessing,
        config: TrainConfig,
        augmentation: Augmentation | None = None,
        class_weights: dict[str, torch.Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.network = in_fast_layout(network)
        self.heads = heads
        self.preprocessing = preprocessing
        self.config = config
        self.augmentation = augmentation
        self.class_weights = class_weights or {}
        #: Last loss of each event by its position in the resident data; NaN before it was drawn.
        self.last_losses = torch.empty(0)
        self._train_losses: list[torch.Tensor] = []
        self._validation: list[tuple[Batch, torch.Tensor]] = []
        #: Learned weights: the loss of a head counts exp(-s), and s is added.
        self.log_variances = nn.Parameter(torch.zeros(len(heads) if config.task_weights == "learned" else 0))

    def on_train_epoch_start(self) -> None:
        """Seed dropout and augmentation by epoch: a resumed run draws what an unbroken one would."""
        torch.manual_seed(self.config.seed * 1_000_003 + self.current_epoch)
        self._train_losses.clear()

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """Return the mean loss of a batch."""
        images, targets = batch.images, batch.targets
        if self.augmentation is not None:
            number = self.augmentation.draw(len(batch), self.device)
            images = {view: self.augmentation.images(view, pixels, number) for view, pixels in images.items()}
            targets = {
                head.name: self.augmentation.target(head, targets[head.name], number) for head in self.heads
            }
        outputs = self.network(self._scaled(images))
        losses, per_event = self._losses(outputs, targets, batch.defined, batch.weights)
        loss = self._weighted(losses)
        self._train_losses.append(loss.detach())
        if self.config.hard_sampling:
            self._remember(batch.rows, per_event.detach())
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Keep the raw outputs of a batch until the epoch's end."""
        outputs = self.network(self._scaled(batch.images)).float()
        self._validation.append((replace(batch, images={}), outputs))

    def on_validation_epoch_end(self) -> None:
        """Log the loss and the scores of every head over the whole validation split."""
        outputs = torch.cat([part for _, part in self._validation])
        targets = {h.name: torch.cat([b.targets[h.name] for b, _ in self._validation]) for h in self.heads}
        defined = {h.name: torch.cat([b.defined[h.name] for b, _ in self._validation]) for h in self.heads}
        self._validation.clear()
        losses, _ = self._losses(outputs, targets, defined, outputs.new_ones(len(outputs)))
        # Learned weights change from epoch to epoch; the score that chooses the best one must not.
        scores = {"val_loss": (losses * self._fixed_weights(losses)).sum().item()}
        for head, raw in zip(self.heads, split_outputs(self.heads, outputs).values(), strict=True):
            rows = defined[head.name]
            values = self.preprocessing.unscale_output(head, raw)[rows]
            found = validation_scores(head, values, targets[head.name][rows], self.preprocessing)
            prefix = f"val_{head.name}_" if len(self.heads) > 1 else "val_"
            scores |= {prefix + name: value for name, value in found.items()}
        self.log_dict(scores)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Limit the gradient's norm; Lightning's own clipping refuses fused optimisers."""
        if self.config.gradient_clip:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.gradient_clip)

    @property
    def train_loss(self) -> float:
        """Mean loss over the batches of this epoch so far."""
        return torch.stack(self._train_losses).float().mean().item()

    @property
    def task_weights(self) -> dict[str, float]:
        """Weight of each head in the loss, as given or as learnt so far."""
        weights = self._fixed_weights(torch.empty(0))
        if self.config.task_weights == "learned":
            weights = (-self.log_variances.detach()).exp()
        return {
            head.name: round(weight, 4) for head, weight in zip(self.heads, weights.tolist(), strict=True)
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what the next epoch's draws depend on."""
        checkpoint["last_losses"] = self.last_losses

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore what the next epoch's draws depend on."""
        self.last_losses = checkpoint["last_losses"]

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return the optimiser and its schedule, a factor of the highest rate by step."""
        kind = torch.optim.AdamW if self.config.optimizer == "adamw" else torch.optim.Adam
        decayed = [p for p in self.network.parameters() if p.ndim > 1]
        plain = [p for p in self.network.parameters() if p.ndim <= 1]
        plain += [self.log_variances] if len(self.log_variances) else []
        groups = [
            {"params": decayed, "weight_decay": self.config.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        optimizer = kind(groups, lr=self.config.learning_rate, fused=True)
        n_steps = int(self.trainer.estimated_stepping_batches)
        n_warmup = round(n_steps * min(0.25, self.config.warmup_epochs / self.config.epochs))

        def factor(step: int) -> float:
            return rate_factor(step, n_steps, n_warmup, self.config.schedule)

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _scaled(self, images: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {view: self.preprocessing.images(view, pixels) for view, pixels in images.items()}

    def _remember(self, rows: torch.Tensor, losses: torch.Tensor) -> None:
        highest = int(rows.max()) + 1
        if len(self.last_losses) < highest:
            unknown = losses.new_full((highest - len(self.last_losses),), torch.nan)
            self.last_losses = torch.cat([self.last_losses.to(losses), unknown])
        self.last_losses[rows] = losses

    def _losses(
        self,
        outputs: torch.Tensor,
        targets: dict[str, torch.Tensor],
        defined: dict[str, torch.Tensor],
        weights: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Weighted mean loss of each head where it is defined, shape (head,); and the sum by event."""
        means, per_event = [], outputs.new_zeros(len(outputs))
        for head, raw in zip(self.heads, split_outputs(self.heads, outputs).values(), strict=True):
            losses = self._head_losses(head, raw, targets[head.name])
            mask = defined[head.name].to(losses.dtype)
            means.append((losses * mask * weights).sum() / (mask * weights).sum().clamp(min=1e-6))
            per_event = per_event + losses * mask
        return torch.stack(means), per_event

    def _head_losses(self, head: Task, raw: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Loss of each event for one head, shape (event,)."""
        loss = (
            self.config.loss
            if isinstance(self.config.loss, str)
            else self.config.loss.get(head.name, "huber")
        )
        if loss == "relative" and not head.is_classification:
            return relative_loss(self.preprocessing.unscale_output(head, raw), target)
        scaled = self.preprocessing.scale_target(head, target)
        return event_losses(head, raw, scaled, loss, self.class_weights.get(head.name))

    def _fixed_weights(self, losses: torch.Tensor) -> torch.Tensor:
        """Weight of each head in the loss, 1 where none is given, shape (head,)."""
        given = self.config.task_weights
        named = {} if isinstance(given, str) else given
        return losses.new_tensor([named.get(head.name, 1.0) for head in self.heads])

    def _weighted(self, losses: torch.Tensor) -> torch.Tensor:
        """Sum of the heads' losses as training weighs them.

        Learned weights after A. Kendall, Y. Gal and R. Cipolla, "Multi-Task Learning Using Uncertainty to
        Weigh Losses", CVPR 2018.
        """
        if self.config.task_weights == "learned":
            return (losses * (-self.log_variances).exp() + self.log_variances).sum()
        return (losses * self._fixed_weights(losses)).sum()


def rate_factor(step: int, n_steps: int, n_warmup: int, schedule: str) -> float:
    """Return the learning rate at a step in units of the highest.

    Examples:
        >>> [round(rate_factor(step, 10, 2, "cosine"), 2) for step in (0, 1, 2, 6, 9)]
        [0.5, 1.0, 1.0, 0.5, 0.04]
    """
    if step < n_warmup:
        return (step + 1) / n_warmup
    if schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - n_warmup) / max(1, n_steps - n_warmup))))
