from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pytest

from hitlens.detectors.cebr.real_events import find_second_peaks, fit_real_events
from hitlens.detectors.cebr.response import SimulationConfig
from hitlens.detectors.cebr.simulate import simulate_block
from hitlens.errors import DataError
from hitlens.events import Events, concat
from hitlens.simulate.light import Float64
from hitlens.workflow.data import read_events

CONFIG = SimulationConfig.model_validate({})


def test_simulated_events_are_fitted_as_what_they_are() -> None:
    config = SimulationConfig.model_validate({"sample": {"separation_px": [3, 20], "energy_1_mev": [0.2, 1]}})
    events = simulate_block(config, 3, 0, 200)
    fitted = fit_real_events(events, CONFIG)
    assert [len(event.pulls) for event in fitted] == (3 * events.truth["n_electrons"]).to_list()
    assert fitted[7].name == "simulated-seed3 event 7"
    deviance = np.array([event.deviance / event.dof for event in fitted])
    assert np.median(deviance) == pytest.approx(1.0, abs=0.05)
    pulls = np.array([pull for event in fitted for pull in event.pulls.values()])
    assert np.median(np.abs(pulls)) == pytest.approx(0.67, abs=0.15)
    np.testing.assert_allclose(fitted[0].residuals.std(), 1.0, atol=0.3)


def test_the_order_of_the_pair_does_not_matter() -> None:
    config = SimulationConfig.model_validate({"sample": {"single_fraction": 0.0, "separation_px": [4, 20]}})
    events = simulate_block(config, 3, 0, 20)
    swapped = {
        c: c.replace("_1_", "_x_").replace("_2_", "_1_").replace("_x_", "_2_") for c in events.truth.columns
    }
    other = Events(events.images, events.truth.rename(swapped).select(events.truth.columns), "cebr")
    for a, b in zip(fit_real_events(events, CONFIG), fit_real_events(other, CONFIG), strict=True):
        for name, value in a.pulls.items():
            assert b.pulls[swapped[name]] == pytest.approx(value)


def test_events_without_truth_are_refused() -> None:
    bare = Events({"anode": np.zeros((1, 16, 16))}, pl.DataFrame({"file": ["a"], "event": [0]}), "cebr")
    with pytest.raises(DataError, match="truth"):
        fit_real_events(bare, CONFIG)


def test_second_peaks() -> None:
    images = np.full((3, 16, 16), 30, np.uint16)
    images[:, 5, 5] = 2000
    images[1, 5, 12] = 300
    images[2, 5, 7] = 300
    assert np.isnan(find_second_peaks(images)).tolist() == [True, False, True]
    assert find_second_peaks(images)[1] == 7.0


@pytest.mark.real
def test_real_singles_and_the_real_double(real_cebr: Path) -> None:
    real = concat([read_events(real_cebr / name) for name in ("CeBr10.txt", "CeBr10k_1_row0.txt")])
    fitted = fit_real_events(real, CONFIG)
    singles, double = fitted[:10], fitted[10]
    per_dof = sum(event.deviance for event in singles) / sum(event.dof for event in singles)
    assert per_dof == pytest.approx(1.17, abs=0.02)
    assert double.deviance / double.dof < 1.25
    pulls = np.array([list(event.pulls.values()) for event in singles])
    assert (np.abs(pulls) < 3.5).all()
    assert np.sqrt(np.mean(pulls**2)) < 1.5


def network_positions(path: Path, images: Float64) -> Float64:
    """Evaluate the real events' network: 3x3 convolution of 8 features, ReLU, dense; x and y in px."""
    with h5py.File(path) as file:
        weights = file["model_weights"]
        kernel, bias = weights["conv2d/conv2d_6/kernel:0"][:], weights["conv2d/conv2d_6/bias:0"][:]
        dense, offset = weights["dense/dense_6/kernel:0"][:], weights["dense/dense_6/bias:0"][:]
    padded = np.pad(images / 9727, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    features = np.maximum(np.einsum("nxyij,ijf->nxyf", windows, kernel[:, :, 0]) + bias, 0)
    return np.asarray(features.reshape(len(images), -1) @ dense + offset) * 16


@pytest.mark.real
def test_a_network_trained_on_real_events_reads_ours(real_cebr: Path) -> None:
    path = real_cebr / "keras_position_cnn.h5"
    if not path.is_file():
        pytest.skip(f"no {path}")
    real = read_events(real_cebr / "CeBr10.txt")
    config = SimulationConfig.model_validate({"sample": {"single_fraction": 1.0}})
    ours = simulate_block(config, 2, 0)
    errors = []
    for events in (real, ours):
        true = events.truth.select("x_1_px", "y_1_px").to_numpy()
        errors.append(network_positions(path, events.dense("anode").astype(np.float64)) - true)
    mean_error = [float(np.abs(error).mean()) for error in errors]
    spread = float(np.abs(errors[1]).std()) / np.sqrt(errors[0].size)
    assert mean_error[1] == pytest.approx(mean_error[0], abs=3 * spread)
    assert np.abs(np.median(errors[1], axis=0)).max() < 0.06
    # Near the walls, where the light model matters most, the network must not see events displaced.
    x = ours.truth["x_1_px"].to_numpy()
    for low, high in ((0.6, 1.5), (1.5, 3.0), (13.0, 14.5), (14.5, 15.4)):
        assert abs(np.median(errors[1][(x > low) & (x < high), 0])) < 0.16
