"""Names in words."""

from __future__ import annotations

import pytest

from hitlens.detectors.cebr import DETECTOR
from hitlens.evaluate.regression import METRICS, quantities
from hitlens.evaluate.results import MetricResult
from hitlens.metrics.interval import Interval
from hitlens.report.labels import column_label, metric_label, metric_text


@pytest.mark.parametrize("task", [t for t in DETECTOR.tasks if t.target_columns])
def test_every_quantity_has_a_name_without_unit_or_number(task) -> None:
    for quantity in quantities(task):
        label = column_label(quantity.name)
        assert label in ("energy", "x", "y", "x and y")


def test_metrics_have_names_and_units() -> None:
    assert metric_label("background_rejection") == "background rejection"
    assert {metric_label(name) for name in METRICS} == {
        *("bias", "rmse", "mae", "R²", "resolution"),
        *("relative bias", "relative rms", "relative resolution"),
    }
    assert metric_text(MetricResult("rmse", Interval(0.05, 0.04, 0.06), "x_px", "px")).endswith("] px")
    assert metric_text(MetricResult("auc", None)) == "-"
