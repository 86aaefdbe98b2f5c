"""Predictions, results and slices; baselines' results beside the model's."""

from hitlens.evaluate.baselines import BaselineColumns
from hitlens.evaluate.config import EvaluateConfig
from hitlens.evaluate.evaluation import evaluate
from hitlens.evaluate.predictions import Predictions, read_predictions, value_column, write_predictions
from hitlens.evaluate.results import (
    BaselineResult,
    BestCut,
    Curve,
    Histogram,
    Map,
    MetricResult,
    Picture,
    Reading,
    Results,
    SliceResult,
    TaskResult,
    read_results,
    results_from_json,
    results_to_json,
    write_results,
)

__all__ = [
    "BaselineColumns",
    "BaselineResult",
    "BestCut",
    "Curve",
    "EvaluateConfig",
    "Histogram",
    "Map",
    "MetricResult",
    "Picture",
    "Predictions",
    "Reading",
    "Results",
    "SliceResult",
    "TaskResult",
    "evaluate",
    "read_predictions",
    "read_results",
    "results_from_json",
    "results_to_json",
    "value_column",
    "write_predictions",
    "write_results",
]
