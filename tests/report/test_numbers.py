"""Numbers in tables."""

from __future__ import annotations

import pytest

from hitlens.report.numbers import number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12697.0, "12,697"),
        (-3.0, "-3"),
        (0.6666667, "0.66667"),
        (98765.4321, "98,765.4"),
        (1e20, "1e+20"),
        (None, "-"),
        (float("nan"), "-"),
        (float("inf"), "inf"),
    ],
)
def test_number(value, text):
    assert number(value) == text
