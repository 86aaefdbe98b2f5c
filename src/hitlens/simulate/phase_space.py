"""Decays of systems into hadrons, for any number of systems at once: two bodies, or many with limited p_T.

Many bodies follow the longitudinal phase space (Jadach, Comput. Phys. Commun. 9, 297 (1975)): transverse
momenta are drawn and balanced; rapidities are y0 + a u with u drawn in 0-1 and y0, a such that energy and
longitudinal momentum come out exactly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hitlens.simulate.fourvectors import directions, from_momentum

Float64 = NDArray[np.float64]

#: Newton steps for the length of the rapidity range; convergence is quadratic and from one side.
_STEPS = 40
#: Share of the energy that transverse masses may take; transverse momenta that need more are made smaller.
_TRANSVERSE_SHARE = 0.95


def break_up_momentum(mass: Float64, first: Float64 | float, second: Float64 | float) -> Float64:
    """Return the momentum of both products of two-body decays in their rest frame; 0 below threshold.

    Args:
        mass: of the systems, shape (n,).
        first: mass of one product.
        second: mass of the other.

    Examples:
        >>> break_up_momentum(np.array([0.497611]), 0.13957, 0.13957).round(3)
        array([0.206])
    """
    product = (mass**2 - np.square(first + second)) * (mass**2 - np.square(first - second))
    momentum: Float64 = np.sqrt(np.maximum(product, 0.0)) / (2.0 * mass)
    return momentum


def decay_in_two(
    mass: Float64, first: Float64 | float, second: Float64 | float, rng: np.random.Generator
) -> tuple[Float64, Float64]:
    """Return both products of isotropic two-body decays in the rest frame, each of shape (4, n).

    Args:
        mass: of the systems, shape (n,).
        first: mass of one product.
        second: mass of the other.
        rng: random stream.
    """
    momentum = break_up_momentum(mass, first, second) * directions(len(mass), rng)
    return from_momentum(momentum, first), from_momentum(-momentum, second)


def longitudinal(
    offsets: NDArray[np.int64], mass: Float64, system: Float64, transverse: Float64, place: Float64
) -> Float64:
    """Return the products of systems of two or more bodies in their rest frames, the jet along z.

    Energy and momentum of each system are conserved. Transverse momenta are made smaller where the system has
    not the energy for them.

    Args:
        offsets: system i makes the products from offsets[i] to offsets[i + 1], two or more, shape (n + 1,).
        mass: of the products, shape (product,).
        system: masses of the systems, above the sum of their products', shape (n,).
        transverse: drawn transverse momenta, not yet balanced, shape (2, product).
        place: drawn places along the jet, any unit, larger is further forward, shape (product,).

    Returns:
        Four-vectors, shape (4, product).

    Examples:
        >>> transverse, place = 0.3 * np.eye(2, 3), np.array([0.1, 0.5, 0.8])
        >>> vectors = longitudinal(np.array([0, 3]), np.full(3, 0.14), np.array([2.0]), transverse, place)
        >>> vectors.sum(axis=1).round(9) + 0.0
        array([2., 0., 0., 0.])
    """
    starts, counts = offsets[:-1], np.diff(offsets)
    owner = np.repeat(np.arange(len(system)), counts)
    balanced = transverse - (np.add.reduceat(transverse, starts, axis=1) / counts)[:, owner]
    balanced = balanced * _shrink(starts, owner, mass, balanced, system)[owner]
    heavy = np.sqrt(mass**2 + (balanced**2).sum(axis=0))

    low, high = np.minimum.reduceat(place, starts), np.maximum.reduceat(place, starts)
    width = np.maximum(high - low, 1e-9)
    u = (place - low[owner]) / width[owner]
    length = _rapidity_range(starts, owner, heavy, u, system)
    forward = np.add.reduceat(heavy * np.exp(length[owner] * u), starts)
    backward = np.add.reduceat(heavy * np.exp(-length[owner] * u), starts)
    rapidity = (0.5 * np.log(backward / forward))[owner] + length[owner] * u
    return np.stack([heavy * np.cosh(rapidity), *balanced, heavy * np.sinh(rapidity)])


def _shrink(
    starts: NDArray[np.int64], owner: NDArray[np.int64], mass: Float64, transverse: Float64, system: Float64
) -> Float64:
    """Return a factor for the transverse momenta of each system that leaves it some longitudinal energy."""
    rest = np.add.reduceat(mass, starts)
    allowed = rest + _TRANSVERSE_SHARE * (system - rest)
    square = (transverse**2).sum(axis=0)
    factor = np.ones(len(system))
    for _ in range(_STEPS):
        energy = np.add.reduceat(np.sqrt(mass**2 + square * factor[owner] ** 2), starts)
        too_much = energy > allowed
        if not too_much.any():
            break
        factor = np.where(too_much, factor * 0.8, factor)
    return np.where(energy > allowed, 0.0, factor)


def _rapidity_range(
    starts: NDArray[np.int64], owner: NDArray[np.int64], heavy: Float64, u: Float64, system: Float64
) -> Float64:
    """Return a with sum(m e^(a u)) sum(m e^(-a u)) = W^2, u from 0 to 1 within each system.

    The logarithm of the left side is convex and grows with a; Newton from above cannot overshoot.
    """
    target = 2.0 * np.log(system)
    ends = np.log(np.where(u == 0.0, heavy, np.inf)), np.log(np.where(u == 1.0, heavy, np.inf))
    first, last = (np.minimum.reduceat(end, starts) for end in ends)
    length = target - first - last
    for _ in range(_STEPS):
        up, down = heavy * np.exp(length[owner] * u), heavy * np.exp(-length[owner] * u)
        sum_up, sum_down = np.add.reduceat(up, starts), np.add.reduceat(down, starts)
        excess = np.log(sum_up * sum_down) - target
        slope = np.add.reduceat(u * up, starts) / sum_up - np.add.reduceat(u * down, starts) / sum_down
        step = excess / np.maximum(slope, 1e-12)
        length = np.maximum(length - step, 0.0)
        if np.abs(step).max(initial=0.0) < 1e-11 * max(1.0, float(length.max(initial=0.0))):
            break
    return length
