"""Numbers of several classes against scikit-learn, also where a class is absent."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from hitlens.detector import Task
from hitlens.evaluate.class_measures import called, class_measures
from hitlens.evaluate.compare import compare, measure

NAMES = ("numu", "nue", "nc", "nutau")
TASK = Task(name="flavour", kind="multiclass", meaning="", target="f", class_names=NAMES)


def sample(present: int, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    y = rng.integers(0, present, n)
    return y, rng.dirichlet(np.ones(4), n) + 0.5 * np.eye(4)[y]


def values(y: np.ndarray, scores: np.ndarray) -> dict[tuple[str, str], float]:
    rng = np.random.default_rng(1)
    found = measure(class_measures(TASK, 0.5), y, scores, rng=rng, n_bootstrap=30, level=0.95)
    return {(m.name, m.column): m.interval.value if m.interval else None for m in found}


@pytest.mark.parametrize("present", [4, 3])
def test_means_are_over_all_classes(present: int) -> None:
    y, scores = sample(present)
    found, call = values(y, scores), scores.argmax(1)
    there = list(range(present))
    assert found["accuracy", ""] == pytest.approx(reference.accuracy_score(y, call))
    recall = reference.recall_score(y, call, labels=there, average="macro")
    f1 = reference.f1_score(y, call, labels=there, average="macro")
    complete = present == len(NAMES)
    assert found["balanced_accuracy", ""] == (pytest.approx(recall) if complete else None)
    assert found["f1", ""] == (pytest.approx(f1) if complete else None)
    assert found["mcc", ""] == pytest.approx(reference.matthews_corrcoef(y, call))
    each = [reference.roc_auc_score(y == k, scores[:, k]) for k in there]
    assert found["auc", ""] == (pytest.approx(np.mean(each)) if complete else None)
    for k, name in enumerate(NAMES[:present]):
        assert found["auc", name] == pytest.approx(each[k])
        assert found["efficiency", name] == pytest.approx((call[y == k] == k).mean())
        assert found["purity", name] == pytest.approx((y[call == k] == k).mean())
    if present == 3:
        assert found["efficiency", "nutau"] is None
        assert found["auc", "nutau"] is None
        assert found["purity", "nutau"] is None


def test_two_methods_side_by_side_do_not_take_each_others_numbers() -> None:
    """What is remembered of one method and draw must not serve another."""
    y, good = sample(4)
    bad = good[:, [1, 2, 3, 0]]
    asked = {"rng": np.random.default_rng(1), "n_bootstrap": 40, "level": 0.95}
    both = compare(class_measures(TASK, 0.5), y, good, bad, **asked)
    alone = [
        measure(class_measures(TASK, 0.5), y, one, **(asked | {"rng": np.random.default_rng(1)}))
        for one in (good, bad)
    ]
    assert both.model == alone[0]
    assert both.baseline == alone[1]
    for mine, theirs, difference in zip(both.model, both.baseline, both.differences, strict=True):
        gap = mine.interval.value - theirs.interval.value
        assert difference.interval.value == pytest.approx(gap)
        assert difference.interval.low <= gap <= difference.interval.high


def test_a_rare_signal_shows_the_accuracy_paradox() -> None:
    """Calling nothing signal is accurate; every number that asks for signal says it is worthless."""
    task = Task(name="nue", kind="binary", meaning="", target="f", class_names=("other", "nue"))
    y = (np.arange(1000) < 12).astype(int)
    found = measure(
        class_measures(task, 0.5),
        y,
        np.full(1000, 0.012),
        rng=np.random.default_rng(1),
        n_bootstrap=30,
        level=0.9,
    )
    got = {m.name: m.interval.value if m.interval else None for m in found}
    assert got["accuracy"] == 0.988
    assert got["balanced_accuracy"] == got["auc"] == 0.5
    assert got["signal_efficiency"] == 0
    assert got["average_precision"] == pytest.approx(0.012)
    assert got["purity"] is None


def test_calls() -> None:
    assert called(np.array([0.5, 0.49]), 0.5).tolist() == [1, 0]
    assert called(np.array([[0.2, 0.5, 0.3]]), 0.9).tolist() == [1]


def test_a_class_of_few_events_has_no_numbers() -> None:
    """Drawing one signal event again and again shows no spread: its AUC would seem to be known."""
    task = Task(name="nue", kind="binary", meaning="", target="f", class_names=("other", "nue"))
    y, score = (np.arange(100) < 3).astype(int), np.linspace(1, 0, 100)
    asked = {"rng": np.random.default_rng(1), "n_bootstrap": 30, "level": 0.9}
    for least, known in ((3, True), (4, False)):
        got = {m.name: m.interval for m in measure(class_measures(task, 0.5, least), y, score, **asked)}
        others = set(got) - {"accuracy", "background_rejection"}
        assert got["accuracy"] is not None
        assert got["background_rejection"] is not None
        assert all((got[name] is not None) == known for name in others)
    several, scores = sample(4)
    several[several == 1] = 0
    several[:3] = 1
    found = measure(class_measures(TASK, 0.5, 4), several, scores, **asked)
    got = {(m.name, m.column): m.interval for m in found}
    assert got["efficiency", "nue"] is None
    reasons = {(m.name, m.column): m.reason for m in found}
    for name in ("balanced_accuracy", "f1", "auc"):
        assert got[name, ""] is None
        assert reasons[name, ""] == "fewer than 4 true events of nue (3)"
    assert reasons["efficiency", "nue"] == "fewer than 4 true events of nue (3)"
    assert reasons["efficiency", "nc"] == reasons["accuracy", ""] == ""


@pytest.mark.parametrize(
    ("counts", "answer"), [((40, 40, 4, 40), None), ((40, 40, 0, 40), 0), ((40, 1, 40, 40), 2)]
)
def test_few_events_of_a_class_do_not_raise_a_mean(counts: tuple[int, ...], answer: int | None) -> None:
    y = np.repeat(np.arange(4), counts)
    scores = np.eye(4)[y if answer is None else np.full(len(y), answer)]
    asked = {"rng": np.random.default_rng(1), "n_bootstrap": 30, "level": 0.9}
    got = {(m.name, m.column): m for m in measure(class_measures(TASK, 0.5, 5), y, scores, **asked)}
    for name in ("balanced_accuracy", "f1", "auc"):
        assert got[name, ""].interval is None
        assert "fewer than 5 true events" in got[name, ""].reason
    assert got["accuracy", ""].interval is not None


def test_none_of_twelve_found_is_not_none_for_certain() -> None:
    task = Task(name="nue", kind="binary", meaning="", target="f", class_names=("other", "nue"))
    y = (np.arange(1000) < 12).astype(int)
    score = np.linspace(0, 0.4, 1000)
    asked = {"rng": np.random.default_rng(1), "n_bootstrap": 30, "level": 0.95}
    both = compare(class_measures(task, 0.5), y, score, np.full(1000, 0.012), **asked)
    mine, constant = (
        {m.name: m.interval for m in found}["signal_efficiency"] for found in (both.model, both.baseline)
    )
    assert (mine.value, mine.low) == (0, 0)
    assert mine.high == pytest.approx(0.2425, abs=1e-3)
    assert (constant.low, constant.high) == (0, 0)
