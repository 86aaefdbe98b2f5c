"""Calibration: against scikit-learn's curve and torchmetrics' error."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from hitlens import metrics
from hitlens.errors import ConfigError


@pytest.fixture
def sample():
    rng = np.random.default_rng(2)
    y_prob = rng.random(4000)
    return (rng.random(4000) < y_prob).astype(int), y_prob


def test_curve_matches_scikit_learn(sample):
    fraction, probability = calibration_curve(*sample, n_bins=8)
    curve = metrics.reliability_curve(*sample, n_bins=8)
    assert curve.mean_probability == pytest.approx(probability)
    assert [interval.value for interval in curve.signal_fraction] == pytest.approx(fraction)
    assert curve.counts.sum() == 4000


def test_error_matches_torchmetrics(sample):
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.classification")
    y_true, y_prob = sample
    expected = functional.binary_calibration_error(
        torch.as_tensor(y_prob), torch.as_tensor(y_true), n_bins=10
    )
    assert metrics.expected_calibration_error(y_true, y_prob) == pytest.approx(expected.item(), abs=1e-6)


def test_calibrated_score_lies_in_its_intervals(sample):
    curve = metrics.reliability_curve(*sample, level=0.999)
    inside = [
        interval.contains(p)
        for interval, p in zip(curve.signal_fraction, curve.mean_probability, strict=True)
    ]
    assert all(inside)
    assert metrics.expected_calibration_error(*sample) < 0.03


def test_overconfident_score_is_seen(sample):
    y_true, y_prob = sample
    sharper = np.clip(0.5 + 2 * (y_prob - 0.5), 0, 1)
    assert metrics.expected_calibration_error(y_true, sharper) > 0.1


def test_empty_bins_are_undefined():
    curve = metrics.reliability_curve([0, 1], [0.0, 1.0], n_bins=3)
    assert curve.counts.tolist() == [1, 0, 1]
    assert np.isnan(curve.mean_probability[1])
    assert np.isnan(curve.signal_fraction[1].value)


def test_no_bins_are_refused():
    with pytest.raises(ConfigError, match="at least 1"):
        metrics.reliability_curve([0, 1], [0.0, 1.0], n_bins=0)
