"""Cuts on a score: against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hitlens import metrics
from hitlens.errors import DataError


@pytest.fixture
def sample():
    rng = np.random.default_rng(1)
    y_true = (rng.random(600) < 0.3).astype(int)
    return y_true, np.round(rng.normal(y_true, 0.7), 1)


def test_scan_counts_what_passes(sample):
    y_true, y_score = sample
    scan = metrics.scan_cuts(y_true, y_score, [0.5, -9, 9])
    assert scan.thresholds.tolist() == [-9, 0.5, 9]
    selected = (y_score >= 0.5).astype(int)
    assert scan.purity[1] == pytest.approx(metrics.purity(y_true, selected))
    assert scan.signal_efficiency[1] == pytest.approx(metrics.signal_efficiency(y_true, selected))
    assert scan.background_rejection[1] == pytest.approx(metrics.background_rejection(y_true, selected))
    assert scan.signal_efficiency[[0, 2]].tolist() == [1, 0]
    assert np.isnan(scan.purity[2])
    assert scan.figure_of_merit[2] == 0
    signal = (selected & y_true).sum()
    assert scan.figure_of_merit[1] == pytest.approx(signal / np.sqrt(selected.sum()))


def test_scan_by_default_goes_from_all_to_the_best_score(sample):
    scan = metrics.scan_cuts(*sample)
    assert len(scan.thresholds) == 201
    assert scan.signal_efficiency[0] == 1
    assert scan.n_signal[-1] + scan.n_background[-1] >= 1


def test_one_cut_has_binomial_intervals(sample):
    found = metrics.apply_cut(*sample, 0.5, level=0.9)
    signal = sample[0] == 1
    assert found.signal_efficiency == metrics.binomial(
        int((signal & (sample[1] >= 0.5)).sum()), int(signal.sum()), level=0.9
    )
    assert found.purity.low < found.purity.value < found.purity.high
    assert found.background_rejection.level == 0.9


def test_best_cut_beats_every_other(sample):
    y_true, y_score = sample
    cut = metrics.best_cut(y_true, y_score)
    best = metrics.apply_cut(y_true, y_score, cut).figure_of_merit
    assert best == pytest.approx(metrics.scan_cuts(y_true, y_score, np.unique(y_score)).figure_of_merit.max())
    pure = metrics.best_cut(y_true, y_score, min_purity=0.9)
    assert pure > cut
    assert metrics.apply_cut(y_true, y_score, pure).purity.value >= 0.9


def test_impossible_cuts_are_refused():
    with pytest.raises(DataError, match="needs signal"):
        metrics.best_cut([0, 0], [0.1, 0.2])
    with pytest.raises(DataError, match=r"No cut reaches a purity of 0.9. The highest is 0.5"):
        metrics.best_cut([1, 0], [0.1, 0.2], min_purity=0.9)
    with pytest.raises(DataError, match="one shape"):
        metrics.scan_cuts([1, 0], [0.1])
