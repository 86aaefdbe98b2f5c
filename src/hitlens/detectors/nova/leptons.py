"""Leptons with laws of their own: taus and their decays, electrons struck by neutrinos, cosmic muons."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hitlens.detector import Description
from hitlens.detectors.nova.hadrons import Hadrons
from hitlens.simulate.fourvectors import boost, cone, directions, from_momentum, turn
from hitlens.simulate.particle_data import mass_gev
from hitlens.simulate.phase_space import break_up_momentum, longitudinal

Float64 = NDArray[np.float64]

_ELECTRON_GEV, _MUON_GEV, _TAU_GEV = mass_gev(11), mass_gev(13), mass_gev(15)
_PION, _PI0 = 211, 111


class TauConfig(Description):
    """Branching fractions of the tau; the rest are hadrons.

    Attributes:
        electron: to an electron.
        muon: to a muon.
    """

    electron: float = Field(default=0.178, ge=0, le=1)
    muon: float = Field(default=0.174, ge=0, le=1)


class _Channel(NamedTuple):
    """A hadronic decay: relative weight, mass and width of the hadrons, pions for a tau-."""

    weight: float
    mass_gev: float
    width_gev: float
    pions: tuple[int, ...]


_CHANNELS = (
    _Channel(0.108, mass_gev(_PION), 0.0, (-_PION,)),
    _Channel(0.255, 0.775, 0.10, (-_PION, _PI0)),
    _Channel(0.093, 1.20, 0.15, (-_PION, _PI0, _PI0)),
    _Channel(0.093, 1.20, 0.15, (-_PION, -_PION, _PION)),
    _Channel(0.046, 1.35, 0.12, (-_PION, -_PION, _PION, _PI0)),
)


def decay_taus(config: TauConfig, taus: Hadrons, rng: np.random.Generator) -> Hadrons:
    """Return what taus leave, without the neutrinos.

    Args:
        config: branching fractions.
        taus: PDG codes 15 and -15.
        rng: random stream.
    """
    n = len(taus.event)
    sign = np.sign(taus.pdg)
    u = rng.random(n)
    groups = []
    for code, low, high in ((11, 0.0, config.electron), (13, config.electron, config.electron + config.muon)):
        index = np.flatnonzero((u >= low) & (u < high))
        vectors = boost(_light_lepton(mass_gev(code), len(index), rng), taus.vectors[:, index])
        groups.append(Hadrons(taus.event[index], (code * sign[index]).astype(np.int32), vectors))
    rest = np.flatnonzero(u >= config.electron + config.muon)
    weights = np.array([channel.weight for channel in _CHANNELS])
    drawn = rng.choice(len(_CHANNELS), size=len(rest), p=weights / weights.sum())
    for number, channel in enumerate(_CHANNELS):
        index = rest[drawn == number]
        groups.append(_hadronic(channel, taus.event[index], sign[index], taus.vectors[:, index], rng))
    event, pdg = (np.concatenate([group[k] for group in groups]) for k in range(2))
    return Hadrons(event, pdg, np.concatenate([group.vectors for group in groups], axis=1))


def _light_lepton(mass: float, n: int, rng: np.random.Generator) -> Float64:
    """Return the lepton of tau -> l nu nu at rest: the Michel spectrum x^2 (3 - 2 x), unpolarised."""
    half = (_TAU_GEV**2 + mass**2) / (2.0 * _TAU_GEV)
    x = np.linspace(0.0, 1.0, 1001)
    share = np.interp(rng.random(n), x**3 * (2.0 - x), x)
    momentum = np.sqrt(np.maximum((share * half) ** 2 - mass**2, 0.0))
    return from_momentum(momentum * directions(n, rng), mass)


def _hadronic(
    channel: _Channel,
    event: NDArray[np.int64],
    sign: NDArray[np.int32],
    taus: Float64,
    rng: np.random.Generator,
) -> Hadrons:
    n, n_pions = len(event), len(channel.pions)
    masses = np.array([mass_gev(pdg) for pdg in channel.pions])
    lowest, highest = float(masses.sum()) + 0.02, _TAU_GEV - 0.02
    if n_pions == 1:
        system = np.full(n, masses[0])
    else:
        system = np.clip(rng.normal(channel.mass_gev, channel.width_gev, n), lowest, highest)
    momentum = break_up_momentum(np.full(n, _TAU_GEV), system, 0.0) * directions(n, rng)
    hadrons = boost(from_momentum(momentum, system), taus)
    if n_pions > 1 and n:
        axis = np.repeat(directions(n, rng), n_pions, axis=1)
        transverse = rng.normal(0.0, 0.25, (2, n * n_pions))
        offsets = np.arange(n + 1) * n_pions
        rest = longitudinal(offsets, np.tile(masses, n), system, transverse, rng.random(n * n_pions))
        rest[1:] = turn(rest[1:], axis)
        hadrons = boost(rest, np.repeat(hadrons, n_pions, axis=1))
    codes = np.tile(np.array(channel.pions), n)
    charged = np.where(codes == _PI0, codes, codes * np.repeat(sign, n_pions))
    return Hadrons(np.repeat(event, n_pions), charged.astype(np.int32), hadrons)


def struck_electrons(energy_gev: Float64, rng: np.random.Generator) -> Float64:
    """Return electrons that neutrinos struck, shape (4, n): energy uniform, E theta^2 < 2 m_e.

    Args:
        energy_gev: of the neutrinos, shape (n,).
        rng: random stream.

    Examples:
        >>> electron = struck_electrons(np.full(100, 5.0), np.random.default_rng(1))
        >>> theta = np.arctan2(np.hypot(electron[1], electron[2]), electron[3])
        >>> bool((electron[0] * theta**2 < 2 * 0.000511).all())
        True
    """
    kinetic = rng.random(len(energy_gev)) * energy_gev / (1.0 + _ELECTRON_GEV / (2.0 * energy_gev))
    momentum = np.sqrt(kinetic * (kinetic + 2.0 * _ELECTRON_GEV))
    cosine = (1.0 + _ELECTRON_GEV / energy_gev) * np.sqrt(kinetic / (kinetic + 2.0 * _ELECTRON_GEV))
    return from_momentum(momentum * cone(np.minimum(cosine, 1.0), rng), _ELECTRON_GEV)


def cosmic_muons(n: int, rng: np.random.Generator) -> tuple[NDArray[np.int32], Float64]:
    """Return PDG codes and four-vectors of cosmic muons at the surface, shape (n,) and (4, n).

    Zenith angles follow cos^2; energies fall as (1 + E / 4 GeV)^-2.7 from 0.3 GeV; 56 % are positive.

    Args:
        n: how many.
        rng: random stream.

    Examples:
        >>> pdg, vectors = cosmic_muons(100, np.random.default_rng(1))
        >>> bool((vectors[2] < 0).all())
        True
    """
    kinetic = 0.3 + 4.0 * (rng.random(n) ** (-1.0 / 1.7) - 1.0)
    momentum = np.sqrt(kinetic * (kinetic + 2.0 * _MUON_GEV))
    ray = cone(np.maximum(np.cbrt(rng.random(n)), 1e-3), rng)
    down = np.stack([ray[0], -ray[2], ray[1]])
    pdg = np.where(rng.random(n) < 0.56, -13, 13).astype(np.int32)
    return pdg, from_momentum(momentum * down, _MUON_GEV)
