"""Classification metrics against scikit-learn and torchmetrics, and the published confusion matrix."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from hitlens import metrics
from hitlens.errors import DataError

LABELS = (
    metrics.accuracy,
    metrics.balanced_accuracy,
    metrics.f1,
    metrics.mcc,
    metrics.signal_efficiency,
    metrics.background_rejection,
    metrics.purity,
)
SCORES = (
    metrics.auc,
    metrics.average_precision,
    metrics.log_loss,
    metrics.brier_score,
    metrics.expected_calibration_error,
)

REFERENCES = {
    metrics.accuracy: sk.accuracy_score,
    metrics.balanced_accuracy: sk.balanced_accuracy_score,
    metrics.f1: sk.f1_score,
    metrics.mcc: sk.matthews_corrcoef,
    metrics.signal_efficiency: sk.recall_score,
    metrics.background_rejection: lambda t, p: sk.recall_score(t, p, pos_label=0),
    metrics.purity: sk.precision_score,
}


@pytest.fixture
def sample():
    rng = np.random.default_rng(5)
    y_true = rng.integers(0, 2, 500)
    y_score = np.round(np.clip(rng.normal(0.35 + 0.3 * y_true, 0.25), 0, 1), 2)  # with ties
    return y_true, y_score, (y_score > 0.5).astype(int)


@pytest.mark.parametrize("metric", LABELS, ids=lambda m: m.__name__)
def test_matches_scikit_learn(metric, sample):
    y_true, _, y_pred = sample
    assert metric(y_true, y_pred) == pytest.approx(REFERENCES[metric](y_true, y_pred), abs=1e-12)


def test_scores_match_scikit_learn(sample):
    y_true, y_score, _ = sample
    assert metrics.auc(y_true, y_score) == pytest.approx(sk.roc_auc_score(y_true, y_score), abs=1e-12)
    average = sk.average_precision_score(y_true, y_score)
    assert metrics.average_precision(y_true, y_score) == pytest.approx(average, abs=1e-12)
    distinct = y_score + np.linspace(0, 1e-6, len(y_score))
    average = sk.average_precision_score(y_true, distinct)
    assert metrics.average_precision(y_true, distinct) == pytest.approx(average, abs=1e-12)
    assert metrics.log_loss(y_true, y_score) == pytest.approx(sk.log_loss(y_true, y_score), abs=1e-10)
    assert metrics.brier_score(y_true, y_score) == pytest.approx(sk.brier_score_loss(y_true, y_score))


def test_log_loss_of_float32_matches_scikit_learn():
    y_true, y_score = np.array([0, 1, 1]), np.array([0.0, 1.0, 0.0], dtype=np.float32)
    assert metrics.log_loss(y_true, y_score) == pytest.approx(sk.log_loss(y_true, y_score), rel=1e-5)


def test_matches_torchmetrics(sample):
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.classification")
    y_true, y_score, y_pred = (torch.as_tensor(array) for array in sample)
    arrays = sample[0], sample[2]
    assert metrics.accuracy(*arrays) == pytest.approx(functional.binary_accuracy(y_pred, y_true).item())
    assert metrics.f1(*arrays) == pytest.approx(functional.binary_f1_score(y_pred, y_true).item())
    assert metrics.mcc(*arrays) == pytest.approx(
        functional.binary_matthews_corrcoef(y_pred, y_true).item(), abs=1e-6
    )
    assert metrics.auc(*sample[:2]) == pytest.approx(
        functional.binary_auroc(y_score, y_true).item(), abs=1e-6
    )
    ours = metrics.confusion_matrix(*arrays)
    assert (ours == functional.binary_confusion_matrix(y_pred, y_true).numpy()).all()


@pytest.mark.parametrize("metric", [metrics.accuracy, metrics.balanced_accuracy, metrics.f1, metrics.mcc])
def test_several_classes_match_scikit_learn(metric):
    rng = np.random.default_rng(2)
    y_true = rng.integers(0, 4, 300)
    y_pred = np.where(rng.random(300) < 0.6, y_true, rng.integers(0, 4, 300))
    reference = {
        metrics.f1: lambda t, p: sk.f1_score(t, p, average="macro"),
    }.get(metric, REFERENCES[metric])
    assert metric(y_true, y_pred) == pytest.approx(reference(y_true, y_pred), abs=1e-12)


def test_published_confusion_matrix_gives_published_values():
    counts = np.array([[19867, 53], [482, 19598]])
    y_true = np.repeat([0, 0, 1, 1], counts.ravel())
    y_pred = np.repeat([0, 1, 0, 1], counts.ravel())
    assert (metrics.confusion_matrix(y_true, y_pred) == counts).all()
    assert metrics.accuracy(y_true, y_pred) == pytest.approx(0.9866, abs=5e-5)
    assert metrics.f1(y_true, y_pred) == pytest.approx(0.9865, abs=5e-5)
    assert metrics.mcc(y_true, y_pred) == pytest.approx(0.9735, abs=5e-5)


@pytest.mark.parametrize("metric", LABELS + SCORES, ids=lambda m: m.__name__)
def test_weights_are_repetitions(metric, sample):
    """Two rows of weights give the values of the two samples they stand for."""
    y_true, y_score, y_pred = sample
    other = y_pred if metric in LABELS else y_score
    counts = np.random.default_rng(3).integers(0, 4, (2, len(y_true)))
    found = metric(y_true, other, weights=counts)
    expected = [metric(np.repeat(y_true, row), np.repeat(other, row)) for row in counts]
    assert found.shape == (2,)
    assert found == pytest.approx(expected, abs=1e-12)
    assert metric(y_true, other, weights=counts[0]) == pytest.approx(expected[0], abs=1e-12)


@pytest.mark.parametrize("metric", LABELS + SCORES, ids=lambda m: m.__name__)
def test_order_of_events_does_not_matter(metric, sample):
    y_true, y_score, y_pred = sample
    other = y_pred if metric in LABELS else y_score
    order = np.random.default_rng(4).permutation(len(y_true))
    assert metric(y_true[order], other[order]) == pytest.approx(metric(y_true, other), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5)), min_size=1, max_size=30))
def test_auc_is_the_fraction_of_ordered_pairs(events):
    y_true, y_score = (np.array(column) for column in zip(*events, strict=True))
    signal, background = y_score[y_true == 1], y_score[y_true == 0]
    found = metrics.auc(y_true, y_score)
    if len(signal) and len(background):
        above = (signal[:, None] > background) + 0.5 * (signal[:, None] == background)
        assert found == pytest.approx(above.mean())
    else:
        assert np.isnan(found)


def test_roc_curve_spans_no_selection_to_all(sample):
    curve = metrics.roc_curve(*sample[:2])
    assert curve.signal_efficiency[[0, -1]].tolist() == [0, 1]
    assert curve.background_efficiency[[0, -1]].tolist() == [0, 1]
    area = np.trapezoid(curve.signal_efficiency, curve.background_efficiency)
    assert area == pytest.approx(metrics.auc(*sample[:2]))


def test_what_does_not_exist_is_nan():
    assert np.isnan(metrics.auc([1, 1], [0.2, 0.3]))
    assert np.isnan(metrics.average_precision([0, 0], [0.2, 0.3]))
    assert metrics.average_precision([0, 1, 0, 0], [0.1] * 4) == 0.25
    assert np.isnan(metrics.purity([0, 1], [0, 0]))
    assert np.isnan(metrics.signal_efficiency([0, 0], [0, 1]))
    assert np.isnan(metrics.background_rejection([1, 1], [0, 1]))
    assert np.isnan(metrics.balanced_accuracy([1, 1], [0, 1]))
    assert np.isnan(metrics.mcc([1, 1], [0, 1]))
    assert metrics.mcc([0, 1], [1, 1]) == 0
    with pytest.raises(DataError, match="needs both classes"):
        metrics.roc_curve([1, 1], [0.2, 0.3])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.accuracy([], []), "at least one event"),
        (lambda: metrics.accuracy([0, 1], [0, 1, 1]), r"one shape. Got y_true \(2,\), y_pred \(3,\)"),
        (lambda: metrics.accuracy([0, 0.5], [0, 1]), "class indices .* Got 0.5 at event 1"),
        (lambda: metrics.accuracy([0, np.nan], [0, 1]), "Got nan at event 1"),
        (lambda: metrics.accuracy(["a", "b"], [0, 1]), "class indices"),
        (lambda: metrics.accuracy(np.zeros((2, 2)), [0, 1]), r"shape \(event,\). Got shape \(2, 2\)"),
        (lambda: metrics.purity([0, 2], [0, 1]), "Got 2 at event 1"),
        (lambda: metrics.auc([0, 1], [0.1, np.inf]), "Got 1 NaN or infinite values, first at event 1"),
        (lambda: metrics.auc([0, 1], ["a", "b"]), "must hold numbers"),
        (lambda: metrics.log_loss([0, 1], [0.1, 1.5]), r"in \[0, 1\]. Got 1.5 at event 1"),
        (lambda: metrics.confusion_matrix([0, 2], [0, 1], n_classes=2), "below n_classes = 2. Got 2"),
        (lambda: metrics.accuracy([0, 1], [0, 1], weights=[1]), "weights must have shape"),
        (lambda: metrics.accuracy([0, 1], [0, 1], weights=[1, -1]), "not negative"),
        (lambda: metrics.accuracy([0, 1], [0, 1], weights=[1, np.nan]), "finite"),
    ],
)
def test_wrong_arrays_are_refused(call, message):
    with pytest.raises(DataError, match=message):
        call()


#: Samples on which definitions part: truth, answer.
ADVERSARIAL = {
    "one event": ([1], [1]),
    "one event of a class": ([0, 0, 0, 1], [0, 1, 0, 0]),
    "one true class": ([1, 1, 1], [1, 0, 1]),
    "one answer": ([0, 1, 1, 0, 1], [1, 1, 1, 1, 1]),
    "perfect": ([0, 1, 1, 0], [0, 1, 1, 0]),
    "inverted": ([0, 1, 1, 0], [1, 0, 0, 1]),
    "three classes, the middle one absent": ([0, 2, 2, 0], [0, 2, 0, 0]),
    "three classes, the middle one only answered": ([0, 2, 2, 0], [0, 1, 2, 0]),
    "three classes, one event of one": ([0, 2, 1, 0], [0, 2, 2, 0]),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", ADVERSARIAL)
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_adversarial_answers_match_scikit_learn(case, weighted):
    """They agree but where hitlens says "undefined" and scikit-learn takes 0 or fewer classes."""
    true, called = map(np.array, ADVERSARIAL[case])
    w = np.random.default_rng(3).random(len(true)) + 0.1 if weighted else None
    n = max(2, true.max() + 1, called.max() + 1)
    assert metrics.accuracy(true, called, weights=w) == pytest.approx(
        sk.accuracy_score(true, called, sample_weight=w)
    )
    recalls = sk.recall_score(
        true, called, labels=range(n), average=None, sample_weight=w, zero_division=np.nan
    )
    balanced = metrics.balanced_accuracy(true, called, weights=w)
    assert balanced == pytest.approx(np.mean(recalls), nan_ok=True)
    if set(true) == set(range(n)):
        assert balanced == pytest.approx(sk.balanced_accuracy_score(true, called, sample_weight=w))
    each = sk.f1_score(true, called, labels=range(n), average=None, sample_weight=w, zero_division=np.nan)
    assert metrics.f1(true, called, weights=w) == pytest.approx(
        each[1] if n == 2 else np.mean(each), nan_ok=True
    )
    if len(set(true)) > 1:
        assert metrics.mcc(true, called, weights=w) == pytest.approx(
            sk.matthews_corrcoef(true, called, sample_weight=w), abs=1e-12
        )
    else:
        assert np.isnan(metrics.mcc(true, called, weights=w))


def test_a_class_above_all_that_were_seen_is_absent_too():
    assert metrics.balanced_accuracy([0, 1], [0, 1]) == 1
    assert np.isnan(metrics.balanced_accuracy([0, 1], [0, 1], n_classes=3))
    assert np.isnan(metrics.f1([0, 1, 1], [0, 1, 1], n_classes=3))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=30),
    st.sampled_from(["ties", "equal", "perfect", "inverted"]),
)
def test_adversarial_scores_match_scikit_learn(events, kind):
    true, steps, weights = map(np.array, zip(*events, strict=True))
    score = {"ties": steps / 3, "equal": np.full(len(true), 0.5), "perfect": true * 1.0}.get(kind, 1.0 - true)
    present = {int(label) for label, weight in zip(true, weights, strict=True) if weight}
    value = metrics.auc(true, score, weights=weights)
    if present == {0, 1}:
        assert value == pytest.approx(sk.roc_auc_score(true, score, sample_weight=weights))
        precision = sk.average_precision_score(true, score, sample_weight=weights)
        assert metrics.average_precision(true, score, weights=weights) == pytest.approx(precision)
    else:
        assert np.isnan(value)
    if present:
        assert metrics.brier_score(true, score, weights=weights) == pytest.approx(
            np.average((true - score) ** 2, weights=weights)
        )
        assert metrics.log_loss(true, score, weights=weights) == pytest.approx(
            sk.log_loss(true, score, sample_weight=weights, labels=[0, 1]), abs=1e-12
        )
