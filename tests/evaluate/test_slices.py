"""Events fall into the bins of the detector's slice variables."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hitlens.detector import Detector, SliceVariable, View
from hitlens.detectors.cebr import DETECTOR
from hitlens.evaluate.slices import bin_events, slice_results
from hitlens.metrics.interval import Interval

NAN = float("nan")
TRUTH = pl.DataFrame(
    {
        "n_electrons": [2, 2, 2, 1, 2],
        "energy_1_mev": [0.5, 0.5, 0.5, 0.5, 0.5],
        "x_1_px": [3.0, 3.0, 1.0, 3.0, 2.0],
        "y_1_px": [3.0, 3.0, 1.0, 3.0, 3.0],
        "energy_2_mev": [0.25, 0.5, 0.5, 0.0, 0.1],
        "x_2_px": [3.5, 4.0, 15.0, NAN, None],
        "y_2_px": [3.0, 3.0, 15.0, NAN, 3.0],
    }
)


def bins(name: str) -> list[int]:
    return next(one.bins.tolist() for one in bin_events(TRUTH, DETECTOR) if one.variable.name == name)


def test_a_separation_below_one_pixel_is_the_first_bin() -> None:
    assert bins("separation_px") == [0, 1, 7, -1, -1]


def test_the_last_bin_holds_its_upper_edge() -> None:
    assert bins("energy_ratio")[1:3] == [6, 6]


def test_variables_of_unknown_truth_are_left_out() -> None:
    names = {one.variable.name for one in bin_events(TRUTH.drop("x_2_px"), DETECTOR)}
    assert names == {"energy_ratio", "total_energy_mev", "x_1_px", "edge_distance_px"}
    assert bin_events(pl.DataFrame({"event": [1]}), DETECTOR) == ()


def test_thin_bins_have_no_value_and_empty_metrics_are_left_out() -> None:
    binned = tuple(one for one in bin_events(TRUTH, DETECTOR) if one.variable.name == "separation_px")
    assert binned[0].counts() == (1, 1, 0, 0, 0, 0, 0, 1)
    assert binned[0].select(np.array([0, 2])).counts() == (1, 0, 0, 0, 0, 0, 0, 1)

    def per_bin(rows: np.ndarray) -> list[tuple[int, Interval | None]]:
        return [(10 * len(rows), Interval(0.5, 0.4, 0.6)), (len(rows), Interval(0.5, 0.4, 0.6))]

    found = slice_results(binned, ("model", "model"), (("a", "", ""), ("b", "", "")), per_bin, min_events=5)
    assert [one.metric for one in found] == ["a"]
    assert found[0].n_events == (10, 10, 0, 0, 0, 0, 0, 10)
    assert [value is None for value in found[0].values] == [False, False, *[True] * 5, False]
    assert found[0].edges[1] == pytest.approx(1.0)


def test_a_missing_value_is_in_no_bin() -> None:
    view = View(name="v", shape=(2, 2), axes=("x", "y"), pitch_mm=(1, 1), unit="")
    slices = (
        SliceVariable(name="q", label="q", expression="q", edges=(0, 2, 4)),
        SliceVariable(name="s", label="s", expression="r", edges=(0, 2), selection="NOT q > 2"),
        SliceVariable(name="h", label="h", expression="q > 2", edges=(-0.5, 0.5, 1.5)),
    )
    demo = Detector(name="demo", title="", views=(view,), truth=(), tasks=(), slices=slices)
    truth = pl.DataFrame({"q": [1.0, float("nan"), 3.0, None], "r": [1.0, 1.0, 1.0, 1.0]})
    binned = {one.variable.name: one.bins.tolist() for one in bin_events(truth, demo)}
    assert binned == {"q": [0, -1, 1, -1], "s": [0, -1, -1, -1], "h": [0, -1, 1, -1]}
