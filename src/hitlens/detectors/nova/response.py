"""Every setting of the NOvA detector's response, and the way from energy in cells to pixel maps."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat
from scipy import sparse

from hitlens.detector import Description
from hitlens.detectors.nova.description import COUNT_MEV, SHAPE
from hitlens.simulate.cells import Cells, Segmentation
from hitlens.simulate.fibre import Fibre, read_out, transmission

Float64 = NDArray[np.float64]
Sparse = sparse.csr_array[Any, tuple[int, int]]

N_PLANES, N_CELLS = SHAPE
_N_PIXELS = N_PLANES * N_CELLS
#: Highest value of a pixel.
_LARGEST = 255
#: Row of the image on which the median hit of a view comes to lie.
_MIDDLE = N_CELLS // 2
#: Planes without a hit, and share of the energy before them, that set hits apart from an event.
_SLICE_GAP, _SLICE_SHARE = 6, 0.1
#: Noise comes at most so many planes and cells beyond the other hits of its event.
_NOISE_MARGIN = 4, 12


class Readout(Description):
    """From energy in a cell to its record.

    Attributes:
        visible_fraction: share of the energy lost inside a cell that makes light; walls between cells and
            between planes make none.
        fibre: light to the readout.
        cell_spread: relative spread of the light from cell to cell, drawn from the seed; it is calibrated.
        pigtail_cm: fibre between the end of a cell and its readout.
        threshold_pe: photo-electrons below which nothing is recorded.
        crosstalk: share of a cell's light seen by its two neighbours together.
        dead_fraction: share of dead cells, drawn from the seed.
        noise_hits: mean number of noise hits a view.
        noise_mev: mean energy of a noise hit above the lowest energy recorded there.
    """

    visible_fraction: PositiveFloat = 0.89
    fibre: Fibre = Fibre(photo_electrons_per_mev=19.0, long_cm=800.0)
    cell_spread: float = Field(default=0.15, ge=0, lt=0.3)
    pigtail_cm: float = Field(default=30.0, ge=0)
    threshold_pe: PositiveFloat = 17.0
    crosstalk: float = Field(default=0.015, ge=0, lt=0.5)
    dead_fraction: float = Field(default=0.008, ge=0, lt=1)
    noise_hits: float = Field(default=1.0, ge=0)
    noise_mev: PositiveFloat = 1.0


class Nuisance(Description):
    """Departures from the response that the calibration does not know of; the defaults change nothing.

    Attributes:
        energy_scale: times every calibrated energy.
        light_scale: times the light yield.
        attenuation_scale: times the attenuation of the light on its way.
    """

    energy_scale: PositiveFloat = 1.0
    light_scale: PositiveFloat = 1.0
    attenuation_scale: PositiveFloat = 1.0


class Hits(NamedTuple):
    """Cells above threshold, ordered by event.

    Attributes:
        event: index of the event, shape (hit,).
        plane: plane of the detector, shape (hit,).
        cell: cell of the plane, shape (hit,).
        energy_mev: calibrated, shape (hit,).
    """

    event: NDArray[np.int32]
    plane: NDArray[np.int32]
    cell: NDArray[np.int32]
    energy_mev: Float64


class Pixels(NamedTuple):
    """Hits as pixels, ordered by event, view and pixel, each pixel once.

    Attributes:
        event: index of the event, shape (pixel,).
        view: 0 for x, 1 for y, shape (pixel,).
        place: plane * 80 + cell of the image, shape (pixel,).
        counts: value of the pixel, shape (pixel,).
        first_plane: plane of the detector that is column 0 of each event, shape (event,).
    """

    event: NDArray[np.int32]
    view: NDArray[np.int8]
    place: NDArray[np.int32]
    counts: NDArray[np.uint8]
    first_plane: NDArray[np.int32]


def distances_cm(readout: Readout, grid: Segmentation, vertex_cm: Float64) -> Float64:
    """Return how far the light of each view has to go, shape (event, 2): one distance an event and view.

    Cells of view x stand upright and are read out at their upper end, those of view y lie across and are read
    out at their end at positive x; an event is taken to be where its vertex is.

    Args:
        readout: the pigtail is used.
        grid: the detector.
        vertex_cm: shape (event, 3).
    """
    half = grid.half_width_cm
    return np.stack([half - vertex_cm[:, 1], half - vertex_cm[:, 0]], axis=1) + readout.pigtail_cm


@lru_cache(maxsize=4)
def cell_gains(dead_fraction: float, spread: float, shape: tuple[int, int], seed: int) -> Float64:
    """Return each cell's light over the usual for this seed, 0 for a dead one, shape (plane, cell).

    Args:
        dead_fraction: share of dead cells.
        spread: relative standard deviation of the others.
        shape: planes and cells of the detector.
        seed: of the whole sample.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2**32 - 1,)))
    dead = rng.random(shape) < dead_fraction
    gains = np.clip(rng.normal(1.0, spread, shape), 0.4, 1.6)
    return np.where(dead, 0.0, gains)


