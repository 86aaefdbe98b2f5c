"""Resident batches: every event once an epoch, the same order for the same seed."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch

from hitlens.datasets.resident import ResidentData, ResidentLoader
from hitlens.detectors import get_detector
from hitlens.events import Events

CEBR = get_detector("cebr")
N = 50
EVENTS = Events(
    {"anode": np.arange(N * 256, dtype=np.uint16).reshape(N, 16, 16)},
    pl.DataFrame({"file": ["a"] * N, "event": range(N), "n_electrons": [1, 2] * (N // 2)}),
    "cebr",
)
DATA = ResidentData.from_events(EVENTS, CEBR, (CEBR.task("multiplicity"),))


def first_pixels(loader: ResidentLoader) -> list[int]:
    return [int(value) // 256 for batch in loader for value in batch.images["anode"][:, 0, 0].tolist()]


def test_pixels_stay_integers_and_are_not_copied() -> None:
    assert DATA.pixels["anode"].dtype == torch.uint16
    assert DATA.pixels["anode"].data_ptr() == EVENTS.dense("anode").ctypes.data


def test_one_pass_hands_out_every_event_once() -> None:
    loader = ResidentLoader(DATA, np.arange(5, 45), 16, shuffle_seed=(1, 0))
    assert len(loader) == 3
    assert sorted(first_pixels(loader)) == list(range(5, 45))


def test_order_depends_on_the_seed_alone() -> None:
    def order(*seed: int) -> list[int]:
        return first_pixels(ResidentLoader(DATA, np.arange(N), 8, shuffle_seed=seed))

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)


def test_without_a_seed_the_order_is_kept() -> None:
    assert first_pixels(ResidentLoader(DATA, np.arange(N), 8)) == list(range(N))


def test_targets_go_with_their_images() -> None:
    for batch in ResidentLoader(DATA, np.arange(N), 8, shuffle_seed=(1,)):
        event = batch.images["anode"][:, 0, 0].int() // 256
        assert torch.equal(batch.targets["multiplicity"][:, 0].int(), event % 2)


def test_the_smaller_last_batch_can_be_left_out() -> None:
    loader = ResidentLoader(DATA, np.arange(N), 16, drop_last=True)
    assert [len(batch) for batch in loader] == [16, 16, 16]


def test_weighted_means_do_not_depend_on_the_chances() -> None:
    chances = np.linspace(1, 5, N)
    chances /= chances.sum()
    values, weights = [], []
    for epoch in range(200):
        loader = ResidentLoader(DATA, np.arange(N), 10, shuffle_seed=(1, epoch), chances=chances)
        for batch in loader:
            values.append(batch.rows)
            weights.append(batch.weights)
    drawn, weight = torch.cat(values), torch.cat(weights)
    assert torch.bincount(drawn).float()[-1] > 3 * torch.bincount(drawn).float()[0]
    assert abs((drawn * weight).mean().item() - np.arange(N).mean()) < 1.0
    assert abs(weight.mean().item() - 1) < 0.05


def test_draws_follow_the_wanted_shares_unweighted() -> None:
    wanted = np.r_[np.full(10, 0.09), np.full(40, 0.0025)]
    loader = ResidentLoader(
        DATA, np.arange(N), 16, shuffle_seed=(1,), chances=wanted, wanted=wanted, n_draws=4000
    )
    drawn = torch.cat([batch.rows for batch in loader])
    assert len(drawn) == 4000
    assert (drawn < 10).float().mean().item() == pytest.approx(0.9, abs=0.02)
    assert all(torch.equal(batch.weights, torch.ones(len(batch))) for batch in loader)


def test_chances_that_differ_from_the_wanted_ones_are_made_up_for_by_weights() -> None:
    wanted, chances = np.full(N, 1 / N), np.linspace(1, 3, N) / (2 * N)
    loader = ResidentLoader(DATA, np.arange(N), 64, shuffle_seed=(1,), chances=chances, wanted=wanted)
    batch = next(iter(loader))
    expected = wanted[batch.rows.numpy()] / chances[batch.rows.numpy()]
    np.testing.assert_allclose(batch.weights.numpy(), expected, rtol=1e-6)


def test_a_short_epoch_shows_other_events_the_next_time() -> None:
    def shown(epoch: int) -> list[int]:
        return first_pixels(ResidentLoader(DATA, np.arange(N), 8, shuffle_seed=(1, epoch), n_draws=20))

    assert len(set(shown(0))) == 20
    assert shown(0) != shown(1)
    assert len(first_pixels(ResidentLoader(DATA, np.arange(N), 8, n_draws=10 * N))) == N
