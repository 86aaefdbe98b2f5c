"""Blocks of simulated events: in order, none missing, whatever the workers."""

from __future__ import annotations

import time

import numpy as np
import polars as pl
import pytest

from hitlens.errors import ConfigError
from hitlens.events import Events
from hitlens.simulate.blocks import simulate_blocks


def make(block: int, size: int) -> Events:
    time.sleep(0.01 * (block % 2))  # blocks end out of order
    numbers = np.arange(size) + 10 * block
    return Events({"v": np.zeros((size, 2, 2))}, pl.DataFrame({"number": numbers}), "demo")


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("n_events", [1, 10, 47])
def test_every_event_comes_once_and_in_order(workers: int, n_events: int) -> None:
    blocks = list(simulate_blocks(make, n_events, 1, workers, 10))
    assert [number for block in blocks for number in block.truth["number"]] == list(range(n_events))
    assert all(len(block) == 10 for block in blocks[:-1])


@pytest.mark.parametrize(
    ("name", "numbers"), [("n_events", (0, 1, 1)), ("seed", (5, -1, 1)), ("workers", (5, 1, 0))]
)
def test_numbers_out_of_range_are_named(name: str, numbers: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigError, match=f"{name} must be at least"):
        next(simulate_blocks(make, *numbers, 10))


def test_the_error_of_a_block_is_raised() -> None:
    def fail(block: int, size: int) -> Events:
        raise ConfigError(f"block {block}")

    with pytest.raises(ConfigError, match="block 0"):
        list(simulate_blocks(fail, 30, 1, 2, 10))
