"""NOvA events from the neutrino to both pixel maps: generator, transport, light, region and selection.

Events come in blocks of fixed size, each with random streams of its own, so that the same seed gives the same
events whatever the number of workers, and fewer events are the first ones of more.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat

from hitlens.detector import Description
from hitlens.detectors.nova.generator import GeneratorConfig, generate
from hitlens.detectors.nova.interactions import final_states
from hitlens.detectors.nova.particles import Interactions, Particles
from hitlens.detectors.nova.propagation import (
    FAR_DETECTOR,
    Vertices,
    collect_cells,
    count_prongs,
    deposit,
    draw_vertices,
    prong_light,
    track_particles,
)
from hitlens.detectors.nova.response import (
    Nuisance,
    Pixels,
    Readout,
    cell_gains,
    distances_cm,
    pixel_maps,
    record_hits,
    views_of,
)
from hitlens.errors import ConfigError
from hitlens.events import Events, concat
from hitlens.simulate.blocks import simulate_blocks
from hitlens.simulate.comparison import Comparison
from hitlens.simulate.transport import Transport

Float64 = NDArray[np.float64]

#: Events that share one set of random streams.
BLOCK_EVENTS = 512
#: Share of interactions that are kept, by default; only the speed depends on it.
_USUAL_SHARE = 0.9
#: Share below which the selection counts as impossible, once so many interactions were drawn.
_LEAST_SHARE, _MOST_DRAWN = 0.01, 4000
#: Run numbers start above this, so that none is 0.
_FIRST_RUN = 10_000
_LARGEST_RUN = 2_000_000_000


class NovaConfig(Description):
    """Every setting of the NOvA simulator.

    Attributes:
        generator: neutrinos, their interactions and the particles that come out.
        vertices: where they interact.
        transport: what particles leave in matter.
        readout: from energy in a cell to its record.
        nuisance: departures that the calibration does not know of.
        least_hits: events with fewer hits in both views together are not kept.
        prong_mev: a track or shower counts in ``finalstate`` from this much light on.
        clear_prong_mev: and in ``finalstateprong`` from this much on.

    Examples:
        >>> NovaConfig.model_validate({"nuisance": {"energy_scale": 1.05}}).nuisance.energy_scale
        1.05
    """

    generator: GeneratorConfig = GeneratorConfig()
    vertices: Vertices = Vertices()
    transport: Transport = Transport()
    readout: Readout = Readout()
    nuisance: Nuisance = Nuisance()
    least_hits: int = Field(default=20, ge=1)
    prong_mev: PositiveFloat = 50.0
    clear_prong_mev: PositiveFloat = 150.0


class _Streams(NamedTuple):
    """Random streams of a block."""

    generator: np.random.Generator
    vertices: np.random.Generator
    transport: np.random.Generator
    readout: np.random.Generator


def simulate_interactions(
    config: NovaConfig,
    interactions: Interactions,
    particles: Particles,
    vertex_cm: Float64,
    seed: int,
    transport_rng: np.random.Generator,
    readout_rng: np.random.Generator,
) -> tuple[Pixels, pl.DataFrame]:
    """Return the pixels of interactions and their truth, before the selection.

    Args:
        config: every setting.
        interactions: what happened.
        particles: what came out.
        vertex_cm: shape (event, 3).
        seed: of the whole sample, for the gains of the cells.
        transport_rng: random stream of the particles' ways.
        readout_rng: random stream of the readout.
    """
    readout, n_events = config.readout, len(interactions)
    tracked = track_particles(particles, transport_rng)
    deposits = deposit(config.transport, tracked, vertex_cm, transport_rng)
    cells = collect_cells(deposits, tracked, vertex_cm, readout.crosstalk)
    distance = distances_cm(readout, FAR_DETECTOR, vertex_cm)
    gains = cell_gains(
        readout.dead_fraction, readout.cell_spread, (FAR_DETECTOR.n_planes, FAR_DETECTOR.n_cells), seed
    )
    hits = record_hits(readout, config.nuisance, cells, distance, gains, readout_rng)
    pixels = pixel_maps(readout, hits, distance, n_events, readout_rng)
    light = prong_light(deposits, tracked)
    states = [
        final_states(interactions.interaction, *count_prongs(light, tracked, n_events, least))
        for least in (config.prong_mev, config.clear_prong_mev)
    ]
    truth = pl.DataFrame(
        {
            "interaction": interactions.interaction.astype(np.uint32),
            "finalstate": states[0],
            "finalstateprong": states[1],
            "nuenergy": interactions.nu_energy_gev.astype(np.float32),
            "lepenergy": interactions.lep_energy_gev.astype(np.float32),
            "vtxx": vertex_cm[:, 0],
            "vtxy": vertex_cm[:, 1],
            "vtxz": vertex_cm[:, 2],
            "parent": np.abs(interactions.nu_pdg).astype(np.uint32),
            "particles": np.bincount(particles.event, minlength=n_events).astype(np.uint32),
            "trainingdata_idx": np.zeros(n_events, np.uint32),
        }
    )
    return pixels, truth


def simulate_block(config: NovaConfig, seed: int, block: int, n_events: int = BLOCK_EVENTS) -> Events:
    """Return the first events of one block.

    Args:
        config: every setting.
        seed: of the whole sample.
        block: which block, from 0.
        n_events: at most `BLOCK_EVENTS`.

    Raises:
        ConfigError: hardly an event passes the selection.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(block,))
    streams = _Streams(*(np.random.default_rng(stream) for stream in sequence.spawn(4)))
    parts: list[Events] = []
    n_kept = n_drawn = 0
    while n_kept < BLOCK_EVENTS:
        share = max(n_kept / n_drawn, 0.05) if n_drawn else _USUAL_SHARE
        n_more = min(int((BLOCK_EVENTS - n_kept) / share) + 8, 4 * BLOCK_EVENTS)
        parts.append(_draw(config, seed, n_more, streams))
        n_kept, n_drawn = n_kept + len(parts[-1]), n_drawn + n_more
        if n_drawn > _MOST_DRAWN and n_kept < _LEAST_SHARE * n_drawn:
            raise ConfigError(
                f"Of {n_drawn:,} interactions only {n_kept} have {config.least_hits} hits or more: "
                "lower least_hits, or look at thresholds and light yield."
            )
    events = concat(parts).select(slice(0, n_events))
    return Events(events.images, _with_keys(events.truth, seed, block), events.detector)


