"""Where energy and momentum go: struck nucleon, momentum transfer, mass of the hadrons, outgoing lepton.

The struck nucleon moves with a Fermi momentum and is bound. Energy transfer nu and Q2 are drawn in its rest
frame and fix the lepton; what neutrino and nucleon bring and the lepton does not take is the hadrons'. So
energy and momentum are conserved exactly between neutrino, struck nucleon, lepton and hadrons. The rest of
the nucleus takes no part, except as the target of coherent pions.

Laws: quasi-elastic Q2 as a dipole; two nucleons the same with more energy transfer; resonances W = 1.232 +
Breit-Wigner + exponential and a dipole in Q2; deep inelastic x and y from beta distributions, W > 1.7 GeV.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hitlens.detector import Description
from hitlens.detectors.nova.cross_sections import Process
from hitlens.errors import ConfigError
from hitlens.simulate.fourvectors import boost, cone, directions, from_momentum, mass_squared, turn
from hitlens.simulate.particle_data import mass_gev

Float64 = NDArray[np.float64]

#: Mass of a nucleon in the laws where proton and neutron are not told apart, GeV.
NUCLEON_GEV = 0.5 * (mass_gev(2212) + mass_gev(2112))
#: Rounds of drawing after which a process counts as impossible.
_ROUNDS = 2000


class KinematicsConfig(Description):
    """Constants of the laws.

    Attributes:
        axial_mass_gev: dipole of quasi-elastic scattering.
        resonance_axial_mass_gev: dipole of resonances.
        resonance_width_gev: half width of the Breit-Wigner.
        resonance_tail_gev: scale of the exponential beside it.
        resonance_w_gev: lowest and highest W.
        dis_w_gev: lowest W of deep inelastic scattering.
        dis_x: the two exponents of the beta distribution of x.
        dis_y: second exponent of that of y, the first being 1; 1.4 in the recipe gives too few slow leptons.
        dis_y_antineutrino: the same for antineutrinos, whose leptons keep more.
        fermi_momentum_gev: of the nucleus.
        fermi_tail: share of nucleons above it, in correlated pairs.
        fermi_tail_gev: their largest momentum.
        binding_gev: energy it takes to free a nucleon.
    """

    axial_mass_gev: float = Field(default=1.0, gt=0.1)
    resonance_axial_mass_gev: float = Field(default=1.0, gt=0.1)
    resonance_width_gev: float = Field(default=0.058, gt=0)
    resonance_tail_gev: float = Field(default=0.13, ge=0)
    resonance_w_gev: tuple[float, float] = (1.09, 2.0)
    dis_w_gev: float = Field(default=1.7, gt=1.2)
    dis_x: tuple[float, float] = (0.8, 3.2)
    dis_y: float = Field(default=1.15, gt=0)
    dis_y_antineutrino: float = Field(default=2.3, gt=0)
    fermi_momentum_gev: float = Field(default=0.22, gt=0, lt=0.5)
    fermi_tail: float = Field(default=0.04, ge=0, le=1)
    fermi_tail_gev: float = Field(default=0.5, gt=0)
    binding_gev: float = Field(default=0.025, ge=0)


class Beam(NamedTuple):
    """What is to be scattered, one entry an event.

    Attributes:
        process: `Process` numbers.
        energy_gev: of the neutrinos.
        lepton_gev: mass of the outgoing lepton.
        hadron_gev: mass of the outgoing nucleon of QE, of the pion of COHERENT; not used by others.
        antineutrino: whether it is one.
    """

    process: NDArray[np.int64]
    energy_gev: Float64
    lepton_gev: Float64
    hadron_gev: Float64
    antineutrino: NDArray[np.bool_]

    def take(self, index: NDArray[np.int64]) -> Beam:
        """Return some of the events."""
        return Beam._make(column[index] for column in self)


class Scattering(NamedTuple):
    """Results, four-vectors in the laboratory with the beam along z.

    Attributes:
        lepton: outgoing lepton, shape (4, n).
        hadrons: all hadrons together, shape (4, n).
        transfer: neutrino less lepton, shape (4, n).
        nucleon: struck nucleon or pair as it was; hadrons less transfer, shape (4, n).
        q2_gev2: -transfer squared, shape (n,).
        w_gev: mass of the hadrons for RES and DIS, of two nucleons for MEC; NaN for coherent, shape (n,).
        bjorken_x: Q2 / 2 p.q, p the struck nucleon; NaN for coherent, shape (n,).
    """

    lepton: Float64
    hadrons: Float64
    transfer: Float64
    nucleon: Float64
    q2_gev2: Float64
    w_gev: Float64
    bjorken_x: Float64


class _Rest(NamedTuple):
    """Neutrino energy in the struck system's rest frame, mass of that system, and what the laws need."""

    energy: Float64
    mass: Float64
    lepton: Float64
    hadron: Float64
    antineutrino: NDArray[np.bool_]


