"""Maps of predicted values: nothing lost, bins where the events are."""

from __future__ import annotations

import numpy as np

from hitlens.evaluate.value_maps import is_wide, migration, migration_edges, residual_histograms, truth_map

RNG = np.random.default_rng(1)
ENERGY = RNG.lognormal(1.8, 1.2, 5000).clip(0.3, 100)
PREDICTED = ENERGY * RNG.lognormal(0, 0.2, 5000)


def test_energies_over_decades_are_binned_in_equal_factors() -> None:
    assert is_wide(ENERGY)
    assert not is_wide(RNG.random(1000)), "uniform from zero"
    assert not is_wide(ENERGY - 1)
    edges = migration_edges(ENERGY)
    ratios = edges[1:] / edges[:-1]
    assert ratios.max() / ratios.min() < 1.3
    assert all(float(f"{edge:.2g}") == round(edge, 9) for edge in edges)
    steps = np.diff(migration_edges(RNG.random(1000)))
    assert steps.max() / steps.min() < 2.1


def test_a_migration_matrix_loses_no_event() -> None:
    found = migration("e", "GeV", ENERGY, np.where(PREDICTED > 20, -5.0, PREDICTED))
    counts = np.array(found.counts)
    assert counts.sum() == 5000
    assert found.n_outside == 0
    assert counts[-1, 0] > 0
    perfect = np.array(migration("e", "GeV", ENERGY, ENERGY).counts)
    assert perfect.trace() == 5000


def test_a_single_value_still_has_bins() -> None:
    found = migration("n", "", np.full(7, 2.0), np.arange(7.0))
    assert np.array(found.counts).sum() == 7
    assert np.array(truth_map("n", "", np.full(7, 2.0), np.full(7, 2.0)).counts).sum() == 7
    assert truth_map("n", "", np.zeros(0), np.zeros(0)).n_outside == 0


def test_relative_residuals_stand_beside_absolute_ones_where_energies_span_decades() -> None:
    plain, relative = residual_histograms("e", "GeV", ENERGY, PREDICTED)
    assert (plain.label, relative.label) == ("predicted - true [GeV]", "(predicted - true) / true")
    assert sum(plain.counts["model"]) == sum(relative.counts["model"]) == 5000
    half = np.diff(np.quantile(PREDICTED / ENERGY - 1, [0.16, 0.84]))[0] / 2
    assert abs(relative.edges[-1] / 5 - half) < 0.02
    assert len(residual_histograms("y", "", RNG.random(100), RNG.random(100))) == 1
    assert sum(residual_histograms("y", "", np.zeros(0), np.zeros(0))[0].counts["model"]) == 0


def test_the_map_of_a_wide_range_starts_above_zero() -> None:
    found = truth_map("e", "GeV", ENERGY, PREDICTED)
    assert found.x_edges[0] > 0
    assert found.x_edges[1] / found.x_edges[0] < 1.2
    assert np.array(found.counts).sum() + found.n_outside == 5000
