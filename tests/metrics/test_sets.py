"""Matching of unordered sets: against SciPy's assignment, and its invariances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linear_sum_assignment

from hitlens.errors import DataError
from hitlens.metrics import match_order, match_sets

NUMBERS = st.floats(-10, 10, width=32)


def sets(n_members, n_components=2, n_events=3):
    return hnp.arrays(np.float64, (n_events, n_members, n_components), elements=NUMBERS)


def distance(a, b):
    return ((a - b) ** 2).sum((1, 2))


@pytest.mark.parametrize("n_members", [1, 2, 3, 4, 5, 6])
def test_least_total_distance(n_members):
    rng = np.random.default_rng(n_members)
    y_true, y_pred = rng.normal(size=(2, 50, n_members, 3))
    scale = np.array([0.5, 1, 4])
    found = match_sets(y_true, y_pred, scale)
    for true, predicted, ours in zip(y_true, y_pred, found, strict=True):
        cost = (((true[:, None] - predicted) / scale) ** 2).sum(-1)
        rows, columns = linear_sum_assignment(cost)
        assert (((true - ours) / scale) ** 2).sum() == pytest.approx(cost[rows, columns].sum())


@settings(max_examples=50, deadline=None)
@given(sets(3), sets(3), st.permutations(range(3)))
def test_order_of_predictions_does_not_matter(y_true, y_pred, order):
    first, second = match_sets(y_true, y_pred), match_sets(y_true, y_pred[:, order])
    assert distance(y_true, first) == pytest.approx(distance(y_true, second))


@settings(max_examples=50, deadline=None)
@given(sets(2), sets(2))
def test_matching_is_a_reordering_that_never_hurts_and_is_stable(y_true, y_pred):
    found = match_sets(y_true, y_pred)
    assert (np.sort(found, axis=1) == np.sort(y_pred, axis=1)).all()
    assert (distance(y_true, found) <= distance(y_true, y_pred) + 1e-9).all()
    assert (match_sets(y_true, found) == found).all()


@settings(max_examples=50, deadline=None)
@given(sets(2), sets(2))
def test_exchanging_the_truth_exchanges_the_match(y_true, y_pred):
    found = distance(y_true[:, ::-1], match_sets(y_true[:, ::-1], y_pred))
    assert found == pytest.approx(distance(y_true, match_sets(y_true, y_pred)))


def test_scale_decides_which_component_counts():
    y_true = [[[0.0, 0.0], [1.0, 1.0]]]
    y_pred = [[[0.0, 1.0], [1.0, 0.0]]]
    assert match_order(y_true, y_pred, [0.1, 1.0]).tolist() == [[0, 1]]
    assert match_order(y_true, y_pred, [1.0, 0.1]).tolist() == [[1, 0]]


def test_no_events():
    assert match_sets(np.empty((0, 2, 1)), np.empty((0, 2, 1))).shape == (0, 2, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((2, 2)), np.zeros((2, 2))), "shape"),
        ((np.zeros((2, 2, 1)), np.zeros((2, 3, 1))), r"\(2, 3, 1\)"),
        ((np.full((2, 2, 1), np.nan), np.zeros((2, 2, 1))), "2 events, first at event 0"),
        ((np.zeros((2, 2, 1)), np.zeros((2, 2, 1)), [0.0]), "above 0"),
        ((np.zeros((2, 2, 1)), np.zeros((2, 2, 1)), [1.0, 1.0]), "1 numbers"),
    ],
)
def test_wrong_arrays_are_refused(arguments, message):
    with pytest.raises(DataError, match=message):
        match_sets(*arguments)
