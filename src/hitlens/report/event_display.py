"""Drawing single events: the image with true and predicted positions at the right place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

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
        top = float(np.log1p(max(1.0, *(float(image.max()) for image in images))))
        image = None
        for number, axes in enumerate(grid):
            if number >= n:
                axes.set_axis_off()
                continue
            image = draw_event(axes, images[number], view, top)
            draw_points(axes, gallery.true_points[number], gallery.pred_points[number])
            axes.set_title(gallery.captions[number], fontsize=_caption_size(gallery), linespacing=1.15)
            axes.tick_params(labelbottom=number >= n - n_columns, labelleft=number % n_columns == 0)
        _label(figure, grid, n_columns, n, view)
        if image is not None:
            _colour_bar(figure, image, grid, view)
        _legend(figure, gallery)
        return figure


def _caption_size(gallery: Gallery) -> float:
    """Points at which the longest line of a caption stays within its panel."""
    longest = max(len(line) for text in gallery.captions for line in text.split("\n"))
    return min(9.5, 9.5 * _LINE_LETTERS / longest)


def draw_event(axes: Axes, image: NDArray[Any], view: View, top: float) -> AxesImage:
    """Draw one image: log1p of the pixel value, row axis to the right, column axis upwards.

    Args:
        axes: where to.
        image: pixel values, shape (row, col).
        view: geometry.
        top: log1p of the value that has the brightest colour.
    """
    n_rows, n_cols = image.shape
    drawn = axes.imshow(
        np.log1p(image.astype(np.float64)).T,
        origin="lower",
        extent=(0, n_rows, 0, n_cols),
        vmin=0,
        vmax=top,
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


def _colour_bar(figure: Figure, image: AxesImage, grid: NDArray[Any], view: View) -> None:
    bar = figure.colorbar(image, ax=list(grid), aspect=35, pad=0.015, fraction=0.03)
    top = float(np.expm1(image.get_clim()[1]))
    values = [0] + [10**power for power in range(int(np.log10(max(top, 1))) + 1)]
    bar.set_ticks(list(np.log1p(values)))
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{round(np.expm1(v)):,}"))
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
