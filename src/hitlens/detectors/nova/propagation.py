"""Final-state particles through the NOvA far detector: vertices, energy in cells, prongs that show."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hitlens.detector import Description
from hitlens.detectors.nova.particles import Particles
from hitlens.simulate.cells import Cells, Segmentation, collect
from hitlens.simulate.compile import compiled
from hitlens.simulate.deposits import Deposits
from hitlens.simulate.hadrons import decay_neutral_pion
from hitlens.simulate.matter import ELECTRON, MASSES_MEV, NEUTRAL_PION, PHOTON, PROTON
from hitlens.simulate.transport import Transport, kinds_of, propagate

Float64 = NDArray[np.float64]

#: The far detector: cells of 3.97 cm and planes of 6.66 cm, 15 m across and 60 m long.
FAR_DETECTOR = Segmentation(plane_cm=6.66, cell_cm=3.97, wall_cm=0.4, gap_cm=0.72, n_planes=896, n_cells=384)
#: Planes before the vertex, planes and cells in all that are looked at about it.
_BEFORE, _WINDOW = 20, (224, 176)


class Vertices(Description):
    """Where neutrinos interact: uniform in the detector.

    Attributes:
        margin_cm: distance kept from the walls.
        margin_front_cm: distance kept from the front.
        margin_back_cm: distance kept from the back.
    """

    margin_cm: float = Field(default=30.0, ge=0, lt=700)
    margin_front_cm: float = Field(default=30.0, ge=0, lt=2500)
    margin_back_cm: float = Field(default=100.0, ge=0, lt=2500)


class Tracked(NamedTuple):
    """Particles as the transport takes them, neutral pions decayed; ordered by event.

    Attributes:
        event: index of the event, shape (particle,).
        kind: of `hitlens.simulate.matter`, -1 for one that leaves nothing, shape (particle,).
        way: direction, shape (particle, 3).
        kinetic_mev: shape (particle,).
    """

    event: NDArray[np.int64]
    kind: NDArray[np.int64]
    way: Float64
    kinetic_mev: Float64


def draw_vertices(
    vertices: Vertices, n_events: int, rng: np.random.Generator, grid: Segmentation = FAR_DETECTOR
) -> Float64:
    """Return vertices in the detector, cm, shape (event, 3)."""
    half = grid.half_width_cm - vertices.margin_cm
    low = np.array([-half, -half, vertices.margin_front_cm])
    high = np.array([half, half, grid.length_cm - vertices.margin_back_cm])
    return rng.uniform(low, high, (n_events, 3))


def track_particles(particles: Particles, rng: np.random.Generator) -> Tracked:
    """Return particles in the transport's form, each neutral pion as its two photons.

    Args:
        particles: what leaves the nucleus.
        rng: random stream.
    """
    kind = kinds_of(particles.pdg)
    momentum = particles.momentum_gev
    safe = np.maximum(momentum, 1e-12)
    way = np.stack([particles.px / safe, particles.py / safe, particles.pz / safe], axis=1)
    mass = np.where(kind >= 0, MASSES_MEV[kind], 0.0)
    energy = np.hypot(momentum * 1000, mass)
    # Of heavy slow particles the difference loses digits; p^2 / (E + m) does not.
    kinetic = (momentum * 1000) ** 2 / np.maximum(energy + mass, 1e-12)
    pions = np.flatnonzero(kind == NEUTRAL_PION)
    rest = np.flatnonzero(kind != NEUTRAL_PION)
    photon_way, photon_energy = _decay_all(way[pions], kinetic[pions], rng)
    event = np.concatenate([particles.event[rest], np.repeat(particles.event[pions], 2)])
    order = np.argsort(event, kind="stable")
    return Tracked(
        event[order],
        np.concatenate([kind[rest], np.full(2 * len(pions), PHOTON)])[order],
        np.concatenate([way[rest], photon_way])[order],
        np.concatenate([kinetic[rest], photon_energy])[order],
    )


@compiled
def _decay_all(way: Float64, kinetic: Float64, rng: np.random.Generator) -> tuple[Float64, Float64]:
    """Return directions and energies of the photons, two for each pion, one after the other."""
    ways, energies = np.empty((2 * len(way), 3)), np.empty(2 * len(way))
    for k in range(len(way)):
        one, first, two, second = decay_neutral_pion((way[k, 0], way[k, 1], way[k, 2]), kinetic[k], rng)
        ways[2 * k, 0], ways[2 * k, 1], ways[2 * k, 2] = one
        ways[2 * k + 1, 0], ways[2 * k + 1, 1], ways[2 * k + 1, 2] = two
        energies[2 * k], energies[2 * k + 1] = first, second
    return ways, energies


def corners(vertex_cm: Float64, grid: Segmentation = FAR_DETECTOR) -> NDArray[np.int64]:
    """Return where the windows about events begin: plane, cell along x, cell along y, shape (event, 3)."""
    plane = np.floor(vertex_cm[:, 2] / grid.plane_cm).astype(np.int64) - _BEFORE
    cell = np.floor(vertex_cm[:, :2] / grid.cell_cm + grid.n_cells / 2).astype(np.int64) - _WINDOW[1] // 2
    return np.column_stack([plane, cell])


def boxes(vertex_cm: Float64, grid: Segmentation = FAR_DETECTOR) -> Float64:
    """Return the part of space about each event in which particles are followed, shape (event, 6).

    It is the window of `corners`, as far as the detector goes.
    """
    corner = corners(vertex_cm, grid)
    half, length = grid.half_width_cm, grid.length_cm
    box = np.empty((len(vertex_cm), 6))
    for axis in range(2):
        low = (corner[:, 1 + axis] - grid.n_cells / 2) * grid.cell_cm
        box[:, 2 * axis] = np.maximum(low, -half)
        box[:, 2 * axis + 1] = np.minimum(low + _WINDOW[1] * grid.cell_cm, half)
    low = corner[:, 0] * grid.plane_cm
    box[:, 4] = np.maximum(low, 0.0)
    box[:, 5] = np.minimum(low + _WINDOW[0] * grid.plane_cm, length)
    return box


def deposit(transport: Transport, tracked: Tracked, vertex_cm: Float64, rng: np.random.Generator) -> Deposits:
    """Return the energy all particles leave in the detector.

    Args:
        transport: how they are followed.
        tracked: particles.
        vertex_cm: shape (event, 3).
        rng: random stream.
    """
    start = np.column_stack([vertex_cm[tracked.event], tracked.way, tracked.kinetic_mev])
    return propagate(transport, tracked.kind, start, boxes(vertex_cm)[tracked.event], rng)


def collect_cells(deposits: Deposits, tracked: Tracked, vertex_cm: Float64, crosstalk: float) -> Cells:
    """Return the energy by cell of events; arguments as `deposit`."""
    event = tracked.event[deposits.owner]
    offsets = np.searchsorted(event, np.arange(len(vertex_cm) + 1))
    return collect(deposits, offsets, corners(vertex_cm), _WINDOW, FAR_DETECTOR, crosstalk)


def prong_light(deposits: Deposits, tracked: Tracked) -> Float64:
    """Return the energy that makes light of each particle and all it made, MeV, shape (particle,)."""
    light: Float64 = np.bincount(
        deposits.owner, weights=deposits.light_mev, minlength=len(tracked.event)
    ).astype(np.float64, copy=False)
    return light


def count_prongs(
    light_mev: Float64, tracked: Tracked, n_events: int, least_mev: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many tracks and showers of each event leave at least so much light, shape (event,) each.

    Tracks are muons, charged pions and kaons, and protons; showers are electrons and photons, those of a
    neutral pion two.

    Args:
        light_mev: of each particle, see `prong_light`.
        tracked: particles.
        n_events: number of events.
        least_mev: what a prong must leave.

    Examples:
        >>> three = Tracked(np.array([0, 0, 1]), np.array([0, 5, 3]), np.zeros((3, 3)), np.zeros(3))
        >>> tracks, showers = count_prongs(np.array([90.0, 60.0, 10.0]), three, 2, 50.0)
        >>> tracks.tolist(), showers.tolist()
        ([1, 0], [1, 0])
    """
    shows = light_mev >= least_mev
    is_track = shows & (tracked.kind >= 0) & (tracked.kind <= PROTON)
    is_shower = shows & ((tracked.kind == ELECTRON) | (tracked.kind == PHOTON))
    tracks, showers = (
        np.bincount(tracked.event[which], minlength=n_events) for which in (is_track, is_shower)
    )
    return tracks, showers
