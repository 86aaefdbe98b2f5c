"""The likelihood fit on simulated events: accuracy, errors and odds; and on the real samples."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hitlens import metrics
from hitlens.detector import Task
from hitlens.detectors.cebr import DETECTOR
from hitlens.detectors.cebr import fit as fitting
from hitlens.detectors.cebr.fit import DOUBLE_THRESHOLD, fit_events, fit_singles, photon_density
from hitlens.detectors.cebr.response import SimulationConfig
from hitlens.detectors.cebr.simulate import propagate_photons, simulate_block
from hitlens.errors import DataError, NotFoundError
from hitlens.events import Events

#: Not the seed of any published number.
SEED = 20_001


@pytest.fixture(scope="module")
def config():
    return SimulationConfig.model_validate({})


@pytest.fixture(scope="module")
def events(config):
    return simulate_block(config, SEED, 0, 1200)


@pytest.fixture(scope="module")
def result(events):
    return fit_events(events.dense("anode"))


@pytest.fixture(scope="module")
def is_double(events):
    return events.truth["n_electrons"].to_numpy() == 2


def truth_of(events, k):
    columns = (f"energy_{k}_mev", f"x_{k}_px", f"y_{k}_px")
    return np.stack([events.truth[column].to_numpy() for column in columns], axis=1)


def test_tells_singles_from_doubles(result, is_double):
    called = result.score >= DOUBLE_THRESHOLD
    assert metrics.accuracy(is_double, called) > 0.984
    assert metrics.auc(is_double, result.score) > 0.993
    assert metrics.background_rejection(is_double, called) > 0.985
    assert metrics.signal_efficiency(is_double, called) > 0.97


def test_score_is_a_probability_and_grows_with_the_odds(result):
    order = np.argsort(result.log_odds)
    assert (np.diff(result.score[order]) >= 0).all()
    assert 0 <= result.score.min() <= result.score.max() <= 1


def test_score_is_calibrated(result, is_double):
    assert metrics.expected_calibration_error(is_double, result.score) < 0.02


def test_singles_energy_and_position(events, result, is_double):
    truth = truth_of(events, 1)[~is_double]
    fit = result.single
    energy, position = fit.energy_mev[~is_double, 0], fit.position_px[~is_double, 0]
    assert metrics.mae(truth[:, 0], energy) < 0.015
    assert metrics.resolution(truth[:, 1:], position) < 0.0335
    assert metrics.relative_resolution(truth[:, 0], energy) == pytest.approx(0.021, abs=0.003)
    assert abs(np.median(energy / truth[:, 0]) - 1) < 0.005


def test_doubles_energies_and_positions(events, result, is_double):
    truth = np.stack([truth_of(events, 1), truth_of(events, 2)], axis=1)[is_double]
    position = metrics.match_sets(truth[:, :, 1:], result.double.position_px[is_double])
    energy = metrics.match_sets(truth[:, :, :1], result.double.energy_mev[is_double][:, :, None])
    assert metrics.mae(truth[:, :, 1:], position) < 0.06
    assert metrics.r2(truth[:, :, 1:], position) > 0.99
    assert metrics.mae(truth[:, :, :1], energy) < 0.017
    assert metrics.r2(truth[:, :, :1], energy) > 0.95


def test_errors_are_right(events, result, is_double):
    """Central 68 % of the pulls has width 1; tails are wider, from bremsstrahlung."""
    truth, fit = truth_of(events, 1)[~is_double], result.single
    position = metrics.pulls(
        truth[:, 1:], fit.position_px[~is_double, 0], fit.position_error_px[~is_double, 0]
    )
    energy = metrics.pulls(truth[:, 0], fit.energy_mev[~is_double, 0], fit.energy_error_mev[~is_double, 0])
    for pull in (position, energy):
        assert metrics.resolution(np.zeros_like(pull), pull) == pytest.approx(1, abs=0.1)


def test_deviance_without_radiation_follows_chi_squared():
    config = SimulationConfig.model_validate(
        {"bremsstrahlung": {"amplitude_per_mev": 0.0}, "sample": {"energy_1_mev": [0.3, 1.0]}}
    )
    events = simulate_block(config, SEED, 0, 600)
    found = fit_events(events.dense("anode"), config)
    single = events.truth["n_electrons"].to_numpy() == 1
    for fit, which in ((found.single, single), (found.double, ~single)):
        per_dof = fit.deviance[which] / fit.dof
        assert per_dof.mean() == pytest.approx(1, abs=0.03)
        assert per_dof.std() == pytest.approx(np.sqrt(2 / fit.dof), rel=0.25)
    assert metrics.accuracy(~single, found.score >= DOUBLE_THRESHOLD) > 0.988


def test_two_spots_never_fit_worse(result):
    assert (result.delta_deviance > -0.1).all()
    assert (result.double.minimum <= result.single.minimum + 0.05).all()


def test_the_highest_energy_is_first(result):
    assert (np.diff(result.double.energy_mev, axis=1) <= 0).all()


def test_expected_images_are_kept_on_request(events):
    images = events.dense("anode")[:5]
    found = fit_events(images, keep_expected=True)
    assert found.single.expected.shape == found.double.expected.shape == (5, 16, 16)
    assert found.double.expected.sum() == pytest.approx(images.sum(), rel=0.01)
    assert fit_singles(images).expected is None


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_do_not_change_a_bit(events, result, workers, monkeypatch):
    monkeypatch.setattr(fitting, "_BLOCK_EVENTS", 7)
    found = fit_events(events.dense("anode")[:40], workers=workers)
    assert (found.log_odds == result.log_odds[:40]).all()
    assert (found.double.position_px == result.double.position_px[:40]).all()


def test_order_and_flips_of_images(events, result):
    images = events.dense("anode")[:30]
    back = fit_events(images[::-1])
    assert (back.score[::-1] == result.score[:30]).all()
    flipped = fit_events(images[:, ::-1])
    assert 16 - flipped.single.position_px[:, 0, 0] == pytest.approx(
        result.single.position_px[:30, 0, 0], abs=5e-3
    )
    turned = fit_events(images.transpose(0, 2, 1))
    assert turned.single.position_px[:, 0, ::-1] == pytest.approx(result.single.position_px[:30, 0], abs=5e-3)
    assert turned.single.energy_mev == pytest.approx(result.single.energy_mev[:30], rel=1e-3)


def test_dead_pixels_are_left_out(events, result, is_double):
    dead = [[5, 5], [0, 3], [9, 12]]
    config = SimulationConfig.model_validate({"dead_pixels": dead})
    images = events.dense("anode")[:200].copy()
    for ix, iy in dead:
        images[:, ix, iy] = 0
    found = fit_events(images, config)
    assert found.single.dof == 256 - 3 - 4
    assert found.double.dof == 256 - 3 - 8
    assert metrics.accuracy(is_double[:200], found.score >= DOUBLE_THRESHOLD) > 0.96
    assert np.abs(found.single.energy_mev / result.single.energy_mev[:200] - 1)[~is_double[:200]].max() < 0.1


def test_dim_singles_are_found_where_their_light_is():
    """Of a dozen photons the brightest pixel may be anywhere; the pattern tells."""
    config = SimulationConfig.model_validate(
        {"sample": {"single_fraction": 1.0, "energy_1_mev": [0.0001, 0.0003]}}
    )
    events = simulate_block(config, SEED, 0, 400)
    found = fit_singles(events.dense("anode"))
    distance = np.hypot(*(found.position_px[:, 0] - truth_of(events, 1)[:, 1:]).T)
    assert np.quantile(distance, 0.97) < 3  # 4 when started in the brightest pixel


def test_empty_images_are_survived():
    found = fit_events(np.zeros((2, 16, 16), dtype=np.uint16))
    assert np.isfinite(found.score).all()
    assert (found.single.energy_mev < 1e-3).all()


def test_no_events():
    found = fit_events(np.zeros((0, 16, 16)))
    assert found.score.shape == (0,)
    assert found.double.position_px.shape == (0, 2, 2)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 8, 8)), r"shape \(event, 16, 16\). Got \(2, 8, 8\)"),
        (np.full((2, 16, 16), -1.0), "2 events are not, the first is event 0"),
        (np.full((1, 16, 16), np.nan), "finite"),
    ],
)
def test_wrong_images_are_refused(images, message):
    with pytest.raises(DataError, match=message):
        fit_events(images)


def test_prior_share_of_singles_shifts_the_odds(events, result):
    config = SimulationConfig.model_validate({"sample": {"single_fraction": 0.9}})
    found = fit_events(events.dense("anode")[:10], config)
    assert found.log_odds - result.log_odds[:10] == pytest.approx(-np.log(9), abs=1e-9)


@pytest.mark.parametrize("photon", [0.06, 0.15, 0.4])
def test_photon_density_is_that_of_the_simulated_photons(config, photon):
    """Distances in the plane at which the simulator's photons end, against the integrated density."""
    n, radiation = 200_000, config.bremsstrahlung
    wide = radiation.model_copy(update={"active_px": (-1e6, 1e6)})
    origin, energy = np.zeros(n), np.full(n, photon)
    x, y, kept = propagate_photons(wide, origin, origin, energy, np.random.default_rng(0))
    edges = np.array([0.05, 0.2, 0.5, 1.0, 2.0, 5.0])
    counts, _ = np.histogram(np.hypot(x, y)[kept], edges)
    made = radiation.amplitude_per_mev * 0.5 / photon
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        radius = np.geomspace(low, high, 400)
        density = photon_density(radiation, np.full(400, 0.5), np.full(400, photon), radius)
        expected = n * np.trapezoid(2 * np.pi * radius * density, radius) / made
        assert count == pytest.approx(expected, abs=5 * np.sqrt(expected) + 1)


