"""Where energy is left: the flat record that every particle writes to, and the queue of secondaries."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hitlens.simulate.compile import compiled

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]

#: Secondaries that may wait at a time; what does not fit leaves its energy where it is.
N_WAITING = 512
#: Spots one step of the work may write before the record is looked at again.
MOST_SPOTS = 6000


class Deposits(NamedTuple):
    """Energy left in the detector, ordered by the particle that left it.

    Attributes:
        owner: index of the primary particle, shape (deposit,).
        x_cm: shape (deposit,).
        y_cm: shape (deposit,).
        z_cm: shape (deposit,).
        light_mev: energy that makes light: after Birks' law, shape (deposit,).
    """

    owner: NDArray[np.int32]
    x_cm: Float32
    y_cm: Float32
    z_cm: Float32
    light_mev: Float32


class Record(NamedTuple):
    """What the compiled kernels write to.

    Attributes:
        spots: x, y, z and light of each deposit, shape (capacity, 4).
        owner: primary particle of each deposit, shape (capacity,).
        waiting: secondaries: kind, x, y, z, direction (3), kinetic energy, shape (`N_WAITING`, 8).
        sizes: number of spots and of waiting secondaries in use.
    """

    spots: Float32
    owner: NDArray[np.int32]
    waiting: Float64
    sizes: NDArray[np.int64]


@compiled
def new_record(capacity: int) -> Record:
    """Return an empty record with room for so many deposits."""
    return Record(
        np.empty((capacity, 4), np.float32),
        np.empty(capacity, np.int32),
        np.empty((N_WAITING, 8)),
        np.zeros(2, np.int64),
    )


@compiled
def with_room(record: Record, n_spots: int) -> Record:
    """Return the record, or a larger one with the same content, that has room for so many spots more."""
    n_used, capacity = record.sizes[0], len(record.owner)
    if n_used + n_spots <= capacity:
        return record
    larger = max(2 * capacity, n_used + n_spots)
    spots, owner = np.empty((larger, 4), np.float32), np.empty(larger, np.int32)
    spots[:n_used] = record.spots[:n_used]
    owner[:n_used] = record.owner[:n_used]
    return Record(spots, owner, record.waiting, record.sizes)


@compiled
def add_spot(record: Record, owner: int, x: float, y: float, z: float, light: float) -> None:
    """Write one deposit; the record must have room."""
    k = record.sizes[0]
    spot = record.spots[k]
    spot[0], spot[1], spot[2], spot[3] = x, y, z, light
    record.owner[k] = owner
    record.sizes[0] = k + 1


@compiled
def push(
    record: Record,
    kind: int,
    place: tuple[float, float, float],
    way: tuple[float, float, float],
    kinetic: float,
) -> bool:
    """Let a secondary wait for its turn; return False, and do nothing, where there is no room.

    Args:
        record: changed.
        kind: of `hitlens.simulate.matter`.
        place: where it starts, cm.
        way: its direction, a unit vector.
        kinetic: its kinetic energy, MeV.
    """
    k = record.sizes[1]
    if k >= len(record.waiting):
        return False
    row = record.waiting[k]
    row[0] = kind
    row[1], row[2], row[3] = place
    row[4], row[5], row[6] = way
    row[7] = kinetic
    record.sizes[1] = k + 1
    return True


@compiled
def turned(
    way: tuple[float, float, float], cosine: float, sine: float, azimuth: float
) -> tuple[float, float, float]:
    """Return a direction turned by a polar angle and an azimuth about itself.

    Args:
        way: a unit vector.
        cosine: of the polar angle.
        sine: of the polar angle.
        azimuth: about the direction, rad.

    Examples:
        >>> x, y, z = turned((0.0, 0.0, 1.0), 0.6, 0.8, 0.0)
        >>> round(x * x + y * y, 3), round(z, 3)
        (0.64, 0.6)
    """
    ux, uy, uz = way
    a, b = sine * np.cos(azimuth), sine * np.sin(azimuth)
    across = np.sqrt(max(1.0 - uz * uz, 0.0))
    if across < 1e-6:
        sign = 1.0 if uz > 0 else -1.0
        return a, b * sign, cosine * sign
    return (
        cosine * ux + (a * ux * uz - b * uy) / across,
        cosine * uy + (a * uy * uz + b * ux) / across,
        cosine * uz - a * across,
    )


@compiled
def isotropic(rng: np.random.Generator) -> tuple[float, float, float]:
    """Return a direction, each as likely as any other."""
    z = 2.0 * rng.random() - 1.0
    azimuth = 2 * np.pi * rng.random()
    r = np.sqrt(1.0 - z * z)
    return r * np.cos(azimuth), r * np.sin(azimuth), z
