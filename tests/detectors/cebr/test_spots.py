"""The compiled spot fit: its derivatives, its minimum against SciPy's, and its bounds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from hitlens.detectors.cebr import spots as kernel
from hitlens.detectors.cebr.fit import _constants
from hitlens.detectors.cebr.response import SimulationConfig
from hitlens.simulate.light import spot_image_reference

PAIR = np.array([[0.7, 5.3, 6.8, 0.8], [0.3, 8.9, 4.4, 0.4]])


@pytest.fixture(scope="module")
def config():
    return SimulationConfig.model_validate({})


@pytest.fixture(scope="module")
def constants(config):
    return _constants(config)


@pytest.fixture(scope="module")
def work(constants):
    return kernel._workspace(constants)


def mean_image(spots, config):
    image = np.zeros((16, 16))
    for energy, x, y, depth in spots:
        shift = -config.electron.depth_shift_px_per_mev * energy * depth
        image += (
            config.electron.photons_per_mev
            * energy
            * spot_image_reference(x, y, shift, config.effective_light)
        )
    return image


def objective(spots, counts, config):
    mean = mean_image(spots, config).ravel()
    return (mean - counts + counts * np.log(counts / mean)).sum() + (spots[:, 3] ** 2).sum() / 2


@pytest.fixture(scope="module")
def counts(config):
    return np.random.default_rng(3).poisson(mean_image(PAIR, config)).ravel().astype(float)


@pytest.fixture(scope="module")
def shifted():
    return PAIR + np.array([[0.02, 0.1, -0.05, 0.1], [0.03, -0.04, 0.06, -0.1]])


def test_objective_is_deviance_and_depth_prior(config, constants, work, counts, shifted):
    found = kernel._evaluate(counts, shifted, constants, work)
    assert found == pytest.approx(objective(shifted, counts, config), rel=1e-9)
    assert work.expected == pytest.approx(mean_image(shifted, config).ravel(), rel=1e-9)


def test_gradient_matches_differences(config, constants, work, counts, shifted):
    kernel._evaluate(counts, shifted, constants, work)
    for a in range(8):
        step = np.zeros(8)
        step[a] = 1e-5
        up, down = (objective(shifted + s * step.reshape(2, 4), counts, config) for s in (1, -1))
        assert work.gradient[a] == pytest.approx((up - down) / 2e-5, rel=1e-4, abs=1e-2)


def test_information_is_the_mean_of_second_derivatives(config, constants, work, shifted):
    """With counts equal to their means, second derivatives are Fisher's information."""
    mean = mean_image(shifted, config).ravel()
    kernel._evaluate(mean, shifted, constants, work)
    information = work.information.copy()
    assert (information == information.T).all()
    for a in range(8):
        step = np.zeros(8)
        step[a] = 1e-4
        gradients = []
        for sign in (1, -1):
            kernel._evaluate(mean, shifted + sign * step.reshape(2, 4), constants, work)
            gradients.append(work.gradient.copy())
        second = (gradients[0] - gradients[1]) / 2e-4
        # The depths' prior (1) is in both; the flat one of the other parameters only in the matrix.
        flat = np.where(np.arange(8) % 4 < 3, constants.flat[np.arange(8) % 4], 0.0)
        expected = information[a] - np.where(np.arange(8) == a, flat, 0.0)
        size = np.sqrt(np.outer(np.diag(information), np.diag(information)))[a]
        assert np.abs(second - expected).max() < 2e-4 * size.max()


def test_minimum_matches_scipy(config, constants, work, counts, shifted):
    found = shifted.copy()
    value = kernel._minimise(counts, found, constants, work, 50)
    bounds = [(1e-4, 3), (0.4, 15.6), (0.4, 15.6), (0, 3.5)] * 2
    reference = minimize(
        lambda p: objective(p.reshape(2, 4), counts, config), shifted.ravel(), bounds=bounds, tol=1e-10
    )
    assert value == pytest.approx(reference.fun, abs=0.02)
    assert found[:, :3] == pytest.approx(reference.x.reshape(2, 4)[:, :3], abs=0.01)


def test_parameters_stay_inside_their_bounds(constants, work):
    """Light from beyond the edge pulls the spot onto the bound, and no further."""
    image = np.zeros((16, 16))
    image[0, 7:9] = 5000
    spots = np.array([[0.1, 1.0, 8.0, 0.5]])
    assert np.isfinite(kernel._minimise(image.ravel(), spots, constants, work, 40))
    energy, x, _, depth = spots[0]
    assert constants.low <= x <= constants.high
    assert 0 <= depth <= 3.5
    assert 0 < energy < 3


def test_second_spot_is_looked_for_where_it_is(config, constants, work):
    spots = np.array([[0.8, 4.2, 5.7, 0.5], [0.05, 10.4, 9.6, 0.5]])
    image = mean_image(spots, config).ravel()
    single = np.empty((1, 4))
    kernel._fit_one(image, single, constants, work)
    kernel._evaluate(image, single, constants, work)
    pixel, energy = kernel._best_second(image, constants, work)
    assert divmod(pixel, 16) == (10, 9)
    assert energy == pytest.approx(0.05, rel=0.3)


@pytest.mark.parametrize("event", range(8))
def test_starts_reach_the_minimum_a_start_at_the_truth_reaches(config, constants, work, event):
    rng = np.random.default_rng(event)
    energy, (x, y) = rng.uniform(0.05, 1, 2), rng.uniform(1, 15, (2, 2))
    truth = np.stack([energy, x, y, [0.5, 0.5]], axis=1)
    image = rng.poisson(mean_image(truth, config)).ravel().astype(float)
    single, pair = np.empty((1, 4)), np.empty((2, 4))
    kernel._fit_one(image, single, constants, work)
    kernel._evaluate(image, single, constants, work)
    found = kernel._fit_two(image, single[0], pair, constants, work)
    assert found < kernel._minimise(image, truth, constants, work, 60) + 0.1
