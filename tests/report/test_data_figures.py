"""Figures of a data report show what they say, where they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from hitlens.datasets.inspection import inspect_events
from hitlens.datasets.pixel_health import OddPixel
from hitlens.detector import Detector, View
from hitlens.detectors import get_detector
from hitlens.events import Events
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


@pytest.fixture(scope="module")
def thin(two_views, make_two_views):
    return inspect_events([make_two_views(400)], two_views)


def test_views_of_few_hits_are_logarithmic_and_white_where_nothing_was(thin):
    axes = data_figures.draw_mean_image(thin.views[0]).axes[0]
    image = axes.get_images()[0]
    assert type(image.norm).__name__ == "LogNorm"
    shown = np.ma.masked_invalid(image.get_array())
    assert ((thin.views[0].mean_image == 0) == shown.mask.T).all()
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("plane", "x cell")


def test_view_spectra_have_a_line_a_view_and_whole_bins(thin):
    figure = data_figures.draw_view_spectra(thin.views)
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "pixels hit in an event",
        "sum over the view [counts of 1.085 MeV]",
        "value of a hit [counts of 1.085 MeV]",
    ]
    assert figure.axes[0].get_legend_handles_labels()[1] == ["view x", "view y"]
    for view in thin.views:
        for histogram in (view.hits, view.charge, view.values):
            assert (np.diff(histogram.edges) >= 1).all()
        assert view.hits.n_values == view.charge.n_values == 400


def test_a_view_with_a_depth_is_drawn_as_the_sum_over_it(make_two_views):
    shape = (3, 5, 4)
    view = View(name="v", shape=shape, axes=("z", "row", "col"), pitch_mm=(1, 1, 1), unit="e", dtype="uint8")
    deep = Detector(name="deep", title="", views=(view,), truth=(), tasks=())
    images = np.zeros((6, *shape), dtype=np.uint8)
    images[:, 0, 1, 2] = 3
    images[:, 2, 1, 2] = 6
    truth = pl.DataFrame({"event": np.arange(6)})
    for given in (images, sparse.csr_array(images.reshape(6, -1))):
        report = inspect_events([Events({"v": given}, truth, "deep")], deep).views[0]
        axes = data_figures.draw_mean_image(report).axes[0]
        shown = np.ma.masked_invalid(axes.get_images()[0].get_array())
        assert shown.T[1, 2] == pytest.approx(9)
        assert shown.shape == (4, 5)
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("row", "col")
        data_figures.draw_hit_rate(report)
        data_figures.draw_brightest(report)
