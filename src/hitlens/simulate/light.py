"""Light sharing: how the photons of a point deposit spread over a rectangular grid of pixels.

A deposit at (x, y) shines on the pixel plane from two heights: straight down (``depth_1``) and after a
reflection at the far face (``depth_2``). The share of a pixel is the exact integral of
h / (2 pi (r^2 + h^2)^1.5) over its area, a difference of four corner values

    A(X, Y) = atan(X Y / (h sqrt(X^2 + Y^2 + h^2))) / (2 pi).

Diffuse side walls act as mirrors: along each axis the source x has two images, 2 m - x and 2 (n - m) - x, of
weight R, n pixels being the size of the grid; products over the axes make nine sources. The two outermost
pixels of an axis are cut at ``clip`` and ``n - clip``.

Neighbouring pixels share their corners, so the compiled kernels sum the sources on the grid of corners and
take differences once at the end. They are what the simulator and the likelihood fit call;
`spot_image_reference` says the same in plain NumPy and is what they are tested against.

Lengths are in pixels throughout.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from hitlens.simulate.compile import compiled

Float64 = NDArray[np.float64]

#: Sources along one axis: the deposit and its two mirror images.
N_SOURCES = 3

#: atan(t) / t as a polynomial in t^2 for |t| <= tan(pi/8); largest error of atan 4e-16.
_ATAN = (
    0.999999999999999,
    -0.33333333333221343,
    0.1999999997837687,
    -0.14285712660659053,
    0.11111048820585145,
    -0.09089529357362555,
    0.07673529098467827,
    -0.06505944155503311,
    0.050246342455960435,
    -0.02531472973194233,
)
_C0, _C1, _C2, _C3, _C4, _C5, _C6, _C7, _C8, _C9 = _ATAN
_TAN_LOW, _TAN_HIGH = np.sqrt(2.0) - 1.0, np.sqrt(2.0) + 1.0
_QUARTER_PI, _HALF_PI, _TWO_PI = np.pi / 4, np.pi / 2, 2 * np.pi


class LightConstants(NamedTuple):
    """The numbers of a `LightModel` in the form the compiled kernels take.

    Attributes:
        edges_x: pixel edges along rows, the outermost cut at the clip, shape (rows + 1,).
        edges_y: pixel edges along columns, shape (cols + 1,).
        size_x: length of the grid along rows.
        size_y: length of the grid along columns.
    """

    edges_x: Float64
    edges_y: Float64
    size_x: float
    size_y: float
    depth_1: float
    depth_2: float
    weight: float
    reflectivity: float
    mirror: float


class LightModel(BaseModel):
    """Two heights, a mirror on each side and a clipped border.

    Attributes:
        shape: pixels of the grid, (rows, cols).
        depth_1: height of the direct light, px.
        depth_2: height of the light from the far face, px.
        weight: share of the light from the far face.
        reflectivity: weight R of a mirror image.
        clip: the outermost pixels begin this far inside the grid, px.
        mirror: the mirrors stand this far inside the grid, px.

    Examples:
        >>> light = LightModel(depth_1=0.822, depth_2=1.75, weight=0.545)
        >>> image = spot_image(8.5, 8.5, 0.0, light.constants)
        >>> image.shape, int(image.argmax()) == 16 * 8 + 8
        ((16, 16), True)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shape: tuple[int, int] = (16, 16)
    depth_1: float = Field(gt=0)
    depth_2: float = Field(gt=0)
    weight: float = Field(ge=0, le=1)
    reflectivity: float = Field(default=0.0, ge=0, le=1)
    clip: float = Field(default=0.0, ge=0, lt=1)
    mirror: float = Field(default=0.0, ge=0, lt=1)

    @property
    def constants(self) -> LightConstants:
        """The same numbers for the compiled kernels."""
        edges_x, edges_y = (_edges(n, self.clip) for n in self.shape)
        return LightConstants(
            edges_x=edges_x,
            edges_y=edges_y,
            size_x=float(self.shape[0]),
            size_y=float(self.shape[1]),
            depth_1=self.depth_1,
            depth_2=self.depth_2,
            weight=self.weight,
            reflectivity=self.reflectivity,
            mirror=self.mirror,
        )


def _edges(n_pixels: int, clip: float) -> Float64:
    edges = np.arange(n_pixels + 1, dtype=np.float64)
    edges[0], edges[-1] = clip, n_pixels - clip
    return edges


@compiled
def _fold_axis(
    position: float, edges: Float64, size: float, mirror: float, reflectivity: float, out: Float64
) -> None:
    """Fill out, shape (3, 3 * edges): distance of edge from source, weight, d(distance)/d(position)."""
    n = edges.size
    left, right = 2.0 * mirror - position, 2.0 * (size - mirror) - position
    for i in range(n):
        out[0, i] = edges[i] - position
        out[0, n + i] = edges[i] - left
        out[0, 2 * n + i] = edges[i] - right
        out[1, i] = 1.0
        out[1, n + i] = reflectivity
        out[1, 2 * n + i] = reflectivity
        out[2, i] = -1.0
        out[2, n + i] = 1.0
        out[2, 2 * n + i] = 1.0


