"""The nucleus: how much it absorbs, what is conserved, what passes."""

from __future__ import annotations

import numpy as np
import pytest

from hitlens.detectors.nova.hadrons import Hadrons
from hitlens.detectors.nova.kinematics import NUCLEON_GEV
from hitlens.detectors.nova.nucleus import NucleusConfig, leave_nucleus
from hitlens.simulate.fourvectors import from_momentum
from hitlens.simulate.particle_data import mass_gev


def beam(pdg: int, kinetic: float, n: int = 20_000) -> Hadrons:
    mass = mass_gev(pdg)
    momentum = np.zeros((3, n))
    momentum[2] = np.sqrt(kinetic * (kinetic + 2 * mass))
    return Hadrons(np.arange(n), np.full(n, pdg, np.int32), from_momentum(momentum, mass))


def out(hadrons: Hadrons, config: NucleusConfig | None = None) -> Hadrons:
    return leave_nucleus(config or NucleusConfig(), hadrons, np.random.default_rng(3))


@pytest.mark.parametrize("pdg", [211, -211, 111, 2212, 2112, 321])
def test_switched_off_it_lets_everything_pass(pdg: int) -> None:
    before = beam(pdg, 0.4, n=50)
    after = out(before, NucleusConfig.off())
    assert (after.pdg == before.pdg).all()
    assert (after.vectors == before.vectors).all()


def test_absorption_peaks_at_the_delta() -> None:
    share = {t: 1 - np.isin(out(beam(211, t)).pdg, (211, -211, 111)).sum() / 20_000 for t in (0.18, 3.0)}
    assert share[0.18] == pytest.approx(0.48, abs=0.015)
    assert share[3.0] == pytest.approx(0.18, abs=0.015)


def test_charge_exchange_makes_neutral_pions() -> None:
    after = out(beam(-211, 3.0))
    assert (after.pdg == 111).sum() / 20_000 == pytest.approx(0.05 * 0.82, abs=0.006)


@pytest.mark.parametrize(("pdg", "n_struck"), [(211, 2), (111, 2), (-211, 2), (2212, 1), (2112, 1)])
def test_two_nucleons_share_all_energy_and_momentum(pdg: int, n_struck: int) -> None:
    certain = NucleusConfig(pion_absorption=0, fast_pion_absorption=1, knock_out=1)
    before = beam(pdg, 0.5, n=300)
    after = out(before, certain)
    assert np.isin(after.pdg, (2212, 2112)).all()
    assert (np.bincount(after.event) == 2).all()
    total = np.stack([np.bincount(after.event, weights=row) for row in after.vectors])
    expected = before.vectors.copy()
    expected[0] += n_struck * (NUCLEON_GEV - 0.025)
    assert total == pytest.approx(expected)


def test_absorbed_pions_leave_nucleons_of_their_charge() -> None:
    certain = NucleusConfig(pion_absorption=0, fast_pion_absorption=1)
    protons = [(out(beam(pdg, 0.5), certain).pdg == 2212).mean() for pdg in (211, 111, -211)]
    assert protons == pytest.approx([0.9, 0.5, 0.1], abs=0.02)


def test_slow_nucleons_and_kaons_are_left_alone() -> None:
    for hadrons in (beam(2112, 0.05, n=2000), beam(321, 0.5, n=2000)):
        assert len(out(hadrons).pdg) == 2000
