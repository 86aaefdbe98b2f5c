from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from hitlens.detectors import get_detector
from hitlens.detectors.nova.interactions import shower_counts, track_counts
from hitlens.detectors.nova.simulate import BLOCK_EVENTS, NovaConfig, NovaSimulator, simulate_block
from hitlens.errors import ConfigError
from hitlens.events import Events, concat


def config(**sections: Any) -> NovaConfig:
    return NovaConfig.model_validate(sections)


def make(n_events: int, seed: int = 1, workers: int = 1, **sections: Any) -> Events:
    return concat(list(NovaSimulator().blocks(config(**sections), n_events, seed, workers)))


def same(one: Events, two: Events) -> bool:
    views = all(
        np.array_equal(getattr(one.images[view], part), getattr(two.images[view], part))
        for view in ("x", "y")
        for part in ("data", "indices", "indptr")
    )
    return views and one.truth.equals(two.truth, null_equal=True)


def total(events: Events) -> float:
    return float(sum(events.images[view].sum(dtype=np.int64) for view in ("x", "y")) / len(events))


def n_hits(events: Events) -> float:
    return float(sum(events.images[view].nnz for view in ("x", "y")) / len(events))


@pytest.fixture(scope="module")
def events() -> Events:
    return make(2 * BLOCK_EVENTS + 100)


def test_views(events: Events) -> None:
    assert list(events.images) == ["x", "y"]
    for view in events.images.values():
        assert view.shape == (len(events), 8000)
        assert view.dtype == np.uint8
        assert view.indices.dtype == np.int32
        assert view.has_canonical_format
        view.check_format(full_check=True)
        assert (view.data > 0).all()
    hits = np.diff(events.images["x"].indptr) + np.diff(events.images["y"].indptr)
    assert hits.min() >= 20


def test_columns_and_types(events: Events) -> None:
    described = [column.name for column in get_detector("nova").truth if not column.expression]
    assert events.truth.columns == described
    integers = ("run", "subrun", "evt", "subevt", "cycle")
    codes = ("interaction", "finalstate", "finalstateprong", "parent", "particles", "trainingdata_idx")
    for names, dtype in (
        (("file",), pl.String),
        (integers, pl.Int64),
        (codes, pl.UInt32),
        (("nuenergy", "lepenergy"), pl.Float32),
        (("vtxx", "vtxy", "vtxz"), pl.Float64),
    ):
        assert {events.truth.schema[name] for name in names} == {dtype}
    assert events.truth.null_count().sum_horizontal().item() == 0


def test_derived_columns(events: Events) -> None:
    complete = get_detector("nova").complete(events).truth
    assert complete["flavour"].null_count() == 0
    assert complete.filter(pl.col("mode").is_null())["interaction"].unique().to_list() == [15]
    state = events.truth["finalstate"].to_numpy()
    np.testing.assert_array_equal(complete["n_tracks"].fill_null(-1).to_numpy(), track_counts(state))
    np.testing.assert_array_equal(complete["n_showers"].fill_null(-1).to_numpy(), shower_counts(state))


def test_keys_are_unique_and_tell_the_seed(events: Events) -> None:
    keys = [column.name for column in get_detector("nova").truth if column.role == "key"]
    assert events.truth.select(keys).n_unique() == len(events)
    other = simulate_block(config(), 2, 0, 10).truth
    assert not set(other["run"]) & set(events.truth["run"])
    assert events.truth["subrun"].max() == 2
    assert simulate_block(config(), 2**40, 0, 2).truth["run"].max() < 2**31


def test_final_states_count_what_shows(events: Events) -> None:
    truth = events.truth
    numu = truth.filter(pl.col("interaction") <= 3)
    tracks = track_counts(numu["finalstate"].to_numpy())
    assert np.mean(tracks >= 1) > 0.97  # the muon
    clear = track_counts(numu["finalstateprong"].to_numpy())
    assert (clear <= tracks).all()
    assert clear.mean() < tracks.mean()
    assert (numu["finalstate"] < 16).all()
    quasi = numu.filter(pl.col("interaction") == 0)
    deep = numu.filter(pl.col("interaction") == 2)
    showers = [shower_counts(part["finalstate"].to_numpy()).mean() for part in (quasi, deep)]
    assert showers[0] < 0.2 < 0.8 < showers[1]
    assert set(truth.filter(pl.col("interaction") == 15)["finalstate"]) <= {49}


