"""Images in other units than those of the training are noticed."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hitlens.detectors import get_detector
from hitlens.events import Events
from hitlens.models.brightness import foreign_brightness, usual_brightness

CEBR = get_detector("cebr")


def events_of(images: np.ndarray) -> Events:
    truth = pl.DataFrame({"file": ["a"] * len(images), "event": range(len(images))})
    return Events({"anode": images}, truth, "cebr")


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.poisson(rng.uniform(50, 4000, (300, 1, 1)), (300, 16, 16)).astype(np.uint16)


def test_the_events_of_the_training_and_others_like_them_are_usual(counts: np.ndarray) -> None:
    usual = usual_brightness(events_of(counts), CEBR)
    low, high = usual["anode"]
    assert 50 < low < 200
    assert 3800 < high < 4400
    assert foreign_brightness(usual, events_of(counts[:7]), CEBR) is None
    assert foreign_brightness(usual, events_of(counts[:5] // 4), CEBR) is None


@pytest.mark.parametrize("scale", [1 / 5000, 1 / 65_535, 1000.0])
def test_images_in_other_units_are_told(counts: np.ndarray, scale: float) -> None:
    usual = usual_brightness(events_of(counts), CEBR)
    words = foreign_brightness(usual, events_of((counts * scale).astype(np.float32)), CEBR)
    assert words is not None
    assert "Its answers mean nothing where units or scaling differ" in words
    assert ("scaled to 0..1 already" in words) == (scale < 1)


def test_nothing_is_said_of_models_without_the_numbers_or_of_dark_events(counts: np.ndarray) -> None:
    usual = usual_brightness(events_of(counts), CEBR)
    assert foreign_brightness({}, events_of(counts / 5000), CEBR) is None
    assert foreign_brightness(usual, events_of(counts[:4] * 0), CEBR) is None
    assert foreign_brightness(usual, events_of(counts[:0]), CEBR) is None
    assert usual_brightness(events_of(counts * 0), CEBR) == {}
