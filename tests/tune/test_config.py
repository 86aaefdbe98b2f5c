"""Settings of a search: what contradicts itself is one error before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from hitlens.config import TuneConfig, dump_config, load_config
from hitlens.errors import ConfigError

BASE = {"detector": "cebr", "task": "multiplicity", "model": {"name": "plain_cnn"}, "train": {"epochs": 4}}
SPACE = {"model.settings.dropout": [0.4, 0.5], "model.settings.last_features": [8, 16, 32]}


def recipe(path: Path, **changes: Any) -> Path:
    content: dict[str, Any] = {
        "title": "A search",
        "base": BASE,
        "search": {"space": SPACE, "method": "grid"},
    }
    for key, value in changes.items():
        content[key] = {**content[key], **value} if isinstance(content.get(key), dict) else value
    path = path / "search.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_search_reads_back_from_its_own_settings(tmp_path: Path) -> None:
    config = load_config(recipe(tmp_path))
    assert isinstance(config, TuneConfig)
    (tmp_path / "again.yaml").write_text(dump_config(config))
    assert load_config(tmp_path / "again.yaml") == config


def test_every_point_of_a_grid_is_a_run(tmp_path: Path) -> None:
    config = load_config(recipe(tmp_path))
    assert isinstance(config, TuneConfig)
    configs = config.run_configs()
    assert len(configs) == 6
    named = configs["model.settings.dropout = 0.5, model.settings.last_features = 8"]
    assert named.model.settings == {"dropout": 0.5, "last_features": 8}
    assert named.train.epochs == 4


def test_settings_of_trials_and_of_the_search_can_be_changed(tmp_path: Path) -> None:
    changes = ["train.epochs=2", "search.method=random", "search.trials=5", "longer.epochs=9"]
    config = load_config(recipe(tmp_path), [*changes, "finalists.count=2", "finalists.seeds=[7]"])
    assert isinstance(config, TuneConfig)
    assert (config.base.train.epochs, config.search.method, config.search.trials) == (2, "random", 5)
    assert (config.finalists.count, config.finalists.seeds, config.longer.epochs) == (2, (7,), 9)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"search": {"trials": 7}}, "the grid has 6 points.* Got 7"),
        ({"search": {"trials": 5}}, "the grid has 6 points.* Got 5"),
        ({"search": {"method": "random"}}, "say how many trials 'random' shall train"),
        ({"search": {"method": "random", "trials": 7}}, "the space has 6 points only. Got 7"),
        ({"search": {"space": {}}}, "there is nothing to search"),
        (
            {"search": {"space": {"train.learning_rate": {"low": 0.1, "high": 0.2}}}},
            "a grid needs a step for the range of 'train.learning_rate'",
        ),
        ({"search": {"objectives": ["score", "score"]}}, "each once"),
        ({"search": {"objectives": []}}, "one or more"),
        (
            {"search": {"objectives": ["score", "parameters"], "pruner": "median"}},
            "objectives: \\[score\\] alone",
        ),
        ({"search": {"objectives": ["latency"], "pruner": "halving"}}, "objectives: \\[score\\] alone"),
        ({"search": {"methd": "grid"}}, "'search.methd' is not a setting. Did you mean 'method'"),
        ({"search": {"method": "tpee"}}, "search.method"),
        ({"finalists": {"count": 2}}, "needs both count and seeds"),
        ({"finalists": {"seeds": [2]}}, "needs both count and seeds"),
        ({"finalists": {"count": 1, "seeds": [2, 2]}}, "a seed twice"),
        ({"finalists": {"count": 1, "seeds": [1]}}, "the seed of the search itself"),
        ({"longer": {"epochs": 4}}, "longer.epochs must be more than base.train.epochs, 4"),
        (
            {"search": {"space": {"model.settings.dropout": [0.4, 1.5]}}},
            "dropout = 1.5.*model.settings.dropout of plain_cnn",
        ),
        ({"search": {"space": {"train.epochs": [0, 1]}}}, "train.epochs = 0.*greater than or equal to 1"),
        ({"search": {"space": {"model.name": ["plain_cnn", "plain_cn"]}}}, "No model is called 'plain_cn'"),
        ({"search": {"space": {"train.optimizr": ["adam", "adamw"]}}}, "Did you mean 'train.optimizer'"),
        (
            {"search": {"space": {"model.settings.drop_out": [0.1, 0.2]}}},
            "Did you mean 'model.settings.dropout'",
        ),
    ],
)
def test_what_makes_no_sense_is_one_error(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = recipe(tmp_path, **{key: value for key, value in changes.items() if key != "search"})
    content = yaml.safe_load(path.read_text())
    content["search"] |= changes.get("search", {})
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        load_config(path)


def test_both_ends_of_a_range_are_tried(tmp_path: Path) -> None:
    space = {"train.ema_decay": {"low": 0.5, "high": 1.5}}
    path = recipe(tmp_path, search={"space": space, "method": "random", "trials": 3})
    with pytest.raises(ConfigError, match=r"train.ema_decay = 1.5.*less than 1"):
        load_config(path)


def test_networks_that_are_searched_have_all_their_settings(tmp_path: Path) -> None:
    space = {"model.name": ["plain_cnn", "dense"], "model.settings.dropout": [0.1, 0.2]}
    config = load_config(recipe(tmp_path, search={"space": space}))
    assert isinstance(config, TuneConfig)
    assert {one.model.name for one in config.run_configs().values()} == {"plain_cnn", "dense"}
    own = {"model.name": ["plain_cnn", "dense"], "model.settings.last_features": [8, 16]}
    with pytest.raises(ConfigError, match="last_features of dense"):
        load_config(recipe(tmp_path, search={"space": own}))
