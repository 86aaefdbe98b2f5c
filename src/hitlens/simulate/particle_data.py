"""Masses, lifetimes and charges of particles by PDG code, from the Particle Data Group's table.

The table comes with the `particle` package. Neutrinos have no mass here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hitlens.errors import NotFoundError

Float64 = NDArray[np.float64]

_NEUTRINOS = (12, 14, 16)


@cache
def mass_gev(pdg: int) -> float:
    """Return the mass of one particle.

    Raises:
        NotFoundError: the table has no such particle or no mass for it.

    Examples:
        >>> round(mass_gev(13), 5)
        0.10566
        >>> mass_gev(-14)
        0.0
    """
    if abs(pdg) in _NEUTRINOS:
        return 0.0
    return float(_entry(pdg, "mass")) / 1000.0


@cache
def lifetime_ns(pdg: int) -> float:
    """Return the mean lifetime of one particle at rest; inf where it is stable.

    Raises:
        NotFoundError: the table has no such particle or no lifetime for it.

    Examples:
        >>> round(lifetime_ns(211), 3)
        26.033
    """
    if abs(pdg) in _NEUTRINOS:
        return float("inf")
    return float(_entry(pdg, "lifetime"))


@cache
def charge(pdg: int) -> int:
    """Return the electric charge of one particle in units of e.

    Raises:
        NotFoundError: the table has no such particle.

    Examples:
        >>> charge(11), charge(2212), charge(111)
        (-1, 1, 0)
    """
    return round(float(_entry(pdg, "charge")))


def masses_gev(pdg: NDArray[np.int32]) -> Float64:
    """Return the masses of particles.

    Args:
        pdg: PDG codes, any shape.

    Raises:
        NotFoundError: as `mass_gev`.

    Examples:
        >>> masses_gev(np.array([22, -2212], np.int32)).round(4)
        array([0.    , 0.9383])
    """
    return _look_up(mass_gev, pdg)


def lifetimes_ns(pdg: NDArray[np.int32]) -> Float64:
    """Return the mean lifetimes of particles at rest, inf for stable ones.

    Args:
        pdg: PDG codes, any shape.

    Raises:
        NotFoundError: as `lifetime_ns`.

    Examples:
        >>> lifetimes_ns(np.array([13, 11], np.int32)).round(0)
        array([2197.,   inf])
    """
    return _look_up(lifetime_ns, pdg)


def charges(pdg: NDArray[np.int32]) -> NDArray[np.int8]:
    """Return the electric charges of particles in units of e.

    Args:
        pdg: PDG codes, any shape.

    Raises:
        NotFoundError: as `charge`.

    Examples:
        >>> charges(np.array([-211, 321, 22], np.int32))
        array([-1,  1,  0], dtype=int8)
    """
    return _look_up(charge, pdg).astype(np.int8)


def _look_up(value: Callable[[int], float], pdg: NDArray[np.int32]) -> Float64:
    codes, place = np.unique(pdg, return_inverse=True)
    table = np.array([value(int(code)) for code in codes], dtype=np.float64)
    result: Float64 = table[place.reshape(np.shape(pdg))]
    return result


def _entry(pdg: int, name: str) -> Any:
    """Return one column of the table for a particle; an antiparticle is looked up by itself."""
    from particle import InvalidParticle, Particle, ParticleNotFound

    try:
        value = getattr(Particle.from_pdgid(pdg), name)
    except (ParticleNotFound, InvalidParticle) as error:
        raise NotFoundError(
            f"No particle has the PDG code {pdg}: use a code of the Particle Data Group, as 13 for a muon."
        ) from error
    if value is None:
        raise NotFoundError(f"The particle table has no {name} for the PDG code {pdg}.")
    return value
