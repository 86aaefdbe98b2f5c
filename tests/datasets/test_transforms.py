"""Scalings take their constants from the training events alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hitlens.datasets.transforms import CURVES, fit_scaling
from hitlens.errors import DataError

RNG = np.random.default_rng(0)
IMAGES = RNG.poisson(200, (300, 4, 4)).astype(np.uint16)
ROWS = np.arange(200)


@pytest.mark.parametrize("curve", list(CURVES))
def test_standard_gives_mean_0_and_deviation_1(curve: str) -> None:
    scaled = fit_scaling(curve, IMAGES, ROWS)(torch.from_numpy(IMAGES[ROWS]))  # type: ignore[arg-type]
    assert scaled.dtype == torch.float32
    assert scaled.mean().item() == pytest.approx(0, abs=1e-4)
    assert scaled.std().item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("curve", list(CURVES))
def test_minmax_gives_0_to_1(curve: str) -> None:
    scaled = fit_scaling(curve, IMAGES, ROWS, "minmax")(torch.from_numpy(IMAGES[ROWS]))  # type: ignore[arg-type]
    assert scaled.min().item() == pytest.approx(0, abs=1e-6)
    assert scaled.max().item() == pytest.approx(1, abs=1e-6)


def test_no_other_event_is_looked_at() -> None:
    changed = IMAGES.copy()
    changed[200:] = 60_000
    assert fit_scaling("log1p", IMAGES, ROWS) == fit_scaling("log1p", changed, ROWS)


def test_constant_pixels_are_refused() -> None:
    with pytest.raises(DataError, match="nothing to learn"):
        fit_scaling("linear", np.ones((5, 2, 2)), np.arange(5))


@pytest.mark.parametrize("curve", list(CURVES))
def test_arrays_and_tensors_get_the_same_curve(curve: str) -> None:
    images = np.concatenate([IMAGES, np.zeros_like(IMAGES[:1])]).astype(np.float32)
    of_arrays, of_tensors = CURVES[curve]
    np.testing.assert_allclose(of_tensors(torch.from_numpy(images)).numpy(), of_arrays(images), rtol=1e-5)


def test_the_shape_of_an_event_does_not_depend_on_its_brightness() -> None:
    bright, dim = IMAGES * 8, IMAGES
    of_arrays = CURVES["shape"][0]
    np.testing.assert_allclose(of_arrays(bright.astype(float)), of_arrays(dim.astype(float)))
    assert not of_arrays(np.zeros((1, 4, 4))).any()