def _draw(config: NovaConfig, seed: int, n_events: int, streams: _Streams) -> Events:
    """Return those of so many interactions that pass the selection."""
    interactions, particles = generate(config.generator, n_events, streams.generator)
    vertex = draw_vertices(config.vertices, n_events, streams.vertices)
    pixels, truth = simulate_interactions(
        config, interactions, particles, vertex, seed, streams.transport, streams.readout
    )
    n_hits = np.bincount(pixels.event, minlength=n_events)
    chosen = np.flatnonzero(n_hits >= config.least_hits)
    return Events(views_of(pixels, chosen), truth[chosen], "nova")


def _with_keys(truth: pl.DataFrame, seed: int, block: int) -> pl.DataFrame:
    """Return the truth after the event key: run from the seed, subrun the block, evt in the block."""
    keys = pl.DataFrame(
        {
            "file": np.full(len(truth), f"simulated-seed{seed}"),
            "run": np.full(len(truth), _FIRST_RUN + seed % _LARGEST_RUN, np.int64),
            "subrun": np.full(len(truth), block, np.int64),
            "evt": np.arange(1, len(truth) + 1, dtype=np.int64),
            "subevt": np.ones(len(truth), np.int64),
            "cycle": np.zeros(len(truth), np.int64),
        }
    )
    return pl.concat([keys, truth], how="horizontal")


class NovaSimulator:
    """Makes NOvA events in blocks; see `hitlens.detector.Simulator`."""

    config = NovaConfig
    block_events = BLOCK_EVENTS

    def blocks(
        self, config: NovaConfig, n_events: int, seed: int, workers: int = 1, first: int = 0
    ) -> Iterator[Events]:
        """Yield events in order, at most `BLOCK_EVENTS` at a time; the same for any number of workers.

        Args:
            config: every setting.
            n_events: how many events in all.
            seed: of the whole sample; 0 or more.
            workers: threads that work side by side.
            first: number of the block to begin with.

        Raises:
            ConfigError: n_events, seed or workers out of range, or hardly an event passes the selection.
        """
        make = partial(simulate_block, config, seed)
        return simulate_blocks(make, n_events, seed, workers, BLOCK_EVENTS, first)

    def compare(self, events: Events, config: NovaConfig, real: Events | None = None) -> Comparison:
        """Set simulated events beside the real ones; see `hitlens.detectors.nova.validation.compare`."""
        from hitlens.detectors.nova.validation import compare  # which simulates with this module

        return compare(events, config, real)
