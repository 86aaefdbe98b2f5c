"""Four-vectors as arrays of shape (4, n): energy, px, py, pz in rows; boosts and rotations of all at once.

Metric (+, -, -, -), natural units with c = 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


def from_momentum(momentum: Float64, mass: Float64 | float) -> Float64:
    """Return four-vectors on the mass shell.

    Args:
        momentum: shape (3, n).
        mass: of each, shape (n,), or of all.

    Examples:
        >>> from_momentum(np.array([[0.0], [3.0], [0.0]]), 4.0).ravel()
        array([5., 0., 3., 0.])
    """
    energy = np.sqrt((momentum**2).sum(axis=0) + np.square(mass))
    return np.concatenate([energy[np.newaxis], momentum])


def mass_squared(vectors: Float64) -> Float64:
    """Return E^2 - p^2, shape (n,).

    Examples:
        >>> mass_squared(np.array([[5.0], [0.0], [3.0], [0.0]]))
        array([16.])
    """
    square: Float64 = vectors[0] ** 2 - (vectors[1:] ** 2).sum(axis=0)
    return square


def boost(vectors: Float64, frame: Float64, *, into: bool = False) -> Float64:
    """Return four-vectors given in the rest frame of a system as seen where the system moves.

    Args:
        vectors: in the rest frame of the system, shape (4, n).
        frame: the system's own four-vector, with a mass, shape (4, n).
        into: the other way: from where the system moves into its rest frame.

    Examples:
        >>> system = np.array([[5.0], [0.0], [0.0], [3.0]])
        >>> boost(np.array([[4.0], [0.0], [0.0], [0.0]]), system).ravel()
        array([5., 0., 0., 3.])
        >>> boost(system, system, into=True).round(12).ravel()
        array([4., 0., 0., 0.])
    """
    mass = np.sqrt(mass_squared(frame))
    toward = -frame[1:] if into else frame[1:]
    along = (vectors[1:] * toward).sum(axis=0)
    energy = (vectors[0] * frame[0] + along) / mass
    momentum = vectors[1:] + toward * ((along / (frame[0] + mass) + vectors[0]) / mass)
    return np.concatenate([energy[np.newaxis], momentum])


def turn(momentum: Float64, axis: Float64) -> Float64:
    """Return momenta given along z turned so that z lies along an axis.

    Args:
        momentum: shape (3, n).
        axis: any length but 0, shape (3, n).

    Examples:
        >>> turn(np.array([[0.0], [0.0], [2.0]]), np.array([[5.0], [0.0], [0.0]])).round(12).ravel()
        array([2., 0., 0.])
    """
    z = axis / np.sqrt((axis**2).sum(axis=0))
    # Two reflections make a rotation: of z or x, then the one that takes -z or z, the further, to the axis.
    forward = z[2] >= 0.0
    half = z.copy()
    half[2] += np.where(forward, 1.0, -1.0)
    mirrored = momentum.copy()
    mirrored[2] *= np.where(forward, -1.0, 1.0)
    mirrored[0] *= np.where(forward, 1.0, -1.0)
    across = (half * mirrored).sum(axis=0) * 2.0 / (half**2).sum(axis=0)
    turned: Float64 = mirrored - half * across
    return turned


def directions(n: int, rng: np.random.Generator) -> Float64:
    """Return unit vectors in any direction, each as likely, shape (3, n).

    Examples:
        >>> vectors = directions(5, np.random.default_rng(1))
        >>> (vectors**2).sum(axis=0).round(12)
        array([1., 1., 1., 1., 1.])
    """
    return cone(rng.uniform(-1.0, 1.0, n), rng)


def cone(cosine: Float64, rng: np.random.Generator) -> Float64:
    """Return unit vectors at given angles to the z axis and any azimuth, shape (3, n).

    Args:
        cosine: of the angle, shape (n,).
        rng: random stream.
    """
    sine = np.sqrt(np.maximum(1.0 - cosine**2, 0.0))
    azimuth = rng.uniform(0.0, 2 * np.pi, len(cosine))
    return np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), cosine])
