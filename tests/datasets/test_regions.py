"""Windows follow the event, joined pixels keep its charge."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hitlens.datasets.pixels import view_pixels
from hitlens.datasets.regions import Region, shown_detector
from hitlens.detector import View
from hitlens.detectors import CEBR
from hitlens.errors import ConfigError

VIEW = View(name="u", shape=(12, 20), axes=("wire", "time"), pitch_mm=(5, 2), unit="adc")
ALL = torch.tensor([0])


def image(*hits: tuple[int, int, int]) -> np.ndarray:
    found = np.zeros((1, 12, 20), dtype=np.uint8)
    for row, col, charge in hits:
        found[0, row, col] = charge
    return found


def test_pooling_sums_charges_beyond_the_range_of_a_byte() -> None:
    pixels = view_pixels(np.full((1, 12, 20), 255, np.uint8), VIEW, Region(pool=(4, 5)))
    assert torch.equal(pixels[ALL], torch.full((1, 3, 4), 255.0 * 20))


def test_pooling_may_keep_the_largest_charge() -> None:
    pixels = view_pixels(image((0, 0, 3), (1, 1, 9)), VIEW, Region(pool=(4, 5), reduce="max"))
    assert pixels[ALL][0, 0, 0] == 9


def test_the_window_is_centred_on_the_mean_charge() -> None:
    shown = view_pixels(image((6, 9, 5), (6, 11, 5)), VIEW, Region(crop=(4, 8)))[ALL][0]
    assert shown.nonzero().tolist() == [[2, 3], [2, 5]]


def test_the_window_may_begin_with_the_first_hit_along_one_axis() -> None:
    region = Region(crop=(6, 8), anchor=("first", "mean"))
    shown = view_pixels(image((3, 10, 5), (4, 10, 9)), VIEW, region)[ALL][0]
    assert shown.nonzero().tolist() == [[0, 4], [1, 4]]


def test_a_fixed_window_does_not_follow_the_event() -> None:
    shown = view_pixels(image((3, 3, 5), (11, 19, 9)), VIEW, Region(crop=(6, 8), anchor="fixed"))[ALL][0]
    assert shown.nonzero().tolist() == [[3, 3]]


def test_a_blank_event_stays_blank() -> None:
    for anchor in ("mean", "first", "fixed"):
        assert not view_pixels(image(), VIEW, Region(crop=(6, 8), anchor=anchor))[ALL].any()  # type: ignore[arg-type]


@given(
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 19), st.integers(1, 255)), min_size=1, max_size=9)
)
def test_the_window_never_leaves_the_image_and_a_whole_one_keeps_all_charge(
    hits: list[tuple[int, int, int]],
) -> None:
    charges = image(*hits)
    whole = view_pixels(charges, VIEW, Region(pool=(3, 4)))[ALL]
    assert whole.sum() == charges.sum()
    part = view_pixels(charges, VIEW, Region(crop=(6, 8)))[ALL]
    assert 0 <= part.sum() <= charges.sum()


@pytest.mark.parametrize(
    ("region", "message"),
    [
        (Region(crop=(13, 20)), "along 'wire'.*at most 12"),
        (Region(crop=(6, 8), pool=(4, 4)), "multiple of pool. Got crop 6 and pool 4"),
        (Region(crop=(6,)), "crop must have one entry an axis"),
        (Region(crop=(6, 8), anchor=("mean",)), "anchor must have one entry an axis"),
    ],
)
def test_an_impossible_region_is_refused(region: Region, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        region.view(VIEW)


def test_sizes_below_1_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Region(pool=(0, 1))


def test_a_region_of_every_view_and_one_of_no_view() -> None:
    shown = shown_detector(CEBR, {"all": Region(crop=(8, 8), pool=(2, 2))})
    assert shown.views[0].shape == (4, 4)
    assert shown.views[0].pitch_mm == tuple(2 * pitch for pitch in CEBR.views[0].pitch_mm)
    with pytest.raises(ConfigError, match=r"no view 'anod'.*anode"):
        shown_detector(CEBR, {"anod": Region()})
