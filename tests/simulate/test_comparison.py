from __future__ import annotations

import numpy as np

from hitlens.simulate.comparison import Comparison, FittedEvent, Quantity


def test_verdicts_and_surprises() -> None:
    quantities = (
        Quantity("a", 1.0, 1.1, 0.01, 0.1 + 1e-12, "b"),
        Quantity("b", 1.0, 0.8, 0.01, 0.1, "b"),
        Quantity("c", 1.0, 1.2, 0.01, 0.1, "b", known="reason"),
        Quantity("d", 1.0, float("nan"), 0.01, 0.1, "b"),
    )
    assert [q.verdict for q in quantities] == ["agrees", "disagrees", "disagrees as stated", "disagrees"]
    comparison = Comparison("cebr", 1, {}, quantities, (), ())
    assert [q.name for q in comparison.surprises] == ["b", "d"]


def test_residuals_are_in_standard_deviations() -> None:
    event = FittedEvent("e", np.array([[12.0, 0.0]]), np.array([[9.0, 0.0]]), 1.0, 1, {})
    np.testing.assert_allclose(event.residuals, [[1.0, 0.0]])
