"""Hits that say themselves which event they are of: found, checked and put in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitlens.detectors.from_yaml.places import Place, Places
from hitlens.detectors.from_yaml.schema import ImageSource
from hitlens.errors import FileFormatError
from hitlens.io.columns import Columns, Lists
from hitlens.io.event_keys import EventKeys, highest_number, listed_keys

#: Hits whose event is looked at together.
_BLOCK_HITS = 1 << 20
#: Events and hits that a message lists; the rest is counted.
_LISTED = 5
#: Events a hit up to which numbers are believed to count events from 0.
_MOST_EVENTS_A_HIT, _FEW_EVENTS = 100, 1000


@dataclass(frozen=True, eq=False)
class HitOrder:
    """Which hits are of which event.

    Attributes:
        starts: where the hits of each event start among the sorted hits, shape (event + 1,).
        order: positions that sort the hits by event; None where the file has them sorted.
        n_apart: events whose hits do not stand together in the file.
        first_apart: the first of these, -1 where there is none.
    """

    starts: NDArray[np.int64]
    order: NDArray[np.int64] | None
    n_apart: int
    first_apart: int


class HitTable:
    """A list of hits with columns that name their event.

    Args:
        columns: the open file.
        source: which columns.
        path: of the file.
        place: key of the source in the description.
        places: of the description's keys.
    """

    def __init__(
        self, columns: Columns, source: ImageSource, path: Path, place: Place, places: Places
    ) -> None:
        self._columns, self._source, self._path = columns, source, path
        self._place, self._places = place, places
        self._n_hits = columns.length(source.event[0])

    def highest_event(self) -> int:
        """Return the highest event a hit is of; -1 without hits.

        Raises:
            FileFormatError: the column does not count events from 0.
        """
        try:
            top = max((highest_number(keys[0]) for keys, _ in self._blocks()), default=-1)
        except ValueError as error:
            raise self._error(f"{error}. Name the column of the events with 'event_key'", "event") from None
        if top > _FEW_EVENTS + _MOST_EVENTS_A_HIT * self._n_hits:
            raise self._error(
                f"events up to number {top:,} for {self._n_hits:,} hits do not count from 0: these are keys. "
                "Name the column of the events that holds the same with 'event_key'",
                "event",
            )
        return top

    def order(self, n_events: int) -> HitOrder:
        """Find the hits of each event.

        Args:
            n_events: number of events, with hits or without.

        Raises:
            FileFormatError: keys that do not name one event each, or hits of no event.
        """
        keys = self._keys(n_events)
        positions = [self._positions(keys, block) for block, _ in self._blocks()]
        self._refuse_strays(positions, n_events)
        event = np.concatenate(positions) if positions else np.zeros(0, dtype=np.int64)
        counts = np.bincount(event, minlength=n_events)
        ascending = bool((np.diff(event) >= 0).all())
        order = None if ascending else np.argsort(event, kind="stable")
        n_apart, first_apart = (0, -1) if ascending else self._apart(event, n_events)
        return HitOrder(np.concatenate([[0], np.cumsum(counts)]), order, n_apart, first_apart)

    def _keys(self, n_events: int) -> EventKeys:
        names = self._source.event_key
        if not names:
            return EventKeys([np.arange(n_events)])
        try:
            return EventKeys([self._column(name, 0, n_events, "event_key") for name in names])
        except ValueError as error:
            raise self._error(
                f"{_quoted(names)} must name each event once, else hits cannot be told apart; {error}. Where "
                "runs were merged, name the run as well: event: [run, event], event_key: [run, event]",
                "event_key",
            ) from None

    def _positions(self, keys: EventKeys, columns: list[NDArray[Any]]) -> NDArray[np.int64]:
        try:
            return keys.positions(columns)
        except ValueError as error:
            names = _quoted(self._source.event)
            among = f" of {_quoted(self._source.event_key)}" if self._source.event_key else ""
            raise self._error(f"{names}: {error}{among}", "event") from None

    def _refuse_strays(self, positions: list[NDArray[np.int64]], n_events: int) -> None:
        strays = [np.flatnonzero(block < 0) for block in positions]
        n_strays = sum(map(len, strays))
        if not n_strays:
            return
        first = next(number for number, rows in enumerate(strays) if len(rows))
        start = first * _BLOCK_HITS
        columns = [self._column(name, start, start + _BLOCK_HITS, "event") for name in self._source.event]
        known = listed_keys(columns, strays[first])
        names = self._source.event_key
        among = f"among {_quoted(names)}" if names else f"among the events, 0 to {n_events - 1}"
        more = ", ..." if len(known) > _LISTED or n_strays > len(strays[first]) else ""
        hits = "1 hit is" if n_strays == 1 else f"{n_strays:,} hits are"
        raise self._error(
            f"{hits} of no event: hit {start + strays[first][0]} is the first. Not {among}: "
            f"{', '.join(known[:_LISTED])}{more}",
            "event",
        )

    def _apart(self, event: NDArray[np.int64], n_events: int) -> tuple[int, int]:
        """Return how many events have hits that do not stand together, and the first."""
        if self._source.where:
            wanted = [chosen for _, chosen in self._blocks()]
            event = event[np.concatenate(wanted)]
        begins = np.flatnonzero(np.diff(event, prepend=-1))
        apart = np.flatnonzero(np.bincount(event[begins], minlength=n_events) > 1)
        return len(apart), int(apart[0]) if len(apart) else -1

    def _blocks(self) -> Iterator[tuple[list[NDArray[Any]], NDArray[np.bool_]]]:
        """Yield the columns that name the event, and which of the hits are of this view."""
        for at in range(0, self._n_hits, _BLOCK_HITS):
            stop = min(at + _BLOCK_HITS, self._n_hits)
            chosen = np.ones(stop - at, dtype=bool)
            for name, value in self._source.where.items():
                chosen &= self._column(name, at, stop, "where") == value
            yield [self._column(name, at, stop, "event") for name in self._source.event], chosen

    def _column(self, name: str, start: int, stop: int, key: str) -> NDArray[Any]:
        values = self._columns.read(name, start, stop)
        if isinstance(values, Lists) or values.size != len(values):
            raise self._error(f"column '{name}' has several values in each row, not one", key)
        return values.reshape(-1)

    def _error(self, problem: str, key: str) -> FileFormatError:
        return FileFormatError(f"{problem} ({self._places.where((*self._place, key))}).", path=self._path)


def _quoted(names: tuple[str, ...]) -> str:
    words = " and ".join(f"'{name}'" for name in names)
    return f"column {words}" if len(names) == 1 else f"columns {words}"
