"""Who trains together, told from the environment; real processes are started in tests/workflow."""

from __future__ import annotations

import pytest

from hitlens.errors import ConfigError, DataError, RunError
from hitlens.train import processes
from hitlens.train.processes import Alarm, Processes, find_processes, refuse_several, started_together

TORCHRUN = {"TORCHELASTIC_RUN_ID": "a", "RANK": 3, "WORLD_SIZE": 4, "LOCAL_WORLD_SIZE": 2}
TORCHRUN |= {"GROUP_WORLD_SIZE": 2}
SRUN = {"SLURM_STEP_NUM_TASKS": 6, "SLURM_PROCID": 5, "SLURM_STEP_NUM_NODES": 3, "SLURM_NTASKS_PER_NODE": 2}


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*TORCHRUN, *SRUN):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(processes, "_GRACE_SECONDS", 0.0)
    monkeypatch.setattr(processes, "_LOOK_SECONDS", 600.0)  # or it would end the tests


def given(monkeypatch: pytest.MonkeyPatch, environment: dict[str, object]) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, str(value))


def test_torchrun_and_srun_say_who_this_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        given(patch, TORCHRUN)
        assert find_processes() == Processes(3, 4, 2, "torchrun")
        assert find_processes().n_local == 2
        assert not find_processes().is_first
    given(monkeypatch, SRUN)
    assert find_processes() == Processes(5, 6, 3, "srun")


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"SLURM_NTASKS": 4, "SLURM_PROCID": 0},  # a batch script without srun
        SRUN | {"SLURM_STEP_NUM_TASKS": 1, "SLURM_STEP_NUM_NODES": 1},
        TORCHRUN | {"WORLD_SIZE": 1, "LOCAL_WORLD_SIZE": 1, "GROUP_WORLD_SIZE": 1, "RANK": 0},
    ],
)
def test_one_process_is_alone(monkeypatch: pytest.MonkeyPatch, environment: dict[str, object]) -> None:
    given(monkeypatch, environment)
    assert find_processes() == Processes()
    with started_together() as found:
        assert found == Processes()


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (TORCHRUN | {"WORLD_SIZE": 3}, "as many processes as the others. Got 3 on 2 machines"),
        (SRUN | {"SLURM_STEP_NUM_TASKS": 7}, "as many processes as the others. Got 7 on 3 machines"),
    ],
)
def test_uneven_machines_are_refused(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, object], message: str
) -> None:
    given(monkeypatch, environment)
    with pytest.raises(ConfigError, match=message):
        find_processes()


def test_slurm_must_be_told_the_processes_of_each_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, {name: value for name, value in SRUN.items() if name != "SLURM_NTASKS_PER_NODE"})
    with pytest.raises(ConfigError, match="--ntasks-per-node"):
        find_processes()


def test_what_one_process_does_is_refused_in_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_several("A study")
    given(monkeypatch, TORCHRUN | {"RANK": 0})
    with pytest.raises(ConfigError, match="A study runs in one process; 4 were started together"):
        refuse_several("A study")
    given(monkeypatch, TORCHRUN)
    with pytest.raises(SystemExit) as left:
        refuse_several("A study")
    assert left.value.code == 2


class Store:
    """What the processes share, on one machine."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def add(self, name: str, number: int) -> int:
        self.counts[name] = self.counts.get(name, 0) + number
        return self.counts[name]

    def check(self, names: list[str]) -> bool:
        return all(name in self.counts for name in names)


def test_the_first_error_is_raised_and_the_others_end_quietly() -> None:
    store = Store()
    first, second = Alarm(store, 1), Alarm(store, 1)
    with pytest.raises(DataError, match="a broken file"):
        first.end(DataError("a broken file"))
    with pytest.raises(SystemExit) as left:
        second.end(RuntimeError("gloo: Connection closed by peer"))
    assert left.value.code == 2


def test_a_process_that_lost_another_says_so_in_plain_words() -> None:
    alarm = Alarm(Store(), 1)
    with pytest.raises(RunError, match="Another process of this training is gone"):
        alarm.end(RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:4"))
    alarm = Alarm(Store(), 1)
    with pytest.raises(RuntimeError, match="shapes"):
        alarm.end(RuntimeError("shapes do not fit"))
