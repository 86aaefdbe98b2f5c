"""One training of a search, in whatever process: begun, gone on with, ended early, measured, recorded."""

from __future__ import annotations

import json
import logging
import math
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from hitlens.config import RunConfig
from hitlens.datasets.splits import Split
from hitlens.detectors import get_detector
from hitlens.errors import HitlensError, InterruptedRunError
from hitlens.evaluate.documents import read_document, write_document
from hitlens.evaluate.results import TaskResult
from hitlens.evaluate.study import VariantResult, evaluate_variants
from hitlens.io.atomic import remove, written_whole
from hitlens.io.ownership import locked
from hitlens.io.records import read_record
from hitlens.tune.config import SearchConfig
from hitlens.tune.results import Objective, Stage, TrialResult, TrialState, Value
from hitlens.tune.search import Place, TrialWatch
from hitlens.workflow import runs
from hitlens.workflow.origins import read_run_predictions
from hitlens.workflow.prediction import open_model, predicts_in_bfloat16
from hitlens.workflow.preparing import Prepared, prepare
from hitlens.workflow.together import Job, train_together
from hitlens.workflow.training import train
from hitlens.workflow.variants import as_text, variant_result

log = logging.getLogger(__name__)

#: What settings raise that cannot be trained, beside errors of ours.
_OF_SETTINGS = (RuntimeError, ValueError, TypeError, MemoryError)

#: Version of a trial's record. 1: first.
FORMAT_VERSION = 1

#: Folder of the trainings, below that of the search.
TRIALS = "trials"

#: Events, and repetitions, by which the time to predict one is measured.
_LATENCY_EVENTS, _LATENCY_REPEATS = 1024, 5


@dataclass(frozen=True)
class TrialTask:
    """All a process needs to train one trial.

    Attributes:
        root: folder of the search.
        name: of the trial; names its record.
        folder: of its run, relative to that of the search.
        number: of the trial.
        stage: "search", "seeds" or "longer".
        values: of the settings that are searched, by path.
        config: settings of the run.
        search: settings of the search.
        place: where the trials are kept.
        objectives: what is measured.
        higher_is_better: of the monitored score.
    """

    root: Path
    name: str
    folder: str
    number: int
    stage: Stage
    values: Mapping[str, Value]
    config: RunConfig
    search: SearchConfig
    place: Place
    objectives: tuple[Objective, ...]
    higher_is_better: bool

    def __str__(self) -> str:
        return f"trial {self.name} ({', '.join(f'{path} = {value}' for path, value in self.values.items())})"

    @property
    def run_folder(self) -> Path:
        """Folder of its run."""
        return self.root / self.folder

    @property
    def record(self) -> Path:
        """Where its result is written when it has ended."""
        return record_of(self.root, self.name)


@dataclass(frozen=True)
class BegunTrial:
    """What is known of a trial before it ends.

    Attributes:
        n_resumed: how often it went on after its process had died.
        stop_after: epoch, from 0, after which it was ended early; None where it was not.
    """

    n_resumed: int = 0
    stop_after: int | None = None


@dataclass(frozen=True)
class TrialGroup:
    """Trials that one process trains, at once where that is faster.

    Attributes:
        tasks: of the trials.
    """

    tasks: tuple[TrialTask, ...]

    def __str__(self) -> str:
        return "; ".join(map(str, self.tasks))


def record_of(root: Path, name: str) -> Path:
    """Return where the result of a trial is kept."""
    return root / TRIALS / f"{name}.json"


def train_trials(group: TrialGroup) -> tuple[TrialResult, ...]:
    """Train trials of a search and return what they reached, in order; errors as `train_trial`.

    Several are trained at once where a measurement finds that faster (`hitlens.workflow.together`); each is
    then measured and recorded alone, and trained again alone where it failed among the others.
    """
    begun = _train_at_once(group.tasks) if len(group.tasks) > 1 else {}
    return tuple(train_trial(task, begun.get(task.name)) for task in group.tasks)


def _train_at_once(tasks: Sequence[TrialTask]) -> dict[str, BegunTrial]:
    """Train what can be trained at once; return, by name, what is known of each."""
    with ExitStack() as locked:
        for task in tasks:
            locked.enter_context(_alone(_lock_of(task)))
        todo = [task for task in tasks if not task.record.is_file() and not _is_trained(task)]
        if len(todo) < 2:
            return {}
        begun = {task.name: _begin(task) for task in todo}
        jobs = [
            Job(task.config, task.run_folder, watch=_watch(task, begun[task.name]), resume=_clear(task))
            for task in todo
        ]
        prepared = events_without_test(tasks[0].config)
        try:
            outcomes = train_together(
                jobs, prepared=prepared, predicted=("validation",), progress=False, at_once=len(jobs)
            )
        except (HitlensError, *_OF_SETTINGS) as error:
            # It is the fault of one of them; which, is found when each goes on alone.
            log.info("%s and others cannot be trained at once: %s", todo[0], error)
            return begun
    for task, outcome in zip(todo, outcomes, strict=True):
        if isinstance(outcome, InterruptedRunError) or getattr(outcome, "interrupted", False):
            raise _interrupted(task)
    return begun


