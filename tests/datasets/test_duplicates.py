"""Copies are found whatever the storage, and only copies."""

from __future__ import annotations

import numpy as np
import polars as pl
from scipy import sparse

from hitlens.datasets.duplicates import CopyCount, count_copies, find_duplicates, image_fingerprints
from hitlens.events import Events


def events_with(images: np.ndarray, *, as_sparse: bool = False) -> Events:
    stored = sparse.csr_array(images.reshape(len(images), -1)) if as_sparse else images
    return Events({"anode": stored}, pl.DataFrame({"event": range(len(images))}), "demo")


def images() -> np.ndarray:
    found = np.random.default_rng(0).poisson(0.4, (500, 8, 8)).astype(np.uint8)
    found[300] = found[20]
    found[301] = found[20]
    found[400] = found[7]
    found[450:453] = 0
    return found


def test_groups_are_complete_and_ordered() -> None:
    assert find_duplicates(events_with(images())) == [(7, 400), (20, 300, 301)]


def test_sparse_and_dense_agree() -> None:
    dense, thin = events_with(images()), events_with(images(), as_sparse=True)
    assert np.array_equal(image_fingerprints(dense), image_fingerprints(thin))
    assert find_duplicates(dense) == find_duplicates(thin)


def test_moved_pixels_change_the_fingerprint() -> None:
    one = images()
    assert (image_fingerprints(events_with(one)) != image_fingerprints(events_with(one[:, ::-1])))[
        :290
    ].mean() > 0.99


def test_no_events_have_no_copies() -> None:
    assert find_duplicates(events_with(np.zeros((0, 2, 2)))) == []


def test_a_hit_in_another_view_is_another_event() -> None:
    base = images()[:2]
    base[1] = base[0]
    other = base.copy()
    other[1, 0, 0] += 1
    truth = pl.DataFrame({"event": [0, 1]})
    assert find_duplicates(Events({"x": base, "y": other}, truth, "demo")) == []


def test_copies_are_counted_by_what_the_truth_says_of_them() -> None:
    labels = np.array([[0, 1.5], [0, 1.5], [1, np.nan], [1, np.nan], [1, 2.0], [1, 2.5], [np.nan, 2.5]])
    groups = [(0, 1), (2, 3), (4, 5, 6)]
    assert count_copies(groups, labels) == CopyCount(3, 7, 3)
    assert count_copies(groups[:2], labels) == CopyCount(2, 4, 0)
    assert count_copies([], labels) == CopyCount(0, 0, 0)
