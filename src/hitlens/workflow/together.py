"""Trains several models at once, the way that is the fastest for them on this machine."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from hitlens.config import RunConfig
from hitlens.datasets.resident import ResidentData
from hitlens.errors import ConfigError, HitlensError, InterruptedRunError
from hitlens.io.ownership import owned
from hitlens.models.stacked import shape_of
from hitlens.train.bundle import ONE_BY_ONE, Way, run_at_once
from hitlens.train.distributed import device_type
from hitlens.train.engine import TrainingResult
from hitlens.train.module import Seat
from hitlens.train.processes import refuse_several
from hitlens.train.watch import Interrupted, Watch
from hitlens.train.ways import Choice, candidate_ways, fastest, measure_ways
from hitlens.workflow.preparing import Prepared, prepare
from hitlens.workflow.training import (
    PREDICTED,
    Begun,
    begin_training,
    failure_noted,
    finish_training,
    train_begun,
)

log = logging.getLogger(__name__)

#: Steps of a training, below which measuring costs more than it can win.
_WORTH_MEASURING = 100


@dataclass(frozen=True)
class Job:
    """One training among several.

    Attributes:
        config: its settings.
        folder: its run folder.
        watch: told of each of its epochs; may end it.
        resume: go on with what the folder holds.
        force: throw away what the folder holds.
    """

    config: RunConfig
    folder: Path
    watch: Watch | None = None
    resume: bool = False
    force: bool = False


Outcome = TrainingResult | HitlensError


def train_together(
    jobs: Sequence[Job],
    *,
    prepared: Prepared | None = None,
    predicted: Sequence[str] = PREDICTED,
    progress: bool = True,
    at_once: int = 1,
    way: Way | None = None,
) -> list[Outcome]:
    """Train several models on the same events, each into its run folder as `train` would.

    One after the other, each ends with the very weights it would have alone. Where more are allowed at once,
    models of one shape and batch size can share their forward and backward passes, and any can be trained
    side by side: a few steps of copies decide which way is taken, and each run's provenance says so. Their
    weights then agree with those of each alone, and from one time to the next, but for rounding. A model that
    fails, ends or is stopped does so alone.

    Args:
        jobs: the trainings; of the same detector, task, files and split.
        prepared: the events, where they were read before.
        predicted: splits whose events are predicted in the end.
        progress: show a bar over the epochs of all models.
        at_once: models trained at a time at most; more than eight win nothing and cost memory.
        way: take this way, without measuring.

    Returns:
        For each job its result, or the error that ended it; Ctrl-C leaves results that say so, and an
        InterruptedRunError where no epoch was complete.

    Raises:
        ConfigError: settings under which the jobs cannot share their events.
    """
    refuse_several("Training several models at once")
    if not jobs:
        return []
    prepared = prepared or prepare(jobs[0].config)
    for job in jobs:
        prepared.check_serves(job.config)
    outcomes: dict[int, Outcome] = {}
    begun: dict[int, Begun] = {}
    with ExitStack() as owners:
        for number, job in enumerate(jobs):
            try:
                owners.enter_context(owned(job.folder, is_folder=True))
                begun[number] = _begin(job, prepared, begun.values())
            except HitlensError as error:
                outcomes[number] = error
        outcomes |= _train_groups(jobs, begun, predicted, at_once, way, progress=progress)
    return [outcomes[number] for number in range(len(jobs))]


def _train_groups(
    jobs: Sequence[Job],
    begun: Mapping[int, Begun],
    predicted: Sequence[str],
    at_once: int,
    way: Way | None,
    *,
    progress: bool,
) -> dict[int, Outcome]:
    """Train what is begun, models of one shape after those of another; return outcomes by number."""
    outcomes: dict[int, Outcome] = {}
    total = sum(one.config.train.epochs for one in begun.values())
    with tqdm(total=total, desc=f"{len(begun)} models", unit="epoch", disable=not progress) as bar:
        for group in _groups(begun):
            members = {number: begun[number] for number in group}
            chosen = choose_way(list(members.values()), at_once) if way is None else Choice(way, {})
            log.info("%s", describe(chosen, len(members)))
            runs = [_run(jobs[number], one, chosen, predicted, bar) for number, one in members.items()]
            for number, result in zip(group, run_at_once(runs, chosen.way), strict=True):
                outcomes[number] = _outcome(result, jobs[number])
    return outcomes


def choose_way(members: Sequence[Begun], at_once: int) -> Choice:
    """Return the way to train these models, the fastest of those tried.

    Args:
        members: trainings that have not taken a step; they are left as they are.
        at_once: models trained at a time at most.
    """
    first, data = members[0], members[0].data
    n_models = min(at_once, len(members))
    if len(members) < 2:
        return Choice(ONE_BY_ONE, {}, "it is one model")
    if n_models < 2:
        return Choice(ONE_BY_ONE, {}, "more at once were not asked for")
    if not isinstance(data, ResidentData):
        return Choice(ONE_BY_ONE, {}, "their events stay in their files")
    n_steps = first.config.train.epochs * len(first.prepared.split.train) // first.config.train.batch_size
    if n_steps < _WORTH_MEASURING:
        return Choice(ONE_BY_ONE, {}, "their trainings are too short to measure ways")
    n_threads = torch.get_num_threads() if device_type(first.config.train) == "cpu" else 1
    alike = _is_stackable(members)
    ways = candidate_ways(n_models, n_threads, stackable=alike)
    if ways == (ONE_BY_ONE,):
        return Choice(ONE_BY_ONE, {}, "there is one thread, and their networks cannot be stacked")
    modules = [one.module for one in members[:n_models]]
    ratios = measure_ways(modules, data, first.prepared.split.train, ways, alike=alike)
    return Choice(fastest(ratios), ratios)


def describe(choice: Choice, n_models: int) -> str:
    """Return in one line which way was chosen and why.

    Examples:
        >>> describe(Choice(Way(2), {Way(): 1.0, Way(2): 1.31, Way(1, 4): 1.2}), 4)
        '4 models: 2 side by side, 1.31 times as fast as one by one (4 stacked 1.20)'
    """
    text = f"{n_models} models: {choice.way.name}"
    others = ", ".join(
        f"{way.name} {ratio:.2f}"
        for way, ratio in choice.ratios.items()
        if way not in (choice.way, ONE_BY_ONE)
    )
    if choice.reason:
        return f"{text}, for {choice.reason}"
    if choice.way != ONE_BY_ONE and choice.ratio is not None:
        return f"{text}, {choice.ratio:.2f} times as fast as one by one" + (f" ({others})" if others else "")
    return f"{text}, for {others} is no faster" if others else text


def _begin(job: Job, prepared: Prepared, others: Iterable[Begun]) -> Begun:
    """Begin a training; it shares the events in memory with those that show the same part of them."""
    begun = begin_training(job.config, job.folder, resume=job.resume, force=job.force, prepared=prepared)
    for other in others:
        same = other.config.model.regions == job.config.model.regions
        if same and isinstance(other.data, ResidentData):
            return replace(begun, data=other.data)
    return begun


def _groups(begun: Mapping[int, Begun]) -> list[list[int]]:
    """Numbers of the jobs, by shape; those that have no companion come together at the end."""
    by_shape: dict[Hashable, list[int]] = {}
    for number, one in begun.items():
        by_shape.setdefault(_stack_key(one), []).append(number)
    groups = [group for key, group in by_shape.items() if len(group) > 1 and key is not None]
    alone = sorted(begun.keys() - {number for group in groups for number in group})
    return [*groups, *([alone] if alone else [])]


def _stack_key(begun: Begun) -> Hashable:
    """What trainings must share to take their passes together; None for one that cannot share any."""
    try:
        shape = shape_of(begun.module.network)
    except ConfigError as error:
        log.info("%s", error)
        return None
    train = begun.config.train
    return (shape, train.batch_size, train.draws, train.precision, train.accelerator)


def _is_stackable(members: Sequence[Begun]) -> bool:
    keys = {_stack_key(one) for one in members}
    return len(keys) == 1 and None not in keys


def _run(
    job: Job, begun: Begun, chosen: Choice, predicted: Sequence[str], bar: Any
) -> Callable[[Seat], TrainingResult]:
    def watch(epoch: int, score: float) -> bool:
        bar.update()
        return job.watch is not None and job.watch(epoch, score)

    def run(seat: Seat) -> TrainingResult:
        # The time a training took is counted from here: it may have waited for a place.
        mine = replace(begun, record=begun.record | _record(chosen), started=time.perf_counter())
        mine.module.seat = seat
        with failure_noted(mine):
            try:
                result = train_begun(mine, progress=False, watch=watch)
            finally:
                seat.leave()  # the others need not wait while events are predicted
                mine.module.seat = None
            finish_training(mine, result, predicted)
            return result

    return run


def _record(chosen: Choice) -> dict[str, Any]:
    """What provenance says of the way a model was trained."""
    if chosen.way == ONE_BY_ONE and not chosen.ratios:
        return {}
    ratio = None if chosen.ratio is None else round(chosen.ratio, 3)
    return {"trained_with": {"way": chosen.way.name, "models": chosen.way.n_models, "ratio": ratio}}


def _outcome(result: TrainingResult | Exception, job: Job) -> Outcome:
    if isinstance(result, Interrupted):
        return InterruptedRunError(
            f"The training in {job.folder} was interrupted before it went on; what it had done is kept."
            if job.resume
            else f"The training was interrupted before it began; {job.folder} holds no model."
        )
    if isinstance(result, Exception) and not isinstance(result, HitlensError):
        raise result
    return result
