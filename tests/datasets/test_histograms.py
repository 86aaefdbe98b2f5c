"""Histograms that grow: nothing is lost, and blocks do not matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitlens.datasets.histograms import GrowingHistogram, same_bins

values = st.lists(
    st.lists(st.floats(-1e12, 1e12, allow_subnormal=False), min_size=1, max_size=30), min_size=1, max_size=5
)


@settings(max_examples=100, deadline=None)
@given(values)
def test_every_value_lies_in_its_bin(blocks):
    histogram = GrowingHistogram(n_bins=64)
    for block in blocks:
        histogram.fill(block)
    found = histogram.histogram()
    everything = np.concatenate([np.array(block) for block in blocks])
    expected, _ = np.histogram(everything, np.r_[found.edges[:-1], np.inf])
    assert found.counts.tolist() == expected.tolist()
    assert found.edges[0] <= everything.min()
    assert everything.max() < found.edges[-1]
    assert len(found.counts) <= 64


@pytest.mark.parametrize("n_blocks", [1, 3, 100])
def test_blocks_do_not_matter_once_the_range_is_known(n_blocks):
    numbers = np.random.default_rng(1).exponential(1000, 5000)
    numbers[0], numbers[1] = 0.0, numbers.max()
    histogram = GrowingHistogram()
    for block in np.array_split(numbers, n_blocks):
        histogram.fill(block)
    found = histogram.histogram(50)
    reference = GrowingHistogram()
    reference.fill(numbers)
    expected = reference.histogram(50)
    assert found.counts.tolist() == expected.counts.tolist()
    assert found.edges.tolist() == expected.edges.tolist()
    assert 25 <= len(found.counts) <= 50


def test_not_finite_values_are_left_out_and_empty_is_empty():
    histogram = GrowingHistogram()
    histogram.fill([np.nan, np.inf])
    assert histogram.histogram().n_values == 0
    histogram.fill([1.0, np.nan])
    assert histogram.histogram().n_values == 1


def test_same_bins_for_all():
    narrow, wide, empty = GrowingHistogram(), GrowingHistogram(), GrowingHistogram()
    narrow.fill(np.linspace(0, 1, 100))
    wide.fill(np.linspace(-50, 50, 300))
    found = same_bins({"narrow": narrow, "wide": wide, "empty": empty}, 40)
    assert found["narrow"].edges.tolist() == found["wide"].edges.tolist()
    assert [h.n_values for h in found.values()] == [100, 300, 0]
    assert len(found["wide"].counts) <= 40
