"""Figures that show simulated events beside real ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from hitlens.detector import View
from hitlens.report.gallery import Gallery
from hitlens.report.labels import axis_label
from hitlens.report.style import COLOURS, drawing, new_figure
from hitlens.report.view_display import draw_views
from hitlens.simulate.comparison import FittedEvent, Float64, PixelMap, Spectrum

#: Residuals are drawn to this many standard deviations.
RESIDUAL_LIMIT = 4.0
#: Pictures in a row.
N_COLUMNS = 4


def draw_spectrum(spectrum: Spectrum) -> Figure:
    """Return the simulated curve with the real values as points.

    Args:
        spectrum: curve and real values.
    """
    with drawing():
        figure, axes = new_figure((6.4, 4.0))
        axes.plot(spectrum.x, spectrum.y, color=COLOURS[0], label="simulated")
        axes.plot(spectrum.real_x, spectrum.real_y, "o", color=COLOURS[1], label="real", zorder=3)
        axes.set_xlabel(spectrum.x_label)
        axes.set_ylabel(spectrum.y_label)
        axes.set_xlim(spectrum.x[0], spectrum.x[-1])
        if spectrum.logarithmic:
            axes.set_yscale("log")
        else:
            axes.set_ylim(0, 1.08 * float(max(spectrum.y.max(), spectrum.real_y.max())))
        axes.legend(loc="upper right" if spectrum.logarithmic else "lower left")
    return figure


def draw_map(pixels: PixelMap, views: Sequence[View]) -> Figure:
    """Return a map of the pixels; the first axis runs to the right, the second upwards.

    Args:
        pixels: a value for each pixel.
        views: of the detector, for geometry and names of the axes.
    """
    view = _view_of(pixels, views)
    with drawing():
        figure, axes = new_figure((6.0, 4.9))
        image = _pixels(axes, pixels.values, view, _norm(pixels.values, pixels.logarithmic), "viridis")
        axes.set_xlabel(axis_label(view.axes[0]))
        axes.set_ylabel(axis_label(view.axes[1]))
        figure.colorbar(image, ax=axes, label=pixels.label)
    return figure


def draw_examples(examples: Sequence[PixelMap], views: Sequence[View]) -> Figure:
    """Return single events side by side, each with its own colour scale; several views share one.

    Args:
        examples: at least one; where the detector has several views, one for each view under the same name.
        views: of the detector, for geometry and names of the axes.
    """
    if len(views) > 1:
        return draw_views(_as_gallery(examples, views), views)
    with drawing():
        figure, panels = _grid(len(examples), 3.1)
        for axes, example in zip(panels, examples, strict=True):
            norm = _norm(example.values, example.logarithmic)
            image = _pixels(axes, example.values, views[0], norm, "inferno")
            axes.set_title(example.name.replace(", ", "\n"), fontsize=10)
            figure.colorbar(image, ax=axes, shrink=0.75, label=example.label)
    return figure


def draw_residuals(fitted: Sequence[FittedEvent], view: View) -> Figure:
    """Return (count - expected) / sqrt(expected) of each fitted event.

    Args:
        fitted: at least one.
        view: geometry and names of the axes.
    """
    with drawing():
        figure, panels = _grid(len(fitted), 2.7)
        norm = Normalize(-RESIDUAL_LIMIT, RESIDUAL_LIMIT)
        image = None
        for axes, event in zip(panels, fitted, strict=True):
            image = _pixels(axes, event.residuals, view, norm, "RdBu_r")
            axes.set_title(f"{event.name}\ndeviance / dof {event.deviance / event.dof:.2f}", fontsize=9.5)
        if image is not None:
            label = "(count - expected) / $\\sqrt{\\mathrm{expected}}$"
            figure.colorbar(image, ax=panels, label=label, extend="both", shrink=0.8, aspect=35)
    return figure


def draw_deviance(fitted: Sequence[FittedEvent], reference: Float64) -> Figure:
    """Return the deviance per degree of freedom of simulated singles, with that of each real event.

    Args:
        fitted: real events.
        reference: of simulated singles, shape (event,).
    """
    real = np.array([event.deviance / event.dof for event in fitted])
    with drawing():
        figure, axes = new_figure((6.4, 3.8))
        edges = np.linspace(0.7, max(1.8, float(real.max()) + 0.1), 45)
        counts, _ = np.histogram(reference, edges)
        axes.stairs(counts, edges, color=COLOURS[0], label="simulated singles")
        height = float(counts.max(initial=1)) * 0.08
        axes.plot(real, np.full(len(real), height), "v", color=COLOURS[1], label="real events")
        axes.set_xlabel("deviance per degree of freedom")
        axes.set_ylabel("simulated singles")
        axes.set_ylim(0, 1.1 * float(counts.max(initial=1)))
        axes.legend(loc="upper right")
    return figure


def draw_pulls(fitted: Sequence[FittedEvent]) -> Figure:
    """Return the pull of each fitted quantity of each real event.

    Args:
        fitted: real events.
    """
    names = sorted({name for event in fitted for name in event.pulls})
    with drawing():
        figure, axes = new_figure((6.4, 3.8))
        axes.axvspan(-1, 1, color="#d5dbe3", zorder=0, label="$\\pm$1 standard error")
        for row, name in enumerate(names):
            values = [event.pulls[name] for event in fitted if name in event.pulls]
            axes.plot(values, np.full(len(values), row), "o", color=COLOURS[0], alpha=0.7)
        axes.set_yticks(range(len(names)), [name.rsplit("_", 1)[0].replace("_", " ") for name in names])
        axes.set_ylim(len(names) - 0.4, -0.9)
        limit = max(4.0, max(abs(value) for event in fitted for value in event.pulls.values()) + 0.5)
        axes.set_xlim(-limit, limit)
        axes.set_xlabel("(fitted - true) / standard error")
        axes.legend(loc="upper left")
    return figure


def _as_gallery(examples: Sequence[PixelMap], views: Sequence[View]) -> Gallery:
    """Return examples as events, the views of each together."""
    images = {
        view.name: np.array([one.values for one in examples if one.view == view.name]) for view in views
    }
    captions = tuple(one.name.replace(", ", "\n") for one in examples if one.view == views[0].name)
    none = np.empty((len(captions), 0, 2))
    return Gallery("Examples", images, captions, none, none)


def _view_of(pixels: PixelMap, views: Sequence[View]) -> View:
    return next((view for view in views if view.name == pixels.view), views[0])


def _grid(n_panels: int, size: float) -> tuple[Figure, list[Axes]]:
    n_columns = min(n_panels, N_COLUMNS)
    n_rows = -(-n_panels // N_COLUMNS)
    figure = Figure(figsize=(size * n_columns + 0.8, (size + 0.25) * n_rows))
    panels = list(figure.subplots(n_rows, n_columns, squeeze=False).ravel())
    for axes in panels[n_panels:]:
        axes.set_axis_off()
    return figure, panels[:n_panels]


def _norm(values: Float64, logarithmic: bool) -> Normalize:
    top = float(values.max()) if (values > 0).any() else 1.0
    if logarithmic:
        positive = values[values > 0]
        least = min(1.0, top / 1000)  # of a mean image, far below one count
        low = max(float(positive.min()) if positive.size else 1.0, least)
        return LogNorm(low, max(top, 2 * low), clip=True)
    return Normalize(0, top)


def _pixels(axes: Axes, values: Float64, view: View, norm: Normalize, colours: str) -> AxesImage:
    n_row, n_col = view.shape
    image = axes.imshow(
        values.T,
        origin="lower",
        extent=(0, n_row, 0, n_col),
        cmap=colours,
        norm=norm,
        interpolation="nearest",
    )
    for axis, length in ((axes.xaxis, n_row), (axes.yaxis, n_col)):
        axis.set_ticks(np.arange(0, length + 1, max(length // 4, 1)))
    axes.tick_params(labelsize=9.5, direction="out", top=False, right=False)
    return image
