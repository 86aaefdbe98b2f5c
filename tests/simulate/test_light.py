from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.integrate import dblquad

from hitlens.simulate.light import (
    LightModel,
    _atan_ratio,
    gradient_work,
    spot_gradient,
    spot_image,
    spot_image_reference,
    sum_spots,
)

M2T = LightModel(depth_1=0.822, depth_2=1.75, weight=0.545, reflectivity=0.925, clip=0.215, mirror=0.036)
OBLONG = LightModel(
    shape=(5, 9), depth_1=0.6, depth_2=1.2, weight=0.3, reflectivity=0.5, clip=0.1, mirror=0.02
)
inside = st.floats(0.0, 16.0)
shift = st.floats(-0.6, 0.6)


@settings(deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_arctangent(numerator: float, denominator: float) -> None:
    assert _atan_ratio(numerator, denominator) == pytest.approx(np.arctan(numerator / denominator), abs=1e-15)


@settings(deadline=None)
@given(inside, inside, shift)
def test_kernel_equals_reference(x: float, y: float, u: float) -> None:
    expected = spot_image_reference(x, y, u, M2T)
    np.testing.assert_allclose(spot_image(x, y, u, M2T.constants), expected, rtol=1e-9, atol=1e-14)


def test_kernel_equals_reference_on_an_oblong_grid() -> None:
    expected = spot_image_reference(1.7, 6.3, -0.1, OBLONG)
    np.testing.assert_allclose(spot_image(1.7, 6.3, -0.1, OBLONG.constants), expected, rtol=1e-10)


def test_pixel_is_the_integral_over_its_area() -> None:
    light = LightModel(depth_1=0.8, depth_2=1.0, weight=0.0, clip=0.2)

    def density(y: float, x: float) -> float:
        return float(0.8 / (2 * np.pi * ((x - 3.3) ** 2 + (y - 5.1) ** 2 + 0.8**2) ** 1.5))

    image = spot_image(3.3, 5.1, 0.0, light.constants)
    for ix, iy in ((3, 5), (0, 4), (7, 15)):
        low_x, high_y = max(ix, 0.2), min(iy + 1, 15.8)
        expected, _ = dblquad(density, low_x, ix + 1, iy, high_y)
        assert image[ix, iy] == pytest.approx(expected, rel=1e-8)


def test_no_light_is_made() -> None:
    wide = LightModel(shape=(1000, 1000), depth_1=0.8, depth_2=1.7, weight=0.5)
    assert spot_image_reference(500.0, 500.0, 0.0, wide).sum() == pytest.approx(1.0, abs=3e-3)


@settings(deadline=None)
@given(inside, inside, shift)
def test_symmetries_of_the_square(x: float, y: float, u: float) -> None:
    image = spot_image(x, y, u, M2T.constants)
    np.testing.assert_allclose(spot_image(y, x, u, M2T.constants), image.T, rtol=1e-8, atol=1e-13)
    np.testing.assert_allclose(spot_image(16 - x, y, u, M2T.constants), image[::-1], rtol=1e-8, atol=1e-13)


@pytest.mark.parametrize(("x", "y", "u"), [(7.3, 8.9, -0.05), (0.8, 15.1, -0.1), (15.3, 3.0, 0.2)])
def test_gradient(x: float, y: float, u: float) -> None:
    light, step = M2T.constants, 1e-5
    out = np.full((4, 16, 16), np.nan)
    spot_gradient(out, x, y, u, light, gradient_work(light))
    at = np.array([x, y, u])
    np.testing.assert_allclose(out[0], spot_image(x, y, u, light), rtol=1e-12)
    for k in range(3):
        move = np.zeros(3)
        move[k] = step
        numeric = (spot_image(*(at + move), light) - spot_image(*(at - move), light)) / (2 * step)
        np.testing.assert_allclose(out[k + 1], numeric, rtol=1e-5, atol=1e-9)


def test_sum_spots() -> None:
    images = np.zeros((3, 16, 16))
    sum_spots(
        images,
        np.array([0, 1, 1, 3]),
        np.array([3.0, 4.0, 5.0]),
        np.array([6.0, 7.0, 8.0]),
        np.array([0.0, -0.1, 0.0]),
        np.array([10.0, 20.0, 0.0]),
        M2T.constants,
    )
    np.testing.assert_allclose(images[0], 10 * spot_image(3.0, 6.0, 0.0, M2T.constants))
    assert not images[1].any()
    np.testing.assert_allclose(images[2], 20 * spot_image(4.0, 7.0, -0.1, M2T.constants))


@pytest.mark.parametrize("wrong", [{"depth_1": 0.0}, {"weight": 1.2}, {"clip": -0.1}, {"depht": 1.0}])
def test_bad_models_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        LightModel(**({"depth_1": 0.8, "depth_2": 1.7, "weight": 0.5} | wrong))  # type: ignore[arg-type]