@compiled
def _atan_ratio(numerator: float, denominator: float) -> float:
    """Return atan(numerator / denominator) for a positive denominator, without a branch."""
    size = abs(numerator)
    low, high = size <= _TAN_LOW * denominator, size > _TAN_HIGH * denominator
    above = size if low else (-denominator if high else size - denominator)
    below = denominator if low else (size if high else size + denominator)
    offset = 0.0 if low else (_HALF_PI if high else _QUARTER_PI)
    t = above / below
    z = t * t
    p = _C5 + z * (_C6 + z * (_C7 + z * (_C8 + z * _C9)))
    p = _C0 + z * (_C1 + z * (_C2 + z * (_C3 + z * (_C4 + z * p))))
    angle = offset + t * p
    return angle if numerator >= 0.0 else -angle


@compiled
def _add_corners(x: Float64, y: Float64, height: float, weight: float, out: Float64) -> None:
    """Add weight * sum over sources of atan(XY / (h r)) to the corners.

    x, y: from `_fold_axis`; out: shape (edges_x, 3 * edges_y), summed over sources along rows only.
    """
    n, n_y = out.shape[0], out.shape[1]
    square = height * height
    for k in range(N_SOURCES * n):
        i = k % n
        dx, factor = x[0, k], weight * x[1, k]
        base = dx * dx + square
        for j in range(n_y):
            dy = y[0, j]
            out[i, j] += factor * _atan_ratio(dx * dy, height * np.sqrt(base + dy * dy))


@compiled
def _add_differences(corners: Float64, y: Float64, amplitude: float, image: Float64) -> None:
    """Sum the corners over the sources along columns and add the differences of neighbours to the image."""
    rows, cols = image.shape
    n = cols + 1
    scale = amplitude / _TWO_PI
    for k in range(N_SOURCES):
        factor = scale * y[1, k * n]
        for i in range(rows):
            for j in range(cols):
                c = k * n + j
                image[i, j] += factor * (
                    (corners[i + 1, c + 1] - corners[i, c + 1]) - (corners[i + 1, c] - corners[i, c])
                )


@compiled
def add_spot(
    image: Float64, x: float, y: float, depth_shift: float, amplitude: float, light: LightConstants
) -> None:
    """Add the light of one deposit to an image, in place.

    Args:
        image: expected photons, shape (rows, cols); changed.
        x: position along rows, px.
        y: position along columns, px.
        depth_shift: u; the direct light comes from depth_1 + u, the other from depth_2 - u, px.
        amplitude: photons the deposit gives (those that miss the pixels included).
        light: `LightModel.constants`.
    """
    nx, ny = light.edges_x.size, light.edges_y.size
    fold_x, fold_y = np.empty((3, N_SOURCES * nx)), np.empty((3, N_SOURCES * ny))
    _fold_axis(x, light.edges_x, light.size_x, light.mirror, light.reflectivity, fold_x)
    _fold_axis(y, light.edges_y, light.size_y, light.mirror, light.reflectivity, fold_y)
    corners = np.zeros((nx, N_SOURCES * ny))
    _add_corners(fold_x, fold_y, light.depth_1 + depth_shift, 1.0 - light.weight, corners)
    _add_corners(fold_x, fold_y, light.depth_2 - depth_shift, light.weight, corners)
    _add_differences(corners, fold_y, amplitude, image)


@compiled
def _add_corner_gradients(
    x: Float64, y: Float64, height: float, weight: float, sign: float, out: Float64
) -> None:
    """As `_add_corners` for out of shape (4, edges_x, 3 * edges_y): value, d/dx, d/dY and d/du.

    sign is d(height)/du. Along columns the derivative is still by the distance Y of a source.
    """
    n, n_y = out.shape[1], out.shape[2]
    square = height * height
    for k in range(N_SOURCES * n):
        i = k % n
        dx, factor, turn = x[0, k], weight * x[1, k], x[2, k]
        base = dx * dx + square
        for j in range(n_y):
            dy = y[0, j]
            base_y = dy * dy + square
            r2 = base + dy * dy
            r = np.sqrt(r2)
            product = dx * dy
            scale = factor / (base * base_y * r)
            out[0, i, j] += factor * _atan_ratio(product, height * r)
            out[1, i, j] += scale * base_y * height * dy * turn
            out[2, i, j] += scale * base * height * dx
            out[3, i, j] -= scale * product * (r2 + square) * sign


