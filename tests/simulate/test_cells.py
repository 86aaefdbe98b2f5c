from __future__ import annotations

import numpy as np
import pytest

from hitlens.simulate.cells import Cells, Segmentation, collect
from hitlens.simulate.deposits import Deposits

GRID = Segmentation(plane_cm=6.0, cell_cm=4.0, n_planes=10, n_cells=20)


def deposits(*spots: tuple[float, float, float, float]) -> Deposits:
    x, y, z, light = np.array(spots, np.float32).reshape(-1, 4).T
    return Deposits(np.zeros(len(x), np.int32), x, y, z, light)


def run(
    spots: Deposits,
    offsets: list[int] | None = None,
    grid: Segmentation = GRID,
    corner: tuple[int, int, int] = (0, 0, 0),
    window: tuple[int, int] = (10, 20),
    crosstalk: float = 0.0,
) -> Cells:
    edges = np.array(offsets if offsets is not None else [0, len(spots.x_cm)], np.int64)
    return collect(spots, edges, np.tile(corner, (len(edges) - 1, 1)), window, grid, crosstalk)


def test_even_planes_measure_x_and_odd_planes_y() -> None:
    cells = run(deposits((5.0, -9.0, 1.0, 2.0), (5.0, -9.0, 7.0, 3.0)))
    assert cells.plane.tolist() == [0, 1]
    assert cells.cell.tolist() == [11, 7]  # 5 / 4 + 10, -9 / 4 + 10
    assert cells.light_mev.tolist() == [2.0, 3.0]


def test_energies_of_a_cell_add_up_by_event() -> None:
    cells = run(deposits((1, 1, 1, 2), (2, 1, 1, 3), (1, 1, 1, 5)), offsets=[0, 2, 2, 3])
    assert cells.event.tolist() == [0, 2]
    assert cells.light_mev.tolist() == [5.0, 5.0]


def test_outside_of_window_and_detector() -> None:
    spots = deposits((1, 1, -1, 1), (1, 1, 61, 1), (50, 1, 1, 1), (1, -41, 7, 1), (1, 1, 1, 1))
    assert run(spots).light_mev.tolist() == [1.0]
    assert len(run(spots, corner=(1, 0, 0)).event) == 0
    assert len(run(spots, corner=(0, 11, 0)).event) == 0
    assert len(run(spots, window=(10, 10)).event) == 0


def test_the_window_does_not_change_names_of_cells() -> None:
    spots = deposits((5.0, -9.0, 13.0, 2.0), (5.0, -9.0, 19.0, 2.0))
    whole, part = run(spots), run(spots, corner=(2, 9, 5), window=(4, 5))
    assert part.plane.tolist() == whole.plane.tolist() == [2, 3]
    assert part.cell.tolist() == whole.cell.tolist()


@pytest.mark.parametrize(("x", "seen"), [(0.3, False), (0.7, True), (3.3, True), (3.7, False)])
def test_walls_between_cells_are_dark(x: float, seen: bool) -> None:
    grid = GRID.model_copy(update={"wall_cm": 1.0})
    assert bool(len(run(deposits((x, 0, 3, 1)), grid=grid).event)) == seen


@pytest.mark.parametrize(("z", "seen"), [(0.3, False), (0.7, True), (5.3, True), (5.7, False)])
def test_gaps_between_planes_are_dark(z: float, seen: bool) -> None:
    grid = GRID.model_copy(update={"gap_cm": 1.0})
    assert bool(len(run(deposits((2, 0, z, 1)), grid=grid).event)) == seen


def test_crosstalk_shares_and_keeps_the_light() -> None:
    cells = run(deposits((2.0, 0.0, 1.0, 100.0)), crosstalk=0.02)
    order = np.argsort(cells.cell)
    assert cells.cell[order].tolist() == [9, 10, 11]
    np.testing.assert_allclose(cells.light_mev[order], [1.0, 98.0, 1.0])


def test_crosstalk_does_not_leave_the_detector() -> None:
    cells = run(deposits((-39.0, 0.0, 1.0, 100.0)), corner=(0, -5, 0), crosstalk=0.02)
    assert sorted(cells.cell.tolist()) == [0, 1]
    assert sorted(run(deposits((39.0, 0.0, 1.0, 9.0)), crosstalk=0.02).cell.tolist()) == [18, 19]


def test_many_cells_make_room() -> None:
    rng = np.random.default_rng(1)
    n = 60_000
    spots = Deposits(
        np.zeros(n, np.int32),
        rng.uniform(-40, 40, n).astype(np.float32),
        rng.uniform(-40, 40, n).astype(np.float32),
        rng.uniform(0, 60, n).astype(np.float32),
        np.ones(n, np.float32),
    )
    cells = run(spots, offsets=list(range(0, n + 1, 600)))
    assert len(cells.event) > 10_000
    assert cells.light_mev.sum() == n
    np.testing.assert_array_equal(np.bincount(cells.event, weights=cells.light_mev), 600)