class _Transfer(NamedTuple):
    """Energy transfer and Q2 in the struck system's rest frame, and whether the law allows them."""

    nu: Float64
    q2: Float64
    good: NDArray[np.bool_]


def scatter(config: KinematicsConfig, beam: Beam, rng: np.random.Generator) -> Scattering:
    """Return the kinematics of events; what the laws or energy and momentum forbid is drawn anew.

    Args:
        config: constants.
        beam: processes and energies.
        rng: random stream.

    Raises:
        ConfigError: a process cannot happen at the energy given.
    """
    n = len(beam.process)
    lepton, hadrons, nucleon = np.zeros((3, 4, n))
    todo = np.arange(n)
    for _ in range(_ROUNDS):
        trial = beam.take(todo)
        struck, out, rest, good = _trial(config, trial, rng)
        done = todo[good]
        lepton[:, done], hadrons[:, done], nucleon[:, done] = out[:, good], rest[:, good], struck[:, good]
        todo = todo[~good]
        if not len(todo):
            break
    else:
        process, energy = Process(int(beam.process[todo[0]])).name, beam.energy_gev[todo[0]]
        raise ConfigError(
            f"{process} scattering at {energy:.3g} GeV found no "
            "kinematics: raise flux.lowest_gev or make the ranges of kinematics wider."
        )
    return _summary(beam, lepton, hadrons, nucleon)


def _summary(beam: Beam, lepton: Float64, hadrons: Float64, nucleon: Float64) -> Scattering:
    transfer = -lepton
    transfer[0] += beam.energy_gev
    transfer[3] += beam.energy_gev
    q2 = np.maximum(-mass_squared(transfer), 0.0)
    coherent = beam.process == Process.COHERENT
    w = np.sqrt(np.maximum(mass_squared(hadrons), 0.0))
    product = nucleon[0] * transfer[0] - (nucleon[1:] * transfer[1:]).sum(axis=0)
    pair = np.where(beam.process == Process.MEC, 0.5, 1.0)
    x = q2 / np.where(coherent, 1.0, 2.0 * product * pair)
    return Scattering(
        lepton=lepton,
        hadrons=hadrons,
        transfer=transfer,
        nucleon=nucleon,
        q2_gev2=q2,
        w_gev=np.where(coherent, np.nan, w),
        bjorken_x=np.where(coherent, np.nan, x),
    )


def fermi_nucleons(config: KinematicsConfig, n: int, rng: np.random.Generator) -> Float64:
    """Return four-vectors of bound nucleons, shape (4, n): a filled sphere, and a tail as 1 / p^4.

    Examples:
        >>> nucleons = fermi_nucleons(KinematicsConfig(fermi_tail=0), 1000, np.random.default_rng(1))
        >>> bool(((nucleons[1:] ** 2).sum(axis=0) < 0.22**2).all())
        True
    """
    edge, top = config.fermi_momentum_gev, max(config.fermi_tail_gev, config.fermi_momentum_gev)
    u = rng.random(n)
    tail = 1.0 / (1.0 / edge - u * (1.0 / edge - 1.0 / top))
    size = np.where(rng.random(n) < config.fermi_tail, tail, edge * np.cbrt(u))
    vectors = from_momentum(size * directions(n, rng), NUCLEON_GEV)
    vectors[0] -= config.binding_gev
    return vectors


