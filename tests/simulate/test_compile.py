from __future__ import annotations

import numpy as np

from hitlens.simulate.compile import compiled


@compiled
def _ratio(a: float, b: float) -> float:
    return a / b


def test_division_by_zero_follows_numpy() -> None:
    assert _ratio(1.0, 0.0) == np.inf
    assert _ratio(6.0, 3.0) == 2.0


def test_compiled_keeps_the_function() -> None:
    assert _ratio.py_func(3.0, 2.0) == 1.5  # type: ignore[attr-defined]
    assert _ratio.targetoptions["nogil"]  # type: ignore[attr-defined]
