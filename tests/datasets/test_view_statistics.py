"""Sums over blocks, dense and sparse alike, and the orientation of images."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from hitlens.datasets.view_statistics import ViewStatistics, best_orientation, position_columns
from hitlens.detector import View
from hitlens.detectors import get_detector
from hitlens.errors import DataError

CEBR = get_detector("cebr")
VIEW = CEBR.views[0]


def statistics(images, truth, n_blocks=1):
    running = ViewStatistics(VIEW, CEBR)
    sums = [
        running.fill(images[rows], truth[rows]) for rows in np.array_split(np.arange(len(truth)), n_blocks)
    ]
    return running.report(), np.concatenate(sums)


@pytest.mark.parametrize("kind", ["dense", "sparse", "float"])
def test_against_numpy_on_the_whole(make_cebr, kind):
    events = make_cebr(300)
    images = events.images["anode"].copy()
    images[::3, :, 8:] = 0
    images[5] = 0
    given = {
        "dense": images,
        "sparse": sparse.csr_array(images.reshape(300, -1)),
        "float": images.astype(np.float32),
    }[kind]
    found, sums = statistics(given, events.truth, n_blocks=4)
    np.testing.assert_allclose(found.mean_image, images.mean(axis=0))
    np.testing.assert_allclose(found.hit_rate, (images > 0).sum(axis=0) / 299)
    np.testing.assert_allclose(sums, images.sum(axis=(1, 2), dtype=float))
    assert (found.minimum, found.maximum) == (images.min(), images.max())
    assert found.zero_fraction == pytest.approx((images == 0).mean())
    assert found.n_hit_events == 299
    brightest = np.bincount(np.delete(images, 5, 0).reshape(299, -1).argmax(axis=1), minlength=256)
    assert found.brightest.ravel().tolist() == brightest.tolist()


@pytest.mark.parametrize("symmetry", [None, *CEBR.symmetries], ids=lambda s: s.name if s else "described")
def test_turned_images_are_recognised(make_cebr, symmetry):
    events = make_cebr(400)
    images = events.images["anode"]
    if symmetry is not None:
        images = images.transpose(0, 2, 1) if symmetry.transpose else images
        images = np.flip(images, tuple(1 + VIEW.axes.index(axis) for axis in symmetry.flips))
    found, _ = statistics(images, events.truth)
    best = best_orientation(found.orientations)
    fractions = {orientation.name: orientation.fraction for orientation in found.orientations}
    if symmetry is None:
        assert best is None
        assert fractions["as described"] > 0.85
    else:
        assert best.name == symmetry.name
        assert fractions[symmetry.name] > 0.85
        assert fractions["as described"] < 0.3


def test_without_positions_nothing_is_said(make_cebr):
    events = make_cebr(20)
    found, _ = statistics(events.images["anode"], events.truth.select("file", "event"))
    assert found.orientations == ()


def test_values_that_are_no_numbers_are_counted_and_left_out(make_cebr):
    events = make_cebr(20)
    images = events.images["anode"].astype(np.float64)
    images[3, 2, 1], images[4, 4, 4], images[5, 5, 5] = np.nan, np.inf, -7.0
    found, sums = statistics(images, events.truth)
    assert (found.n_not_finite, found.n_negative, found.minimum) == (2, 1, -7.0)
    assert np.isfinite(sums).all()
    assert np.isnan(images[3, 2, 1])


@pytest.mark.parametrize(
    "images", [np.zeros((2, 8, 32)), sparse.csr_array((2, 255))], ids=["dense", "sparse"]
)
def test_wrong_shape_is_refused(images):
    with pytest.raises(DataError, match=r"must have shape \(16, 16\)"):
        ViewStatistics(VIEW, CEBR).fill(images, pl.DataFrame({"event": [0, 1]}))


def test_a_view_with_other_axes_has_no_positions():
    other = View(name="side", shape=(4, 4), axes=("plane", "cell"), pitch_mm=(1, 1), unit="hits")
    assert position_columns(other, CEBR) == ()


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_hits_charge_values_and_saturation(kind):
    images = np.zeros((4, 16, 16), dtype=np.uint16)
    images[0, 1, 2], images[0, 3, 3], images[2, 0, 0], images[3, 5, 5] = 7, 65535, 7, 300
    given = images if kind == "dense" else sparse.csr_array(images.reshape(4, -1))
    found, _ = statistics(given, pl.DataFrame({"event": [0, 1, 2, 3]}))
    assert found.n_saturated == 1
    assert found.thin
    assert (found.hits.edges[0], found.hits.counts.tolist()) == (0, [1, 2, 1])
    assert found.values.n_values == 4
    assert found.charge.n_values == 4
    assert found.n_hit_events == 3
    assert found.brightest[3, 3] == found.brightest[0, 0] == found.brightest[5, 5] == 1
    assert found.brightest.sum() == 3


def test_negative_and_unsorted_sparse_values_agree_with_dense():
    rng = np.random.default_rng(1)
    images = np.where(rng.random((200, 16, 16)) < 0.02, rng.normal(2, 3, (200, 16, 16)), 0).astype(np.float32)
    flat = sparse.csr_array(images.reshape(200, -1))
    shuffled = flat.copy()
    for start, end in zip(flat.indptr, flat.indptr[1:], strict=False):
        order = rng.permutation(end - start)
        shuffled.indices[start:end], shuffled.data[start:end] = (
            flat.indices[start:end][order],
            flat.data[start:end][order],
        )
    shuffled.has_sorted_indices = False
    truth = pl.DataFrame({"event": np.arange(200)})
    dense, thin = (statistics(given, truth)[0] for given in (images, shuffled))
    np.testing.assert_allclose(dense.mean_image, thin.mean_image, atol=1e-7)
    assert dense.brightest.tolist() == thin.brightest.tolist()
    assert (dense.n_negative, dense.minimum) == (thin.n_negative, thin.minimum)
    assert dense.n_negative > 10
