"""Hadrons from a nucleon that was struck: how many of which kind, and their momenta.

- QE: the nucleon. MEC: two nucleons, back to back in their rest frame. COHERENT: the pion.
- RES: nucleon and pion by the isospin of the Delta, isotropic; a second pion as W allows.
- DIS: charged multiplicity <n_ch> = a + b ln W^2 for each target, spread by KNO scaling with a gamma
  distribution; pi0 half as many; a proton or neutron leads backwards; p_T falls as exp(-p_T^2 / .28);
  some pairs are strange. Charge, strangeness, energy and momentum are conserved; baryon number too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hitlens.detector import Description
from hitlens.detectors.nova.cross_sections import Process
from hitlens.simulate.fourvectors import boost, directions, turn
from hitlens.simulate.particle_data import charge, mass_gev
from hitlens.simulate.phase_space import decay_in_two, longitudinal

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

#: Hadrons made, in the order of the columns of a composition; the nucleons first.
SPECIES = (2212, 2112, 211, -211, 111, 321, -321, 130, 310)
_PROTON, _NEUTRON, _PLUS, _MINUS, _ZERO, _K_PLUS, _K_MINUS, _K_LONG, _K_SHORT = range(len(SPECIES))
_PDG = np.array(SPECIES, dtype=np.int32)
_MASS = np.array([mass_gev(pdg) for pdg in SPECIES])
_CHARGE = np.array([charge(pdg) for pdg in SPECIES])
#: Rounds of drawing pions that fit into W, before the fewest possible are taken.
_ROUNDS = 12
#: Energy above all masses that a final state must leave, GeV.
_ROOM = 0.02


class HadronConfig(Description):
    """Constants of hadronisation.

    Attributes:
        multiplicity_scale: factor on charged and neutral multiplicities of deep inelastic scattering.
        neutrino_proton: a and b of <n_ch> = a + b ln W^2, W in GeV.
        neutrino_neutron: the same.
        antineutrino_proton: the same.
        antineutrino_neutron: the same.
        kno_shape: <n>^2 / variance of n_ch.
        pi0_per_charged: <n_pi0> / <n_ch>.
        transverse_gev2: mean p_T^2.
        leading: how far backwards the nucleon goes: its place along the jet is u^leading of the others'.
        strange_fraction: deep inelastic events above 2 GeV with a strange pair.
        delta_fraction: nucleon-pion pairs of charge 0 or 1 with a pi0: 2/3 for a pure Delta.
        second_pion_per_gev: chance of a second pion above W = 1.35 GeV.
    """

    multiplicity_scale: float = Field(default=1.0, gt=0)
    neutrino_proton: tuple[float, float] = (0.40, 1.42)
    neutrino_neutron: tuple[float, float] = (-0.20, 1.42)
    antineutrino_proton: tuple[float, float] = (0.02, 1.28)
    antineutrino_neutron: tuple[float, float] = (0.80, 0.95)
    kno_shape: float = Field(default=7.0, gt=0)
    pi0_per_charged: float = Field(default=0.5, ge=0)
    transverse_gev2: float = Field(default=0.28, gt=0)
    leading: float = Field(default=2.5, gt=0)
    strange_fraction: float = Field(default=0.08, ge=0, le=1)
    delta_fraction: float = Field(default=0.6, ge=0, le=1)
    second_pion_per_gev: float = Field(default=0.7, ge=0)


class Struck(NamedTuple):
    """Systems to hadronise, one entry an event.

    Attributes:
        process: `Process` numbers.
        charge: of the hadrons together.
        proton: whether the struck nucleon was a proton.
        antineutrino: whether an antineutrino struck it.
        hadrons: four-vectors of all hadrons together, shape (4, n).
        axis: direction of the momentum transfer in the laboratory, shape (4, n).
    """

    process: Int64
    charge: Int64
    proton: NDArray[np.bool_]
    antineutrino: NDArray[np.bool_]
    hadrons: Float64
    axis: Float64

    def take(self, index: Int64) -> Struck:
        """Return some of the events."""
        return Struck._make(column[..., index] for column in self)


class Hadrons(NamedTuple):
    """Hadrons ordered by event.

    Attributes:
        event: index of the event, shape (hadron,).
        pdg: PDG codes, shape (hadron,).
        vectors: in the laboratory, shape (4, hadron).
    """

    event: Int64
    pdg: NDArray[np.int32]
    vectors: Float64


def mean_charged(
    config: HadronConfig, w_gev: Float64, proton: NDArray[np.bool_], antineutrino: NDArray[np.bool_]
) -> Float64:
    """Return the mean number of charged hadrons <n_ch> = a + b ln W^2, the nucleon among them, shape (n,).

    Args:
        config: constants.
        w_gev: mass of the hadrons, shape (n,).
        proton: whether the target was one, shape (n,).
        antineutrino: whether the projectile was one, shape (n,).

    Examples:
        >>> yes, no = np.array([True]), np.array([False])
        >>> mean_charged(HadronConfig(), np.array([4.0]), yes, no).round(2)
        array([4.34])
    """
    table = np.array(
        [
            [config.neutrino_neutron, config.neutrino_proton],
            [config.antineutrino_neutron, config.antineutrino_proton],
        ]
    )
    a, b = np.moveaxis(table[antineutrino.astype(int), proton.astype(int)], -1, 0)
    mean: Float64 = config.multiplicity_scale * np.maximum(a + b * np.log(w_gev**2), 0.0)
    return mean


def hadronise(config: HadronConfig, struck: Struck, rng: np.random.Generator) -> Hadrons:
    """Return the hadrons of each event.

    Args:
        config: constants.
        struck: the systems.
        rng: random stream.
    """
    w = np.sqrt(np.maximum(struck.hadrons[0] ** 2 - (struck.hadrons[1:] ** 2).sum(axis=0), 0.0))
    return arrange(config, composition(config, struck, w, rng), struck, w, rng)


def composition(config: HadronConfig, struck: Struck, w: Float64, rng: np.random.Generator) -> Int64:
    """Return how many hadrons of each of `SPECIES` every event has, shape (n, species).

    Args:
        config: constants.
        struck: the systems.
        w: their masses, shape (n,).
        rng: random stream.
    """
    counts = np.zeros((len(w), len(SPECIES)), dtype=np.int64)
    process, net = struck.process, struck.charge
    one = process == Process.QE
    counts[one, _PROTON], counts[one, _NEUTRON] = net[one], 1 - net[one]
    pair = process == Process.MEC
    counts[pair, _PROTON], counts[pair, _NEUTRON] = net[pair], 2 - net[pair]
    coherent = process == Process.COHERENT
    for column, value in ((_PLUS, 1), (_MINUS, -1), (_ZERO, 0)):
        counts[coherent, column] = net[coherent] == value
    resonant = np.flatnonzero(process == Process.RES)
    counts[resonant] = _resonant(config, struck.take(resonant), w[resonant], rng)
    deep = np.flatnonzero(process == Process.DIS)
    counts[deep] = _deep(config, struck.take(deep), w[deep], rng)
    return counts


def _resonant(config: HadronConfig, struck: Struck, w: Float64, rng: np.random.Generator) -> Int64:
    """One pion, or two: the second turns the pion's charge into a pair with the same charge."""
    n = len(w)
    net = struck.charge
    with_pi0 = rng.random(n) < config.delta_fraction
    proton = np.where(net == 2, 1, np.where(net == -1, 0, np.where(with_pi0, net, 1 - net)))
    chance = np.minimum(config.second_pion_per_gev * np.maximum(w - 1.35, 0.0), 0.9)
    n_pions = np.where(rng.random(n) < chance, 2, 1)
    pion_charge = net - proton
    pairs = (n_pions == 2) & (pion_charge == 0) & (rng.random(n) < 2.0 / 3.0)
    n_charged = np.where(pairs, 2, np.abs(pion_charge))
    return _count(proton, n_charged, pion_charge, n_pions - n_charged)


