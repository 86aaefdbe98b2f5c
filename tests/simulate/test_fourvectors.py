"""Boosts and rotations: invariants, inverses, known values."""

from __future__ import annotations

import numpy as np
import pytest

from hitlens.simulate.fourvectors import boost, cone, directions, from_momentum, mass_squared, turn


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_a_boost_keeps_masses_and_products(rng: np.random.Generator) -> None:
    first, second = (from_momentum(rng.normal(0, 3, (3, 200)), 0.14) for _ in range(2))
    frame = from_momentum(rng.normal(0, 2, (3, 200)), 1.2)
    moved = boost(first, frame), boost(second, frame)
    assert mass_squared(moved[0]) == pytest.approx(np.full(200, 0.14**2), abs=1e-9)
    assert mass_squared(moved[0] + moved[1]) == pytest.approx(mass_squared(first + second))


def test_a_boost_undone_is_nothing(rng: np.random.Generator) -> None:
    vectors = from_momentum(rng.normal(0, 3, (3, 200)), 0.5)
    frame = from_momentum(rng.normal(0, 2, (3, 200)), 1.2)
    assert boost(boost(vectors, frame, into=True), frame) == pytest.approx(vectors)
    assert boost(frame, frame, into=True)[1:] == pytest.approx(np.zeros((3, 200)), abs=1e-12)


def test_a_boost_along_z_is_the_textbooks() -> None:
    gamma, beta = 1.25, 0.6
    at_rest = np.array([[2.0], [0.1], [0.0], [0.5]])
    moving = boost(at_rest, np.array([[gamma], [0.0], [0.0], [gamma * beta]]))
    energy, along = gamma * (2.0 + beta * 0.5), gamma * (0.5 + beta * 2.0)
    assert moving.ravel() == pytest.approx([energy, 0.1, 0.0, along])


@pytest.mark.parametrize("axis", [(0, 0, 1), (0, 0, -1), (1, 0, 0), (-0.3, 0.2, -0.9)])
def test_turning_keeps_lengths_angles_and_handedness(
    axis: tuple[float, ...], rng: np.random.Generator
) -> None:
    momentum = rng.normal(size=(3, 3))
    axes = np.repeat(np.array(axis, float)[:, np.newaxis], 3, axis=1)
    turned = turn(momentum, axes)
    unit = axes[:, 0] / np.linalg.norm(axes[:, 0])
    assert unit @ turned == pytest.approx(momentum[2])
    assert turned.T @ turned == pytest.approx(momentum.T @ momentum)
    assert np.linalg.det(turned) == pytest.approx(np.linalg.det(momentum))


def test_directions_are_isotropic(rng: np.random.Generator) -> None:
    vectors = directions(40_000, rng)
    assert vectors.mean(axis=1) == pytest.approx(np.zeros(3), abs=0.015)
    assert (vectors**2).mean(axis=1) == pytest.approx(np.full(3, 1 / 3), abs=0.01)


def test_a_cone_has_its_angle(rng: np.random.Generator) -> None:
    vectors = cone(np.array([0.5, -1.0, 1.0]), rng)
    assert vectors[2] == pytest.approx([0.5, -1.0, 1.0])
    assert (vectors**2).sum(axis=0) == pytest.approx(np.ones(3))
