"""The DUNE file described in YAML: the events the reader in Python reads, and a network trained on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hitlens.config import RunConfig, load_config
from hitlens.detectors import load_detector
from hitlens.workflow.data import read_events
from hitlens.workflow.evaluation import evaluate_run
from hitlens.workflow.prediction_files import predict_files
from hitlens.workflow.training import train

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "dune_from_yaml"


@pytest.fixture(scope="module")
def dune_file(real_dune: Path) -> Path:
    return real_dune / "dune_cvn_160.npz"


@pytest.mark.real
def test_the_description_reads_what_the_reader_in_python_reads(dune_file: Path) -> None:
    described = read_events(dune_file, str(EXAMPLE / "detector.yaml"))
    ours = read_events(dune_file, "dune")
    assert len(described) == 160
    for view in ("u", "v", "z"):
        mine, other = described.images[view], ours.images[view]
        assert not isinstance(mine, np.ndarray)
        assert mine.dtype == np.uint8
        assert (mine != other).nnz == 0
    for name in ("event", "flavour", "nu_energy_gev", "lep_energy_gev", "n_proton", "n_neutron"):
        np.testing.assert_array_equal(described.truth[name], ours.truth[name])
    share = described.truth["lepton_fraction"]
    assert share.is_between(0, 1).all()
    assert described.truth["flavour"].value_counts().sort("flavour")["count"].to_list() == [40] * 4


@pytest.mark.real
def test_train_and_predict_on_the_described_file(
    dune_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(EXAMPLE)
    pooled = "model.regions={all: {pool: [25, 25]}}"
    config = load_config("train.yaml", ["train.epochs=2", pooled, f"data.files=[{dune_file}]"])
    assert isinstance(config, RunConfig)
    train(config, tmp_path / "run", progress=False)
    monkeypatch.chdir(tmp_path)
    predictions = predict_files(tmp_path / "run", [dune_file], tmp_path / "p.parquet")
    assert len(predictions) == 160
    scores = predictions.table.select(pl.col("^score_flavour_.*$")).to_numpy()
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)
    assert predictions.table["nu_energy_pred_nu_energy_gev"].is_finite().all()


@pytest.mark.real
@pytest.mark.slow
def test_the_example_is_trained_and_evaluated(
    dune_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(EXAMPLE)
    quick = ["evaluate.n_bootstrap=20", "evaluate.n_bootstrap_slices=20", "evaluate.baselines=false"]
    config = load_config("train.yaml", [f"data.files=[{dune_file}]", "task=nu_energy", *quick])
    assert isinstance(config, RunConfig)
    train(config, tmp_path / "run", progress=False)
    (result,) = evaluate_run(tmp_path / "run").tasks
    assert (result.task, result.n_events) == ("nu_energy", 32)


def test_the_example_is_a_right_description() -> None:
    detector = load_detector(EXAMPLE / "detector.yaml")
    assert [view.shape for view in detector.views] == [(500, 500)] * 3
    assert detector.views[2].pitch_mm == (4.79, 4.8)
    assert detector.key == ("file", "event")
