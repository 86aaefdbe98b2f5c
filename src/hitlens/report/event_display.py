"""Drawing single events: the image with true and predicted positions at the right place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from hitlens.detector import View
from hitlens.report.gallery import Gallery
from hitlens.report.labels import axis_label
from hitlens.report.style import drawing
from hitlens.report.view_display import draw_views, projected

#: Columns of pictures, and the size of one, inches.
N_COLUMNS, PANEL = 4, 2.55
#: Letters of 9.5 points that fit over one picture.
_LINE_LETTERS = 29


def draw_gallery(gallery: Gallery, views: Sequence[View]) -> Figure:
    """Draw events with one colour scale, logarithmic in the pixel value.

    Events of one view stand in a grid; those of several in rows, the views of each side by side. The first
    axis runs to the right, the second upwards; pixel i spans [i, i+1), so that a position of 3.5 is the
    middle of pixel 3.

    Args:
        gallery: at least one event.
        views: geometry, axes and unit of each view.
    """
    if len(views) > 1:
        return draw_views(gallery, views)
    return _draw_grid(gallery, views[0])


def _draw_grid(gallery: Gallery, view: View) -> Figure:
    images = [projected(image) for image in gallery.images[view.name]]
    n, n_columns = len(images), N_COLUMNS
    n_rows = -(-n // n_columns)
    n_lines = max(text.count("\n") + 1 for text in gallery.captions)
    with drawing():
        height = (PANEL + 0.1 + 0.18 * n_lines) * n_rows + 0.75
        figure = Figure(figsize=(PANEL * n_columns + 1.0, height))
        grid = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
        scale = colour_scale(images)
        image = None
        for number, axes in enumerate(grid):
            if number >= n:
                axes.set_axis_off()
                continue
            image = draw_event(axes, images[number], view, scale)
            draw_points(axes, gallery.true_points[number], gallery.pred_points[number])
            axes.set_title(gallery.captions[number], fontsize=_caption_size(gallery), linespacing=1.15)
            axes.tick_params(labelbottom=number >= n - n_columns, labelleft=number % n_columns == 0)
        _label(figure, grid, n_columns, n, view)
        if image is not None:
            _colour_bar(figure, image, grid, view, scale)
        _legend(figure, gallery)
        return figure


def _caption_size(gallery: Gallery) -> float:
    """Points at which the longest line of a caption stays within its panel."""
    longest = max(len(line) for text in gallery.captions for line in text.split("\n"))
    return min(9.5, 9.5 * _LINE_LETTERS / longest)


@dataclass(frozen=True)
class ColourScale:
    """The colours of images: sign(x) log1p(|x| / unit) of a pixel value x.

    Attributes:
        low: value of the darkest colour, 0 unless there are negative pixels.
        high: value of the brightest colour.
        unit: value from which the logarithm compresses; 1 for counts.
    """

    low: float
    high: float
    unit: float = 1.0

    def __call__(self, values: ArrayLike) -> NDArray[np.float64]:
        """Return values as they are coloured, of the same shape; NaN stays, and is not drawn."""
        x = np.asarray(values, dtype=np.float64)
        return np.asarray(np.copysign(np.log1p(np.abs(x) / self.unit), x))

    @property
    def ticks(self) -> list[float]:
        """Zero and powers of ten, from the unit to the ends of the scale.

        Examples:
            >>> ColourScale(0, 700).ticks, ColourScale(-0.03, 0.2, 0.02).ticks
            ([0.0, 1.0, 10.0, 100.0], [-0.01, 0.0, 0.01, 0.1])
        """
        first = math.floor(math.log10(self.unit))
        last = math.floor(math.log10(max(self.high, -self.low, self.unit)))
        powers = [float(f"1e{power}") for power in range(first, last + 1)]
        values = [*(-value for value in reversed(powers)), 0.0, *powers]
        return [value for value in values if min(self.low, 0.0) <= value <= max(self.high, self.unit)]


def colour_scale(images: Sequence[NDArray[Any]]) -> ColourScale:
    """Return one scale for images, by what they hold: counts, small real numbers, values of both signs.

    Args:
        images: pixel values, each of shape (row, col).

    Examples:
        >>> colour_scale([np.array([[0, 3], [7, 1]])])
        ColourScale(low=0.0, high=7.0, unit=1.0)
        >>> colour_scale([np.array([[0.0, -0.01], [0.03, 0.0]])])
        ColourScale(low=-0.01, high=0.03, unit=0.02)
    """
    values = np.concatenate([np.ravel(image).astype(np.float64) for image in images])
    hits = values[np.isfinite(values) & (values != 0)]
    low, high = min(0.0, float(hits.min(initial=0.0))), float(hits.max(initial=0.0))
    is_real = any(image.dtype.kind == "f" for image in images)
    unit = min(1.0, float(np.abs(hits).mean())) if is_real and len(hits) else 1.0
    return ColourScale(low, max(high, unit), unit)


def draw_event(axes: Axes, image: NDArray[Any], view: View, scale: ColourScale) -> AxesImage:
    """Draw one image: row axis to the right, column axis upwards.

    Args:
        axes: where to.
        image: pixel values, shape (row, col).
        view: geometry.
        scale: of the colours.
    """
    n_rows, n_cols = image.shape
    drawn = axes.imshow(
        scale(image).T,
        origin="lower",
        extent=(0, n_rows, 0, n_cols),
        vmin=float(scale(scale.low)),
        vmax=float(scale(scale.high)),
        cmap="inferno",
        interpolation="nearest",
    )
    for axis, length in ((axes.xaxis, n_rows), (axes.yaxis, n_cols)):
        axis.set_ticks(np.arange(0, length + 1, max(length // 4, 1)))
    axes.tick_params(labelsize=9, direction="out", top=False, right=False)
    return drawn


def draw_points(axes: Axes, true: NDArray[np.float64], pred: NDArray[np.float64]) -> None:
    """Mark positions: true ones with open circles, predicted ones with crosses.

    Args:
        axes: with an image of `draw_event`.
        true: (along rows, along columns), pixels, shape (point, 2); NaN is not drawn.
        pred: the same.
    """
    style: dict[str, Any] = {"linestyle": "none", "clip_on": True}
    axes.plot(true[:, 0], true[:, 1], marker="o", markersize=9, mfc="none", mec="white", mew=2.6, **style)
    axes.plot(true[:, 0], true[:, 1], marker="o", markersize=9, mfc="none", mec="#0b8f3c", mew=1.4, **style)
    axes.plot(pred[:, 0], pred[:, 1], marker="x", markersize=7, mec="white", mew=3.0, **style)
    axes.plot(pred[:, 0], pred[:, 1], marker="x", markersize=7, mec="#0b5cad", mew=1.6, **style)
    axes.autoscale(False)


def _label(figure: Figure, grid: NDArray[Any], n_columns: int, n: int, view: View) -> None:
    for number in range(n):
        if number >= n - n_columns:
            grid[number].set_xlabel(axis_label(view.axes[-2]), fontsize=10)
        if number % n_columns == 0:
            grid[number].set_ylabel(axis_label(view.axes[-1]), fontsize=10)


def _colour_bar(figure: Figure, image: AxesImage, grid: NDArray[Any], view: View, scale: ColourScale) -> None:
    bar = figure.colorbar(image, ax=list(grid), aspect=35, pad=0.015, fraction=0.03)
    bar.set_ticks(scale(scale.ticks).tolist(), labels=[f"{value:,.12g}" for value in scale.ticks])
    bar.set_label(f"{view.unit} per pixel")


def _legend(figure: Figure, gallery: Gallery) -> None:
    handles = []
    if np.isfinite(gallery.true_points).any():
        handles.append(
            Line2D(
                [],
                [],
                linestyle="none",
                marker="o",
                mfc="none",
                mec="#0b8f3c",
                mew=1.6,
                label="true position",
            )
        )
    if np.isfinite(gallery.pred_points).any():
        handles.append(
            Line2D([], [], linestyle="none", marker="x", mec="#0b5cad", mew=1.6, label="predicted position")
        )
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=10)
