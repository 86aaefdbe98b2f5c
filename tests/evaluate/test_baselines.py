"""What needs no network to be said of events."""

from __future__ import annotations

import numpy as np
import polars as pl

from hitlens.detectors.cebr import DETECTOR
from hitlens.evaluate.baselines import class_shares, column_means, training_truth

NAN = float("nan")


def test_shares_and_means_come_from_where_the_target_is_defined() -> None:
    truth = pl.DataFrame(
        {
            "n_electrons": [1, 1, 2],
            "energy_1_mev": [0.2, 0.4, 1.0],
            "energy_2_mev": [0.0, 0.0, 0.5],
            "x_1_px": [1.0, 2.0, 8.0],
            "y_1_px": [3.0, 4.0, 8.0],
        }
    )
    np.testing.assert_allclose(class_shares(truth, DETECTOR.task("multiplicity")), [2 / 3, 1 / 3])
    np.testing.assert_allclose(column_means(truth, DETECTOR.task("single_energy")), [0.3])
    np.testing.assert_allclose(column_means(truth, DETECTOR.task("single_position")), [1.5, 3.5])
    np.testing.assert_allclose(column_means(truth, DETECTOR.task("double_energy")), [[0.75], [0.75]])
    nothing = truth.clear()
    np.testing.assert_allclose(class_shares(nothing, DETECTOR.task("multiplicity")), [0.5, 0.5])
    np.testing.assert_allclose(column_means(nothing, DETECTOR.task("single_energy")), [0.0])


def test_constants_come_from_the_training_split_where_it_is_known(make_predictions) -> None:
    predictions, events = make_predictions("multiplicity", 30)
    assert training_truth(predictions, events.truth)[1] == "the training split"
    truth, source = training_truth(predictions, None)
    assert (len(truth), source) == (10, "the validation split")
    test = predictions.split("test")
    assert training_truth(test, None)[1] == "the evaluated events themselves"
    train = predictions.with_table(predictions.table.with_columns(split=pl.lit("train")))
    assert training_truth(train, None)[1] == "the training split"
