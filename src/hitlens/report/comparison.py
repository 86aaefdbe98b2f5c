"""Simulated beside real events -> one self-contained HTML page."""

from __future__ import annotations

from pathlib import Path

import yaml

from hitlens.detector import Detector
from hitlens.report.comparison_figures import (
    draw_deviance,
    draw_examples,
    draw_map,
    draw_pulls,
    draw_residuals,
    draw_spectrum,
)
from hitlens.report.embed import figure_to_data_uri
from hitlens.report.numbers import number
from hitlens.report.render import render, write_whole
from hitlens.simulate.comparison import Comparison


def render_comparison_page(comparison: Comparison, detector: Detector) -> str:
    """Return the page that shows simulated events beside real ones.

    Args:
        comparison: what a simulator's `compare` returned.
        detector: its description, for geometry and axes.
    """
    view = detector.views[0]
    fitted = comparison.fitted
    has_reference = bool(len(fitted) and len(comparison.reference_deviance))
    return render(
        "comparison.html",
        title=f"{detector.name}: simulated beside real events",
        comparison=comparison,
        spectra=[
            (spectrum.name, figure_to_data_uri(draw_spectrum(spectrum))) for spectrum in comparison.spectra
        ],
        maps=[
            (pixels.name, figure_to_data_uri(draw_map(pixels, detector.views))) for pixels in comparison.maps
        ],
        examples=figure_to_data_uri(draw_examples(comparison.examples, detector.views))
        if comparison.examples
        else "",
        residuals=figure_to_data_uri(draw_residuals(fitted, view)) if fitted else "",
        pulls=figure_to_data_uri(draw_pulls(fitted)) if fitted else "",
        deviance=(
            figure_to_data_uri(draw_deviance(fitted, comparison.reference_deviance)) if has_reference else ""
        ),
        total_deviance=sum(event.deviance for event in fitted),
        total_dof=sum(event.dof for event in fitted),
        settings=yaml.safe_dump(comparison.settings, sort_keys=False),
        number=number,
        short=short,
    )


def short(value: float, digits: int) -> str:
    """Return a number with so many digits, never with an exponent for large ones; a dash for none.

    Examples:
        >>> short(22148.4, 4), short(-173.4, 2), short(99.8, 2), short(0.00156, 2), short(float("nan"), 2)
        ('22,148', '-173', '100', '0.0016', '-')
    """
    if value != value:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 10**digits - 0.5 else f"{value:.{digits}g}"


def write_comparison_page(path: Path | str, comparison: Comparison, detector: Detector) -> Path:
    """Write the comparison page and return its path; arguments as `render_comparison_page`."""
    return write_whole(path, render_comparison_page(comparison, detector))
