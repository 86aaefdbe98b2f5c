"""The compiled loop over hits behind `hitlens.datasets.summaries`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hitlens.simulate.compile import compiled

#: Columns before those of the axes, and columns of each axis; as `hitlens.datasets.summaries` names them.
N_PLAIN, N_PER_AXIS = 13, 5

#: Hits up to which a row is thin: a muon leaves one, or two where it passes from a cell to the next.
_THIN = 2


@compiled
def summarise_hits(
    pixels: NDArray[np.int64],
    values: NDArray[np.float64],
    ends: NDArray[np.int64],
    shape: NDArray[np.int64],
    found: NDArray[np.float64],
) -> None:
    """Fill the summary of each event.

    Args:
        pixels: flat pixel number of each hit, the events one after the other.
        values: charge of each hit, not zero.
        ends: hits of event i are those from ``ends[i]`` to ``ends[i + 1]``, shape (event + 1,).
        shape: pixels along each axis.
        found: receives the numbers, shape (event, column); where a view has no hit all but counts keep NaN.
    """
    row_charge = np.zeros(shape[0])
    row_hits = np.zeros(shape[0], dtype=np.int64)
    for event in range(len(ends) - 1):
        begin, end = ends[event], ends[event + 1]
        out = found[event]
        if begin == end:
            for column in (0, 1, 4, 6, 8):
                out[column] = 0.0
            continue
        charge, largest = _fill_rows(pixels[begin:end], values[begin:end], shape, row_charge, row_hits)
        _fill_axes(pixels[begin:end], values[begin:end], shape, charge, out[N_PLAIN:])
        first, last = int(out[N_PLAIN]), int(out[N_PLAIN + 1])
        out[0], out[1] = end - begin, charge
        out[2], out[3] = charge / (end - begin), largest
        _fill_tracks(row_charge, row_hits, first, last, out)
        out[5] = (end - begin) / out[4]
        early, late = _outer_thirds(row_charge[first : last + 1])
        out[9], out[10] = early / charge, late / charge
        out[11], out[12] = row_charge[first : last + 1].max() / charge, largest / charge
        row_charge[first : last + 1] = 0.0
        row_hits[first : last + 1] = 0


@compiled
def _fill_rows(
    pixels: NDArray[np.int64],
    values: NDArray[np.float64],
    shape: NDArray[np.int64],
    row_charge: NDArray[np.float64],
    row_hits: NDArray[np.int64],
) -> tuple[float, float]:
    """Add charge and hits by row; return the sum and the largest of the charges."""
    stride = 1
    for axis in range(1, len(shape)):
        stride *= shape[axis]
    charge, largest = 0.0, values[0]
    for i in range(len(pixels)):
        row = pixels[i] // stride
        row_charge[row] += values[i]
        row_hits[row] += 1
        charge += values[i]
        largest = max(largest, values[i])
    return charge, largest


@compiled
def _fill_axes(
    pixels: NDArray[np.int64],
    values: NDArray[np.float64],
    shape: NDArray[np.int64],
    charge: float,
    out: NDArray[np.float64],
) -> None:
    """Fill first, last, extent, mean and rms along each axis."""
    stride = 1
    for axis in range(len(shape) - 1, -1, -1):
        first, last = shape[axis], np.int64(-1)
        mean, square = 0.0, 0.0
        for i in range(len(pixels)):
            at = (pixels[i] // stride) % shape[axis]
            first, last = min(first, at), max(last, at)
            mean += at * values[i]
        mean /= charge
        for i in range(len(pixels)):
            at = (pixels[i] // stride) % shape[axis]
            square += (at - mean) ** 2 * values[i]
        base = N_PER_AXIS * axis
        out[base], out[base + 1], out[base + 2] = first, last, last - first + 1
        out[base + 3], out[base + 4] = mean, np.sqrt(max(square / charge, 0.0))
        stride *= shape[axis]


@compiled
def _fill_tracks(
    row_charge: NDArray[np.float64],
    row_hits: NDArray[np.int64],
    first: int,
    last: int,
    out: NDArray[np.float64],
) -> None:
    """Fill occupied rows and the longest runs of rows, of any and of thin ones."""
    occupied = 0
    best, best_charge, best_thin = 0, 0.0, 0
    start, previous, run_charge = -2, -3, 0.0
    thin_start, thin_previous = -2, -3
    for row in range(first, last + 1):
        if row_hits[row] == 0:
            continue
        occupied += 1
        if row - previous > 2:
            start, run_charge = row, 0.0
        run_charge += row_charge[row]
        previous = row
        if row - start + 1 > best:
            best, best_charge = row - start + 1, run_charge
        if row_hits[row] <= _THIN:
            if row - thin_previous > 2:
                thin_start = row
            thin_previous = row
            best_thin = max(best_thin, row - thin_start + 1)
    out[4], out[6], out[7], out[8] = occupied, best, best_charge / best, best_thin


@compiled
def _outer_thirds(row_charge: NDArray[np.float64]) -> tuple[float, float]:
    """Return the charge in the first and in the last third of the rows; a row's middle decides."""
    third = len(row_charge) / 3.0
    early, late = 0.0, 0.0
    for row in range(len(row_charge)):
        if row + 0.5 < third:
            early += row_charge[row]
        elif row + 0.5 > 2 * third:
            late += row_charge[row]
    return early, late
