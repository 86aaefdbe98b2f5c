"""Figures of a data report: pixel maps, sum spectra and truth against its laws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter
from numpy.typing import NDArray

from hitlens.datasets.histograms import Histogram
from hitlens.datasets.pixel_health import OddPixel
from hitlens.datasets.truth_columns import ColumnReport
from hitlens.datasets.truth_laws import LawResult
from hitlens.datasets.view_statistics import ViewReport
from hitlens.report.labels import axis_label, with_unit
from hitlens.report.style import COLOURS, SIZE, drawing


def draw_mean_image(report: ViewReport) -> Figure:
    """Return the mean value of each pixel, with dead and hot pixels marked."""
    label = f"mean {report.view.unit} per event"
    limits = (0.0, _highest_good(report, report.mean_image))
    return _pixel_map(report, report.mean_image, label, "viridis", mark=True, limits=limits)


def draw_hit_rate(report: ViewReport) -> Figure:
    """Return the fraction of events in which each pixel is hit, with dead and hot pixels marked."""
    rate, label = report.hit_rate, "fraction of events with a hit"
    if rate.ndim > 2:
        label = "hits per event, all depths together"
    limits = (0.0, 1.0 if float(_projected(rate).max()) > 0.5 and rate.ndim == 2 else None)
    return _pixel_map(report, rate, label, "cividis", mark=True, limits=limits)


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


def _projected(values: NDArray[Any]) -> NDArray[Any]:
    """Return the image as it is drawn: of a view with a depth, the sum over it."""
    return np.asarray(values.sum(axis=tuple(range(values.ndim - 2))))


def _pixel_map(
    report: ViewReport,
    values: NDArray[Any],
    label: str,
    colours: str,
    *,
    mark: bool = False,
    limits: tuple[float | None, float | None] = (None, None),
) -> Figure:
    """Draw one value a pixel; pixel i spans [i, i+1), the first axis runs to the right.

    Of a view with few hits the colours are logarithmic, and pixels never hit are white.
    """
    view, shown = report.view, _projected(np.asarray(values, dtype=float))
    n_row, n_col = shown.shape
    with drawing():
        figure = Figure(figsize=(5.2, 0.8 + 3.6 * min(max(n_col / n_row, 0.5), 1.1)))
        axes = figure.add_subplot()
        image = axes.imshow(
            (np.where(shown > 0, shown, np.nan) if report.thin else shown).T,
            origin="lower",
            extent=(0, n_row, 0, n_col),
            cmap=colours,
            norm=_norm(report, shown, limits),
            interpolation="nearest",
            aspect="equal" if max(shown.shape) <= 3 * min(shown.shape) else "auto",
        )
        axes.set_xlabel(axis_label(view.axes[-2]))
        axes.set_ylabel(axis_label(view.axes[-1]))
        above = limits[1] is not None and float(shown.max()) > limits[1]
        extend = "max" if above else "neither"
        figure.colorbar(image, ax=axes, label=label, extend=extend)
        if mark:
            _mark(axes, report.dead, "x", "#ff3b30", "dead")
            _mark(axes, report.hot, "o", "#ff3b30", "hot")
            if report.dead or report.hot:
                axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
    return figure


def _norm(
    report: ViewReport, values: NDArray[np.float64], limits: tuple[float | None, float | None]
) -> Normalize:
    top = limits[1] or float(values.max())
    positive = values[values > 0]
    if report.thin and positive.size and top > 0:
        low = max(float(positive.min()), top * 1e-4)
        return LogNorm(min(low, top / 2), top)
    return Normalize(*limits)


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
        _count_axis(axes, spectra["all"])
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        if classes:
            axes.legend()
    return figure


def draw_view_spectra(reports: Sequence[ViewReport]) -> Figure:
    """Return hits and charge an event and the values of the hits, each view a line.

    Args:
        reports: views of one detector, at least one.
    """
    kinds = (("hits", "pixels hit in an event", ""), ("charge", "sum over the view", "unit"))
    with drawing():
        figure, panels = _panels(3)
        for axes, (name, label, unit) in zip(
            panels, (*kinds, ("values", "value of a hit", "unit")), strict=True
        ):
            widest = max((getattr(one, name) for one in reports), key=lambda h: float(h.edges[-1]))
            for number, one in enumerate(reports):
                found: Histogram = getattr(one, name)
                colour = COLOURS[number % len(COLOURS)]
                density = found.counts / np.diff(found.edges)
                axes.stairs(density, found.edges, color=colour, label=f"view {one.view.name}")
            axes.set_xlabel(with_unit(label, reports[0].view.unit if unit else ""))
            axes.set_ylabel("hits per unit" if name == "values" else "events per unit")
            axes.set_yscale("log")
            axes.set_xlim(min(0.0, float(widest.edges[0])), _visible_end(widest))
            axes.xaxis.set_major_locator(MaxNLocator(5))
        panels[0].legend()
    return figure


def _visible_end(histogram: Histogram, tail: float = 1e-4) -> float:
    """Return the edge beyond which so small a part of the values lies."""
    running = np.cumsum(histogram.counts)
    last = int(np.searchsorted(running, (1 - tail) * running[-1])) if running[-1] else 0
    return float(histogram.edges[min(last + 2, len(histogram.edges) - 1)])


def _count_axis(axes: Axes, histogram: Histogram) -> None:
    """Count logarithmically where a tail would else not be seen, from zero otherwise."""
    filled = histogram.counts[histogram.counts > 0]
    if filled.size and float(histogram.counts.max()) > 30 * float(np.median(histogram.counts)):
        axes.set_yscale("log")
        axes.set_ylim(0.7, float(histogram.counts.max()) * 2)
    else:
        axes.set_ylim(bottom=0)


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
                _count_axis(axes, column.histogram)
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
