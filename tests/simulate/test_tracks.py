from __future__ import annotations

import numpy as np
import pytest

from hitlens.simulate.deposits import Record, new_record
from hitlens.simulate.matter import ELECTRON, MUON, PROTON, Matter, constants, energy_loss, mean_range_cm
from hitlens.simulate.tracks import End, follow_track

BOX = np.array([-1e4, 1e4] * 3)
#: Without what leaves a track and without Birks, so that all energy is seen in it.
CLEAN = Matter(delta_ray_mev=0, birks_cm_per_mev=0, muon_radiation_per_cm=0)


def follow(
    kind: int,
    kinetic: float,
    matter: Matter = CLEAN,
    length: float = np.inf,
    box: object = BOX,
    seed: int = 1,
) -> tuple[End, Record]:
    record = new_record(6000)
    start = np.array([0, 0, 0, 0, 0, 1.0, kinetic])
    rng = np.random.default_rng(seed)
    end = follow_track(kind, start, length, 0.8, np.asarray(box), 7, constants(matter), record, rng)
    return end, record


@pytest.mark.parametrize(("kind", "kinetic"), [(MUON, 800.0), (PROTON, 250.0)])
def test_a_track_leaves_all_its_energy_and_stops(kind: int, kinetic: float) -> None:
    end, record = follow(kind, kinetic)
    n = record.sizes[0]
    assert not end.outside
    assert record.spots[:n, 3].sum() == pytest.approx(kinetic, rel=1e-3)
    assert set(record.owner[:n]) == {7}
    assert end.kinetic < 0.06


def test_mean_range() -> None:
    ways = [follow(PROTON, 250.0, seed=seed)[0].z for seed in range(60)]
    assert np.mean(ways) == pytest.approx(mean_range_cm(CLEAN, PROTON, 250.0), rel=0.03)


def test_mean_energy_loss_and_straggling_of_a_plane() -> None:
    lost = np.array(
        [3000.0 - follow(MUON, 3000.0, length=6.66, seed=seed)[0].kinetic for seed in range(2000)]
    )
    assert lost.mean() == pytest.approx(6.66 * energy_loss(CLEAN, MUON, 3000.0), rel=0.02)
    assert 0.15 < lost.std() / lost.mean() < 0.21
    assert np.median(lost) < lost.mean()  # a tail to high losses


def test_multiple_scattering_is_highlands() -> None:
    ends = [follow(MUON, 3000.0, length=100.0, seed=seed)[0] for seed in range(500)]
    expected = 13.6 / 3105.0 * np.sqrt(100 / CLEAN.radiation_length_cm)
    assert np.std([end.ux for end in ends]) == pytest.approx(expected, rel=0.1)


def test_it_interacts_after_its_length() -> None:
    end, _ = follow(PROTON, 1000.0, length=30.0)
    assert end.z == pytest.approx(30.0, abs=0.5)
    assert end.kinetic > 800


def test_it_ends_where_the_box_does() -> None:
    end, record = follow(MUON, 5000.0, box=[-100, 100, -100, 100, -10, 50])
    assert end.outside
    assert 50 < end.z < 51
    assert record.spots[: record.sizes[0], 2].max() < 51


def test_knock_on_electrons_take_their_share() -> None:
    """Light in the track and electrons together are the whole loss."""
    matter = Matter(birks_cm_per_mev=0, muon_radiation_per_cm=0)
    in_track, in_electrons, n_electrons = 0.0, 0.0, 0
    for seed in range(300):
        _, record = follow(MUON, 3000.0, matter, length=200.0, seed=seed)
        in_track += record.spots[: record.sizes[0], 3].sum()
        waiting = record.waiting[: record.sizes[1]]
        assert (waiting[:, 0] == ELECTRON).all()
        assert (waiting[:, 7] >= 6).all()
        in_electrons += waiting[:, 7].sum()
        n_electrons += len(waiting)
    loss = energy_loss(matter, MUON, 2800.0) * 200 * 300
    assert in_track + in_electrons == pytest.approx(loss, rel=0.03)
    assert n_electrons / 300 == pytest.approx(2.7, rel=0.15)


def test_hard_photons_of_fast_muons() -> None:
    matter = Matter(delta_ray_mev=0, muon_radiation_per_cm=2e-4)
    photons = []
    for seed in range(200):
        _, record = follow(MUON, 20_000.0, matter, length=100.0, seed=seed)
        photons += record.waiting[: record.sizes[1], 7].tolist()
    assert min(photons) > 50
    # Half of b E, spread as 1 / k: once in 1 / (b / 2 ln(E / 50 MeV)) cm.
    assert len(photons) / 200 == pytest.approx(100 * 1e-4 * np.log(400), rel=0.3)


def test_birks() -> None:
    _, with_birks = follow(PROTON, 60.0, Matter(delta_ray_mev=0))
    light = with_birks.spots[: with_birks.sizes[0], 3].sum()
    assert 0.7 < light / 60 < 0.95
    _, muon = follow(MUON, 3000.0, Matter(delta_ray_mev=0, muon_radiation_per_cm=0), length=300.0)
    _, clean = follow(MUON, 3000.0, length=300.0)
    sums = [record.spots[: record.sizes[0], 3].sum() for record in (muon, clean)]
    assert sums[0] == pytest.approx(sums[1], rel=0.03)  # as a minimum-ionising particle is what counts
