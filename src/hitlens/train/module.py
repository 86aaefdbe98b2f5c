"""The training step: symmetry, scaling, network, losses; whole batches on the device."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Protocol

import pytorch_lightning as lightning
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import nn

from hitlens.datasets.augment import Augmentation
from hitlens.datasets.resident import Batch
from hitlens.datasets.share import Share
from hitlens.detector import Task
from hitlens.models.dropout import ByteDropout
from hitlens.models.preprocessing import Preprocessing, in_fast_layout, split_outputs
from hitlens.train.config import TrainConfig
from hitlens.train.distributed import connected, gathered, said_by_first, summed
from hitlens.train.losses import class_mean_loss, event_losses, relative_loss
from hitlens.train.optimizers import make_optimizer
from hitlens.train.scores import validation_scores


class Seat(Protocol):
    """The place of one model among several that are trained at once, see `hitlens.train.bundle`."""

    def forward(self, network: nn.Module, images: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return raw outputs of the network in training, shape (event, n_outputs)."""

    def backward(self) -> None:
        """Finish the gradients of the network, once those of its outputs are known."""

    def leave(self) -> None:
        """Let the others go on alone: this model's training is over."""


class TrainingModule(lightning.LightningModule):
    """A network with all that one step of training needs; data stay outside.

    Several processes may share each batch. All draw for the whole of it and sum over all of it, so that each
    step is that of one process to rounding.

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
        #: Numbers of epochs it is trained to, one after the other: the schedule begins anew after each.
        self.stages: tuple[int, ...] = (config.epochs,)
        #: Its place among models that are trained at once; None for a model alone.
        self.seat: Seat | None = None
        #: Last loss of each event by its position in the resident data; NaN before it was drawn.
        self.last_losses = torch.empty(0)
        #: Of each step the loss, and by head that classifies the events called right and those with a class.
        self._train_losses: list[torch.Tensor] = []
        self._draws = torch.default_generator
        #: Rows and losses of each share of this epoch, where there are several processes.
        self._shown: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._validation: list[tuple[Batch, torch.Tensor]] = []
        #: Learned weights: the loss of a head counts exp(-s), and s is added.
        learned = config.task_weights == "learned"
        self.log_variances = nn.Parameter(torch.zeros(len(heads) if learned else 0), requires_grad=learned)

    def on_train_start(self) -> None:
        """Take the rate of a stage that begins: a checkpoint holds that of the one that has ended."""
        for configured in self.trainer.lr_scheduler_configs if len(self.stages) > 1 else ():
            schedule = configured.scheduler
            if isinstance(schedule, torch.optim.lr_scheduler.LambdaLR):
                rates = zip(schedule.base_lrs, schedule.lr_lambdas, strict=True)
                for group, (rate, factor) in zip(schedule.optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate * factor(schedule.last_epoch)

    def on_train_epoch_start(self) -> None:
        """Seed dropout and augmentation by epoch: a resumed run draws what an unbroken one would.

        Each model has a generator of its own, so that those trained beside it change nothing.
        """
        self.seed_draws(self.current_epoch)
        self._train_losses.clear()

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """Return the mean loss of a batch; of a share, what its mean over the processes is that of."""
        share = batch.share or Share(0, len(batch), len(batch))
        images, targets, defined = batch.images, batch.targets, batch.defined
        for layer in self._dropouts:
            layer.share = share
        if self.augmentation is not None:
            number = self.augmentation.draw(share.n_events, self.device)[share.rows]
            images = {view: self.augmentation.images(view, pixels, number) for view, pixels in images.items()}
            targets, defined = self.augmentation.targets(batch, number)
        scaled = self._scaled(images)
        outputs = self.network(scaled) if self.seat is None else self.seat.forward(self.network, scaled)
        losses, per_event = self._losses(outputs, targets, defined, batch.weights, batch.share)
        loss = self._weighted(losses)
        right = self._called_right(outputs.detach(), targets, batch.defined)
        self._train_losses.append(torch.cat([loss.detach().float()[None], right.flatten()]))
        if self.config.hard_sampling:
            self._shown.append((batch.rows, per_event.detach()))
            if batch.share is None:
                self.remember_losses()
        return loss

    def on_after_backward(self) -> None:
        """Let the gradients arrive at the weights, where several models take this pass together."""
        if self.seat is not None:
            self.seat.backward()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Keep the raw outputs of a batch until the epoch's end."""
        outputs = self.network(self._scaled(batch.images)).float()
        self._validation.append((replace(batch, images={}), outputs))

    def on_validation_epoch_end(self) -> None:
        """Log the loss and the scores of every head over the whole validation split."""
        outputs = gathered(torch.cat([part for _, part in self._validation]))
        seen = [batch for batch, _ in self._validation]
        targets = {h.name: gathered(torch.cat([b.targets[h.name] for b in seen])) for h in self.heads}
        defined = {h.name: gathered(torch.cat([b.defined[h.name] for b in seen])) for h in self.heads}
        self._validation.clear()
        # Machines may differ in rounding; what is decided by the scores must not.
        scores = self._scores(outputs, targets, defined) if connected().is_first else {}
        # Loggers get them by epoch, not by step, from History.
        self.log_dict(said_by_first(scores), logger=False)

    def _scores(
        self, outputs: torch.Tensor, targets: dict[str, torch.Tensor], defined: dict[str, torch.Tensor]
    ) -> dict[str, float]:
        """Loss and scores of every head over these events."""
        losses, _ = self._losses(outputs, targets, defined, outputs.new_ones(len(outputs)))
        # Learned weights change from epoch to epoch; the score that chooses the best one must not.
        scores = {"val_loss": (losses * self._fixed_weights(losses)).sum().item()}
        for head, raw in zip(self.heads, split_outputs(self.heads, outputs).values(), strict=True):
            rows = defined[head.name]
            values = self.preprocessing.unscale_output(head, raw)[rows]
            found = validation_scores(head, values, targets[head.name][rows], self.preprocessing)
            if self.config.monitor == "balanced_loss":
                scores["val_balanced_loss"] = class_mean_loss(head, values, targets[head.name][rows])
            prefix = f"val_{head.name}_" if len(self.heads) > 1 else "val_"
            scores |= {prefix + name: value for name, value in found.items()}
        return scores

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Limit the gradient's norm; Lightning's own clipping refuses fused optimisers."""
        if self.config.gradient_clip:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.gradient_clip)

    def on_train_epoch_end(self) -> None:
        """Learn of the losses of events that other processes had."""
        self.remember_losses()

    def seed_draws(self, epoch: int) -> None:
        """Begin the sequence of random numbers that dropout and augmentation draw in an epoch."""
        generator = torch.Generator(self.device).manual_seed(self.config.seed * 1_000_003 + epoch)
        self._draws = generator
        for layer in self._dropouts:
            layer.generator = generator
        if self.augmentation is not None:
            self.augmentation.generator = generator

    def epoch_state(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what the rest of an epoch depends on: state of the draws, losses so far; all must ask."""
        losses = torch.stack(self._train_losses).float()
        return self._draws.get_state(), summed(losses) / connected().n_processes

    def restore_epoch(self, epoch: int, draws: torch.Tensor, losses: torch.Tensor) -> None:
        """Go on in the middle of an epoch, from what `epoch_state` returned."""
        self.seed_draws(epoch)
        self._draws.set_state(draws.cpu())
        if losses.ndim == 1:  # version 0.1.0 kept the losses alone
            n_counts = 2 * sum(head.is_classification for head in self.heads)
            losses = torch.cat([losses[:, None], losses.new_zeros(len(losses), n_counts)], dim=1)
        self._train_losses = list(losses.to(self.device))

    @property
    def train_loss(self) -> float:
        """Mean loss over the batches of this epoch so far; all processes must ask for it."""
        losses = torch.stack(self._train_losses).float()
        return (summed(losses[:, 0]) / connected().n_processes).mean().item()

    @property
    def train_scores(self) -> dict[str, float]:
        """Accuracy of each classification over the events shown in this epoch, as they were shown.

        Dropout and augmentation are at work, and the weights change from step to step. All processes must ask
        for it.
        """
        heads = [head for head in self.heads if head.is_classification]
        if not heads or not self._train_losses:
            return {}
        counts = torch.stack(self._train_losses)[:, 1:].double().sum(dim=0)
        right, n_events = summed(counts).view(len(heads), 2).T.tolist()
        return {
            f"train_{head.name}_accuracy" if len(self.heads) > 1 else "train_accuracy": k / max(1.0, n)
            for head, k, n in zip(heads, right, n_events, strict=True)
        }

    def _called_right(
        self, outputs: torch.Tensor, targets: dict[str, torch.Tensor], defined: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        """Events called right and events with a class, shape (head that classifies, 2)."""
        counts = []
        for head, raw in zip(self.heads, split_outputs(self.heads, outputs).values(), strict=True):
            if head.is_classification:
                called = raw[:, 0] > 0 if head.kind == "binary" else raw.argmax(dim=1)
                mask = defined[head.name]
                right = (called == targets[head.name][:, 0]) & mask
                counts.append(torch.stack([right.sum(), mask.sum()]).float())
        return torch.stack(counts) if counts else outputs.new_zeros(0, 2)

    @property
    def _dropouts(self) -> list[ByteDropout]:
        return [layer for layer in self.network.modules() if isinstance(layer, ByteDropout)]

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
        decayed = [p for p in self.network.parameters() if p.ndim > 1]
        plain = [p for p in self.network.parameters() if p.ndim <= 1]
        plain += [self.log_variances] if len(self.log_variances) else []
        groups = [
            {"params": decayed, "weight_decay": self.config.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        optimizer = make_optimizer(self.config, groups)
        n_batches = int(self.trainer.estimated_stepping_batches) // self.config.epochs

        def factor(step: int) -> float:
            return stage_factor(step, n_batches, self.stages, self.config)

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _scaled(self, images: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {view: self.preprocessing.images(view, pixels) for view, pixels in images.items()}

    def remember_losses(self) -> None:
        """Write down the last loss of each event shown since the last call; all processes must call it.

        Needed before a checkpoint is written where processes share batches.
        """
        shown, self._shown = self._shown, []
        if not shown:
            return
        rows = _by_step([rows for rows, _ in shown])
        losses = _by_step([losses for _, losses in shown])
        highest = int(torch.cat(rows).max()) + 1
        if len(self.last_losses) < highest:
            unknown = losses[0].new_full((highest - len(self.last_losses),), torch.nan)
            self.last_losses = torch.cat([self.last_losses.to(losses[0]), unknown])
        for of_step, values in zip(rows, losses, strict=True):  # of an event shown twice the last one counts
            self.last_losses[of_step] = values

    def _losses(
        self,
        outputs: torch.Tensor,
        targets: dict[str, torch.Tensor],
        defined: dict[str, torch.Tensor],
        weights: torch.Tensor,
        share: Share | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Weighted mean loss of each head where it is defined, shape (head,); and the sum by event.

        Of a share of a batch, what the average over the processes is the mean over the whole batch of: their
        gradients are averaged too.
        """
        sums, counts, per_event = [], [], outputs.new_zeros(len(outputs))
        for head, raw in zip(self.heads, split_outputs(self.heads, outputs).values(), strict=True):
            losses = self._head_losses(head, raw, targets[head.name])
            mask = defined[head.name].to(losses.dtype)
            sums.append((losses * mask * weights).sum())
            counts.append((mask * weights).sum())
            per_event = per_event + losses * mask
        n_defined = torch.stack(counts)
        if share is not None:
            n_defined = summed(n_defined) / connected().n_processes
        return torch.stack(sums) / n_defined.clamp(min=1e-6), per_event

    def _head_losses(self, head: Task, raw: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Loss of each event for one head, shape (event,)."""
        loss = (
            self.config.loss
            if isinstance(self.config.loss, str)
            else self.config.loss.get(head.name, "huber")
        )
        if loss == "relative" and not head.is_classification:
            return relative_loss(self.preprocessing.unscale_output(head, raw), target).float()
        scaled = self.preprocessing.scale_target(head, target)
        scores = self.preprocessing.class_scores(head, raw)
        return event_losses(head, scores, scaled, loss, self.class_weights.get(head.name))

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


def _by_step(shares: list[torch.Tensor]) -> list[torch.Tensor]:
    """Whole batches from this process' shares of them, in the order of the steps."""
    lengths = torch.tensor([len(share) for share in shares])
    n_processes = connected().n_processes
    if n_processes == 1:
        return shares
    by_process = gathered(lengths).view(n_processes, -1)  # (process, step)
    parts = torch.split(gathered(torch.cat(shares)), by_process.flatten().tolist())
    n_steps = len(shares)
    return [torch.cat(parts[step::n_steps]) for step in range(n_steps)]


def stage_factor(step: int, n_batches: int, stages: tuple[int, ...], config: TrainConfig) -> float:
    """Return the learning rate at a step in units of the highest, where a training was continued.

    Each stage has a schedule of its own; one of constant rate goes on as it was, without another warm-up.

    Args:
        step: counted from the first epoch.
        n_batches: steps an epoch.
        stages: numbers of epochs it is trained to, one after the other.
        config: schedule and warm-up.

    Examples:
        >>> config = TrainConfig(epochs=4, warmup_epochs=0)
        >>> [round(stage_factor(step, 1, (2, 4), config), 2) for step in range(4)]
        [1.0, 0.5, 1.0, 0.5]
    """
    before = max((stage for stage in stages[:-1] if step >= stage * n_batches), default=0)
    if before and config.schedule == "constant":
        return 1.0
    n_epochs = min(stage for stage in stages if stage > before) - before
    n_steps = n_batches * n_epochs
    n_warmup = round(n_steps * min(0.25, config.warmup_epochs / n_epochs))
    return rate_factor(step - before * n_batches, n_steps, n_warmup, config.schedule)


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
