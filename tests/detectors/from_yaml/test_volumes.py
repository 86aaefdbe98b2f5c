"""A detector of volumes described in YAML, end to end, its images dense and as lists of hits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from hitlens.config import RunConfig
from hitlens.datasets.augment import Augmentation
from hitlens.datasets.resident import Batch
from hitlens.datasets.symmetries import stated_effect
from hitlens.detectors import read_detector
from hitlens.errors import ConfigError
from hitlens.workflow.data import convert, read_events
from hitlens.workflow.evaluation import evaluate_run
from hitlens.workflow.galleries import gallery
from hitlens.workflow.inspection import inspect_files
from hitlens.workflow.prediction import open_model, predict_events
from hitlens.workflow.prediction_files import predict_files
from hitlens.workflow.training import train

TANK = """
name: tank
title: A tank read out in three dimensions
views:
  - {name: tank, shape: [6, 8, 7], axes: [z, y, x], pitch_mm: [10, 10, 10], unit: photons, dtype: uint16}
truth:
  - {name: is_wide, meaning: 1 for a shower}
  - {name: z_px, meaning: height of the vertex, unit: px, axis: z}
  - {name: y_px, meaning: place of the vertex, unit: px, axis: y}
  - {name: x_px, meaning: place of the vertex, unit: px, axis: x}
symmetries:
  - {name: flip_z, flips: [z], truth: {z_px: {source: z_px, scale: -1, offset: 6}}}
  - {name: flip_y, flips: [y], truth: {y_px: {source: y_px, scale: -1, offset: 8}}}
  - {name: flip_x, flips: [x], truth: {x_px: {source: x_px, scale: -1, offset: 7}}}
tasks:
  - {name: shape, kind: binary, meaning: shower or spot, target: is_wide = 1, class_names: [spot, shower]}
  - {name: vertex, kind: regression, meaning: vertex, columns: [z_px, y_px, x_px], units: [px, px, px]}
  - {name: joint, kind: joint, meaning: both, heads: [shape, vertex]}
files:
  - name: full
    kind: npz
    images: {tank: {dense: charge}}
  - name: hits
    kind: npz
    images: {tank: {pixels: {z: depth, y: row, x: col}, value: adc, event: event}}