def _count(proton: Int64, n_charged: Int64, pion_charge: Int64, n_zero: Int64) -> Int64:
    """Return a composition from the nucleon and the pions; n_charged has the parity of pion_charge."""
    counts = np.zeros((len(proton), len(SPECIES)), dtype=np.int64)
    counts[:, _PROTON], counts[:, _NEUTRON] = proton, 1 - proton
    counts[:, _PLUS], counts[:, _MINUS] = (n_charged + pion_charge) // 2, (n_charged - pion_charge) // 2
    counts[:, _ZERO] = n_zero
    return counts


def _deep(config: HadronConfig, struck: Struck, w: Float64, rng: np.random.Generator) -> Int64:
    """Draw charged and neutral pions until their masses fit into W."""
    counts = np.zeros((len(w), len(SPECIES)), dtype=np.int64)
    todo = np.arange(len(w))
    for _ in range(_ROUNDS):
        trial = _draw_deep(config, struck.take(todo), w[todo], rng)
        good = trial @ _MASS + _ROOM * trial.sum(axis=1) < w[todo]
        counts[todo[good]] = trial[good]
        todo = todo[~good]
        if not len(todo):
            break
    net = struck.charge[todo]
    proton = np.clip(net, 0, 1)
    n_charged = np.abs(net - proton)
    counts[todo] = _count(proton, n_charged, net - proton, (n_charged == 0).astype(np.int64))
    _add_strangeness(config, counts, w, rng)
    return counts


