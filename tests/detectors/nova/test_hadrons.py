"""Hadronisation: multiplicities against W, KNO, what is conserved, transverse momenta, resonances."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from hitlens.detectors.nova.cross_sections import Process
from hitlens.detectors.nova.hadrons import SPECIES, HadronConfig, Hadrons, Struck, hadronise, mean_charged
from hitlens.simulate.fourvectors import boost, from_momentum, mass_squared
from hitlens.simulate.particle_data import charges, masses_gev


class Sample(NamedTuple):
    struck: Struck
    hadrons: Hadrons

    def count(self, *pdg: int) -> np.ndarray:
        wanted = np.isin(self.hadrons.pdg, pdg)
        return np.bincount(self.hadrons.event[wanted], minlength=len(self.struck.charge))

    @property
    def charged(self) -> np.ndarray:
        wanted = charges(self.hadrons.pdg) != 0
        return np.bincount(self.hadrons.event[wanted], minlength=len(self.struck.charge))


def make(
    process: Process,
    w: float,
    net: int,
    proton: bool = True,
    anti: bool = False,
    n: int = 20_000,
    config: HadronConfig | None = None,
) -> Sample:
    momentum = np.repeat(np.array([[0.3], [-0.2], [4.0]]), n, axis=1)
    struck = Struck(
        process=np.full(n, int(process)),
        charge=np.full(n, net),
        proton=np.full(n, proton),
        antineutrino=np.full(n, anti),
        hadrons=from_momentum(momentum, w),
        axis=np.repeat(np.array([[4.0], [0.2], [-0.1], [5.0]]), n, axis=1),
    )
    return Sample(struck, hadronise(config or HadronConfig(), struck, np.random.default_rng(7)))


#: Charge of the hadrons, proton or neutron, antineutrino or not: the four targets.
TARGETS = [(2, True, False), (1, False, False), (0, True, True), (-1, False, True)]


@pytest.mark.parametrize(("net", "proton", "anti"), TARGETS)
@pytest.mark.parametrize("w", [2.5, 4.0, 8.0])
def test_charged_multiplicity_grows_with_the_logarithm_of_w(
    w: float, net: int, proton: bool, anti: bool
) -> None:
    sample = make(Process.DIS, w, net, proton, anti)
    constants = {
        (2, True): (0.40, 1.42),
        (1, False): (-0.20, 1.42),
        (0, True): (0.02, 1.28),
        (-1, False): (0.80, 0.95),
    }
    a, b = constants[net, proton]
    assert sample.charged.mean() == pytest.approx(a + b * np.log(w**2), abs=0.12)
    assert sample.count(111).mean() == pytest.approx(0.5 * sample.charged.mean(), abs=0.12)


def test_multiplicities_scale_as_koba_nielsen_and_olesen() -> None:
    """The spread over the mean does not depend on W."""
    spread = [(c := make(Process.DIS, w, 2).charged).std() / c.mean() for w in (3.0, 5.0, 10.0)]
    assert spread == pytest.approx([7.0**-0.5] * 3, abs=0.025)


def test_the_multiplicity_scale_scales_multiplicities() -> None:
    more = make(Process.DIS, 6.0, 1, proton=False, config=HadronConfig(multiplicity_scale=1.2))
    assert more.charged.mean() == pytest.approx(
        1.2 * make(Process.DIS, 6.0, 1, proton=False).charged.mean(), rel=0.02
    )


@pytest.mark.parametrize("w", [1.72, 2.0, 3.0, 12.0])
@pytest.mark.parametrize(("net", "proton", "anti"), TARGETS)
def test_deep_inelastic_hadrons_conserve_what_they_must(w: float, net: int, proton: bool, anti: bool) -> None:
    sample = make(Process.DIS, w, net, proton, anti, n=2000, config=HadronConfig(strange_fraction=1.0))
    hadrons, struck = sample.hadrons, sample.struck
    charge = np.bincount(hadrons.event, weights=charges(hadrons.pdg), minlength=2000)
    assert (charge == net).all()
    assert (sample.count(2212, 2112) == 1).all()
    kaons = sample.count(321, -321, 130, 310)
    assert set(np.unique(kaons)) <= {0, 2}
    total = np.stack([np.bincount(hadrons.event, weights=row, minlength=2000) for row in hadrons.vectors])
    assert total == pytest.approx(struck.hadrons, abs=1e-8)
    assert mass_squared(hadrons.vectors) == pytest.approx(masses_gev(hadrons.pdg) ** 2, abs=1e-7)


def along_and_across(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Return each hadron's momentum along the jet and its squared p_T, in the hadrons' rest frame."""
    frame = sample.struck.hadrons[:, :1]
    rest = boost(sample.hadrons.vectors, np.repeat(frame, len(sample.hadrons.pdg), axis=1), into=True)[1:]
    axis = boost(sample.struck.axis[:, :1], frame, into=True)[1:, 0]
    along = axis @ rest / np.linalg.norm(axis)
    return along, (rest**2).sum(axis=0) - along**2


