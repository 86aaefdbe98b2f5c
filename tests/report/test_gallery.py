"""Which events a gallery shows, in which order, with which words."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hitlens.detector import Detector, Symmetry, TruthEffect, View
from hitlens.detectors.cebr import DETECTOR
from hitlens.report.gallery import class_outcomes, make_gallery, outcomes, points, position_columns

HEAD = DETECTOR.task("multiplicity")


def test_positions_are_what_flips_reverse() -> None:
    assert position_columns(DETECTOR, DETECTOR.views[0]) == (("x_1_px", "y_1_px"), ("x_2_px", "y_2_px"))
    view = View(name="v", shape=(4, 8), axes=("z", "t"), pitch_mm=(1, 1), unit="")
    flip = Symmetry(name="flip", flips=("z",), truth={"z0": TruthEffect(source="z0", scale=-1, offset=4)})
    assert position_columns(Detector(name="d", title="", views=(view,), truth=(), tasks=()), view) == ()
    lonely = Detector(name="d", title="", views=(view,), truth=(), tasks=(), symmetries=(flip,))
    assert position_columns(lonely, view) == ()


def test_outcomes_are_complete_and_most_wrong_first(make_predictions) -> None:
    table = make_predictions("multiplicity", 900)[0].table
    kinds = {kind.name: kind.rows for kind in outcomes(table, HEAD, 0.5)}
    assert sorted(np.concatenate(list(kinds.values())).tolist()) == list(range(900))
    score = table["score_multiplicity"].to_numpy()
    true = table["true_multiplicity"].to_numpy()
    for name, of_class, rising in (
        ("false_negatives", "double", True),
        ("true_positives", "double", True),
        ("false_positives", "single", False),
        ("true_negatives", "single", False),
    ):
        rows = kinds[name]
        assert len(rows) > 5
        assert set(true[rows]) == {of_class}
        assert ((score[rows] >= 0.5) == (name in ("true_positives", "false_positives"))).all()
        steps = np.diff(score[rows])
        assert ((steps >= 0) if rising else (steps <= 0)).all()


def test_unknown_truth_and_broken_scores_are_no_outcome() -> None:
    table = pl.DataFrame(
        {"score_multiplicity": [0.1, float("nan"), None], "true_multiplicity": [None, "single", "double"]}
    )
    assert all(len(kind.rows) == 0 for kind in outcomes(table, HEAD, 0.5))


@pytest.mark.parametrize("task", ["multiplicity", "single_position", "double_energy", "joint"])
def test_captions_and_positions(make_predictions, task: str) -> None:
    predictions, events = make_predictions(task, 20)
    images = {"anode": events.dense("anode")}
    found = make_gallery(predictions, images, DETECTOR, title="All", name="all", caption="20 of 20")
    assert len(found.captions) == 20
    double = int(np.flatnonzero(events.truth["n_electrons"].to_numpy() == 2)[0])
    row = predictions.table.row(double, named=True)
    lines = found.captions[double].split("\n")
    assert lines[0].startswith(f"event {row['event']}")
    assert ("score" in lines[0]) == (task in ("multiplicity", "joint"))
    assert lines[-1] == row["file"]
    assert lines[1] == f"true energy {row['true_energy_1_mev']:.3f}, {row['true_energy_2_mev']:.3f} MeV"
    assert any(line.startswith("predicted energy") for line in lines) == (task in ("double_energy", "joint"))
    np.testing.assert_array_equal(found.true_points[double, 1], [row["true_x_2_px"], row["true_y_2_px"]])
    assert "All: images of 20 events" in found.alt


def test_predicted_positions_are_those_of_the_head_the_truth_belongs_to(make_predictions) -> None:
    predictions, events = make_predictions("joint", 30)
    found = make_gallery(predictions, {"anode": events.dense("anode")}, DETECTOR, title="", name="")
    assert found.pred_points.shape == (30, 3, 2)
    single = events.truth["n_electrons"].to_numpy() == 1
    assert np.isfinite(found.pred_points[single, 0]).all()
    assert np.isnan(found.pred_points[single, 1:]).all()
    assert np.isnan(found.pred_points[~single, 0]).all()
    np.testing.assert_allclose(found.pred_points[single, 0], found.true_points[single, 0], atol=0.5)


def test_new_events_without_truth_still_have_a_picture(make_predictions) -> None:
    predictions, events = make_predictions("single_position", 5)
    bare = predictions.with_table(predictions.table.select("file", "event", "split", "^pred_.*$"))
    found = make_gallery(bare, {"anode": events.dense("anode")}, DETECTOR, title="", name="")
    assert found.true_points.shape == (5, 0, 2)
    assert np.isfinite(found.pred_points).all()
    assert found.captions[0].split("\n") == ["event 0", bare.table["file"][0]]
    assert points(bare.table, [("x_1_px", "y_1_px")], "pred_").shape == (5, 1, 2)


def test_outcomes_of_a_class_are_complete_and_surest_first(make_two_view_predictions) -> None:
    predictions, _ = make_two_view_predictions(300)
    table, head = predictions.table, predictions.head("flavour")
    scores = table.select([f"score_flavour_{name}" for name in head.class_names]).to_numpy().max(1)
    rows = []
    for name in head.class_names:
        wrong, right = class_outcomes(table, head, name)
        assert (table["pred_flavour"].to_numpy()[right.rows] == name).all()
        assert (table["pred_flavour"].to_numpy()[wrong.rows] != name).all()
        for kind in (wrong, right):
            assert (np.diff(scores[kind.rows]) <= 0).all()
            assert (table["true_flavour"].to_numpy()[kind.rows] == name).all()
        rows += [*wrong.rows.tolist(), *right.rows.tolist()]
    assert sorted(rows) == list(range(300))


def test_several_views_mark_no_positions_and_say_the_truth(two_views, make_two_view_predictions) -> None:
    predictions, events = make_two_view_predictions(3)
    images = {view.name: events.dense(view.name, view.shape) for view in two_views.views}
    found = make_gallery(predictions, images, two_views, title="Three", name="n")
    assert found.true_points.shape[1] == found.pred_points.shape[1] == 0
    assert "in 2 views" in found.alt
    assert "positions" not in found.alt
    assert all(", E = " in text.split("\n")[0] for text in found.captions)
