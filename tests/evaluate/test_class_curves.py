"""Curves of a classification against what they must be, worked out by hand or another way."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from hitlens import metrics
from hitlens.detector import SliceVariable, Task
from hitlens.evaluate.class_curves import calibration_curves, choose_cut, cut_curve, score_histograms
from hitlens.evaluate.slices import Binned

BINARY = Task(name="b", kind="binary", meaning="", target="t", class_names=("no", "yes"))
THREE = Task(name="m", kind="multiclass", meaning="", target="t", class_names=("a", "b", "c"))


@pytest.fixture
def sample() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    scores = rng.random(4000)
    return (rng.random(4000) < scores).astype(np.int64), scores


def test_calibration_agrees_with_scikit_learn(sample) -> None:
    y_true, scores = sample
    (curve,) = calibration_curves(BINARY, y_true, scores, 0.95)
    assert curve.name == "calibration yes"
    fraction, mean = calibration_curve(y_true, scores, n_bins=10)
    np.testing.assert_allclose(curve.data["signal_fraction"], fraction, atol=1e-8)
    np.testing.assert_allclose(curve.data["mean_probability"], mean, atol=1e-8)
    assert sum(curve.data["n_events"]) == 4000
    inside = [low <= x <= high for low, x, high in zip(*(curve.data[k] for k in _ENDS), strict=True)]
    assert all(inside)
    calibrated = [low <= p <= high for low, p, high in zip(*(curve.data[k] for k in _MEANS), strict=True)]
    assert sum(calibrated) >= 8


_ENDS = ("low", "signal_fraction", "high")
_MEANS = ("low", "mean_probability", "high")


def test_each_class_that_has_events_is_calibrated() -> None:
    rng = np.random.default_rng(2)
    scores = rng.dirichlet([1, 1, 1], 500)
    curves = calibration_curves(THREE, rng.integers(0, 2, 500), scores, 0.95)
    assert [curve.name for curve in curves] == ["calibration a", "calibration b"]


def test_the_cut_scan_holds_figure_of_merit_and_bounds(sample) -> None:
    y_true, scores = sample
    data = cut_curve(y_true, scores, 0.95).data
    at = data["cut"].index(0.5)
    passed = scores >= 0.5
    s, b = int((y_true[passed] == 1).sum()), int((y_true[passed] == 0).sum())
    assert data["figure_of_merit"][at] == pytest.approx(s / np.sqrt(s + b))
    assert data["purity_low"][at] < s / (s + b) < data["purity_high"][at]
    exact = metrics.binomial(s, int(y_true.sum()))
    assert data["signal_efficiency_low"][at] == pytest.approx(exact.low)
    assert len({len(column) for column in data.values()}) == 1


def test_the_best_cut_is_chosen_on_validation_and_measured_on_the_others(sample) -> None:
    y_true, scores = sample
    shifted = np.clip(scores + 0.2, 0, 1)
    found = choose_cut((y_true, scores), y_true, shifted, 0.95)
    assert found.cut == metrics.best_cut(y_true, scores)
    assert found.cut != metrics.best_cut(y_true, shifted)
    expected = metrics.apply_cut(y_true, shifted, found.cut)
    assert (found.purity, found.signal_efficiency) == (expected.purity, expected.signal_efficiency)
    assert found.n_validation == 4000
    assert choose_cut((np.zeros(5, int), scores[:5]), y_true, scores, 0.95) is None


def test_scores_are_shown_by_class_and_by_kind(sample) -> None:
    y_true, scores = sample
    kind = SliceVariable(
        name="mode", label="mode", expression="mode", edges=(-0.5, 0.5, 1.5, 2.5), labels=("QE", "DIS", "x")
    )
    bins = np.where(np.arange(4000) < 100, -1, np.arange(4000) % 2)
    by_class, by_kind = score_histograms(BINARY, y_true, scores, [Binned(kind, bins)])
    assert {name: sum(counts) for name, counts in by_class.counts.items()} == {
        "no": int((y_true == 0).sum()),
        "yes": int((y_true == 1).sum()),
    }
    assert by_kind.name == "score by mode"
    assert {name: sum(counts) for name, counts in by_kind.counts.items()} == {"QE": 1950, "DIS": 1950}
    several = score_histograms(THREE, y_true, np.full((4000, 3), 1 / 3), [Binned(kind, bins)])
    assert [one.name for one in several] == ["score a", "score b", "score c"]
