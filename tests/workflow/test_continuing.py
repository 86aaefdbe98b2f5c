"""Finished runs go on: more epochs, an earlier epoch as the model; what is of another model moves aside."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hitlens.config import RunConfig
from hitlens.errors import NotFoundError, RunError
from hitlens.evaluate.predictions import read_predictions
from hitlens.evaluate.results import Results, write_results
from hitlens.events import Events
from hitlens.io.native_writer import NativeWriter
from hitlens.models.trained import read_card
from hitlens.train.callbacks import read_history
from hitlens.workflow import runs, training
from hitlens.workflow.continuing import training_facts
from hitlens.workflow.origins import made_from
from hitlens.workflow.prediction import open_model
from hitlens.workflow.preparing import weights_hash
from hitlens.workflow.rollback import roll_back
from hitlens.workflow.training import train

Settings = Callable[..., RunConfig]


@pytest.fixture(scope="module")
def settings(make_cebr: Callable[..., Events], tmp_path_factory: pytest.TempPathFactory) -> Settings:
    path = tmp_path_factory.mktemp("data") / "made.h5"
    with NativeWriter(path, "cebr") as writer:
        writer.write(make_cebr(300))

    def make(**train: Any) -> RunConfig:
        content: dict[str, Any] = {
            "detector": "cebr",
            "task": "multiplicity",
            "data": {"files": (str(path),)},
        }
        content["model"] = {"name": "plain_cnn", "settings": {"features": [4], "last_features": 4}}
        quick = {"epochs": 2, "batch_size": 64, "precision": "float32", "accelerator": "cpu"}
        content["train"] = quick | {"schedule": "constant", "warmup_epochs": 0, "keep": "last"} | train
        return RunConfig(**content)

    return make


@pytest.fixture(scope="module")
def kept(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of three epochs, all of them kept."""
    folder = tmp_path_factory.mktemp("kept") / "run"
    train(settings(epochs=3, keep_epochs="all"), folder, progress=False)
    return folder


@pytest.fixture
def run(kept: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(kept, tmp_path / "run"))


def evaluated(folder: Path) -> None:
    """Write numbers that say that they are of the model the run holds now."""
    empty = Results("cebr", "multiplicity", "test", 0, {}, (), level=0.95, n_bootstrap=10, seed=1)
    write_results(Results(**(vars(empty) | {"made_from": made_from(folder)})), folder / runs.METRICS)
    for name, also in (("other", {}), ("epoch", {"epoch": 0})):
        record = folder / runs.EVALUATIONS / name / runs.EVALUATION
        record.parent.mkdir(parents=True)
        record.write_text(json.dumps({"made_from": made_from(folder)} | also))


def rates(folder: Path) -> list[float]:
    return [float(row["lr"]) for row in read_history(folder / runs.HISTORY)]


