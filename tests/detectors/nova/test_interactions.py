"""Codes of interaction and final state: one by one, as arrays, and as the detector's derived columns."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hitlens.detectors.nova import DETECTOR
from hitlens.detectors.nova.interactions import (
    FinalState,
    Flavour,
    Interaction,
    Mode,
    final_states,
    flavours,
    modes,
    shower_counts,
    track_counts,
    unknown_codes,
)
from hitlens.events import Events


def test_the_list_of_interactions_is_that_of_the_experiment() -> None:
    names = (
        "NUMU_QE NUMU_RES NUMU_DIS NUMU_OTHER NUE_QE NUE_RES NUE_DIS NUE_OTHER NUTAU_QE NUTAU_RES NUTAU_DIS "
        "NUTAU_OTHER NU_ELECTRON_ELASTIC NC COSMIC OTHER"
    )
    assert [kind.name for kind in Interaction] == names.split()
    assert [int(kind) for kind in Interaction] == list(range(16))


@pytest.mark.parametrize("code", [16, 17, -1])
def test_sixteen_is_no_interaction(code: int) -> None:
    with pytest.raises(ValueError, match=str(code)):
        Interaction(code)
    assert flavours([code]).tolist() == modes([code]).tolist() == [-1]
    assert unknown_codes([0, code]) == {code: 1}


@pytest.mark.parametrize("kind", Interaction)
def test_names_say_what_flavour_and_mode_say(kind: Interaction) -> None:
    first, _, last = kind.name.partition("_")
    by_name = {"NUMU": Flavour.NUMU, "NUE": Flavour.NUE, "NUTAU": Flavour.NUTAU}
    assert kind.flavour is by_name.get(first, Flavour.NC_OTHER)
    if kind < 12:
        assert kind.mode is Mode[last]
    else:
        assert kind.mode is {12: Mode.NC, 13: Mode.NC}.get(kind)


@pytest.mark.parametrize("state", FinalState)
def test_names_of_final_states_say_their_prongs(state: FinalState) -> None:
    if state >= 48:
        assert (state.n_tracks, state.n_showers, state.flavour) == (None, None, Flavour.NC_OTHER)
        return
    block = {"NUMU": 0, "NUE": 1, "NC": 2}
    name, tracks, _, showers, _ = state.name.split("_")
    assert int(state) == 16 * block[name] + 4 * int(tracks) + int(showers)
    assert (state.n_tracks, state.n_showers) == (int(tracks), int(showers))
    assert state.flavour == block[name]


def test_final_states_are_the_inverse_of_their_parts() -> None:
    kinds = {Flavour.NUMU: 2, Flavour.NUE: 6, Flavour.NC_OTHER: 13}
    states = [state for state in FinalState if state < 48]
    made = final_states(
        [kinds[state.flavour] for state in states],
        [state.n_tracks for state in states],
        [state.n_showers for state in states],
    )
    assert made.tolist() == states
    assert made.dtype == np.uint32
    assert final_states([14, 15, 10, 2], [2, 2, 0, 9], [1, 1, 1, 9]).tolist() == [48, 49, 33, 15]


def test_derived_columns_agree_with_the_enums() -> None:
    codes = np.arange(18, dtype=np.uint32)
    energy = np.array([2.0, 0.0] * 9, np.float32)
    truth = pl.DataFrame(
        {"interaction": codes, "finalstate": codes * 3, "nuenergy": energy, "lepenergy": energy / 4}
    )
    found = DETECTOR.complete(Events({}, truth, "nova")).truth
    for column, values in (
        ("flavour", flavours(codes)),
        ("mode", modes(codes)),
        ("n_tracks", track_counts(codes * 3)),
        ("n_showers", shower_counts(codes * 3)),
    ):
        assert found[column].to_list() == [None if value < 0 else value for value in values.tolist()]
        assert found[column].dtype.is_integer()
    assert found["lepton_fraction"].to_list() == [0.25, None] * 9
    assert found["inelasticity"].to_list() == [0.75, None] * 9


def test_helpers_keep_the_shape_of_their_input() -> None:
    assert flavours(np.zeros((2, 3), np.uint32)).shape == (2, 3)
    assert flavours([]).shape == (0,)
    assert unknown_codes([]) == {}
