from __future__ import annotations

import numpy as np
import pytest

from hitlens.detectors import get_detector
from hitlens.report import comparison_figures as figures
from hitlens.simulate.comparison import FittedEvent, PixelMap, Spectrum

VIEW = get_detector("cebr").views[0]


@pytest.mark.parametrize("logarithmic", [False, True])
def test_spectrum_shows_the_real_points(logarithmic: bool) -> None:
    spectrum = Spectrum(
        "s",
        "x",
        "y",
        np.arange(3.0),
        np.array([3.0, 2.0, 1.0]),
        np.array([1.5]),
        np.array([2.5]),
        logarithmic,
    )
    axes = figures.draw_spectrum(spectrum).axes[0]
    points = axes.lines[1]
    assert (points.get_xdata()[0], points.get_ydata()[0]) == (1.5, 2.5)
    assert axes.get_yscale() == ("log" if logarithmic else "linear")


def test_map_has_x_to_the_right_and_y_upwards() -> None:
    values = np.zeros((16, 16))
    values[12, 3] = 5.0
    (image,) = figures.draw_map(PixelMap("m", "n", values), [VIEW]).axes[0].images
    assert image.origin == "lower"
    assert image.get_array()[3, 12] == 5.0
    assert image.get_extent() == [0, 16, 0, 16]


def test_empty_image_on_a_logarithmic_scale() -> None:
    figure = figures.draw_examples([PixelMap("e", "n", np.zeros((16, 16)), logarithmic=True)], [VIEW])
    assert len(figure.axes) == 2


def test_residuals_deviance_and_pulls() -> None:
    image = np.full((16, 16), 49.0)
    events = [
        FittedEvent(f"e{i}", image, np.full((16, 16), 36.0), 300.0, 252, {"x_1_px": 5.0 + i})
        for i in range(5)
    ]
    panels = [a for a in figures.draw_residuals(events, VIEW).axes if a.images]
    assert len(panels) == 5
    np.testing.assert_allclose(panels[0].images[0].get_array(), 13 / 6)
    assert figures.draw_pulls(events).axes[0].get_xlim()[1] > 9
    assert figures.draw_deviance(events, np.ones(10)).axes[0].get_ylim()[1] > 10