def train_trial(task: TrialTask, begun: BegunTrial | None = None) -> TrialResult:
    """Train one trial of a search and return what it reached; one that has ended is only read.

    A trial whose process died goes on after its last complete epoch. One process at a time works on a trial.
    The search and its repeats never get hold of an event of the test split; the longer training is a run as
    any other, which predicts it.

    Args:
        task: the trial.
        begun: what is known of it where this process began it; else it is looked up.

    Raises:
        RunError: Ctrl-C ended it, or the search cannot be told of its epochs any more.
        DataError: the events cannot be used.
    """
    with _alone(_lock_of(task)):
        if task.record.is_file():
            return read_trial(task.record)
        begun = begun or _begin(task)
        longer = task.stage == "longer"
        prepared = None if longer else events_without_test(task.config)
        found = _train(task, begun, prepared)
        write_document(found, _ADAPTER, FORMAT_VERSION, task.record)
        remove(_begun_path(task))
        if not longer:
            remove(task.run_folder / "checkpoints")
        return found


def read_trial(path: Path) -> TrialResult:
    """Read the result of a trial that has ended.

    Raises:
        NotFoundError: it has not.
        FileFormatError: the file is damaged or of another version.
    """
    return read_document(_ADAPTER, FORMAT_VERSION, path, what="a trial", made_by="A trial that ends")


#: Events by what they were read from, of the last settings asked for: read once a process, not once a trial.
_EVENTS: dict[str, Prepared] = {}


def events_without_test(config: RunConfig) -> Prepared:
    """Return the events a run learns from and is chosen by; those of the test split are not among them.

    Args:
        config: settings of the run.
    """
    key = _events_key(config)
    if key not in _EVENTS:
        _EVENTS.clear()
        keep_events(prepare(config))
    return _EVENTS[key]


def keep_events(prepared: Prepared) -> None:
    """Keep events that were read for another purpose for the trials of this process.

    Args:
        prepared: all of them; those of the test split are not kept.
    """
    _EVENTS[_events_key(prepared.config)] = without_test(prepared)


def forget_events() -> None:
    """Free what `events_without_test` keeps in this process."""
    _EVENTS.clear()


def without_test(prepared: Prepared) -> Prepared:
    """Return events without those of the test split."""
    split = prepared.split
    kept = np.sort(np.concatenate([split.train, split.validation]))
    shown = Split(
        np.searchsorted(kept, split.train),
        np.searchsorted(kept, split.validation),
        np.empty(0, dtype=np.int64),
        split.n_dropped,
        split.hash,
    )
    return replace(prepared, events=prepared.some(kept), split=shown)


def _events_key(config: RunConfig) -> str:
    files = []
    for name in config.data.files:
        state = Path(name).stat() if Path(name).exists() else None
        files.append((name, state.st_mtime_ns, state.st_size) if state else (name,))
    train_part = config.train.model_dump(mode="json", include={"selection", "mix"})
    own = config.model_dump(mode="json", include={"detector", "task", "data", "split"})
    return json.dumps([own, train_part, files], sort_keys=True)


def _begin(task: TrialTask) -> BegunTrial:
    """Note that the trial is worked on, and how often it was gone on with."""
    path = _begun_path(task)
    begun = BegunTrial()
    if path.is_file():
        begun = BegunTrial(**read_record(path, "Remove it: the trial then begins anew."))
        if (task.run_folder / runs.PROVENANCE).is_file():
            begun = replace(begun, n_resumed=begun.n_resumed + 1)
    _note(task, begun)
    return begun


def _note(task: TrialTask, begun: BegunTrial) -> None:
    content = {"n_resumed": begun.n_resumed, "stop_after": begun.stop_after}
    with written_whole(_begun_path(task)) as partial:
        partial.write_text(json.dumps(content), encoding="utf-8")


def _begun_path(task: TrialTask) -> Path:
    return task.record.with_suffix(".begun")


def _lock_of(task: TrialTask) -> Path:
    return task.record.with_suffix(".lock")


def _is_trained(task: TrialTask) -> bool:
    """Whether the training of a trial came to its end, so that it is only to be measured."""
    if not (task.run_folder / runs.PROVENANCE).is_file():
        return False
    return runs.read_provenance(task.run_folder).get("status") in ("finished", "stopped")


def _clear(task: TrialTask) -> bool:
    """Clear away what a process left that died in its first moments; return whether a training is there."""
    begun = (task.run_folder / runs.PROVENANCE).is_file()
    if not begun:
        remove(task.run_folder)
    return begun


def _watch(task: TrialTask, begun: BegunTrial) -> _Watch | None:
    return _Watch(task, begun) if task.stage == "search" and task.search.pruner != "none" else None


