"""Evaluation of every kind of task, against numbers computed in plain NumPy and scikit-learn."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn import metrics as reference

from hitlens.detectors.cebr import DETECTOR
from hitlens.errors import DataError
from hitlens.evaluate import (
    BaselineColumns,
    EvaluateConfig,
    Predictions,
    evaluate,
    results_from_json,
    results_to_json,
)
from hitlens.evaluate.results import TaskResult

FAST = EvaluateConfig(n_bootstrap=20, n_bootstrap_slices=20, min_events=1)


def value(task: TaskResult, name: str, column: str = "") -> float:
    interval = task.metric(name, column).interval
    assert interval is not None
    assert interval.low <= interval.value <= interval.high
    return interval.value


@pytest.mark.parametrize("task", [task.name for task in DETECTOR.tasks])
def test_every_task_is_evaluated_and_goes_to_json_and_back(make_predictions, task: str) -> None:
    predictions, _ = make_predictions(task, 300)
    results = evaluate(predictions, DETECTOR, FAST)
    assert results.n_events == 200
    assert results.n_events_by_split == {"validation": 100, "test": 200}
    assert [one.task for one in results.tasks] == [head.name for head in predictions.heads]
    assert results_from_json(results_to_json(results)) == results
    for one in results.tasks:
        assert one.n_events + sum(one.n_excluded.values()) == 200
        assert one.baseline("constant").trivial
        assert {s.variable for s in one.slices} >= {"total_energy_mev", "x_1_px", "edge_distance_px"}


def test_classification_agrees_with_the_reference(make_predictions) -> None:
    predictions, _ = make_predictions("multiplicity", 1500)
    task = evaluate(predictions, DETECTOR, FAST).head("multiplicity")
    table = predictions.split("test").table
    y = (table["true_multiplicity"] == "double").to_numpy()
    score = table["score_multiplicity"].to_numpy()
    called = score >= 0.5
    assert value(task, "accuracy") == pytest.approx(reference.accuracy_score(y, called))
    assert value(task, "balanced_accuracy") == pytest.approx(reference.balanced_accuracy_score(y, called))
    assert value(task, "f1") == pytest.approx(reference.f1_score(y, called))
    assert value(task, "mcc") == pytest.approx(reference.matthews_corrcoef(y, called))
    assert value(task, "auc") == pytest.approx(reference.roc_auc_score(y, score))
    assert value(task, "signal_efficiency") == pytest.approx(reference.recall_score(y, called))
    assert value(task, "purity") == pytest.approx(reference.precision_score(y, called))
    assert np.array_equal(task.confusion, reference.confusion_matrix(y, called))
    assert sum(map(sum, (counts for h in task.histograms for counts in h.counts.values()))) == len(y)
    roc = next(curve for curve in task.curves if curve.name == "roc model").data
    area = np.trapezoid(roc["signal_efficiency"], roc["background_efficiency"])
    assert area == pytest.approx(reference.roc_auc_score(y, score), abs=0.005)


def test_recall_at_small_separation_is_a_bin(make_predictions) -> None:
    predictions, _ = make_predictions("multiplicity", 3000)
    task = evaluate(predictions, DETECTOR, FAST).head("multiplicity")
    table = predictions.split("test").table
    near = table.filter(
        (pl.col("true_x_1_px") - pl.col("true_x_2_px")) ** 2
        + (pl.col("true_y_1_px") - pl.col("true_y_2_px")) ** 2
        < 1,
        true_n_electrons=2,
    )
    recall = task.slice("separation_px", "signal_efficiency")
    assert recall.edges[:2] == (0.0, 1.0)
    assert recall.n_events[0] == len(near) > 3
    assert recall.values[0] is not None
    assert recall.values[0].value == pytest.approx((near["score_multiplicity"] >= 0.5).mean())
    with pytest.raises(LookupError):
        task.slice("separation_px", "background_rejection")


def test_a_higher_cut_is_purer_and_less_efficient(make_predictions) -> None:
    predictions, _ = make_predictions("multiplicity", 900)
    low, high = (
        evaluate(predictions, DETECTOR, FAST.model_copy(update={"cut": cut})).head("multiplicity")
        for cut in (0.3, 0.8)
    )
    assert value(high, "purity") > value(low, "purity")
    assert value(high, "signal_efficiency") < value(low, "signal_efficiency")
    assert value(high, "auc") == value(low, "auc")


def test_regression_is_in_plain_units(make_predictions) -> None:
    predictions, _ = make_predictions("single_position", 900)
    task = evaluate(predictions, DETECTOR, FAST).head("single_position")
    table = predictions.split("test").table.filter(true_n_electrons=1)
    assert task.n_events == len(table)
    assert task.n_excluded == {"not n_electrons = 1": 600 - len(table)}
    residual = np.stack([(table[f"pred_{c}"] - table[f"true_{c}"]).to_numpy() for c in ("x_1_px", "y_1_px")])
    assert value(task, "rmse", "x_1_px, y_1_px") == pytest.approx(np.sqrt((residual**2).mean()))
    assert value(task, "mae", "y_1_px") == pytest.approx(np.abs(residual[1]).mean())
    assert value(task, "bias", "x_1_px") == pytest.approx(residual[0].mean())
    true = np.stack([table[f"true_{c}"] for c in ("x_1_px", "y_1_px")], axis=1)
    assert value(task, "r2", "x_1_px, y_1_px") == pytest.approx(reference.r2_score(true, true + residual.T))
    assert task.metric("rmse", "x_1_px").unit == "px"
    assert value(task, "resolution", "x_1_px") == pytest.approx(0.05, rel=0.2)
    assert {s.column for s in task.slices} == {"x_1_px, y_1_px"}


def test_sets_are_matched_before_they_are_scored(make_predictions) -> None:
    """Ordered targets cap R2 at one half; matched, the order of the members does not matter."""
    predictions, _ = make_predictions("double_position", 900)
    task = evaluate(predictions, DETECTOR, FAST).head("double_position")
    assert value(task, "r2", "x_px, y_px") > 0.99
    table = predictions.table.rename(
        {"pred_x_1_px": "pred_x_2_px", "pred_x_2_px": "pred_x_1_px"}
        | {"pred_y_1_px": "pred_y_2_px", "pred_y_2_px": "pred_y_1_px"}
    )
    swapped = evaluate(predictions.with_table(table), DETECTOR, FAST).head("double_position")
    assert swapped.metrics == task.metrics
    constant = task.baseline("constant").metrics
    r2 = next(m.interval for m in constant if m.name == "r2" and m.column == "x_px, y_px")
    assert r2 is not None
    assert abs(r2.value) < 0.05


def physics(predictions: Predictions, rows: np.ndarray, spread: float) -> BaselineColumns:
    truth = predictions.truth()
    rng = np.random.default_rng(5)
    columns = {}
    for head in predictions.heads:
        if head.class_names:
            right = truth["n_electrons"].to_numpy()[rows] == 2
            columns[head.name] = {
                head.name: np.where(rng.random(len(rows)) < 0.8, right, ~right) * 0.98 + 0.01
            }
        else:
            columns[head.name] = {
                c: truth[c].to_numpy()[rows] + rng.normal(0, spread, len(rows)) for c in head.target_columns
            }
    return BaselineColumns("fit", "a made fit", rows, columns, seconds=0.5)


def test_a_physics_method_is_compared_on_its_own_events(make_predictions) -> None:
    predictions, _ = make_predictions("joint", 900)
    chosen = predictions.split("test")
    fit = physics(chosen, np.arange(0, 600, 2), 0.2)
    fit.columns["multiplicity"]["multiplicity"][:5] = np.nan
    results = evaluate(predictions, DETECTOR, FAST, baselines=[fit])
    one = results.head("multiplicity").baseline("fit")
    assert (one.n_events, one.n_failed) == (295, 5)
    assert one.seconds_per_event == pytest.approx(0.5 / 300)
    accuracy = {m.name: m.interval for m in one.metrics}["accuracy"]
    assert accuracy is not None
    assert accuracy.value == pytest.approx(0.8, abs=0.07)
    difference = {m.name: m.interval for m in one.differences}["accuracy"]
    mine = {m.name: m.interval for m in one.model_metrics}["accuracy"]
    assert difference is not None
    assert mine is not None
    assert difference.value == pytest.approx(mine.value - accuracy.value)
    assert difference.low > 0
    double = results.head("double").baseline("fit")
    n_double = int((chosen.truth()["n_electrons"].to_numpy()[::2] == 2).sum())
    assert double.n_events == n_double
    rmse = next(m.interval for m in double.metrics if m.name == "rmse" and m.column == "energy_mev")
    assert rmse is not None
    assert rmse.value == pytest.approx(0.2, rel=0.2)
    methods = {s.method for s in results.head("double").slices if s.metric == "resolution"}
    assert methods == {"model", "constant", "fit"}


def test_a_physics_score_has_its_own_cut(make_predictions) -> None:
    """A score of 0.6 is called signal by the fit although the model's cut is 0.9."""
    predictions, _ = make_predictions("multiplicity", 300)
    chosen = predictions.split("test")
    right = chosen.truth()["n_electrons"].to_numpy() == 2
    fit = BaselineColumns(
        "fit", "", np.arange(200), {"multiplicity": {"multiplicity": np.where(right, 0.6, 0.4)}}
    )
    config = FAST.model_copy(update={"cut": 0.9})
    one = evaluate(predictions, DETECTOR, config, baselines=[fit]).head("multiplicity").baseline("fit")
    assert {m.name: m.interval.value for m in one.metrics if m.interval}["accuracy"] == 1.0


