"""Codes of the files: what interaction and final state say of flavour, mode, tracks and showers.

Neutrinos and antineutrinos have the same codes. 16 is the size of the list of interactions, 50 that of the
final states: neither is ever a label.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Highest number of tracks or showers that a final state tells apart: three or more.
MOST_PRONGS = 3


class Flavour(IntEnum):
    """What the neutrino was, as far as its charged-current interaction tells."""

    NUMU = 0
    NUE = 1
    NC_OTHER = 2
    NUTAU = 3


class Mode(IntEnum):
    """How the neutrino interacted."""

    QE = 0
    RES = 1
    DIS = 2
    OTHER = 3
    NC = 4


class Interaction(IntEnum):
    """Kind of interaction, column ``interaction``.

    Examples:
        >>> Interaction(6).name, Interaction(6).flavour.name, Interaction(6).mode.name
        ('NUE_DIS', 'NUE', 'DIS')
        >>> Interaction.COSMIC.mode is None
        True
    """

    NUMU_QE = 0
    NUMU_RES = 1
    NUMU_DIS = 2
    NUMU_OTHER = 3
    NUE_QE = 4
    NUE_RES = 5
    NUE_DIS = 6
    NUE_OTHER = 7
    NUTAU_QE = 8
    NUTAU_RES = 9
    NUTAU_DIS = 10
    NUTAU_OTHER = 11
    NU_ELECTRON_ELASTIC = 12
    NC = 13
    COSMIC = 14
    OTHER = 15

    @property
    def flavour(self) -> Flavour:
        """Flavour of the neutrino; neutral currents, cosmic muons and the rest count as one."""
        charged = (Flavour.NUMU, Flavour.NUE, Flavour.NUTAU)
        return charged[self // 4] if self < 12 else Flavour.NC_OTHER

    @property
    def mode(self) -> Mode | None:
        """How it interacted; None for a cosmic muon and for the rest, which are no interactions known."""
        if self < 12:
            return Mode(self % 4)
        return Mode.NC if self in (Interaction.NU_ELECTRON_ELASTIC, Interaction.NC) else None


class FinalState(IntEnum):
    """Flavour and number of prongs seen, column ``finalstate``: 16 * flavour + 4 * tracks + showers.

    A name says flavour, tracks and showers; 3 stands for three or more.

    Examples:
        >>> state = FinalState(21)
        >>> state.name, state.flavour.name, state.n_tracks, state.n_showers
        ('NUE_1_TRACK_1_SHOWER', 'NUE', 1, 1)
        >>> FinalState.COSMIC.n_tracks is None
        True
    """

    NUMU_0_TRACK_0_SHOWER = 0
    NUMU_0_TRACK_1_SHOWER = 1
    NUMU_0_TRACK_2_SHOWER = 2
    NUMU_0_TRACK_3_SHOWER = 3
    NUMU_1_TRACK_0_SHOWER = 4
    NUMU_1_TRACK_1_SHOWER = 5
    NUMU_1_TRACK_2_SHOWER = 6
    NUMU_1_TRACK_3_SHOWER = 7
    NUMU_2_TRACK_0_SHOWER = 8
    NUMU_2_TRACK_1_SHOWER = 9
    NUMU_2_TRACK_2_SHOWER = 10
    NUMU_2_TRACK_3_SHOWER = 11
    NUMU_3_TRACK_0_SHOWER = 12
    NUMU_3_TRACK_1_SHOWER = 13
    NUMU_3_TRACK_2_SHOWER = 14
    NUMU_3_TRACK_3_SHOWER = 15
    NUE_0_TRACK_0_SHOWER = 16
    NUE_0_TRACK_1_SHOWER = 17
    NUE_0_TRACK_2_SHOWER = 18
    NUE_0_TRACK_3_SHOWER = 19
    NUE_1_TRACK_0_SHOWER = 20
    NUE_1_TRACK_1_SHOWER = 21
    NUE_1_TRACK_2_SHOWER = 22
    NUE_1_TRACK_3_SHOWER = 23
    NUE_2_TRACK_0_SHOWER = 24
    NUE_2_TRACK_1_SHOWER = 25
    NUE_2_TRACK_2_SHOWER = 26
    NUE_2_TRACK_3_SHOWER = 27
    NUE_3_TRACK_0_SHOWER = 28
    NUE_3_TRACK_1_SHOWER = 29
    NUE_3_TRACK_2_SHOWER = 30
    NUE_3_TRACK_3_SHOWER = 31
    NC_0_TRACK_0_SHOWER = 32
    NC_0_TRACK_1_SHOWER = 33
    NC_0_TRACK_2_SHOWER = 34
    NC_0_TRACK_3_SHOWER = 35
    NC_1_TRACK_0_SHOWER = 36
    NC_1_TRACK_1_SHOWER = 37
    NC_1_TRACK_2_SHOWER = 38
    NC_1_TRACK_3_SHOWER = 39
    NC_2_TRACK_0_SHOWER = 40
    NC_2_TRACK_1_SHOWER = 41
    NC_2_TRACK_2_SHOWER = 42
    NC_2_TRACK_3_SHOWER = 43
    NC_3_TRACK_0_SHOWER = 44
    NC_3_TRACK_1_SHOWER = 45
    NC_3_TRACK_2_SHOWER = 46
    NC_3_TRACK_3_SHOWER = 47
    COSMIC = 48
    OTHER = 49

    @property
    def flavour(self) -> Flavour:
        """Flavour of the neutrino; neutral currents, cosmic muons and the rest count as one."""
        return (Flavour.NUMU, Flavour.NUE, Flavour.NC_OTHER, Flavour.NC_OTHER)[self // 16]

    @property
    def n_tracks(self) -> int | None:
        """Tracks seen, 3 for three or more; None for a cosmic muon and for the rest."""
        return self % 16 // 4 if self < FinalState.COSMIC else None

    @property
    def n_showers(self) -> int | None:
        """Showers seen, 3 for three or more; None for a cosmic muon and for the rest."""
        return self % 4 if self < FinalState.COSMIC else None


def flavours(interaction: ArrayLike) -> NDArray[np.int8]:
    """Return the `Flavour` of interaction codes; -1 for codes that are not known.

    Examples:
        >>> flavours([2, 6, 13, 10, 16]).tolist()
        [0, 1, 2, 3, -1]
    """
    return _looked_up([kind.flavour for kind in Interaction], interaction)


def modes(interaction: ArrayLike) -> NDArray[np.int8]:
    """Return the `Mode` of interaction codes; -1 for cosmic muons, the rest, and codes that are not known.

    Examples:
        >>> modes([2, 4, 12, 15, 16]).tolist()
        [2, 0, 4, -1, -1]
    """
    return _looked_up([kind.mode for kind in Interaction], interaction)


def track_counts(finalstate: ArrayLike) -> NDArray[np.int8]:
    """Return the tracks of final-state codes, 3 for three or more; -1 where the code has none.

    Examples:
        >>> track_counts([6, 47, 48, 50]).tolist()
        [1, 3, -1, -1]
    """
    return _looked_up([state.n_tracks for state in FinalState], finalstate)


def shower_counts(finalstate: ArrayLike) -> NDArray[np.int8]:
    """Return the showers of final-state codes, 3 for three or more; -1 where the code has none.

    Examples:
        >>> shower_counts([6, 47, 48, 50]).tolist()
        [2, 3, -1, -1]
    """
    return _looked_up([state.n_showers for state in FinalState], finalstate)


def final_states(interaction: ArrayLike, n_tracks: ArrayLike, n_showers: ArrayLike) -> NDArray[np.uint32]:
    """Return the final-state codes of events.

    There is no block of codes for nutau: its events take that of neutral currents.

    Args:
        interaction: codes of the interactions.
        n_tracks: tracks seen; more than three count as three.
        n_showers: showers seen; more than three count as three.

    Examples:
        >>> final_states([2, 6, 13, 14, 15], [1, 0, 0, 1, 0], [7, 1, 2, 0, 0]).tolist()
        [7, 17, 34, 48, 49]
    """
    interaction = np.asarray(interaction)
    block = np.array([0, 1, 2, 2], dtype=np.uint32)[flavours(interaction)]
    tracks, showers = (np.clip(counts, 0, MOST_PRONGS) for counts in (n_tracks, n_showers))
    codes = 16 * block + 4 * tracks.astype(np.uint32) + showers.astype(np.uint32)
    codes = np.where(interaction == Interaction.COSMIC, FinalState.COSMIC, codes)
    return np.where(interaction == Interaction.OTHER, FinalState.OTHER, codes).astype(np.uint32)


def unknown_codes(interaction: ArrayLike) -> dict[int, int]:
    """Return how many events have each interaction code that is not known, by code.

    Examples:
        >>> unknown_codes([0, 16, 3, 16])
        {16: 2}
    """
    codes, counts = np.unique(np.asarray(interaction), return_counts=True)
    known = {int(kind) for kind in Interaction}
    return {int(code): int(n) for code, n in zip(codes, counts, strict=True) if int(code) not in known}


def sql_case(column: str, meanings: Iterable[tuple[int, int | None]]) -> str:
    """Return the SQL expression that turns codes into what they mean; null where they mean nothing.

    Args:
        column: column of codes.
        meanings: (code, meaning); codes that are not named mean nothing.

    Examples:
        >>> sql_case("interaction", [(0, 7), (1, 7), (2, 8), (3, None)])
        'CASE WHEN interaction IN (0, 1) THEN 7 WHEN interaction IN (2) THEN 8 END'
    """
    codes: dict[int, list[int]] = {}
    for code, meaning in meanings:
        if meaning is not None:
            codes.setdefault(int(meaning), []).append(int(code))
    parts = [
        f"WHEN {column} IN ({', '.join(map(str, same))}) THEN {meaning}" for meaning, same in codes.items()
    ]
    return f"CASE {' '.join(parts)} END"


def _looked_up(meanings: list[Any], codes: ArrayLike) -> NDArray[np.int8]:
    """Return the meaning of each code, -1 where it has none; the last entry stands for all other codes."""
    table = np.array(
        [-1 if meaning is None else int(meaning) for meaning in [*meanings, None]], dtype=np.int8
    )
    codes = np.asarray(codes).astype(np.int64)
    found: NDArray[np.int8] = table[np.where((codes < 0) | (codes >= len(meanings)), -1, codes)]
    return found
