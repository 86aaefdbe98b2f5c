"""Simulated events in blocks: side by side in threads, in order, the same whatever the number of workers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from hitlens.errors import ConfigError
from hitlens.events import Events


def simulate_blocks(
    simulate_block: Callable[[int, int], Events],
    n_events: int,
    seed: int,
    workers: int,
    block_events: int,
    first: int = 0,
) -> Iterator[Events]:
    """Yield events in order, at most so many at a time.

    Args:
        simulate_block: number of the block, events in it -> its events; must depend on nothing else.
        n_events: how many events in all.
        seed: of the whole sample, checked here for every simulator.
        workers: threads that work side by side.
        block_events: events a block; the last one may be smaller.
        first: number of the block to begin with; those before it are left out.

    Raises:
        ConfigError: n_events, seed or workers out of range, or what a block raises.
    """
    for name, value, low in (("n_events", n_events, 1), ("seed", seed, 0), ("workers", workers, 1)):
        if value < low:
            raise ConfigError(f"{name} must be at least {low}. Got {value}.")
    sizes = [min(block_events, n_events - start) for start in range(0, n_events, block_events)]
    waiting: deque[Future[Events]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for block, size in enumerate(sizes[first:], first):
                waiting.append(pool.submit(simulate_block, block, size))
                if len(waiting) > workers + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
