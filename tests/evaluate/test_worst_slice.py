"""A planted weakness is found and confirmed; where there is none the other half says so."""

from __future__ import annotations

import numpy as np
import pytest

from hitlens.evaluate.config import EvaluateConfig
from hitlens.evaluate.metadata import Condition, Metadata
from hitlens.evaluate.worst_slice import class_quality, error_quality, score_quality, worst_slices

CONFIG = EvaluateConfig(n_bootstrap_slices=60)
N = 6000


def quantity(name: str, values: np.ndarray, n_bins: int = 4) -> Metadata:
    edges = np.quantile(values, np.linspace(0, 1, n_bins + 1))
    bins = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, n_bins - 1)
    conditions = tuple(Condition(f"{name} {k}", f"{name} = {k}", bins == k) for k in range(n_bins))
    return Metadata(name, name, values, conditions)


@pytest.fixture
def metadata() -> list[Metadata]:
    rng = np.random.default_rng(1)
    return [quantity(name, rng.random(N)) for name in "abcd"]


def weak(metadata: list[Metadata], *where: tuple[int, int]) -> np.ndarray:
    inside = np.ones(N, dtype=bool)
    for number, k in where:
        inside &= metadata[number].conditions[k].holds
    return inside


def test_a_weakness_of_two_conditions_is_found_and_confirmed(metadata: list[Metadata]) -> None:
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, N)
    wrong = rng.random(N) < np.where(weak(metadata, (0, 3), (2, 1)), 0.4, 0.1)
    quality = class_quality(y, np.where(wrong, 1 - y, y), CONFIG, rng)
    found = worst_slices(quality, metadata, np.arange(N), ("no", "yes"), CONFIG)
    assert found[0].condition == "a = 3 AND c = 1"
    assert found[0].words == "a 3; c 1"
    assert found[0].classes == ("no", "yes")
    assert found[0].is_certain
    assert found[0].value is not None
    assert found[0].value.value == pytest.approx(0.6, abs=0.1)
    assert found[0].rest is not None
    assert found[0].rest.value == pytest.approx(0.9, abs=0.02)
    assert found[0].n_found + found[0].n_events == weak(metadata, (0, 3), (2, 1)).sum()


def test_one_condition_is_not_dressed_up_as_two(metadata: list[Metadata]) -> None:
    rng = np.random.default_rng(2)
    errors = rng.normal(0, np.where(weak(metadata, (1, 0)), 3.0, 1.0))
    quality = error_quality("resolution", "e", "GeV", errors[:, None], CONFIG, rng)
    found = worst_slices(quality, metadata, np.arange(N), (), CONFIG)
    assert found[0].condition == "b = 0"
    assert all("b = 0" in one.condition for one in found)
    assert found[0].value is not None
    assert found[0].value.value == pytest.approx(3, rel=0.2)
    assert found[0].is_certain


def test_without_a_weakness_the_other_half_takes_it_back(metadata: list[Metadata]) -> None:
    """Of a hundred slices the worst is bad by luck; the half that did not choose says so."""
    rng = np.random.default_rng(3)
    errors = rng.normal(0, 1, (N, 1))
    quality = error_quality("resolution", "e", "", errors, CONFIG, rng)
    found = worst_slices(quality, metadata, np.arange(N), (), CONFIG)
    assert found == ()


def test_certain_slices_are_listed_worst_first(metadata: list[Metadata]) -> None:
    rng = np.random.default_rng(8)
    width = np.where(weak(metadata, (0, 1)), 1.6, np.where(weak(metadata, (3, 0)), 2.5, 1.0))
    errors = rng.normal(0, width)[:, None]
    quality = error_quality("resolution", "e", "GeV", errors, CONFIG, rng)
    found = worst_slices(quality, metadata, np.arange(N), (), CONFIG)
    assert "d = 0" in found[0].condition
    differences = [one.difference for one in found if one.difference is not None]
    assert len(differences) == len(found) > 1
    assert all(one.low > 0 for one in differences)
    assert [one.value for one in differences] == sorted((one.value for one in differences), reverse=True)


def test_a_slice_of_one_class_is_not_judged(metadata: list[Metadata]) -> None:
    """Where a condition is the class itself, balanced accuracy would be that class's efficiency."""
    rng = np.random.default_rng(4)
    y = metadata[0].conditions[0].holds.astype(int)
    wrong = rng.random(N) < np.where(weak(metadata, (1, 1)), 0.5, 0.1)
    called = np.where(wrong, 1 - y, y)
    found = worst_slices(class_quality(y, called, CONFIG, rng), metadata, np.arange(N), ("no", "yes"), CONFIG)
    assert found
    assert not any(part.startswith("a =") for one in found for part in one.condition.split(" AND "))


def test_few_events_are_not_searched(metadata: list[Metadata]) -> None:
    rows = np.arange(150)
    rng = np.random.default_rng(5)
    quality = error_quality("resolution", "e", "", rng.normal(size=(150, 1)), CONFIG, rng)
    assert worst_slices(quality, metadata, rows, (), CONFIG) == ()


def test_a_class_missing_in_the_other_half_has_no_value(metadata: list[Metadata]) -> None:
    y = np.zeros(N, dtype=np.int64)
    quality = class_quality(y, y, CONFIG, np.random.default_rng(1))
    assert quality.quick(np.arange(N)) is None
    assert quality.interval(np.arange(N), (0, 1)) is None


def test_a_rare_signal_is_judged_without_a_cut(metadata: list[Metadata]) -> None:
    """No event is called signal, yet the scores fail in one slice."""
    rng = np.random.default_rng(6)
    y = (rng.random(N) < 0.1).astype(np.int64)
    blind = weak(metadata, (3, 2))
    scores = np.where(blind, rng.normal(0, 1, N), rng.normal(2.0 * y, 1)) / 100
    quality = score_quality(y, scores, CONFIG, rng)
    found = worst_slices(quality, metadata, np.arange(N), ("no", "yes"), CONFIG)
    assert (found[0].condition, found[0].metric, found[0].classes) == ("d = 2", "auc", ())
    assert found[0].value is not None
    assert found[0].value.value == pytest.approx(0.5, abs=0.12)
    assert found[0].is_certain
    assert quality.quick(np.flatnonzero(y == 0)) is None
    assert quality.interval(np.flatnonzero(y == 0), ()) is None


def test_a_slice_of_hard_classes_is_not_bad_for_that(metadata: list[Metadata]) -> None:
    """Two of three classes are hard everywhere; where the easy one is missing nothing is wrong."""
    rng = np.random.default_rng(7)
    without, bad = weak(metadata, (0, 0)), weak(metadata, (1, 1))
    y = np.where(without, rng.integers(1, 3, N), rng.integers(0, 3, N))
    wrong = rng.random(N) < np.array([0.02, 0.4, 0.4])[y] + 0.2 * bad
    quality = class_quality(y, np.where(wrong, (y + 1) % 3, y), CONFIG, rng)
    found = worst_slices(quality, metadata, np.arange(N), ("a", "b", "c"), CONFIG)
    assert "b = 1" in found[0].condition
    assert "a = 0" not in found[0].condition
    assert found[0].is_certain
