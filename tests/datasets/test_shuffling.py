"""The order of streamed events: all of them once, mixed, the same for any number of processes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hitlens.datasets.shuffling import Kind, Shuffle
from hitlens.errors import ConfigError

N, BLOCK, BATCH, POOL = 12_000, 64, 64, 1024
EDGES = np.append(np.arange(0, N, BLOCK), N)
#: Two files, the second twice as long as the first.
FILES = (EDGES[:-1] >= N // 3).astype(np.int64)
TRAIN = np.sort(np.random.default_rng(0).choice(N, 7230, replace=False))


def shuffle_of(kinds: list[Kind] | None = None, n_draws: int = len(TRAIN), batch: int = BATCH) -> Shuffle:
    return Shuffle(kinds or [Kind(TRAIN)], EDGES, FILES, batch, n_draws, POOL, seed=3)


def epoch_of(shuffle: Shuffle, epoch: int = 0) -> NDArray[np.int64]:
    return np.concatenate(shuffle.batches(epoch))


def test_every_event_is_shown_once_but_for_the_last_incomplete_batch() -> None:
    shuffle = shuffle_of()
    batches = shuffle.batches(0)
    shown = np.concatenate(batches)
    assert {len(batch) for batch in batches} == {BATCH}
    assert len(batches) == len(TRAIN) // BATCH
    assert len(np.unique(shown)) == len(shown)
    assert np.isin(shown, TRAIN).all()


def test_with_whole_batches_none_is_left_out_and_other_ones_are_left_out_each_epoch() -> None:
    whole = shuffle_of([Kind(TRAIN[:7168])], 7168)
    assert np.array_equal(np.sort(epoch_of(whole)), TRAIN[:7168])
    missing = [set(TRAIN.tolist()) - set(epoch_of(shuffle_of(), epoch).tolist()) for epoch in range(3)]
    assert missing[0] != missing[1] != missing[2]


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    assert np.array_equal(epoch_of(shuffle_of(), 2), epoch_of(shuffle_of(), 2))
    assert not np.array_equal(epoch_of(shuffle_of(), 2), epoch_of(shuffle_of(), 1))


@pytest.mark.parametrize("world", [1, 2, 4, 8])
def test_processes_share_the_batches_of_one(world: int) -> None:
    shuffle = shuffle_of()
    parts: list[list[NDArray[np.int64]]] = [[] for _ in range(shuffle.n_batches)]
    for rank in range(world):
        for pool in shuffle.pools(1, shuffle.lanes_of((rank, world))):
            events = pool.positions[pool.order]
            for number, part in enumerate(np.split(events, pool.n_batches)):
                parts[pool.first_batch + number].append(part)
    assert {len(part) for part in parts} == {8}
    for batch, whole in zip(parts, shuffle.batches(1), strict=True):
        # Pools of one process come in the order of need; within a batch the lanes are in order.
        assert sorted(np.concatenate(batch).tolist()) == sorted(whole.tolist())


def test_more_processes_than_lanes_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"3 processes cannot share .* must divide 8"):
        shuffle_of().lanes_of((0, 3))
    assert list(shuffle_of(batch=50).lanes_of((1, 2))) == [1]


def test_the_order_says_nothing_of_the_place_in_the_file() -> None:
    shuffle = shuffle_of([Kind(TRAIN[:7168])], 7168)
    shown = epoch_of(shuffle)
    assert abs(np.corrcoef(np.arange(len(shown)), shown)[0, 1]) < 0.15
    # Neighbours in a batch are no neighbours in the file.
    steps = np.abs(np.diff(shown))
    assert np.median(steps) > 5 * BLOCK
    within = [abs(np.corrcoef(np.arange(BATCH), batch)[0, 1]) for batch in shuffle.batches(0)]
    assert np.mean(within) < 0.2


def test_files_of_single_classes_are_mixed_in_every_batch() -> None:
    share = np.array([(batch >= N // 3).mean() for batch in shuffle_of().batches(0)])
    assert share.min() > 0.35
    assert share.max() < 0.95
    assert share.mean() == pytest.approx((TRAIN >= N // 3).mean(), abs=0.01)
    assert share.std() < 3 * np.sqrt(2 / 9 / BATCH)  # drawn one by one it would be one time that


def test_fewer_draws_go_on_where_the_epoch_before_ended() -> None:
    shuffle = shuffle_of(n_draws=1024)
    shown = np.concatenate([epoch_of(shuffle, epoch) for epoch in range(7)])
    assert len(np.unique(shown)) == len(shown) == 7168
    assert len(epoch_of(shuffle, 100)) == 1024


def test_kinds_have_exact_shares_and_small_ones_come_round_again() -> None:
    few, many = TRAIN[:300], TRAIN[300:]
    shuffle = shuffle_of([Kind(few, 0.25), Kind(many, 0.75)], 6400)
    shown = [epoch_of(shuffle, epoch) for epoch in range(3)]
    counts = np.bincount(np.concatenate(shown), minlength=N)
    for one in shown:
        assert np.isin(one, few).sum() == 1600
    assert set(counts[few]) == {16}  # 3 x 1600 draws of 300 events
    assert set(counts[many]) == {2, 3} or set(counts[many]) == {2}  # 3 x 4800 of 6930
    for batch in shuffle.batches(0):
        assert 0.05 < np.isin(batch, few).mean() < 0.5


def test_fewer_events_than_a_batch_are_one_batch() -> None:
    shuffle = shuffle_of([Kind(TRAIN[:50])], 50)
    assert shuffle.n_batches == 1
    assert np.array_equal(np.sort(epoch_of(shuffle)), TRAIN[:50])


def test_no_more_than_the_pool_is_held_at_a_time() -> None:
    shuffle = shuffle_of()
    pools = shuffle.pools(0, range(shuffle.n_lanes))
    for number in range(shuffle.n_batches):
        held = [p for p in pools if p.first_batch <= number < p.first_batch + p.n_batches]
        assert len(held) == shuffle.n_lanes
        assert sum(len(pool.order) for pool in held) <= 1.1 * POOL
    first = [pool.first_batch for pool in pools if pool.first_batch]
    assert max(np.bincount(first)) <= 2  # lanes are refilled one after the other
