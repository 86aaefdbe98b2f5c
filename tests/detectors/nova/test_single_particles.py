from __future__ import annotations

import numpy as np
import pytest

from hitlens.detectors.nova.simulate import NovaConfig
from hitlens.detectors.nova.single_particles import (
    conversion_gap_cm,
    hadronic_energies,
    muon_columns,
    shoot,
    vertex_columns,
)

CONFIG = NovaConfig()


def test_muons_far_from_the_readout_and_near_to_it() -> None:
    far, near = muon_columns(CONFIG, n=150)
    assert far.efficiency < 0.7 < 0.9 < near.efficiency
    assert far.smallest > near.smallest + 3
    assert 1.0 < far.hits < near.hits < 1.6
    assert 8 < near.counts < 12


def test_electrons_are_brighter_and_shorter_than_muons() -> None:
    start = np.array([0.0, 0.0, 1000.0])
    electrons, muons = (shoot(CONFIG, pdg, 3.0, 50, start) for pdg in (11, 13))
    assert electrons.counts.max() > 60
    assert np.quantile(electrons.place // 80, 0.99) < np.quantile(muons.place // 80, 0.99)
    assert len(np.unique(electrons.event)) == 50


def test_the_same_seed_shoots_the_same() -> None:
    start = np.array([0.0, 0.0, 1000.0])
    one, two = (shoot(CONFIG, 211, 1.0, 10, start, seed=4) for _ in range(2))
    np.testing.assert_array_equal(one.counts, two.counts)


def test_the_gap_of_photons_is_the_setting() -> None:
    assert conversion_gap_cm(CONFIG, n=300) == pytest.approx(49, abs=8)
    short = NovaConfig.model_validate({"transport": {"shower": {"conversion": 0.5}}})
    assert conversion_gap_cm(short, n=300) < 30


def test_vertices_are_near_the_first_column() -> None:
    columns = vertex_columns(CONFIG, n=300)
    assert columns.min() >= -40
    assert np.mean((columns >= 0) & (columns <= 2)) > 0.7


def test_hadrons_are_seen_in_part() -> None:
    visible, true = hadronic_energies(CONFIG, n=1500)
    assert len(visible) > 400
    assert visible.sum() / true.sum() == pytest.approx(0.56, abs=0.04)
    assert np.corrcoef(visible, true)[0, 1] > 0.95
