from __future__ import annotations

import numpy as np
import pytest

from hitlens.simulate.matter import (
    KAON,
    LOG_LOW,
    LOG_STEP,
    MASSES_MEV,
    MUON,
    PION,
    PROTON,
    Matter,
    constants,
    energy_loss,
    highest_transfer,
    mean_range_cm,
)
from hitlens.simulate.particle_data import masses_gev

MATTER = Matter()


def test_masses_are_those_of_the_particle_data() -> None:
    codes = np.array([13, 211, 321, 2212, 11, 22, 2112, 111, 130], np.int32)
    np.testing.assert_allclose(MASSES_MEV / 1000, masses_gev(codes), rtol=1e-4)


@pytest.mark.parametrize("length_cm", [200, 500, 1000])
def test_muon_range_is_the_detectors(length_cm: float) -> None:
    kinetic = 1000 * (0.17 + 0.00204 * length_cm) - MASSES_MEV[MUON]
    assert mean_range_cm(MATTER, MUON, kinetic) == pytest.approx(length_cm, rel=0.12)


@pytest.mark.parametrize("kinetic_mev", [60, 100, 200, 400])
def test_proton_range(kinetic_mev: float) -> None:
    assert mean_range_cm(MATTER, PROTON, kinetic_mev) == pytest.approx(0.0022 * kinetic_mev**1.77, rel=0.1)


def test_least_loss_is_the_setting() -> None:
    kinetic = np.geomspace(50, 5000, 200)
    least = energy_loss(Matter(minimum_loss_mev_per_cm=2.5, muon_radiation_per_cm=0), MUON, kinetic).min()
    assert least == pytest.approx(2.5, rel=0.01)


def test_ranges_scale_with_the_mass() -> None:
    """At the same velocity the loss is the same, so that the range over the mass is."""
    for kind in (PION, KAON, PROTON):
        kinetic = 0.3 * MASSES_MEV[kind]
        ratio = mean_range_cm(MATTER, kind, kinetic) / MASSES_MEV[kind]
        muon = mean_range_cm(MATTER, MUON, 0.3 * MASSES_MEV[MUON]) / MASSES_MEV[MUON]
        assert ratio == pytest.approx(muon, rel=0.06)


def test_muons_radiate_at_high_energies() -> None:
    without = Matter(muon_radiation_per_cm=0)
    assert energy_loss(MATTER, MUON, 1e5) - energy_loss(without, MUON, 1e5) == pytest.approx(0.1, rel=0.01)


def test_the_table_leaves_out_what_knock_on_electrons_take() -> None:
    table, whole = constants(MATTER), constants(Matter(delta_ray_mev=0))
    place = round((np.log(5000.0) - LOG_LOW) / LOG_STEP)
    kinetic = np.exp(LOG_LOW + LOG_STEP * place)
    top = highest_transfer(MUON, np.array(kinetic))
    # 1 / T^2 between the threshold and the top: the mean is ln(top / low) / (1 / low - 1 / top).
    mean = np.log(top / 6.0) / (1 / 6.0 - 1 / top)
    taken = table.delta_rate[MUON, place] * mean
    assert whole.loss[MUON, place] - table.loss[MUON, place] == pytest.approx(taken, rel=1e-6)
    assert 0.3 < taken < 0.6
    assert not whole.delta_rate.any()


def test_slow_protons_make_no_knock_on_electrons() -> None:
    assert constants(MATTER).delta_rate[PROTON, : round((np.log(500.0) - LOG_LOW) / LOG_STEP)].max() == 0
