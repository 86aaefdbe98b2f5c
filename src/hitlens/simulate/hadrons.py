"""Hadrons in matter: interactions that make secondaries, neutrons mostly unseen, decays of neutral pions.

A parametric cascade, not a nuclear model: a hadron that interacts leaves a leading hadron, is absorbed or
exchanges its charge, and shares what is left among nucleons and pions; binding energy and slow neutrons stay
unseen. Its shares are settings, chosen so that the visible fraction of hadronic energy comes out as measured.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

from hitlens.simulate.compile import compiled
from hitlens.simulate.deposits import Record, add_spot, isotropic, push, turned
from hitlens.simulate.matter import (
    KAON,
    MASSES_MEV,
    MUON,
    NEUTRAL_KAON,
    NEUTRAL_PION,
    NEUTRON,
    PHOTON,
    PION,
    PROTON,
    MatterConstants,
)

Float64 = NDArray[np.float64]
Vector = tuple[float, float, float]

#: Secondaries of one interaction, at most.
_MOST_SECONDARIES = 14
#: Neutrons below this energy only make a recoil or nothing, MeV.
_SLOW_NEUTRON_MEV = 60.0


class Cascade(BaseModel):
    """What hadronic interactions make.

    Attributes:
        charge_exchange: chance of a charged pion's interaction to make a neutral one.
        absorption: chance of a pion below 600 MeV to be absorbed; a third of it above.
        proton_share: mean share of protons among the nucleons knocked out; it differs between interactions.
        nucleon_mev: mean kinetic energy of a nucleon knocked out.
        binding_mev: mean energy it costs to free one, unseen.
        neutron_unseen: chance of a slow neutron to leave nothing.
        neutron_spot_mev: range of the energy that a slow neutron leaves where it is seen, uniform.
        neutron_way_cm: the spot is at most so far from the neutron's start.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    charge_exchange: float = Field(default=0.12, ge=0, le=1)
    absorption: float = Field(default=0.3, ge=0, le=1)
    proton_share: float = Field(default=0.75, ge=0, le=1)
    nucleon_mev: PositiveFloat = 110.0
    binding_mev: float = Field(default=4.0, ge=0)
    neutron_unseen: float = Field(default=0.5, ge=0, le=1)
    neutron_spot_mev: tuple[PositiveFloat, PositiveFloat] = (2.0, 20.0)
    neutron_way_cm: PositiveFloat = 50.0


class CascadeConstants(NamedTuple):
    """The numbers of a `Cascade` in the form the compiled kernels take."""

    charge_exchange: float
    absorption: float
    proton_share: float
    nucleon: float
    binding: float
    unseen: float
    spot_low: float
    spot_high: float
    neutron_way: float


def cascade_constants(cascade: Cascade) -> CascadeConstants:
    """Return the settings in the form the compiled kernels take."""
    return CascadeConstants(
        charge_exchange=cascade.charge_exchange,
        absorption=cascade.absorption,
        proton_share=cascade.proton_share,
        nucleon=cascade.nucleon_mev,
        binding=cascade.binding_mev,
        unseen=cascade.neutron_unseen,
        spot_low=cascade.neutron_spot_mev[0],
        spot_high=cascade.neutron_spot_mev[1],
        neutron_way=cascade.neutron_way_cm,
    )


@compiled
def decay_neutral_pion(
    way: Vector, kinetic: float, rng: np.random.Generator
) -> tuple[Vector, float, Vector, float]:
    """Return direction and energy of both photons of a neutral pion's decay.

    Args:
        way: direction of the pion, a unit vector.
        kinetic: kinetic energy of the pion, MeV.
        rng: random stream.

    Examples:
        >>> one, a, two, b = decay_neutral_pion((0.0, 0.0, 1.0), 1000.0, np.random.default_rng(1))
        >>> cosine = sum(p * q for p, q in zip(one, two))
        >>> round(float(np.sqrt(2 * a * b * (1 - cosine))), 3)
        134.977
    """
    mass = MASSES_MEV[NEUTRAL_PION]
    energy = kinetic + mass
    momentum = np.sqrt(max(energy * energy - mass * mass, 0.0))
    beta = momentum / energy
    cosine = 2.0 * rng.random() - 1.0  # of the first photon at rest
    azimuth = 2 * np.pi * rng.random()
    first, second = 0.5 * energy * (1.0 + beta * cosine), 0.5 * energy * (1.0 - beta * cosine)
    along = (cosine + beta) / (1.0 + beta * cosine)
    other = (beta - cosine) / (1.0 - beta * cosine)
    one = turned(way, along, np.sqrt(max(1.0 - along * along, 0.0)), azimuth)
    two = turned(way, other, np.sqrt(max(1.0 - other * other, 0.0)), azimuth + np.pi)
    return one, first, two, second


