"""Symmetries act on images and truth alike."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch

from hitlens.datasets.augment import Augmentation, change_images
from hitlens.datasets.resident import Batch
from hitlens.detector import Task, View
from hitlens.detectors import get_detector
from hitlens.errors import ConfigError

CEBR = get_detector("cebr")
POSITION, ENERGY = CEBR.task("single_position"), CEBR.task("single_energy")
PAIR = CEBR.task("double")


def augmentation_of(*heads: Task, names: list[str] | None = None) -> Augmentation:
    """Symmetries of targets for which the description alone decides."""
    return Augmentation(CEBR, heads, pl.DataFrame(), np.arange(0), names)


def moved(head: Task, values: torch.Tensor, number: torch.Tensor) -> torch.Tensor:
    known = torch.ones(len(values), dtype=torch.bool)
    batch = Batch(
        {}, {head.name: values}, {head.name: known}, torch.arange(len(values)), torch.ones(len(values))
    )
    targets, defined = augmentation_of(head).targets(batch, number)
    assert torch.equal(defined[head.name], known)
    return targets[head.name]


def spots(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images with one bright pixel each, and the position of that pixel's centre."""
    rng = np.random.default_rng(3)
    pixel = rng.integers(0, 16, (n, 2))
    images = np.zeros((n, 16, 16), dtype=np.uint16)
    images[np.arange(n), pixel[:, 0], pixel[:, 1]] = 60_000
    return torch.from_numpy(images), torch.from_numpy(pixel + 0.5).float()


def brightest(images: torch.Tensor) -> torch.Tensor:
    flat = images.int().flatten(1).argmax(dim=1)
    return torch.stack([flat // 16, flat % 16], dim=1) + 0.5


@pytest.mark.parametrize("number", range(8))
def test_the_position_follows_the_spot(number: int) -> None:
    images, position = spots(64)
    numbers = torch.full((64,), number)
    changed = augmentation_of(POSITION).images("anode", images, numbers)
    assert changed.dtype == torch.uint16
    torch.testing.assert_close(brightest(changed), moved(POSITION, position, numbers))


def test_the_eight_symmetries_differ_and_form_a_group() -> None:
    view = CEBR.view("anode")
    numbered = torch.arange(256).view(1, 16, 16)
    orders = [tuple(range(256))]
    orders += [tuple(change_images(numbered, view, s).flatten().tolist()) for s in CEBR.symmetries]
    assert len(set(orders)) == 8
    for one in orders:
        for other in orders:
            assert tuple(np.array(one)[list(other)]) in orders


def test_energy_does_not_move() -> None:
    values = torch.rand(8, 1)
    assert torch.equal(moved(ENERGY, values, torch.arange(8)), values)


def test_draws_use_every_symmetry() -> None:
    drawn = augmentation_of(ENERGY).draw(1000, torch.device("cpu"))
    assert set(drawn.tolist()) == set(range(8))


def test_an_unknown_symmetry_is_refused() -> None:
    with pytest.raises(ConfigError, match="rotate"):
        augmentation_of(ENERGY, names=["rotate"])


def test_a_transposition_needs_a_square() -> None:
    oblong = View(name="anode", shape=(4, 6), axes=("x", "y"), pitch_mm=(1, 1), unit="photons")
    with pytest.raises(ConfigError, match="square"):
        change_images(torch.zeros(1, 4, 6), oblong, next(s for s in CEBR.symmetries if s.transpose))
