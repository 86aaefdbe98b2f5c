"""The generator against the truth laws of the files, its nuisance parameters, conservation and seeds.

The laws are those of selected events. `seen` stands for the selection here: neutral currents below about .6
GeV of hadrons give too few hits; hardly anything else is lost. The slow test runs the whole simulation.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from pydantic import ValidationError

from hitlens.detectors.nova.generator import GeneratorConfig, generate
from hitlens.detectors.nova.nucleus import NucleusConfig
from hitlens.detectors.nova.particles import Interactions, Particles
from hitlens.simulate.particle_data import charges

#: Events of the documented file, and its histograms: nuenergy in bins of 8.22 GeV, lepenergy in 3.72 GeV.
N_DOCUMENTED = 7001
NU_ENERGY = np.array([3339, 1887, 1016, 387, 194, 81, 48, 16, 16, 16])
LEP_ENERGY = np.array([3650, 1058, 811, 652, 317, 194, 106, 88, 53, 35, 18, 18])
#: The histograms were read off figures in steps of about 17 events.
READING_ERROR = 9.0
#: GeV of hadronic energy: pi+- and pi0 an event.
PIONS = {
    (0.3, 0.7): (0.22, 0.13),
    (0.7, 1.2): (0.47, 0.33),
    (1.2, 2): (0.68, 0.34),
    (2, 3.5): (1.26, 0.58),
    (3.5, 6): (1.19, 1.19),
    (6, 12): (2.29, 1.26),
    (12, 200): (2.93, 1.40),
}


class Sample(NamedTuple):
    truth: Interactions
    particles: Particles

    def count(self, *pdg: int) -> np.ndarray:
        wanted = np.isin(self.particles.pdg, pdg)
        return np.bincount(self.particles.event[wanted], minlength=len(self.truth))

    def sum(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self.particles.event, weights=values, minlength=len(self.truth))


def draw(n: int = 20_000, seed: int = 1, **settings: Any) -> Sample:
    config = GeneratorConfig.model_validate(settings)
    return Sample(*generate(config, n, np.random.default_rng(seed)))


@pytest.fixture(scope="module")
def sample() -> Sample:
    return draw(100_000)


def shares(code: np.ndarray) -> np.ndarray:
    return np.bincount(code, minlength=16) / len(code)


def seen(truth: Interactions) -> np.ndarray:
    hadrons = truth.nu_energy_gev - truth.lep_energy_gev
    return (truth.interaction != 13) | (hadrons > 0.62)


def assert_shares(share: np.ndarray, statistical: float) -> None:
    """The documented shares within two standard errors of 7001 events and ours."""
    documented = {0: 0.126, 1: 0.188, 2: 0.539, 3: 0.028, 4: 0.0012, 6: 0.0087, 15: 0.0083}
    for code, value in documented.items():
        error = np.sqrt(value / N_DOCUMENTED + value * statistical)
        assert share[code] == pytest.approx(value, abs=2 * error + 0.0005), code
    assert share[:4].sum() == pytest.approx(0.882, abs=0.009)
    assert share[4:8].sum() == pytest.approx(0.0123, abs=0.003)
    assert share[12:14].sum() == pytest.approx(0.099, abs=0.008)
    assert share[8:12].sum() == share[14] == 0


def chi2(values: np.ndarray, documented: np.ndarray, width: float) -> float:
    counts = np.histogram(values, np.arange(len(documented) + 1) * width)[0]
    expected = counts * N_DOCUMENTED / len(values)
    return float(((expected - documented) ** 2 / (expected + READING_ERROR**2)).sum())


def test_shares_of_the_interactions(sample: Sample) -> None:
    code = sample.truth.interaction[seen(sample.truth)]
    assert_shares(shares(code), 1 / len(code))


def test_neutrino_energies(sample: Sample) -> None:
    energy = sample.truth.nu_energy_gev[seen(sample.truth)]
    assert (energy > 3.5).mean() == pytest.approx(0.644, abs=0.012)
    assert chi2(energy, NU_ENERGY, 8.22) < 18.3, "95 % of chi2 with 10 degrees of freedom"
    assert 90 < energy.max() <= 102


def test_lepton_energies(sample: Sample) -> None:
    energy = sample.truth.lep_energy_gev[seen(sample.truth)]
    assert chi2(energy, LEP_ENERGY, 3.72) < 21.0, "95 % of chi2 with 12 degrees of freedom"


def test_lepton_over_neutrino_energy(sample: Sample) -> None:
    known = sample.truth.nu_energy_gev > 0
    ratio = sample.truth.lep_energy_gev[known] / sample.truth.nu_energy_gev[known]
    assert 0.0002 < ratio.min() < 0.003
    assert 1.005 < ratio.max() < 1.04
    assert 1 - ratio == pytest.approx(sample.truth.inelasticity[known])


def test_pions_against_hadronic_energy(sample: Sample) -> None:
    """GENIE's table comes from tens of events a row: the tolerance is .15 and 35 %."""
    truth = sample.truth
    hadrons = truth.nu_energy_gev - truth.lep_energy_gev
    charged, neutral = sample.count(211, -211), sample.count(111)
    usual = (truth.interaction < 12) | (truth.interaction == 13)
    rows = []
    for (low, high), documented in PIONS.items():
        row = usual & (hadrons >= low) & (hadrons < high)
        rows.append((charged[row].mean(), neutral[row].mean()))
        for ours, theirs in zip(rows[-1], documented, strict=True):
            assert abs(ours - theirs) < 0.15 + 0.35 * theirs, (low, high, ours, theirs)
    total = np.array(rows).sum(axis=0) / np.array(list(PIONS.values())).sum(axis=0)
    assert total == pytest.approx([1.1, 1.2], abs=0.2)


