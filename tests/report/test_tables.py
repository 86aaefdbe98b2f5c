"""The tables of a report hold the numbers of the results."""

from __future__ import annotations

import numpy as np
import pytest

from hitlens.detectors.cebr import DETECTOR
from hitlens.evaluate import BaselineColumns, EvaluateConfig, evaluate
from hitlens.report.tables import (
    Table,
    data_table,
    metric_tables,
    provenance_table,
    published_table,
)

FAST = EvaluateConfig(n_bootstrap=20, n_bootstrap_slices=20)


def texts(table: Table) -> list[list[str]]:
    assert all(len(row) == len(table.columns) for row in table.rows)
    return [[cell.text for cell in row] for row in table.rows]


@pytest.fixture(scope="module")
def joint(make_predictions):
    predictions, _ = make_predictions("joint", 600)
    chosen = predictions.split("test")
    right = (chosen.truth()["n_electrons"] == 2).to_numpy().astype(float)
    rows = np.arange(300)
    fit = BaselineColumns(
        "likelihood_fit", "a fit", rows, {"multiplicity": {"multiplicity": right[:300]}}, 2.0
    )
    return evaluate(predictions, DETECTOR, FAST, baselines=[fit])


def test_a_classification_has_model_constant_and_fit(joint) -> None:
    mine, beside = metric_tables(joint.head("multiplicity"))
    assert mine.columns == ("", "model", "constant answer", "meaning")
    row = texts(mine)[0]
    assert row[0] == "accuracy"
    assert row[1] == str(joint.head("multiplicity").metric("accuracy").interval)
    assert "same 300 events; 150 events/s" in beside.caption
    assert beside.columns[2:] == ("likelihood fit", "model \N{MINUS SIGN} likelihood fit")
    # The made fit is always right, the made model is not.
    assert beside.rows[0][3].verdict == "bad"


def test_a_regression_has_a_row_a_quantity_and_method(joint) -> None:
    (mine,) = metric_tables(joint.head("double"))
    rows = texts(mine)
    assert [row[:2] for row in rows[:4]] == [
        ["energy [MeV]", "model"],
        ["energy [MeV]", "constant answer"],
        ["x [px]", "model"],
        ["x [px]", "constant answer"],
    ]
    assert rows[-2][0] == "x and y [px]"
    assert "matched" in mine.caption


def test_data_and_summary(joint) -> None:
    rows = texts(data_table(joint))
    assert ["test split (evaluated here)", "400"] in rows
    assert any(row[0] == "single: left out, not n_electrons = 1" for row in rows)


def test_published_values_stand_beside_ours(joint) -> None:
    table = published_table(joint, DETECTOR)
    assert table is not None
    rows = texts(table)
    assert len(rows) == len(DETECTOR.published)
    position = next(row for row in rows if row[0] == "single_position")
    assert position[3] == ".322 mm (.107 px)"
    interval = joint.head("single").metric("rmse", "x_1_px, y_1_px").interval
    assert position[4] == f"{interval} px = {3 * interval.value:.3g} mm"
    assert all("Geant4" in row[5] for row in rows)


def test_only_published_values_of_the_run_are_shown(make_predictions) -> None:
    predictions, _ = make_predictions("single_energy", 60)
    results = evaluate(predictions, DETECTOR, FAST)
    table = published_table(results, DETECTOR)
    assert table is not None
    assert [row[0] for row in texts(table)] == ["single_energy"]
    bare = DETECTOR.model_copy(update={"published": ()})
    assert published_table(results, bare) is None


def test_provenance_is_flat() -> None:
    rows = texts(provenance_table({"a": {"b": 1, "c": {"d": [1, 2]}}, "e": "f"}))
    assert rows == [["a.b", "1"], ["a.c.d", "1, 2"], ["e", "f"]]
