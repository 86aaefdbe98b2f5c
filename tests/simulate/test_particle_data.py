"""The particle table: values of the Particle Data Group, arrays, errors."""

from __future__ import annotations

import numpy as np
import pytest

from hitlens.errors import NotFoundError
from hitlens.simulate.particle_data import charges, lifetime_ns, lifetimes_ns, mass_gev, masses_gev


@pytest.mark.parametrize(
    ("pdg", "mass", "sign"),
    [(11, 0.000511, -1), (-13, 0.10566, 1), (22, 0.0, 0), (-211, 0.13957, -1), (2112, 0.93957, 0)],
)
def test_values(pdg: int, mass: float, sign: int) -> None:
    assert mass_gev(pdg) == pytest.approx(mass, abs=5e-6)
    assert charges(np.array([pdg], np.int32))[0] == sign


def test_arrays_keep_their_shape() -> None:
    pdg = np.array([[211, 13], [11, 211]], np.int32)
    assert masses_gev(pdg) == pytest.approx(np.array([[0.13957, 0.10566], [0.000511, 0.13957]]), abs=5e-6)
    assert lifetimes_ns(pdg)[1, 0] == np.inf
    assert lifetimes_ns(pdg)[0, 0] == lifetime_ns(211) == pytest.approx(26.03, abs=0.01)


def test_a_nonsense_code_is_refused() -> None:
    with pytest.raises(NotFoundError, match="123456789"):
        masses_gev(np.array([123456789], np.int32))


def test_neutrinos_are_massless_and_stable() -> None:
    assert mass_gev(-16) == 0.0
    assert lifetime_ns(12) == np.inf