@compiled
def spot_gradient(
    out: Float64, x: float, y: float, depth_shift: float, light: LightConstants, work: Float64
) -> None:
    """Write the share of light each pixel sees and its derivatives by x, y and u, in place.

    Costs about as much as two `spot_image`. Nothing is allocated that grows: a fit passes the same two arrays
    again and again.

    Args:
        out: shape (4, rows, cols), overwritten: share, d/dx, d/dy, d/du (all for amplitude 1).
        x: position along rows, px.
        y: position along columns, px.
        depth_shift: u, px; depth_1 + u and depth_2 - u must be positive.
        light: `LightModel.constants`.
        work: scratch space from `gradient_work`.
    """
    nx, ny = light.edges_x.size, light.edges_y.size
    fold_x, fold_y = np.empty((3, N_SOURCES * nx)), np.empty((3, N_SOURCES * ny))
    _fold_axis(x, light.edges_x, light.size_x, light.mirror, light.reflectivity, fold_x)
    _fold_axis(y, light.edges_y, light.size_y, light.mirror, light.reflectivity, fold_y)
    work[:] = 0.0
    out[:] = 0.0
    _add_corner_gradients(fold_x, fold_y, light.depth_1 + depth_shift, 1.0 - light.weight, 1.0, work)
    _add_corner_gradients(fold_x, fold_y, light.depth_2 - depth_shift, light.weight, -1.0, work)
    for part in range(4):
        if part == 2:
            fold_y[1] *= fold_y[2]
        _add_differences(work[part], fold_y, 1.0, out[part])
        if part == 2:
            fold_y[1] *= fold_y[2]


@compiled
def gradient_work(light: LightConstants) -> Float64:
    """Return scratch space for `spot_gradient`; one array a thread, reused."""
    return np.empty((4, light.edges_x.size, N_SOURCES * light.edges_y.size))


@compiled
def spot_image(x: float, y: float, depth_shift: float, light: LightConstants) -> Float64:
    """Return the share of a deposit's light that each pixel sees, shape (rows, cols).

    Callable from Python and from compiled code.

    Args:
        x: position along rows, px.
        y: position along columns, px.
        depth_shift: u, px; depth_1 + u and depth_2 - u must be positive.
        light: `LightModel.constants`.

    Examples:
        >>> light = LightModel(depth_1=0.822, depth_2=1.75, weight=0.545, reflectivity=0.925, clip=0.215)
        >>> round(float(spot_image(8.0, 8.0, 0.0, light.constants).sum()), 2)
        0.93
    """
    image = np.zeros((light.edges_x.size - 1, light.edges_y.size - 1))
    add_spot(image, x, y, depth_shift, 1.0, light)
    return image


@compiled
def sum_spots(
    images: Float64,
    offsets: NDArray[np.int64],
    x: Float64,
    y: Float64,
    depth_shift: Float64,
    amplitude: Float64,
    light: LightConstants,
) -> None:
    """Add the light of many deposits to the images of their events, in place.

    Args:
        images: expected photons, shape (event, rows, cols); changed.
        offsets: deposits of event i are those from offsets[i] to offsets[i + 1], shape (event + 1,).
        x: positions along rows, px, shape (deposit,).
        y: positions along columns, px, shape (deposit,).
        depth_shift: u of each deposit, px, shape (deposit,).
        amplitude: photons of each deposit, shape (deposit,); deposits without light cost nothing.
        light: `LightModel.constants`.
    """
    for event in range(images.shape[0]):
        for k in range(offsets[event], offsets[event + 1]):
            if amplitude[k] > 0.0:
                add_spot(images[event], x[k], y[k], depth_shift[k], amplitude[k], light)


def spot_image_reference(x: float, y: float, depth_shift: float, light: LightModel) -> Float64:
    """Return the same as `spot_image` in plain NumPy, written as the formula stands; slow, for tests.

    Args:
        x: position along rows, px.
        y: position along columns, px.
        depth_shift: u, px.
        light: the model.
    """
    constants = light.constants
    image = np.zeros(light.shape)
    heights = ((light.depth_1 + depth_shift, 1 - light.weight), (light.depth_2 - depth_shift, light.weight))
    sides = tuple(
        (
            (at, 1.0),
            (2 * light.mirror - at, light.reflectivity),
            (2 * (n - light.mirror) - at, light.reflectivity),
        )
        for at, n in zip((x, y), light.shape, strict=True)
    )
    for source_x, weight_x in sides[0]:
        for source_y, weight_y in sides[1]:
            dx = (constants.edges_x - source_x)[:, np.newaxis]
            dy = (constants.edges_y - source_y)[np.newaxis, :]
            for height, weight in heights:
                corner = np.arctan(dx * dy / (height * np.sqrt(dx**2 + dy**2 + height**2))) / (2 * np.pi)
                image += weight_x * weight_y * weight * np.diff(np.diff(corner, axis=0), axis=1)
    return image