def _trial(
    config: KinematicsConfig, beam: Beam, rng: np.random.Generator
) -> tuple[Float64, Float64, Float64, NDArray[np.bool_]]:
    """Return struck nucleon, lepton and hadrons of one try, each (4, n), and which tries are possible."""
    n = len(beam.process)
    struck = fermi_nucleons(config, n, rng)
    pairs, coherent = (np.flatnonzero(beam.process == one) for one in (Process.MEC, Process.COHERENT))
    struck[:, pairs] += fermi_nucleons(config, len(pairs), rng)
    neutrino = np.zeros((4, n))
    neutrino[0] = neutrino[3] = beam.energy_gev
    at_rest = boost(neutrino, struck, into=True)
    # A coherent pion comes from the whole nucleus, at rest and heavy.
    at_rest[:, coherent] = neutrino[:, coherent]
    rest = _Rest(
        at_rest[0], np.sqrt(mass_squared(struck)), beam.lepton_gev, beam.hadron_gev, beam.antineutrino
    )
    transfer = _transfers(config, beam.process, rest, rng)
    lepton, good = _lepton(rest, transfer, at_rest, rng)
    good &= transfer.good
    moving = boost(lepton, struck)
    lepton[:, beam.process != Process.COHERENT] = moving[:, beam.process != Process.COHERENT]
    hadrons = struck + neutrino - lepton
    hadrons[:, coherent] = _coherent_pions((neutrino - lepton)[:, coherent], rest.hadron[coherent], rng)
    struck[:, coherent] = (hadrons - neutrino + lepton)[:, coherent]
    # Pauli: the nucleon of a quasi-elastic event must find a place outside the filled sphere.
    blocked = (hadrons[1:] ** 2).sum(axis=0) < config.fermi_momentum_gev**2
    good &= ~(blocked & (beam.process == Process.QE))
    return struck, lepton, hadrons, good


def _transfers(
    config: KinematicsConfig, process: NDArray[np.int64], rest: _Rest, rng: np.random.Generator
) -> _Transfer:
    n = len(process)
    result = _Transfer(np.zeros(n), np.zeros(n), np.zeros(n, dtype=bool))
    for kind, law in _LAWS.items():
        index = np.flatnonzero(process == kind)
        if not len(index):
            continue
        part = law(config, _Rest._make(column[index] for column in rest), rng)
        for whole, values in zip(result, part, strict=True):
            whole[index] = values
    return result


def _dipole(axial_mass: float, n: int, rng: np.random.Generator) -> Float64:
    """Draw Q2 from (1 + Q2 / M_A^2)^-4."""
    q2: Float64 = axial_mass**2 * (rng.random(n) ** (-1.0 / 3.0) - 1.0)
    return q2


def _quasi_elastic(config: KinematicsConfig, rest: _Rest, rng: np.random.Generator) -> _Transfer:
    q2 = _dipole(config.axial_mass_gev, len(rest.energy), rng)
    return _Transfer(_nu(rest.mass, rest.hadron, q2), q2, np.ones(len(q2), dtype=bool))


def _two_nucleons(config: KinematicsConfig, rest: _Rest, rng: np.random.Generator) -> _Transfer:
    """Q2 as of one nucleon, more energy transfer: the region between quasi-elastic and the Delta."""
    n = len(rest.energy)
    q2 = _dipole(config.axial_mass_gev, n, rng)
    nu = q2 / (2.0 * NUCLEON_GEV) + np.abs(rng.normal(0.12, 0.08, n))
    w2 = rest.mass**2 + 2.0 * rest.mass * nu - q2
    return _Transfer(nu, q2, w2 > (2.0 * NUCLEON_GEV + 0.005) ** 2)