def test_unknown_truth_and_broken_scores_are_counted(make_predictions) -> None:
    predictions, _ = make_predictions("multiplicity", 300)
    table = predictions.table.with_columns(
        true_multiplicity=pl.when(pl.col("event") % 10 == 1).then(None).otherwise("true_multiplicity"),
        score_multiplicity=pl.when(pl.col("event") % 10 == 2)
        .then(float("nan"))
        .otherwise("score_multiplicity"),
    )
    task = evaluate(predictions.with_table(table), DETECTOR, FAST).head("multiplicity")
    assert task.n_excluded == {"true class unknown": 20, "score not finite": 20}
    assert task.n_events == sum(task.class_counts) == 160


def test_one_class_alone_leaves_undefined_numbers_out(make_predictions) -> None:
    predictions, _ = make_predictions("multiplicity", 300)
    only = predictions.filter("true_multiplicity = 'double'")
    task = evaluate(only, DETECTOR, FAST).head("multiplicity")
    assert task.metric("auc").interval is None
    assert task.metric("signal_efficiency").interval is not None
    assert task.curves == ()


def test_the_same_seed_gives_the_same_numbers(make_predictions) -> None:
    predictions, _ = make_predictions("single", 300)
    first, second = (evaluate(predictions, DETECTOR, FAST).tasks for _ in range(2))
    assert first == second
    other = evaluate(predictions, DETECTOR, FAST.model_copy(update={"seed": 2})).tasks
    assert other[0].metrics != first[0].metrics


