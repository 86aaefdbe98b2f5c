"""Trees on summary numbers: probabilities of all classes, means of long-tailed values, small samples."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hitlens.detector import Task
from hitlens.evaluate.boosting import fit_boosting, is_long_tailed

KINDS = Task(name="kind", kind="multiclass", meaning="", target="kind", class_names=("a", "b", "c"))
ENERGY = Task(name="energy", kind="regression", meaning="", columns=("e", "y"), units=("GeV", ""))


def numbers(n: int, seed: int = 1) -> tuple[pl.DataFrame, np.ndarray]:
    """Two summary numbers, and the class the first of them gives."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    features = pl.DataFrame({"x": x, "noise": rng.normal(size=n)}).cast(pl.Float32)
    return features, (x > 0).astype(float) + (x > 1)


@pytest.mark.parametrize("n", [80, 3000])
def test_classes_get_probabilities_that_find_them(n: int) -> None:
    features, kind = numbers(n)
    method = fit_boosting(KINDS, features, kind[:, None], False, 1)
    fresh, wanted = numbers(500, 2)
    scores = method(fresh)["kind"]
    assert scores.shape == (500, 3)
    np.testing.assert_allclose(scores.sum(1), 1)
    assert (scores.argmax(1) == wanted).mean() > 0.9


def test_a_class_without_training_events_gets_no_probability() -> None:
    features, kind = numbers(300)
    kept = kind != 1
    method = fit_boosting(KINDS, features.filter(kept), kind[kept, None], False, 1)
    scores = method(features)["kind"]
    assert (scores[:, 1] == 0).all()
    np.testing.assert_allclose(scores.sum(1), 1)
    alone = fit_boosting(KINDS, features[:5], np.full((5, 1), 2.0), False, 1)(features)["kind"]
    assert alone.tolist() == [[0.0, 0.0, 1.0]] * 300


def test_equal_weight_lets_a_rare_class_be_called() -> None:
    rng = np.random.default_rng(1)
    rare = rng.random(4000) < 0.05
    features = pl.DataFrame({"x": rng.normal(rare * 1.0)})
    task = Task(name="rare", kind="binary", meaning="", target="r", class_names=("no", "yes"))
    plain, balanced = (
        fit_boosting(task, features, rare[:, None].astype(float), flag, 1)(features)["rare"]
        for flag in (False, True)
    )
    assert plain.mean() == pytest.approx(0.05, abs=0.01)
    assert (plain >= 0.5).mean() < 0.03 < 0.2 < (balanced >= 0.5).mean()


def test_values_are_means_also_of_a_long_tail() -> None:
    """A logarithmic link must not turn the mean into the median, which lies below it."""
    rng = np.random.default_rng(1)
    x = rng.uniform(0, 2, 6000)
    energy = np.exp(x + rng.normal(0, 0.8, 6000))
    assert is_long_tailed(energy)
    features = pl.DataFrame({"x": x})
    target = np.stack([energy, 1 - x], axis=1)
    found = fit_boosting(ENERGY, features, target, False, 1)(features)
    assert list(found) == ["e", "y"]
    assert found["e"].mean() == pytest.approx(energy.mean(), rel=0.03)
    assert found["e"].min() > 0
    np.testing.assert_allclose(found["y"], 1 - x, atol=0.05)


def test_the_same_seed_gives_the_same_answer() -> None:
    features, kind = numbers(2000)
    one, two = (fit_boosting(KINDS, features, kind[:, None], False, 3)(features)["kind"] for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_numbers_that_do_not_exist_and_no_events_are_answered() -> None:
    features, kind = numbers(200)
    method = fit_boosting(KINDS, features, kind[:, None], False, 1)
    assert np.isfinite(method(pl.DataFrame({"x": [np.nan], "noise": [0.0]}))["kind"]).all()
    assert method(features[:0])["kind"].shape == (0, 3)
    value = fit_boosting(ENERGY, features, np.stack([kind, kind], 1), False, 1)
    assert value(features[:0])["e"].shape == (0,)
