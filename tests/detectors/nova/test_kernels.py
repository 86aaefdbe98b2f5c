"""Hits found by words of eight pixels are those that a look at every pixel finds."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hitlens.detectors.nova.kernels import find_hits


@given(
    n_events=st.integers(1, 4),
    n_words=st.sampled_from([4, 8, 20]),
    density=st.sampled_from([0.0, 0.01, 0.3, 1.0]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_every_hit_of_each_view_once_and_in_order(
    n_events: int, n_words: int, density: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    n_pixels = 8 * n_words
    pixels = rng.integers(1, 256, (n_events, 2 * n_pixels)).astype(np.uint8)
    pixels[rng.random(pixels.shape) >= density] = 0
    for view in (0, 1):
        data, indices = np.empty(n_events * n_pixels, np.uint8), np.empty(n_events * n_pixels, np.int32)
        n_hits = np.full(n_events, -1, np.int32)
        n = find_hits(pixels.view(np.uint64), pixels, view * n_words, n_hits, data, indices)
        images = pixels[:, view * n_pixels : (view + 1) * n_pixels]
        events, places = np.nonzero(images)
        assert n == len(events)
        np.testing.assert_array_equal(indices[:n], places)
        np.testing.assert_array_equal(data[:n], images[events, places])
        np.testing.assert_array_equal(n_hits, np.count_nonzero(images, axis=1))