def test_event_order_does_not_matter_to_values(make_predictions) -> None:
    predictions, _ = make_predictions("double", 300)
    turned = predictions.with_table(predictions.table.reverse())
    first, second = (evaluate(p, DETECTOR, FAST).tasks[0] for p in (predictions, turned))
    for a, b in zip(first.metrics, second.metrics, strict=True):
        assert a.interval is not None
        assert b.interval is not None
        assert a.interval.value == pytest.approx(b.interval.value)


def test_what_cannot_be_evaluated_says_why(make_predictions) -> None:
    predictions, _ = make_predictions("multiplicity", 30)
    with pytest.raises(DataError, match=r"train split.*validation \(10\), test \(20\)"):
        evaluate(predictions, DETECTOR, EvaluateConfig(split="train"))
    with pytest.raises(DataError, match="true_multiplicity"):
        evaluate(predictions.with_table(predictions.table.drop("true_multiplicity")), DETECTOR, FAST)
    values, _ = make_predictions("single_energy", 30)
    with pytest.raises(DataError, match="true_energy_1_mev"):
        evaluate(values.with_table(values.table.drop("true_energy_1_mev")), DETECTOR, FAST)


def test_many_classes(make_cebr) -> None:
    from hitlens.detector import Task

    task = Task(
        name="corner", kind="multiclass", meaning="which third", class_names=("a", "b", "c"),
        target="CAST(FLOOR(x_1_px * 3 / 16) AS INTEGER)",
    )  # fmt: skip
    truth = make_cebr(600).truth
    index = (truth["x_1_px"].to_numpy() * 3 / 16).astype(int)
    rng = np.random.default_rng(1)
    scores = np.exp(2 * np.eye(3)[index] + rng.normal(0, 1, (600, 3)))
    scores /= scores.sum(1, keepdims=True)
    names = np.array(task.class_names)
    table = truth.rename({c: f"true_{c}" for c in truth.columns[2:]}).with_columns(
        split=pl.lit("test"),
        true_corner=pl.Series(names[index]),
        pred_corner=pl.Series(names[scores.argmax(1)]),
        **{f"score_corner_{n}": pl.Series(scores[:, k]) for k, n in enumerate(task.class_names)},
    )
    columns = ["file", "event", "split", *(c for c in table.columns if c not in ("file", "event", "split"))]
    found = evaluate(Predictions(table.select(columns), task, (task,), "cebr"), DETECTOR, FAST).tasks[0]
    assert value(found, "accuracy") == pytest.approx((scores.argmax(1) == index).mean())
    assert value(found, "auc") == pytest.approx(reference.roc_auc_score(index, scores, multi_class="ovr"))
    assert len(found.confusion) == 3
    assert found.cut is None
    assert {s.metric for s in found.slices} == {"accuracy", "efficiency"}
