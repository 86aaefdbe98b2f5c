from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hitlens.simulate.deposits import new_record, with_room
from hitlens.simulate.matter import Matter, constants
from hitlens.simulate.showers import Shower, add_shower, photon_gap, shower_constants

BOX = np.array([-1e4, 1e4] * 3)
MATTER = constants(Matter())


def make(energy: float, n: int = 50, n_tracks: int = 1, shower: Shower | None = None) -> NDArray[np.float64]:
    """Return the spots of n showers along z: owner, x, y, z, light."""
    rng, record = np.random.default_rng(1), new_record(10_000)
    numbers = shower_constants(shower or Shower())
    for k in range(n):
        record = with_room(record, 10_000)
        start = np.array([0, 0, 0, 0, 0, 1.0, energy])
        add_shower(start, n_tracks, BOX, k, MATTER, numbers, record, rng)
    size = record.sizes[0]
    return np.column_stack([record.owner[:size], record.spots[:size]]).astype(np.float64)


@pytest.mark.parametrize("energy", [3.0, 40.0, 300.0, 5000.0])
def test_the_energy_is_kept_on_average(energy: float) -> None:
    spots = make(energy, n=200)
    light = np.bincount(spots[:, 0].astype(int), weights=spots[:, 4], minlength=200)
    assert light.mean() == pytest.approx(energy, rel=0.05)
    if energy > 100:
        assert light.std() / energy < 3.5 / np.sqrt(energy)


def test_more_spots_than_fit_keep_the_energy() -> None:
    spots = make(60_000.0, n=4)
    assert spots[:, 4].sum() == pytest.approx(4 * 60_000.0, rel=0.05)


def test_the_depth_grows_with_the_logarithm_of_the_energy() -> None:
    low, high = (np.average(s[:, 3], weights=s[:, 4]) for s in (make(1000.0), make(8000.0)))
    assert high - low == pytest.approx(np.log(8) * 38.0, rel=0.35)
    assert 80 < low < 160


def test_an_electron_ionises_at_once_and_a_pair_twice_as_much() -> None:
    one, two = (make(2000.0, n=300, n_tracks=n) for n in (1, 2))
    first, second = (s[s[:, 3] < 4, 4].sum() / 300 for s in (one, two))
    assert first == pytest.approx(4 * 2.1, rel=0.35)
    assert second / first == pytest.approx(2, rel=0.25)


def test_core_and_tail() -> None:
    spots = make(4000.0)
    r = np.hypot(spots[:, 1], spots[:, 2])
    inside = [spots[r < limit, 4].sum() / spots[:, 4].sum() for limit in (2.0, 11.0)]
    assert 0.5 < inside[0] < 0.8
    assert inside[1] > 0.85  # 90 % within a Moliere radius
    wide = make(4000.0, shower=Shower(tail_share=0.9))
    assert np.average(np.hypot(wide[:, 1], wide[:, 2]), weights=wide[:, 4]) > 1.5 * np.average(
        r, weights=spots[:, 4]
    )


def test_low_energies_stay_near() -> None:
    spots = make(20.0, n=300)
    assert np.average(spots[:, 3], weights=spots[:, 4]) < 15


def test_the_photons_way() -> None:
    rng = np.random.default_rng(1)
    ways = [photon_gap(MATTER, shower_constants(Shower()), rng) for _ in range(20_000)]
    assert np.mean(ways) == pytest.approx(49.0, rel=0.03)
    assert np.std(ways) == pytest.approx(49.0, rel=0.05)