def test_hadrons_make_a_jet_of_limited_transverse_momentum() -> None:
    """<p_T^2> is somewhat below the .28 GeV2 drawn: balancing takes its part."""
    along, square = along_and_across(make(Process.DIS, 10.0, 1, proton=False))
    assert 0.20 < square.mean() < 0.28
    assert along.std() > 2 * np.sqrt(square.mean() / 2), "a jet, not a ball"


def test_the_nucleon_leads_backwards() -> None:
    sample = make(Process.DIS, 6.0, 1, proton=False)
    along, _ = along_and_across(sample)
    nucleon = np.isin(sample.hadrons.pdg, (2212, 2112))
    assert along[nucleon].mean() < -0.5
    assert along[~nucleon].mean() > 0


@pytest.mark.parametrize(
    ("net", "allowed"),
    [
        (2, {(2212, 211)}),
        (1, {(2212, 111), (2112, 211)}),
        (0, {(2112, 111), (2212, -211)}),
        (-1, {(2112, -211)}),
    ],
)
def test_a_delta_decays_into_nucleon_and_pion(net: int, allowed: set[tuple[int, int]]) -> None:
    sample = make(Process.RES, 1.232, net, n=4000)
    pairs = sample.hadrons.pdg.reshape(-1, 2)
    assert {(int(a), int(b)) for a, b in pairs} == allowed
    if net in (0, 1):
        assert (pairs[:, 1] == 111).mean() == pytest.approx(0.6, abs=0.03)


def test_heavy_resonances_have_two_pions_at_times() -> None:
    pions = [make(Process.RES, w, 1, n=4000).count(211, -211, 111) for w in (1.25, 1.9)]
    assert (pions[0] == 1).all()
    assert (pions[1] == 2).mean() == pytest.approx(0.7 * 0.55, abs=0.03)


@pytest.mark.parametrize(
    ("process", "net", "expected"),
    [
        (Process.QE, 1, [2212]),
        (Process.QE, 0, [2112]),
        (Process.MEC, 2, [2212, 2212]),
        (Process.MEC, 1, [2212, 2112]),
        (Process.COHERENT, 1, [211]),
        (Process.COHERENT, -1, [-211]),
        (Process.COHERENT, 0, [111]),
    ],
)
def test_simple_final_states(process: Process, net: int, expected: list[int]) -> None:
    sample = make(process, 2.1 if process == Process.MEC else 0.938, net, n=3)
    assert sample.hadrons.pdg.reshape(3, -1).tolist() == [expected] * 3
    total = np.stack([np.bincount(sample.hadrons.event, weights=row) for row in sample.hadrons.vectors])
    assert total == pytest.approx(sample.struck.hadrons)


def test_no_particle_without_a_mass() -> None:
    assert len(masses_gev(np.array(SPECIES, np.int32))) == len(SPECIES)


def test_no_events_make_no_hadrons() -> None:
    assert len(make(Process.DIS, 3.0, 1, n=0).hadrons.pdg) == 0


def test_the_mean_never_is_negative() -> None:
    mean = mean_charged(HadronConfig(), np.array([1.0]), np.array([False]), np.array([False]))
    assert mean == pytest.approx([0.0])
