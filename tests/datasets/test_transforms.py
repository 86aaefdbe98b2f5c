"""Scalings take their constants from the training events alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hitlens.datasets.transforms import CURVES, blocks_of, fit_scaling
from hitlens.errors import DataError

RNG = np.random.default_rng(0)
IMAGES = torch.from_numpy(RNG.poisson(200, (300, 4, 4)).astype(np.int32))
ROWS = np.arange(200)


@pytest.mark.parametrize("curve", list(CURVES))
def test_standard_gives_mean_0_and_deviation_1(curve: str) -> None:
    scaled = fit_scaling(curve, IMAGES, ROWS)(IMAGES[ROWS])  # type: ignore[arg-type]
    assert scaled.dtype == torch.float32
    assert scaled.mean().item() == pytest.approx(0, abs=1e-4)
    assert scaled.std().item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("curve", list(CURVES))
def test_minmax_gives_0_to_1(curve: str) -> None:
    scaled = fit_scaling(curve, IMAGES, ROWS, "minmax")(IMAGES[ROWS])  # type: ignore[arg-type]
    assert scaled.min().item() == pytest.approx(0, abs=1e-6)
    assert scaled.max().item() == pytest.approx(1, abs=1e-6)


def test_no_other_event_is_looked_at() -> None:
    changed = IMAGES.clone()
    changed[200:] = 60_000
    assert fit_scaling("log1p", IMAGES, ROWS) == fit_scaling("log1p", changed, ROWS)


def test_constant_pixels_are_refused() -> None:
    with pytest.raises(DataError, match="nothing to learn"):
        fit_scaling("linear", torch.ones(5, 2, 2), np.arange(5))


def test_the_shape_of_an_event_does_not_depend_on_its_brightness() -> None:
    bright, dim = IMAGES * 8, IMAGES
    torch.testing.assert_close(CURVES["shape"](bright.double()), CURVES["shape"](dim.double()))
    assert not CURVES["shape"](torch.zeros(1, 4, 4)).any()


def test_blocks_hold_every_event_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hitlens.datasets.transforms._BLOCK_PIXELS", 100)
    blocks = list(blocks_of(IMAGES, ROWS))
    assert len(blocks) > 10
    assert torch.equal(torch.cat(blocks), IMAGES[ROWS])


@pytest.mark.parametrize(
    ("dtype", "largest"), [(torch.uint8, 255), (torch.uint16, 65_535), (torch.int16, 32_767)]
)
@pytest.mark.parametrize("curve", ["linear", "log1p", "sqrt"])
def test_the_full_range_of_the_type_becomes_0_to_1(dtype: torch.dtype, largest: int, curve: str) -> None:
    scaling = fit_scaling(curve, torch.tensor([[[3, 7]], [[9, 9]]], dtype=dtype), np.arange(2), "full_range")  # type: ignore[arg-type]
    ends = scaling(torch.tensor([[[0, largest]]]))
    torch.testing.assert_close(ends, torch.tensor([[[0.0, 1.0]]]), rtol=1e-5, atol=1e-6)
    if curve == "linear":
        torch.testing.assert_close(scaling(torch.tensor([[[51]]])), torch.tensor([[[51 / largest]]]))


@pytest.mark.parametrize(("dtype", "curve"), [(torch.float32, "linear"), (torch.uint8, "shape")])
def test_the_full_range_needs_integers(dtype: torch.dtype, curve: str) -> None:
    with pytest.raises(DataError, match=r"full_range needs integer pixels"):
        fit_scaling(curve, torch.arange(8).view(2, 2, 2).to(dtype), np.arange(2), "full_range")  # type: ignore[arg-type]
