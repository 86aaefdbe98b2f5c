"""The evaluation of another epoch of a run: its weights, its numbers, a reading of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hitlens.config import RunConfig
from hitlens.errors import ConfigError, NotFoundError, RunError
from hitlens.evaluate.predictions import read_predictions
from hitlens.events import Events
from hitlens.io.native_writer import NativeWriter
from hitlens.models.trained import load_model, read_card
from hitlens.train.callbacks import read_history
from hitlens.workflow import galleries, reporting, runs
from hitlens.workflow.epoch_predictions import epoch_folder
from hitlens.workflow.evaluation import evaluate_run
from hitlens.workflow.prediction import open_model
from hitlens.workflow.preparing import weights_hash
from hitlens.workflow.training import train

QUICK = {"baselines": False, "metadata": False}


@pytest.fixture(scope="module")
def folder(make_cebr: Callable[..., Events], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of three epochs, all of them kept."""
    place = tmp_path_factory.mktemp("kept")
    with NativeWriter(place / "made.h5", "cebr") as writer:
        writer.write(make_cebr(300))
    config = RunConfig.model_validate(
        {
            "detector": "cebr",
            "task": "multiplicity",
            "data": {"files": [str(place / "made.h5")]},
            "model": {"name": "plain_cnn", "settings": {"features": [4], "last_features": 4}},
            "train": {"epochs": 3, "batch_size": 64, "precision": "float32", "accelerator": "cpu"}
            | {"keep": "last", "keep_epochs": "all"},
        }
    )
    train(config, place / "run", progress=False)
    return place / "run"


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are not drawn."""
    monkeypatch.setattr(reporting, "render_report", lambda content: ("", ()))
    monkeypatch.setattr(galleries, "draw_gallery", lambda gallery, view: None)
    monkeypatch.setattr(galleries, "figure_to_bytes", lambda figure, file_format, dpi: b"")


def test_an_epoch_has_numbers_of_its_own_weights(folder: Path) -> None:
    results = evaluate_run(folder, epoch=0, split="validation", **QUICK)
    target = epoch_folder(folder, 0)
    model = load_model(target / runs.MODEL, open_model(folder).detector)
    assert weights_hash(model.network) == weights_hash(open_model(folder, epoch=0).network)
    assert weights_hash(model.network) != weights_hash(open_model(folder).network)
    accuracy = results.head("multiplicity").metric("accuracy").interval
    assert accuracy is not None
    assert accuracy.value == pytest.approx(
        float(read_history(folder / runs.HISTORY)[0]["val_accuracy"]), abs=1e-5
    )
    assert "epoch 1, asked for" in results.data["model"]
    own, other = (read_predictions(place / runs.PREDICTIONS).table for place in (folder, target))
    assert own.select("event", "split").equals(other.select("event", "split"))
    assert not (folder / runs.METRICS).exists()
    assert read_card(target / runs.MODEL).best_epoch == 0


def test_an_epoch_reads_a_split_once(folder: Path) -> None:
    evaluate_run(folder, epoch=1, **QUICK)
    with pytest.raises(RunError, match="was evaluated before"):
        evaluate_run(folder, epoch=1, **QUICK)
    again = evaluate_run(folder, epoch=1, again=True, **QUICK)
    own = evaluate_run(folder, **QUICK)
    assert len({reading.model for reading in own.readings}) > 1
    assert sum(reading.model == again.readings[-1].model for reading in again.readings) == 2


def test_what_is_not_kept_or_contradicts_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no checkpoint of epoch 7"):
        evaluate_run(folder, epoch=7, **QUICK)
    assert not epoch_folder(folder, 7).exists()
    with pytest.raises(ConfigError, match="Leave out --numbers-only"):
        evaluate_run(folder, epoch=0, without_events=True, **QUICK)
    with pytest.raises(ConfigError, match="-o is the folder"):
        evaluate_run(folder, epoch=0, out=tmp_path / "x", **QUICK)
