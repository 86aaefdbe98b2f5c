"""Pixel values to images: against a slow way, and what does not fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitlens.io.pixels import dense_images, sparse_images, to_sparse


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), n_hits=st.integers(0, 60), dims=st.sampled_from([(3, 4), (2, 3, 4)]))
def test_hits_become_the_images_a_loop_would_make(seed: int, n_hits: int, dims: tuple[int, ...]) -> None:
    rng = np.random.default_rng(seed)
    event = rng.integers(0, 5, n_hits)
    pixels = {f"axis{i}": rng.integers(0, n, n_hits) for i, n in enumerate(dims)}
    values = rng.integers(0, 4, n_hits)
    expected = np.zeros((5, *dims), np.uint8)
    for hit in range(n_hits):
        expected[(event[hit], *(index[hit] for index in pixels.values()))] += values[hit]
    images, faults = sparse_images(event, pixels, values, 5, dims, "uint8")
    assert not faults
    np.testing.assert_array_equal(images.toarray().reshape(expected.shape), expected)
    assert images.dtype == np.uint8
    assert images.indices.dtype == np.int32
    assert images.has_sorted_indices
    assert (images.data != 0).all()


def test_wrong_events_are_blank_and_the_others_whole() -> None:
    event = np.array([0, 0, 1, 2, 2])
    pixels = {"row": np.array([0, 5, 1, 1, 1]), "col": np.array([0, 0, 1, 1, 1])}
    images, faults = sparse_images(event, pixels, np.array([1, 1, 7, 200, 100]), 3, (2, 2), "uint8")
    assert images.toarray().tolist() == [[0] * 4, [0, 0, 0, 7], [0] * 4]
    assert [(fault.event, fault.about) for fault in faults] == [(0, "shape"), (2, "dtype")]
    assert "row 5" in faults[0].problem
    assert "300" in faults[1].problem


@pytest.mark.parametrize(
    ("value", "dtype", "said"),
    [
        (256, "uint8", "uint16 would hold it"),
        (70_000, "uint8", "uint32 would hold it"),
        (2**40, "uint16", "float32 would hold it"),
        (-3, "uint8", "float32 would hold it"),
        (1.5, "uint16", "float32 would hold it"),
        (np.inf, "float32", "is no number"),
    ],
)
def test_a_value_that_does_not_fit_names_the_type_that_would(value: float, dtype: str, said: str) -> None:
    images, faults = dense_images(np.array([[1, 2, 3, 4], [1, 2, 3, value]]), (2, 2), dtype)
    assert said in faults[0].problem
    assert faults[0].event == 1
    assert images[0].ravel().tolist() == [1, 2, 3, 4]
    assert not images[1].any()


def test_images_to_sparse_and_back() -> None:
    rng = np.random.default_rng(1)
    images = rng.poisson(0.2, (6, 3, 4)).astype(np.uint16)
    images[2] = 0
    matrix = to_sparse(images)
    np.testing.assert_array_equal(matrix.toarray().reshape(images.shape), images)
    assert matrix.indices.dtype == np.int32
    assert to_sparse(images[:0]).shape == (0, 12)
