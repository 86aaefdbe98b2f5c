"""Pixel values to images: against a slow way, and what does not fit."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from hitlens.errors import FileFormatError
from hitlens.events import Events
from hitlens.io.pixels import dense_images, does_not_fit, sparse_images, to_sparse, without_bad_pixels


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


@pytest.mark.parametrize(
    ("value", "given", "dtype", "said"),
    [
        (np.nan, "float32", "float32", "nan is no number"),
        (-np.inf, "float32", "float32", "-inf is no number"),
        (np.inf, "float16", "uint16", "inf is no number"),
        (np.inf, "float16", "uint32", "inf is no number"),
        (65504, "float16", "uint8", "uint16 would hold it"),
        (1e-60, "float64", "float32", "too small for float32"),
        (-3e-40, "float64", "float32", "too small for float32"),
        (1e300, "float64", "float32", "is beyond what float32 holds"),
        (-1e39, "float64", "float32", "is beyond what float32 holds"),
        (2**24 + 1, "int64", "float32", "would be rounded in float32; uint32 would hold it"),
        (2**24 + 3, "uint32", "float32", "would be rounded in float32"),
        (-(2**25) - 1, "int32", "float32", "no type of a view holds it"),
        (2**63 - 1, "int64", "float32", "would be rounded"),
        (2**64 - 1, "uint64", "float32", "would be rounded"),
        (2**63 + 5, "uint64", "uint32", "does not fit uint32"),
        (-1, "int8", "uint8", "float32 would hold it"),
    ],
)
@pytest.mark.parametrize("as_hits", [False, True])
def test_every_cast_that_changes_a_value_names_event_and_pixel(
    value: float, given: str, dtype: str, said: str, as_hits: bool
) -> None:
    pixels = np.ones((3, 2, 2), dtype=given)
    pixels[1] = 0
    pixels[1, 1, 0] = value
    if as_hits:
        event, row, col = np.indices(pixels.shape).reshape(3, -1)
        images, faults = sparse_images(event, {"row": row, "col": col}, pixels.ravel(), 3, (2, 2), dtype)
        kept = images.toarray().reshape(3, 2, 2)
    else:
        kept, faults = dense_images(pixels, (2, 2), dtype)
    assert [(fault.event, fault.pixel) for fault in faults] == [(1, (1, 0))]
    assert said in faults[0].problem
    assert kept.dtype == dtype
    assert kept[[0, 2]].tolist() == [[[1, 1], [1, 1]]] * 2
    assert not kept[1].any()


@settings(deadline=None, max_examples=200)
@given(
    value=st.integers(-(2**63), 2**63 - 1) | st.integers(-(2**26), 2**26),
    dtype=st.sampled_from(["uint8", "uint16", "uint32", "float32"]),
)
def test_a_whole_number_fits_where_the_cast_gives_it_back(value: int, dtype: str) -> None:
    limits = np.iinfo(dtype) if dtype != "float32" else None
    back = int(np.float32(value)) if limits is None else value
    fits = back == value and (limits is None or limits.min <= value <= limits.max)
    assert does_not_fit(np.array([value], dtype=np.int64), dtype).tolist() == [not fits]


def test_numbers_with_a_fraction_are_rounded_as_floats_are() -> None:
    assert not does_not_fit(np.array([0.1, 1e-3, 3.4e38, -7.25]), "float32").any()


@pytest.mark.parametrize("is_sparse", [False, True])
def test_events_with_bad_pixels_are_refused_or_left_out_and_listed(is_sparse: bool) -> None:
    images = np.zeros((4, 2, 3), dtype=np.float32)
    images[:, 0, 0] = 1
    images[2, 1, 2] = np.nan
    view = sparse.csr_array(images.reshape(4, 6)) if is_sparse else images
    events = Events({"v": view}, pl.DataFrame({"event": [5, 6, 7, 8]}), "demo")
    facts = {"first": 100, "key": ("event",), "shapes": {"v": (2, 3)}}
    with pytest.raises(FileFormatError, match=r"a.h5: row 102 \(event 7\), view 'v'.*nan.*\(1, 2\).*skip"):
        without_bad_pixels(events, "a.h5", **facts)  # type: ignore[arg-type]
    skipped: list[str] = []
    kept = without_bad_pixels(events, "a.h5", skipped=skipped, **facts)  # type: ignore[arg-type]
    assert kept.truth["event"].to_list() == [5, 6, 8]
    assert len(skipped) == 1
    whole = events.select([0, 1])
    assert without_bad_pixels(whole, "a.h5") is whole


def test_noise_beside_real_pixels_may_vanish() -> None:
    images, faults = dense_images(np.array([[0.5, 1e-60, 0.0, 3e-50]]), (2, 2), "float32")
    assert not faults
    assert images.ravel().tolist() == [0.5, 0, 0, 0]
