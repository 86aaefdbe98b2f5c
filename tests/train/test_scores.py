"""Validation scores in physical units, sets matched first."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from hitlens.detector import Task
from hitlens.detectors import get_detector
from hitlens.errors import ConfigError
from hitlens.models.preprocessing import Preprocessing, TargetScaling
from hitlens.train.scores import monitored, validation_scores

CEBR = get_detector("cebr")


def preprocessing(head: str, n_outputs: int) -> Preprocessing:
    scaling = TargetScaling(mean=(0.0,) * n_outputs, spread=(1.0,) * n_outputs)
    return Preprocessing(scalings={}, targets={head: scaling})


def test_accuracy_counts_raw_scores_above_zero() -> None:
    task = CEBR.task("multiplicity")
    scores = validation_scores(
        task, torch.tensor([[0.1], [-3.0]]), torch.tensor([[1.0], [1.0]]), preprocessing("", 0)
    )
    assert scores == {"accuracy": 0.5}


@pytest.mark.parametrize("n_classes", [2, 3])
def test_class_scores_are_those_of_scikit_learn(n_classes: int) -> None:
    torch.manual_seed(0)
    task = CEBR.task("multiplicity")
    if n_classes == 3:
        task = task.model_copy(update={"kind": "multiclass", "class_names": ("a", "b", "c")})
    label = torch.randint(n_classes, (200, 1)).float()
    raw = torch.randn(200, 1 if n_classes == 2 else 3).round(decimals=1)  # with ties
    scores = validation_scores(task, raw, label, preprocessing("", 0))
    called = (raw[:, 0] > 0).int() if n_classes == 2 else raw.argmax(dim=1)
    probabilities = raw[:, 0] if n_classes == 2 else raw.double().softmax(dim=1)
    assert scores["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(label[:, 0], called))
    assert scores["auc"] == pytest.approx(roc_auc_score(label[:, 0], probabilities, multi_class="ovr"))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_mean_over_classes_needs_an_event_of_each(n_classes: int) -> None:
    names = ("a", "b", "c")[:n_classes]
    kind = "binary" if n_classes == 2 else "multiclass"
    task = Task(name="t", kind=kind, meaning="", target="t", class_names=names)
    raw = torch.eye(4, 1 if n_classes == 2 else n_classes)
    for label in ([0, 0, 0, 0], [1, 1, 1, 1], [1, 0, 1, 0]):
        scores = validation_scores(task, raw, torch.tensor(label).float()[:, None], preprocessing("", 0))
        assert "accuracy" in scores
        assert ("balanced_accuracy" in scores) == ("auc" in scores) == (len({*label}) == n_classes)


def test_sets_are_matched_before_they_are_scored() -> None:
    true = torch.tensor([[0.1, 1.0, 2.0, 0.9, 8.0, 9.0]])
    swapped = true.view(1, 2, 3).flip(1).reshape(1, 6)
    scores = validation_scores(CEBR.task("double"), swapped, true, preprocessing("double", 6))
    assert set(scores) == {"mae_mev", "rmse_mev", "mae_px", "rmse_px"}
    assert max(scores.values()) == 0


def test_units_are_scored_apart() -> None:
    pred, true = torch.tensor([[0.5, 3.0, 4.0]]), torch.tensor([[0.4, 1.0, 4.0]])
    scores = validation_scores(CEBR.task("single"), pred, true, preprocessing("single", 3))
    assert scores["mae_mev"] == pytest.approx(0.1)
    assert scores["mae_px"] == pytest.approx(1.0)
    assert scores["rmse_px"] == pytest.approx(2**0.5)


def test_no_events_have_no_scores() -> None:
    assert (
        validation_scores(
            CEBR.task("multiplicity"), torch.zeros(0, 1), torch.zeros(0, 1), preprocessing("", 0)
        )
        == {}
    )


def test_the_best_epoch_is_chosen_by_accuracy_or_loss() -> None:
    assert monitored((CEBR.task("multiplicity"),)) == ("val_accuracy", "max")
    assert monitored((CEBR.task("single_energy"),)) == ("val_loss", "min")
    assert monitored(CEBR.heads(CEBR.task("joint"))) == ("val_loss", "min")
    assert monitored((CEBR.task("multiplicity"),), "auc") == ("val_auc", "max")
    assert monitored((CEBR.task("multiplicity"),), "loss") == ("val_loss", "min")
    with pytest.raises(ConfigError, match=r"auc needs one task with classes\. Got single_energy"):
        monitored((CEBR.task("single_energy"),), "auc")
