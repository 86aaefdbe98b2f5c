"""Data report -> one self-contained HTML page."""

from __future__ import annotations

from pathlib import Path

from hitlens.datasets.inspection import DataReport
from hitlens.datasets.truth_columns import ColumnReport
from hitlens.datasets.view_statistics import ViewReport
from hitlens.detector import Detector
from hitlens.report.data_figures import (
    draw_brightest,
    draw_columns,
    draw_hit_rate,
    draw_laws,
    draw_mean_image,
    draw_sum_spectrum,
    draw_view_spectra,
)
from hitlens.report.embed import figure_to_data_uri
from hitlens.report.numbers import number
from hitlens.report.render import render, write_whole

#: Groups of duplicates and odd pixels a page lists at most; the counts are always whole.
N_LISTED = 50


def render_data_page(report: DataReport, detector: Detector) -> str:
    """Return the page of a data report: tables, and figures inside the page.

    Args:
        report: what `hitlens.datasets.inspection.inspect_events` found.
        detector: its description, for units.
    """
    laws = [law for law in report.laws if law.histogram is not None]
    columns = plain_columns(report)
    unit = report.views[0].view.unit if report.views else ""
    return render(
        "data.html",
        title=f"Data report: {report.title}",
        report=report,
        checked_laws=[law for law in report.laws if law.verdict != "not checked"],
        n_unchecked=sum(law.verdict == "not checked" for law in report.laws),
        spectrum=figure_to_data_uri(draw_sum_spectrum(report.sum_spectra, unit)) if report.n_events else "",
        view_figure=figure_to_data_uri(draw_view_spectra(report.views)) if report.views else "",
        counted=[column for column in report.columns if column.counts and column.role != "key"],
        law_figure=figure_to_data_uri(draw_laws(laws, _units(detector))) if laws else "",
        column_figure=figure_to_data_uri(draw_columns(columns)) if columns else "",
        n_drawn=len(laws),
        n_plain=len(columns),
        views=[(view, _maps(view)) for view in report.views],
        n_listed=N_LISTED,
        number=number,
        zip=zip,
    )


def write_data_page(path: Path | str, report: DataReport, detector: Detector) -> Path:
    """Write the page of a data report and return its path; arguments as `render_data_page`."""
    return write_whole(path, render_data_page(report, detector))


def plain_columns(report: DataReport) -> list[ColumnReport]:
    """Return the columns of real numbers, key columns aside, that no law's figure shows already."""
    shown = {law.expression for law in report.laws if law.histogram is not None}
    return [
        column
        for column in report.columns
        if column.histogram is not None and column.role != "key" and column.name not in shown
    ]


def _maps(view: ViewReport) -> list[tuple[str, str]]:
    """Return the figures of a view with their captions."""
    depth = " All depths are added up." if len(view.view.shape) > 2 else ""
    drawn = [
        (draw_mean_image(view), "Mean image over all events."),
        (draw_hit_rate(view), "How often each pixel is hit, in events that are not blank."),
    ]
    # Few events in many pixels: hardly two share their brightest one.
    if not view.thin or view.n_hit_events > view.brightest.size / 4:
        drawn.append((draw_brightest(view), "Which pixel is the brightest of its event."))
    return [(figure_to_data_uri(figure), caption + depth) for figure, caption in drawn]


def _units(detector: Detector) -> dict[str, str]:
    return {column.name: column.unit for column in (*detector.truth, *detector.extra_columns)}
