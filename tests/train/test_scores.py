"""Validation scores in physical units, sets matched first."""

from __future__ import annotations

import pytest
import torch

from hitlens.detectors import get_detector
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
