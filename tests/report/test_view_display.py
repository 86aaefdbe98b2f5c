"""Events of several views: the right part, at the right place, in pixels and in cm, in one colour scale."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from hitlens.detector import View
from hitlens.report.event_display import draw_gallery
from hitlens.report.gallery import Gallery, make_gallery
from hitlens.report.view_display import Window, charge_norm, draw_view, draw_views, find_windows, projected

NOWHERE = np.empty((2, 0, 2))


@pytest.fixture
def gallery(two_views, make_two_view_predictions) -> Gallery:
    predictions, events = make_two_view_predictions(5)
    images = {view.name: events.dense(view.name, view.shape) for view in two_views.views}
    return make_gallery(predictions, images, two_views, title="t", name="n", caption="5 of 5")


def test_pixels_lie_where_their_index_says_and_empty_ones_are_white(two_views) -> None:
    view = two_views.views[0]
    image = np.zeros(view.shape, dtype=np.uint8)
    image[30, 12], image[31, 13] = 200, 1
    axes = Figure().add_subplot()
    drawn = draw_view(axes, image, view, LogNorm(1, 200), Window((20, 40), (5, 25)))
    shown = drawn.get_array()
    assert tuple(drawn.get_extent()) == (20, 40, 5, 25)
    assert shown[12 - 5, 30 - 20] == 200
    assert np.ma.masked_invalid(shown).count() == 2
    assert drawn.cmap(np.ma.masked)[:3] == (1, 1, 1)
    assert (axes.get_xlim(), axes.get_ylim()) == ((20, 40), (5, 25))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("plane", "x cell")
    dark, pale = drawn.cmap(drawn.norm(200.0)), drawn.cmap(drawn.norm(1.0))
    assert sum(dark[:3]) < 0.5
    assert sum(pale[:3]) < 2.4, "a hit of one count must be seen on white"


def test_the_axes_in_cm_follow_the_pitch(two_views) -> None:
    figure = Figure()
    axes = figure.add_subplot()
    draw_view(axes, np.eye(100, 80), two_views.views[0], LogNorm(1, 2), Window((0, 100), (0, 80)))
    figure.draw_without_rendering()
    top, right = axes.child_axes
    np.testing.assert_allclose(top.get_xlim(), (0, 1332.0))
    np.testing.assert_allclose(right.get_ylim(), (0, 317.6))
    bare = View(name="v", shape=(4, 4), axes=("row", "col"), pitch_mm=(), unit="e")
    axes = Figure().add_subplot()
    draw_view(axes, np.eye(4), bare, LogNorm(1, 2), Window((0, 4), (0, 4)))
    assert axes.child_axes == []


def test_windows_hold_all_hits_and_share_axes_of_one_name() -> None:
    views = [
        View(name=n, shape=(500, 500), axes=(f"{n}_wire", "time"), pitch_mm=(5, 5), unit="") for n in "uv"
    ]
    images = [np.zeros((500, 500)), np.zeros((500, 500))]
    images[0][100:120, 300:310] = 1
    images[1][400:440, 320:360] = 1
    first, second = find_windows(images, views)
    assert first.col == second.col == (295, 365)
    assert first.row[0] <= 98
    assert 122 <= first.row[1] < 140
    assert second.row[0] <= 397
    assert second.row[1] >= 443
    images[0][0, :] = images[0][499, :] = images[0][:, 0] = images[0][:, 499] = 1
    assert find_windows(images, views)[0] == Window((0, 500), (0, 500))
    assert find_windows([np.zeros((500, 500))], views[:1]) == [Window((0, 500), (0, 500))]


def test_axes_of_one_name_are_cut_alike_only_where_the_hits_are_at_one_place() -> None:
    views = [View(name=n, shape=(500, 500), axes=("wire", "time"), pitch_mm=(5, 5), unit="") for n in "uv"]
    images = [np.zeros((500, 500)), np.zeros((500, 500))]
    images[0][100:140, 300:340] = 1
    images[1][410:450, 310:350] = 1
    first, second = find_windows(images, views)
    assert first.col == second.col
    assert first.row[1] < 160
    assert second.row[0] > 390
    images[1][:] = 0
    images[1][110:150, 310:350] = 1
    first, second = find_windows(images, views)
    assert first.row == second.row


def test_stray_hits_do_not_set_the_window_but_are_counted() -> None:
    view = View(name="v", shape=(500, 500), axes=("wire", "time"), pitch_mm=(5, 5), unit="")
    image = np.zeros((500, 500), dtype=np.uint8)
    image[100:130, 200:230] = 50
    image[480, 20] = 9
    (window,) = find_windows([image], [view])
    assert window.row[1] < 150
    axes = Figure().add_subplot()
    draw_view(axes, image, view, LogNorm(1, 50), window)
    assert [text.get_text() for text in axes.texts if "outside" in text.get_text()] == ["1 hit outside"]


def test_no_hit_is_lost_where_a_view_is_finer_than_the_picture() -> None:
    view = View(name="v", shape=(500, 500), axes=("wire", "time"), pitch_mm=(5, 5), unit="")
    image = np.zeros((500, 500), dtype=np.uint8)
    places = [(7, 493), (250, 251), (499, 0), (499, 499)]
    for value, place in enumerate(places, start=1):
        image[place] = value
    axes = Figure().add_subplot()
    drawn = draw_view(axes, image, view, LogNorm(1, 4), Window((0, 500), (0, 500)))
    shown = np.ma.masked_invalid(drawn.get_array())
    assert max(shown.shape) <= 170
    assert sorted(shown.compressed().tolist()) == [1, 2, 3, 4]
    left, right, bottom, top = drawn.get_extent()
    width, height = (right - left) / shown.shape[1], (top - bottom) / shown.shape[0]
    for value, (row, col) in enumerate(places, start=1):
        (at_col, at_row) = np.argwhere(shown.filled(0) == value)[0]
        assert left + at_row * width <= row < left + (at_row + 1) * width
        assert bottom + at_col * height <= col < bottom + (at_col + 1) * height


def test_a_small_event_is_not_blown_up_to_a_few_pixels() -> None:
    view = View(name="v", shape=(100, 100), axes=("a", "b"), pitch_mm=(1, 1), unit="")
    image = np.zeros((100, 100))
    image[50, 0] = 1
    (window,) = find_windows([image], [view])
    assert window.row[1] - window.row[0] >= 16
    assert window.col[0] == 0


def test_all_events_and_views_share_one_scale() -> None:
    norm = charge_norm({"x": [np.array([[0, 3]])], "y": [np.array([[90, 0]])]})
    assert (norm.vmin, norm.vmax) == (3, 90)
    empty = charge_norm({"x": [np.zeros((2, 2))]})
    assert empty.vmax > empty.vmin > 0


def test_every_view_of_every_event_is_drawn_under_its_caption(gallery, two_views) -> None:
    figure = draw_gallery(gallery, two_views.views)
    panels = [axes for axes in figure.axes if axes.get_images()]
    assert len(panels) == 2 * 5
    names = [axes.texts[-1].get_text() for axes in panels]
    assert names == ["view x", "view y"] * 5
    assert {axes.get_images()[0].norm.vmax for axes in panels} == {panels[0].get_images()[0].norm.vmax}
    texts = [text.get_text() for text in figure.texts]
    for caption in gallery.captions:
        assert caption.split("\n")[0] in texts
    bar = figure.axes[-1]
    assert bar.get_ylabel() == "counts of 1.085 MeV per pixel"
    hits = np.ma.masked_invalid(panels[0].get_images()[0].get_array())
    outside = [t.get_text() for t in panels[0].texts if "outside" in t.get_text()]
    n_outside = int(outside[0].split()[0]) if outside else 0
    assert hits.count() + n_outside == np.count_nonzero(gallery.images["x"][0])


def test_nothing_of_the_picture_overlaps(gallery, two_views) -> None:
    figure = draw_views(gallery, two_views.views)
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer() if hasattr(figure.canvas, "get_renderer") else None
    boxes = [axes.get_tightbbox(renderer) for axes in figure.axes if axes.get_images()]
    for number, one in enumerate(boxes):
        for other in boxes[number + 1 :]:
            width = min(one.x1, other.x1) - max(one.x0, other.x0)
            height = min(one.y1, other.y1) - max(one.y0, other.y0)
            assert min(width, height) < 2
    for text in figure.texts:
        extent = text.get_window_extent(renderer)
        assert extent.x1 <= figure.bbox.x1
        assert all(
            extent.y0 >= box.y1 - 2 or extent.y1 <= box.y0 + 2 or extent.x0 > box.x1 or extent.x1 < box.x0
            for box in boxes
        )


def test_a_depth_is_added_up() -> None:
    image = np.zeros((3, 4, 5), dtype=np.uint8)
    image[0, 1, 2], image[2, 1, 2] = 200, 100
    assert projected(image)[1, 2] == 300
    assert projected(image[0]) is not None
    views = [
        View(name=n, shape=(3, 4, 5), axes=("z", "a", "b"), pitch_mm=(1, 1, 1), unit="e") for n in ("p", "q")
    ]
    images = {view.name: np.stack([image, image]) for view in views}
    figure = draw_gallery(Gallery("t", images, ("a", "b"), NOWHERE, NOWHERE), views)
    assert len([axes for axes in figure.axes if axes.get_images()]) == 4


@pytest.mark.parametrize("factor", [1.0, 1e-6])
def test_real_numbers_span_four_decades_at_most(factor: float) -> None:
    noise = np.array([[1e-9, 0.5], [20.0, -3.0]]) * factor
    norm = charge_norm({"x": [noise]})
    assert (norm.vmin, norm.vmax) == pytest.approx((20e-4 * factor, 20 * factor))
