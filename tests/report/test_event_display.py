"""Markers lie where the light is: no half-pixel shift, x to the right, y upwards."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from hitlens.detectors.cebr import DETECTOR
from hitlens.report.embed import figure_to_bytes
from hitlens.report.event_display import ColourScale, colour_scale, draw_event, draw_gallery, draw_points
from hitlens.report.gallery import Gallery

VIEW = DETECTOR.views[0]
NOWHERE = np.empty((0, 2))


def one_bright_pixel(ix: int, iy: int) -> np.ndarray:
    image = np.zeros(VIEW.shape, dtype=np.uint16)
    image[ix, iy] = 5000
    return image


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 15), st.integers(0, 15))
def test_the_middle_of_a_pixel_is_its_index_plus_a_half(ix: int, iy: int) -> None:
    """The pixel that is bright in the data is the one drawn around the position (ix + .5, iy + .5)."""
    axes = Figure().add_subplot()
    drawn = draw_event(axes, one_bright_pixel(ix, iy), VIEW, ColourScale(0, 5000))
    left, right, bottom, top = drawn.get_extent()
    shown = np.asarray(drawn.get_array())
    row, column = np.unravel_index(shown.argmax(), shown.shape)
    width, height = (right - left) / shown.shape[1], (top - bottom) / shown.shape[0]
    assert drawn.origin == "lower"
    assert left + (column + 0.5) * width == ix + 0.5
    assert bottom + (row + 0.5) * height == iy + 0.5


@pytest.mark.parametrize(("ix", "iy"), [(0, 0), (15, 0), (0, 15), (3, 12), (9, 4)])
def test_on_the_screen_the_marker_is_at_the_centre_of_the_bright_pixel(ix: int, iy: int) -> None:
    """Measured on the drawn picture: centroid of the bright pixel against that of the marker."""

    def picture(marked: bool) -> np.ndarray:
        figure = Figure(figsize=(4, 4))
        axes = figure.add_axes((0.1, 0.1, 0.8, 0.8))
        image = np.zeros(VIEW.shape, np.uint16) if marked else one_bright_pixel(ix, iy)
        draw_event(axes, image, VIEW, ColourScale(0, 5000))
        if marked:
            draw_points(axes, np.array([[ix + 0.5, iy + 0.5]]), NOWHERE)
        axes.set_axis_off()
        return np.asarray(Image.open(io.BytesIO(figure_to_bytes(figure, "png", 200))).convert("RGB"), float)

    blank = np.asarray(picture_of_nothing(), float)
    centres = []
    for marked in (False, True):
        difference = np.abs(picture(marked) - blank).sum(2)
        rows, columns = np.nonzero(difference > 60)
        centres.append((rows.min() + rows.max(), columns.min() + columns.max()))
    pixel = 0.8 * 4 * 200 / 16
    assert np.abs(np.subtract(*centres)).max() / 2 < 0.06 * pixel


def picture_of_nothing() -> Image.Image:
    figure = Figure(figsize=(4, 4))
    axes = figure.add_axes((0.1, 0.1, 0.8, 0.8))
    draw_event(axes, np.zeros(VIEW.shape, np.uint16), VIEW, ColourScale(0, 5000))
    axes.set_axis_off()
    return Image.open(io.BytesIO(figure_to_bytes(figure, "png", 200))).convert("RGB")


def test_true_positions_lie_in_the_brightest_pixel(make_cebr) -> None:
    """With real-format events the whole way: position, image and drawing agree."""
    events = make_cebr(40).filter("n_electrons = 1 AND energy_1_mev > 0.3")
    for image, row in zip(events.dense("anode"), events.truth.to_dicts(), strict=True):
        axes = Figure().add_subplot()
        drawn = draw_event(axes, image, VIEW, colour_scale([image]))
        shown = np.asarray(drawn.get_array())
        at_y, at_x = np.unravel_index(shown.argmax(), shown.shape)
        assert abs(row["x_1_px"] - (at_x + 0.5)) < 0.75
        assert abs(row["y_1_px"] - (at_y + 0.5)) < 0.75


def test_true_and_predicted_positions_are_drawn_as_given() -> None:
    axes = Figure().add_subplot()
    true, pred = np.array([[3.5, 12.25], [np.nan, np.nan]]), np.array([[4.0, 12.0]])
    draw_event(axes, one_bright_pixel(3, 12), VIEW, ColourScale(0, 3000))
    draw_points(axes, true, pred)
    circles = [line for line in axes.lines if line.get_marker() == "o"]
    crosses = [line for line in axes.lines if line.get_marker() == "x"]
    assert circles[0].get_xydata()[0].tolist() == [3.5, 12.25]
    assert crosses[0].get_xydata().tolist() == [[4.0, 12.0]]
    assert axes.get_xlim() == (0, 16)
    assert axes.get_ylim() == (0, 16)


@pytest.mark.parametrize("n", [1, 4, 6])
def test_a_gallery_has_a_panel_an_event_and_counts_in_its_colour_bar(n: int) -> None:
    images = np.stack([one_bright_pixel(k, 2 * k) for k in range(n)])
    true = np.stack([np.array([[k + 0.5, 2 * k + 0.5]]) for k in range(n)])
    captions = tuple(f"event {k}" for k in range(n))
    figure = draw_gallery(Gallery("t", {"anode": images}, captions, true, np.full((n, 1, 2), np.nan)), [VIEW])
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == list(captions)
    bar = figure.axes[-1]
    assert bar.get_ylabel() == "photons per pixel"
    figure.draw_without_rendering()
    assert [text.get_text() for text in bar.get_yticklabels()] == ["0", "1", "10", "100", "1,000"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["true position"]


@pytest.mark.parametrize("factor", [1e-4, 1e-9])
def test_small_pixels_are_as_bright_as_large_ones(factor: float) -> None:
    counts = np.random.default_rng(0).poisson(300, VIEW.shape) * (np.indices(VIEW.shape)[0] > 7)
    counts[12, 3] = 6000
    small = counts.astype(np.float32) * np.float32(factor)
    scale = colour_scale([small])
    drawn = draw_event(Figure().add_subplot(), small, VIEW, scale)
    shares = np.asarray(drawn.get_array()) / drawn.get_clim()[1]
    assert shares.max() == pytest.approx(1)
    assert (shares > 0.15).mean() == pytest.approx(0.5, abs=0.01)
    figure = draw_gallery(Gallery("t", {"anode": small[None]}, ("a",), NOWHERE[None], NOWHERE[None]), [VIEW])
    figure.draw_without_rendering()
    texts = [text.get_text() for text in figure.axes[-1].get_yticklabels()]
    assert len(texts) >= 3
    assert all(float(text) <= small.max() for text in texts)


def test_pixels_below_zero_are_dark_and_the_empty_ones_between() -> None:
    image = np.zeros(VIEW.shape, np.float32)
    image[2, 2], image[3, 3] = -40.0, 300.0
    scale = colour_scale([image])
    assert (scale.low, scale.high, scale.unit) == (-40, 300, 1)
    shown = np.asarray(draw_event(Figure().add_subplot(), image, VIEW, scale).get_array()).T
    assert np.isfinite(shown).all()
    assert shown[2, 2] < shown[0, 0] < shown[3, 3]
    assert scale.ticks == [-10, -1, 0, 1, 10, 100]


def test_no_numbers_are_blank_and_leave_the_scale_alone() -> None:
    image = np.array([[np.nan, 3.0], [np.inf, 0.0]])
    assert colour_scale([image]).high == 3
    assert colour_scale([np.zeros((2, 2))]).high == 1
