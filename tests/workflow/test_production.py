"""Simulation by processes: the bytes of one process, also when a worker is killed or the command is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hitlens.errors import ConfigError, NotFoundError, RunError
from hitlens.workflow import production, simulation
from hitlens.workflow.pool import SerialPool
from hitlens.workflow.production import SimulatedRange, simulate_part
from hitlens.workflow.simulation import simulate, simulate_to_file, simulate_to_files


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the cluster be this process."""
    monkeypatch.setattr(
        production, "open_pool", lambda cluster, **options: contextlib.nullcontext(SerialPool())
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    ("detector", "name", "n_events"),
    [("cebr", "a.h5", 9000), ("cebr", "a.txt.gz", 300), ("nova", "a.h5", 1100), ("nova", "neutrino1.h5", 40)],
)
def test_parts_give_the_bytes_of_one_process(
    detector: str, name: str, n_events: int, tmp_path: Path, one_by_one: None
) -> None:
    seen: list[int] = []
    simulate_to_file(tmp_path / "one" / name, detector, n_events, seed=3, workers=1)
    made = simulate_to_file(
        tmp_path / "many" / name, detector, n_events, seed=3, cluster="faked", progress=seen.append
    )
    assert made.n_events == sum(seen) == n_events
    assert contents(tmp_path / "one") == contents(tmp_path / "many")


def test_numbered_files_have_the_bytes_of_one_process(tmp_path: Path, one_by_one: None) -> None:
    simulate_to_files(tmp_path / "one", "nova", 700, 3, seed=3)
    made = simulate_to_files(tmp_path / "many", "nova", 700, 3, seed=3, cluster="faked")
    assert [file.n_events for file in made] == [234, 233, 233]
    assert contents(tmp_path / "one") == contents(tmp_path / "many")


def test_a_large_sample_has_parts_of_several_blocks(
    tmp_path: Path, one_by_one: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(production, "_PARTS", 2)
    works: list[SimulatedRange] = []

    def note(work: SimulatedRange, path: Path) -> Any:
        works.append(work)
        return simulate_part(work, path)

    monkeypatch.setattr(production, "simulate_part", note)
    simulate_to_file(tmp_path / "many" / "a.h5", "nova", 2200, cluster="faked")
    assert [(work.first, work.stop) for work in works] == [(0, 1024), (2, 2048), (4, 2200)]
    simulate_to_file(tmp_path / "one" / "a.h5", "nova", 2200)
    assert contents(tmp_path / "one") == contents(tmp_path / "many")


def test_a_part_is_a_range_of_the_sample(tmp_path: Path) -> None:
    from hitlens.detectors.nova.simulate import NovaConfig
    from hitlens.io.native import read_native

    work = SimulatedRange("nova", NovaConfig().model_dump_json(), 2, first=1, stop=600)
    assert str(work) == "nova events with seed 2, block 1 to event 600"
    assert simulate_part(work, tmp_path / "part.h5").n_events == 88
    whole = simulate("nova", 600, 2).select(slice(512, None))
    assert read_native(tmp_path / "part.h5").truth["evt"].to_list() == whole.truth["evt"].to_list()


def test_another_sample_does_not_go_on_with_parts(
    tmp_path: Path, one_by_one: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(SerialPool):
        def run(self, function: Any, tasks: Any) -> Any:
            done = super().run(function, tasks)
            yield next(done)
            raise RunError("the cluster is gone")

    path = tmp_path / "a.h5"
    with monkeypatch.context() as patch:
        patch.setattr(production, "open_pool", lambda cluster, **options: contextlib.nullcontext(Stopped()))
        with pytest.raises(RunError, match="gone"):
            simulate_to_file(path, "nova", 600, seed=1, cluster="faked")
    assert not path.exists()
    with pytest.raises(RunError, match="seed is 1 there, 2 here"):
        simulate_to_file(path, "nova", 600, seed=2, cluster="faked")
    simulate_to_file(path, "nova", 600, seed=1, cluster="faked")
    assert [one.name for one in tmp_path.iterdir()] == ["a.h5"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_events": 0}, "n_events must be at least 1"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"settings": ["least_hit=3"]}, "Did you mean 'least_hits'"),
        ({"cluster": "lokal"}, "There is no cluster 'lokal'"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_made(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    arguments = {"detector": "nova", "n_events": 10, "cluster": "local"} | options
    with pytest.raises(ConfigError, match=message):
        simulation.simulate_to_file(tmp_path / "a.h5", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_detector_without_simulator_is_no_part(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no simulator"):
        simulate_part(SimulatedRange("dune", "{}", 1, 0, 1), tmp_path / "part.h5")


@pytest.mark.slow
def test_a_killed_worker_changes_no_byte(
    tmp_path: Path, kill_a_worker: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    simulate_to_file(tmp_path / "one" / "a.h5", "cebr", 40_000, seed=3)
    with kill_a_worker(tmp_path / "many" / "a.h5.parts") as killed:
        simulate_to_file(tmp_path / "many" / "a.h5", "cebr", 40_000, seed=3, cluster="local", workers=2)
    assert killed and 0 < killed[0] < 10
    assert contents(tmp_path / "one") == contents(tmp_path / "many")
    assert capfd.readouterr() == ("", "")