"""


def made(n_events: int, seed: int = 1) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
    """Spots of light, narrow or wide, anywhere in the tank."""
    rng = np.random.default_rng(seed)
    is_wide = rng.integers(0, 2, n_events)
    places = np.stack([rng.uniform(1, n - 1, n_events) for n in (6, 8, 7)])
    grid = np.meshgrid(*(np.arange(n) + 0.5 for n in (6, 8, 7)), indexing="ij")
    squares = sum((axis - place[:, None, None, None]) ** 2 for axis, place in zip(grid, places, strict=True))
    width = np.where(is_wide == 1, 1.5, 0.7)[:, None, None, None]
    charge = rng.poisson(60 * np.exp(-squares / (2 * width**2))).astype(np.uint16)
    return charge, {"is_wide": is_wide, "z_px": places[0], "y_px": places[1], "x_px": places[2]}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """The description, and the same events in full and as hits."""
    charge, truth = made(240)
    event, depth, row, col = np.nonzero(charge)
    hits = {"event": event, "depth": depth, "row": row, "col": col, "adc": charge[event, depth, row, col]}
    paths = {name: tmp_path / f"{name}.npz" for name in ("full", "hits")}
    np.savez(paths["full"], charge=charge, **truth)
    np.savez(paths["hits"], **hits, **truth)
    paths["yaml"] = tmp_path / "tank.yaml"
    paths["yaml"].write_text(TANK)
    return paths


def recipe(files: dict[str, Path], layout: str, **settings: Any) -> RunConfig:
    network = {"features": [8, 16], "blocks": [1, 1], "stem_stride": 1, "hidden": 32, "dropout": 0.0}
    return RunConfig.model_validate(
        {
            "detector": str(files["yaml"]),
            "task": "joint",
            "data": {"files": [str(files[layout])]},
            "model": {"settings": network} | settings,
            "train": {"epochs": 12, "batch_size": 32, "learning_rate": 0.01, "ema_decay": 0.5},
            "evaluate": {"n_bootstrap": 20, "n_bootstrap_slices": 20, "baselines": False},
        }
    )


def test_volumes_are_the_same_in_full_and_as_hits(files: dict[str, Path], tmp_path: Path) -> None:
    full, hits = (read_events(files[name], str(files["yaml"])) for name in ("full", "hits"))
    assert full.images["tank"].shape == (240, 6, 8, 7)
    assert hits.images["tank"].shape == (240, 336)
    np.testing.assert_array_equal(hits.dense("tank", (6, 8, 7)), full.images["tank"])
    for name in ("full", "hits"):
        convert(files[name], tmp_path / f"{name}.h5", str(files["yaml"]))
        again = read_events(tmp_path / f"{name}.h5", None)
        np.testing.assert_array_equal(again.dense("tank", (6, 8, 7)), full.images["tank"])


def test_symmetries_flip_any_axis_and_move_the_vertex() -> None:
    detector = read_detector(TANK, "tank.yaml")
    charge, truth = made(4)
    task = detector.task("vertex")
    moves = Augmentation(detector, [task], pl.DataFrame(truth), np.arange(4))
    assert moves.n_symmetries == 4
    images = torch.from_numpy(charge)
    numbers = torch.arange(4)
    changed = moves.images("tank", images, numbers)
    for number, axis in ((1, 0), (2, 1), (3, 2)):
        np.testing.assert_array_equal(changed[number], np.flip(charge[number], axis))
    target = torch.tensor(np.stack([truth["z_px"], truth["y_px"], truth["x_px"]], axis=1))
    known = torch.ones(4, dtype=torch.bool)
    batch = Batch({}, {"vertex": target}, {"vertex": known}, numbers, torch.ones(4))
    moved = moves.targets(batch, numbers)[0]["vertex"]
    assert moved[1, 0] == 6 - target[1, 0]
    for number, symmetry in enumerate(detector.symmetries, start=1):
        effect = stated_effect(detector, symmetry, task)
        assert effect is not None
        torch.testing.assert_close(effect.undo(moved[[number]]), target[[number]])


@pytest.mark.parametrize("layout", ["full", "hits"])
def test_a_network_learns_from_volumes(layout: str, files: dict[str, Path], tmp_path: Path) -> None:
    train(recipe(files, layout), tmp_path / "run", progress=False)
    table = predict_files(tmp_path / "run", [files[layout]], tmp_path / "p.parquet").table
    for axis in "zyx":
        error = table[f"vertex_pred_{axis}_px"] - table[f"true_{axis}_px"]
        assert error.std() < 0.8  # a guess is 1.2 to 1.7 off
    assert (table["pred_shape"] == table["true_shape"]).mean() > 0.8


def test_a_flipped_volume_gets_the_flipped_answer(files: dict[str, Path], tmp_path: Path) -> None:
    """Symmetrised predictions follow a flip exactly, once all eight flips are in the list."""
    text = TANK.replace(
        "  - {name: flip_y, flips: [y], truth: {y_px: {source: y_px, scale: -1, offset: 8}}}\n", ""
    )
    text = text.replace(
        "  - {name: flip_x, flips: [x], truth: {x_px: {source: x_px, scale: -1, offset: 7}}}\n", ""
    )
    files["yaml"].write_text(text)
    config = recipe(files, "full")
    changes = {
        "train": config.train.model_copy(update={"epochs": 1}),
        "model": config.model.model_copy(update={"symmetrise": True}),
    }
    train(config.model_copy(update=changes), tmp_path / "run", progress=False)
    model = open_model(tmp_path / "run")
    events = read_events(files["full"], str(files["yaml"]))
    flipped = type(events)({"tank": np.flip(events.images["tank"], 1).copy()}, events.truth, "tank")
    one, other = (predict_events(model, given).table for given in (events, flipped))
    np.testing.assert_allclose(6 - other["vertex_pred_z_px"], one["vertex_pred_z_px"], atol=1e-3)
    np.testing.assert_allclose(other["vertex_pred_x_px"], one["vertex_pred_x_px"], atol=1e-3)


@pytest.mark.slow
def test_volumes_are_inspected_evaluated_and_drawn(files: dict[str, Path], tmp_path: Path) -> None:
    report = inspect_files([files["hits"]], detector=str(files["yaml"]), html=tmp_path / "data.html")
    assert report.n_events == 240
    config = recipe(files, "hits", regions={"all": {"pool": [2, 2, 1]}})
    train(config.model_copy(update={"task": "vertex"}), tmp_path / "run", progress=False)
    results = evaluate_run(tmp_path / "run")
    assert [one.task for one in results.tasks] == ["vertex"]
    gallery(tmp_path / "run", tmp_path / "events.png", n=3)
    assert (tmp_path / "events.png").stat().st_size > 10_000


def test_a_flat_network_says_which_takes_volumes(files: dict[str, Path], tmp_path: Path) -> None:
    config = recipe(files, "full", name="plain_cnn", settings={})
    with pytest.raises(ConfigError, match=r"plain_cnn takes no view of 3 axes; 'tank' .*residual_cnn"):
        train(config, tmp_path / "run", progress=False)
