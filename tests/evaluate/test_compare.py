"""Metrics of one or two methods come from the same resamplings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hitlens import metrics
from hitlens.evaluate.compare import Measure, compare, defined, measure
from hitlens.metrics.interval import Interval

MAE = Measure("mae", metrics.mae, "energy_mev", "MeV")
SETTINGS: dict[str, Any] = {"n_bootstrap": 100, "level": 0.9}


def test_values_are_those_of_the_metrics_and_lie_in_their_intervals() -> None:
    rng = np.random.default_rng(1)
    y, p = rng.normal(size=300), rng.normal(size=300)
    found = measure([MAE, Measure("bias", metrics.bias)], y, p, rng=rng, **SETTINGS)
    assert found[0].interval is not None
    assert found[0].interval.value == metrics.mae(y, p)
    assert found[0].interval.low < found[0].interval.value < found[0].interval.high
    assert (found[0].column, found[0].unit, found[0].interval.level) == ("energy_mev", "MeV", 0.9)


def test_differences_are_paired() -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(size=400)
    noise = rng.normal(size=400)
    found = compare([MAE], y, y + noise, y + noise + 0.001 * np.sign(noise), rng=rng, **SETTINGS)
    difference, one = found.differences[0].interval, found.model[0].interval
    assert difference is not None
    assert one is not None
    assert difference.value == pytest.approx(-0.001)
    # Each alone is uncertain by far more than their difference.
    assert difference.high - difference.low < 1e-6 < one.high - one.low


def test_without_events_nothing_is_defined() -> None:
    rng, none = np.random.default_rng(1), np.empty(0)
    assert measure([MAE], none, none, rng=rng, **SETTINGS)[0].interval is None
    assert compare([MAE], none, none, none, rng=rng, **SETTINGS).differences[0].interval is None


def test_undefined_intervals_become_none() -> None:
    assert defined(Interval.undefined()) is None
    assert defined(None) is None
    assert defined(Interval(1.0, 0.0, 2.0)) == Interval(1.0, 0.0, 2.0)
