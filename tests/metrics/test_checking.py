"""The shared checks: what is let through unchanged and what is put into shape."""

from __future__ import annotations

import numpy as np
import pytest

from hitlens.errors import DataError
from hitlens.metrics import checking


def test_columns_and_booleans_are_labels():
    assert checking.as_labels("y", np.array([[True], [False]])).tolist() == [1, 0]
    assert checking.as_labels("y", np.array([2, 0], dtype=np.uint8)).dtype == np.int64


def test_values_keep_their_components():
    assert checking.as_values("y", np.zeros((3, 2, 2))).shape == (3, 4)
    with pytest.raises(DataError, match="at least one event"):
        checking.as_values("y", 1.0)


def test_inputs_are_not_changed():
    labels = np.array([0.0, 1.0])
    checking.as_binary("y", labels)[0] = 1
    assert labels.tolist() == [0.0, 1.0]


def test_division_by_zero_is_nan_without_a_warning():
    assert np.isnan(checking.divide(0.0, 0.0))
    assert checking.divide([1.0, 2.0], [0.0, 4.0]).tolist()[1] == 0.5
