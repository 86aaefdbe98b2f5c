"""A detector described in YAML goes all the way: convert, inspect, train, predict, evaluate, report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hitlens.config import RunConfig
from hitlens.errors import ConfigError
from hitlens.evaluate.predictions import read_predictions
from hitlens.models.trained import read_card
from hitlens.workflow import runs
from hitlens.workflow.data import convert
from hitlens.workflow.evaluation import evaluate_run
from hitlens.workflow.galleries import gallery
from hitlens.workflow.inspection import inspect_files
from hitlens.workflow.prediction_files import predict_files
from hitlens.workflow.run_events import read_run_config
from hitlens.workflow.training import train


def recipe(detector: Path, data: Path, **train_settings: Any) -> RunConfig:
    return RunConfig.model_validate(
        {
            "detector": str(detector),
            "task": "joint",
            "data": {"files": [str(data)]},
            "model": {"name": "dense", "settings": {"hidden": [16]}, "calibrate": False},
            "train": {"epochs": 2, "batch_size": 32, "learning_rate": 0.01, "ema_decay": 0} | train_settings,
            "evaluate": {"n_bootstrap": 20, "n_bootstrap_slices": 20, "baselines": False},
        }
    )


@pytest.fixture
def described(
    kind_and_style: tuple[str, str],
    make_toy: Callable[..., Any],
    toy_yaml: Callable[..., str],
    toy_file: Callable[..., Path],
    tmp_path: Path,
) -> tuple[Path, Path, Path]:
    """The YAML file, a file of events with truth and one without, for every kind and style."""
    path = tmp_path / "toy.yaml"
    path.write_text(toy_yaml(*kind_and_style))
    data = toy_file(make_toy(160), *kind_and_style)
    bare = toy_file(make_toy(20, seed=2), *kind_and_style, with_truth=False, name="bare")
    return path, data, bare


def test_train_and_predict_without_the_yaml(described: tuple[Path, Path, Path], tmp_path: Path) -> None:
    path, data, bare = described
    run = tmp_path / "run"
    train(recipe(path, data), run, progress=False)
    text = path.read_text()
    path.unlink()
    assert (run / runs.DETECTOR).read_text() == text
    assert read_card(run / runs.MODEL).description == text
    assert read_card(run / runs.MODEL).detector == "toy"
    moved = (run / runs.MODEL).rename(tmp_path / "alone.safetensors")
    table = predict_files(moved, [bare], tmp_path / "bare.parquet").table
    assert table["event"].to_list() == list(range(20))
    assert {"score_particle", "energy_pred_energy_gev", "entry_pred_entry_px"} <= set(table.columns)
    assert not [name for name in table.columns if name.startswith("true_")]


@pytest.mark.parametrize("kind_and_style", [("hdf5", "event")], indirect=True)
def test_every_command_works(described: tuple[Path, Path, Path], tmp_path: Path) -> None:
    path, data, _ = described
    convert(data, tmp_path / "native.h5", str(path))
    assert inspect_files([tmp_path / "native.h5"], html=tmp_path / "data.html").n_events == 160
    assert inspect_files([data], detector=str(path)).n_events == 160
    run = tmp_path / "run"
    settings = recipe(path, tmp_path / "native.h5", epochs=60).model_copy(update={"task": "energy"})
    train(settings, run, progress=False)
    path.unlink()
    assert {task.task for task in evaluate_run(run).tasks} == {"energy"}
    gallery(run, tmp_path / "run.html", n=4)
    predict_files(run, [data], tmp_path / "p.parquet")
    gallery(tmp_path / "p.parquet", tmp_path / "p.html", files=[data], n=4)
    table = read_predictions(tmp_path / "p.parquet").table
    assert np.corrcoef(table["true_energy_gev"], table["pred_energy_gev"])[0, 1] > 0.8
    record = runs.read_provenance(run)
    assert record["detector"] == "toy"
    assert record["described_by"]["file"] == str(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind_and_style",
    [(kind, style) for kind in ("hdf5", "root", "parquet") for style in ("dense", "lists")]
    + [("npz", "dense"), ("npz", "counts")],
    indirect=True,
    ids="-".join,
)
def test_every_kind_of_file_is_evaluated(described: tuple[Path, Path, Path], tmp_path: Path) -> None:
    path, data, _ = described
    run = tmp_path / "run"
    train(recipe(path, data).model_copy(update={"task": "entry"}), run, progress=False)
    path.unlink()
    (result,) = evaluate_run(run).tasks
    assert result.n_events == 32
    assert (run / "report.html").is_file()


@pytest.mark.parametrize("kind_and_style", [("npz", "dense")], indirect=True)
def test_a_run_keeps_its_description(described: tuple[Path, Path, Path], tmp_path: Path) -> None:
    path, data, _ = described
    run = tmp_path / "run"
    train(recipe(path, data), run, progress=False)
    assert read_run_config(run).detector == str(run / runs.DETECTOR)
    record = runs.read_provenance(run) | {"status": "running"}
    runs.write_provenance(run, record)
    moved = path.rename(tmp_path / "moved.yaml")
    train(recipe(moved, data), run, resume=True, progress=False)
    runs.write_provenance(run, record)
    moved.write_text(moved.read_text().replace("pitch_mm: [10, 4]", "pitch_mm: [10, 5]"))
    with pytest.raises(ConfigError, match=r"The detector's description differs .*detector.yaml"):
        train(recipe(moved, data), run, resume=True, progress=False)


@pytest.mark.parametrize("kind_and_style", [("npz", "dense")], indirect=True)
def test_training_without_truth_says_what_is_missing(
    described: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    path, _, bare = described
    with pytest.raises(ValueError, match="is_muon"):
        train(recipe(path, bare), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()
