"""Particles of all events through matter at once: from kinds, places and momenta to deposits of energy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

from hitlens.simulate.compile import compiled
from hitlens.simulate.deposits import (
    MOST_SPOTS,
    Deposits,
    Record,
    add_spot,
    isotropic,
    new_record,
    push,
    with_room,
)
from hitlens.simulate.hadrons import (
    Cascade,
    CascadeConstants,
    cascade_constants,
    decay_kaon_at_rest,
    decay_neutral_pion,
    interact,
    move_neutral_hadron,
)
from hitlens.simulate.matter import (
    ELECTRON,
    KAON,
    MUON,
    NEUTRAL_KAON,
    NEUTRAL_PION,
    NEUTRON,
    PHOTON,
    PION,
    PROTON,
    Matter,
    MatterConstants,
    constants,
)
from hitlens.simulate.showers import Shower, ShowerConstants, add_shower, photon_gap, shower_constants
from hitlens.simulate.tracks import End, follow_track, outside

Float64 = NDArray[np.float64]

#: Kinds of particles by the absolute value of their PDG code; others are not seen.
KINDS = {
    11: ELECTRON,
    13: MUON,
    22: PHOTON,
    111: NEUTRAL_PION,
    130: NEUTRAL_KAON,
    211: PION,
    310: NEUTRAL_KAON,
    311: NEUTRAL_KAON,
    321: KAON,
    2112: NEUTRON,
    2212: PROTON,
}
_UNSEEN = -1


class Transport(BaseModel):
    """How particles are followed.

    Attributes:
        step_cm: length of a step of a charged track.
        michel_fraction: share of stopped muons whose electron belongs to the event.
        matter: what they pass through.
        shower: how electromagnetic showers look.
        cascade: what hadronic interactions make.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    step_cm: PositiveFloat = 0.8
    michel_fraction: float = Field(default=0.1, ge=0, le=1)
    matter: Matter = Matter()
    shower: Shower = Shower()
    cascade: Cascade = Cascade()


class _Constants(NamedTuple):
    step: float
    michel: float
    matter: MatterConstants
    shower: ShowerConstants
    cascade: CascadeConstants


def kinds_of(pdg: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the kinds of particles by their PDG codes; -1 for those that leave nothing.

    Examples:
        >>> kinds_of(np.array([-13, 2212, 14], np.int32)).tolist() == [MUON, PROTON, -1]
        True
    """
    codes = np.array(sorted(KINDS))
    kinds = np.array([KINDS[code] for code in codes])
    place = np.minimum(np.searchsorted(codes, np.abs(pdg)), len(codes) - 1)
    return np.where(codes[place] == np.abs(pdg), kinds[place], _UNSEEN)


def propagate(
    transport: Transport,
    kind: NDArray[np.int64],
    start: Float64,
    box: Float64,
    rng: np.random.Generator,
) -> Deposits:
    """Follow particles and everything they make, until it stops or leaves its box.

    Args:
        transport: how.
        kind: of `hitlens.simulate.matter`, -1 for a particle that leaves nothing, shape (particle,).
        start: x, y, z (cm), direction (3), kinetic energy (MeV), shape (particle, 7).
        box: lower and upper ends along x, y and z, cm, outside of which nothing is followed,
            shape (particle, 6).
        rng: random stream.
    """
    numbers = _Constants(
        transport.step_cm,
        transport.michel_fraction,
        constants(transport.matter),
        shower_constants(transport.shower),
        cascade_constants(transport.cascade),
    )
    record = _propagate_all(kind, start, box, numbers, rng)
    n = int(record.sizes[0])
    spots = record.spots[:n]
    return Deposits(record.owner[:n], spots[:, 0], spots[:, 1], spots[:, 2], spots[:, 3])


@compiled
def _propagate_all(
    kind: NDArray[np.int64], start: Float64, box: Float64, numbers: _Constants, rng: np.random.Generator
) -> Record:
    record = new_record(200_000)
    current = np.empty(7)
    for k in range(len(kind)):
        if kind[k] < 0:
            continue
        place, way = (start[k, 0], start[k, 1], start[k, 2]), (start[k, 3], start[k, 4], start[k, 5])
        push(record, kind[k], place, way, start[k, 6])
        while record.sizes[1] > 0:
            record.sizes[1] -= 1
            row = record.waiting[record.sizes[1]]
            waiting_kind = int(row[0])
            current[:] = row[1:]
            record = with_room(record, MOST_SPOTS)
            _propagate_one(waiting_kind, current, box[k], k, numbers, record, rng)
    return record


@compiled
def _propagate_one(
    kind: int,
    start: Float64,
    box: Float64,
    owner: int,
    numbers: _Constants,
    record: Record,
    rng: np.random.Generator,
) -> None:
    """Follow one particle to its end; what it makes waits."""
    if outside(start[0], start[1], start[2], box) or start[6] <= 0.0:
        return
    if kind <= PROTON:
        _charged(kind, start, box, owner, numbers, record, rng)
    elif kind == ELECTRON:
        add_shower(start, 1, box, owner, numbers.matter, numbers.shower, record, rng)
    elif kind == PHOTON:
        gap = photon_gap(numbers.matter, numbers.shower, rng)
        for axis in range(3):
            start[axis] += gap * start[3 + axis]
        if not outside(start[0], start[1], start[2], box):
            add_shower(start, 2, box, owner, numbers.matter, numbers.shower, record, rng)
    elif kind == NEUTRAL_PION:
        place, way = (start[0], start[1], start[2]), (start[3], start[4], start[5])
        one, first, two, second = decay_neutral_pion(way, start[6], rng)
        push(record, PHOTON, place, one, first)
        push(record, PHOTON, place, two, second)
    else:
        move_neutral_hadron(kind, start, owner, numbers.matter, numbers.cascade, record, rng)


@compiled
def _charged(
    kind: int,
    start: Float64,
    box: Float64,
    owner: int,
    numbers: _Constants,
    record: Record,
    rng: np.random.Generator,
) -> None:
    """Follow a charged particle and let happen what happens at its end."""
    length = np.inf
    if kind != MUON:
        length = numbers.matter.interaction_length * rng.standard_exponential()
    end = follow_track(kind, start, length, numbers.step, box, owner, numbers.matter, record, rng)
    if end.outside:
        return
    place = (end.x, end.y, end.z)
    if end.kinetic > 0.05:
        interact(kind, place, (end.ux, end.uy, end.uz), end.kinetic, owner, numbers.cascade, record, rng)
    else:
        _stopped(kind, end, owner, numbers, record, rng)


@compiled
def _stopped(
    kind: int, end: End, owner: int, numbers: _Constants, record: Record, rng: np.random.Generator
) -> None:
    """Let a particle at rest decay or be captured."""
    place = (end.x, end.y, end.z)
    if kind == MUON and rng.random() < numbers.michel:
        push(record, ELECTRON, place, isotropic(rng), 52.8 * np.sqrt(rng.random()))
    elif kind == PION:
        # A positive pion leaves a muon of 4 MeV, a negative one is captured and breaks up a nucleus.
        light = 4.1 if rng.random() < 0.5 else 18.0 * rng.standard_exponential()
        add_spot(record, owner, end.x, end.y, end.z, min(light, 100.0))
    elif kind == KAON:
        decay_kaon_at_rest(place, record, rng)
