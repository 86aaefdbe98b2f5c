"""Tasks in this process, in processes that are killed, on a scheduler, and every way not to get there."""

from __future__ import annotations

import importlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest

from hitlens.errors import ConfigError, FileFormatError, RunError
from hitlens.workflow import pool as pool_module
from hitlens.workflow.pool import Pool, SerialPool, available_cores, check_versions, open_pool

HERE = Path(__file__).parent

FACTORIES = """
from distributed import LocalCluster

def threads(n_workers=2):
    return LocalCluster(n_workers=n_workers, threads_per_worker=1, processes=False, dashboard_address=None)

def nobody():
    return threads(0)

def nothing():
    return 3

def broken():
    raise OSError("no queue here")
"""


@pytest.fixture(scope="module")
def tasks() -> Iterator[ModuleType]:
    """The functions for workers; those that are started get the path of this process."""
    sys.path.insert(0, str(HERE))
    try:
        yield importlib.import_module("pool_tasks")
    finally:
        sys.path.remove(str(HERE))


@pytest.fixture(scope="module")
def local(tasks: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """Two processes of this machine."""
    with open_pool("local", workers=2, shared=tmp_path_factory.mktemp("shared")) as opened:
        yield opened


@pytest.fixture
def factories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Name of a module with cluster factories that lies where the command is given."""
    name = f"site_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(FACTORIES)
    monkeypatch.chdir(tmp_path)
    yield name
    sys.modules.pop(name, None)


def test_one_process_takes_a_task_when_the_last_is_done() -> None:
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(5):
            taken.append(number)
            yield number

    with open_pool() as opened:
        assert isinstance(opened, SerialPool)
        for position, result in opened.run(abs, numbers()):
            assert (position, len(taken)) == (result, result + 1)


@pytest.mark.slow
def test_every_task_is_done_once_by_other_processes(local: Pool, tasks: ModuleType) -> None:
    assert local.n_workers == 2
    assert sorted(local.run(tasks.double, range(20))) == [(n, 2 * n) for n in range(20)]
    found = [found for _, found in local.run(tasks.describe, [0.3, 0.3, 0.3, 0.3])]
    assert len({one["pid"] for one in found} - {os.getpid()}) == 2
    assert {one["folder"] for one in found} == {str(Path.cwd())}
    asked = int(os.environ.get("OMP_NUM_THREADS", 1000))
    assert {int(one["threads"]) for one in found} == {min(asked, max(1, available_cores() // 2))}


@pytest.mark.slow
def test_no_task_is_taken_before_a_worker_is_free(local: Pool, tasks: ModuleType) -> None:
    taken, most = [0], 0

    def numbers() -> Iterator[int]:
        for number in range(8):
            taken[0] += 1
            yield number

    for n_before, _ in enumerate(local.run(tasks.slowly, numbers())):
        most = max(most, taken[0] - n_before)
    assert most == 2


@pytest.mark.slow
def test_a_killed_worker_loses_nothing(
    local: Pool, tasks: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    marks = [tmp_path / str(n) for n in range(3)]
    assert sorted(local.run(tasks.die_once, marks)) == [(n, "alive") for n in range(3)]
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_task_that_kills_every_worker_is_named(local: Pool, tasks: ModuleType) -> None:
    with pytest.raises(RunError, match="4 workers that worked on it died: the wicked one"):
        list(local.run(tasks.die, ["the wicked one"]))
    assert list(local.run(tasks.double, [4])) == [(0, 8)]


@pytest.mark.slow
def test_an_error_comes_back_whole(local: Pool, tasks: ModuleType) -> None:
    with pytest.raises(FileFormatError, match=r"a\.txt, line 7: this is nothing") as caught:
        list(local.run(tasks.complain, ["a.txt"]))
    assert (caught.value.line, caught.value.path) == (7, Path("a.txt"))


@pytest.mark.slow
def test_work_that_nobody_waits_for_is_given_up(local: Pool, tasks: ModuleType, tmp_path: Path) -> None:
    running = local.run(tasks.slowly, range(1000))
    next(running)
    running.close()  # type: ignore[attr-defined]
    assert [result for _, result in local.run(tasks.count, [tmp_path] * 3)] != []


def test_dask_leaves_environment_and_logging_as_they_were(factories: str) -> None:
    before = dict(os.environ), logging.getLogger("distributed").level
    with open_pool(f"{factories}.threads") as opened:
        assert list(opened.run(abs, [-3])) == [(0, 3)]
    assert (dict(os.environ), logging.getLogger("distributed").level) == before


def test_a_factory_gets_the_workers_asked_for(factories: str) -> None:
    with open_pool(f"{factories}:nobody", workers=1) as opened:
        assert opened.n_workers == 1


@pytest.mark.parametrize(
    ("cluster", "message"),
    [
        ("lokal", "Did you mean 'local'"),
        ("no_such_module.make", "cannot be imported: No module named 'no_such_module'"),
        ("{}.thread", "has no function 'thread'. Did you mean 'threads'"),
        ("{}.broken", r"failed \(OSError: no queue here\)"),
        ("{}:nothing", "must return a dask cluster. Got int"),
        ("{}.nobody", "No workers appeared at .* in 1 s; 1 must be there. Ask for some in the factory"),
        ("tcp://127.0.0.1:1", "No scheduler answers at tcp://127.0.0.1:1 .* Start one"),
        ("tcp://no.such.host.invalid:8786", "No scheduler answers at tcp://no.such.host"),
        ("teletype://a:1", "No scheduler answers"),
    ],
)
def test_a_cluster_that_is_not_there(
    cluster: str, message: str, factories: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "SCHEDULER_SECONDS", 1.0)
    monkeypatch.setattr(pool_module, "QUEUE_SECONDS", 1.0)
    with pytest.raises(ConfigError, match=message), open_pool(cluster.format(factories)):
        pass


def test_a_number_of_workers_below_one() -> None:
    with pytest.raises(ConfigError, match="at least 1"), open_pool(workers=0):
        pass


def test_without_dask_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigError, match=r"Install hitlens\[cluster\]"), open_pool("local"):
        pass


@pytest.mark.parametrize(
    ("package", "mine", "theirs", "message"),
    [
        ("hitlens", "0.2.0", "0.1.0", "hitlens 0.1.0, this process has 0.2.0"),
        ("hitlens", "0.2.0", None, "hitlens not installed, this process has 0.2.0"),
        ("python", "3.11.7.final.0", "3.13.0.final.0", "python 3.13, this process has 3.11"),
        ("torch", "2.13.0+cpu", "2.6.0+cu126", "torch 2.6.0, this process has 2.13.0"),
    ],
)
def test_a_worker_of_another_version_is_refused(
    package: str, mine: str, theirs: str | None, message: str, factories: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import distributed

    honest = distributed.Client.get_versions

    def faked(self: Any, *args: Any, **options: Any) -> Any:
        found = honest(self, *args, **options)
        found["client"]["packages"][package] = mine
        worker = next(iter(found["workers"].values()))
        worker["packages"][package] = theirs
        return found

    monkeypatch.setattr(distributed.Client, "get_versions", faked)
    with (
        pytest.raises(ConfigError, match=rf"Worker inproc://.* has {message}"),
        open_pool(f"{factories}.threads"),
    ):
        pass


def test_builds_and_patches_of_python_may_differ() -> None:
    mine = {"packages": {"torch": "2.13.0+cpu", "python": "3.11.7.final.0", "hitlens": "1"}}
    theirs = {"packages": {"torch": "2.13.0+cu128", "python": "3.11.9.final.0", "hitlens": "1"}}
    check_versions({"client": mine, "workers": {"tcp://a:1": theirs, "tcp://gone:2": mine}})


def test_a_worker_that_does_not_see_the_folder(
    factories: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "_sees", lambda mark: False)
    folder = tmp_path / "output"
    with (
        pytest.raises(ConfigError, match=r"does not see the folder .*output \(nor do 1 others\)"),
        open_pool(f"{factories}.threads", shared=folder),
    ):
        pass
    assert list(folder.iterdir()) == []


def start(command: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a dask scheduler or worker as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", f"distributed.cli.dask_{command}", *arguments],
        env=os.environ | {"PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def end(*processes: subprocess.Popen[bytes]) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        process.wait()


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A scheduler without workers, and its address."""
    file = tmp_path_factory.mktemp("scheduler") / "scheduler.json"
    options = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
    process = start("scheduler", *options)
    try:
        end_time = time.monotonic() + 300
        while not file.exists() or not file.read_text().strip().endswith("}"):
            assert time.monotonic() < end_time
            time.sleep(0.1)
        yield process, json.loads(file.read_text())["address"]
    finally:
        end(process)


def start_worker(address: str) -> subprocess.Popen[bytes]:
    return start("worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard")


@pytest.mark.slow
def test_a_scheduler_without_workers(scheduler: tuple[Any, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "WORKERS_SECONDS", 1.0)
    with pytest.raises(ConfigError, match=r"No workers appeared at .*dask worker"), open_pool(scheduler[1]):
        pass


@pytest.mark.slow
def test_workers_of_a_scheduler_come_and_go(
    scheduler: tuple[subprocess.Popen[bytes], str],
    tasks: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    process, address = scheduler
    workers = [start_worker(address), start_worker(address)]
    try:
        with open_pool(address, workers=2, shared=tmp_path) as opened:
            assert opened.n_workers == 2
            # A worker that dies is not started again here: the other one does its task.
            assert list(opened.run(tasks.die_once, [tmp_path / "mark"])) == [(0, "alive")]
            assert len(list(opened.run(tasks.double, range(5)))) == 5
            monkeypatch.setattr(pool_module, "WORKERS_SECONDS", 1.0)
            end(*workers)
            with pytest.raises(RunError, match="All workers of the cluster are gone"):
                list(opened.run(tasks.double, range(5)))
            workers.append(start_worker(address))
            monkeypatch.setattr(pool_module, "WORKERS_SECONDS", 60.0)
            assert len(list(opened.run(tasks.double, range(5)))) == 5
            running = opened.run(tasks.slowly, range(1000))
            next(running)
            end(process)
            with pytest.raises(RunError, match="The scheduler of the cluster is gone"):
                list(running)
    finally:
        end(*workers)
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_ctrl_c_closes_everything(tasks: ModuleType, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    marks = [tmp_path / "a", tmp_path / "b"]
    script.write_text(
        "import pool_tasks\n"
        "from pathlib import Path\n"
        "from hitlens.workflow.pool import open_pool\n"
        "if __name__ == '__main__':\n"
        "    with open_pool('local', workers=2) as pool:\n"
        f"        list(pool.run(pool_tasks.wait_long, map(Path, {list(map(str, marks))!r})))\n"
    )
    process = subprocess.Popen(
        [sys.executable, str(script)],
        env=os.environ | {"PYTHONPATH": str(HERE)},
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        end_time = time.monotonic() + 300
        while not all(mark.exists() for mark in marks):
            assert time.monotonic() < end_time and process.poll() is None
            time.sleep(0.1)
        children = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, said = process.communicate(timeout=60)
        assert said.strip().splitlines()[-1] == "KeyboardInterrupt"
        assert said.count("Traceback") == 1
        _, alive = psutil.wait_procs(children, timeout=10)
        assert not alive
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
