"""A search for settings: one process says what to train, one or many train, and the best is chosen."""

from __future__ import annotations

import itertools
import json
import logging
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from hitlens import __version__
from hitlens.config import RunConfig, TuneConfig, dump_config
from hitlens.datasets.splits import NAMES
from hitlens.detectors import get_detector, is_description
from hitlens.errors import ConfigError, RunError
from hitlens.io.atomic import remove, written_whole
from hitlens.io.ownership import owned
from hitlens.train.scores import monitored
from hitlens.tune.results import Objective, Stage, TrialResult, Value
from hitlens.tune.search import Asked, Place, Search, import_optuna, masked
from hitlens.tune.selection import candidates
from hitlens.workflow import runs
from hitlens.workflow.folders import check_folder, check_same_settings, clear_folder
from hitlens.workflow.pool import Pool, SerialPool, open_pool
from hitlens.workflow.preparing import Prepared, prepare
from hitlens.workflow.run_events import read_run_config
from hitlens.workflow.trials import (
    TRIALS,
    TrialGroup,
    TrialTask,
    forget_events,
    keep_events,
    record_of,
    train_trials,
)
from hitlens.workflow.tune_results import (
    BEGUN,
    BEST,
    JOURNAL,
    SETTINGS,
    chosen_trial,
    objectives_of,
    read_begun,
    read_tune_config,
    repeat_name,
    search_trials,
    write_search,
)

log = logging.getLogger(__name__)

#: Left by searches that version 0.1.0 began.
_OLD_LOCK = "search.lock"

#: What a resumed search may change: names, places of files, and how far it goes.
_FREE = (
    *("title", "question", "base.title", "base.data.files", "base.track"),
    *("search.trials", "search.storage", "search.together", "finalists.", "longer."),
)

#: Settings that change what the monitored loss measures.
_SHAPE_THE_LOSS = ("train.loss", "train.task_weights", "train.class_weights", "model.target_curve")


def tune(
    config: TuneConfig,
    folder: Path,
    *,
    resume: bool = False,
    force: bool = False,
    workers: int | None = None,
    cluster: str = "",
    progress: bool = True,
) -> Path:
    """Search for settings: train trials, repeat the best few with further seeds, train the chosen one longer.

    No event of the test split is read by search and repeats. The folder gets ``tune.yaml``, a run folder
    ``trials/NNN`` for each training, the journal of the trials, ``best/`` with the longer training,
    ``tune.json``, ``tune.html`` and ``trials.csv``. The process may die at any moment; a search that is
    resumed keeps what is finished and goes on with what was begun.

    Args:
        config: the settings.
        folder: of the search.
        resume: go on with the search the folder holds.
        force: throw away what the folder holds.
        workers: processes that train side by side; see `hitlens.workflow.pool.open_pool`.
        cluster: where they are.
        progress: show a bar.

    Returns:
        Path of the page.

    Raises:
        RunError: the folder holds another search or something else, there is nothing to resume, another
            process leads this search, every trial failed, or Ctrl-C ended one.
        ConfigError: optuna is not installed, the settings contradict each other, or a search is to be resumed
            with other settings; the storage or the cluster does not answer.
    """
    folder = Path(folder)
    import_optuna()
    check_search(config)
    with owned(folder, is_folder=True):
        # Where a search died in its first moments, no more is there than its beginning.
        check_folder(folder, "search", SETTINGS, resume=resume, force=force, harmless=(_OLD_LOCK, BEGUN))
        with open_pool(cluster, workers=workers, shared=folder) as pool:
            try:
                begun = _open_search(config, folder, resume=resume, keep=isinstance(pool, SerialPool))
                leader = _Leader(config, folder, begun["study"], pool, progress=progress)
                importances = leader.search()
                leader.repeat()
                leader.train_longer()
                return write_search(folder, importances)
            finally:
                forget_events()


def check_search(config: TuneConfig) -> None:
    """Refuse settings of a search that make no sense together, before anything is read.

    Raises:
        ConfigError: no files are named, or trials would be compared by losses that measure different things.
    """
    if not config.base.data.files:
        raise ConfigError(
            "The recipe names no files. Give them with --data FILE, or as base.data.files in the recipe."
        )
    name, _ = monitored(_heads(config), config.base.train.monitor)
    for path in config.search.space:
        if name == "val_loss" and path.startswith(_SHAPE_THE_LOSS):
            raise ConfigError(
                f"search.space: '{path}' changes what the validation loss measures, and trials are compared "
                "by that. Set it in base, or set base.train.monitor to another score."
            )
    config.run_configs()


