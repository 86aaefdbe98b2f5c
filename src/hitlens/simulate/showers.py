"""Electromagnetic showers: a first track, then spots after Longo's profile with a core and a tail across it.

An electron ionises along its way until it has radiated; a photon does nothing over its conversion length and
then starts with the two tracks of a pair. What energy is left comes as spots of a few MeV along the gamma
profile of Longo and Sestili (NIM 128 (1975) 283), whose depth fluctuates from shower to shower; across,
the two-component law of Grindhammer (hep-ex/0001020) with scales in Moliere radii.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

from hitlens.simulate.compile import compiled
from hitlens.simulate.deposits import MOST_SPOTS, Record, add_spot, turned
from hitlens.simulate.matter import MatterConstants
from hitlens.simulate.tracks import outside

Float64 = NDArray[np.float64]

#: Spread along the shower of the spots of one clump.
_CLUMP_CM = 3.0


class Shower(BaseModel):
    """How electromagnetic showers look.

    Attributes:
        spot_mev: mean energy of a spot of the core; the spots make the shower's fluctuations.
        clump: mean number of spots at the same depth: what one particle of the shower leaves.
        profile: b of the gamma profile.
        depth: what is added to ln(E / E_c) for the depth of the maximum in X0.
        depth_spread: relative spread of that depth at 1 GeV; it falls with the logarithm of the energy.
        first_track: mean length of the first track, X0.
        core: width of the core at the start, Moliere radii.
        core_growth: its growth until the maximum.
        tail: width of the tail, Moliere radii.
        tail_growth: its growth until the maximum.
        tail_share: share of the energy in the tail.
        tail_spots: energy of the tail's spots over that of the core's: photons that went apart end in clumps.
        conversion: mean way of a photon to its pair, X0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    spot_mev: PositiveFloat = 3.0
    clump: float = Field(default=6.0, ge=1)
    profile: PositiveFloat = 0.65
    depth: float = -0.5
    depth_spread: float = Field(default=0.25, ge=0, lt=1)
    first_track: PositiveFloat = 0.5
    core: PositiveFloat = 0.02
    core_growth: float = Field(default=0.02, ge=0)
    tail: PositiveFloat = 0.3
    tail_growth: float = Field(default=0.2, ge=0)
    tail_share: float = Field(default=0.35, ge=0, le=1)
    tail_spots: PositiveFloat = 3.0
    conversion: PositiveFloat = 1.29


class ShowerConstants(NamedTuple):
    """The numbers of a `Shower` in the form the compiled kernels take."""

    spot: float
    clump: float
    profile: float
    depth: float
    depth_spread: float
    first_track: float
    core: float
    core_growth: float
    tail: float
    tail_growth: float
    tail_share: float
    tail_spots: float
    conversion: float


def shower_constants(shower: Shower) -> ShowerConstants:
    """Return the settings in the form the compiled kernels take."""
    return ShowerConstants(
        spot=shower.spot_mev,
        clump=shower.clump,
        profile=shower.profile,
        depth=shower.depth,
        depth_spread=shower.depth_spread,
        first_track=shower.first_track,
        core=shower.core,
        core_growth=shower.core_growth,
        tail=shower.tail,
        tail_growth=shower.tail_growth,
        tail_share=shower.tail_share,
        tail_spots=shower.tail_spots,
        conversion=shower.conversion,
    )


@compiled
def photon_gap(matter: MatterConstants, shower: ShowerConstants, rng: np.random.Generator) -> float:
    """Return the way of a photon to its pair, cm."""
    return shower.conversion * matter.radiation_length * rng.standard_exponential()


