from __future__ import annotations

import numpy as np
import pytest

from hitlens.detectors.nova.particles import Particles
from hitlens.detectors.nova.propagation import (
    FAR_DETECTOR,
    Vertices,
    boxes,
    collect_cells,
    corners,
    deposit,
    draw_vertices,
    prong_light,
    track_particles,
)
from hitlens.simulate.matter import MUON, PHOTON, PROTON
from hitlens.simulate.transport import Transport


def particles(*rows: tuple[int, int, float, float, float]) -> Particles:
    event, pdg, px, py, pz = zip(*rows, strict=True)
    return Particles(np.array(event), np.array(pdg, np.int32), np.array(px), np.array(py), np.array(pz))


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_vertices_keep_their_distance() -> None:
    vertex = draw_vertices(Vertices(margin_cm=100, margin_front_cm=50, margin_back_cm=1000), 5000, rng())
    assert np.abs(vertex[:, :2]).max() <= FAR_DETECTOR.half_width_cm - 100
    assert vertex[:, 2].min() >= 50
    assert vertex[:, 2].max() <= FAR_DETECTOR.length_cm - 1000
    np.testing.assert_allclose(vertex.mean(axis=0), [0, 0, (50 + FAR_DETECTOR.length_cm - 1000) / 2], atol=80)


def test_boxes_are_the_windows_inside_the_detector() -> None:
    vertex = np.array([[0.0, 0.0, 3000.0], [700.0, -700.0, 20.0]])
    box, corner = boxes(vertex), corners(vertex)
    assert (box[:, 0::2] < vertex).all()
    assert (box[:, 1::2] > vertex).all()
    assert (np.abs(box[:, :4]) <= FAR_DETECTOR.half_width_cm).all()
    assert box[1, 4] == 0
    assert box[0, 4] == corner[0, 0] * FAR_DETECTOR.plane_cm
    assert box[0, 5] - vertex[0, 2] > 1332  # 100 columns


def test_neutral_pions_become_two_photons_of_their_energy_and_momentum() -> None:
    given = particles((0, 111, 0.3, -0.2, 0.5), (1, 13, 0, 0, 2.0), (1, 111, 0, 0, 4.0), (3, 2212, 0, 0, 1.0))
    tracked = track_particles(given, rng())
    assert tracked.event.tolist() == [0, 0, 1, 1, 1, 3]
    assert sorted(tracked.kind[2:5].tolist()) == sorted([MUON, PHOTON, PHOTON])
    photons = tracked.kind[:2] == PHOTON
    assert photons.all()
    momentum = (tracked.way[:2] * tracked.kinetic_mev[:2, np.newaxis]).sum(axis=0)
    np.testing.assert_allclose(momentum, [300, -200, 500], rtol=1e-6)
    assert tracked.kinetic_mev[:2].sum() == pytest.approx(1000 * given.energy_gev[0], rel=1e-5)
    assert tracked.kinetic_mev[-1] == pytest.approx(1000 * given.kinetic_gev[-1], rel=1e-6)
    np.testing.assert_allclose((tracked.way**2).sum(axis=1), 1)


def test_neutrinos_and_unknown_particles_leave_nothing() -> None:
    tracked = track_particles(particles((0, 14, 0, 0, 5.0), (0, -16, 0, 0, 5.0), (0, 3122, 0, 0, 1.0)), rng())
    deposits = deposit(Transport(), tracked, np.array([[0, 0, 3000.0]]), rng())
    assert len(deposits.owner) == 0
    assert len(collect_cells(deposits, tracked, np.array([[0, 0, 3000.0]]), 0.0).event) == 0


def test_each_event_has_its_own_cells() -> None:
    given = particles((0, 13, 0, 0, 1.0), (2, 13, 0.1, 0, 1.0), (2, 2212, 0, 0.2, 0.9))
    vertex = np.array([[0, 0, 500.0], [0, 0, 500.0], [100, -300, 2000.0]])
    tracked = track_particles(given, rng())
    deposits = deposit(Transport(), tracked, vertex, rng())
    cells = collect_cells(deposits, tracked, vertex, 0.0)
    assert set(cells.event.tolist()) == {0, 2}
    first_plane = 500 // FAR_DETECTOR.plane_cm
    mine = cells.event == 0
    assert cells.plane[mine].min() >= first_plane - 2
    in_x = mine & (cells.plane % 2 == 0)
    assert np.median(cells.cell[in_x]) == pytest.approx(FAR_DETECTOR.n_cells / 2, abs=4)
    in_y = (cells.event == 2) & (cells.plane % 2 == 1)
    assert np.median(cells.cell[in_y]) == pytest.approx(FAR_DETECTOR.n_cells / 2 - 300 / 3.97, abs=6)


def test_light_by_prong() -> None:
    given = particles((0, 13, 0, 0, 0.6), (0, 2212, 0, 0, 0.4), (1, 12, 0, 0, 3.0))
    tracked = track_particles(given, rng())
    light = prong_light(deposit(Transport(), tracked, np.tile([0, 0, 3000.0], (2, 1)), rng()), tracked)
    kinds = dict(zip(tracked.kind.tolist(), light, strict=True))
    assert kinds[MUON] == pytest.approx(504, rel=0.1)
    assert 20 < kinds[PROTON] < 80  # 81 MeV before Birks
    assert kinds[-1] == 0
