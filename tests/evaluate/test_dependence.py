"""The quantity a performance was made to depend on is ranked first; random numbers are not."""

from __future__ import annotations

import numpy as np
import pytest

from hitlens.evaluate.config import EvaluateConfig
from hitlens.evaluate.dependence import CLASS, NOISE, _is_the_class, performance_dependence
from hitlens.evaluate.metadata import Metadata

CONFIG = EvaluateConfig(n_bootstrap_slices=60)
N = 3000


@pytest.fixture(scope="module")
def metadata() -> list[Metadata]:
    rng = np.random.default_rng(1)
    values = {name: rng.random(N) for name in "abc"}
    values["b"][::7] = np.nan
    return [Metadata(name, f"quantity {name}", one, ()) for name, one in values.items()]


def test_being_right_depends_on_what_it_was_made_of(metadata: list[Metadata]) -> None:
    rng = np.random.default_rng(2)
    right = rng.random(N) > 0.5 * metadata[0].values
    found = performance_dependence(right, metadata, np.arange(N), CONFIG)
    assert found is not None
    assert (found.score, found.n_events) == ("auc", N)
    assert found.influences[0].name == "a"
    assert {one.name for one in found.influences} == {"a", "b", "c", NOISE}
    first, *others = found.influences
    assert first.importance is not None
    assert first.importance.low > max(one.importance.high for one in others if one.importance)
    assert first.alone is not None
    assert first.alone.value == pytest.approx(0.68, abs=0.05)
    for one in others:
        assert one.alone is not None
        assert one.alone.value == pytest.approx(0.5, abs=0.05)


def test_the_size_of_an_error_depends_on_what_it_was_made_of(metadata: list[Metadata]) -> None:
    rng = np.random.default_rng(2)
    error = np.abs(rng.normal(0, 0.1 + 3 * metadata[2].values))
    error[:5] = 0
    found = performance_dependence(error, metadata, np.arange(N), CONFIG, "energy")
    assert found is not None
    assert (found.score, found.column) == ("r2", "energy")
    assert found.influences[0].name == "c"
    assert found.value is not None
    assert 0.1 < found.value.low < found.value.high < 0.6


def test_where_nothing_matters_nothing_stands_out(metadata: list[Metadata]) -> None:
    right = np.random.default_rng(9).random(N) > 0.3
    found = performance_dependence(right, metadata, np.arange(N), CONFIG)
    assert found is not None
    assert found.value is not None
    assert found.value.value < 0.55
    assert all(one.importance is None or one.importance.low < 0.02 for one in found.influences)


def test_of_two_that_say_the_same_each_counts_alone(metadata: list[Metadata]) -> None:
    rng = np.random.default_rng(2)
    twin = Metadata("twin", "twin", metadata[0].values * 2, ())
    right = rng.random(N) > 0.5 * metadata[0].values
    found = performance_dependence(right, [*metadata, twin], np.arange(N), CONFIG)
    assert found is not None
    alone = {one.name: one.alone.value for one in found.influences if one.alone}
    assert alone["a"] == pytest.approx(alone["twin"])


def test_what_only_names_the_true_class_does_not_take_its_importance(metadata: list[Metadata]) -> None:
    """One class is harder, and one quantity names it; within a class only another quantity matters."""
    rng = np.random.default_rng(5)
    classes = rng.integers(0, 2, N)
    name = Metadata("name", "name of the class", classes.astype(float), ())
    right = rng.random(N) > 0.1 + 0.4 * classes + 0.4 * (metadata[0].values > 0.7)
    found = performance_dependence(right, [*metadata, name], np.arange(N), CONFIG, classes=classes)
    assert found is not None
    ranked = {one.name: one.importance.value for one in found.influences if one.importance}
    assert set(ranked) == {"a", "b", "c", CLASS, NOISE}
    assert ranked[CLASS] > 0.03
    assert ranked["a"] > 0.03 > max(ranked[one] for one in ("b", "c", NOISE))
    alone = {one.name: one.alone.value for one in found.influences if one.alone}
    assert alone["a"] > alone[CLASS] + 0.03


def test_too_few_events_or_mistakes_say_nothing(metadata: list[Metadata]) -> None:
    right = np.ones(N, dtype=bool)
    assert performance_dependence(right, metadata, np.arange(N), CONFIG) is None
    assert performance_dependence(right[:100], metadata, np.arange(100), CONFIG) is None
    assert performance_dependence(np.arange(N) % 2 == 0, [], np.arange(N), CONFIG) is None


def test_a_part_of_the_events_is_looked_at_and_the_seed_decides_which(metadata: list[Metadata]) -> None:
    right = np.random.default_rng(2).random(N) > 0.5 * metadata[0].values
    few = CONFIG.model_copy(update={"metadata_events": 500})
    one, two = (performance_dependence(right, metadata, np.arange(N), few) for _ in range(2))
    assert one is not None
    assert one.n_events == 500
    assert one == two


@pytest.mark.parametrize(
    ("values", "says"),
    [([1, 1, 5, 5], True), ([3, 3, 3, 3], True), ([1, 2, 5, 5], False), ([np.nan, np.nan, 2, 2], True)],
)
def test_a_column_that_is_the_class_does_not_stand_beside_it(values: list[float], says: bool) -> None:
    assert _is_the_class(np.array(values, dtype=float), np.array([0, 0, 1, 1])) == says
