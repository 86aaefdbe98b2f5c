"""Charged tracks in steps: energy loss with straggling, scattering, knock-on electrons, radiation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hitlens.simulate.compile import compiled
from hitlens.simulate.deposits import Record, add_spot, push, turned
from hitlens.simulate.matter import ELECTRON, LOG_LOW, LOG_STEP, MASSES_MEV, MUON, N_ENERGIES, MatterConstants

Float64 = NDArray[np.float64]

#: Steps after which a track ends, wherever it is.
MOST_STEPS = 5000
#: Hard photons of a muon carry at least this, MeV.
_HARD_MEV = 50.0
_ELECTRON_MEV = 0.510999
#: Range over energy by energy loss of a stopping particle: its range goes as the 1.77th power of its energy.
_LAST_STEP = 0.57
#: Mean of Moyal's law.
_MOYAL_MEAN = 1.2703628


class End(NamedTuple):
    """Where and how a track ended.

    Attributes:
        x: place, cm.
        y: place, cm.
        z: place, cm.
        ux: direction.
        uy: direction.
        uz: direction.
        kinetic: energy left, MeV; 0 for a track that stopped.
        outside: whether it left the box.
    """

    x: float
    y: float
    z: float
    ux: float
    uy: float
    uz: float
    kinetic: float
    outside: bool


@compiled
def _place_in_table(kinetic: float) -> int:
    place = int((np.log(kinetic) - LOG_LOW) / LOG_STEP + 0.5)
    return min(max(place, 0), N_ENERGIES - 1)


@compiled
def _mean_loss(kind: int, kinetic: float, way: float, loss: float, matter: MatterConstants) -> float:
    """Return the mean energy lost over a way: where it is a good part of all, that of the middle."""
    lost = loss * way
    if lost > 0.03 * kinetic:
        lost = way * matter.loss[kind, _place_in_table(max(kinetic - 0.5 * lost, 0.5 * kinetic))]
    return float(lost)


@compiled
def _light(energy: float, loss: float, matter: MatterConstants) -> float:
    """Return the energy that makes light, relative to a minimum-ionising particle (Birks)."""
    return energy * (1.0 + matter.birks * matter.minimum_loss) / (1.0 + matter.birks * loss)


@compiled
def _straggled(mean: float, step: float, matter: MatterConstants, rng: np.random.Generator) -> float:
    """Return an energy loss drawn from Moyal's law about its mean."""
    spread = matter.straggling / np.sqrt(step) / 2.2214
    normal = rng.standard_normal()
    moyal = -np.log(normal * normal + 1e-30) - _MOYAL_MEAN
    return float(mean * max(1.0 + spread * moyal, 0.05))


@compiled
def _knock_on(
    place: tuple[float, float, float],
    way: tuple[float, float, float],
    top: float,
    matter: MatterConstants,
    record: Record,
    rng: np.random.Generator,
) -> float:
    """Let an electron leave the track, 1 / T^2 between threshold and highest transfer; return its energy."""
    low = matter.delta_ray
    u = rng.random()
    kinetic = low / (1.0 - u * (1.0 - low / top))
    momentum = np.sqrt(kinetic * (kinetic + 2 * _ELECTRON_MEV))
    most = np.sqrt(top * (top + 2 * _ELECTRON_MEV))
    cosine = min(kinetic / momentum * most / top, 1.0)
    direction = turned(way, cosine, np.sqrt(1.0 - cosine * cosine), 2 * np.pi * rng.random())
    push(record, ELECTRON, place, direction, kinetic)
    return float(kinetic)


@compiled
def _radiate(
    place: tuple[float, float, float],
    way: tuple[float, float, float],
    kinetic: float,
    record: Record,
    rng: np.random.Generator,
) -> float:
    """Let a muon lose a hard photon, uniform in the logarithm of its energy; return what is left."""
    photon: float = _HARD_MEV * (kinetic / _HARD_MEV) ** rng.random()
    push(record, ELECTRON, place, way, photon)
    return kinetic - photon


@compiled
def follow_track(
    kind: int,
    start: Float64,
    length: float,
    step: float,
    box: Float64,
    owner: int,
    matter: MatterConstants,
    record: Record,
    rng: np.random.Generator,
) -> End:
    """Follow a charged particle until it stops, leaves the box or has come so far.

    Args:
        kind: `MUON` to `PROTON` of `hitlens.simulate.matter`.
        start: x, y, z (cm), direction (3), kinetic energy (MeV).
        length: way to its hadronic interaction, cm; infinite for none.
        step: cm.
        box: lower and upper ends along x, y and z, shape (6,): outside, nothing is followed.
        owner: primary particle to which the deposits belong.
        matter: the material.
        record: changed: deposits, knock-on electrons and hard photons.
        rng: random stream.
    """
    mass = MASSES_MEV[kind]
    x, y, z, ux, uy, uz, kinetic = start
    left = length
    hard = np.inf
    if kind == MUON and kinetic > 2 * _HARD_MEV and matter.hard_radiation > 0:
        hard = rng.standard_exponential() / (matter.hard_radiation * np.log(kinetic / _HARD_MEV))
    for _ in range(MOST_STEPS):
        place = _place_in_table(kinetic)
        way = min(step, left)
        lost = _straggled(_mean_loss(kind, kinetic, way, matter.loss[kind, place], matter), way, matter, rng)
        if lost >= kinetic:
            way *= _LAST_STEP * kinetic / lost
            lost = kinetic
        beta_p = kinetic * (kinetic + 2 * mass) / (kinetic + mass)
        angle = 13.6 / beta_p * np.sqrt(way / matter.radiation_length)
        middle = (x + 0.5 * way * ux, y + 0.5 * way * uy, z + 0.5 * way * uz)
        add_spot(record, owner, middle[0], middle[1], middle[2], _light(lost, lost / way, matter))
        if rng.random() < matter.delta_rate[kind, place] * way:
            kinetic -= _knock_on(middle, (ux, uy, uz), matter.delta_top[kind, place], matter, record, rng)
        x, y, z = x + way * ux, y + way * uy, z + way * uz
        kinetic -= lost
        left -= way
        hard -= way
        if hard <= 0.0:
            hard = np.inf
            if kinetic > 2 * _HARD_MEV:
                kinetic = _radiate((x, y, z), (ux, uy, uz), kinetic, record, rng)
        if kinetic <= 0.05 or left <= 1e-9:
            return End(x, y, z, ux, uy, uz, max(kinetic, 0.0), False)
        if outside(x, y, z, box):
            return End(x, y, z, ux, uy, uz, kinetic, True)
        polar = min(angle * np.sqrt(2.0 * rng.standard_exponential()), 1.5)
        ux, uy, uz = turned((ux, uy, uz), np.cos(polar), np.sin(polar), 2 * np.pi * rng.random())
    return End(x, y, z, ux, uy, uz, kinetic, True)


@compiled
def outside(x: float, y: float, z: float, box: Float64) -> bool:
    """Return whether a place is outside the box."""
    return bool(x < box[0] or x > box[1] or y < box[2] or y > box[3] or z < box[4] or z > box[5])
