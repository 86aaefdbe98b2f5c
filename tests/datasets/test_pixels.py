"""Hits become the images they came from, a batch at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from hitlens.datasets.pixels import HitImages, view_pixels
from hitlens.datasets.regions import Region
from hitlens.detector import View
from hitlens.errors import DataError

VIEW = View(name="x", shape=(6, 5), axes=("plane", "cell"), pitch_mm=(1, 1), unit="counts")
RNG = np.random.default_rng(0)
DENSE = np.where(RNG.random((20, 6, 5)) < 0.2, RNG.integers(1, 200, (20, 6, 5)), 0).astype(np.uint8)
DENSE[3] = 0
HITS = sparse.csr_array(DENSE.reshape(20, 30))
ROWS = torch.tensor([7, 3, 0, 19, 7])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.float32])
def test_hits_become_the_images_they_came_from(dtype: type) -> None:
    images = view_pixels(HITS.astype(dtype), VIEW)[ROWS]
    np.testing.assert_array_equal(images.numpy(), DENSE[ROWS.numpy()])


def test_charges_of_one_byte_stay_so() -> None:
    assert view_pixels(HITS, VIEW)[ROWS].dtype == torch.uint8


def test_hits_are_shared_not_copied() -> None:
    pixels = view_pixels(HITS, VIEW)
    assert isinstance(pixels, HitImages)
    assert pixels.charges.data_ptr() == HITS.data.ctypes.data
    assert len(pixels) == 20


def test_no_event_gives_no_image() -> None:
    assert view_pixels(HITS, VIEW)[torch.zeros(0, dtype=torch.int64)].shape == (0, 6, 5)


def test_a_region_of_dense_and_of_sparse_images_is_the_same() -> None:
    region = Region(crop=(4, 4), pool=(2, 1), anchor="first")
    one, other = view_pixels(DENSE, VIEW, region)[ROWS], view_pixels(HITS, VIEW, region)[ROWS]
    assert one.shape == (5, 2, 4)
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("images", [DENSE[:, :5], HITS[:, :25]])
def test_images_of_another_shape_are_refused(images: object) -> None:
    with pytest.raises(DataError, match="View 'x'"):
        view_pixels(images, VIEW)  # type: ignore[arg-type]


def test_volumes_are_handed_out_as_volumes() -> None:
    volume = View(name="v", shape=(2, 3, 5), axes=("a", "b", "c"), pitch_mm=(1, 1, 1), unit="counts")
    images = view_pixels(HITS, volume)[ROWS]
    np.testing.assert_array_equal(images.numpy(), DENSE.reshape(20, 2, 3, 5)[ROWS.numpy()])
