"""Single particles in the detector, to hold the response against what is known of muons; hadrons alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hitlens.detectors.nova.description import COUNT_MEV, SHAPE
from hitlens.detectors.nova.particles import Interactions, Particles
from hitlens.detectors.nova.propagation import FAR_DETECTOR, draw_vertices
from hitlens.simulate.particle_data import masses_gev

if TYPE_CHECKING:
    from hitlens.detectors.nova.response import Pixels
    from hitlens.detectors.nova.simulate import NovaConfig

Float64 = NDArray[np.float64]

#: Columns at the start of a track, and at its end, that are not looked at.
_BORDER = 2


class MuonColumns(NamedTuple):
    """What muons leave in the planes of one view.

    Attributes:
        efficiency: share of the columns along the track with a hit.
        hits: mean hits of a column that has some.
        counts: mean counts of such a column.
        smallest: value below which 1 % of the pixels lie.
    """

    efficiency: float
    hits: float
    counts: float
    smallest: float


def shoot(
    config: NovaConfig, pdg: int, kinetic_gev: float, n: int, vertex_cm: Float64, seed: int = 1
) -> Pixels:
    """Return the pixels of particles of one kind that start at one place along the beam, within 0.15 rad.

    Noise is left out.

    Args:
        config: transport and readout are used.
        pdg: PDG code.
        kinetic_gev: kinetic energy.
        n: how many particles, each an event.
        vertex_cm: where they start, shape (3,).
        seed: of the random numbers and of the cells' gains.
    """
    rng = np.random.default_rng(seed)
    mass = float(masses_gev(np.array([pdg], np.int32))[0])
    momentum = np.sqrt(kinetic_gev * (kinetic_gev + 2 * mass))
    polar, azimuth = 0.15 * np.sqrt(rng.random(n)), 2 * np.pi * rng.random(n)
    particles = Particles(
        event=np.arange(n),
        pdg=np.full(n, pdg, np.int32),
        px=momentum * np.sin(polar) * np.cos(azimuth),
        py=momentum * np.sin(polar) * np.sin(azimuth),
        pz=momentum * np.cos(polar),
    )
    return _pixels(config, particles, np.tile(vertex_cm, (n, 1)), seed)


def _pixels(config: NovaConfig, particles: Particles, vertex_cm: Float64, seed: int) -> Pixels:
    from hitlens.detectors.nova.simulate import simulate_interactions  # which the comparison is a part of

    n = len(vertex_cm)
    nothing, codes = np.zeros(n), np.zeros(n, np.int32)
    unknown = Interactions(np.zeros(n, np.uint8), codes, *(nothing,) * 6, codes)
    quiet = config.model_copy(update={"readout": config.readout.model_copy(update={"noise_hits": 0.0})})
    transport_rng, readout_rng = (
        np.random.default_rng(stream) for stream in np.random.SeedSequence(seed).spawn(2)
    )
    return simulate_interactions(quiet, unknown, particles, vertex_cm, seed, transport_rng, readout_rng)[0]


def muon_columns(config: NovaConfig, n: int = 400, seed: int = 1) -> tuple[MuonColumns, MuonColumns]:
    """Return what 3 GeV muons leave far from the readout and near to it: view x and view y of the same muons.

    Args:
        config: transport and readout are used.
        n: muons.
        seed: of the random numbers.
    """
    half = FAR_DETECTOR.half_width_cm
    vertex = np.array([half - 60.0, -half + 60.0, 1000.0])  # at positive x and low y
    pixels = shoot(config, 13, 3.0, n, vertex, seed)
    return _columns(pixels, 0, n), _columns(pixels, 1, n)


def _columns(pixels: Pixels, view: int, n: int) -> MuonColumns:
    mine = pixels.view == view
    place = pixels.event[mine].astype(np.int64) * SHAPE[0] + pixels.place[mine] // SHAPE[1]
    shape = n, SHAPE[0]
    hits = np.bincount(place, minlength=n * SHAPE[0]).reshape(shape)
    counts = np.bincount(place, weights=pixels.counts[mine], minlength=n * SHAPE[0]).reshape(shape)
    lit = hits > 0
    last = SHAPE[0] - 1 - lit[:, ::-1].argmax(axis=1)
    column = np.arange(SHAPE[0])
    along = (column >= _BORDER) & (column <= last[:, np.newaxis] - _BORDER)
    return MuonColumns(
        efficiency=float(lit[along].mean()),
        hits=float(hits[along & lit].mean()),
        counts=float(counts[along & lit].mean()),
        smallest=float(np.quantile(pixels.counts[mine], 0.01)),
    )


def conversion_gap_cm(config: NovaConfig, n: int = 500, seed: int = 1) -> float:
    """Return the mean way along the beam from the start of 1 GeV photons to their first hit, cm.

    Args:
        config: transport and readout are used.
        n: photons.
        seed: of the random numbers.
    """
    start = np.array([0.0, 0.0, 1000.0])
    pixels = shoot(config, 22, 1.0, n, start, seed)
    seen = np.unique(pixels.event)
    planes = pixels.first_plane[seen] - start[2] // FAR_DETECTOR.plane_cm
    return float(planes.mean() * FAR_DETECTOR.plane_cm)


def vertex_columns(config: NovaConfig, n: int = 1000, seed: int = 1) -> NDArray[np.int64]:
    """Return the column in which the vertex lies, of interactions with enough hits.

    Args:
        config: every setting.
        n: interactions before the selection.
        seed: of the random numbers.
    """
    from hitlens.detectors.nova.generator import generate

    rng = np.random.default_rng(seed)
    particles = generate(config.generator, n, rng)[1]
    vertex = draw_vertices(config.vertices, n, rng)
    pixels = _pixels(config, particles, vertex, seed)
    seen = np.bincount(pixels.event, minlength=n) >= config.least_hits
    planes = np.floor(vertex[:, 2] / FAR_DETECTOR.plane_cm).astype(np.int64) - pixels.first_plane
    return planes[seen] // 2


def hadronic_energies(config: NovaConfig, n: int = 4000, seed: int = 1) -> tuple[Float64, Float64]:
    """Return visible and true energy of hadrons, GeV: charged currents of muon neutrinos without the muon.

    Args:
        config: every setting.
        n: interactions; those below 10 GeV of hadronic energy are returned.
        seed: of the random numbers.
    """
    from hitlens.detectors.nova.generator import generate

    rng = np.random.default_rng(seed)
    interactions, particles = generate(config.generator, n, rng)
    hadron = ~np.isin(np.abs(particles.pdg), (11, 13))
    hadrons = Particles(
        event=particles.event[hadron],
        pdg=particles.pdg[hadron],
        px=particles.px[hadron],
        py=particles.py[hadron],
        pz=particles.pz[hadron],
    )
    half = FAR_DETECTOR.half_width_cm - 250.0
    vertex = rng.uniform((-half, -half, 200.0), (half, half, FAR_DETECTOR.length_cm - 1500.0), (n, 3))
    pixels = _pixels(config, hadrons, vertex, seed)
    counts = np.bincount(pixels.event, weights=pixels.counts, minlength=n)
    visible = counts.astype(np.float64) * COUNT_MEV * 1e-3
    true = interactions.nu_energy_gev - interactions.lep_energy_gev
    chosen = (interactions.interaction < 4) & (true > 0.15) & (true < 10.0)
    return visible[chosen], true[chosen]
