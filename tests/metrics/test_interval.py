"""Intervals: coverage, the bootstrap against plain resampling, and SciPy's binomial."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hitlens import metrics
from hitlens.errors import ConfigError, DataError
from hitlens.metrics import Interval


def plain_accuracy(y_true, y_pred):
    return float((y_true == y_pred).mean())


def plain_auc(y_true, y_score):
    return metrics.auc(y_true, y_score)


@pytest.fixture
def sample():
    rng = np.random.default_rng(0)
    y_true = rng.integers(0, 2, 300)
    return y_true, np.where(rng.random(300) < 0.9, y_true, 1 - y_true), rng.random(300) + y_true


def test_weights_and_index_resampling_agree(sample):
    y_true, y_pred, y_score = sample
    for fast, slow, other in (
        (metrics.accuracy, plain_accuracy, y_pred),
        (metrics.auc, plain_auc, y_score),
    ):
        a = metrics.bootstrap(fast, y_true, other, rng=np.random.default_rng(3), n_resamples=200)
        b = metrics.bootstrap(slow, y_true, other, rng=np.random.default_rng(3), n_resamples=200)
        assert (a.value, a.low, a.high) == pytest.approx((b.value, b.low, b.high), abs=1e-9)


def test_same_seed_same_interval(sample):
    found = [
        metrics.bootstrap(metrics.mcc, *sample[:2], rng=np.random.default_rng(seed)) for seed in (1, 1, 2)
    ]
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_blocks_do_not_change_the_interval(sample, monkeypatch):
    whole = metrics.bootstrap(metrics.accuracy, *sample[:2], rng=np.random.default_rng(1), n_resamples=90)
    monkeypatch.setattr("hitlens.metrics.interval._BLOCK", 300 * 7)
    assert whole == metrics.bootstrap(
        metrics.accuracy, *sample[:2], rng=np.random.default_rng(1), n_resamples=90
    )


def test_bootstrap_of_a_mean_has_the_normal_width():
    rng = np.random.default_rng(4)
    values = rng.normal(0, 2, 2000)
    found = metrics.bootstrap(np.mean, values, rng=rng, n_resamples=2000, level=0.68)
    expected = stats.norm.ppf(0.84) * values.std() / np.sqrt(len(values))
    assert (found.high - found.low) / 2 == pytest.approx(expected, rel=0.08)
    assert found.level == 0.68


def test_bootstrap_covers_the_true_accuracy():
    """Of 95 % intervals of 200 samples, 86 % to 99 % hold the truth (5 sigma)."""
    rng = np.random.default_rng(7)
    right = rng.random((200, 400)) < 0.8
    inside = [
        metrics.bootstrap(metrics.accuracy, np.ones(400), row, rng=rng, n_resamples=200).contains(0.8)
        for row in right
    ]
    assert 0.86 < np.mean(inside) <= 0.99


def test_undefined_resamples_are_left_out():
    found = metrics.bootstrap(metrics.auc, [0, 1, 1], [0.1, 0.2, 0.05], rng=np.random.default_rng(0))
    assert 0 <= found.low <= found.value <= found.high <= 1
    alone = metrics.bootstrap(metrics.auc, [1, 1], [0.1, 0.2], rng=np.random.default_rng(0))
    assert np.isnan([alone.value, alone.low, alone.high]).all()
    assert str(alone) == "undefined"


def test_bootstrap_all_shares_its_resamples(sample):
    y_true, y_pred, _ = sample
    both = metrics.bootstrap_all(
        {"accuracy": metrics.accuracy, "mcc": metrics.mcc}, y_true, y_pred, rng=np.random.default_rng(5)
    )
    assert both["mcc"] == metrics.bootstrap(metrics.mcc, y_true, y_pred, rng=np.random.default_rng(5))
    assert both["accuracy"].value == metrics.accuracy(y_true, y_pred)


@pytest.mark.parametrize("metric", [metrics.accuracy, plain_accuracy])
def test_paired_difference_is_narrower_than_independent_ones(metric):
    rng = np.random.default_rng(6)
    y_true = rng.integers(0, 2, 1000)
    a = np.where(rng.random(1000) < 0.9, y_true, 1 - y_true)
    b = a.copy()
    worse = rng.choice(np.flatnonzero(a == y_true), 30, replace=False)
    b[worse] = 1 - b[worse]
    found = metrics.paired_difference(metric, y_true, a, b, rng=rng)
    assert found.value == pytest.approx(0.03)
    assert found.low > 0
    single = metrics.bootstrap(metrics.accuracy, y_true, a, rng=rng)
    assert found.high - found.low < single.high - single.low


@pytest.mark.parametrize(("method", "name"), [("wilson", "wilson"), ("exact", "exact")])
def test_binomial_matches_scipy(method, name):
    expected = stats.binomtest(17, 20).proportion_ci(0.9, method=name)
    found = metrics.binomial(17, 20, level=0.9, method=method)
    assert (found.value, found.low, found.high) == (0.85, expected.low, expected.high)


def test_binomial_at_the_ends():
    assert metrics.binomial(0, 10).low == pytest.approx(0, abs=1e-12)
    assert metrics.binomial(10, 10, method="exact").low == pytest.approx(0.025 ** (1 / 10))
    assert np.isnan(metrics.binomial(0, 0).value)


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (Interval(0.991, 0.9901, 0.9919), "0.9910 [0.9901, 0.9919]"),
        (Interval(120.0, 100.0, 140.0), "120 [100, 140]"),
        (Interval(1.0, 1.0, 1.0), "1.000 [1.000, 1.000]"),
        (Interval(0.0, 0.0, 0.0), "0.000 [0.000, 0.000]"),
        (Interval(0.5, float("nan"), float("nan")), "0.5 [undefined]"),
        (Interval.undefined(), "undefined"),
    ],
)
def test_text(interval, text):
    assert str(interval) == text


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda rng: metrics.bootstrap(np.mean, rng=rng), DataError, "at least one array"),
        (lambda rng: metrics.bootstrap(np.mean, [], rng=rng), DataError, r"Got lengths \[0\]"),
        (lambda rng: metrics.bootstrap(np.mean, [1], [1, 2], rng=rng), DataError, r"lengths \[1, 2\]"),
        (lambda rng: metrics.bootstrap(np.mean, [1], rng=rng, n_resamples=0), ConfigError, "at least 1"),
        (lambda rng: metrics.bootstrap(np.mean, [1], rng=rng, level=95), ConfigError, "Got 95"),
        (lambda rng: metrics.binomial(3, 2), DataError, "Got 3 of 2"),
    ],
)
def test_wrong_arguments_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(np.random.default_rng(0))


def test_metrics_without_a_signature_are_resampled_too():
    found = metrics.bootstrap(max, [1.0, 2.0, 3.0], rng=np.random.default_rng(0), n_resamples=50)
    assert (found.value, found.high) == (3, 3)
    assert found.low < 3
