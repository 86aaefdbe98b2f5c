"""Laws of the truth, against SciPy on whole samples."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from hitlens.datasets.truth_laws import LawCheck
from hitlens.detector import TruthLaw
from hitlens.errors import SelectionError

UNIFORM = TruthLaw(name="flat", kind="uniform", expression="e", low=-1.0, high=3.0)
HALF = TruthLaw(name="half", kind="fraction", expression="e > 0", low=0.5, high=0.5)


def check(law, values, n_blocks=1, **columns):
    running = LawCheck(law)
    table = pl.DataFrame({"e": values, **columns})
    for start in range(n_blocks):
        running.fill(table[start::n_blocks])
    return running.result()


@pytest.mark.parametrize("n_events", [3, 50, 5000])
@pytest.mark.parametrize("power", [1.0, 1.3])
def test_uniform_agrees_with_scipy(n_events, power):
    values = -1 + 4 * np.random.default_rng(n_events).random(n_events) ** power
    found = check(UNIFORM, values, n_blocks=3)
    expected = stats.kstest(values, stats.uniform(-1, 4).cdf)
    assert found.n_events == n_events
    assert found.statistic == pytest.approx(expected.statistic, abs=2e-5)
    assert found.p_value == pytest.approx(expected.pvalue, rel=0.01, abs=1e-12)
    assert found.verdict == ("differs" if expected.pvalue < 1e-3 else "agrees")
    assert found.histogram.n_values == n_events


def test_values_outside_count_and_pull_the_test():
    values = np.concatenate(
        [np.random.default_rng(1).uniform(-1, 3, 900), np.full(50, 9.0), np.full(50, -5.0)]
    )
    found = check(UNIFORM, values)
    assert found.n_outside == 100
    expected = stats.kstest(values, stats.uniform(-1, 4).cdf)
    assert found.statistic == pytest.approx(expected.statistic, abs=2e-5)


def test_rounding_at_the_limit_is_not_outside():
    assert check(UNIFORM, [-1.000001, 3.000001, 0.0]).n_outside == 0


@pytest.mark.parametrize(("fraction", "verdict"), [(0.5, "agrees"), (0.6, "differs")])
def test_fraction(fraction, verdict):
    values = np.where(np.arange(1000) < 1000 * fraction, 1.0, -1.0)
    found = check(HALF, values, n_blocks=7)
    assert (found.statistic, found.verdict) == (fraction, verdict)
    assert found.interval.low < fraction < found.interval.high
    assert found.p_value == pytest.approx(stats.binomtest(int(1000 * fraction), 1000).pvalue)


def test_fraction_between_limits_agrees_anywhere_inside():
    law = HALF.model_copy(update={"low": 0.4, "high": 0.8})
    assert check(law, np.where(np.arange(1000) < 700, 1.0, -1.0)).p_value == 1.0
    assert check(law, np.where(np.arange(1000) < 900, 1.0, -1.0)).verdict == "differs"


def test_selection_and_missing_values():
    law = UNIFORM.model_copy(update={"selection": "n = 2"})
    found = check(law, [0.0, None, float("nan"), 1.0, 99.0], n=[2, 2, 2, 2, 1])
    assert (found.n_events, found.n_outside) == (2, 0)


@pytest.mark.parametrize("law", [UNIFORM, HALF], ids=["uniform", "fraction"])
def test_without_the_columns_nothing_is_checked(law):
    running = LawCheck(law)
    running.fill(pl.DataFrame({"other": [1.0]}))
    found = running.result()
    assert (found.verdict, found.n_events) == ("not checked", 0)
    assert np.isnan(found.p_value)


def test_a_law_speaks_of_no_missing_value():
    truth = pl.DataFrame({"q": [0.1, float("nan"), 0.9, None, 0.4]})
    for kind, expression in (("uniform", "q"), ("fraction", "q > 0.5"), ("fraction", "NOT q > 0.5")):
        checked = LawCheck(TruthLaw(name="l", kind=kind, expression=expression, low=0, high=1))
        checked.fill(truth)
        assert checked.result().n_events == 3
    everywhere = LawCheck(
        TruthLaw(name="l", kind="fraction", expression="TRUE", low=0, high=1, selection="q <> 0.1")
    )
    everywhere.fill(truth)
    assert everywhere.result().n_events == 2


def test_a_law_that_cannot_be_evaluated_is_named():
    checked = LawCheck(TruthLaw(name="flat", kind="fraction", expression="name", low=0, high=1))
    with pytest.raises(SelectionError, match="law 'flat'"):
        checked.fill(pl.DataFrame({"name": ["a"]}))
