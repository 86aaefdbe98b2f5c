"""Work dealt out to this process, to processes of this machine or to a dask cluster, behind one interface."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import time
import uuid
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from hitlens.errors import ConfigError, RunError, choose_from

T = TypeVar("T")
R = TypeVar("R")

#: Seconds in which a running scheduler must answer, and in which its first worker must be there.
SCHEDULER_SECONDS, WORKERS_SECONDS = 5.0, 30.0
#: The same for the first worker of a factory, whose job may have to wait in a queue.
QUEUE_SECONDS = 600.0
#: Seconds in which a new file must be seen on every worker; network file systems are slow to show one.
SHARED_SECONDS = 10.0
#: Workers that may die while they work on one task; after one more the task is taken to be the cause.
ALLOWED_DEATHS = 3
#: Packages that must have one version everywhere.
SAME_EVERYWHERE = ("hitlens", "python", "torch")

#: What sets the number of threads of a numerical library when it is loaded.
_THREADS = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
    *("NUMBA_NUM_THREADS", "POLARS_MAX_THREADS"),
)
#: What dask's nanny leaves behind in the environment of this process.
_LEFT_BEHIND = (*_THREADS, "MALLOC_TRIM_THRESHOLD_", "PYTHONHASHSEED")
_GONE = "The scheduler of the cluster is gone. Start it, and repeat the command."
#: Seconds between two looks at the cluster while its workers work.
_LOOK_SECONDS = 2.0


class Pool(Protocol):
    """Where tasks are done.

    Attributes:
        n_workers: tasks that are done side by side.
    """

    n_workers: int

    def run(self, function: Callable[[T], R], tasks: Iterable[T]) -> Iterator[tuple[int, R]]:
        """Yield the position of a task and its result, as tasks are finished.

        The next task is taken only when a worker is free for it, after the results so far were yielded.

        Args:
            function: of a module, so that workers find it; its result is small.
            tasks: small, picklable; their text names them in messages.

        Raises:
            RunError: a task killed every worker it ran on, or scheduler or workers are gone.
            Exception: what the function raised.
        """
        ...


class SerialPool:
    """Does one task after the other, in this process.

    Attributes:
        n_workers: 1.

    Examples:
        >>> list(SerialPool().run(len, ["one", "three"]))
        [(0, 3), (1, 5)]
    """

    n_workers = 1

    def run(self, function: Callable[[T], R], tasks: Iterable[T]) -> Iterator[tuple[int, R]]:
        """Do the tasks; see `Pool.run`."""
        for position, task in enumerate(tasks):
            yield position, function(task)


class DaskPool:
    """Deals tasks out to the workers of a dask cluster.

    Args:
        client: connected to the scheduler.
        restart: called now and then while workers are missing.

    Attributes:
        n_workers: threads of all workers when the pool was opened; workers have one each unless somebody
            else started them.
    """

    def __init__(self, client: Any, restart: Callable[[], object] | None = None) -> None:
        self._client = client
        self._restart = restart
        self._looked = time.monotonic()
        self._folder = Path.cwd()
        self.n_workers = 0
        self.n_workers = self._free_for()

    def run(self, function: Callable[[T], R], tasks: Iterable[T]) -> Iterator[tuple[int, R]]:
        """Do the tasks; see `Pool.run`."""
        distributed = _import_distributed()
        waiting: dict[Any, tuple[int, T]] = {}
        n_lost: Counter[int] = Counter()
        numbered = enumerate(tasks)
        more = True
        try:
            while True:
                while more and len(waiting) < self._free_for():
                    if (following := next(numbered, None)) is None:
                        more = False
                        break
                    waiting[self._submit(function, *following)] = following
                if not waiting and not more:
                    return
                for future in self._finished(distributed, waiting):
                    position, task = waiting[future]
                    if self._is_lost(future) and n_lost[position] <= ALLOWED_DEATHS:
                        n_lost[position] += 1
                        waiting[self._submit(function, position, task)] = waiting.pop(future)
                        continue
                    result = _result(distributed, future, task)
                    del waiting[future]
                    yield position, result
        finally:
            if waiting:
                self._give_up(list(waiting))

    def _is_lost(self, future: Any) -> bool:
        """Whether the scheduler, which is there, forgot a task: it may when a worker dies at a bad moment."""
        return future.status in ("cancelled", "lost") and self._client.status == "running"

    def _submit(self, function: Callable[[T], R], position: int, task: T) -> Any:
        name = f"{getattr(function, '__name__', 'task')}-{position}-{uuid.uuid4().hex}"
        return self._client.submit(_work, function, task, self._folder, key=name, pure=False)

    def _free_for(self) -> int:
        """Return how many tasks the workers can do at a time, as they are now."""
        try:
            n_threads = (
                int(sum(self._client.nthreads().values())) if self._client.status == "running" else None
            )
        except OSError:
            n_threads = None
        if n_threads is None:
            raise RunError(_GONE)
        if self._restart and n_threads < self.n_workers and time.monotonic() > self._looked + _LOOK_SECONDS:
            self._restart()
            self._looked = time.monotonic()
        return n_threads

    def _finished(self, distributed: Any, waiting: dict[Any, Any]) -> list[Any]:
        """Return what is finished, after waiting for a while; at worst nothing."""
        lost_since = None
        while True:
            if waiting:
                try:
                    return list(
                        distributed.wait(list(waiting), _LOOK_SECONDS, return_when="FIRST_COMPLETED").done
                    )
                except TimeoutError:
                    pass
            if self._free_for():
                return []
            lost_since = lost_since or time.monotonic()
            if time.monotonic() - lost_since > WORKERS_SECONDS:
                raise RunError(
                    f"All workers of the cluster are gone, and none came back in {WORKERS_SECONDS:.0f} s. "
                    "Look at their logs, start workers, and repeat the command."
                )
            if not waiting:
                time.sleep(_LOOK_SECONDS / 4)

    def _give_up(self, futures: list[Any]) -> None:
        if self._client.status == "running":
            self._client.cancel(futures, force=True)


def _work(function: Callable[[T], R], task: T, folder: Path) -> R:
    """Do a task on a worker, in the folder of the command where there is one: paths mean the same there."""
    if folder.is_dir():
        os.chdir(folder)
    return function(task)


def _result(distributed: Any, future: Any, task: object) -> Any:
    if future.status == "finished":
        return future.result()
    if future.status != "error":  # cancelled or lost with its scheduler
        raise RunError(_GONE)
    error = future.exception()
    if isinstance(error, distributed.KilledWorker):
        text = str(task)
        raise RunError(
            f"Each of the {error.allowed_failures + 1} workers that worked on it died: "
            f"{text if len(text) < 300 else text[:300] + '...'}. Look for too little memory, or try the task "
            "by itself, without a cluster."
        )
    raise error


@contextmanager
def open_pool(cluster: str = "", *, workers: int | None = None, shared: Path | None = None) -> Iterator[Pool]:
    """Open a pool of workers, and close it at the end.

    Args:
        cluster: "" for this process alone, or for processes of this machine where ``workers`` is more than 1;
            "local" for processes of this machine; "tcp://host:port" for a running dask scheduler;
            "package.module.factory" or "package.module:factory" for a function without arguments that
            returns a dask cluster, for example one of dask-jobqueue.
        workers: processes of this machine, by default 1 without a cluster and one a core with "local"; how
            many to ask a factory's cluster for, by default what it asked for itself; how many workers of a
            running scheduler to wait for, by default 1.
        shared: folder that every worker must see.

    Raises:
        ConfigError: no such cluster, dask is not installed, the scheduler does not answer, no worker
            appears, one has another version or does not see the folder.

    Examples:
        >>> with open_pool() as pool:
        ...     list(pool.run(abs, [-1, 2]))
        [(0, 1), (1, 2)]
    """
    if workers is not None and workers < 1:
        raise ConfigError(f"workers must be at least 1. Got {workers}.")
    if not cluster and workers in (None, 1):
        yield SerialPool()
        return
    kind = _kind(cluster)
    distributed = _import_distributed()
    with _quiet(), _environment():
        if kind == "local":
            opened = _local_client(distributed, workers or available_cores())
        elif kind == "scheduler":
            opened = _scheduler_client(distributed, cluster, workers or 1)
        else:
            opened = _factory_client(distributed, cluster, workers)
        with opened as client:
            if kind != "local":
                check_versions(client.get_versions(packages=list(SAME_EVERYWHERE)))
            if shared is not None:
                _check_shared(client, shared)
            restart = partial(_restart_processes, client.cluster) if kind == "local" else None
            yield DaskPool(client, restart)


def available_cores() -> int:
    """Return how many cores this process may use.

    Examples:
        >>> available_cores() >= 1
        True
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_versions(found: Any) -> None:
    """Refuse workers of other versions than this process.

    Args:
        found: what dask's ``Client.get_versions`` says of ``client`` and ``workers``.

    Raises:
        ConfigError: a worker has another version of something in `SAME_EVERYWHERE`.

    Examples:
        >>> mine, other = ({"packages": {"hitlens": "1.0", "python": v}} for v in ("3.11.7", "3.12.1"))
        >>> check_versions({"client": mine, "workers": {"tcp://a:1": other}})
        Traceback (most recent call last):
            ...
        hitlens.errors.ConfigError: Worker tcp://a:1 has python 3.12, this process has 3.11. Start ...
    """
    mine = found["client"]["packages"]
    for address, worker in sorted(found["workers"].items()):
        theirs = worker["packages"] if worker else {}
        for name in SAME_EVERYWHERE:
            ours, other = (_release(name, packages.get(name)) for packages in (mine, theirs))
            if ours != other:
                raise ConfigError(
                    f"Worker {address} has {name} {other}, this process has {ours}. Start scheduler and "
                    "workers in the environment that runs this command."
                )


