"""Trainings at once: folders as of `train`, ways measured and recorded, errors that stay with their job."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from hitlens.config import RunConfig, dump_config
from hitlens.errors import ConfigError, RunError
from hitlens.evaluate.predictions import read_predictions
from hitlens.events import Events
from hitlens.io.native_writer import NativeWriter
from hitlens.train import bundle
from hitlens.train.bundle import ONE_BY_ONE, Way
from hitlens.train.callbacks import read_history
from hitlens.train.engine import TrainingResult
from hitlens.train.ways import Choice, candidate_ways, fastest, measure_ways
from hitlens.workflow import runs, together
from hitlens.workflow.preparing import prepare
from hitlens.workflow.together import Job, choose_way, train_together
from hitlens.workflow.training import begin_training, train

STACKED = Way(1, 2)


@pytest.fixture(scope="module")
def config(make_cebr: Callable[..., Events], tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    data = tmp_path_factory.mktemp("data") / "made.h5"
    with NativeWriter(data, "cebr") as writer:
        writer.write(make_cebr(400))
    return RunConfig(
        detector="cebr",
        task="multiplicity",
        data={"files": [str(data)]},
        model={"name": "dense", "settings": {"hidden": [8]}, "symmetrise": False},
        train={"epochs": 2, "batch_size": 40, "precision": "float32", "accelerator": "cpu"},
    )


def changed(config: RunConfig, model: dict[str, Any] | None = None, **train: Any) -> RunConfig:
    settings = {**config.model.settings, **(model or {})}
    return config.model_copy(
        update={
            "train": config.train.model_copy(update=train),
            "model": config.model.model_copy(update={"settings": settings}),
        }
    )


def test_a_run_folder_is_that_of_a_training_alone(config: RunConfig, tmp_path: Path) -> None:
    jobs = [Job(changed(config, seed=seed), tmp_path / f"seed{seed}") for seed in (1, 2)]
    results = train_together(jobs, progress=False, way=STACKED)
    assert all(isinstance(one, TrainingResult) and one.n_epochs == 2 for one in results)
    for job in jobs:
        alone = tmp_path / f"alone{job.config.train.seed}"
        train(job.config, alone, progress=False)
        assert {path.name for path in alone.iterdir()} == {path.name for path in job.folder.iterdir()}
        mine, other = (runs.read_provenance(folder) for folder in (job.folder, alone))
        assert mine["initial_weights"] == other["initial_weights"]
        assert mine["status"] == "finished"
        assert mine["validation_score"] == pytest.approx(other["validation_score"], abs=0.02)
        score, expected = (
            read_predictions(folder / runs.PREDICTIONS).table["score_multiplicity"].to_numpy()
            for folder in (job.folder, alone)
        )
        assert score == pytest.approx(expected, abs=0.01)


def test_one_after_the_other_each_has_the_weights_it_has_alone(config: RunConfig, tmp_path: Path) -> None:
    network = {"name": "plain_cnn", "settings": {"features": [4, 4], "last_features": 8, "dropout": 0.2}}
    config = config.model_copy(update={"model": config.model.model_copy(update=network)})
    for name in ("once", "again"):
        jobs = [Job(changed(config, seed=seed), tmp_path / name / f"{seed}") for seed in (3, 5, 8)]
        train_together(jobs, progress=False)
    train(changed(config, seed=8), tmp_path / "alone", progress=False)
    for seed in (3, 5, 8):
        assert_same_weights(tmp_path / "once" / f"{seed}", tmp_path / "again" / f"{seed}")
    assert_same_weights(tmp_path / "once" / "8", tmp_path / "alone")


def test_a_pass_takes_models_by_number_in_whatever_order_their_threads_come() -> None:
    lane = bundle._Lane(2, threading.Event(), 3)
    seats = [lane.join(number) for number in (0, 1, 2)]
    for number in (2, 0, 1):
        images = {"anode": torch.zeros(1, 1, 2, 2)}
        lane._requests.append(bundle._Request(seats[number], torch.nn.Identity(), images, None))
    assert [request.seat.number for request in lane._next()] == [0, 1, 2]


def assert_same_weights(one: Path, other: Path) -> None:
    a, b = (load_file(folder / runs.MODEL) for folder in (one, other))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_the_way_is_measured_and_recorded(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Way, ...]] = []

    def measure(
        modules: Any, data: Any, train: Any, ways: tuple[Way, ...], *, alike: bool
    ) -> dict[Way, float]:
        assert alike
        asked.append(ways)
        return {way: 1.5 if way == Way(1, 2) else 1.0 for way in ways}

    monkeypatch.setattr(together, "measure_ways", measure)
    monkeypatch.setattr(together, "_WORTH_MEASURING", 5)
    jobs = [Job(changed(config, seed=seed), tmp_path / f"{seed}") for seed in (1, 2)]
    train_together(jobs, progress=False, at_once=8)
    assert asked == [candidate_ways(2, together.torch.get_num_threads())]
    for job in jobs:
        record = json.loads((job.folder / "provenance.json").read_text())
        assert record["trained_with"] == {"way": "2 stacked", "models": 2, "ratio": 1.5}


def test_ways_are_measured_on_copies(config: RunConfig, tmp_path: Path) -> None:
    prepared = prepare(config)
    begun = [begin_training(changed(config, seed=s), tmp_path / f"{s}", prepared=prepared) for s in (1, 2)]
    before = [{k: v.clone() for k, v in one.module.state_dict().items()} for one in begun]
    ways = candidate_ways(2, 2)
    ratios = measure_ways([one.module for one in begun], begun[0].data, prepared.split.train, ways, budget=0)
    assert ratios.keys() == set(ways)
    assert ratios[ONE_BY_ONE] == 1.0
    assert all(ratio > 0 for ratio in ratios.values())
    for one, old in zip(begun, before, strict=True):
        assert one.module.seat is None
        assert all((value == old[name]).all() for name, value in one.module.state_dict().items())


def test_models_of_several_shapes_are_grouped_by_shape(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups: list[list[str]] = []

    def choose(members: Any, at_once: int) -> Choice:
        groups.append([one.folder.name for one in members])
        return Choice(Way(1, len(members)), {})

    monkeypatch.setattr(together, "choose_way", choose)
    wide = changed(config, {"hidden": [9]}, epochs=1)
    small = changed(config, batch_size=20, epochs=1)
    configs = {"a": config, "b": wide, "c": changed(config, seed=2), "d": small, "e": wide}
    configs["f"] = changed(config, {"dropout": 0.5}, epochs=1)
    jobs = [Job(one, tmp_path / name) for name, one in configs.items()]
    results = train_together(jobs, progress=False, at_once=8)
    assert groups == [["a", "c", "f"], ["b", "e"], ["d"]]
    assert [one.n_epochs for one in results if isinstance(one, TrainingResult)] == [2, 1, 2, 1, 1, 1]


def test_what_is_not_worth_measuring_is_not(config: RunConfig, tmp_path: Path) -> None:
    prepared = prepare(config)
    begun = [begin_training(changed(config, seed=s), tmp_path / f"{s}", prepared=prepared) for s in (1, 2)]
    assert choose_way(begun[:1], 8) == Choice(ONE_BY_ONE, {}, "it is one model")
    assert choose_way(begun, 1) == Choice(ONE_BY_ONE, {}, "more at once were not asked for")
    assert choose_way(begun, 8) == Choice(ONE_BY_ONE, {}, "their trainings are too short to measure ways")
    assert fastest({ONE_BY_ONE: 1.0, Way(2): 0.9}) == ONE_BY_ONE


def test_an_error_stays_with_its_job(config: RunConfig, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.tex").write_text("years of work")
    wrong = changed(config, {"hiden": 3})
    jobs = [
        Job(config, tmp_path / "good"),
        Job(config, tmp_path / "taken"),
        Job(wrong, tmp_path / "wrong"),
        Job(changed(config, learning_rate=1e30, gradient_clip=0.0, ema_decay=0.0), tmp_path / "diverged"),
    ]
    good, taken, wrong_one, diverged = train_together(jobs, progress=False, way=STACKED)
    assert isinstance(good, TrainingResult)
    assert isinstance(taken, RunError) and "not a run of hitlens" in str(taken)
    assert isinstance(wrong_one, ConfigError) and "hidden" in str(wrong_one)
    assert isinstance(diverged, RunError) and "diverged" in str(diverged)
    assert runs.read_provenance(tmp_path / "diverged")["status"] == "failed"


def test_a_watch_sees_its_own_epochs_and_a_resumed_job_goes_on(config: RunConfig, tmp_path: Path) -> None:
    seen: dict[str, list[int]] = {"a": [], "b": []}

    def watch(name: str, last: int) -> Callable[[int, float], bool]:
        def told(epoch: int, score: float) -> bool:
            seen[name].append(epoch)
            return epoch == last

        return told

    jobs = [Job(config, tmp_path / "a", watch("a", 9)), Job(config, tmp_path / "b", watch("b", 0))]
    finished, stopped = train_together(jobs, progress=False, way=STACKED)
    assert seen == {"a": [0, 1], "b": [0]}
    assert isinstance(finished, TrainingResult) and not finished.stopped
    assert isinstance(stopped, TrainingResult) and stopped.stopped
    assert runs.read_provenance(tmp_path / "b")["status"] == "stopped"
    (again,) = train_together([Job(config, tmp_path / "b", resume=True)], progress=False)
    assert isinstance(again, TrainingResult) and again.n_epochs == 2


def test_jobs_on_other_events_are_refused(config: RunConfig, tmp_path: Path) -> None:
    other = config.model_copy(update={"task": "single_energy"})
    with pytest.raises(ConfigError, match="cannot differ in task"):
        train_together([Job(config, tmp_path / "a"), Job(other, tmp_path / "b")], progress=False)
    assert train_together([]) == []


#: Trains two seeds stacked, as a process that can be killed.
CHILD = """
import sys
from pathlib import Path
from hitlens.config import load_config
from hitlens.train.bundle import Way
from hitlens.workflow.together import Job, train_together

