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
