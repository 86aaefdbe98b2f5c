"""Scalings take their constants from the training events alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hitlens.datasets.transforms import CURVES, Scaling, blocks_of, fit_scaling
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


@pytest.mark.parametrize("curve", list(CURVES))
def test_pixels_of_both_signs_are_mirrored(curve: str) -> None:
    pedestal_off = torch.from_numpy(RNG.normal(0, 40, (50, 5, 5)).astype(np.float32))
    scaling = fit_scaling(curve, pedestal_off, np.arange(50))  # type: ignore[arg-type]
    scaled = scaling(pedestal_off)
    assert torch.isfinite(scaled).all()
    assert scaled.std().item() == pytest.approx(1, abs=1e-2)
    back = scaled * scaling.scale + scaling.offset
    torch.testing.assert_close(scaling(-pedestal_off) * scaling.scale + scaling.offset, -back)
    at = torch.tensor([[[-3.0, 8.0]]])
    if curve in ("log1p", "sqrt"):
        exact = np.log1p([3, 8]) if curve == "log1p" else np.sqrt([3, 8])
        wanted = torch.tensor([[[-exact[0], exact[1]]]], dtype=torch.float32)
        torch.testing.assert_close(scaling(at) * scaling.scale + scaling.offset, wanted)


@pytest.mark.parametrize("curve", list(CURVES))
def test_counts_are_scaled_as_ever(curve: str) -> None:
    scaling = fit_scaling(curve, IMAGES, ROWS)  # type: ignore[arg-type]
    assert scaling.unit == 1
    old = Scaling(curve=curve, offset=scaling.offset, scale=scaling.scale)  # type: ignore[arg-type]
    assert torch.equal(scaling(IMAGES), old(IMAGES))
    assert torch.equal(scaling(IMAGES.float()), old(IMAGES.float()))


def test_a_model_of_before_means_what_it_meant() -> None:
    old = Scaling.model_validate({"curve": "log1p", "offset": 0.5, "scale": 2.0})
    pixels = torch.tensor([[[-0.5, 0.0, 7.0]]])
    torch.testing.assert_close(old(pixels), (torch.log1p(pixels) - 0.5) / 2)


@pytest.mark.parametrize("curve", list(CURVES))
@pytest.mark.parametrize("far", [-5.0, -4e4, 1e12, 3e38, -3e38])
def test_pixels_beyond_the_training_stay_finite(curve: str, far: float) -> None:
    floats = IMAGES.float()
    scaling = fit_scaling(curve, floats, ROWS)  # type: ignore[arg-type]
    event = floats[:1].clone()
    event[0, 1, 1] = far
    scaled = scaling(event)
    assert torch.isfinite(scaled).all()
    assert (scaled[0, 1, 1] < scaled.median()) == (far < 0)


def test_small_pixels_are_measured_in_their_mean_size() -> None:
    shares = torch.from_numpy(RNG.exponential(0.02, (80, 6, 6)).astype(np.float32))
    shares[:, :3] = 0  # blank pixels are no part of the size
    scaling = fit_scaling("log1p", shares, np.arange(80))
    assert scaling.unit == pytest.approx(0.02, rel=0.1)
    assert fit_scaling("log1p", shares * 1e-4, np.arange(80)).unit == pytest.approx(scaling.unit * 1e-4)
    assert fit_scaling("log1p", shares * 1e5, np.arange(80)).unit == 1
    torch.testing.assert_close(
        scaling(shares), fit_scaling("log1p", shares * 1e-4, np.arange(80))(shares * 1e-4)
    )


@pytest.mark.parametrize("shift", [2**32 - 500, 2**31])
def test_large_whole_pixels_keep_their_differences(shift: int) -> None:
    large = torch.from_numpy(RNG.integers(0, 7, (40, 4, 4)) + shift)
    for curve in ("linear", "sqrt", "log1p"):
        scaled = fit_scaling(curve, large, np.arange(40))(large)  # type: ignore[arg-type]
        assert scaled.std().item() == pytest.approx(1, abs=1e-2)
        assert len(scaled.unique()) == 7


def test_a_small_spread_is_a_spread() -> None:
    tiny = torch.from_numpy(RNG.normal(3e-9, 1e-9, (40, 4, 4)).astype(np.float32))
    assert fit_scaling("linear", tiny, np.arange(40))(tiny).std().item() == pytest.approx(1, abs=1e-2)
