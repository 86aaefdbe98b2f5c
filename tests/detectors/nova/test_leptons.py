"""Taus, struck electrons and cosmic muons."""

from __future__ import annotations

import numpy as np
import pytest

from hitlens.detectors.nova.hadrons import Hadrons
from hitlens.detectors.nova.leptons import TauConfig, cosmic_muons, decay_taus, struck_electrons
from hitlens.simulate.fourvectors import from_momentum, mass_squared
from hitlens.simulate.particle_data import charges, masses_gev

TAU = 1.77693


def taus(n: int, pdg: int = 15, momentum: float = 6.0) -> Hadrons:
    along = np.zeros((3, n))
    along[2] = momentum
    return Hadrons(np.arange(n), np.full(n, pdg, np.int32), from_momentum(along, TAU))


@pytest.mark.parametrize("pdg", [15, -15])
def test_branching_fractions(pdg: int) -> None:
    sign = np.sign(pdg)
    after = decay_taus(TauConfig(), taus(40_000, pdg), np.random.default_rng(1))
    share = {code: (after.pdg == code * sign).sum() / 40_000 for code in (11, 13)}
    assert share == pytest.approx({11: 0.178, 13: 0.174}, abs=0.006)
    assert not np.isin(after.pdg, (-11 * sign, -13 * sign, 15, -15)).any()


@pytest.mark.parametrize("pdg", [15, -15])
def test_charge_is_conserved_and_energy_not_made(pdg: int) -> None:
    before = taus(5000, pdg)
    after = decay_taus(TauConfig(), before, np.random.default_rng(1))
    assert (np.bincount(after.event, weights=charges(after.pdg)) == -np.sign(pdg)).all()
    total = np.stack([np.bincount(after.event, weights=row) for row in after.vectors])
    missing = before.vectors - total
    assert (missing[0] > 0).all()
    assert (mass_squared(missing) > -1e-6).all(), "what is missing are neutrinos"
    assert mass_squared(after.vectors) == pytest.approx(masses_gev(after.pdg) ** 2, abs=1e-6)


def test_the_muon_takes_seven_twentieths_of_a_fast_tau() -> None:
    only_muons = TauConfig(electron=0, muon=1)
    after = decay_taus(only_muons, taus(20_000, momentum=50.0), np.random.default_rng(1))
    assert after.vectors[0].mean() / 50.03 == pytest.approx(7 / 20, abs=0.005)


def test_struck_electrons_go_forward_with_uniform_energies() -> None:
    energy = np.full(20_000, 10.0)
    electron = struck_electrons(energy, np.random.default_rng(1))
    theta = np.arctan2(np.hypot(electron[1], electron[2]), electron[3])
    assert (electron[0] * theta**2).max() < 2 * 0.000511
    assert electron[0].mean() == pytest.approx(5.0, rel=0.02)
    assert electron[0].max() <= 10.0 + 0.000511
    # The neutrino that goes on is massless.
    rest = np.array([[10.000511], [0], [0], [10.0]]) - electron
    assert mass_squared(rest) == pytest.approx(np.zeros(20_000), abs=1e-6)


def test_cosmic_muons_come_from_above() -> None:
    pdg, muon = cosmic_muons(40_000, np.random.default_rng(1))
    cosine = -muon[2] / np.sqrt((muon[1:] ** 2).sum(axis=0))
    assert (cosine > 0).all()
    assert cosine.mean() == pytest.approx(3 / 4, abs=0.01), "cos^2 per solid angle"
    assert (pdg == -13).mean() == pytest.approx(0.56, abs=0.01)
    assert abs(muon[1].mean()) < 0.15
