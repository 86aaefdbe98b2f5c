"""CeBr events from truth to photon counts: electrons, bremsstrahlung, light sharing, photon noise.

An electron of energy E deposits its light a little beside its start and a little nearer to the sensor. It may
radiate photons above 30 keV, which leave the thin crystal or are absorbed elsewhere in it: a single may lose
energy and may show a second spot. The images of all deposits add up before the Poisson draw.

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

from hitlens.detectors.cebr.response import Bremsstrahlung, Range, Sample, SimulationConfig
from hitlens.errors import ConfigError
from hitlens.events import Events
from hitlens.simulate.blocks import simulate_blocks
from hitlens.simulate.comparison import Comparison
from hitlens.simulate.light import Float64, sum_spots

#: Events that share one set of random streams.
BLOCK_EVENTS = 4096
#: Largest count the image's uint16 holds.
LARGEST_COUNT = 65_535
#: Rounds of drawing after which a sample condition counts as impossible.
_ROUNDS = 10_000


class Truth(NamedTuple):
    """What happened, one entry an event; of a single, energy 2 is 0 and position 2 is NaN.

    Attributes:
        energy_mev: shape (event, 2).
        x_px: shape (event, 2).
        y_px: shape (event, 2).
    """

    energy_mev: Float64
    x_px: Float64
    y_px: Float64


class Deposits(NamedTuple):
    """Where light is made, ordered by event.

    Attributes:
        offsets: deposits of event i are those from offsets[i] to offsets[i + 1].
        x_px: along rows.
        y_px: along columns.
        depth_shift_px: u.
        photons: light of the deposit.
    """

    offsets: NDArray[np.int64]
    x_px: Float64
    y_px: Float64
    depth_shift_px: Float64
    photons: Float64


def draw_truth(sample: Sample, n_events: int, rng: np.random.Generator) -> Truth:
    """Return energies and positions of the electrons of events.

    Raises:
        ConfigError: no pair of positions was found at the separation asked for.
    """
    single = rng.random(n_events) < sample.single_fraction
    energy = np.stack(
        [rng.uniform(*sample.energy_1_mev, n_events), rng.uniform(*sample.energy_2_mev, n_events)]
    )
    x, y = rng.uniform(*sample.position_px, (2, 2, n_events))
    if sample.separation_px is not None:
        pairs = np.flatnonzero(~single)
        x[:, pairs], y[:, pairs] = _pairs_apart(sample.position_px, sample.separation_px, len(pairs), rng)
    energy[1, single] = 0.0
    x[1, single] = y[1, single] = np.nan
    return Truth(energy.T, x.T, y.T)


def _pairs_apart(
    area: Range, separation: Range, n_pairs: int, rng: np.random.Generator
) -> tuple[Float64, Float64]:
    """Return x and y, shape (2, pair), uniform over all pairs in the area that are so far apart."""
    x, y = np.empty((2, 2, n_pairs))
    todo = np.arange(n_pairs)
    low, high = separation[0], min(separation[1], np.sqrt(2) * (area[1] - area[0]))
    for _ in range(_ROUNDS):
        first_x, first_y = rng.uniform(*area, (2, len(todo)))
        distance = np.sqrt(rng.uniform(low**2, high**2, len(todo)))
        angle = rng.uniform(0, 2 * np.pi, len(todo))
        second_x, second_y = first_x + distance * np.cos(angle), first_y + distance * np.sin(angle)
        good = (np.minimum(second_x, second_y) >= area[0]) & (np.maximum(second_x, second_y) <= area[1])
        x[:, todo[good]] = first_x[good], second_x[good]
        y[:, todo[good]] = first_y[good], second_y[good]
        todo = todo[~good]
        if not len(todo):
            return x, y
    raise ConfigError(
        f"No pairs of positions lie {low:g} to {high:g} px apart within {area}: widen the range."
    )


def draw_photons(
    config: Bremsstrahlung, energy_mev: Float64, rng: np.random.Generator
) -> tuple[NDArray[np.int64], Float64]:
    """Return the bremsstrahlung photons of electrons: index of the electron and photon energy in MeV.

    Args:
        config: the spectrum.
        energy_mev: of the electrons, shape (electron,).
        rng: random stream.
    """
    threshold = config.threshold_mev
    ratio = np.maximum(energy_mev / threshold, 1.0)
    mean = config.amplitude_per_mev * threshold * (ratio * np.log(ratio) - (ratio - 1.0))
    n_photons = rng.poisson(mean)
    left = energy_mev.copy()
    owners, energies = [], []
    for n_before in range(int(n_photons.max(initial=0))):
        owner = np.flatnonzero((n_photons > n_before) & (left > threshold))
        photon = _photon_energies(threshold, left[owner], rng)
        left[owner] -= photon
        owners.append(owner)
        energies.append(photon)
    if not owners:
        return np.empty(0, np.int64), np.empty(0)
    return np.concatenate(owners), np.concatenate(energies)


def _photon_energies(threshold: float, energy: Float64, rng: np.random.Generator) -> Float64:
    """Draw k from (E - k) / k between threshold and E: from 1 / k, kept as (E - k) / (E - threshold)."""
    photon = np.empty_like(energy)
    todo = np.arange(len(energy))
    while len(todo):
        top = energy[todo]
        trial = threshold * (top / threshold) ** rng.random(len(todo))
        good = rng.random(len(todo)) * (top - threshold) < top - trial
        photon[todo[good]] = trial[good]
        todo = todo[~good]
    return photon


def propagate_photons(
    config: Bremsstrahlung, x_px: Float64, y_px: Float64, energy_mev: Float64, rng: np.random.Generator
) -> tuple[Float64, Float64, NDArray[np.bool_]]:
    """Return where photons are absorbed, x and y in px, and whether that is inside the active crystal.

    Args:
        config: crystal and attenuation.
        x_px: start along rows, shape (photon,).
        y_px: start along columns, shape (photon,).
        energy_mev: shape (photon,).
        rng: random stream.
    """
    n = len(energy_mev)
    length = rng.standard_exponential(n) / config.attenuation_per_px(energy_mev)
    cosine = rng.uniform(-1.0, 1.0, n)
    angle = rng.uniform(0.0, 2 * np.pi, n)
    across = length * np.sqrt(1.0 - cosine**2)
    x, y, depth = x_px + across * np.cos(angle), y_px + across * np.sin(angle), length * cosine
    low, high = config.active_px
    inside = (np.minimum(x, y) >= low) & (np.maximum(x, y) <= high)
    return x, y, inside & (np.abs(depth) <= config.thickness_px / 2)


def deposit(config: SimulationConfig, truth: Truth, rng: np.random.Generator) -> Deposits:
    """Return the light deposits of events: one an electron, one for each photon absorbed in the crystal.

    Args:
        config: electron, bremsstrahlung and nuisance settings are used.
        truth: what happened.
        rng: random stream.
    """
    energy = truth.energy_mev.ravel()
    x, y = np.nan_to_num(truth.x_px.ravel()), np.nan_to_num(truth.y_px.ravel())
    electron = config.electron
    gain = rng.normal(1.0, electron.yield_spread, len(energy))
    shift_x, shift_y = rng.normal(0.0, electron.lateral_shift_px_per_mev, (2, len(energy))) * energy
    depth = -np.abs(rng.normal(0.0, electron.depth_shift_px_per_mev, len(energy))) * energy
    owner, photon = draw_photons(config.bremsstrahlung, energy, rng)
    photon_x, photon_y, kept = propagate_photons(config.bremsstrahlung, x[owner], y[owner], photon, rng)
    photon_depth = -np.abs(rng.normal(0.0, electron.depth_shift_px_per_mev, len(photon))) * photon
    local = energy - np.bincount(owner, weights=photon, minlength=len(energy))

    spot_owner = np.concatenate([np.arange(len(energy)), owner[kept]])
    spot_energy = np.concatenate([local, photon[kept]])
    lit = spot_energy > 0
    order = np.flatnonzero(lit)[np.argsort(spot_owner[lit], kind="stable")]
    event = spot_owner[order] // 2
    photons_per_mev = electron.photons_per_mev * config.nuisance.light_yield_scale
    return Deposits(
        offsets=np.searchsorted(event, np.arange(len(truth.energy_mev) + 1)),
        x_px=np.concatenate([x + shift_x, photon_x[kept]])[order] + config.nuisance.shift_x_px,
        y_px=np.concatenate([y + shift_y, photon_y[kept]])[order] + config.nuisance.shift_y_px,
        depth_shift_px=np.concatenate([depth, photon_depth[kept]])[order],
        photons=photons_per_mev * spot_energy[order] * gain[spot_owner[order]],
    )


def expected_images(config: SimulationConfig, deposits: Deposits, n_events: int) -> Float64:
    """Return the mean images of the first events, shape (event, 16, 16), in photons.

    Args:
        config: light and nuisance settings are used.
        deposits: of at least that many events.
        n_events: how many images to make.
    """
    light = config.effective_light
    images = np.full((n_events, *light.shape), config.nuisance.background_photons)
    shift = np.maximum(deposits.depth_shift_px, -0.9 * light.depth_1)
    sum_spots(
        images,
        deposits.offsets,
        deposits.x_px,
        deposits.y_px,
        shift,
        deposits.photons,
        light.constants,
    )
    return images


def read_out(
    config: SimulationConfig, expected: Float64, gains: Float64 | None, rng: np.random.Generator
) -> NDArray[np.uint16]:
    """Return photon counts: a Poisson draw, the readout's noise and gains, dead pixels at 0.

    Args:
        config: nuisance settings and dead pixels are used.
        expected: mean images, shape (event, 16, 16).
        gains: one a pixel, shape (16, 16), or None.
        rng: random stream.

    Raises:
        ConfigError: a count does not fit the image's 16 bits.
    """
    counts = rng.poisson(expected)
    if gains is not None:
        counts = np.rint(counts * gains).astype(np.int64)
    if config.nuisance.noise_photons:
        # A stream of its own: with fewer events the first ones stay the same.
        noise = rng.spawn(1)[0].normal(0.0, config.nuisance.noise_photons, counts.shape)
        counts = np.maximum(np.rint(counts + noise), 0).astype(np.int64)
    for ix, iy in config.dead_pixels:
        counts[:, ix, iy] = 0
    largest = int(counts.max(initial=0))
    if largest > LARGEST_COUNT:
        raise ConfigError(
            f"A pixel counts {largest} photons, more than the {LARGEST_COUNT} an image holds. "
            "Lower electron.photons_per_mev, nuisance.light_yield_scale or the energies."
        )
    return counts.astype(np.uint16)


def pixel_gains(config: SimulationConfig, seed: int) -> Float64 | None:
    """Return the fixed gain of each pixel for this seed, shape (16, 16), or None where all are 1."""
    spread = config.nuisance.pixel_gain_spread
    if not spread:
        return None
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2**32 - 1,)))
    return np.maximum(rng.normal(1.0, spread, config.light.shape), 0.0)


def simulate_block(config: SimulationConfig, seed: int, block: int, n_events: int = BLOCK_EVENTS) -> Events:
    """Return the first events of one block.

    Args:
        config: every setting.
        seed: of the whole sample.
        block: which block, from 0.
        n_events: at most `BLOCK_EVENTS`.
    """
    streams = np.random.SeedSequence(seed, spawn_key=(block,)).spawn(3)
    truth_rng, response_rng, noise_rng = (np.random.default_rng(stream) for stream in streams)
    truth = draw_truth(config.sample, BLOCK_EVENTS, truth_rng)
    deposits = deposit(config, truth, response_rng)
    expected = expected_images(config, deposits, n_events)
    images = read_out(config, expected, pixel_gains(config, seed), noise_rng)
    return Events({"anode": images}, _table(truth, seed, block, n_events), "cebr")


def _table(truth: Truth, seed: int, block: int, n_events: int) -> pl.DataFrame:
    first, second = (
        {
            f"energy_{k + 1}_mev": truth.energy_mev[:n_events, k],
            f"x_{k + 1}_px": truth.x_px[:n_events, k],
            f"y_{k + 1}_px": truth.y_px[:n_events, k],
        }
        for k in range(2)
    )
    start = block * BLOCK_EVENTS
    n_electrons = (1 + ~np.isnan(truth.x_px[:n_events, 1])).astype(np.uint8)
    return pl.DataFrame(
        {
            "file": np.full(n_events, f"simulated-seed{seed}"),
            "event": np.arange(start, start + n_events, dtype=np.int64),
            "n_electrons": n_electrons,
            **first,
            **second,
        }
    )


class CebrSimulator:
    """Makes CeBr events in blocks; see `hitlens.detector.Simulator`."""

    config = SimulationConfig
    block_events = BLOCK_EVENTS

    def blocks(
        self, config: SimulationConfig, n_events: int, seed: int, workers: int = 1, first: int = 0
    ) -> Iterator[Events]:
        """Yield events in order, at most `BLOCK_EVENTS` at a time; the same for any number of workers.

        Args:
            config: every setting.
            n_events: how many events in all.
            seed: of the whole sample; 0 or more.
            workers: threads that work side by side.
            first: number of the block to begin with.

        Raises:
            ConfigError: n_events, seed or workers out of range, or a count too large for the image.
        """
        make = partial(simulate_block, config, seed)
        return simulate_blocks(make, n_events, seed, workers, BLOCK_EVENTS, first)

    def compare(self, events: Events, config: SimulationConfig, real: Events | None = None) -> Comparison:
        """Set simulated events beside the real ones; see `hitlens.detectors.cebr.validation.compare`."""
        from hitlens.detectors.cebr.validation import compare  # which simulates with this module

        return compare(events, config, real)
