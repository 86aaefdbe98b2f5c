"""Metrics against a quantity: lines, bins and labels are those of the results."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hitlens.evaluate.results import SliceResult
from hitlens.metrics.interval import Interval
from hitlens.report.slice_figures import Panel, shown_edges, slice_panels

ENERGY = SliceResult(
    "e", "true energy", "GeV", "model", "purity", "", "", (0.0, 1.0, 3.0, 110.0), (500, 40, 3),
    (Interval(0.9, 0.85, 0.95), Interval(0.7, 0.6, 0.8), None),
)  # fmt: skip
MODE = replace(ENERGY, edges=(-0.5, 0.5, 1.5, 2.5), bin_labels=("QE", "RES", "DIS"), label="mode")


def test_bins_of_very_different_width_are_equally_wide_with_their_edges_written() -> None:
    assert shown_edges(ENERGY).tolist() == [0, 1, 2, 3]
    figure = slice_panels([Panel((ENERGY,))])
    below = figure.axes[1]
    assert [text.get_text() for text in below.get_xticklabels()] == ["0", "1", "3", "110"]
    (model,) = figure.axes[0].containers
    np.testing.assert_allclose(np.asarray(model.lines[0].get_xdata(), dtype=float), [0.5, 1.5])


def test_kinds_of_events_have_their_names_under_the_bins() -> None:
    below = slice_panels([Panel((MODE,))]).axes[1]
    assert [text.get_text() for text in below.get_xticklabels()] == ["QE", "RES", "DIS"]
    assert below.get_xlabel() == "mode [GeV]"


def test_metrics_stand_side_by_side_over_their_own_events() -> None:
    other = replace(ENERGY, metric="signal_efficiency", n_events=(7, 7, 7))
    figure = slice_panels([Panel((ENERGY,)), Panel((other,))])
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert labels == ["purity", "signal efficiency", "events", "events"]
    assert max(figure.axes[3].patches[0].get_data().values) == 7


def test_classes_are_lines_and_their_events_are_added_up() -> None:
    lines = tuple(replace(ENERGY, metric="efficiency", column=name) for name in ("QE", "RES"))
    figure = slice_panels([Panel(lines, "efficiency of the true class", by_class=True)])
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert legend == ["QE", "RES"]
    assert figure.axes[1].patches[0].get_data().values.tolist() == [1000, 80, 6]
    assert figure.axes[0].get_ylabel() == "efficiency of the true class"


def test_one_minus_a_fraction_turns_its_interval() -> None:
    (model,) = slice_panels([Panel((ENERGY,), "fraction wrong", True, True)]).axes[0].containers
    np.testing.assert_allclose(model.lines[0].get_ydata(), [0.1, 0.3])
    bar = model.lines[2][0].get_segments()[0]
    np.testing.assert_allclose(bar[:, 1], [0.05, 0.15])


def test_nothing_known_in_any_bin_still_draws() -> None:
    empty = replace(ENERGY, values=(None, None, None))
    slice_panels([Panel((empty,))]).draw_without_rendering()
