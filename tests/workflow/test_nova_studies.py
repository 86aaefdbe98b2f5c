"""The shipped NOvA studies: their shares and cuts mean something on simulated truth, and one runs through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hitlens.config import RunConfig, StudyConfig, load_config
from hitlens.datasets.mix import mixed_kinds
from hitlens.detectors import get_detector
from hitlens.evaluate.study import chosen_slices, read_study
from hitlens.events import Events, evaluate_condition
from hitlens.io.native_writer import NativeWriter
from hitlens.workflow.studies import train_study

STUDIES = ("nue_balance_study", "training_mix_study", "energy_range_study")
TINY = (
    *("train.epochs=1", "train.batch_size=64", "model.symmetrise=false", "train.augment=false"),
    *("model.settings={features: [4, 4, 4], blocks: [1, 1, 1], stem_kernel: 6, stem_stride: 4}",),
    *("evaluate.n_bootstrap=20", "evaluate.n_bootstrap_slices=20"),
)


def study(name: str, *overrides: str) -> StudyConfig:
    config = load_config(f"nova/{name}", overrides)
    assert isinstance(config, StudyConfig)
    return config


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_is_of_the_test_split_at_natural_prevalence(name: str) -> None:
    config = study(name)
    assert config.split == "test"
    assert chosen_slices(get_detector("nova"), config.slices)
    for variant in config.run_configs().values():
        # Nothing is taken from what the variants are judged by.
        assert variant.data.selection == ""
        assert variant.split == config.base.split


@pytest.mark.parametrize("name", STUDIES)
def test_every_variant_shows_both_classes_in_training(name: str, make_nova: Callable[..., Events]) -> None:
    truth = make_nova(3000).truth
    config = study(name)
    task = get_detector("nova").task(config.base.task)
    signal = evaluate_condition(truth, task.target)
    for variant in config.run_configs().values():
        shown = _shown(variant, truth)
        assert shown[signal].sum() > 0
        assert shown[~signal].sum() > 0
        if isinstance(variant.train.mix, dict):
            assert shown[signal].sum() == pytest.approx(0.5)


def _shown(variant: RunConfig, truth: object) -> np.ndarray:
    mix, selection = variant.train.mix, variant.train.selection
    if isinstance(mix, dict):
        return mixed_kinds(truth, mix).chances
    if selection:
        return evaluate_condition(truth, selection) / len(truth)
    return np.ones(len(truth)) / len(truth)


@pytest.mark.slow
def test_the_balance_study_runs(make_nova: Callable[..., Events], tmp_path: Path) -> None:
    data = tmp_path / "made.h5"
    with NativeWriter(data, "nova") as writer:
        writer.write(make_nova(400))
    config = study("nue_balance_study", f"data.files=['{data}']", *TINY)
    page = train_study(config, tmp_path / "study", progress=False)
    found = read_study(tmp_path / "study" / "study.json")
    assert [one.name for one in found.variants] == ["natural", "balanced_sampling", "class_weights"]
    assert found.split == "test"
    assert len(found.readings) == 1
    assert {one.variable for one in found.variants[0].heads[0].slices} <= {"neutrino_energy_gev", "mode"}
    names = [metric.name for metric in found.variants[0].heads[0].metrics]
    assert {"balanced_accuracy", "purity", "signal_efficiency", "auc", "average_precision"} <= set(names)
    assert "These numbers are from the test split" in page.read_text(encoding="utf-8")
