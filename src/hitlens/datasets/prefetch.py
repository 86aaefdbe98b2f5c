"""Works ahead of whoever takes the results, in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

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
    waiting: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(n_ahead)
    stopped = threading.Event()
    end: tuple[None, BaseException | None] = (None, StopIteration())

    def put(item: tuple[T | None, BaseException | None]) -> bool:
        while not stopped.is_set():
            try:
                waiting.put(item, timeout=_PATIENCE)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        made = iter(items)
        try:
            for item in made:
                if not put((item, None)):
                    return
            put(end)
        except BaseException as error:
            put((None, error))
        finally:
            if hasattr(made, "close"):
                made.close()

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item, error = waiting.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]
    finally:
        stopped.set()
        thread.join()
