"""The trials of a search: asked for, told, found again after the process died."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hitlens.errors import ConfigError
from hitlens.tune.config import SearchConfig
from hitlens.tune.results import Objective, Parameter
from hitlens.tune.search import Asked, Place, Search, TrialWatch, masked
from hitlens.tune.space import grid_points

SCORE = Objective("score", "validation accuracy", "", True)
SIZE = Objective("parameters", "parameters", "", False)
GRID = (Parameter("a", (0.4, 0.5)), Parameter("b", ((8, 16), (16,), None)))
MIXED = (
    Parameter("a", ("x", "y", "z")),
    Parameter("b", low=1e-4, high=1e-1, log=True),
    Parameter("c", low=2, high=40, whole=True),
    Parameter("d", (0.0, 0.1, 0.2, 0.3), low=0.0, high=0.3, step=0.1),
)


def settings(method: str = "grid", **changes: Any) -> SearchConfig:
    known: dict[str, Any] = {"space": {"a": [1, 2]}, "method": method}
    known |= {} if method == "grid" else {"trials": 1}
    return SearchConfig(**known).model_copy(update=changes)


def place(tmp_path: Path, name: str = "journal") -> Place:
    return Place(str(tmp_path / name), "one")


def opened(
    where: Place, config: SearchConfig, parameters: tuple[Parameter, ...] = MIXED, **more: Any
) -> Search:
    return Search(where, config, parameters, more.pop("objectives", (SCORE,)), n_epochs=4, **more)


def quality(values: Any) -> float:
    return float(-abs(values["c"] - 20) + (values["a"] == "y") - 10 * values["d"])


def run(search: Search, n_at_most: int = 1000) -> list[Asked]:
    """Train trials, one after the other."""
    asked = []
    for trial in search.next_trials():
        asked.append(trial)
        if len(asked) > n_at_most:
            break
        search.tell(trial.number, "finished", (quality(trial.values) if "c" in trial.values else 1.0,))
    return asked


def test_a_grid_asks_for_every_point_once_in_order(tmp_path: Path) -> None:
    asked = run(opened(place(tmp_path), settings(), GRID))
    assert [one.values for one in asked] == list(grid_points(GRID))
    assert [one.number for one in asked] == list(range(6))


@pytest.mark.parametrize("storage", ["journal", "sqlite"])
@pytest.mark.parametrize("method", ["grid", "random", "tpe"])
def test_a_search_that_is_opened_again_asks_for_the_same_trials(
    tmp_path: Path, method: str, storage: str
) -> None:
    parameters = GRID if method == "grid" else MIXED
    config = settings(method, trials=0 if method == "grid" else 14, startup=5)

    def where(name: str) -> Place:
        path = tmp_path / name
        return Place(str(path) if storage == "journal" else f"sqlite:///{path}.db", "one")

    unbroken = run(opened(where("unbroken"), config, parameters))
    broken: list[Asked] = []
    for n_at_most in (2, 0, 3, 1000):  # the last one asked for each time is not told: its process died
        broken += run(opened(where("broken"), config, parameters), n_at_most)
    numbers = [one.number for one in broken]
    assert len(numbers) > len(set(numbers)) == len(unbroken)
    assert {one.number: one.values for one in broken} == {one.number: one.values for one in unbroken}


def test_tpe_looks_where_good_trials_were(tmp_path: Path) -> None:
    asked = run(opened(place(tmp_path), settings("tpe", trials=40, startup=10)))
    first = sum(quality(one.values) for one in asked[:10]) / 10
    last = sum(quality(one.values) for one in asked[-10:]) / 10
    assert last > first + 3
    for one in asked:
        assert one.values["a"] in ("x", "y", "z")
        assert 1e-4 <= one.values["b"] <= 1e-1  # type: ignore[operator]
        assert isinstance(one.values["c"], int)
        assert one.values["d"] in MIXED[3].choices


def test_seeds_draw_other_trials(tmp_path: Path) -> None:
    drawn = [
        run(opened(place(tmp_path, str(seed)), settings("random", trials=4, seed=seed))) for seed in (1, 2)
    ]
    assert drawn[0][0].values != drawn[1][0].values
    assert len({str(one.values) for one in drawn[0]}) == 4


def test_a_trial_cut_off_between_two_values_gets_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hitlens.tune import search as module

    config = settings("random", trials=3)
    unbroken = run(opened(place(tmp_path, "unbroken"), config))
    draw, calls = module._draw, []

    def dies(trial: Any, parameter: Parameter) -> Any:
        calls.append(parameter)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return draw(trial, parameter)

    monkeypatch.setattr(module, "_draw", dies)
    with pytest.raises(KeyboardInterrupt):
        run(opened(place(tmp_path), config))
    assert run(opened(place(tmp_path), config)) == unbroken


def test_more_trials_may_be_asked_for_later(tmp_path: Path) -> None:
    run(opened(place(tmp_path), settings("tpe", trials=3)))
    more = run(opened(place(tmp_path), settings("tpe", trials=5)))
    assert [one.number for one in more] == [3, 4]


def test_failed_and_pruned_trials_are_not_asked_for_again(tmp_path: Path) -> None:
    search = opened(place(tmp_path), settings(), GRID)
    for trial, state in zip(search.next_trials(), ("failed", "pruned", "finished", "finished"), strict=False):
        search.tell(trial.number, state, (1.0,) if state == "finished" else ())  # type: ignore[arg-type]
        search.tell(trial.number, "finished", (5.0,))  # told twice: the first time counts
    again = opened(place(tmp_path), settings(), GRID)
    assert again.ended == (0, 1, 2, 3)
    assert [one.number for one in again.next_trials()] == [4, 5]


def test_the_setting_that_decides_is_the_important_one(tmp_path: Path) -> None:
    search = opened(place(tmp_path), settings("random", trials=30), objectives=(SCORE, SIZE))
    for trial in search.next_trials():
        search.tell(trial.number, "finished", (float(trial.values["c"]), 7.0))  # type: ignore[arg-type]
    found = search.importances((SCORE, SIZE))
    assert set(found) == {"score"}  # all sizes are alike: nothing explains them
    assert found["score"]["c"] > 0.9
    assert sum(found["score"].values()) == pytest.approx(1)


def test_too_few_trials_say_nothing_of_importance(tmp_path: Path) -> None:
    search = opened(place(tmp_path), settings("random", trials=2))
    run(search)
    assert search.importances((SCORE,)) == {}


def watches(where: Place, config: SearchConfig, curves: list[list[float]]) -> tuple[Search, list[int]]:
    """Train trials with given scores; return how many epochs each had."""
    search, lengths = opened(where, config, GRID), []
    for trial, curve in zip(search.next_trials(), curves, strict=False):
        watch = TrialWatch(where, config, trial.number, 4)
        ended = next((epoch for epoch, score in enumerate(curve) if watch(epoch, score)), None)
        lengths.append(len(curve) if ended is None else ended + 1)
        if ended is None:
            search.tell(trial.number, "finished", (max(curve),))
        else:
            search.tell(trial.number, "pruned")
    return search, lengths


GOOD, BAD = [0.6, 0.7, 0.8, 0.9], [0.1, 0.2, 0.3, 0.4]


@pytest.mark.parametrize("pruner", ["median", "halving", "hyperband"])
def test_a_trial_that_falls_behind_is_ended(tmp_path: Path, pruner: str) -> None:
    config = settings(pruner=pruner, startup=2)
    _, lengths = watches(place(tmp_path), config, [GOOD, [0.5, *GOOD[1:]], GOOD, BAD, BAD, BAD])
    assert lengths[0] == 4
    assert min(lengths[3:]) < 4


def test_without_a_pruner_nothing_is_ended(tmp_path: Path) -> None:
    _, lengths = watches(place(tmp_path), settings(), [GOOD, GOOD, BAD, BAD])
    assert set(lengths) == {4}


def test_epochs_that_are_trained_again_are_judged_as_the_first_time(tmp_path: Path) -> None:
    where, config = place(tmp_path), settings(pruner="median", startup=2)
    search, _ = watches(where, config, [GOOD, GOOD, GOOD])
    trial = next(search.next_trials())
    late = [0.9, 0.9, 0.1, 0.1]
    watch = TrialWatch(where, config, trial.number, 4)
    assert [watch(epoch, score) for epoch, score in enumerate(late)] == [False] * 4
    again = TrialWatch(where, config, trial.number, 4)  # its process died after epoch 3, epoch 0 was kept
    assert [again(epoch, score) for epoch, score in list(enumerate(late))[1:]] == [False] * 3


def test_what_a_dying_process_left_unfinished_is_cut_off(tmp_path: Path) -> None:
    run(opened(place(tmp_path), settings(), GRID), 1)
    whole = (tmp_path / "journal").read_bytes()
    with (tmp_path / "journal").open("ab") as file:
        file.write(b'{"op_code": 5, "wor')
    again = opened(place(tmp_path), settings(), GRID)
    assert [one.number for one in run(again)] == [1, 2, 3, 4, 5]
    assert (tmp_path / "journal").read_bytes().startswith(whole)


def test_two_processes_write_one_journal(tmp_path: Path) -> None:
    asking = opened(place(tmp_path), settings(), GRID).next_trials()
    trials = [next(asking), next(asking)]
    script = (
        "import sys\nfrom hitlens.tune.search import *\nfrom hitlens.tune.config import SearchConfig\n"
        "config = SearchConfig(space={'a': [1, 2]}, method='grid', pruner='median')\n"
        "watch = TrialWatch(Place(sys.argv[1], 'one'), config, int(sys.argv[2]), 9)\n"
        "for epoch in range(30): watch(epoch, epoch / 30)\n"
    )
    path = str(tmp_path / "journal")
    processes = [subprocess.Popen([sys.executable, "-c", script, path, str(one.number)]) for one in trials]
    try:
        assert [process.wait(60) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    again = opened(place(tmp_path), settings(), GRID)
    told = [one.intermediate_values for one in again._study.get_trials(deepcopy=False)[:2]]
    assert [len(one) for one in told] == [30, 30]


@pytest.mark.parametrize(
    ("storage", "message"),
    [
        ("sqlite:////no/such/folder/a.db", "unable to open database file"),
        ("nodatabase://here/x", "nodatabase"),
        ("/no/such/folder/journal", "No such file"),
    ],
)
def test_a_storage_that_does_not_answer_is_one_error(storage: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"storage of the search, .* cannot be used: .*{message}"):
        opened(Place(storage, "one"), settings(), GRID)


def test_a_watch_remembers_that_its_storage_is_gone(tmp_path: Path) -> None:
    where, config = place(tmp_path), settings(pruner="median")
    trial = next(opened(where, config, GRID).next_trials())
    watch = TrialWatch(where, config, trial.number, 4)
    assert watch(0, 0.5) is False
    (tmp_path / "journal").unlink()
    with pytest.raises(ConfigError, match="cannot be used"):
        watch(1, 0.5)
    assert watch.broken is not None


def test_a_password_is_not_shown() -> None:
    assert masked("postgresql+psycopg://me:a@b:c@host:1/x") == "postgresql+psycopg://me:***@host:1/x"
    assert masked("sqlite:///a.db") == "sqlite:///a.db"
    assert masked("postgresql://me@host/x") == "postgresql://me@host/x"
    assert masked("/a/journal") == "/a/journal"


def test_without_optuna_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"hitlens\[tune\]"):
        opened(place(tmp_path), settings(), GRID)