def test_soft_second_spots_are_no_photons(config):
    below = photon_density(config.bremsstrahlung, np.array([0.5]), np.array([0.01]), np.array([2.0]))
    assert below[0] == 0


def test_baseline_solves_every_task(events, result, is_double):
    (baseline,) = DETECTOR.baselines
    assert baseline.name == "likelihood_fit"
    few = events.select(np.arange(20))
    for name in baseline.tasks:
        task = DETECTOR.task(name)
        found = baseline.predict(few, task)
        expected = (name,) if task.is_classification else task.target_columns
        assert tuple(found) == expected
        assert all(column.shape == (20,) for column in found.values())
    assert (baseline.predict(few, DETECTOR.task("multiplicity"))["multiplicity"] == result.score[:20]).all()
    single = baseline.predict(few, DETECTOR.task("single"))
    assert (single["x_1_px"] == result.single.position_px[:20, 0, 0]).all()


@pytest.mark.parametrize(
    "task",
    [
        DETECTOR.task("joint"),
        Task(name="odd", kind="regression", meaning="?", columns=("time_ns",), units=("ns",)),
        Task(name="other", kind="binary", meaning="?", target="energy_1_mev > 1", class_names=("a", "b")),
    ],
    ids=lambda task: task.name,
)
def test_other_tasks_are_refused(events, task):
    with pytest.raises(NotFoundError, match=f"does not solve task '{task.name}'"):
        fitting.predict(events.select(slice(0, 2)), task)