def _heads(config: TuneConfig) -> tuple[Any, ...]:
    detector = get_detector(config.base.detector)
    return detector.heads(detector.task(config.base.task))


def _open_search(config: TuneConfig, folder: Path, *, resume: bool, keep: bool) -> dict[str, Any]:
    """Begin a search or check that it goes on as it began; return what is recorded of its beginning.

    Args:
        config: its settings.
        folder: of the search.
        resume: whether it goes on.
        keep: whether trials are trained in this process, so that they need not read the events again.
    """
    if resume:
        begun = read_begun(folder)
        _same_search(folder, config, begun)
    else:
        prepared = prepare(config.base)
        clear_folder(folder)
        begun = _beginning(prepared)
        if keep:
            keep_events(prepared)
        with written_whole(folder / BEGUN) as partial:
            partial.write_text(json.dumps(begun, indent=1) + "\n", encoding="utf-8")
        if prepared.detector.yaml:
            with written_whole(folder / runs.DETECTOR) as partial:
                partial.write_text(prepared.detector.yaml, encoding="utf-8")
    safe = config.search.model_copy(update={"storage": masked(config.search.storage)})
    with written_whole(folder / SETTINGS) as partial:
        partial.write_text(dump_config(config.model_copy(update={"search": safe})), encoding="utf-8")
    return begun


def _beginning(prepared: Prepared) -> dict[str, Any]:
    return {
        "study": f"hitlens-{uuid.uuid4().hex[:12]}",
        "hitlens": __version__,
        "started": runs.now(),
        "sha256": prepared.checksums,
        "split": {"hash": prepared.split.hash}
        | {f"n_{name}": len(getattr(prepared.split, name)) for name in NAMES},
    }


def _same_search(folder: Path, config: TuneConfig, begun: dict[str, Any]) -> None:
    """A search goes on with the space, the settings and the events it began with."""
    if begun["hitlens"] != __version__:
        log.warning(
            "The search in %s began with hitlens %s and goes on with %s",
            folder,
            begun["hitlens"],
            __version__,
        )
    free = (*_FREE, *(("base.detector",) if is_description(config.base.detector) else ()))
    check_same_settings(folder, "search", read_tune_config(folder), config, free)
    if runs.file_checksums([Path(file) for file in config.base.data.files]) != begun["sha256"]:
        raise ConfigError(
            f"The event files changed since the search in {folder} began. Give the same files, or start a "
            "new search."
        )


@dataclass
class _Progress:
    """A bar over trials: how many are done, the best so far, those in flight."""

    bar: Any
    objective: Objective
    in_flight: int = 0
    best: float | None = None

    def counted(self, tasks: Iterable[TrialTask]) -> Iterator[TrialTask]:
        """Pass tasks on, each counted as in flight when it is taken."""
        for task in tasks:
            self.in_flight += 1
            self._show()
            yield task

    def look_at(self, trial: TrialResult) -> None:
        """Remember the value of a trial if it is the best so far."""
        value = trial.objectives.get(self.objective.name) if trial.state == "finished" else None
        if value is not None:
            better = max if self.objective.higher_is_better else min
            self.best = value if self.best is None else better(self.best, value)

    def end(self, trial: TrialResult) -> None:
        """Count a trial that has ended."""
        self.in_flight -= 1
        self.look_at(trial)
        self.bar.update()
        self._show()
        log.info("%s %s: %s", trial.folder, trial.state, trial.error or dict(trial.objectives))

    def _show(self) -> None:
        best = "" if self.best is None else f"best {self.objective.label} {self.best:.5g}, "
        self.bar.set_postfix_str(f"{best}{self.in_flight} in flight")


