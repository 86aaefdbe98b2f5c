"""The recipes for DUNE: small networks for the whole image, and a real sample cross-validated end to end."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from hitlens.config import RunConfig, list_recipes, load_config
from hitlens.datasets.regions import shown_detector
from hitlens.detectors import get_detector
from hitlens.evaluate.crossvalidation import read_cross_validation
from hitlens.evaluate.predictions import read_predictions
from hitlens.models import build_network
from hitlens.workflow.crossvalidation import CrossValidationConfig, cross_validate

RECIPES = [name for name in list_recipes() if name.startswith("dune/")]


@pytest.mark.parametrize("name", RECIPES)
def test_a_network_for_few_events_has_few_weights(name: str) -> None:
    config = load_config(name)
    assert isinstance(config, RunConfig)
    shown = shown_detector(get_detector("dune"), config.model.regions)
    heads = shown.heads(shown.task(config.task))
    n_outputs = sum(head.n_outputs for head in heads)
    settings = config.model.settings
    network = build_network(config.model.name, settings, shown.views, len(config.model.scaling), n_outputs)
    assert sum(weights.numel() for weights in network.parameters()) < 200_000
    assert config.train.keep == "last"
    assert set(config.model.target_curve) <= {head.name for head in heads}


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize("task", ["flavour", "nu_energy"])
def test_the_real_events_are_cross_validated(real_dune: Path, tmp_path: Path, task: str) -> None:
    data = real_dune / "dune_cvn_160.npz"
    changes = ["train.epochs=1", "train.accelerator=cpu", "evaluate.n_bootstrap=50", f"data.files=['{data}']"]
    run = load_config(f"dune/{task}", changes)
    assert isinstance(run, RunConfig)
    cross_validate(CrossValidationConfig(folds=2, run=run), tmp_path / "cv", progress=False)
    table = read_predictions(tmp_path / "cv" / "predictions.parquet").table
    assert table["event"].to_list() == list(range(160))
    assert set(table.group_by("fold").agg(pl.len())["len"]) == {80}
    head = read_cross_validation(tmp_path / "cv" / "cv.json").head(task)
    methods = [one.name for one in head.baselines]
    assert methods == ["constant", "boosting", *(["calorimetric"] if task == "nu_energy" else [])]
    page = (tmp_path / "cv" / "cv.html").read_text()
    assert ("Published values" in page) == (task == "flavour")
