"""Recipes and settings: every shipped one loads, every mistake is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from hitlens.config import RunConfig, StudyConfig, dump_config, list_recipes, load_config
from hitlens.detectors import get_detector
from hitlens.errors import ConfigError, NotFoundError
from hitlens.models import build_network


@pytest.mark.parametrize("name", list_recipes())
def test_every_shipped_recipe_describes_a_network_that_can_be_built(name: str) -> None:
    config = load_config(name)
    for run in [config] if isinstance(config, RunConfig) else config.run_configs().values():
        detector = get_detector(run.detector)
        heads = detector.heads(detector.task(run.task))
        n_outputs = sum(head.n_outputs for head in heads)
        build_network(run.model.name, run.model.settings, detector.views, len(run.model.scaling), n_outputs)


@pytest.mark.parametrize("detector", ["cebr", "dune"])
def test_every_task_has_a_recipe_of_its_name(detector: str) -> None:
    assert {f"{detector}/{task.name}" for task in get_detector(detector).tasks} <= set(list_recipes())


def test_a_dumped_config_reads_back(tmp_path: Path) -> None:
    config = load_config("cebr/multiplicity", ["train.epochs=7", "data.files=[a.h5, b.h5]"])
    (tmp_path / "run.yaml").write_text(dump_config(config))
    assert load_config(tmp_path / "run.yaml") == config


def test_settings_are_read_as_yaml() -> None:
    config = load_config("cebr/multiplicity", ["train.learning_rate=1e-4", "model.scaling=[linear, sqrt]"])
    assert isinstance(config, RunConfig)
    assert config.train.learning_rate == 1e-4
    assert config.model.scaling == ("linear", "sqrt")


def test_a_study_changes_what_its_runs_share() -> None:
    study = load_config("cebr/scaling_study", ["train.epochs=3"])
    assert isinstance(study, StudyConfig)
    assert {name: run.model.scaling for name, run in study.run_configs().items()} == {
        "linear": ("linear",),
        "log1p": ("log1p",),
    }
    assert {run.train.epochs for run in study.run_configs().values()} == {3}
    assert len({run.train.seed for run in study.run_configs().values()}) == 1


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("train.epoch=5", "'train.epoch' is not a setting. Did you mean 'epochs'"),
        ("trian.epochs=5", "'trian' is not a setting. Did you mean 'train'"),
        ("train.epochs=many", r"train.epochs: .*Got 'many'"),
        ("train.epochs=0", "greater than or equal to 1"),
        ("split.test=0.5", "must be 1"),
        ("train.epochs", "key=value"),
    ],
)
def test_mistakes_are_named(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config("cebr/multiplicity", [setting])


def test_unknown_recipes_and_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="Did you mean 'cebr/multiplicity'"):
        load_config("cebr/multiplicty")
    with pytest.raises(NotFoundError, match="No file"):
        load_config(tmp_path / "none.yaml")


@pytest.mark.parametrize(("text", "message"), [("a: [1", "not valid YAML"), ("- 1", "settings by name")])
def test_files_that_are_no_settings_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config(tmp_path / "bad.yaml")


def test_a_study_with_a_wrong_variant_is_refused(tmp_path: Path) -> None:
    content = {
        "title": "t",
        "question": "q",
        "base": {"detector": "cebr", "task": "joint"},
        "variants": {"a": {"train.epohs": 1}, "b": {}},
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=r"a: 'train\.epohs' is not a setting. Did you mean 'epochs'"):
        load_config(tmp_path / "study.yaml")
    content["variants"] = {"only": {}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match="variants"):
        load_config(tmp_path / "study.yaml")
