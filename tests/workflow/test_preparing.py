"""What a network is shown in training agrees with what it is told, whatever a symmetry does to classes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from hitlens.config import RunConfig
from hitlens.datasets.splits import Split, SplitConfig
from hitlens.datasets.targets import strata_of
from hitlens.detectors import get_detector
from hitlens.errors import ConfigError
from hitlens.events import Events
from hitlens.train.data_module import EventDataModule
from hitlens.workflow.data import convert
from hitlens.workflow.prediction_files import predict_files
from hitlens.workflow.preparing import build_module, learnt_effects, prepare, split_run, training_data
from hitlens.workflow.training import train

#: A spot in a square, brighter than all else.
DESCRIPTION = """\
name: pad
title: A spot on a pad
views: [{name: a, shape: [9, 9], axes: [y, x], pitch_mm: [1, 1], unit: counts, dtype: uint8}]
truth:
  - {name: x_px, meaning: column of the spot, unit: px, axis: x}
  - {name: y_px, meaning: row of the spot, unit: px, axis: y}
  - {name: bright, meaning: charge of the spot}
  - {name: slope, meaning: how far below the diagonal, expression: y_px - x_px}
symmetries:
  - {name: flip_x, flips: [x], truth: {x_px: {source: x_px, scale: -1, offset: 9}}}
  - {name: flip_y, flips: [y], truth: {y_px: {source: y_px, scale: -1, offset: 9}}}
  - {name: swap, transpose: true, truth: {x_px: {source: y_px}, y_px: {source: x_px}}}
tasks:
  - name: third
    kind: multiclass
    meaning: which third
    target: CASE WHEN x_px < 3 THEN 0 WHEN x_px < 6 THEN 1 ELSE 2 END
    class_names: [left, middle, right]
  - name: below
    kind: binary
    meaning: on which side of the diagonal
    target: slope > 0
    class_names: [above, below]
    selection: slope <> 0
  - {name: column, kind: regression, meaning: which column, columns: [x_px], units: [px]}
  - name: corner
    kind: binary
    meaning: left or not
    target: x_px < 3
    class_names: [far, near]
    selection: y_px < 6
  - {name: all, kind: joint, meaning: all of it, heads: [third, below, column, corner]}
files: [{name: f, kind: npz, images: {a: {dense: img}}, truth: {x_px: x, y_px: y, bright: q}}]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pad")
    (folder / "pad.yaml").write_text(DESCRIPTION)
    rng = np.random.default_rng(4)
    row, column, charge = rng.integers(0, 9, 240), rng.integers(0, 9, 240), rng.integers(100, 200, 240)
    images = rng.integers(0, 50, (240, 9, 9)).astype(np.uint8)
    images[np.arange(240), row, column] = charge
    np.savez(folder / "pad.npz", img=images, x=column + 0.5, y=row + 0.5, q=charge)
    convert(folder / "pad.npz", folder / "pad.h5", str(folder / "pad.yaml"))
    return folder


def config_of(folder: Path, task: str, file: str = "pad.npz", **sections: object) -> RunConfig:
    data = {"files": [str(folder / file)]} | sections.pop("data", {})  # type: ignore[operator]
    settings = {"features": [4], "blocks": [1], "hidden": 4}
    model = {"settings": settings} | sections.pop("model", {})  # type: ignore[operator]
    training = {"epochs": 1, "batch_size": 32, "accelerator": "cpu"} | sections.pop("train", {})  # type: ignore[operator]
    return RunConfig(
        detector=str(folder / "pad.yaml"), task=task, data=data, model=model, train=training, **sections
    )