@compiled
def interact(
    kind: int,
    place: Vector,
    way: Vector,
    kinetic: float,
    owner: int,
    cascade: CascadeConstants,
    record: Record,
    rng: np.random.Generator,
) -> None:
    """Let a hadron interact: what it makes waits for its turn.

    Args:
        kind: of the hadron.
        place: where, cm.
        way: its direction, a unit vector.
        kinetic: its kinetic energy, MeV.
        owner: primary particle.
        cascade: what interactions make.
        record: changed.
        rng: random stream.
    """
    left = kinetic
    if kind == PION:
        fate = rng.random()
        absorbed = cascade.absorption * (1.0 if kinetic < 600.0 else 0.33)
        if fate < absorbed:
            left += MASSES_MEV[PION]
        elif fate < absorbed + cascade.charge_exchange:
            left -= _lead(NEUTRAL_PION, place, way, left, 0.5, record, rng)
        else:
            left -= _lead(PION, place, way, left, 0.3, record, rng)
    elif kind in (KAON, NEUTRAL_KAON):
        left -= _lead(kind, place, way, left, 0.3, record, rng)
    else:
        same = rng.random() < 0.65
        leading = kind if same else (NEUTRON if kind == PROTON else PROTON)
        left -= _lead(leading, place, way, left, 0.2, record, rng)
    _share(place, way, left, owner, cascade, record, rng)


@compiled
def _lead(
    kind: int,
    place: Vector,
    way: Vector,
    kinetic: float,
    least: float,
    record: Record,
    rng: np.random.Generator,
) -> float:
    """Push the leading hadron with a share of the energy between `least` and .9; return its energy."""
    energy = kinetic * (least + (0.9 - least) * rng.random())
    push(record, kind, place, _forward(way, energy, MASSES_MEV[kind], rng), energy)
    return energy


@compiled
def _forward(way: Vector, kinetic: float, mass: float, rng: np.random.Generator) -> Vector:
    """Return a direction about the old one, with a transverse momentum of 280 MeV / c on average."""
    momentum = np.sqrt(kinetic * (kinetic + 2 * mass)) + 1e-9
    sine = 250.0 * np.sqrt(rng.standard_exponential()) / momentum
    if sine >= 1.0:
        return isotropic(rng)
    return turned(way, np.sqrt(1.0 - sine * sine), sine, 2 * np.pi * rng.random())


@compiled
def _share(
    place: Vector,
    way: Vector,
    energy: float,
    owner: int,
    cascade: CascadeConstants,
    record: Record,
    rng: np.random.Generator,
) -> None:
    """Share energy among pions, where there is enough, and nucleons; the rest is unseen."""
    pion = MASSES_MEV[PION]
    protons = rng.random() ** (1.0 / max(cascade.proton_share, 1e-3) - 1.0)
    for _ in range(_MOST_SECONDARIES):
        energy -= cascade.binding * rng.standard_exponential()
        if energy < 5.0:
            return
        if energy > 450.0 and rng.random() < 0.6:
            total = pion + (energy - pion) * (0.1 + 0.6 * rng.random())
            kind = NEUTRAL_PION if rng.random() < 0.33 else PION
            push(record, kind, place, _forward(way, total - pion, pion, rng), total - pion)
            energy -= total
            continue
        kinetic = min(cascade.nucleon * (1.0 + energy / 2000.0) * rng.standard_exponential(), energy)
        kind = PROTON if rng.random() < protons else NEUTRON
        push(record, kind, place, _forward(way, kinetic, MASSES_MEV[kind], rng), kinetic)
        energy -= kinetic


@compiled
def move_neutral_hadron(
    kind: int,
    start: Float64,
    owner: int,
    matter: MatterConstants,
    cascade: CascadeConstants,
    record: Record,
    rng: np.random.Generator,
) -> None:
    """Let a neutron or a neutral kaon fly to its interaction, which may be a single small deposit.

    Args:
        kind: `NEUTRON` or `NEUTRAL_KAON`.
        start: x, y, z (cm), direction (3), kinetic energy (MeV).
        owner: primary particle.
        matter: the material.
        cascade: what interactions make.
        record: changed.
        rng: random stream.
    """
    kinetic = start[6]
    slow = kind == NEUTRON and kinetic < _SLOW_NEUTRON_MEV
    if slow:
        way = cascade.neutron_way * rng.random()
    else:
        way = matter.interaction_length * rng.standard_exponential()
    place = (start[0] + way * start[3], start[1] + way * start[4], start[2] + way * start[5])
    if not slow:
        interact(kind, place, (start[3], start[4], start[5]), kinetic, owner, cascade, record, rng)
    elif rng.random() >= cascade.unseen:
        light = cascade.spot_low + (cascade.spot_high - cascade.spot_low) * rng.random()
        add_spot(record, owner, place[0], place[1], place[2], min(light, kinetic))


@compiled
def decay_kaon_at_rest(place: Vector, record: Record, rng: np.random.Generator) -> None:
    """Push what a stopped charged kaon decays to: a muon (64 %), two pions (27 %, 6 %), or a neutral pion."""
    fate = rng.random()
    way = isotropic(rng)
    back = (-way[0], -way[1], -way[2])
    if fate < 0.64:
        push(record, MUON, place, way, 152.5)
    elif fate < 0.91:
        push(record, PION, place, way, 108.6)
        push(record, NEUTRAL_PION, place, back, 110.4)
    else:
        push(record, PHOTON, place, way, 150.0)
