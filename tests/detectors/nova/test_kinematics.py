"""Kinematics: the laws of Q2, W, x and y at high energy, Fermi gas, conservation, angles."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hitlens.detectors.nova.cross_sections import Process
from hitlens.detectors.nova.kinematics import (
    NUCLEON_GEV,
    Beam,
    KinematicsConfig,
    Scattering,
    fermi_nucleons,
    scatter,
)
from hitlens.errors import ConfigError
from hitlens.simulate.fourvectors import mass_squared

MUON = 0.1056584


def run(
    process: Process,
    energy: float,
    n: int = 20_000,
    lepton: float = MUON,
    config: KinematicsConfig | None = None,
    anti: bool = False,
) -> Scattering:
    beam = Beam(
        process=np.full(n, int(process)),
        energy_gev=np.full(n, energy),
        lepton_gev=np.full(n, lepton),
        hadron_gev=np.full(n, 0.13957 if process == Process.COHERENT else NUCLEON_GEV),
        antineutrino=np.full(n, anti),
    )
    return scatter(config or KinematicsConfig(), beam, np.random.default_rng(11))


@pytest.mark.parametrize("process", list(Process))
@pytest.mark.parametrize("energy", [1.6, 2.0, 15.0, 100.0])
def test_energy_and_momentum_are_conserved(process: Process, energy: float) -> None:
    result = run(process, energy, n=500)
    neutrino = np.array([energy, 0, 0, energy])[:, np.newaxis]
    assert result.lepton + result.hadrons == pytest.approx(neutrino + result.nucleon, abs=1e-9 * energy)
    assert mass_squared(result.lepton) == pytest.approx(np.full(500, MUON**2), abs=1e-9 * energy**2)
    assert result.transfer == pytest.approx(neutrino - result.lepton, abs=1e-12)


@pytest.mark.parametrize("process", list(Process))
def test_the_angle_of_the_lepton_is_that_of_q2(process: Process) -> None:
    result = run(process, 5.0, n=1000)
    energy, momentum = result.lepton[0], np.sqrt((result.lepton[1:] ** 2).sum(axis=0))
    cosine = result.lepton[3] / momentum
    assert 2 * 5.0 * (energy - momentum * cosine) - MUON**2 == pytest.approx(result.q2_gev2, abs=1e-8)


@pytest.mark.parametrize("axial_mass", [0.8, 1.0, 1.3])
def test_quasi_elastic_q2_is_a_dipole(axial_mass: float) -> None:
    """Above .3 GeV2, where Pauli blocking has no say, and at an energy that allows any Q2."""
    q2 = run(Process.QE, 30.0, config=KinematicsConfig(axial_mass_gev=axial_mass)).q2_gev2
    q2 = q2[(q2 > 0.3) & (q2 < 10)]

    def below(value: np.ndarray | float) -> np.ndarray:
        return 1 - (1 + np.asarray(value) / axial_mass**2) ** -3

    law = (below(q2) - below(0.3)) / (below(10) - below(0.3))
    assert stats.kstest(law, "uniform").pvalue > 1e-3


def test_pauli_blocking_keeps_slow_nucleons_inside() -> None:
    hadrons = run(Process.QE, 2.0).hadrons
    assert np.sqrt((hadrons[1:] ** 2).sum(axis=0)).min() >= 0.22
    assert np.sqrt(mass_squared(hadrons)) == pytest.approx(np.full(20_000, NUCLEON_GEV))


def test_resonance_mass_is_breit_wigner_and_exponential() -> None:
    w = run(Process.RES, 50.0).w_gev
    assert w.min() > 1.09
    assert w.max() < 2.0
    rng = np.random.default_rng(2)
    law = 1.232 + 0.058 * rng.standard_cauchy(200_000) + rng.exponential(0.13, 200_000)
    assert stats.ks_2samp(w, law[(law > 1.09) & (law < 2.0)]).pvalue > 1e-3


@pytest.mark.parametrize(("anti", "exponent"), [(False, 1.15), (True, 2.3)])
def test_deep_inelastic_x_and_y_are_beta_distributions(anti: bool, exponent: float) -> None:
    """At 100 GeV and for y > .2 the cut on W forbids next to nothing."""
    result = run(Process.DIS, 100.0, anti=anti)
    y, x = result.transfer[0] / 100.0, result.bjorken_x
    high = y > 0.2
    # Fermi motion changes the energy in the nucleon's rest frame, not y or x.
    assert stats.kstest(1 - ((1 - y[high]) / 0.8) ** exponent, "uniform").statistic < 0.02
    assert stats.kstest(x[high], stats.beta(0.8, 3.2).cdf).statistic < 0.02
    assert result.w_gev.min() >= 1.7 - 1e-9


def test_w_is_above_its_limit_near_threshold_too() -> None:
    assert run(Process.DIS, 1.6, n=2000).w_gev.min() >= 1.7 - 1e-9


def test_fermi_gas() -> None:
    config = KinematicsConfig(fermi_tail=0.1)
    nucleons = fermi_nucleons(config, 50_000, np.random.default_rng(1))
    momentum = np.sqrt((nucleons[1:] ** 2).sum(axis=0))
    assert (momentum > 0.22).mean() == pytest.approx(0.1, abs=0.01)
    inside = momentum[momentum <= 0.22]
    assert stats.kstest((inside / 0.22) ** 3, "uniform").pvalue > 1e-3
    assert momentum.max() <= 0.5
    assert nucleons[0] == pytest.approx(np.hypot(momentum, NUCLEON_GEV) - 0.025)


def test_coherent_pions_go_forward() -> None:
    result = run(Process.COHERENT, 5.0, n=5000)
    pion, transfer = result.hadrons[1:], result.transfer[1:]
    cosine = (pion * transfer).sum(axis=0) / np.sqrt((pion**2).sum(axis=0) * (transfer**2).sum(axis=0))
    assert np.median(cosine) > 0.95
    assert np.isnan(result.w_gev).all()


def test_two_nucleons_take_more_energy_than_one() -> None:
    one, two = run(Process.QE, 3.0), run(Process.MEC, 3.0)
    assert two.transfer[0].mean() > one.transfer[0].mean() + 0.05
    assert np.sqrt(mass_squared(two.hadrons)).min() > 2 * NUCLEON_GEV


def test_what_cannot_happen_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"QE scattering at 1 GeV found no kinematics"):
        run(Process.QE, 1.0, n=2, lepton=1.77693)
