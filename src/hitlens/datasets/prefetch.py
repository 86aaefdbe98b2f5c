"""Works ahead of whoever takes the results, in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")

#: Seconds between two looks at whether anybody still waits.
_PATIENCE = 0.1


def prefetched(items: Iterable[T], n_ahead: int = 1) -> Generator[T, None, None]:
    """Yield the items in order while a thread makes those that come next.

    An error of the thread is raised here, in its place. Whoever stops early ends the thread.

    Args:
        items: made one after the other in the thread, which also closes them where they can be closed.
        n_ahead: items that may wait, beside the one that is being made.

    Examples:
        >>> list(prefetched(n * n for n in range(4)))
        [0, 1, 4, 9]
    """
    ahead = _Ahead(items, n_ahead)
    thread = threading.Thread(target=ahead.work, name="prefetch", daemon=True)
    thread.start()
    try:
        while (item := ahead.waiting.get()) is not None:
            if isinstance(item, _Failure):
                raise item.error
            yield item.value
    finally:
        ahead.stopped.set()
        thread.join()


class _Made(Generic[T]):
    def __init__(self, value: T) -> None:
        self.value = value


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


class _Ahead(Generic[T]):
    """What the thread does; None in the queue is the end."""

    def __init__(self, items: Iterable[T], n_ahead: int) -> None:
        self.items = items
        self.waiting: queue.Queue[_Made[T] | _Failure | None] = queue.Queue(n_ahead)
        self.stopped = threading.Event()

    def work(self) -> None:
        """Make items until there are none, or nobody takes them."""
        made = iter(self.items)
        try:
            for item in made:
                self._put(_Made(item))
                if self.stopped.is_set():
                    return
            self._put(None)
        except BaseException as error:
            self._put(_Failure(error))
        finally:
            if isinstance(made, Generator):
                made.close()

    def _put(self, item: _Made[T] | _Failure | None) -> None:
        while not self.stopped.is_set():
            try:
                self.waiting.put(item, timeout=_PATIENCE)
                return
            except queue.Full:
                continue
