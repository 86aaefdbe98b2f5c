from __future__ import annotations

from hitlens.evaluate.crossvalidation import CrossValidatedHead, FoldMetric
from hitlens.evaluate.results import BaselineResult, MetricResult
from hitlens.metrics.interval import Interval
from hitlens.report.crossvalidation_figures import fold_values


def test_every_fold_and_every_method_is_drawn() -> None:
    metric, other = MetricResult("auc", Interval(0.8, 0.7, 0.9)), MetricResult("auc", None)
    folds = FoldMetric("auc", "", "", ((0.7, 0.9), (None, 0.8)), (0.8, 0.8))
    guess = BaselineResult("guess", "guesses", False, 9, (other,), (metric,), (other,))
    constant = BaselineResult("constant", "", True, 9, (metric,), (metric,), (other,))
    head = CrossValidatedHead(
        "t", "binary", "m", 9, ("a", "b"), (4, 5), (metric,), (constant, guess), (folds,)
    )
    figure = fold_values(head, 0)
    (axes,) = figure.axes
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels == [
        *("model, each fold", "model, all events", "constant answer, all events", "guess, all events")
    ]
    points = [line for line in axes.get_lines() if line.get_alpha() == 0.6]
    assert [len(line.get_xdata()) for line in points] == [2, 1]
    assert axes.get_xlabel() == "AUC"
    assert len(axes.containers) == 2  # the undefined one has no bar
