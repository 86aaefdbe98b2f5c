"""The processes that train one model together: started by torchrun or Slurm, ended together, one message."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal, NoReturn, Protocol

from hitlens.errors import ConfigError, HitlensError, RunError

log = logging.getLogger(__name__)

#: Names under which the processes count those that failed, and those that know of it.
_FAILED, _KNOWING = "hitlens/failed", "hitlens/knowing"
#: Seconds between two looks whether a process failed, and those a process has to end by itself after that.
_LOOK_SECONDS, _GRACE_SECONDS = 0.5, 4.0


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes:
        rank: its number, counted from 0.
        n_processes: how many there are.
        n_machines: on how many machines they run.
        launcher: what started them; nothing where there is one only.
    """

    rank: int = 0
    n_processes: int = 1
    n_machines: int = 1
    launcher: Literal["", "torchrun", "srun"] = ""

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and messages."""
        return self.rank == 0

    @property
    def n_local(self) -> int:
        """Processes on each machine."""
        return self.n_processes // self.n_machines


def find_processes() -> Processes:
    """Return what the environment says of the processes started together with this one.

    Raises:
        ConfigError: machines with different numbers of processes.

    Examples:
        >>> find_processes()
        Processes(rank=0, n_processes=1, n_machines=1, launcher='')
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        found = _from_environment("torchrun", "RANK", "WORLD_SIZE", "GROUP_WORLD_SIZE")
        n_local = int(os.environ.get("LOCAL_WORLD_SIZE", found.n_local))
    elif "SLURM_STEP_NUM_TASKS" in os.environ:
        # Only srun sets it: what a batch script starts by itself is one process.
        found = _from_environment("srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_NUM_NODES")
        n_local = found.n_local
        if found.n_processes > 1 and "SLURM_NTASKS_PER_NODE" not in os.environ:
            raise ConfigError("Give the processes of each machine with --ntasks-per-node, not with --ntasks.")
    else:
        return Processes()
    if found.n_processes == 1:
        return Processes()
    if n_local * found.n_machines != found.n_processes:
        raise ConfigError(
            f"Every machine needs as many processes as the others. Got {found.n_processes} on "
            f"{found.n_machines} machines."
        )
    return found


def _from_environment(
    launcher: Literal["torchrun", "srun"], rank: str, n_processes: str, n_machines: str
) -> Processes:
    numbers = [int(os.environ.get(name, default)) for name, default in ((rank, "0"), (n_processes, "1"))]
    return Processes(numbers[0], numbers[1], int(os.environ.get(n_machines, "1")), launcher)


def refuse_several(what: str) -> None:
    """Refuse what is done by one process, where several were started together.

    Args:
        what: is refused, for the message.

    Raises:
        ConfigError: several processes were started together.
    """
    processes = find_processes()
    if processes.n_processes > 1:
        problem = ConfigError(
            f"{what} runs in one process; {processes.n_processes} were started together. Start it without "
            f"{processes.launcher}: only the training of one model is shared among processes."
        )
        if not processes.is_first:
            _end_quietly(problem)
        raise problem


@contextmanager
def started_together() -> Iterator[Processes]:
    """Connect the processes that were started together, if there are several, until the end of the block.

    Wrap it around `hitlens.workflow.training.train` in a program of your own that torchrun or srun starts;
    ``hitlens train`` does. An error in one process ends all of them within seconds: it is raised in the first
    process that has one, the others end without a word, with status 2.

    Raises:
        RunError: the processes did not find each other, or one was killed.
    """
    processes = find_processes()
    if processes.n_processes == 1:
        yield processes
        return
    from hitlens.train.distributed import connect, disconnect

    alarm = None
    try:
        alarm = Alarm(connect(processes), processes.n_processes)
        yield processes
    except BaseException as problem:
        if alarm is None:
            raise
        alarm.end(problem)
    finally:
        if alarm is not None:
            alarm.stop()
        disconnect()


class Store(Protocol):
    """Counts that all processes share; `torch.distributed.TCPStore` is one."""

    def add(self, name: str, number: int, /) -> int:
        """Add to a count and return it."""
        ...

    def check(self, names: list[str], /) -> bool:
        """Whether there are such counts."""
        ...


class Alarm:
    """Tells the other processes of an error in this one, and ends this one after an error in another.

    A process may hang in an exchange with one that is no more; so a thread watches.

    Args:
        store: shared by all processes.
        n_processes: how many there are.
    """

    def __init__(self, store: Store, n_processes: int) -> None:
        self._store = store
        self._n_others = n_processes - 1
        self._knows = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def end(self, problem: BaseException) -> NoReturn:
        """Raise the problem if it is the first of all processes; end quietly otherwise."""
        self.stop()
        if self._is_first_to_fail():
            self._wait_for_others()
            raise _in_plain_words(problem)
        _end_quietly(problem)

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()
        self._thread.join()

    def _is_first_to_fail(self) -> bool:
        try:
            first = not self._knows and self._store.add(_FAILED, 1) == 1
            if not first and not self._knows:
                self._store.add(_KNOWING, 1)
        except RuntimeError:  # the process that holds the store is gone, and has said why
            return False
        return first

    def _wait_for_others(self) -> None:
        """Let the others learn of it: the store may live in this process, and end with it."""
        until = time.monotonic() + 4 * _LOOK_SECONDS
        with suppress(RuntimeError):
            while self._store.add(_KNOWING, 0) < self._n_others and time.monotonic() < until:
                time.sleep(_LOOK_SECONDS / 10)

    def _watch(self) -> None:
        while not self._stopped.wait(_LOOK_SECONDS):
            with suppress(RuntimeError):
                if self._store.check([_FAILED]):
                    self._knows = True
                    self._store.add(_KNOWING, 1)
                    break
        if self._knows and not self._stopped.wait(_GRACE_SECONDS):
            os._exit(2)


def _in_plain_words(problem: BaseException) -> BaseException:
    """Say in a user's words that a process was lost; other problems stay as they are."""
    words = str(problem)
    if isinstance(problem, HitlensError) or not isinstance(problem, RuntimeError):
        return problem
    if any(sign in words for sign in ("Connection closed by peer", "gloo", "NCCL", "Connection reset")):
        lost = RunError(
            "Another process of this training is gone, perhaps killed for want of memory. --resume continues "
            "after the last complete epoch, with as many processes or another number."
        )
        lost.__cause__ = problem
        return lost
    return problem


def _end_quietly(problem: BaseException) -> NoReturn:
    """End after the process that says why; a launcher ends all others as soon as one ends with an error."""
    log.debug("ends after another process", exc_info=problem)
    if not isinstance(problem, KeyboardInterrupt):
        time.sleep(_GRACE_SECONDS / 2)
    raise SystemExit(130 if isinstance(problem, KeyboardInterrupt) else 2) from None