def read_sample(path):
    rows = np.loadtxt(path, ndmin=2)
    images = rows[:, :256].reshape(-1, 16, 16).astype(np.uint16)
    key = pl.DataFrame({"file": [path.name] * len(rows), "event": range(len(rows))})
    return Events({"anode": images}, key, "cebr"), rows[:, 256:]


@pytest.mark.real
def test_real_singles(real_cebr):
    events, truth = read_sample(real_cebr / "CeBr10.txt")
    images = events.dense("anode")
    found = fit_events(images, keep_expected=True)
    fit = found.single
    assert (found.score < DOUBLE_THRESHOLD).all()
    # The light model's own figure on these ten is 1.17.
    assert fit.deviance.sum() / (10 * fit.dof) == pytest.approx(1.17, abs=0.03)
    assert (fit.deviance / fit.dof < 1.5).all()
    pixel_pull = (images - fit.expected) / np.sqrt(fit.expected)
    assert abs(pixel_pull.mean()) < 0.05
    assert pixel_pull.std() == pytest.approx(1.06, abs=0.03)
    assert np.abs(pixel_pull).max() < 5
    assert np.abs(fit.energy_mev[:, 0] / truth[:, 0] - 1).max() < 0.05
    assert np.abs(fit.position_px[:, 0] - truth[:, 1:3]).max() < 0.1
    pulls = metrics.pulls(truth[:, 0], fit.energy_mev[:, 0], fit.energy_error_mev[:, 0])
    assert np.sqrt((pulls**2).mean()) < 1.5
    pulls = metrics.pulls(truth[:, 1:3], fit.position_px[:, 0], fit.position_error_px[:, 0])
    assert np.sqrt((pulls**2).mean()) < 1.6


@pytest.mark.real
def test_real_double(real_cebr):
    events, truth = read_sample(real_cebr / "CeBr10k_1_row0.txt")
    images = events.dense("anode")
    found = fit_events(images, keep_expected=True)
    fit = found.double
    assert found.score[0] > 0.999
    assert found.single.deviance[0] / found.single.dof > 100
    assert fit.deviance[0] / fit.dof < 1.3
    pixel_pull = (images - fit.expected) / np.sqrt(fit.expected)
    assert pixel_pull.std() < 1.1
    expected = truth.reshape(1, 2, 3)
    assert fit.energy_mev == pytest.approx(expected[:, :, 0], rel=0.02)
    assert fit.position_px == pytest.approx(expected[:, :, 1:], abs=0.15)
