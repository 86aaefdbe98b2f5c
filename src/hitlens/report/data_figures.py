"""Figures of a data report: pixel maps, sum spectra and truth against its laws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hitlens.datasets.histograms import Histogram
from hitlens.datasets.inspection import ColumnReport
from hitlens.datasets.pixel_health import OddPixel
from hitlens.datasets.truth_laws import LawResult
from hitlens.datasets.view_statistics import ViewReport
from hitlens.report.labels import with_unit
from hitlens.report.style import COLOURS, SIZE, drawing


def draw_mean_image(report: ViewReport) -> Figure:
    """Return the mean value of each pixel, with dead and hot pixels marked."""
    label = f"mean {report.view.unit} per event"
    limits = (0.0, _highest_good(report, report.mean_image))
    return _pixel_map(report, report.mean_image, label, "viridis", mark=True, limits=limits)


def draw_hit_rate(report: ViewReport) -> Figure:
    """Return the fraction of events in which each pixel is hit, with dead and hot pixels marked."""
    return _pixel_map(
        report, report.hit_rate, "fraction of events with a hit", "cividis", mark=True, limits=(0.0, 1.0)
    )


def draw_brightest(report: ViewReport) -> Figure:
    """Return in how many events each pixel is the brightest."""
    limits = (0.0, _highest_good(report, report.brightest))
    return _pixel_map(report, report.brightest, "events in which it is the brightest", "magma", limits=limits)


def _highest_good(report: ViewReport, values: NDArray[Any]) -> float | None:
    """Return where the colours end, so that one hot pixel does not turn all others dark."""
    good = np.array(values, dtype=float)
    for pixel in report.hot:
        good[pixel.index] = 0.0
    return float(good.max()) if report.hot and good.max() > 0 else None


def _pixel_map(
    report: ViewReport,
    values: NDArray[Any],
    label: str,
    colours: str,
    *,
    mark: bool = False,
    limits: tuple[float | None, float | None] = (None, None),
) -> Figure:
    """Draw one value a pixel; pixel i spans [i, i+1), the first axis runs to the right."""
    view = report.view
    with drawing():
        figure = Figure(figsize=(6.0, 4.9))
        axes = figure.add_subplot()
        n_row, n_col = view.shape
        image = axes.imshow(
            np.asarray(values, dtype=float).T,
            origin="lower",
            extent=(0, n_row, 0, n_col),
            cmap=colours,
            vmin=limits[0],
            vmax=limits[1],
            interpolation="nearest",
            aspect="equal" if max(view.shape) <= 3 * min(view.shape) else "auto",
        )
        axes.set_xlabel(with_unit(view.axes[0], "px"))
        axes.set_ylabel(with_unit(view.axes[1], "px"))
        above = limits[1] is not None and float(np.max(values)) > limits[1]
        figure.colorbar(image, ax=axes, label=label, extend="max" if above else "neither")
        if mark:
            _mark(axes, report.dead, "x", "#ff3b30", "dead")
            _mark(axes, report.hot, "o", "#ff3b30", "hot")
            if report.dead or report.hot:
                axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
    return figure


def _mark(axes: Axes, pixels: Sequence[OddPixel], marker: str, colour: str, label: str) -> None:
    if not pixels:
        return
    places = np.array([pixel.index for pixel in pixels]) + 0.5
    face = colour if marker == "x" else "none"
    axes.scatter(
        places[:, 0],
        places[:, 1],
        marker=marker,
        s=45,
        c=face,
        edgecolors=None if marker == "x" else colour,
        linewidths=1.6,
        label=f"{label} ({len(pixels)})",
    )


def draw_sum_spectrum(spectra: Mapping[str, Histogram], unit: str) -> Figure:
    """Return the sum over all pixels of an event, by class where classes are known.

    Args:
        spectra: by class, and "all", in the same bins.
        unit: of a pixel value.
    """
    classes = {name: histogram for name, histogram in spectra.items() if name != "all"}
    with drawing():
        figure = Figure(figsize=(6.4, 3.8))
        axes = figure.add_subplot()
        if len(classes) != 1:
            axes.stairs(
                spectra["all"].counts, spectra["all"].edges, fill=True, color="#d5dbe3", label="all events"
            )
        for (name, histogram), colour in zip(classes.items(), COLOURS, strict=False):
            axes.stairs(histogram.counts, histogram.edges, color=colour, linewidth=1.6, label=name)
        axes.set_xlabel(with_unit("sum over all pixels", unit))
        axes.set_ylabel("events per bin")
        axes.set_ylim(bottom=0)
        axes.ticklabel_format(axis="x", useOffset=False, style="plain")
        if classes:
            axes.legend()
    return figure


def draw_laws(laws: Sequence[LawResult], units: Mapping[str, str]) -> Figure:
    """Return the values each uniform law speaks of beside the flat line it states.

    Args:
        laws: results with a histogram.
        units: unit by expression; an expression that is no column has none.
    """
    with drawing():
        figure, panels = _panels(len(laws))
        for axes, law in zip(panels, laws, strict=True):
            _draw_law(axes, law, units.get(law.expression, ""))
    return figure


def _draw_law(axes: Axes, law: LawResult, unit: str) -> None:
    histogram = law.histogram
    if histogram is None:
        return
    good = law.verdict != "differs"
    axes.stairs(
        histogram.counts, histogram.edges, fill=True, alpha=0.45, color=COLOURS[0] if good else COLOURS[1]
    )
    flat = law.n_events / len(histogram.counts)
    axes.axhline(flat, color="#1c2430", linewidth=1.2)
    axes.fill_between(
        histogram.edges[[0, -1]],
        flat - np.sqrt(flat),
        flat + np.sqrt(flat),
        color="#1c2430",
        alpha=0.18,
        linewidth=0,
    )
    axes.set_title(f"p = {law.p_value:.2g}, {law.verdict}", color="#1c2430" if good else "#b3261e")
    axes.set_xlabel(with_unit(law.expression, unit))
    axes.set_ylabel("events per bin")
    axes.set_ylim(0, max(1.3 * flat, 1.1 * float(histogram.counts.max())))


def draw_columns(columns: Sequence[ColumnReport]) -> Figure:
    """Return histograms of truth columns that no law speaks of; each must have one."""
    with drawing():
        figure, panels = _panels(len(columns))
        for axes, column in zip(panels, columns, strict=True):
            if column.histogram is not None:
                axes.stairs(
                    column.histogram.counts, column.histogram.edges, fill=True, alpha=0.6, color=COLOURS[0]
                )
            axes.set_xlabel(with_unit(column.name, column.unit))
            axes.set_ylabel("events per bin")
        return figure


def _panels(n_panels: int) -> tuple[Figure, list[Axes]]:
    """Return a figure with so many panels, three a row; a single one has the size of other figures."""
    n_columns = min(3, n_panels)
    n_rows = -(-n_panels // n_columns)
    figure = Figure(figsize=SIZE if n_panels == 1 else (4.4 * n_columns, 3.4 * n_rows))
    figure.set_layout_engine("constrained", h_pad=0.12, w_pad=0.08)
    panels = list(figure.subplots(n_rows, n_columns, squeeze=False).ravel())
    for axes in panels[n_panels:]:
        axes.set_axis_off()
    return figure, panels[:n_panels]
