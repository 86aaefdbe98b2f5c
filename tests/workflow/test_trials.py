"""One training of a search: which events it gets, when it is ended, what it leaves."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hitlens.config import RunConfig
from hitlens.errors import FileFormatError, InterruptedRunError
from hitlens.events import Events
from hitlens.io.native_writer import NativeWriter
from hitlens.train.bundle import Way
from hitlens.train.ways import Choice
from hitlens.tune.config import SearchConfig
from hitlens.tune.results import Objective, Parameter
from hitlens.tune.search import Place, Search
from hitlens.workflow import runs, together, trials
from hitlens.workflow.preparing import prepare
from hitlens.workflow.trials import (
    TrialGroup,
    TrialTask,
    events_without_test,
    read_trial,
    train_trial,
    train_trials,
    without_test,
)

SCORE = Objective("score", "validation accuracy", "", True)
SEARCH = SearchConfig(space={"train.batch_size": [32, 64]}, method="grid")


@pytest.fixture(scope="module")
def config(make_cebr: Callable[..., Events], tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    path = tmp_path_factory.mktemp("data") / "made.h5"
    with NativeWriter(path, "cebr") as writer:
        writer.write(make_cebr(200))
    return RunConfig(
        detector="cebr",
        task="multiplicity",
        data={"files": [str(path)]},
        model={"name": "dense", "settings": {"hidden": [4]}, "symmetrise": False},
        train={"epochs": 3, "batch_size": 32, "precision": "float32", "accelerator": "cpu"},
        evaluate={"n_bootstrap": 20},
    )


def task(config: RunConfig, root: Path, **changes: Any) -> TrialTask:
    place = Place(str(root / "journal"), "one")
    values = {"train.batch_size": 32}
    made = TrialTask(
        *(root, "000", "trials/000", 0, "search", values, config, SEARCH, place, (SCORE,)),
        higher_is_better=True,
    )
    return replace(made, **changes)


def begun_search(config: SearchConfig, root: Path) -> None:
    parameters = (Parameter("train.batch_size", (32, 64)),)
    search = Search(Place(str(root / "journal"), "one"), config, parameters, (SCORE,), n_epochs=3)
    next(search.next_trials())


def test_a_trial_s_events_are_those_of_the_other_splits(config: RunConfig) -> None:
    whole = prepare(config)
    found = without_test(whole)
    assert len(found.events) == len(whole.split.train) + len(whole.split.validation)
    assert len(found.split.test) == 0
    assert found.split.hash == whole.split.hash
    for name in ("train", "validation"):
        mine, theirs = getattr(found.split, name), getattr(whole.split, name)
        assert found.events.truth["event"][mine].equals(whole.events.truth["event"][theirs])
        images = found.events.images["anode"][mine]  # type: ignore[union-attr]
        assert np.array_equal(images, whole.events.images["anode"][theirs])  # type: ignore[union-attr]
    left = set(whole.events.truth["event"][whole.split.test]) & set(found.events.truth["event"])
    assert not left


def test_events_are_kept_until_others_are_asked_for(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[RunConfig] = []
    monkeypatch.setattr(trials, "prepare", lambda run: read.append(run) or prepare(run))  # type: ignore[func-returns-value]
    trials.forget_events()
    longer = config.model_copy(update={"train": config.train.model_copy(update={"epochs": 9})})
    assert events_without_test(config) is events_without_test(longer)
    shown = config.model_copy(update={"train": config.train.model_copy(update={"mix": "balanced"})})
    assert events_without_test(shown).chances is not None
    os.utime(config.data.files[0])  # written again
    events_without_test(shown)
    assert len(read) == 3
    trials.forget_events()


def test_a_trial_that_ended_is_only_read(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = train_trial(task(config, tmp_path))
    assert sorted(path.name for path in (tmp_path / "trials").iterdir()) == ["000", "000.json"]
    monkeypatch.setattr(trials, "train", lambda *_, **__: pytest.fail("trained again"))
    assert train_trial(task(config, tmp_path)) == found == read_trial(tmp_path / "trials" / "000.json")
    (tmp_path / "trials" / "000.json").write_text("{")
    with pytest.raises(FileFormatError, match="does not hold a trial"):
        train_trial(task(config, tmp_path))


def test_a_trial_that_died_after_its_training_is_measured_only(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(trials, "_measured", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train_trial(task(config, tmp_path))
    assert runs.is_finished(tmp_path / "trials" / "000")
    monkeypatch.setattr(trials, "train", lambda *_, **__: pytest.fail("trained again"))
    found = train_trial(task(config, tmp_path))
    assert (found.state, found.n_resumed) == ("finished", 1)


def test_what_a_process_left_in_its_first_moments_is_cleared_away(config: RunConfig, tmp_path: Path) -> None:
    folder = tmp_path / "trials" / "000"
    folder.mkdir(parents=True)
    (folder / ".provenance.json.partial-7").write_text("{")
    assert train_trial(task(config, tmp_path)).state == "finished"


def test_an_early_end_is_remembered_before_it_takes_place(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = SEARCH.model_copy(update={"pruner": "median"})
    begun_search(search, tmp_path)
    pruned = task(config, tmp_path, search=search)
    with monkeypatch.context() as patched:
        patched.setattr(trials.TrialWatch, "__call__", lambda self, epoch, score: epoch == 1)
        patched.setattr(trials, "_measured", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train_trial(pruned)
    # As if it had died between the decision and the end of the training; the search would now let it live.
    record = runs.read_provenance(pruned.run_folder)
    runs.write_provenance(pruned.run_folder, record | {"status": "running"})
    monkeypatch.setattr(trials.TrialWatch, "__call__", lambda self, epoch, score: False)
    found = train_trial(pruned)
    assert found.state == "pruned"
    assert found.run is not None
    assert found.n_resumed == 1


def test_a_broken_storage_is_no_fault_of_the_trial(config: RunConfig, tmp_path: Path) -> None:
    search = SEARCH.model_copy(update={"pruner": "median"})
    begun_search(search, tmp_path)
    train = trials.train

    def loses_storage(*arguments: Any, **options: Any) -> Any:
        (tmp_path / "journal").unlink()
        return train(*arguments, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(trials, "train", loses_storage)
        with pytest.raises(Exception, match="storage of the search"):
            train_trial(task(config, tmp_path, search=search))
    assert not (tmp_path / "trials" / "000.json").exists()


@pytest.mark.parametrize("settings", [{"hidden": []}, {"hidden": [10**9]}])
def test_settings_that_cannot_be_trained_are_a_failed_trial(
    config: RunConfig, tmp_path: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_: Any, **__: Any) -> None:
        raise MemoryError("no memory for this")

    if settings["hidden"]:
        monkeypatch.setattr(trials, "train", no_memory)
    model = config.model.model_copy(update={"settings": settings | {"dropout": 5}})
    found = train_trial(task(config.model_copy(update={"model": model}), tmp_path))
    assert (found.state, found.run, found.objectives) == ("failed", None, {})
    assert "dropout" in found.error or "no memory" in found.error


HOLDS = (
    "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print(1, flush=True); "
    "time.sleep(99)"
)


def test_one_process_works_on_a_trial_and_its_death_frees_it(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = task(config, tmp_path).record.with_suffix(".lock")
    lock.parent.mkdir()
    holder = subprocess.Popen([sys.executable, "-c", HOLDS, str(lock)], stdout=subprocess.PIPE)
    done = threading.Thread(target=train_trial, args=(task(config, tmp_path),))
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline()
        monkeypatch.setattr(trials, "train", lambda *_, **__: (_ for _ in ()).throw(MemoryError("none")))
        done.start()
        done.join(0.5)
        assert done.is_alive()
        assert not (tmp_path / "trials" / "000.json").exists()
        holder.kill()
        done.join(60)
        assert read_trial(tmp_path / "trials" / "000.json").error == "none"
    finally:
        holder.kill()
        holder.communicate()


@pytest.fixture
def stacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take trials in one pass, however short they are."""
    monkeypatch.setattr(together, "choose_way", lambda members, at_once: Choice(Way(1, len(members)), {}))


