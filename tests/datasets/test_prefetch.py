"""Working ahead: order, errors in their place, a thread that ends when nobody waits."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from hitlens.datasets.prefetch import prefetched


def n_threads() -> int:
    return sum(thread.name == "prefetch" for thread in threading.enumerate())


def test_items_come_in_order() -> None:
    assert list(prefetched(range(100), 3)) == list(range(100))


def test_an_error_comes_after_what_was_made_before_it() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    found = prefetched(failing())
    assert next(found) == 1
    with pytest.raises(ValueError, match="no more"):
        next(found)
    assert n_threads() == 0


def test_who_stops_early_ends_the_thread_and_closes_what_it_read_from() -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    found = prefetched(endless())
    next(found)
    found.close()
    assert closed.is_set()
    assert n_threads() == 0


def test_nothing_is_made_before_the_first_item_is_asked_for() -> None:
    made: list[int] = []
    found = prefetched(made.append(1) or n for n in range(3))
    assert n_threads() == 0
    assert not made
    assert list(found) == [0, 1, 2]