def test_energy_and_momentum_up_to_what_the_nucleon_brings() -> None:
    sample = draw(nucleus=NucleusConfig.off().model_dump(), unmatched_fraction=0.0)
    truth, particles = sample
    single = (truth.interaction < 3) | ((truth.interaction > 3) & (truth.interaction < 7))
    across = np.hypot(sample.sum(particles.px), sample.sum(particles.py))[single]
    along = (sample.sum(particles.pz) - truth.nu_energy_gev)[single]
    assert np.hypot(across, along).max() < 0.5 + 1e-6, "the largest Fermi momentum"
    assert (np.hypot(across, along) < 0.22).mean() == pytest.approx(0.96, abs=0.015)
    gained = (sample.sum(particles.energy_gev) - truth.nu_energy_gev)[single]
    assert gained.min() > 0.9389 - 0.025 - 1e-3
    assert gained.max() < np.hypot(0.94, 0.5) - 0.025


def test_charge_and_baryon_number_are_the_targets() -> None:
    sample = draw(nucleus=NucleusConfig.off().model_dump(), unmatched_fraction=0.0, cosmic_fraction=0.0)
    truth, particles = sample
    single = np.isin(truth.interaction, (0, 1, 2, 4, 5, 6))
    charge = sample.sum(charges(particles.pdg).astype(float))
    assert (charge[single] == (truth.target_pdg[single] == 2212)).all()
    assert (sample.count(2212, 2112)[single] == 1).all()


def test_leptons_are_there_once_and_as_the_truth_says(sample: Sample) -> None:
    truth, particles = sample
    for codes, pdgs in (
        ((0, 1, 2, 3), (13, -13)),
        ((4, 5, 6, 7, 12), (11, -11)),
        ((13,), (12, -12, 14, -14)),
    ):
        events = np.isin(truth.interaction, codes)
        assert (sample.count(*pdgs)[events] == 1).all()
        lepton = np.isin(particles.pdg, pdgs) & events[particles.event]
        energy = truth.lep_energy_gev[particles.event[lepton]]
        assert particles.energy_gev[lepton] == pytest.approx(energy, abs=1e-9)


def test_truth_that_the_files_do_not_have() -> None:
    truth, particles = draw(n=2000, cosmic_fraction=0.5, unmatched_fraction=0.5)
    assert set(np.unique(truth.interaction)) == {14, 15}
    for column in (truth.nu_energy_gev, truth.lep_energy_gev, truth.nu_pdg, truth.target_pdg):
        assert (column == 0).all()
    assert np.isnan(truth.inelasticity).all()
    cosmic = truth.interaction[particles.event] == 14
    assert (np.abs(particles.pdg[cosmic]) == 13).all()
    assert (particles.py[cosmic] < 0).all()
    muons = np.bincount(particles.event[np.abs(particles.pdg) == 13], minlength=2000)
    assert muons[truth.interaction == 15].mean() == pytest.approx(0.5, abs=0.06)


def test_taus() -> None:
    sample = draw(n=5000, nutau_fraction=1.0, unmatched_fraction=0.0)
    truth = sample.truth
    assert np.isin(truth.interaction, (8, 9, 10, 11)).all()
    assert truth.nu_energy_gev.min() > 3.5
    assert (truth.lep_energy_gev > 1.7769).all()
    assert (sample.count(15, -15) == 0).all()
    assert sample.count(11, -11).mean() == pytest.approx(0.178, abs=0.02)
    assert sample.count(13, -13).mean() == pytest.approx(0.174, abs=0.02)