def record_hits(
    readout: Readout,
    nuisance: Nuisance,
    cells: Cells,
    distance_cm: Float64,
    gains: Float64,
    rng: np.random.Generator,
) -> Hits:
    """Return the cells that are recorded, with calibrated energies.

    Args:
        readout: fibre, threshold and visible fraction are used.
        nuisance: departures from them.
        cells: energy by cell.
        distance_cm: to the readout, shape (event, 2).
        gains: light of each cell over the usual, 0 for a dead one, shape (plane, cell).
        rng: random stream.
    """
    gain = gains[cells.plane, cells.cell]
    alive = gain > 0
    event, plane, cell = cells.event[alive], cells.plane[alive], cells.cell[alive]
    energy = read_out(
        readout.fibre,
        cells.light_mev[alive] * (readout.visible_fraction * nuisance.light_scale),
        distance_cm[event, plane % 2],
        readout.threshold_pe,
        rng,
        gain[alive],
        nuisance.attenuation_scale,
    )
    seen = energy > 0
    return Hits(event[seen], plane[seen], cell[seen], energy[seen] * nuisance.energy_scale)


def pixel_maps(
    readout: Readout, hits: Hits, distance_cm: Float64, n_events: int, rng: np.random.Generator
) -> Pixels:
    """Return the hits of events as pixels of their images, noise added.

    Column 0 is the first plane with a hit, for both views the same; the median hit of a view lies in cell 40.

    Args:
        readout: for the noise.
        hits: ordered by event.
        distance_cm: to the readout, shape (event, 2).
        n_events: number of events.
        rng: random stream.
    """
    first = first_planes(hits, n_events)
    kept = hits.plane >= first[hits.event]
    hits = Hits(hits.event[kept], hits.plane[kept], hits.cell[kept], hits.energy_mev[kept])
    group = hits.event * 2 + hits.plane % 2
    column = (hits.plane - first[hits.event]) // 2
    row = hits.cell - _medians(group, hits.cell, 2 * n_events)[group] + _MIDDLE
    inside = (column < N_PLANES) & (row >= 0) & (row < N_CELLS)
    group, column, row = group[inside], column[inside], row[inside]
    noise_group, noise_column, noise_row = _noise_places(readout, group, column, row, 2 * n_events, rng)
    noise_energy = _noise_energies(readout, distance_cm.ravel()[noise_group], rng)
    group = np.concatenate([group, noise_group])
    index = np.concatenate([column * N_CELLS + row, noise_column * N_CELLS + noise_row])
    energy = np.concatenate([hits.energy_mev[inside], noise_energy])
    key = group.astype(np.int64) * _N_PIXELS + index
    order = np.argsort(key, kind="stable")
    order = order[np.diff(key[order], prepend=-1) > 0]  # a hit hides noise in its pixel
    counts = np.minimum(np.ceil(energy[order] / COUNT_MEV), _LARGEST).astype(np.uint8)
    group = group[order]
    view = (group % 2).astype(np.int8)
    return Pixels((group // 2).astype(np.int32), view, index[order].astype(np.int32), counts, first)


def first_planes(hits: Hits, n_events: int) -> NDArray[np.int32]:
    """Return the first plane with a hit of each event, shape (event,).

    A few hits far before the rest do not belong to the event, as the experiment's slices have it: those
    before a gap of more than `_SLICE_GAP` planes that hold less than `_SLICE_SHARE` of the energy.

    Args:
        hits: ordered by event.
        n_events: number of events.
    """
    first = np.full(n_events, np.iinfo(np.int32).max, np.int32)
    if not len(hits.event):
        return first
    order = np.lexsort((hits.plane, hits.event))
    event, plane, energy = hits.event[order], hits.plane[order], hits.energy_mev[order]
    total = np.bincount(event, weights=energy, minlength=n_events)
    before = np.cumsum(energy) - energy
    starts = np.diff(event, prepend=-1) > 0
    before -= np.maximum.accumulate(np.where(starts, before, 0.0))
    gap = np.diff(plane, prepend=plane[0]) > _SLICE_GAP
    begins = starts | (gap & (before < _SLICE_SHARE * total[event]))
    first[event[begins]] = plane[begins]  # of several, the last one stays
    return first


def _medians(group: NDArray[np.int32], values: NDArray[np.int32], n_groups: int) -> NDArray[np.int32]:
    """Return the median of the values of each group, rounded up; 0 for a group without any."""
    order = np.lexsort((values, group))
    ordered = values[order]
    edges = np.searchsorted(group[order], np.arange(n_groups + 1))
    start, size = edges[:-1], np.diff(edges)
    result = np.zeros(n_groups, np.int32)
    some = size > 0
    low = ordered[start[some] + (size[some] - 1) // 2]
    high = ordered[start[some] + size[some] // 2]
    result[some] = -((-low - high) // 2)
    return result


def _noise_places(
    readout: Readout,
    group: NDArray[np.int32],
    column: NDArray[np.int32],
    row: NDArray[np.int32],
    n_groups: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Return group, column and row of noise hits: about the hits of their view, as a slice is."""
    last, low, high = np.zeros(n_groups, np.int32), np.full(n_groups, N_CELLS), np.zeros(n_groups, np.int32)
    np.maximum.at(last, group, column)
    np.minimum.at(low, group, row)
    np.maximum.at(high, group, row)
    owner = np.repeat(np.arange(n_groups, dtype=np.int32), rng.poisson(readout.noise_hits, n_groups))
    last, high = last + _NOISE_MARGIN[0], high + _NOISE_MARGIN[1]
    low = np.maximum(np.minimum(low, high) - _NOISE_MARGIN[1], 0)
    u, v = rng.random((2, len(owner)))
    columns = (u * (np.minimum(last, N_PLANES - 1)[owner] + 1)).astype(np.int32)
    rows = (low[owner] + v * (np.minimum(high, N_CELLS - 1)[owner] + 1 - low[owner])).astype(np.int32)
    return owner, columns, rows


def _noise_energies(readout: Readout, distance_cm: Float64, rng: np.random.Generator) -> Float64:
    """Return energies of noise hits at these distances: just above the lowest that is recorded."""
    fibre = readout.fibre
    least = readout.threshold_pe / (fibre.photo_electrons_per_mev * transmission(fibre, distance_cm))
    return least + readout.noise_mev * rng.standard_exponential(len(distance_cm))


def views_of(pixels: Pixels, chosen: NDArray[np.int64]) -> dict[str, Sparse]:
    """Return both views of some events as sparse matrices of shape (event, 8000).

    Args:
        pixels: of all events.
        chosen: indices of the events, ascending.
    """
    views = {}
    for number, name in enumerate(("x", "y")):
        mine = pixels.view == number
        event = pixels.event[mine]
        kept = np.isin(event, chosen)
        starts = np.searchsorted(event[kept], chosen)
        indptr = np.append(starts, kept.sum()).astype(np.int32)
        view = sparse.csr_array(
            (pixels.counts[mine][kept], pixels.place[mine][kept], indptr), shape=(len(chosen), _N_PIXELS)
        )
        view.has_canonical_format = True
        views[name] = view
    return views
