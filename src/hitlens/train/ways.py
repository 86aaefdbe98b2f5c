"""Which way to train several models at once is the fastest here: measured, not guessed."""

from __future__ import annotations

import copy
import itertools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from hitlens.datasets.resident import Batch, ResidentData
from hitlens.train.bundle import ONE_BY_ONE, Way, run_at_once
from hitlens.train.data_module import EventDataModule
from hitlens.train.distributed import device_type
from hitlens.train.hardware import keep_freed_memory
from hitlens.train.module import Seat, TrainingModule
from hitlens.train.precision import training_precision
from hitlens.train.watch import Interrupted

#: How long ways are measured, in seconds; each is measured once at least.
_BUDGET = 3.0

#: Rounds of all ways after which more would tell nothing.
_MOST_ROUNDS = 7

#: Steps of each model in a round.
_STEPS = 2

#: How much faster a way must be than one by one to be taken.
LEAST_GAIN = 1.05


@dataclass(frozen=True)
class Choice:
    """A way to train several models, and how it was chosen.

    Attributes:
        way: the chosen one.
        ratios: speed of each way that was tried over that of one by one; empty where nothing was measured.
        reason: why nothing was measured, empty else.
    """

    way: Way
    ratios: Mapping[Way, float]
    reason: str = ""

    @property
    def ratio(self) -> float | None:
        """Speed of the chosen way over that of one by one, None where it was not measured."""
        return self.ratios.get(self.way)


def candidate_ways(n_models: int, n_threads: int, *, stackable: bool = True) -> tuple[Way, ...]:
    """Return the ways worth trying, one by one first.

    Args:
        n_models: how many are trained at a time at most.
        n_threads: numerical threads of this process.
        stackable: whether the models can be computed in one pass.

    Examples:
        >>> [way.name for way in candidate_ways(8, 2)]
        ['one by one', '2 side by side', '8 stacked', '2 side by side, each 4 stacked']
    """
    lanes = min(n_models, n_threads)
    ways = [ONE_BY_ONE, Way(lanes, 1)]
    if stackable:
        ways += [Way(1, n_models), Way(lanes, n_models // lanes)]
    return tuple(dict.fromkeys(ways))


def measure_ways(
    modules: Sequence[TrainingModule],
    data: ResidentData,
    train: NDArray[np.int64],
    ways: Sequence[Way],
    budget: float = _BUDGET,
    *,
    alike: bool = True,
) -> dict[Way, float]:
    """Return the speed of each way over that of one by one, from a few steps of copies of the models.

    Args:
        modules: those to be trained; they are left as they are.
        data: all events.
        train: positions of the training split.
        ways: one by one among them.
        budget: seconds after which no further round begins.
        alike: whether all models take the same time, so that a few stand for all.
    """
    keep_freed_memory()
    device = torch.device(device_type(modules[0].config))
    data = data.to(device)
    jobs = [_steps(copy.deepcopy(module).to(device), data, train) for module in modules]
    seconds: dict[Way, list[float]] = {way: [] for way in ways}
    started = time.perf_counter()
    for number in range(_MOST_ROUNDS + 1):
        for way in ways:
            taken = _seconds(jobs[: way.n_models] if alike else jobs, way)
            if number:  # the first round warms up
                seconds[way].append(taken)
        if number and time.perf_counter() - started > budget:
            break
    base = seconds[ONE_BY_ONE]
    return {
        way: statistics.median(one / other for one, other in zip(base, taken, strict=True))
        for way, taken in seconds.items()
    }


def fastest(ratios: Mapping[Way, float]) -> Way:
    """Return the fastest way; one by one unless another gains clearly.

    Examples:
        >>> fastest({Way(): 1.0, Way(2): 1.03}).name
        'one by one'
        >>> fastest({Way(): 1.0, Way(2): 1.2, Way(1, 4): 1.1}).name
        '2 side by side'
    """
    best = max(ratios, key=lambda way: ratios[way])
    return best if ratios[best] >= LEAST_GAIN else ONE_BY_ONE


def _seconds(jobs: Sequence[Callable[[Seat], None]], way: Way) -> float:
    """Time a model takes that is trained this way."""
    started = time.perf_counter()
    for result in run_at_once(jobs, way):
        if isinstance(result, Interrupted):
            raise KeyboardInterrupt
        if result is not None:
            raise result
    return (time.perf_counter() - started) / len(jobs)


def _steps(module: TrainingModule, data: ResidentData, train: NDArray[np.int64]) -> Callable[[Seat], None]:
    """Return a function that takes a few steps, as an engine would."""
    loader = EventDataModule(data, train, train[:0], module.config).train_dataloader()
    batches: list[Batch] = list(itertools.islice(loader, _STEPS))
    optimizer = torch.optim.AdamW(module.network.parameters(), lr=1e-4, fused=True)
    kind = module.device.type
    low = training_precision(module, data, train) == "bf16-mixed"
    module.seed_draws(0)

    def take_steps(seat: Seat) -> None:
        module.seat = seat
        for number, batch in enumerate(batches):
            optimizer.zero_grad()
            with torch.autocast(kind, dtype=torch.bfloat16, enabled=low):
                loss = module.training_step(batch, number)
            loss.backward()  # type: ignore[no-untyped-call]
            module.on_after_backward()
            module.on_before_optimizer_step(optimizer)
            optimizer.step()
        if kind == "cuda":
            torch.cuda.synchronize()

    return take_steps
