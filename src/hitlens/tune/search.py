"""The trials of a search, kept in a journal file or an SQL database; the only place that knows optuna."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hitlens.errors import ConfigError, HitlensError
from hitlens.io.ownership import locked
from hitlens.tune.config import SearchConfig
from hitlens.tune.results import Objective, Parameter, TrialState, Value
from hitlens.tune.space import decoded, encoded, grid_points, n_points

if TYPE_CHECKING:
    import optuna

#: Seconds in which a database must answer.
_ANSWER_SECONDS = 10

#: Every how many epochs "halving" and "hyperband" keep the better third.
_REDUCTION = 3

#: How optuna calls trials that ended, well or not.
_ENDED = ("COMPLETE", "PRUNED", "FAIL")

#: Trials that must have finished before it is said which setting matters.
_FEWEST = 4

#: Epochs of which no trial is judged by the median of others: the first ones are noise.
_WARM_EPOCHS = 1


@dataclass(frozen=True)
class Place:
    """Where the trials of a search are kept.

    Attributes:
        storage: URL of an SQL database, or path of a journal file.
        study: name of the search there.
    """

    storage: str
    study: str


@dataclass(frozen=True)
class Asked:
    """A trial to be trained.

    Attributes:
        number: from 0.
        values: of the settings that are searched, by path.
    """

    number: int
    values: Mapping[str, Value]


class Search:
    """Says what to train next, and is told what came out.

    The same settings ask for the same trials, also when the process died in between; where several are
    trained at a time, "tpe" and the pruners depend on which ends first.

    Args:
        place: where the trials are kept; made where it is not there yet.
        config: how to search.
        parameters: what is searched.
        objectives: what trials are judged by.
        n_epochs: of each trial.
        n_workers: trials trained at a time.

    Raises:
        ConfigError: optuna is not installed, or the storage does not answer.
    """

    def __init__(
        self,
        place: Place,
        config: SearchConfig,
        parameters: tuple[Parameter, ...],
        objectives: tuple[Objective, ...],
        *,
        n_epochs: int,
        n_workers: int = 1,
    ) -> None:
        self.place = place
        self.config = config
        self.parameters = parameters
        self.n_workers = n_workers
        self.n_trials = config.trials or n_points(parameters) or 0
        optuna = import_optuna()
        directions = ["maximize" if one.higher_is_better else "minimize" for one in objectives]
        with _answering(place):
            self._study = optuna.create_study(
                storage=_open_storage(place),
                study_name=place.study,
                directions=directions,
                pruner=_pruner(config, n_epochs),
                load_if_exists=True,
            )
            if config.method == "grid":
                self._enqueue_grid()

    def _enqueue_grid(self) -> None:
        known = len(self._study.get_trials(deepcopy=False))
        for number, point in enumerate(grid_points(self.parameters)):
            if number >= known:
                fixed = {one.path: _stored(one, point[one.path]) for one in self.parameters}
                self._study.enqueue_trial(fixed)

    def next_trials(self) -> Iterator[Asked]:
        """Yield trials to train: first those that were begun and not ended, then new ones.

        A trial is drawn when it is asked for, so that it profits from all that ended before.
        """
        for frozen in self._trials("RUNNING"):
            yield self._filled(frozen._trial_id)
        while self.n_begun < self.n_trials:
            with _answering(self.place):
                trial_id = self._study.ask()._trial_id
            yield self._filled(trial_id)

    @property
    def n_begun(self) -> int:
        """Trials that were begun, those that ended among them."""
        return len(self._trials("RUNNING", *_ENDED))

    @property
    def ended(self) -> tuple[int, ...]:
        """Numbers of the trials that ended, well or not."""
        return tuple(one.number for one in self._trials(*_ENDED))

    def tell(self, number: int, state: TrialState, values: tuple[float, ...] = ()) -> None:
        """Record how a trial ended; one that is recorded already stays as it is.

        Args:
            number: of the trial.
            state: how.
            values: of the objectives, in their order; looked at where it finished.
        """
        from optuna.trial import TrialState as Optunas

        states = {"finished": Optunas.COMPLETE, "pruned": Optunas.PRUNED, "failed": Optunas.FAIL}
        with _answering(self.place):
            self._study.tell(
                number,
                list(values) if state == "finished" else None,
                state=states[state],
                skip_if_finished=True,
            )

    def importances(self, objectives: tuple[Objective, ...]) -> dict[str, dict[str, float]]:
        """Return the share of each objective's variance that each setting explains (functional ANOVA).

        Source: F. Hutter, H. Hoos, K. Leyton-Brown, "An Efficient Approach for Assessing Hyperparameter
        Importance", ICML 2014.

        Returns:
            By objective, the shares by path; nothing where too few trials finished or all came out alike.
        """
        import optuna

        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=self.config.seed)
        found: dict[str, dict[str, float]] = {}
        finished = [one.values for one in self._trials("COMPLETE")]
        for position, objective in enumerate(objectives):
            values = {round(one[position], 12) for one in finished if one}
            if len(finished) < _FEWEST or len(values) < 2:
                continue
            with _quiet():
                shares = optuna.importance.get_param_importances(
                    self._study, evaluator=evaluator, target=_target(position)
                )
            found[objective.name] = {path: float(share) for path, share in shares.items()}
        return found

    def _trials(self, *states: str) -> list[optuna.trial.FrozenTrial]:
        with _answering(self.place):
            return [one for one in self._study.get_trials(deepcopy=False) if one.state.name in states]

    def _filled(self, trial_id: int) -> Asked:
        """Draw the values of a trial that has none yet; one cut off between two of them gets the rest."""
        import optuna

        values: dict[str, Value] = {}
        with _answering(self.place):
            number = self._study._storage.get_trial_number_from_id(trial_id)
            for position, parameter in enumerate(self.parameters):
                # A sampler of its own for each value: what is drawn depends on seed and place alone, not on
                # when the process began.
                self._study.sampler = self._sampler(number, position)
                values[parameter.path] = _draw(optuna.trial.Trial(self._study, trial_id), parameter)
        return Asked(number, values)

    def _sampler(self, number: int, position: int) -> Any:
        from optuna.samplers import RandomSampler, TPESampler

        entropy = np.random.SeedSequence([self.config.seed, number, position])
        seed = int(entropy.generate_state(1)[0])
        if self.config.method != "tpe":
            return RandomSampler(seed=seed)
        return TPESampler(seed=seed, n_startup_trials=self.config.startup, constant_liar=self.n_workers > 1)


def _target(position: int) -> Callable[[Any], float]:
    return lambda trial: float(trial.values[position])


class TrialWatch:
    """Tells a search of a trial's epochs, and says whether to end it; made in the process that trains.

    Epochs that are trained again after a break are not told twice, and what was told of later ones is not
    looked at.

    Args:
        place: where the trials are kept.
        config: how to search.
        number: of the trial.
        n_epochs: of each trial.

    Attributes:
        broken: why the search cannot be told any more; None while it can.
    """

    def __init__(self, place: Place, config: SearchConfig, number: int, n_epochs: int) -> None:
        optuna = import_optuna()
        self.broken: HitlensError | None = None
        self._place = place
        with _answering(place):
            self._study = optuna.load_study(
                study_name=place.study, storage=_open_storage(place), pruner=_pruner(config, n_epochs)
            )
            self._trial_id = self._study.get_trials(deepcopy=False)[number]._trial_id

    def __call__(self, epoch: int, score: float) -> bool:
        """Tell the score of an epoch, from 0; True where the trial shall end there.

        Raises:
            ConfigError: the storage does not answer any more.
        """
        try:
            with _answering(self._place):
                return self._tell(epoch + 1, score)
        except HitlensError as error:
            self.broken = error
            raise

    def _tell(self, step: int, score: float) -> bool:
        storage = self._study._storage
        if step not in storage.get_trial(self._trial_id).intermediate_values:
            storage.set_trial_intermediate_value(self._trial_id, step, score)
        seen = copy.copy(storage.get_trial(self._trial_id))
        known = seen.intermediate_values.items()
        seen.intermediate_values = {one: value for one, value in known if one <= step}
        return bool(self._study.pruner.prune(self._study, seen))


def _draw(trial: optuna.trial.Trial, parameter: Parameter) -> Value:
    name = parameter.path
    if parameter.low is None or parameter.high is None:
        return decoded(trial.suggest_categorical(name, [encoded(one) for one in parameter.choices]))
    if parameter.whole:
        step = int(parameter.step or 1)
        return trial.suggest_int(name, int(parameter.low), int(parameter.high), step=step, log=parameter.log)
    value = trial.suggest_float(name, parameter.low, parameter.high, step=parameter.step, log=parameter.log)
    return round(value, 12) if parameter.step else value


def _stored(parameter: Parameter, value: Value) -> Any:
    return encoded(value) if parameter.low is None else value


def _pruner(config: SearchConfig, n_epochs: int) -> Any:
    from optuna import pruners

    if config.pruner == "median":
        return pruners.MedianPruner(n_startup_trials=config.startup, n_warmup_steps=_WARM_EPOCHS + 1)
    if config.pruner == "halving":
        return pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=_REDUCTION)
    if config.pruner == "hyperband":
        return pruners.HyperbandPruner(min_resource=1, max_resource=n_epochs, reduction_factor=_REDUCTION)
    return pruners.NopPruner()


class _FileLock:
    """Lets one process at a time write to a journal; the system frees it when a process dies.

    A line that a dying process left unfinished is cut off before the next is written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def acquire(self) -> bool:
        """Wait for the lock."""
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        locked(self._file)
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            os.truncate(self._file, self._path.read_bytes().rfind(b"\n") + 1)
        return True

    def release(self) -> None:
        """Give it back."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _open_storage(place: Place) -> Any:
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend

    if "://" not in place.storage:
        lock: Any = _FileLock(Path(place.storage))
        return JournalStorage(JournalFileBackend(place.storage, lock_obj=lock))
    name = "timeout" if place.storage.startswith("sqlite") else "connect_timeout"
    return RDBStorage(place.storage, engine_kwargs={"connect_args": {name: _ANSWER_SECONDS}})


@contextmanager
def _answering(place: Place) -> Iterator[None]:
    """Turn what a storage may fail with into one error."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with _quiet():
            yield
    except (SQLAlchemyError, ImportError, OSError, ValueError, RuntimeError) as error:
        if isinstance(error, HitlensError):
            raise
        if isinstance(error, ImportError):
            raise ConfigError(
                f"The storage of the search, {masked(place.storage)}, needs a driver that is not installed "
                f"({error.name}). Install it; of PostgreSQL it may be psycopg, with postgresql+psycopg://..."
            ) from None
        cause = getattr(error, "orig", None) or error
        reason = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
        raise ConfigError(
            f"The storage of the search, {masked(place.storage)}, cannot be used: {reason}. Check that it "
            "runs and that its address is right; --resume then continues the search."
        ) from None


def masked(url: str) -> str:
    """Return an address without its password.

    Examples:
        >>> masked("postgresql://me:secret@db/search")
        'postgresql://me:***@db/search'
    """
    scheme, found, rest = url.partition("://")
    user, at, host = rest.rpartition("@")
    if not found or not at or ":" not in user:
        return url
    return f"{scheme}://{user.partition(':')[0]}:***@{host}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep optuna's log lines and its warnings of experimental parts off the screen."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        yield


def import_optuna() -> Any:
    """Return optuna.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise ConfigError("A search for settings needs the extra 'tune'. Install hitlens[tune].") from None
    return optuna
