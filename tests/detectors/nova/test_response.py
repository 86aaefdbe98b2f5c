from __future__ import annotations

import numpy as np
import pytest

from hitlens.detectors.nova.propagation import FAR_DETECTOR
from hitlens.detectors.nova.response import (
    Hits,
    Nuisance,
    Pixels,
    Readout,
    cell_gains,
    distances_cm,
    first_planes,
    pixel_maps,
    record_hits,
    views_of,
)
from hitlens.simulate.cells import Cells

QUIET = Readout(noise_hits=0.0)


def hits(*rows: tuple[int, int, int, float]) -> Hits:
    event, plane, cell, energy = np.array(rows, dtype=np.float64).reshape(-1, 4).T
    return Hits(event.astype(np.int32), plane.astype(np.int32), cell.astype(np.int32), energy)


def maps(found: Hits, readout: Readout = QUIET, n_events: int = 1, seed: int = 1) -> Pixels:
    distance = np.full((n_events, 2), 700.0)
    return pixel_maps(readout, found, distance, n_events, np.random.default_rng(seed))


def image(pixels: Pixels, view: int, event: int = 0) -> dict[tuple[int, int], int]:
    mine = (pixels.view == view) & (pixels.event == event)
    return {
        (int(place) // 80, int(place) % 80): int(count)
        for place, count in zip(pixels.place[mine], pixels.counts[mine], strict=True)
    }


def test_counts_are_rounded_up_and_saturate() -> None:
    energies = (0.5, 1.085, 1.086, 270.0, 276.7, 5000.0)
    pixels = maps(hits(*((0, 2 * k, 200, energy) for k, energy in enumerate(energies))))
    assert [image(pixels, 0)[k, 40] for k in range(6)] == [1, 1, 2, 249, 255, 255]


def test_column_0_is_the_first_plane_of_both_views() -> None:
    pixels = maps(hits((0, 101, 50, 9), (0, 102, 60, 9), (0, 104, 60, 9), (0, 301, 50, 9), (0, 302, 60, 9)))
    assert pixels.first_plane.tolist() == [101]
    assert set(image(pixels, 1)) == {(0, 40)}  # 301 is 100 columns behind: not in the image
    assert set(image(pixels, 0)) == {(0, 40), (1, 40)}


def test_the_median_hit_of_a_view_is_in_the_middle() -> None:
    found = hits(*((0, 2 * k, cell, 9) for k, cell in enumerate((100, 101, 102, 150, 190))))
    rows = sorted(row for _, row in image(maps(found), 0))
    assert rows == [38, 39, 40]  # 150 - 102 + 40 is outside
    even = maps(hits((0, 0, 100, 9), (0, 2, 103, 9)))
    assert sorted(row for _, row in image(even, 0)) == [38, 41]


def test_single_hits_far_before_an_event_are_cut() -> None:
    body = [(0, 100 + k, 200, 10.0) for k in range(20)]
    assert first_planes(hits((0, 80, 200, 10.0), *body), 1).tolist() == [80 + 20]
    assert first_planes(hits((0, 95, 200, 10.0), *body), 1).tolist() == [95]  # near enough
    strong = [(0, 60 + k, 200, 10.0) for k in range(10)]
    assert first_planes(hits(*strong, *body), 1).tolist() == [60]  # too much to be a stray hit
    pixels = maps(hits((0, 80, 200, 10.0), *body))
    assert len(pixels.place) == 20


def test_first_planes_by_event() -> None:
    found = hits((0, 50, 1, 5), (0, 51, 1, 5), (2, 7, 1, 5), (2, 5, 1, 5))
    first = first_planes(found, 3)
    assert first[[0, 2]].tolist() == [50, 5]
    assert first_planes(hits(), 2).tolist() == [np.iinfo(np.int32).max] * 2


def test_noise_hits() -> None:
    found = hits(*((event, 100 + k, 200, 10.0) for event in range(2000) for k in range(40)))
    pixels = maps(found, Readout(noise_hits=1.5), n_events=2000)
    extra = len(pixels.place) - len(found.event)
    assert extra / 4000 == pytest.approx(1.5, rel=0.05)
    assert (pixels.place // 80).max() <= 19 + 4
    rows = pixels.place % 80
    assert rows.min() >= 40 - 12
    assert rows.max() <= 40 + 12


def test_a_hit_hides_noise_in_its_pixel() -> None:
    found = hits(*((0, 2 * k, 200 + j, 100.0) for k in range(100) for j in range(-40, 40)))
    pixels = maps(found, Readout(noise_hits=500.0))
    mine = pixels.view == 0
    assert (pixels.counts[mine] == 93).all()
    assert mine.sum() == 8000
    keys = (pixels.event * 2 + pixels.view) * 8000 + pixels.place
    assert (np.diff(keys) > 0).all()


def test_distances_to_the_readout() -> None:
    half = FAR_DETECTOR.half_width_cm
    distance = distances_cm(Readout(pigtail_cm=30), FAR_DETECTOR, np.array([[half, 0, 0], [0, -half, 0]]))
    np.testing.assert_allclose(distance, [[half + 30, 30], [2 * half + 30, half + 30]])


def test_gains_and_dead_cells() -> None:
    gains = cell_gains(0.02, 0.15, (896, 384), 7)
    assert np.mean(gains == 0) == pytest.approx(0.02, abs=0.001)
    alive = gains[gains > 0]
    assert alive.mean() == pytest.approx(1, abs=0.002)
    assert alive.std() == pytest.approx(0.15, abs=0.005)
    assert not np.array_equal(gains, cell_gains(0.02, 0.15, (896, 384), 8))


def record(
    energy: float, gains: float = 1.0, readout: Readout = QUIET, nuisance: Nuisance | None = None
) -> Hits:
    n = 2000
    zero = np.zeros(n, np.int32)
    cells = Cells(zero, zero, zero, np.full(n, energy))
    distance, gain = np.array([[500.0, 500.0]]), np.full((1, 1), gains)
    return record_hits(readout, nuisance or Nuisance(), cells, distance, gain, np.random.default_rng(1))


def test_calibrated_energy() -> None:
    assert record(10.0).energy_mev.mean() == pytest.approx(10.0 * QUIET.visible_fraction, rel=0.01)
    assert record(10.0, gains=1.4).energy_mev.mean() == pytest.approx(8.9, rel=0.01)
    assert len(record(10.0, gains=0.0).event) == 0


@pytest.mark.parametrize(
    ("nuisance", "factor"),
    [({"energy_scale": 1.1}, 1.1), ({"light_scale": 0.8}, 0.8), ({"attenuation_scale": 1.3}, None)],
)
def test_nuisance_parameters_are_not_calibrated(nuisance: dict[str, float], factor: float | None) -> None:
    ratio = record(40.0, nuisance=Nuisance(**nuisance)).energy_mev.mean() / record(40.0).energy_mev.mean()
    if factor is None:
        assert 0.75 < ratio < 0.9
    else:
        assert ratio == pytest.approx(factor, rel=0.01)


def test_threshold() -> None:
    low, high = (len(record(2.0, readout=Readout(threshold_pe=pe)).event) for pe in (10.0, 40.0))
    assert low > 1600
    assert high < 100


def test_views_are_sparse_and_sorted() -> None:
    found = hits((0, 10, 5, 9), (0, 11, 5, 9), (2, 10, 9, 9), (2, 10, 8, 9), (2, 14, 8, 300), (3, 11, 8, 9))
    views = views_of(maps(found, n_events=4), np.array([0, 2, 3]))
    assert views["x"].shape == (3, 8000)
    assert views["x"].dtype == np.uint8
    assert views["x"].indices.dtype == np.int32
    assert views["x"].indptr.tolist() == [0, 1, 4, 4]
    assert views["y"].indptr.tolist() == [0, 1, 1, 2]
    assert views["x"][[1]].toarray().reshape(100, 80)[2].max() == 255
    for view in views.values():
        view.check_format(full_check=True)
        assert view.has_sorted_indices
        assert (view.data > 0).all()
