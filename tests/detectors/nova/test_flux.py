"""Energies: the three components, limits, nuisance factors."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hitlens.detectors.nova.flux import FluxConfig, draw_energies


def energies(seed: int = 1, n: int = 50_000, **settings: float) -> np.ndarray:
    return draw_energies(FluxConfig(**settings), n, np.random.default_rng(seed))


def test_the_recipes_constants_give_the_recipes_share() -> None:
    energy = energies(
        bump_weight=0.08,
        bump_mean_gev=13.0,
        bump_sigma_gev=3.0,
        tail_weight=0.575,
        tail_start_gev=2.5,
        tail_shape=1.5,
        tail_scale_gev=9.5,
    )
    assert (energy > 3.5).mean() == pytest.approx(0.644, abs=0.008)


def test_the_peak_is_narrow_and_at_2_gev() -> None:
    energy = energies(bump_weight=0, tail_weight=0)
    assert stats.kstest(energy, stats.lognorm(0.23, scale=2.0).cdf).pvalue > 1e-3


def test_the_tail_is_a_gamma_distribution() -> None:
    energy = energies(bump_weight=0, peak_weight=0, highest_gev=1000.0)
    assert stats.kstest(energy - 2.0, stats.gamma(1.4, scale=10.8).cdf).pvalue > 1e-3


def test_energies_stay_inside_and_do_not_pile_up() -> None:
    energy = energies(tail_scale_gev=40.0)
    assert energy.min() >= 0.3
    assert energy.max() <= 102.0
    assert len(np.unique(energy)) == len(energy)


def test_electron_neutrinos_are_harder() -> None:
    config = FluxConfig()
    energy = draw_energies(config, 20_000, np.random.default_rng(1), "nue")
    assert (energy > 3.5).mean() > (energies() > 3.5).mean() + 0.1


def test_the_energy_scale_moves_the_peak() -> None:
    peak = energies(bump_weight=0, tail_weight=0)
    assert energies(bump_weight=0, tail_weight=0, energy_scale=1.1) == pytest.approx(1.1 * peak)
