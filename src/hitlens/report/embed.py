"""Figures as data inside a page, so that a report is one file."""

from __future__ import annotations

import base64
import io
import sys
from typing import Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser
from matplotlib.text import Text

#: MIME type by format.
MIME_TYPES = {"svg": "image/svg+xml", "png": "image/png"}


def figure_to_data_uri(figure: Figure, file_format: Literal["svg", "png"] = "svg", dpi: float = 110.0) -> str:
    """Return a figure as a data URI for the ``src`` of an image, and close it.

    The same figure gives the same text: no date, and fixed element names in SVG.

    Args:
        figure: the figure.
        file_format: "svg" for lines and text, "png" for images of many pixels.
        dpi: resolution of a PNG, and of the parts of an SVG that are drawn as pixels.

    Examples:
        >>> figure = Figure()
        >>> _ = figure.add_subplot().plot([1, 2])
        >>> figure_to_data_uri(figure)[:26]
        'data:image/svg+xml;base64,'
    """
    return bytes_to_data_uri(figure_to_bytes(figure, file_format, dpi), file_format)


def figure_to_bytes(figure: Figure, file_format: Literal["svg", "png"] = "svg", dpi: float = 110.0) -> bytes:
    """Return the content of an image file of a figure, and close it; arguments as `figure_to_data_uri`."""
    buffer = io.BytesIO()
    metadata = {"Date": None} if file_format == "svg" else {"Software": None}
    _show_broken_formulas_as_text(figure)
    with mpl.rc_context({"svg.hashsalt": "hitlens", "svg.fonttype": "path"}):
        figure.savefig(buffer, format=file_format, dpi=dpi, metadata=metadata)
    close(figure)
    return buffer.getvalue()


def _show_broken_formulas_as_text(figure: Figure) -> None:
    """Let names with dollar signs that are no formula, such as "$5 {or} $x_$", be drawn as they are."""
    for axes in figure.findobj(Axes):
        for axis in (axes.xaxis, axes.yaxis):
            axis.get_ticklabels()  # made when they are asked for
            axis.get_offset_text()
    for text in figure.findobj(Text):
        if text.get_text().count("$") > 1 and not _is_formula(text.get_text()):
            text.set_parse_math(False)


def _is_formula(text: str) -> bool:
    try:
        MathTextParser("path").parse(text)
    except (ValueError, RuntimeError):
        return False
    return True


def bytes_to_data_uri(content: bytes, file_format: Literal["svg", "png"]) -> str:
    """Return the content of an image file as a data URI.

    Examples:
        >>> bytes_to_data_uri(b"<svg/>", "svg")
        'data:image/svg+xml;base64,PHN2Zy8+'
    """
    return f"data:{MIME_TYPES[file_format]};base64,{base64.b64encode(content).decode('ascii')}"


def close(figure: Figure) -> None:
    """Drop a figure from pyplot where pyplot holds it; one made without pyplot goes when it is not used."""
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close(figure)
