"""Regression metrics against scikit-learn and NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as sk

from hitlens import metrics
from hitlens.errors import DataError
from hitlens.metrics.regression import weighted_quantiles

METRICS = (
    metrics.bias,
    metrics.mae,
    metrics.rmse,
    metrics.r2,
    metrics.resolution,
    metrics.residual_sd,
    metrics.relative_bias,
    metrics.relative_resolution,
    metrics.relative_sd,
)


@pytest.fixture(params=[(400,), (400, 2)], ids=["one component", "two components"])
def sample(request):
    rng = np.random.default_rng(8)
    y_true = rng.uniform(1, 3, request.param)
    return y_true, y_true + rng.normal(0.02, 0.1, request.param)


@pytest.mark.parametrize(
    ("ours", "reference"),
    [
        (metrics.mae, sk.mean_absolute_error),
        (metrics.rmse, lambda t, p: np.sqrt(sk.mean_squared_error(t, p))),
        (metrics.r2, sk.r2_score),
        (metrics.bias, lambda t, p: (p - t).mean()),
        (metrics.residual_sd, lambda t, p: (p - t).std(axis=0).mean()),
        (metrics.relative_bias, lambda t, p: ((p - t) / t).mean()),
        (metrics.relative_sd, lambda t, p: ((p - t) / t).std(axis=0).mean()),
    ],
)
def test_matches_reference(ours, reference, sample):
    assert ours(*sample) == pytest.approx(reference(*sample), abs=1e-12)


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.__name__)
def test_weights_are_repetitions(metric, sample):
    y_true, y_pred = sample
    counts = np.random.default_rng(3).integers(0, 4, (2, len(y_true)))
    found = metric(y_true, y_pred, weights=counts)
    expected = [metric(np.repeat(y_true, row, axis=0), np.repeat(y_pred, row, axis=0)) for row in counts]
    assert found == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.__name__)
def test_perfect_prediction(metric, sample):
    assert metric(sample[0], sample[0]) == (1 if metric is metrics.r2 else 0)


def test_r2_of_a_constant_truth_is_nan():
    assert np.isnan(metrics.r2([2.0, 2.0], [2.0, 3.0]))


def test_r2_is_exact_far_from_zero():
    y_true = 1e6 + np.array([0.0, 1.0, 2.0])
    assert metrics.r2(y_true, y_true + 0.1) == pytest.approx(sk.r2_score(y_true, y_true + 0.1), abs=1e-6)


def test_resolution_of_a_normal_is_its_sigma_and_ignores_outliers():
    rng = np.random.default_rng(9)
    residual = rng.normal(0, 0.3, 20_000)
    residual[:100] = 1000
    assert metrics.resolution(np.zeros(20_000), residual) == pytest.approx(0.3, rel=0.03)
    assert metrics.residual_sd(np.zeros(20_000), residual) > 10


def test_weighted_quantiles_match_numpy():
    rng = np.random.default_rng(10)
    values, counts = rng.normal(size=200), rng.integers(0, 5, 200)
    expected = np.quantile(np.repeat(values, counts), [0.1, 0.5, 0.9], method="inverted_cdf")
    assert (weighted_quantiles(values, [0.1, 0.5, 0.9], counts) == expected).all()
    assert weighted_quantiles(values, [0.5], np.stack([counts, counts])).shape == (1, 2)


def test_residual_quantiles_match_numpy(sample):
    y_true, y_pred = sample
    expected = np.quantile(y_pred - y_true, [0.16, 0.5, 0.84])
    assert metrics.residual_quantiles(y_true, y_pred, [0.16, 0.5, 0.84]) == pytest.approx(expected)


def test_pulls_of_right_errors_have_unit_width():
    rng = np.random.default_rng(11)
    sigma = rng.uniform(0.5, 2, (5000, 2))
    found = metrics.pulls(np.zeros((5000, 2)), rng.normal(0, sigma), sigma)
    assert found.shape == (5000, 2)
    assert found.std() == pytest.approx(1, abs=0.03)


def test_profile_is_the_metric_of_each_bin():
    rng = np.random.default_rng(12)
    x = np.r_[rng.uniform(0, 2, 500), 2.0, np.nan, 5.0]
    y_true = np.zeros(503)
    y_pred = rng.normal(0, 1 + np.nan_to_num(x))
    found = metrics.profile(metrics.rmse, x, y_true, y_pred, edges=[0, 1, 2], rng=rng, n_resamples=100)
    low, high = x < 1, (x >= 1) & (x <= 2)
    assert found.counts.tolist() == [low.sum(), high.sum()]
    assert found.values == pytest.approx([metrics.rmse(y_true[m], y_pred[m]) for m in (low, high)])
    assert (found.lows < found.values).all()
    assert (found.highs > found.values).all()
    assert found.centres.tolist() == [0.5, 1.5]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.mae([1.0], [1.0, 2.0]), "one shape"),
        (lambda: metrics.mae([], []), "at least one event"),
        (lambda: metrics.mae([np.nan], [1.0]), "y_true must be finite"),
        (lambda: metrics.rmse([[1.0, 2.0]], [[1.0, np.inf]]), "y_pred must be finite"),
        (lambda: metrics.relative_sd([0.0], [1.0]), "Got 0 at event 0"),
        (lambda: metrics.pulls([1.0], [1.0], [0.0]), "sigma must be above 0"),
        (
            lambda: metrics.profile(metrics.mae, [1], [1], [1], edges=[1, 0], rng=np.random.default_rng(0)),
            "ascending",
        ),
        (
            lambda: metrics.profile(
                metrics.mae, [1], [1, 2], [1], edges=[0, 1], rng=np.random.default_rng(0)
            ),
            "one length",
        ),
    ],
)
def test_wrong_arrays_are_refused(call, message):
    with pytest.raises(DataError, match=message):
        call()