def test_truth_of_code_15_and_parents(events: Events) -> None:
    rest = events.truth.filter(pl.col("interaction") == 15)
    assert (rest["nuenergy"] == 0).all()
    assert set(events.truth.filter(pl.col("interaction") <= 3)["parent"]) == {14}
    assert events.truth["particles"].min() >= 1
    assert np.abs(events.truth["vtxx"].to_numpy()).max() < 762
    assert 0 < events.truth["vtxz"].min() < events.truth["vtxz"].max() < 5967


def test_same_events_for_any_number_of_workers(events: Events) -> None:
    assert same(events, make(len(events), workers=3))


def test_fewer_events_are_the_first_of_more(events: Events) -> None:
    assert same(make(BLOCK_EVENTS + 30), events.select(slice(0, BLOCK_EVENTS + 30)))


def test_other_seeds_and_blocks_give_other_events(events: Events) -> None:
    first = events.select(slice(0, 50))
    for seed, block in ((2, 0), (1, 1)):
        other = simulate_block(config(), seed, block, 50)
        assert not np.array_equal(first.images["x"].toarray(), other.images["x"].toarray())


def test_the_charge_follows_the_energy(events: Events) -> None:
    contained = events.filter("interaction BETWEEN 0 AND 3 AND lepenergy < 2.5 AND ABS(vtxx) < 500")
    contained = contained.filter("ABS(vtxy) < 500 AND vtxz < 4500 AND nuenergy < 10")
    charge = sum(contained.images[view].sum(axis=1, dtype=np.int64) for view in ("x", "y"))
    energy = contained.truth["nuenergy"].to_numpy()
    assert len(contained) > 100
    assert np.corrcoef(energy, charge)[0, 1] > 0.9
    assert np.median(charge * 1.085e-3 / energy) == pytest.approx(0.6, abs=0.08)


@pytest.mark.parametrize(
    ("change", "measure", "low", "high"),
    [
        ({"nuisance": {"energy_scale": 1.1}}, total, 1.08, 1.12),
        ({"nuisance": {"light_scale": 0.9}}, total, 0.84, 0.93),
        ({"nuisance": {"attenuation_scale": 1.2}}, total, 0.7, 0.95),
        ({"readout": {"threshold_pe": 34.0}}, n_hits, 0.6, 0.93),
        ({"readout": {"dead_fraction": 0.1}}, n_hits, 0.87, 0.95),
        ({"readout": {"noise_hits": 11.0}}, n_hits, 1.05, 1.2),
        ({"readout": {"crosstalk": 0.2}}, n_hits, 1.05, 1.5),
        ({"transport": {"cascade": {"neutron_unseen": 1.0}}}, n_hits, 0.9, 1.0),
        ({"transport": {"matter": {"interaction_length_cm": 160.0}}}, n_hits, 1.005, 1.2),
    ],
)
def test_nuisance_parameters(change: dict[str, Any], measure: Any, low: float, high: float) -> None:
    """By name, and each in its direction."""
    plain, changed = (simulate_block(config(least_hits=1, **more), 3, 0) for more in ({}, change))
    assert low < measure(changed) / measure(plain) < high


def test_generator_settings_reach_the_events() -> None:
    only = simulate_block(config(generator={"nue_fraction": 1.0}), 1, 0, 200).truth
    assert set(only["interaction"]) <= {4, 5, 6, 7, 12, 13, 15}


def test_a_selection_that_nothing_passes_is_an_error() -> None:
    with pytest.raises(ConfigError, match="lower least_hits"):
        simulate_block(config(least_hits=15_000), 1, 0, 1)


@pytest.mark.parametrize(
    ("name", "values"), [("n_events", (0, 1, 1)), ("seed", (1, -1, 1)), ("workers", (1, 1, 0))]
)
def test_arguments_out_of_range(name: str, values: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigError, match=name):
        list(NovaSimulator().blocks(config(), *values))


def test_unknown_settings_are_errors() -> None:
    with pytest.raises(ValueError, match="energy_scal"):
        config(nuisance={"energy_scal": 1.0})


def test_the_detector_knows_its_simulator() -> None:
    simulator = get_detector("nova").simulator
    assert simulator is not None
    assert isinstance(simulator(), NovaSimulator)
