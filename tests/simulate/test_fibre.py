from __future__ import annotations

import numpy as np
import pytest

from hitlens.simulate.fibre import Fibre, read_out, transmission

FIBRE = Fibre(photo_electrons_per_mev=20.0, long_cm=800.0)


def run(light: float, distance: float, threshold: float = 17.0, **settings: float) -> np.ndarray:
    n = 4000
    return read_out(
        FIBRE, np.full(n, light), np.full(n, distance), threshold, np.random.default_rng(1), **settings
    )


def test_transmission_falls_with_two_lengths() -> None:
    distance = np.array([0.0, 250.0, 800.0])
    expected = 0.35 * np.exp(-distance / 250) + 0.65 * np.exp(-distance / 800)
    np.testing.assert_allclose(transmission(FIBRE, distance), expected)


@pytest.mark.parametrize("distance", [0.0, 700.0, 1500.0])
def test_the_calibration_undoes_the_attenuation(distance: float) -> None:
    energy = run(40.0, distance)
    assert energy.mean() == pytest.approx(40.0, rel=0.01)
    mean_pe = 20 * 40 * transmission(FIBRE, distance)
    assert energy.std() / energy.mean() == pytest.approx(1 / np.sqrt(mean_pe), rel=0.06)


def test_threshold_cuts_more_far_from_the_readout() -> None:
    near, far = run(6.0, 50.0), run(6.0, 1500.0)
    assert (near > 0).all()
    assert 0.0 < np.mean(far > 0) < 0.5
    least = 17 / (20 * transmission(FIBRE, 1500.0))
    assert far[far > 0].min() == pytest.approx(least)
    assert far[far > 0].mean() > 6.0  # only upward fluctuations are seen
    assert not run(0.1, 1500.0).any()


def test_a_wrong_attenuation_shows() -> None:
    assert run(40.0, 900.0, attenuation_scale=1.2).mean() < 0.9 * 40
    assert run(40.0, 900.0, attenuation_scale=0.8).mean() > 1.1 * 40


def test_gains_are_calibrated() -> None:
    strong, weak = run(40.0, 500.0, gain=1.5), run(40.0, 500.0, gain=0.5)
    assert strong.mean() == pytest.approx(weak.mean(), rel=0.01)
    assert strong.std() < weak.std()