def _release(name: str, version: str | None) -> str:
    """Return what must agree: of Python major and minor, of others all but the build (CPU or GPU)."""
    if version is None:
        return "not installed"
    return ".".join(version.split(".")[:2]) if name == "python" else version.partition("+")[0]


def _kind(cluster: str) -> str:
    if cluster in ("", "local"):
        return "local"
    if "://" in cluster:
        return "scheduler"
    if "." in cluster or ":" in cluster:
        return "factory"
    raise ConfigError(
        f"There is no cluster '{cluster}'. {choose_from(cluster, ['local'])} Or give the address of a "
        "scheduler (tcp://host:8786), or a function that returns a dask cluster (package.module.function)."
    )


def _import_distributed() -> Any:
    try:
        import distributed
    except ImportError:
        raise ConfigError("Several processes need the extra 'cluster'. Install hitlens[cluster].") from None
    return distributed


@contextmanager
def _local_client(distributed: Any, workers: int) -> Iterator[Any]:
    import dask

    share = _lowest(str(max(1, available_cores() // workers)), os.environ.get("OMP_NUM_THREADS", ""))
    for name in _THREADS:  # the lower of the two where somebody asked for a number
        os.environ[name] = _lowest(share, os.environ.get(name, ""))
    threads = {f"distributed.nanny.pre-spawn-environ.{name}": os.environ[name] for name in _THREADS}
    with (
        dask.config.set(
            {
                "distributed.scheduler.allowed-failures": ALLOWED_DEATHS,
                # A process that starts slowly on a busy machine is not lost.
                "distributed.deploy.lost-worker-timeout": "1 hour",
                **threads,
            }
        ),
        distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            memory_limit=None,  # dask would kill a worker that needs more than its share
            dashboard_address=None,
            silence_logs=_SILENT,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def _lowest(number: str, asked: str) -> str:
    return min(number, asked, key=int) if asked.isdecimal() else number


def _restart_processes(cluster: Any) -> None:
    """Start those whose nanny gave up, as it does when a process dies before it has quite started."""
    for name, nanny in list(cluster.workers.items()):
        if nanny.status.name in ("closed", "failed"):
            cluster.workers.pop(name, None)
    cluster.scale(len(cluster.worker_spec))


@contextmanager
def _scheduler_client(distributed: Any, address: str, workers: int) -> Iterator[Any]:
    try:
        client = distributed.Client(address, timeout=SCHEDULER_SECONDS)
    except (OSError, ValueError, ImportError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(
            f"No scheduler answers at {address} ({reason}). Start one there ('dask scheduler'), or check the "
            "address."
        ) from None
    with client:
        _wait(client, workers, WORKERS_SECONDS, "Start them with 'dask worker ADDRESS --nthreads 1'.")
        yield client


@contextmanager
def _factory_client(distributed: Any, name: str, workers: int | None) -> Iterator[Any]:
    import dask

    factory = _find_factory(name)
    with dask.config.set({"distributed.scheduler.allowed-failures": ALLOWED_DEATHS}):
        try:
            cluster = factory()
        except Exception as error:
            raise ConfigError(
                f"The cluster factory {name} failed ({type(error).__name__}: {error})."
            ) from error
        if not isinstance(cluster, distributed.deploy.Cluster):
            raise ConfigError(
                f"The cluster factory {name} must return a dask cluster. Got {type(cluster).__name__}."
            )
        with cluster, distributed.Client(cluster) as client:
            if workers is not None:
                cluster.scale(workers)
            hint = "Ask for some in the factory (cluster.scale(jobs=...)) or with --workers N."
            _wait(client, 1, QUEUE_SECONDS, hint)
            yield client


def _find_factory(name: str) -> Callable[[], Any]:
    module_name, _, function = name.replace(":", ".").rpartition(".")
    here = str(Path.cwd())
    sys.path.insert(0, here)  # a factory of one's own lies where the command is given
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise ConfigError(f"The cluster factory {name} cannot be imported: {error}.") from error
    finally:
        sys.path.remove(here)
    if not callable(found := getattr(module, function, None)):
        names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise ConfigError(
            f"Module {module_name} has no function '{function}'. {choose_from(function, names)}"
        )
    return found  # type: ignore[no-any-return]


def _wait(client: Any, workers: int, seconds: float, hint: str) -> None:
    try:
        client.wait_for_workers(workers, timeout=seconds)
    except TimeoutError:
        there = len(client.nthreads())
        raise ConfigError(
            f"{there or 'No'} worker{'s' * (there != 1)} appeared at {client.scheduler.address} in "
            f"{seconds:.0f} s; {workers} must be there. {hint}"
        ) from None


def _check_shared(client: Any, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder.resolve() / f".hitlens-{uuid.uuid4().hex}"
    mark.write_text(mark.name, encoding="utf-8")
    try:
        seen: dict[str, bool] = client.run(_sees, mark)
    finally:
        mark.unlink(missing_ok=True)
    blind = sorted(address for address, sees in seen.items() if not sees)
    if blind:
        raise ConfigError(
            f"Worker {blind[0]} does not see the folder {mark.parent}"
            f"{f' (nor do {len(blind) - 1} others)' if len(blind) > 1 else ''}. Use a folder that all "
            "machines share under one name."
        )


def _sees(mark: Path) -> bool:
    """Whether a worker reads a new file; asked again for a while."""
    end = time.monotonic() + SHARED_SECONDS
    while True:
        try:
            if mark.read_text(encoding="utf-8") == mark.name:
                return True
        except OSError:
            pass
        if time.monotonic() > end:
            return False
        time.sleep(0.2)


#: Above every level of the logging module.
_SILENT = logging.CRITICAL + 1


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what dask logs and warns off the screen, unless everything was asked for (-vv)."""
    if logging.getLogger().isEnabledFor(logging.DEBUG):
        yield
        return
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in _CHATTY]
    levels = {name: logging.getLogger(name).level for name in names}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="distributed")
        try:
            for name in names:
                logging.getLogger(name).setLevel(_SILENT)
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)


_CHATTY = ("distributed", "tornado", "asyncio")


@contextmanager
def _environment() -> Iterator[None]:
    """Give the environment back as it was."""
    before = {name: os.environ.get(name) for name in _LEFT_BEHIND}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