def _train(task: TrialTask, begun: BegunTrial, prepared: Prepared | None) -> TrialResult:
    watch = _watch(task, begun)
    try:
        _train_run(task, prepared, watch)
    except (HitlensError, *_OF_SETTINGS) as error:
        # Broken storage and Ctrl-C end the search; all else is the fault of this trial's settings.
        if isinstance(error, InterruptedRunError) or (watch is not None and watch.told.broken):
            raise
        log.warning("%s failed: %s", task, error)
        return _result(task, begun, "failed", error=f"{error}" or type(error).__name__)
    return _measured(task, begun, prepared)


def _train_run(task: TrialTask, prepared: Prepared | None, watch: _Watch | None) -> None:
    if _is_trained(task):
        return
    resume = _clear(task)
    splits = ("validation", "test") if prepared is None else ("validation",)
    try:
        result = train(
            task.config,
            task.run_folder,
            resume=resume,
            progress=False,
            prepared=prepared,
            watch=watch,
            predicted=splits,
        )
    except InterruptedRunError as error:
        raise _interrupted(task) from error
    if result.interrupted:
        raise _interrupted(task)


def _interrupted(task: TrialTask) -> InterruptedRunError:
    return InterruptedRunError(f"The search was interrupted in {task}. --resume continues it.")


class _Watch:
    """Tells the search of each epoch; an early end is noted before it takes place."""

    def __init__(self, task: TrialTask, begun: BegunTrial) -> None:
        self.told = TrialWatch(task.place, task.search, task.number, task.config.train.epochs)
        self._task = task
        self._begun = begun

    def __call__(self, epoch: int, score: float) -> bool:
        if self._begun.stop_after is not None:
            return epoch >= self._begun.stop_after
        if not self.told(epoch, score):
            return False
        _note(self._task, replace(self._begun, stop_after=epoch))
        return True


def _measured(task: TrialTask, begun: BegunTrial, prepared: Prepared | None) -> TrialResult:
    record = runs.read_provenance(task.run_folder)
    score = float(record["validation_score"])
    if not math.isfinite(score):
        return _result(task, begun, "failed", error=f"The validation score is not a number: {score}.")
    heads = _evaluated(task)
    run = variant_result(
        task.name,
        task.run_folder,
        {path: as_text(value) for path, value in task.values.items()},
        heads,
        higher_is_better=task.higher_is_better,
    )
    latency = None
    if any(one.name == "latency" for one in task.objectives):
        latency = measure_latency(task.run_folder, prepared or events_without_test(task.config))
    values = {"score": score, "stability": run.stability.spread, "parameters": float(run.n_parameters)}
    values |= {} if latency is None else {"latency": latency}
    return _result(
        task,
        begun,
        "pruned" if record["status"] == "stopped" else "finished",
        objectives={one.name: values[one.name] for one in task.objectives},
        run=run,
        confusion={head.task: head.confusion for head in heads if head.confusion},
        latency_us=latency,
    )


def _evaluated(task: TrialTask) -> tuple[TaskResult, ...]:
    """Evaluate a run on the validation split."""
    predictions = read_run_predictions(task.run_folder).split("validation")
    detector = get_detector(task.config.detector)
    return evaluate_variants({task.name: predictions}, detector, task.config.evaluate)[task.name]


def measure_latency(folder: Path, prepared: Prepared) -> float:
    """Return the time a shipped model takes to predict an event here, in microseconds; median of several.

    Args:
        folder: run folder.
        prepared: events; some of the validation split are predicted.
    """
    model = open_model(folder)
    bfloat16 = predicts_in_bfloat16(model)
    events = prepared.events.select(prepared.split.validation[:_LATENCY_EVENTS])
    model.predict(events, bfloat16=bfloat16)
    seconds = []
    for _ in range(_LATENCY_REPEATS):
        started = time.perf_counter()
        model.predict(events, bfloat16=bfloat16)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds) / len(events) * 1e6


def _result(
    task: TrialTask,
    begun: BegunTrial,
    state: TrialState,
    *,
    objectives: Mapping[str, float] | None = None,
    run: VariantResult | None = None,
    confusion: Mapping[str, tuple[tuple[int, ...], ...]] | None = None,
    latency_us: float | None = None,
    error: str = "",
) -> TrialResult:
    return TrialResult(
        number=task.number,
        stage=task.stage,
        values=task.values,
        seed=task.config.train.seed,
        state=state,
        objectives=objectives or {},
        run=run,
        confusion=confusion or {},
        latency_us=latency_us,
        folder=task.folder,
        error=error,
        n_resumed=begun.n_resumed,
    )


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other process works on a trial; the system ends the wait when that one dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        locked(file.fileno())
        yield
        remove(path)  # who still waits for it finds the trial's record


_ADAPTER: TypeAdapter[TrialResult] = TypeAdapter(TrialResult)