def _resonant(config: KinematicsConfig, rest: _Rest, rng: np.random.Generator) -> _Transfer:
    n = len(rest.energy)
    low, high = config.resonance_w_gev
    w = (
        1.232
        + config.resonance_width_gev * rng.standard_cauchy(n)
        + rng.exponential(config.resonance_tail_gev, n)
    )
    q2 = _dipole(config.resonance_axial_mass_gev, n, rng)
    return _Transfer(_nu(rest.mass, w, q2), q2, (w > low) & (w < high))


def _deep_inelastic(config: KinematicsConfig, rest: _Rest, rng: np.random.Generator) -> _Transfer:
    """Draw y above the least that W needs, then x; a forbidden pair is drawn anew."""
    n = len(rest.energy)
    least = (config.dis_w_gev**2 - rest.mass**2) / (2.0 * rest.mass * rest.energy)
    exponent = np.where(rest.antineutrino, config.dis_y_antineutrino, config.dis_y)
    y = 1.0 - (1.0 - np.clip(least, 0.0, 1.0)) * rng.random(n) ** (1.0 / exponent)
    x = rng.beta(*config.dis_x, n)
    nu = y * rest.energy
    return _Transfer(nu, 2.0 * rest.mass * nu * x, (least < 1.0) & (y * (1.0 - x) > least))


def _coherent(config: KinematicsConfig, rest: _Rest, rng: np.random.Generator) -> _Transfer:
    del config
    n = len(rest.energy)
    nu = rest.energy * rng.beta(1.0, 3.0, n)
    q2 = rng.exponential(0.1, n)
    return _Transfer(nu, q2, nu > rest.hadron + 0.05)


_LAWS: dict[Process, Callable[[KinematicsConfig, _Rest, np.random.Generator], _Transfer]] = {
    Process.QE: _quasi_elastic,
    Process.RES: _resonant,
    Process.DIS: _deep_inelastic,
    Process.MEC: _two_nucleons,
    Process.COHERENT: _coherent,
}


def _nu(mass: Float64, w: Float64, q2: Float64) -> Float64:
    """Energy transfer to a system at rest that leaves it with mass w."""
    nu: Float64 = (w**2 - mass**2 + q2) / (2.0 * mass)
    return nu


def _lepton(
    rest: _Rest, transfer: _Transfer, neutrino: Float64, rng: np.random.Generator
) -> tuple[Float64, NDArray[np.bool_]]:
    """Return leptons from Q2 = 2 E (E_l - p_l cos) - m^2, at any azimuth, and whether that angle exists."""
    energy = rest.energy - transfer.nu
    momentum = np.sqrt(np.maximum(energy**2 - rest.lepton**2, 1e-12))
    cosine = (2.0 * rest.energy * energy - transfer.q2 - rest.lepton**2) / (2.0 * rest.energy * momentum)
    good = (energy > rest.lepton) & (np.abs(cosine) <= 1.0)
    vectors = momentum * turn(cone(np.clip(cosine, -1.0, 1.0), rng), neutrino[1:])
    return np.concatenate([np.where(good, energy, rest.lepton + 1e-3)[np.newaxis], vectors]), good


def _coherent_pions(transfer: Float64, mass: Float64, rng: np.random.Generator) -> Float64:
    """Return pions that take the whole energy transfer, close to its direction as a nucleus allows."""
    n = transfer.shape[1]
    momentum = np.sqrt(np.maximum(transfer[0] ** 2 - mass**2, 1e-12))
    across = np.sqrt(rng.exponential(1.0 / 40.0, n))
    sine = np.minimum(across / momentum, 0.95)
    axis = np.where((transfer[1:] ** 2).sum(axis=0) > 0, transfer[1:], np.array([[0.0], [0.0], [1.0]]))
    return np.concatenate([transfer[:1], momentum * turn(cone(np.sqrt(1.0 - sine**2), rng), axis)])
