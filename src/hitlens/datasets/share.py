"""The share of a batch that one of several processes takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """A slice of a batch; the others are taken elsewhere.

    Attributes:
        start: first event of the share, counted in the whole batch.
        stop: one beyond its last event.
        n_events: of the whole batch.
    """

    start: int
    stop: int
    n_events: int

    @property
    def rows(self) -> slice:
        """Events of the share, counted in the whole batch."""
        return slice(self.start, self.stop)


def share_of(n_events: int, shard: tuple[int, int] = (0, 1)) -> Share:
    """Return the share of one process; those of all cover the batch in their order.

    Args:
        n_events: of the whole batch.
        shard: number of the process, counted from 0, and how many there are.

    Examples:
        >>> [share_of(5, (number, 2)).rows for number in range(2)]
        [slice(0, 2, None), slice(2, 5, None)]
    """
    number, n_processes = shard
    return Share(n_events * number // n_processes, n_events * (number + 1) // n_processes, n_events)
