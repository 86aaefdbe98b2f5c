"""Decays: energy and momentum, known break-up momenta, shapes of transverse momentum and rapidity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitlens.simulate.fourvectors import mass_squared
from hitlens.simulate.phase_space import break_up_momentum, decay_in_two, longitudinal


@pytest.mark.parametrize(
    ("mass", "first", "second", "momentum"),
    [(1.232, 0.93827, 0.13957, 0.2272), (0.493677, 0.1056584, 0.0, 0.2355), (1.0, 0.7, 0.4, 0.0)],
)
def test_break_up_momenta_of_the_particle_data_group(
    mass: float, first: float, second: float, momentum: float
) -> None:
    assert break_up_momentum(np.array([mass]), first, second)[0] == pytest.approx(momentum, abs=2e-4)


def test_two_bodies_conserve_energy_and_momentum() -> None:
    mass = np.linspace(1.1, 3.0, 50)
    one, two = decay_in_two(mass, 0.938, 0.14, np.random.default_rng(1))
    assert (one + two)[0] == pytest.approx(mass)
    assert (one + two)[1:] == pytest.approx(np.zeros((3, 50)), abs=1e-12)
    assert np.sqrt(mass_squared(one)) == pytest.approx(np.full(50, 0.938))


@settings(max_examples=40, deadline=None)
@given(
    n_bodies=st.lists(st.integers(2, 14), min_size=1, max_size=8),
    room=st.floats(1e-3, 30.0),
    spread=st.floats(0.0, 2.0),
    seed=st.integers(0, 1000),
)
def test_many_bodies_conserve_energy_and_momentum(
    n_bodies: list[int], room: float, spread: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(n_bodies)])
    mass = rng.choice([0.0005, 0.14, 0.494, 0.938], offsets[-1])
    system = np.add.reduceat(mass, offsets[:-1]) + room
    transverse, place = rng.normal(0, spread, (2, offsets[-1])), rng.random(offsets[-1])
    vectors = longitudinal(offsets, mass, system, transverse, place)
    total = np.add.reduceat(vectors, offsets[:-1], axis=1)
    assert total[0] == pytest.approx(system, rel=1e-6)
    assert total[1:] == pytest.approx(np.zeros_like(total[1:]), abs=1e-6 * float(system.max()))
    assert mass_squared(vectors) == pytest.approx(mass**2, abs=1e-6 * float(system.max()) ** 2)


def test_transverse_momenta_stay_as_drawn_where_there_is_energy() -> None:
    rng = np.random.default_rng(3)
    n, bodies = 2000, 6
    offsets = np.arange(n + 1) * bodies
    transverse = rng.normal(0, np.sqrt(0.14), (2, n * bodies))
    vectors = longitudinal(
        offsets, np.full(n * bodies, 0.14), np.full(n, 20.0), transverse, rng.random(n * bodies)
    )
    square = (vectors[1:3] ** 2).sum(axis=0).mean()
    # Balancing takes one of six degrees of freedom.
    assert square == pytest.approx(0.28 * 5 / 6, rel=0.02)


def test_places_order_the_rapidities() -> None:
    place = np.array([0.9, 0.1, 0.5, 0.3])
    vectors = longitudinal(
        np.array([0, 4]),
        np.full(4, 0.14),
        np.array([6.0]),
        np.random.default_rng(1).normal(0, 0.2, (2, 4)),
        place,
    )
    rapidity = np.arctanh(vectors[3] / vectors[0])
    assert (np.argsort(rapidity) == np.argsort(place)).all()