def test_electron_neutrinos_and_antineutrinos_by_share() -> None:
    truth, _ = draw(nue_fraction=0.3, antineutrino_fraction=0.6)
    charged = truth.interaction < 12
    assert (np.abs(truth.nu_pdg) == 12).mean() == pytest.approx(0.3, abs=0.015)
    assert ((truth.interaction // 4)[charged] == (np.abs(truth.nu_pdg) == 12)[charged]).all()
    known = truth.nu_pdg != 0
    assert (truth.nu_pdg[known] < 0).mean() == pytest.approx(0.6, abs=0.015)


def test_antineutrinos_leave_more_to_the_lepton() -> None:
    mean = [np.nanmean(draw(antineutrino_fraction=share).truth.inelasticity) for share in (0.0, 1.0)]
    assert mean[1] < mean[0] - 0.05


@pytest.mark.parametrize(
    ("settings", "code", "factor"),
    [
        ({"cross_sections": {"nc_scale": 0.96}}, 13, 1.78),
        ({"cross_sections": {"qe_scale": 1.8}}, 0, 1.57),
        ({"cross_sections": {"res_scale": 0.0}}, 1, 0.0),
        ({"cross_sections": {"electron_elastic_scale": 300.0}}, 12, 300.0),
        ({"flux": {"peak_weight": 0.0}}, 0, 0.39),
    ],
)
def test_nuisance_parameters_by_name(
    sample: Sample, settings: dict[str, Any], code: int, factor: float
) -> None:
    changed = shares(draw(**settings).truth.interaction)[code]
    assert changed / shares(sample.truth.interaction)[code] == pytest.approx(factor, rel=0.12, abs=0.01)


def test_a_greater_axial_mass_makes_a_greater_q2() -> None:
    means = []
    for mass in (0.9, 1.2):
        truth, _ = draw(kinematics={"axial_mass_gev": mass})
        means.append(truth.q2_gev2[truth.interaction == 0].mean())
    assert means[1] > means[0] * 1.25


def test_the_multiplicity_scale_makes_more_pions(sample: Sample) -> None:
    more = draw(hadrons={"multiplicity_scale": 1.2})
    deep = [s.count(211, -211, 111)[s.truth.interaction == 2].mean() for s in (sample, more)]
    assert deep[1] / deep[0] == pytest.approx(1.22, abs=0.06)


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValidationError, match="axial_mas"):
        GeneratorConfig.model_validate({"kinematics": {"axial_mas": 1.0}})


def test_one_seed_gives_the_same_events_and_another_gives_others() -> None:
    one, again, other = draw(500, seed=4), draw(500, seed=4), draw(500, seed=5)
    for name in ("event", "pdg", "px", "py", "pz"):
        assert (getattr(one.particles, name) == getattr(again.particles, name)).all()
    assert (one.truth.nu_energy_gev == again.truth.nu_energy_gev).all()
    assert (one.truth.nu_energy_gev != other.truth.nu_energy_gev).any()


@pytest.mark.parametrize("n", [0, 1, 7])
def test_few_events(n: int) -> None:
    truth, particles = draw(n)
    assert len(truth) == n
    assert set(np.unique(particles.event)) <= set(range(n))


def test_every_particle_is_one_the_detector_knows(sample: Sample) -> None:
    allowed = {11, 12, 13, 14, 111, 211, 130, 310, 321, 2112, 2212}
    assert set(np.abs(np.unique(sample.particles.pdg))) <= allowed
    assert (np.diff(sample.particles.event) >= 0).all()
    assert np.isfinite(sample.particles.momentum_gev).all()


@pytest.mark.slow
def test_the_laws_hold_after_the_selection() -> None:
    from hitlens.detectors.nova.simulate import NovaConfig, NovaSimulator

    # Four times the documented events, so that the shares' tolerance is the documented sample's own error.
    blocks = list(NovaSimulator().blocks(NovaConfig(), 4 * N_DOCUMENTED, seed=2, workers=2))
    code, nu, lepton = (
        np.concatenate([block.truth[name].to_numpy() for block in blocks])
        for name in ("interaction", "nuenergy", "lepenergy")
    )
    assert_shares(shares(code), 1 / (4 * N_DOCUMENTED))
    assert (nu > 3.5).mean() == pytest.approx(0.644, abs=0.015)
    nu, lepton = nu[:N_DOCUMENTED], lepton[:N_DOCUMENTED]
    # Both histograms have statistical errors: twice the limit of one.
    assert chi2(nu, NU_ENERGY, 8.22) < 2 * 18.3
    assert chi2(lepton, LEP_ENERGY, 3.72) < 2 * 21.0
