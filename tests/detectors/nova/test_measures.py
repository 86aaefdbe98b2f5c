from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from hitlens.detectors.nova.measures import as_sparse, energies_mev, measure
from hitlens.events import Events


def events(*images: dict[tuple[int, int], int]) -> Events:
    dense = np.zeros((len(images), 100, 80), np.uint8)
    for k, image in enumerate(images):
        for (plane, cell), value in image.items():
            dense[k, plane, cell] = value
    view = sparse.csr_array(dense.reshape(len(images), -1))
    empty = sparse.csr_array((len(images), 8000), dtype=np.uint8)
    return Events({"x": view, "y": empty}, pl.DataFrame({"evt": range(len(images))}), "nova")


def test_measures_by_hand() -> None:
    track = {(k, 40): 10 + k for k in range(10)}
    found = measure(events(track | {(50, 5): 3}, {}, {(99, 79): 200, (98, 79): 255}))["x"]
    assert found.hits.tolist() == [11, 0, 2]
    assert found.total.tolist() == [148, 0, 455]
    assert found.largest.tolist() == [19, 0, 255]
    assert found.smallest.tolist() == [3, 0, 200]
    assert found.middle.tolist() == [14.0, 0.0, 227.5]
    assert found.length.tolist() == [10, 0, 100]
    assert found.strays.tolist() == [1, 0, 0]


@pytest.mark.parametrize(("cell", "strays"), [(41, 0), (42, 0), (43, 2)])
def test_a_stray_hit_has_none_within_two_cells(cell: int, strays: int) -> None:
    assert measure(events({(10, 40): 9, (10, cell): 9}))["x"].strays.tolist() == [strays]


def test_stretches_make_no_difference() -> None:
    rng = np.random.default_rng(1)
    many = [{(int(p), int(c)): 9 for p, c in rng.integers(0, 80, (30, 2))} for _ in range(300)]
    whole = measure(events(*many))["x"]
    part = measure(events(*many[250:]))["x"]
    for one, other in zip(whole, part, strict=True):
        np.testing.assert_array_equal(one[250:], other)


def test_energies_are_in_the_middle_of_their_counts() -> None:
    assert energies_mev(events({(0, 0): 1, (1, 1): 9})) == pytest.approx([0.5425, 9.2225])


def test_dense_views_are_measured_too() -> None:
    sparse_events = events({(3, 4): 7})
    dense = sparse_events.images["x"].toarray().reshape(1, 100, 80)
    same = Events({"x": dense, "y": dense * 0}, sparse_events.truth, "nova")
    assert (as_sparse(same, "x") != as_sparse(sparse_events, "x")).nnz == 0
    assert measure(same)["x"].total.tolist() == [7]