def _draw_deep(config: HadronConfig, struck: Struck, w: Float64, rng: np.random.Generator) -> Int64:
    n = len(w)
    net = struck.charge
    mean = mean_charged(config, w, struck.proton, struck.antineutrino)
    # Charge decides whether n_ch is even: choosing one of the nearest two spreads it by about 2/3.
    spread = np.maximum(mean**2 / config.kno_shape - 2.0 / 3.0, 0.01)
    wanted = rng.gamma(mean**2 / spread, spread / np.maximum(mean, 1e-9))
    parity = np.abs(net) % 2
    below = 2 * np.floor((wanted - parity) / 2).astype(np.int64) + parity
    n_ch = below + 2 * (rng.random(n) < (wanted - below) / 2)
    proton = (rng.random(n) < _proton_share(net)).astype(np.int64)
    least = proton + np.abs(net - proton)
    n_charged = np.maximum(n_ch, least) - proton
    n_zero = rng.poisson(np.maximum(config.pi0_per_charged * mean, 0.0))
    none = n_charged + n_zero == 0
    return _count(proton, n_charged, net - proton, n_zero + none)


def _proton_share(net: Int64) -> Float64:
    """Chance that the leading nucleon is a proton, by the charge of all hadrons."""
    return np.choose(np.clip(net, -1, 2) + 1, [0.2, 1.0 / 3.0, 1.0 / 2.0, 2.0 / 3.0])


def _add_strangeness(config: HadronConfig, counts: Int64, w: Float64, rng: np.random.Generator) -> None:
    """Turn a pair of pions of some events into kaons of the same charges, in place, where W leaves room."""
    wanted = (w > 2.0) & (rng.random(len(w)) < config.strange_fraction)
    kind = rng.integers(0, 3, len(w))
    neutral = np.where(rng.random(len(w)) < 0.5, _K_LONG, _K_SHORT)
    choices = ((_PLUS, _MINUS, _K_PLUS, _K_MINUS), (_PLUS, _ZERO, _K_PLUS, -1), (_MINUS, _ZERO, _K_MINUS, -1))
    mass = counts @ _MASS + _ROOM * counts.sum(axis=1)
    for number, (first, second, strange, partner) in enumerate(choices):
        there = wanted & (kind == number) & (counts[:, first] > 0) & (counts[:, second] > 0)
        there &= w - mass > 2.0 * (_MASS[_K_SHORT] - _MASS[_ZERO])
        index = np.flatnonzero(there)
        counts[index, first] -= 1
        counts[index, second] -= 1
        counts[index, strange] += 1
        counts[index, neutral[index] if partner < 0 else partner] += 1


def arrange(
    config: HadronConfig, counts: Int64, struck: Struck, w: Float64, rng: np.random.Generator
) -> Hadrons:
    """Return hadrons with momenta: alone as the system, two isotropic, more along the momentum transfer.

    Args:
        config: constants.
        counts: of each species, shape (n, species).
        struck: the systems.
        w: their masses, shape (n,).
        rng: random stream.
    """
    n_hadrons = counts.sum(axis=1)
    offsets = np.concatenate([[0], np.cumsum(n_hadrons)])
    event = np.repeat(np.arange(len(counts)), n_hadrons)
    species = np.repeat(np.tile(np.arange(len(SPECIES)), len(counts)), counts.ravel())
    mass = _MASS[species]
    vectors = np.zeros((4, len(event)))
    alone = n_hadrons == 1
    vectors[:, offsets[:-1][alone]] = struck.hadrons[:, alone]
    two = np.flatnonzero((n_hadrons == 2) & (struck.process != Process.DIS))
    first = offsets[two]
    pair = decay_in_two(w[two], mass[first], mass[first + 1], rng)
    for k, vector in enumerate(pair):
        vectors[:, first + k] = boost(vector, struck.hadrons[:, two])
    many = ~alone
    many[two] = False
    _arrange_many(config, vectors, species, event, many, struck, w, rng)
    return Hadrons(event, _PDG[species], vectors)


def _arrange_many(
    config: HadronConfig,
    vectors: Float64,
    species: Int64,
    event: Int64,
    many: NDArray[np.bool_],
    struck: Struck,
    w: Float64,
    rng: np.random.Generator,
) -> None:
    """Fill the four-vectors of the systems of many hadrons, in place."""
    chosen = np.flatnonzero(many[event])
    if not len(chosen):
        return
    systems = np.flatnonzero(many)
    place, species = rng.random(len(chosen)), species[chosen]
    nucleon = species <= _NEUTRON
    place[nucleon] **= config.leading
    transverse = rng.normal(0.0, np.sqrt(config.transverse_gev2 / 2.0), (2, len(chosen)))
    offsets = np.searchsorted(event[chosen], np.append(systems, len(w)))
    rest = longitudinal(offsets, _MASS[species], w[systems], transverse, place)
    frame = struck.hadrons[:, systems]
    axis = boost(struck.axis[:, systems], frame, into=True)[1:]
    # Resonances have no jet: any direction will do.
    isotropic = struck.process[systems] == Process.RES
    axis[:, isotropic] = directions(int(isotropic.sum()), rng)
    owner = np.repeat(np.arange(len(systems)), np.diff(offsets))
    rest[1:] = turn(rest[1:], axis[:, owner])
    vectors[:, chosen] = boost(rest, frame[:, owner])