folder = Path(sys.argv[1])
jobs = [Job(load_config(folder / f"{seed}.yaml"), folder / f"seed{seed}") for seed in (1, 2)]
train_together(jobs, progress=False, way=Way(1, 2))
"""


@pytest.mark.slow
def test_a_killed_bundle_goes_on_after_its_last_complete_epochs(config: RunConfig, tmp_path: Path) -> None:
    configs = {seed: changed(config, seed=seed, epochs=20, learning_rate=3e-4) for seed in (1, 2)}
    for seed, one in configs.items():
        (tmp_path / f"{seed}.yaml").write_text(dump_config(one))
    folders = [tmp_path / f"seed{seed}" for seed in configs]
    process = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)])
    try:
        while not all(len(read_history(folder / "history.csv")) >= 2 for folder in folders):
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    assert all(len(read_history(folder / "history.csv")) < 20 for folder in folders)
    again = [Job(one, tmp_path / f"seed{seed}", resume=True) for seed, one in configs.items()]
    train_together(again, progress=False, way=STACKED)
    unbroken = [Job(one, tmp_path / f"unbroken{seed}") for seed, one in configs.items()]
    train_together(unbroken, progress=False, way=STACKED)
    for one, other in zip(again, unbroken, strict=True):
        losses, expected = (
            [float(row["val_loss"]) for row in read_history(job.folder / "history.csv")]
            for job in (one, other)
        )
        assert len(losses) == 20
        assert losses == pytest.approx(expected, rel=1e-2)