@compiled
def add_shower(
    start: Float64,
    n_tracks: int,
    box: Float64,
    owner: int,
    matter: MatterConstants,
    shower: ShowerConstants,
    record: Record,
    rng: np.random.Generator,
) -> None:
    """Add the deposits of an electron, or of the pair of a photon.

    Args:
        start: x, y, z (cm), direction (3), kinetic energy (MeV).
        n_tracks: tracks it starts with: 1 for an electron, 2 for a photon's pair.
        box: as `hitlens.simulate.tracks.follow_track`.
        owner: primary particle to which the deposits belong.
        matter: the material.
        shower: how it looks.
        record: changed.
        rng: random stream.
    """
    energy = start[6]
    left = energy - _first_track(start, n_tracks, box, owner, matter, shower, record, rng)
    if left <= 0.0:
        return
    in_tail = shower.tail_share / shower.tail_spots
    number = 1.0 - shower.tail_share + in_tail  # of spots, times the energy of one
    chance = in_tail / number
    mean_spots = left / shower.spot * number
    n_spots = min(rng.poisson(mean_spots) if mean_spots > 1.0 else 1, MOST_SPOTS)
    light = shower.spot * max(mean_spots / MOST_SPOTS, 1.0) if mean_spots > 1.0 else left
    ratio = energy / matter.critical_energy
    log_ratio = np.log(max(ratio, 1.2))
    spread = shower.depth_spread * 2.46 / max(log_ratio, 1.2)
    depth = max(log_ratio + shower.depth, 0.2) * np.exp(min(spread, 0.5) * rng.standard_normal())
    # A few MeV do not go as deep as the profile's form would have them.
    scale = matter.radiation_length * (1.0 - np.exp(-ratio / 1.8)) / shower.profile
    shape = 1.0 + shower.profile * depth
    deepest = depth * matter.radiation_length
    way = (start[3], start[4], start[5])
    clump = 0.0
    for k in range(n_spots):
        if k == 0 or rng.random() * shower.clump < 1.0:
            clump = scale * rng.standard_gamma(shape)
        z = max(clump + _CLUMP_CM * rng.standard_normal(), 0.0)
        at = min(z / max(deepest, 10.0), 4.0)
        width, here = shower.core + shower.core_growth * at, light * (0.4 + 1.2 * rng.random())
        if rng.random() < chance:
            width = shower.tail + shower.tail_growth * at
            here = light * shower.tail_spots * rng.standard_exponential()
        r = matter.moliere_radius * width * _distance(rng)
        px, py, pz = turned(way, 0.0, 1.0, 2 * np.pi * rng.random())
        add_spot(
            record,
            owner,
            start[0] + z * way[0] + r * px,
            start[1] + z * way[1] + r * py,
            start[2] + z * way[2] + r * pz,
            here,
        )


@compiled
def _distance(rng: np.random.Generator) -> float:
    """Draw the distance from the axis over the width: 2 r / (r^2 + 1)^2, cut where 3 % are left."""
    u = 0.97 * rng.random()
    return float(np.sqrt(u / (1.0 - u)))


@compiled
def _first_track(
    start: Float64,
    n_tracks: int,
    box: Float64,
    owner: int,
    matter: MatterConstants,
    shower: ShowerConstants,
    record: Record,
    rng: np.random.Generator,
) -> float:
    """Add the ionisation before the first radiation; return the energy it took, MeV."""
    x, y, z, ux, uy, uz, energy = start
    length = shower.first_track * matter.radiation_length * rng.standard_exponential()
    loss = 1.08 * matter.minimum_loss * n_tracks
    step = 1.5
    n_steps = min(int(length / step) + 1, 200)
    taken = 0.0
    for _ in range(n_steps):
        lost = min(loss * step * (0.7 + 0.3 * rng.standard_exponential()), energy - taken)
        way = step * 0.5
        x, y, z = x + way * ux, y + way * uy, z + way * uz
        add_spot(record, owner, x, y, z, lost)
        taken += lost
        if energy - taken < 0.1 or outside(x, y, z, box):
            break
        x, y, z = x + way * ux, y + way * uy, z + way * uz
        angle = 13.6 * n_tracks / (energy - taken) * np.sqrt(step / matter.radiation_length)
        polar = min(angle * np.sqrt(2.0 * rng.standard_exponential()), 2.0)
        ux, uy, uz = turned((ux, uy, uz), np.cos(polar), np.sin(polar), 2 * np.pi * rng.random())
    return taken
