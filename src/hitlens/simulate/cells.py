"""Deposits into the cells of a segmented detector: planes one behind the other, cells along x and y."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

from hitlens.simulate.compile import compiled
from hitlens.simulate.deposits import Deposits

Float64 = NDArray[np.float64]


class Segmentation(BaseModel):
    """Planes across z; the cells of even planes lie side by side along x, those of odd planes along y.

    Attributes:
        plane_cm: thickness of a plane.
        cell_cm: width of a cell.
        wall_cm: width of the wall between two cells, in which nothing makes light.
        gap_cm: the same between two planes.
        n_planes: planes of the detector; the first starts at z = 0.
        n_cells: cells of a plane; the middle is at 0.

    Examples:
        >>> grid = Segmentation(plane_cm=6.66, cell_cm=3.97, n_planes=896, n_cells=384)
        >>> grid.half_width_cm, round(grid.length_cm)
        (762.24, 5967)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    plane_cm: PositiveFloat
    cell_cm: PositiveFloat
    wall_cm: float = Field(default=0.0, ge=0)
    gap_cm: float = Field(default=0.0, ge=0)
    n_planes: PositiveInt
    n_cells: PositiveInt

    @property
    def half_width_cm(self) -> float:
        """Half the width of the detector along x and y."""
        return self.n_cells * self.cell_cm / 2

    @property
    def length_cm(self) -> float:
        """Length of the detector along z."""
        return self.n_planes * self.plane_cm


class Cells(NamedTuple):
    """Energy by cell, ordered by event.

    Attributes:
        event: index of the event, shape (cell,).
        plane: plane of the detector, shape (cell,).
        cell: cell of the plane, shape (cell,).
        light_mev: energy that made light in it, shape (cell,).
    """

    event: NDArray[np.int32]
    plane: NDArray[np.int32]
    cell: NDArray[np.int32]
    light_mev: Float64


class _Window(NamedTuple):
    """The part of the detector about an event that is looked at, and the geometry."""

    plane_cm: float
    cell_cm: float
    wall_cm: float
    gap_cm: float
    n_planes: int
    n_cells: int
    planes: int
    cells: int


def collect(
    deposits: Deposits,
    offsets: NDArray[np.int64],
    corner: NDArray[np.int64],
    window: tuple[int, int],
    grid: Segmentation,
    crosstalk: float = 0.0,
) -> Cells:
    """Return the energy in each cell of each event; what lies outside its window is left out.

    Args:
        deposits: ordered by event.
        offsets: deposits of event i are those from offsets[i] to offsets[i + 1], shape (event + 1,).
        corner: first plane, first cell along x and along y of an event's window, shape (event, 3).
        window: planes and cells of a window.
        grid: the detector.
        crosstalk: share of a cell's light seen by its two neighbours in the plane together.
    """
    numbers = _Window(
        grid.plane_cm,
        grid.cell_cm,
        grid.wall_cm,
        grid.gap_cm,
        grid.n_planes,
        grid.n_cells,
        window[0],
        window[1],
    )
    place, light, counts = _collect(
        deposits.x_cm, deposits.y_cm, deposits.z_cm, deposits.light_mev, offsets, corner, numbers, crosstalk
    )
    event = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    plane, cell = np.divmod(place, np.int32(grid.n_cells))
    return Cells(event, plane, cell, light)


@compiled
def _near_edge(offset: float, length: float, wall: float) -> bool:
    """Return whether a place is in the wall, half of which is on either side of a stretch."""
    return bool(min(offset, length - offset) < 0.5 * wall)


@compiled
def _cell_of(x: float, y: float, z: float, corner: NDArray[np.int64], window: _Window) -> int:
    """Return the place of a deposit in the window, counted plane by plane; -1 outside and in walls."""
    plane = int(np.floor(z / window.plane_cm))
    in_window = plane - corner[0]
    if in_window < 0 or in_window >= window.planes or plane < 0 or plane >= window.n_planes:
        return -1
    along = (x if plane % 2 == 0 else y) / window.cell_cm + 0.5 * window.n_cells
    cell = int(np.floor(along))
    across = cell - corner[1 + plane % 2]
    if across < 0 or across >= window.cells or cell < 0 or cell >= window.n_cells:
        return -1
    if _near_edge((along - cell) * window.cell_cm, window.cell_cm, window.wall_cm):
        return -1
    if _near_edge(z - plane * window.plane_cm, window.plane_cm, window.gap_cm):
        return -1
    return int(in_window * window.cells + across)


@compiled
def _collect(
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    z: NDArray[np.float32],
    light: NDArray[np.float32],
    offsets: NDArray[np.int64],
    corner: NDArray[np.int64],
    window: _Window,
    crosstalk: float,
) -> tuple[NDArray[np.int32], Float64, NDArray[np.int64]]:
    """Sum deposits on a small grid, an event at a time; return cell, energy and number of cells by event."""
    n_events = len(offsets) - 1
    grid = np.zeros(window.planes * window.cells)
    touched = np.empty(len(grid), np.int32)
    counts = np.zeros(n_events, np.int64)
    place, energy = np.empty(4096, np.int32), np.empty(4096)
    n_all = 0
    for event in range(n_events):
        n = 0
        for k in range(offsets[event], offsets[event + 1]):
            at = _cell_of(x[k], y[k], z[k], corner[event], window)
            if at >= 0:
                if grid[at] == 0.0:
                    touched[n] = at
                    n += 1
                grid[at] += light[k]
        n = _share_light(grid, touched, n, window.cells, crosstalk)
        if n_all + n > len(place):
            place, energy = _longer(place, energy, n_all, n)
        before = n_all
        for at in touched[:n]:
            plane = corner[event, 0] + at // window.cells
            cell = corner[event, 1 + plane % 2] + at % window.cells
            if 0 <= cell < window.n_cells:  # cross-talk does not leave the detector
                place[n_all] = plane * window.n_cells + cell
                energy[n_all] = grid[at]
                n_all += 1
            grid[at] = 0.0
        counts[event] = n_all - before
    return place[:n_all], energy[:n_all], counts


@compiled
def _share_light(grid: Float64, touched: NDArray[np.int32], n: int, n_cells: int, crosstalk: float) -> int:
    """Give a share of each cell's light to its neighbours in the plane; return the number of cells lit."""
    if crosstalk <= 0.0:
        return n
    own = np.empty(n)
    for k in range(n):
        own[k] = grid[touched[k]]
    lit = n
    for k in range(n):
        at, given = touched[k], 0.5 * crosstalk * own[k]
        for side in (-1, 1):
            if 0 <= at % n_cells + side < n_cells:
                if grid[at + side] == 0.0:
                    touched[lit] = at + side
                    lit += 1
                grid[at + side] += given
        grid[at] -= 2 * given
    return lit


@compiled
def _longer(
    place: NDArray[np.int32], energy: Float64, n_used: int, n_more: int
) -> tuple[NDArray[np.int32], Float64]:
    """Return copies with room for more."""
    length = max(2 * len(place), n_used + n_more)
    new_place, new_energy = np.empty(length, np.int32), np.empty(length)
    new_place[:n_used], new_energy[:n_used] = place[:n_used], energy[:n_used]
    return new_place, new_energy
