"""Dead and hot pixels: found where they are, not claimed where chance explains them."""

from __future__ import annotations

import numpy as np
import pytest

from hitlens.datasets.pixel_health import find_dead_pixels, find_hot_pixels, symmetric_partners
from hitlens.detectors import get_detector

CEBR = get_detector("cebr")
PARTNERS = symmetric_partners(CEBR.views[0], CEBR.symmetries)
NOBODY = PARTNERS[:0]


def smooth_image():
    """Brighter in the middle, as the light of CeBr."""
    ramp = 0.4 + np.minimum(np.arange(16), 15 - np.arange(16)) / 10
    return 100 * np.outer(ramp, ramp)


def places(pixels):
    return [pixel.index for pixel in pixels]


def test_partners_are_permutations_of_equal_orbits():
    assert PARTNERS.shape == (7, 256)
    assert all(sorted(row) == list(range(256)) for row in PARTNERS.tolist())
    assert set(PARTNERS[:, 0].tolist()) == {0, 15, 240, 255}


@pytest.mark.parametrize("partners", [PARTNERS, NOBODY], ids=["dihedral", "no symmetry"])
def test_dead_rows_and_pixel_are_found(partners):
    hits = np.full((16, 16), 100)
    hits[[0, 15]] = 0
    hits[3, 13] = 0
    dead = find_dead_pixels(hits, 100, hits * 1.0, partners)
    expected = [(0, i) for i in range(16)] + [(3, 13)] + [(15, i) for i in range(16)]
    assert places(dead) == expected
    assert all(pixel.mean == 0 and pixel.expected == 100 for pixel in dead)


def test_rarely_hit_pixels_are_not_called_dead():
    hits = np.random.default_rng(1).poisson(3.0, (16, 16))
    hits[5, 5] = 0
    assert find_dead_pixels(hits, 1000, hits / 1000, PARTNERS) == ()
    hits = hits + 30
    hits[5, 5] = 0
    assert places(find_dead_pixels(hits, 1000, hits / 1000, PARTNERS)) == [(5, 5)]


def test_a_smooth_image_has_no_hot_pixel():
    means = smooth_image()
    live = np.ones((16, 16), dtype=bool)
    assert find_hot_pixels(means, np.full((16, 16), 0.1), live, PARTNERS) == ()


@pytest.mark.parametrize("where", [(0, 0), (0, 7), (9, 4), (15, 15)])
def test_a_hot_pixel_is_found_wherever_it_is(where):
    means = smooth_image()
    means[where] *= 4
    live = np.ones((16, 16), dtype=bool)
    hot = find_hot_pixels(means, np.full((16, 16), 0.1), live, PARTNERS)
    assert places(hot) == [where]
    assert hot[0].mean > 1.5 * hot[0].expected


def test_few_events_have_no_hot_pixels():
    means = smooth_image()
    means[9, 4] *= 4
    live = np.ones((16, 16), dtype=bool)
    assert find_hot_pixels(means, means, live, PARTNERS) == ()


def test_gains_that_differ_everywhere_are_not_hot():
    means = smooth_image() * np.random.default_rng(3).lognormal(0, 0.5, (16, 16))
    live = np.ones((16, 16), dtype=bool)
    assert len(find_hot_pixels(means, np.full((16, 16), 0.1), live, PARTNERS)) <= 2


def test_nothing_hit_at_all():
    nothing = np.zeros((16, 16))
    assert find_hot_pixels(nothing, nothing, nothing > 0, PARTNERS) == ()
    assert find_dead_pixels(nothing.astype(int), 10, nothing, PARTNERS) == ()


def test_a_ridge_of_tracks_is_not_hot_but_a_pixel_on_it_may_be() -> None:
    means = np.full((30, 20), 1.0)
    means[:, 10] = 4.0
    means[12, 10] = 40.0
    arguments = (np.full_like(means, 1e-3), means > 0, np.empty((0, means.size), dtype=np.int64))
    assert len(find_hot_pixels(means, *arguments)) > 20
    assert [pixel.index for pixel in find_hot_pixels(means, *arguments, ridges=True)] == [(12, 10)]


def test_the_edge_of_what_is_lit_is_not_dead() -> None:
    n_hits = np.zeros((40, 40), dtype=np.int64)
    n_hits[:, 10:20] = 500
    n_hits[20, 15] = 0
    nobody = np.empty((0, n_hits.size), dtype=np.int64)
    assert [p.index for p in find_dead_pixels(n_hits, 1000, n_hits / 100, nobody)] == [(20, 15)]
