"""What the rest of the nucleus does to hadrons on their way out: absorption, charge exchange, knock-out.

Kept simple: every hadron is struck at most once. An absorbed pion gives its energy and momentum to two
nucleons; a nucleon may share its own with another. Both conserve energy and momentum with the nucleons they
strike. Charge exchange takes charge from the nucleus. Absorption is strongest at the Delta, 180 MeV; fast
pions form outside.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hitlens.detector import Description
from hitlens.detectors.nova.hadrons import Hadrons
from hitlens.detectors.nova.kinematics import NUCLEON_GEV
from hitlens.simulate.fourvectors import boost, mass_squared
from hitlens.simulate.particle_data import masses_gev
from hitlens.simulate.phase_space import decay_in_two

Float64 = NDArray[np.float64]

_PROTON, _NEUTRON = 2212, 2112
_PIONS = (211, -211, 111)
#: Nucleons slower than this knock nothing out, GeV of kinetic energy.
_SLOWEST_GEV = 0.08


class NucleusConfig(Description):
    """Chances; all 0 switches the nucleus off.

    Attributes:
        pion_absorption: of a pion at the Delta peak.
        fast_pion_absorption: of a pion of any energy.
        charge_exchange: of a pion, into a pi0, or of a pi0 into a charged one.
        knock_out: of a nucleon to knock out another.
        binding_gev: energy each nucleon knocked out costs.

    Examples:
        >>> NucleusConfig.off().pion_absorption
        0.0
    """

    pion_absorption: float = Field(default=0.30, ge=0, le=1)
    fast_pion_absorption: float = Field(default=0.18, ge=0, le=1)
    charge_exchange: float = Field(default=0.05, ge=0, le=1)
    knock_out: float = Field(default=0.30, ge=0, le=1)
    binding_gev: float = Field(default=0.025, ge=0, lt=0.05)

    @classmethod
    def off(cls) -> NucleusConfig:
        """Return a nucleus that lets every hadron pass."""
        return cls(pion_absorption=0.0, fast_pion_absorption=0.0, charge_exchange=0.0, knock_out=0.0)


def leave_nucleus(config: NucleusConfig, hadrons: Hadrons, rng: np.random.Generator) -> Hadrons:
    """Return the hadrons that come out, ordered by event.

    Args:
        config: chances.
        hadrons: as made.
        rng: random stream.
    """
    kinetic = hadrons.vectors[0] - masses_gev(hadrons.pdg)
    pion = np.isin(hadrons.pdg, _PIONS)
    nucleon = np.isin(hadrons.pdg, (_PROTON, _NEUTRON))
    resonance = np.exp(-np.square((kinetic - 0.18) / 0.15))
    chance = np.where(pion, config.fast_pion_absorption + config.pion_absorption * resonance, 0.0)
    chance = np.where(nucleon & (kinetic > _SLOWEST_GEV), config.knock_out, chance)
    struck = rng.random(len(chance)) < chance
    exchanged = pion & ~struck & (rng.random(len(chance)) < config.charge_exchange)
    pdg = _exchange(hadrons.pdg, exchanged, rng)
    nucleons = _share(
        config, hadrons.event[struck], hadrons.pdg[struck], hadrons.vectors[:, struck], pion[struck], rng
    )
    return by_event(Hadrons(hadrons.event[~struck], pdg[~struck], hadrons.vectors[:, ~struck]), nucleons)


def by_event(*groups: Hadrons) -> Hadrons:
    """Return groups of particles as one, ordered by event and within it by group.

    Examples:
        >>> one = Hadrons(np.array([0, 2]), np.array([13, 13], np.int32), np.zeros((4, 2)))
        >>> two = Hadrons(np.array([0, 1]), np.array([22, 22], np.int32), np.zeros((4, 2)))
        >>> by_event(one, two).pdg
        array([13, 22, 22, 13], dtype=int32)
    """
    event = np.concatenate([group.event for group in groups])
    order = np.argsort(event, kind="stable")
    pdg = np.concatenate([group.pdg for group in groups])
    vectors = np.concatenate([group.vectors for group in groups], axis=1)
    return Hadrons(event[order], pdg[order], vectors[:, order])


def _exchange(
    pdg: NDArray[np.int32], exchanged: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.int32]:
    charged = np.where(rng.random(len(pdg)) < 0.5, 211, -211)
    other = np.where(pdg == 111, charged, 111)
    return np.where(exchanged, other, pdg).astype(np.int32)


def _share(
    config: NucleusConfig,
    event: NDArray[np.int64],
    pdg: NDArray[np.int32],
    vectors: Float64,
    pion: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Hadrons:
    """Return two nucleons for each struck hadron: a pion is absorbed by two, a nucleon shares with one."""
    n = len(event)
    system = vectors.copy()
    system[0] += np.where(pion, 2.0, 1.0) * (NUCLEON_GEV - config.binding_gev)
    pair = decay_in_two(np.sqrt(mass_squared(system)), NUCLEON_GEV, NUCLEON_GEV, rng)
    # Pions meet mostly a proton with a neutron: pi+ leaves two protons, pi- two neutrons.
    usual = rng.random(n) < 0.8
    both = np.where(usual, np.sign(np.where(pdg == 111, 0, pdg)), 0)
    first = np.where(pion, np.where(both >= 0, _PROTON, _NEUTRON), pdg)
    partner = np.where(rng.random(n) < 0.5, _PROTON, _NEUTRON)
    second = np.where(pion, np.where(both > 0, _PROTON, _NEUTRON), partner)
    momenta = [boost(vector, system) for vector in pair]
    return Hadrons(
        np.concatenate([event, event]),
        np.concatenate([first, second]).astype(np.int32),
        np.concatenate(momenta, axis=1),
    )
