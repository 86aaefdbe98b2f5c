"""The record of particles: energies, masses, where each event starts."""

from __future__ import annotations

import numpy as np
import pytest

from hitlens.detectors.nova.particles import Particles


@pytest.fixture
def particles() -> Particles:
    momenta = np.array([[3.0, 0.0, 0.1], [0.0, 0.0, 0.2], [4.0, 0.0, -0.2]])
    return Particles(np.array([0, 2, 2]), np.array([22, 2212, -211], np.int32), *momenta)


def test_energies(particles: Particles) -> None:
    assert particles.momentum_gev == pytest.approx([5.0, 0.0, 0.3])
    assert particles.energy_gev == pytest.approx([5.0, 0.938272, np.hypot(0.3, 0.13957)], abs=1e-5)
    assert particles.kinetic_gev[:2] == pytest.approx([5.0, 0.0], abs=1e-12)


def test_offsets_count_events_without_particles(particles: Particles) -> None:
    assert particles.offsets(4).tolist() == [0, 1, 1, 3, 3]
    assert len(particles) == 3