def seen(images: torch.Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Row and column of the spot in each image."""
    brightest = images.flatten(1).int().argmax(dim=1).numpy()
    return brightest // 9 + 0.5, brightest % 9 + 0.5


@pytest.mark.parametrize("memory", ["resident", "streaming"])
def test_targets_are_what_the_changed_images_show(folder: Path, memory: str) -> None:
    config = config_of(folder, "all", "pad.h5", data={"memory": memory})
    prepared = prepare(config)
    assert prepared.is_streamed == (memory == "streaming")
    data = training_data(config, prepared)
    augmentation = build_module(config, prepared, data).augmentation
    assert augmentation is not None
    loader = EventDataModule(
        data, prepared.split.train, prepared.split.validation, config.train
    ).train_dataloader()
    numbers = set()
    for batch in loader:
        number = augmentation.draw(len(batch), torch.device("cpu"))
        numbers |= set(number.tolist())
        row, column = seen(augmentation.images("a", batch.images["a"], number))
        targets, defined = augmentation.targets(batch, number)
        np.testing.assert_array_equal(targets["third"][:, 0], np.digitize(column, [3, 6]))
        np.testing.assert_array_equal(targets["column"][:, 0], column)
        np.testing.assert_array_equal(defined["below"], row != column)
        np.testing.assert_array_equal(targets["below"][:, 0].bool() & defined["below"], row > column)
        np.testing.assert_array_equal(defined["corner"], row < 6)
        np.testing.assert_array_equal(
            targets["corner"][:, 0].bool() & defined["corner"], (column < 3) & (row < 6)
        )
        assert defined["third"].all()
    assert numbers == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (
            {"data": {"selection": "x_px > 2"}},
            r"data.selection 'x_px > 2' tells .* 'flip_x', which changes 'x_px'",
        ),
        (
            {"train": {"selection": "slope > -4"}},
            r"train.selection 'slope > -4' tells .* which changes 'slope'",
        ),
        ({"train": {"mix": {"y_px < 4": 1, "y_px > 4": 1}}}, r"train.mix 'y_px < 4' .* 'flip_y', .* 'y_px'"),
        ({"train": {"mix": "balanced"}}, r"train.mix = balanced, .* task 'third', .* 'flip_x', .* 'x_px'"),
        ({"train": {"class_weights": "balanced"}}, r"class_weights = balanced, .* task 'third', .* 'flip_x'"),
        (
            {"model": {"regions": {"a": {"crop": [9, 6]}}}},
            r"6 of 9 pixels .* 'x', which symmetry 'flip_x' flips",
        ),
    ],
)
@pytest.mark.parametrize("file", ["pad.npz", "pad.h5"])
def test_settings_that_a_symmetry_breaks_are_refused(
    folder: Path, sections: dict[str, dict[str, object]], message: str, file: str
) -> None:
    data = sections.get("data", {}) | ({"memory": "streaming"} if file == "pad.h5" else {})
    config = config_of(folder, "third", file, **(sections | {"data": data}))
    prepared = prepare(config)
    with pytest.raises(ConfigError, match=message):
        build_module(config, prepared, training_data(config, prepared))
    plain = config.model_copy(update={"train": config.train.model_copy(update={"augment": False})})
    assert build_module(plain, prepared, training_data(plain, prepared)).augmentation is None


def test_settings_that_hold_for_every_image_are_taken(folder: Path) -> None:
    for sections in (
        {"data": {"selection": "bright > 120 AND ABS(x_px - 4.5) < 3 AND ABS(y_px - 4.5) < 3"}},
        {"train": {"mix": {"bright < 150": 1, "bright >= 150": 2}}},
        {"train": {"mix": "balanced", "augment": ["flip_y"]}},
    ):
        config = config_of(folder, "third", **sections)
        prepared = prepare(config)
        assert build_module(config, prepared, training_data(config, prepared)).augmentation is not None


def test_the_average_takes_the_symmetries_that_can_be_undone(folder: Path) -> None:
    effects = learnt_effects(config := config_of(folder, "third"), prepare(config))
    assert effects["flip_x"]["third"].source == (2, 1, 0)  # type: ignore[index, union-attr]
    assert effects["flip_y"]["third"].source == (0, 1, 2)  # type: ignore[index, union-attr]
    assert "'third' cannot be averaged over symmetry 'swap'" in str(effects["swap"])
    config = config_of(folder, "below", model={"symmetrise": True})
    effects = learnt_effects(config, prepare(config))
    assert effects["swap"]["below"].scale == (-1.0,)  # type: ignore[index, union-attr]
    assert [name for name, effect in effects.items() if isinstance(effect, str)] == ["flip_x", "flip_y"]


def test_a_symmetry_left_out_of_the_average_is_said_before_the_training(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        train(config_of(folder, "third", model={"symmetrise": True}), tmp_path / "run", progress=False)
    assert "leaves out symmetry 'swap'" in caplog.text
    assert "flip_x" not in caplog.text
    caplog.clear()
    predict_files(tmp_path / "run", [folder / "pad.npz"], tmp_path / "p.parquet", symmetrise=True)
    assert caplog.text.count("The average leaves out symmetry 'swap'") == 1
    never = config_of(folder, "third", model={"symmetrise": True}, data={"selection": "x_px + 2 * y_px > 6"})
    with pytest.raises(ConfigError, match=r"model.symmetrise: data.selection .* tells an event"):
        learnt_effects(never, prepare(never))


def test_a_symmetry_that_makes_targets_the_log_curve_does_not_take_is_refused(folder: Path) -> None:
    text = DESCRIPTION.replace("offset: 9}}}\n  - {name: flip_y", "offset: 5}}}\n  - {name: flip_y")
    (folder / "shifted.yaml").write_text(text)
    config = config_of(folder, "column", model={"target_curve": {"column": "log"}})
    for name, message in (
        ("pad", None),
        ("shifted", r"'column' must be above 0 .* 'flip_x', .* 'x_px', makes -3.5"),
    ):
        config = config.model_copy(update={"detector": str(folder / f"{name}.yaml")})
        prepared = prepare(config)
        data = training_data(config, prepared)
        if message is None:
            assert build_module(config, prepared, data).augmentation is not None
        else:
            with pytest.raises(ConfigError, match=message):
                build_module(config, prepared, data)


@pytest.mark.parametrize("task", ["interaction_mode", "flavour"])
def test_splits_keep_the_shares_of_the_classes_that_are_learnt(
    make_nova: Callable[..., Events], task: str
) -> None:
    nova = get_detector("nova")
    events = nova.complete(make_nova(600, 2))
    strata = strata_of(events.truth, nova.heads(nova.task(task)))

    def dealt(stratify: str, of: str) -> Split:
        split = SplitConfig(stratify=stratify)  # type: ignore[arg-type]
        return split_run(RunConfig(detector="nova", task=of, split=split), events)

    split = dealt("task", task)
    for name, fraction in (("train", 0.6), ("validation", 0.2), ("test", 0.2)):
        for stratum, n in zip(*np.unique(strata, return_counts=True), strict=True):
            assert abs((strata[getattr(split, name)] == stratum).sum() - fraction * n) <= 1
    hashes = {dealt("detector", of).hash for of in ("interaction_mode", "flavour", "nu_energy")}
    assert len(hashes) == 1
    assert split.hash not in hashes


@pytest.mark.parametrize("memory", ["resident", "streaming"])
def test_lists_of_files_deal_the_events_out(folder: Path, tmp_path: Path, memory: str) -> None:
    for name, number in (("mine", 0), ("theirs", 1)):
        rng = np.random.default_rng(20 + number)
        n_events = 60 + 40 * number
        images = rng.integers(0, 200, (n_events, 9, 9)).astype(np.uint8)
        x, y = (rng.integers(0, 9, n_events) + 0.5 for _ in range(2))
        np.savez(tmp_path / f"{name}.npz", img=images, x=x, y=y, q=np.full(n_events, number))
        convert(tmp_path / f"{name}.npz", tmp_path / f"{name}.h5", str(folder / "pad.yaml"))
    mine, theirs = (str(tmp_path / f"{name}.h5") for name in ("mine", "theirs"))
    config = RunConfig(
        detector=str(folder / "pad.yaml"),
        task="third",
        data={"memory": memory, "selection": "x_px > 1"},  # type: ignore[arg-type]
        split={"train": [theirs], "test": [mine]},  # type: ignore[arg-type]
    )
    assert config.data.files == (theirs, mine)
    prepared = prepare(config)
    bright = prepared.events.select(slice(None)).truth["bright"].to_numpy()
    assert set(bright[prepared.split.test]) == {0}
    assert set(bright[prepared.split.train]) == set(bright[prepared.split.validation]) == {1}
    by_fractions = prepare(config_of(folder, "third", "pad.h5", data={"memory": memory}))
    assert prepared.events.truth.columns == by_fractions.events.truth.columns
    assert len(prepared.split.test) == (bright == 0).sum()
    assert RunConfig.model_validate(config.model_dump(mode="json")) == config
    with pytest.raises(ConfigError, match="no folds to hold out"):
        split_run(config, prepared.events)
    with pytest.raises(ValidationError, match="in one of the two only"):
        RunConfig.model_validate(config.model_dump(mode="json") | {"data": {"files": [mine]}})
