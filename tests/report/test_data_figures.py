"""Figures of a data report show what they say, where they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hitlens.datasets.inspection import inspect_events
from hitlens.datasets.pixel_health import OddPixel
from hitlens.detectors import get_detector
from hitlens.report import data_figures

CEBR = get_detector("cebr")


@pytest.fixture(scope="module")
def report(make_cebr):
    return inspect_events([make_cebr(300)], CEBR)


def test_first_axis_runs_to_the_right_and_pixels_span_whole_numbers(report):
    view = report.views[0]
    values = np.zeros((16, 16))
    values[3, 13] = 5.0
    axes = data_figures.draw_mean_image(replace(view, mean_image=values)).axes[0]
    image = axes.get_images()[0]
    assert tuple(image.get_extent()) == (0, 16, 0, 16)
    column, row = np.argwhere(np.asarray(image.get_array()).T == 5.0)[0]
    assert (column, row) == (3, 13)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x [px]", "y [px]")


def test_odd_pixels_are_marked_at_their_centres_and_do_not_set_the_colours(report):
    view = report.views[0]
    values = np.ones((16, 16))
    values[9, 4] = 1000.0
    odd = replace(
        view, mean_image=values, hot=(OddPixel((9, 4), 1000.0, 1.0),), dead=(OddPixel((0, 2), 0, 1),)
    )
    axes = data_figures.draw_mean_image(odd).axes[0]
    marks = {marks.get_label(): marks.get_offsets().tolist() for marks in axes.collections}
    assert marks == {"dead (1)": [[0.5, 2.5]], "hot (1)": [[9.5, 4.5]]}
    assert axes.get_images()[0].get_clim() == (0.0, 1.0)


def test_spectrum_has_one_line_a_class(report):
    axes = data_figures.draw_sum_spectrum(report.sum_spectra, "photons").axes[0]
    assert axes.get_legend_handles_labels()[1] == ["all events", "single", "double"]
    assert axes.get_xlabel() == "sum over all pixels [photons]"


def test_law_figure_has_one_panel_a_law(report):
    laws = [law for law in report.laws if law.histogram is not None]
    figure = data_figures.draw_laws(laws, {"energy_1_mev": "MeV"})
    assert len(figure.axes) == 6
    assert figure.axes[0].get_xlabel() == "energy_1_mev [MeV]"
    assert "agrees" in figure.axes[0].get_title()


@pytest.mark.parametrize("n_panels", [1, 2, 4])
def test_empty_panels_are_hidden(report, n_panels):
    columns = [column for column in report.columns if column.histogram is not None][:n_panels]
    figure = data_figures.draw_columns(columns)
    assert sum(axes.axison for axes in figure.axes) == n_panels
