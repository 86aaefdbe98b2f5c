from __future__ import annotations

import json
from pathlib import Path

import pytest

from hitlens.errors import FileFormatError, NotFoundError
from hitlens.evaluate.crossvalidation import FoldMetric, mean_metrics, read_cross_validation
from hitlens.evaluate.results import MetricResult
from hitlens.metrics.interval import Interval


def test_spreads() -> None:
    one = FoldMetric("auc", "", "", ((0.5, 0.7, None), (0.9, 0.7, 0.7)), (0.6, 0.8))
    assert one.fold_spread == pytest.approx(0.14142, abs=1e-4)
    assert one.repeat_spread == pytest.approx(0.14142, abs=1e-4)
    assert FoldMetric("auc", "", "", ((0.5, None),), (0.6,)).fold_spread is None


def test_a_metric_that_is_undefined_in_one_repeat_is_undefined() -> None:
    known, unknown = MetricResult("auc", Interval(0.8, 0.7, 0.9)), MetricResult("auc", None)
    assert mean_metrics([[known], [unknown]])[0].interval is None
    (same,) = mean_metrics([[known]])
    assert same == known


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cv.json"
    with pytest.raises(NotFoundError, match=r"cv\.json"):
        read_cross_validation(path)
    path.write_text("{}")
    with pytest.raises(FileFormatError, match="does not hold a cross-validation"):
        read_cross_validation(path)
    path.write_text(json.dumps({"version": 99}))
    with pytest.raises(FileFormatError, match="version 99"):
        read_cross_validation(path)