class _Leader:
    """Says what is trained, and remembers what came out; the process that leads a search."""

    def __init__(self, config: TuneConfig, folder: Path, study: str, pool: Pool, *, progress: bool) -> None:
        self.config = config
        self.folder = folder.resolve()
        self.pool = pool
        self.progress = progress
        self.objectives = objectives_of(config)
        self.place = Place(config.search.storage or str(self.folder / JOURNAL), study)

    def search(self) -> dict[str, dict[str, float]]:
        """Train the trials of the search that have not ended; return how much each setting matters."""
        search = Search(
            self.place,
            self.config.search,
            self.config.parameters(),
            self.objectives,
            n_epochs=self.config.base.train.epochs,
            n_workers=self.pool.n_workers,
        )
        if self.config.search.trials and self.config.search.trials < search.n_begun:
            raise ConfigError(
                f"search.trials is {self.config.search.trials}, and {search.n_begun} trials were begun. Give "
                "as many or more."
            )
        tasks = map(self._search_task, search.next_trials())
        n_ended = len(search.ended)
        for trial in self._run("search", tasks, search.n_trials, n_ended):
            search.tell(trial.number, trial.state, tuple(trial.objectives.values()))
        trials = search_trials(self.folder)
        if not any(one.state == "finished" for one in trials):
            errors = [one.error for one in trials if one.error]
            if len(errors) < len(trials):
                raise RunError("No trial finished: all were ended early or failed. Take pruner: none.")
            raise RunError(f"All {search.n_trials} trials failed; the first one: {errors[0]}")
        return search.importances(self.objectives)

    def repeat(self) -> None:
        """Train the best few with further seeds."""
        finalists = self.config.finalists
        best = candidates(search_trials(self.folder), self.objectives, finalists.count)
        tasks = [self._repeat_task(trial, seed) for trial in best for seed in finalists.seeds]
        todo = [task for task in tasks if not task.record.is_file()]
        list(self._run("repeats", todo, len(tasks), len(tasks) - len(todo)))

    def train_longer(self) -> None:
        """Train the chosen settings longer."""
        if not self.config.longer.epochs:
            return
        values = chosen_trial(self.config, self.folder).values
        changes = {"train.epochs": self.config.longer.epochs}
        task = self._task(BEST, BEST, "longer", 0, values, changes)
        if not self._is_of(task.config):  # after more trials others were chosen
            remove(task.run_folder)
            remove(record_of(self.folder, BEST))
        todo = [] if task.record.is_file() else [task]
        list(self._run("longer", todo, 1, 1 - len(todo)))

    def _is_of(self, config: RunConfig) -> bool:
        """Whether the longer training, if there is one, has these settings."""
        path = self.folder / BEST / runs.CONFIG
        if not path.is_file():
            return not record_of(self.folder, BEST).is_file()
        known = read_run_config(path.parent)
        return (known.model, known.train) == (config.model, config.train)

    def _run(self, what: str, tasks: Iterable[TrialTask], total: int, done: int) -> Iterator[TrialResult]:
        with tqdm(total=total, initial=done, desc=what, unit="trial", disable=not self.progress) as bar:
            shown = _Progress(bar, self.objectives[0])
            for trial in search_trials(self.folder):
                shown.look_at(trial)
            size = _group_size(total - done, self.pool.n_workers, self.config.search.at_once)
            groups = _grouped(shown.counted(tasks), size)
            for _, trials in self.pool.run(train_trials, groups):
                for trial in trials:
                    shown.end(trial)
                    yield trial

    def _search_task(self, asked: Asked) -> TrialTask:
        name = f"{asked.number:03d}"
        return self._task(name, f"{TRIALS}/{name}", "search", asked.number, asked.values)

    def _repeat_task(self, trial: TrialResult, seed: int) -> TrialTask:
        name = repeat_name(trial.number, seed)
        return self._task(name, f"{TRIALS}/{name}", "seeds", 0, trial.values, {"train.seed": seed})

    def _task(
        self,
        name: str,
        folder: str,
        stage: Stage,
        number: int,
        values: Mapping[str, Value],
        changes: Mapping[str, Any] | None = None,
    ) -> TrialTask:
        return TrialTask(
            root=self.folder,
            name=name,
            folder=folder,
            number=number,
            stage=stage,
            values=values,
            config=self.config.run_config({**values, **(changes or {})}),
            search=self.config.search,
            place=self.place,
            objectives=self.objectives,
            higher_is_better=monitored(_heads(self.config), self.config.base.train.monitor)[1] == "max",
        )


def _group_size(n_tasks: int, n_workers: int, at_once: int) -> int:
    """Return how many trials a worker is given at a time, so that all workers end together.

    Examples:
        >>> _group_size(18, 1, 8), _group_size(18, 2, 8), _group_size(3, 2, 8)
        (6, 5, 2)
    """
    n_rounds = max(1, -(-n_tasks // (n_workers * at_once)))
    return max(1, -(-n_tasks // (n_workers * n_rounds)))


def _grouped(tasks: Iterable[TrialTask], size: int) -> Iterator[TrialGroup]:
    """Put tasks into groups, taking each only when its group is asked for."""
    waiting = iter(tasks)
    while group := tuple(itertools.islice(waiting, size)):
        yield TrialGroup(group)
