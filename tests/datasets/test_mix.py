"""Shares of kinds of events among the draws of a training."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hitlens.datasets.mix import balanced_kinds, composition, mixed_kinds, undersampled
from hitlens.detector import Task
from hitlens.errors import ConfigError, DataError, SelectionError

TRUTH = pl.DataFrame({"mode": [0, 0, 0, 2, 4, None]})
MODE = Task(name="mode", kind="multiclass", meaning="", target="mode / 2", class_names=("QE", "DIS", "NC"))


def test_classes_are_drawn_equally_often_and_events_without_one_never() -> None:
    chances = balanced_kinds(TRUTH, (MODE,)).chances
    np.testing.assert_allclose(chances, [1 / 9, 1 / 9, 1 / 9, 1 / 3, 1 / 3, 0])


def test_balance_needs_classes() -> None:
    energy = Task(name="energy", kind="regression", meaning="", columns=("mode",), units=("GeV",))
    with pytest.raises(ConfigError, match=r"needs a task with classes. Got energy"):
        balanced_kinds(TRUTH, (energy,))


def test_shares_are_divided_by_their_sum() -> None:
    np.testing.assert_allclose(
        mixed_kinds(TRUTH, {"mode = 0": 3, "mode > 0": 1}).chances, [0.25] * 3 + [0.125] * 2 + [0]
    )


@pytest.mark.parametrize("shares", [{}, {"mode = 0": 0}, {"mode = 0": -1, "mode = 2": 3}])
def test_shares_must_not_be_negative_or_all_nothing(shares: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="shares of 0 or more"):
        mixed_kinds(TRUTH, shares)


def test_conditions_must_not_overlap() -> None:
    with pytest.raises(ConfigError, match="'mode = 2' and an earlier"):
        mixed_kinds(TRUTH, {"mode > 1": 1, "mode = 2": 1})


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="fulfils 'mode = 9'"):
        mixed_kinds(TRUTH, {"mode = 0": 1, "mode = 9": 1})


@pytest.mark.parametrize(("counts", "rarest"), [((50, 7, 20), 7), ((3, 3, 0), 3), ((1, 0, 40), 1)])
def test_as_many_events_of_each_class_are_kept_as_the_rarest_has(
    counts: tuple[int, ...], rarest: int
) -> None:
    modes = np.repeat([0, 2, 4], counts)
    truth = pl.DataFrame({"mode": [*modes.tolist(), None, None]}).sample(fraction=1, shuffle=True, seed=1)
    chosen = undersampled(truth, (MODE,), seed=3)
    assert (np.diff(chosen) > 0).all()
    kept = truth[chosen]["mode"]
    assert kept.null_count() == 0
    assert [int((kept == mode).sum()) for mode in (0, 2, 4)] == [min(n, rarest) for n in counts]
    np.testing.assert_array_equal(chosen, undersampled(truth, (MODE,), seed=3))
    if counts[0] > 40:
        assert set(chosen.tolist()) != set(undersampled(truth, (MODE,), seed=4).tolist())


def test_a_missing_value_is_of_no_kind() -> None:
    truth = pl.DataFrame({"q": [1.0, float("nan"), 3.0, None]})
    assert mixed_kinds(truth, {"q > 2": 1, "NOT q > 2": 1}).labels.tolist() == [1, -1, 0, -1]
    task = Task(name="t", kind="binary", meaning="", target="q > 2", class_names=("low", "high"))
    assert balanced_kinds(truth, (task,)).labels.tolist() == [0, -1, 1, -1]


def test_a_condition_that_cannot_be_read_names_its_setting() -> None:
    with pytest.raises(SelectionError, match=r"train\.mix: Expression 'q >' cannot be read"):
        mixed_kinds(pl.DataFrame({"q": [1]}), {"q >": 1})


def test_what_an_epoch_shows_follows_the_chances() -> None:
    truth = pl.DataFrame({"mode": [0, 0, 0, 2, 4, None]})
    balanced = balanced_kinds(truth, (MODE,)).chances
    assert composition(truth, (MODE,), 90, balanced) == {"mode": {"QE": 30, "DIS": 30, "NC": 30}}
    kinds = mixed_kinds(truth, {"mode = 0": 3, "mode = 4": 1})
    assert composition(truth, (MODE,), 8, kinds.chances) == {"mode": {"QE": 6, "DIS": 0, "NC": 2}}
    assert composition(truth, (MODE,), 0) == {"mode": {"QE": 3, "DIS": 1, "NC": 1}}