def test_more_epochs_of_a_constant_rate_are_those_of_an_unbroken_run(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, unbroken = tmp_path / "run", tmp_path / "unbroken"
    train(settings(), folder, progress=False)
    evaluated(folder)
    result = train(settings(epochs=4), folder, resume=True, progress=False)
    train(settings(epochs=4), unbroken, progress=False)
    assert (result.n_epochs, result.best_epoch) == (4, 3)
    assert weights_hash(open_model(folder).network) == weights_hash(open_model(unbroken).network)
    predictions = [read_predictions(one / runs.PREDICTIONS).table for one in (folder, unbroken)]
    assert predictions[0].equals(predictions[1])
    record = runs.read_provenance(folder)
    assert (record["status"], record["stages"], record["n_epochs"]) == ("finished", [2, 4], 4)
    assert not (folder / runs.METRICS).exists()
    assert (folder / "outdated" / "1" / runs.METRICS).is_file()
    assert [path.name for path in (folder / runs.EVALUATIONS).iterdir()] == ["epoch"]


def test_a_schedule_that_had_ended_begins_anew_and_survives_a_kill(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def cosine(epochs: int) -> RunConfig:
        return settings(epochs=epochs, schedule="cosine", warmup_epochs=0.5, patience=9)

    first, again = tmp_path / "first", tmp_path / "again"
    train(cosine(2), first, progress=False)
    shutil.copytree(first, again)
    before = rates(first)
    train(cosine(4), first, resume=True, progress=False)
    assert rates(first) == pytest.approx(before * 2)

    def kill(epoch: int, score: float) -> bool:
        raise Killed

    with pytest.raises(Killed):
        train(cosine(4), again, resume=True, progress=False, watch=kill)
    train(cosine(4), again, resume=True, progress=False)
    assert rates(again) == rates(first)
    assert weights_hash(open_model(again).network) == weights_hash(open_model(first).network)
    train(cosine(5), again, resume=True, progress=False)
    assert runs.read_provenance(again)["stages"] == [2, 4, 5]


def test_what_cannot_be_continued_is_left_as_it_is(settings: Settings, run: Path) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    for epochs in (2, 3):
        with pytest.raises(RunError, match=r"is finished, with train\.epochs = 3\. More epochs"):
            train(settings(epochs=epochs), run, resume=True)
    last = sorted((run / "checkpoints").iterdir())[-1]
    content = last.read_bytes()
    for damage in (lambda: last.write_bytes(content[:1000]), last.unlink):
        damage()
        with pytest.raises(RunError, match="checkpoint of its last epoch, 3, is not in"):
            train(settings(epochs=5), run, resume=True)
    last.write_bytes(content)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_run_out_of_patience_would_end_again(settings: Settings, tmp_path: Path) -> None:
    impatient = {"patience": 1, "learning_rate": 1e-9}
    result = train(settings(epochs=6, **impatient), tmp_path / "run", progress=False)
    assert result.n_epochs < 6
    with pytest.raises(RunError, match=r"not become better for train\.patience = 1"):
        train(settings(epochs=9, **impatient), tmp_path / "run", resume=True)


@pytest.mark.parametrize("epoch", [0, 1])
def test_an_earlier_epoch_becomes_the_model(run: Path, epoch: int) -> None:
    evaluated(run)
    shipped, weights = read_card(run / runs.MODEL), weights_hash(open_model(run, epoch=epoch).network)
    result = roll_back(run, epoch)
    score = float(read_history(run / runs.HISTORY)[epoch]["val_metric"])
    assert result.best_score == score
    card, record = read_card(run / runs.MODEL), runs.read_provenance(run)
    assert (card.best_epoch, card.validation_score) == (epoch, score)
    assert weights_hash(open_model(run).network) == weights
    assert card.temperature.keys() == shipped.temperature.keys()
    assert (record["status"], record["best_epoch"], record["n_epochs"]) == ("finished", epoch, 3)
    assert record["rolled_back"]["trained_best_epoch"] == 2
    assert f"rolled back by hand to epoch {epoch + 1}" in training_facts(record)["model"]
    table = read_predictions(run / runs.PREDICTIONS).split("validation").table
    assert (table["pred_multiplicity"] == table["true_multiplicity"]).mean() == pytest.approx(score, abs=1e-5)
    assert not (run / runs.METRICS).exists()
    assert (run / "outdated" / "1" / runs.METRICS).is_file()
    with pytest.raises(RunError, match=f"is that of epoch {epoch}"):
        roll_back(run, epoch)
    roll_back(run, 2)
    assert weights_hash(open_model(run).network) != weights
    assert read_card(run / runs.MODEL).temperature == shipped.temperature


def test_a_killed_roll_back_is_finished_by_a_resume(
    settings: Settings, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def kill(*args: object) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(training, "write_event_predictions", kill)
        roll_back(run, 0)
    assert train(settings(epochs=3, keep_epochs="all"), run, resume=True, progress=False).best_epoch == 0
    assert runs.read_provenance(run)["rolled_back"]["to_epoch"] == 0
    assert train(settings(epochs=4), run, resume=True, progress=False).best_epoch == 3
    assert "rolled_back" not in runs.read_provenance(run)


def test_there_is_no_way_back_to_an_epoch_that_was_not_kept(settings: Settings, run: Path) -> None:
    (run / "checkpoints" / sorted(path.name for path in (run / "checkpoints").iterdir())[0]).unlink()
    before = runs.read_provenance(run)
    for epoch in (0, 7):
        with pytest.raises(NotFoundError, match=rf"no checkpoint of epoch {epoch}\. There are: 1, 2"):
            roll_back(run, epoch)
    assert runs.read_provenance(run) == before


def test_a_run_that_was_rolled_back_and_forth_has_its_model_again(run: Path) -> None:
    before = (run / runs.MODEL).read_bytes()
    roll_back(run, 0)
    assert (run / runs.MODEL).read_bytes() != before
    roll_back(run, 2)
    assert (run / runs.MODEL).read_bytes() == before
