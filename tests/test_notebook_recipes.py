"""Recipes that stand for the notebooks' own way hold all of it."""

from __future__ import annotations

import pytest

from hitlens.config import RunConfig, StudyConfig, TuneConfig, load_config
from hitlens.detectors import get_detector
from hitlens.models import build_network

#: Batch sizes of the notebook by task, as it names them.
NOVA_BATCHES = {
    "numu_cc": 64,
    "nue_cc": 32,
    "nue_cc_natural": 128,
    "flavour": 64,
    "interaction_mode": 64,
    "nu_energy": 32,
    "lepton_fraction": 32,
}
REGRESSIONS = ("nu_energy", "lepton_fraction")


def run_of(recipe: str) -> RunConfig:
    config = load_config(recipe)
    if isinstance(config, StudyConfig | TuneConfig):
        return config.base
    return config


@pytest.mark.parametrize(
    "recipe",
    ["cebr/seed_multiplicity", "cebr/seed_grid_plain", "cebr/scaling_study"]
    + [f"nova/seed_{task}" for task in NOVA_BATCHES],
)
def test_nothing_of_ours_is_in_the_notebooks_training(recipe: str) -> None:
    config = run_of(recipe)
    train = config.train
    assert (train.learning_rate, train.weight_decay, train.gradient_clip, train.ema_decay) == (0.001, 0, 0, 0)
    assert (train.schedule, train.warmup_epochs, train.hard_sampling) == ("constant", 0, 0)
    assert (train.class_weights, train.last_batch, train.precision) == ("none", "keep", "float32")
    assert train.optimizer == ("rmsprop" if config.task in REGRESSIONS else "keras_adam")
    assert (config.model.symmetrise, config.model.calibrate, config.model.regions) == (False, False, {})


@pytest.mark.parametrize(
    ("recipe", "epochs", "keep", "flips"),
    [
        ("seed_multiplicity", 45, "best", True),
        ("seed_grid_plain", 32, "last", True),
        ("scaling_study", 20, "last", False),
    ],
)
def test_the_cebr_notebook(recipe: str, epochs: int, keep: str, flips: bool) -> None:
    config = run_of(f"cebr/{recipe}")
    train = config.train
    assert (train.epochs, train.batch_size, train.keep, train.patience) == (epochs, 64, keep, 0)
    assert train.augment == (("flip_x", "flip_y", "flip_x_y") if flips else False)
    assert config.model.normalise == "minmax"
    if flips:
        assert config.model.scaling == ("log1p",)


def test_the_cebr_grid_and_the_network_it_chose() -> None:
    grid = load_config("cebr/seed_grid_plain")
    assert isinstance(grid, TuneConfig)
    assert len(grid.run_configs()) == 18
    longer = run_of("cebr/seed_multiplicity").model
    network = build_network(longer.name, longer.settings, get_detector("cebr").views, 1, 1)
    assert longer.settings == {"dropout": 0.4, "dropout_final": 0.6, "last_features": 64}
    assert sum(p.numel() for p in network.parameters()) == 259_457


@pytest.mark.parametrize("task", NOVA_BATCHES)
def test_the_nova_notebook(task: str) -> None:
    config = run_of(f"nova/seed_{task}")
    train, model = config.train, config.model
    assert (train.epochs, train.patience, train.keep) == (50, 5, "best")
    assert train.batch_size == NOVA_BATCHES[task]
    assert train.augment is False
    assert (model.scaling, model.normalise) == (("linear",), "full_range")
    regression = task in REGRESSIONS
    equal = not regression and task != "nue_cc_natural"
    assert train.mix == ("undersampled" if equal else "natural")
    assert train.monitor == ("balanced_loss" if equal else "loss")
    assert model.class_scores == ("sigmoid" if task in ("flavour", "interaction_mode") else "softmax")
    assert model.settings == ({"hidden_activation": "linear"} if regression else {})
    if regression:
        assert train.loss == "mse"
        assert model.target_units == {task: "maximum" if task == "nu_energy" else "physical"}
