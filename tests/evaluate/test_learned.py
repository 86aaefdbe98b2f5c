"""Methods that learn: every kind of task they are for, on the events they were given, counted."""

from __future__ import annotations

import numpy as np
import pytest

from hitlens.datasets.summaries import summarise
from hitlens.detectors.cebr import DETECTOR
from hitlens.errors import NotFoundError
from hitlens.evaluate import EvaluateConfig, evaluate
from hitlens.evaluate.learned import LEARNERS, Summaries, learned_baselines

FAST = EvaluateConfig(n_bootstrap=20, n_bootstrap_slices=20)


def summaries(events) -> Summaries:
    return Summaries(summarise(events, DETECTOR), events.truth, 0.1)


def test_every_head_they_are_for_stands_beside_the_model(make_predictions, make_cebr) -> None:
    predictions, events = make_predictions("joint", 600)
    test = predictions.table["split"].to_numpy() == "test"
    training = make_cebr(1500, 5)
    found = list(
        learned_baselines(
            list(LEARNERS),
            predictions.heads,
            summaries(training),
            summaries(events.select(test)),
            np.arange(int(test.sum())),
        )
    )
    assert [one.name for one in found] == ["boosting", "calorimetric"]
    # Sets have no order trees could learn.
    assert [list(one.columns) for one in found] == [["multiplicity", "single"], ["single"]]
    assert "fitted on 1,500 events" in found[0].meaning
    n_single = int((training.truth["n_electrons"] == 1).sum())
    assert f"fitted on {n_single} events" in found[1].meaning
    results = evaluate(predictions, DETECTOR, FAST, baselines=found, training=training.truth)
    classes, values = results.head("multiplicity"), results.head("single")
    accuracy = classes.baseline("boosting").metrics[0].interval
    assert accuracy is not None
    assert accuracy.value > 0.65
    assert classes.baseline("boosting").n_events == classes.n_events
    r2 = {m.column: m.interval for m in values.baseline("calorimetric").metrics if m.name == "r2"}
    assert r2["energy_1_mev"].value > 0.8
    assert r2["x_1_px"].value < 0.1
    assert [one.name for one in results.head("double").baselines] == ["constant"]
    assert {one.method for one in values.slices} == {"model", "constant", "boosting", "calorimetric"}


def test_a_head_without_training_targets_is_left_out(make_predictions, make_cebr) -> None:
    predictions, events = make_predictions("joint", 60)
    doubles = make_cebr(100, 5).filter("n_electrons = 2")
    asked = (list(LEARNERS), predictions.heads, summaries(doubles), summaries(events), np.arange(60))
    found = list(learned_baselines(*asked))
    assert [list(one.columns) for one in found] == [["multiplicity"]]
    assert (found[0].columns["multiplicity"]["multiplicity"] == 1).all()


def test_an_unknown_method_is_refused_with_the_nearest(make_cebr) -> None:
    one = summaries(make_cebr(5))
    with pytest.raises(NotFoundError, match="boosting"):
        list(learned_baselines(["bosting"], DETECTOR.tasks[:1], one, one, np.arange(5)))
