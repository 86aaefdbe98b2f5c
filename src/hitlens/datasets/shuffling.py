"""The order in which streamed events are shown: blocks at random, dealt to lanes, shuffled within pools.

An epoch is a function of seed and number alone. The training events of each kind stand in blocks of
neighbours in their files. Passes over the kind go through its blocks in random order, the files interleaved
in proportion to their size, so that files of single classes mix. The events of an epoch, cut from the
passes, are dealt to lanes, each an equal share, in the order of the blocks; a lane collects so many events as
its part of the pool holds, shuffles them and hands them out. Every batch takes as many events from each lane.
A process that owns some of the lanes so reads its own blocks only, and the batches are the same however many
processes share the work.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hitlens.errors import ConfigError

#: Most processes that can share an epoch without reading each other's blocks.
MOST_LANES = 8


@dataclass(frozen=True)
class ShufflePool:
    """Events a lane shuffles together.

    Attributes:
        lane: of which it is a part.
        first_batch: batch its first events go to.
        n_batches: batches it feeds.
        positions: of its events, ascending, shape (event,).
        order: in which they are handed out, shape (event,).
    """

    lane: int
    first_batch: int
    n_batches: int
    positions: NDArray[np.int64]
    order: NDArray[np.int64]


@dataclass(frozen=True)
class Kind:
    """Events that are drawn in a share of their own.

    Attributes:
        positions: of these events, ascending, shape (n,).
        share: of all draws.
    """

    positions: NDArray[np.int64]
    share: float = 1.0


class Shuffle:
    """Deals out the events of each epoch.

    Args:
        kinds: what is drawn; one kind without more shows each of its events once an epoch.
        edges: position at which each block begins, ascending, and the number of all events last.
        files: file of each block, shape (block,).
        batch_size: events a batch.
        n_draws: events an epoch; those of one kind are at most all of it.
        pool: events shuffled together, over all lanes.
        seed: of the order.

    Examples:
        >>> kinds, edges, files = [Kind(np.arange(64))], np.arange(0, 65, 4), np.zeros(16, int)
        >>> shuffle = Shuffle(kinds, edges, files, 8, 64, 32, seed=1)
        >>> batches = shuffle.batches(0)
        >>> len(batches), sorted(np.concatenate(batches).tolist()) == list(range(64))
        (8, True)
    """

    def __init__(
        self,
        kinds: Sequence[Kind],
        edges: NDArray[np.int64],
        files: NDArray[np.int64],
        batch_size: int,
        n_draws: int,
        pool: int,
        *,
        seed: int,
    ) -> None:
        self.kinds = kinds
        self.batch_size = batch_size
        self.seed = seed
        self.n_lanes = math.gcd(batch_size, MOST_LANES)
        self.n_batches = max(1, n_draws // batch_size)
        self.n_draws = self.n_batches * batch_size if n_draws >= batch_size else n_draws
        self._whole_passes = len(kinds) == 1 and n_draws == len(kinds[0].positions)
        self._quotas = exact_shares([kind.share for kind in kinds], self.n_draws)
        self._pool = pool
        self._pieces = [_pieces(kind.positions, edges, files) for kind in kinds]

    def lanes_of(self, shard: tuple[int, int]) -> range:
        """Return the lanes of one of several processes.

        Args:
            shard: number of the process, and of how many.

        Raises:
            ConfigError: the lanes cannot be dealt evenly to so many processes.
        """
        rank, world = shard
        if self.n_lanes % world:
            raise ConfigError(
                f"{world} processes cannot share batches of train.batch_size = {self.batch_size} streamed "
                f"events: the number of processes must divide {self.n_lanes}, the greatest common divisor of "
                f"the batch size and {MOST_LANES}."
            )
        per_process = self.n_lanes // world
        return range(rank * per_process, (rank + 1) * per_process)

    def pools(self, epoch: int, lanes: Sequence[int]) -> list[ShufflePool]:
        """Return the pools of some lanes in the order in which they are needed.

        Args:
            epoch: counted from 0.
            lanes: numbers of the lanes.
        """
        pieces = self._epoch(epoch)
        edges = [self.n_draws * lane // self.n_lanes for lane in range(self.n_lanes + 1)]
        found = []
        for lane in lanes:
            positions = self._take(pieces, edges[lane], edges[lane + 1])
            found += self._lane_pools(epoch, lane, positions)
        return sorted(found, key=lambda pool: (pool.first_batch, pool.lane))

    def batches(self, epoch: int) -> list[NDArray[np.int64]]:
        """Return the positions of the events of each batch of an epoch."""
        parts: list[list[NDArray[np.int64]]] = [[] for _ in range(self.n_batches)]
        for pool in sorted(self.pools(epoch, range(self.n_lanes)), key=lambda one: one.lane):
            events = pool.positions[pool.order]
            for number, part in enumerate(np.split(events, pool.n_batches)):
                parts[pool.first_batch + number].append(part)
        return [np.concatenate(part) for part in parts]

    def _lane_pools(self, epoch: int, lane: int, positions: NDArray[np.int64]) -> list[ShufflePool]:
        """Cut a lane's events into pools; the first one is short, so that lanes are not refilled together."""
        most = max(1, round(self._pool * self.n_batches / max(1, self.n_draws)))  # batches
        first = max(1, round(most * (lane + 1) / self.n_lanes))
        ends = [*range(first, self.n_batches, most), self.n_batches]
        per_batch = len(positions) // self.n_batches
        found, start = [], 0
        for number, end in enumerate(ends):
            inside = np.sort(positions[start * per_batch : end * per_batch])
            order = np.random.default_rng([self.seed, epoch, lane, number]).permutation(len(inside))
            found.append(ShufflePool(lane, start, end - start, inside, order))
            start = end
        return found

    def _epoch(self, epoch: int) -> list[tuple[int, int, int]]:
        """Return the pieces of an epoch in order: kind, and first and last of its positions."""
        chosen, keys = [], []
        for number, quota in enumerate(self._quotas):
            stride = len(self.kinds[number].positions) if self._whole_passes else quota
            pieces = self._cut(number, epoch * stride, epoch * stride + quota)
            chosen += [(number, low, high) for low, high in pieces]
            keys.append((np.arange(len(pieces)) + 0.5) / max(1, len(pieces)))
        return [chosen[i] for i in np.argsort(np.concatenate(keys), kind="stable")]

    def _cut(self, number: int, start: int, stop: int) -> list[tuple[int, int]]:
        """Return the pieces of a stretch of the endless row of passes over a kind."""
        n = len(self.kinds[number].positions)
        found: list[tuple[int, int]] = []
        while start < stop:
            lap = start // n
            order = self._pass_order(number, lap)
            lows, highs, _ = self._pieces[number]
            ends = lap * n + np.cumsum((highs - lows)[order])
            first = int(np.searchsorted(ends, start, side="right"))
            last = int(np.searchsorted(ends, min(stop, (lap + 1) * n), side="left"))
            for place in range(first, last + 1):
                piece, end = order[place], int(ends[place])
                begin = end - int(highs[piece] - lows[piece])
                found.append(
                    (
                        int(lows[piece]) + max(0, start - begin),
                        int(highs[piece]) - max(0, end - stop),
                    )
                )
            start = min(stop, (lap + 1) * n)
        return found

    def _pass_order(self, number: int, lap: int) -> NDArray[np.int64]:
        """Order of a kind's blocks in a pass: at random, the files in proportion all along."""
        files = self._pieces[number][2]
        rng = np.random.default_rng([self.seed, number, lap])
        shuffled = np.lexsort((rng.random(len(files)), files))
        starts = np.searchsorted(files[shuffled], files[shuffled], side="left")
        counts = np.bincount(files)[files[shuffled]]
        places = (np.arange(len(files)) - starts + rng.random(len(files))) / counts
        return shuffled[np.argsort(places, kind="stable")]

    def _take(self, pieces: list[tuple[int, int, int]], start: int, stop: int) -> NDArray[np.int64]:
        """Positions of a stretch of the pieces."""
        ends = np.cumsum([high - low for _, low, high in pieces])
        first = int(np.searchsorted(ends, start, side="right"))
        last = int(np.searchsorted(ends, stop, side="left"))
        parts = [
            self.kinds[kind].positions[low + max(0, start - (end - (high - low))) : high - max(0, end - stop)]
            for (kind, low, high), end in zip(
                pieces[first : last + 1], ends[first : last + 1].tolist(), strict=True
            )
        ]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def exact_shares(shares: Sequence[float], n: int) -> list[int]:
    """Return whole numbers in the proportion of shares that add up to n, by the largest remainders.

    Examples:
        >>> exact_shares([0.5, 0.25, 0.25], 10)
        [5, 3, 2]
    """
    wanted = np.asarray(shares, dtype=np.float64) / sum(shares) * n
    whole = np.floor(wanted).astype(np.int64)
    behind = np.argsort(-(wanted - whole), kind="stable")[: n - int(whole.sum())]
    whole[behind] += 1
    return [int(one) for one in whole]


def _pieces(
    positions: NDArray[np.int64], edges: NDArray[np.int64], files: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """First and one past the last of a kind's positions in each block that has some, and the block's file."""
    ends = np.searchsorted(positions, edges)
    lows, highs = ends[:-1], ends[1:]
    some = highs > lows
    return lows[some], highs[some], files[some]