def group_of(config: RunConfig, root: Path, rates: tuple[float, ...]) -> TrialGroup:
    tasks = []
    for number, rate in enumerate(rates):
        changed = config.model_copy(update={"train": config.train.model_copy(update={"learning_rate": rate})})
        name = f"{number:03d}"
        tasks.append(task(changed, root, name=name, folder=f"trials/{name}", number=number))
    return TrialGroup(tuple(tasks))


@pytest.mark.usefixtures("stacked")
def test_trials_trained_at_once_are_those_trained_alone(config: RunConfig, tmp_path: Path) -> None:
    rates = (1e-3, 3e-3, 1e-2)
    at_once = train_trials(group_of(config, tmp_path / "at once", rates))
    alone = [train_trial(one) for one in group_of(config, tmp_path / "alone", rates).tasks]
    for one, other in zip(at_once, alone, strict=True):
        assert one.run is not None and other.run is not None
        assert one.objectives["score"] == pytest.approx(other.objectives["score"], abs=0.03)
        assert one.run.history["train_loss"] == pytest.approx(other.run.history["train_loss"], rel=1e-3)
        assert one.n_resumed == 0
    record = runs.read_provenance(tmp_path / "at once" / "trials" / "001")
    assert record["trained_with"]["way"] == "3 stacked"
    assert not list((tmp_path / "at once" / "trials").glob("*/checkpoints"))


@pytest.mark.usefixtures("stacked")
def test_one_that_cannot_be_trained_leaves_the_others_alone(config: RunConfig, tmp_path: Path) -> None:
    found = train_trials(group_of(config, tmp_path, (1e-3, 1e30, 3e-3)))
    assert [one.state for one in found] == ["finished", "failed", "finished"]
    assert "diverged" in found[1].error


@pytest.mark.usefixtures("stacked")
def test_ctrl_c_ends_all_trials_trained_at_once(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = group_of(config, tmp_path, (1e-3, 3e-3))
    ended = InterruptedRunError("Ctrl-C")
    monkeypatch.setattr(trials, "train_together", lambda jobs, **_: [ended for _ in jobs])
    with pytest.raises(InterruptedRunError, match=r"--resume continues it"):
        train_trials(group)
    assert not group.tasks[0].record.exists()
    monkeypatch.undo()
    assert [one.state for one in train_trials(group)] == ["finished", "finished"]
