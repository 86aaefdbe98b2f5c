"""How figures look: mplhep's style at the size of a page, without changing anything global."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

#: Colours told apart by readers with any colour vision, in the order methods are drawn.
COLOURS = ("#0b5cad", "#e07b00", "#6b7280", "#a3195b", "#1a7a3c", "#7a4fbf")

#: Markers in the same order, so that colour is never the only difference.
MARKERS = ("o", "s", "^", "D", "v", "P")

#: Size of a figure that takes half of a page's width, inches.
SIZE = (6.4, 4.4)


def settings() -> Any:
    """Return matplotlib settings: mplhep's, with sizes for a figure of `SIZE`."""
    import mplhep

    return dict(mplhep.style.ROOT) | {
        # Text is set when a figure is saved, after this style is gone: matplotlib's own font is there then.
        "font.family": "DejaVu Sans",
        "mathtext.fontset": "dejavusans",
        "figure.figsize": SIZE,
        "figure.facecolor": "white",
        "figure.constrained_layout.use": True,
        "savefig.facecolor": "white",
        "font.size": 12,
        "axes.linewidth": 1.0,
        "axes.labelsize": 12.5,
        "axes.titlesize": 12.5,
        "axes.unicode_minus": True,
        "axes.prop_cycle": cycler(color=COLOURS),
        "xtick.labelsize": 11.5,
        "ytick.labelsize": 11.5,
        "xtick.major.size": 5,
        "xtick.minor.size": 2.5,
        "ytick.minor.size": 2.5,
        "ytick.major.size": 5,
        # Minor ticks are most of the time it takes to draw a figure, and of its size as a file.
        "xtick.minor.visible": False,
        "ytick.minor.visible": False,
        "legend.fontsize": 11,
        "legend.frameon": False,
        "lines.linewidth": 1.6,
        "grid.alpha": 0.5,
    }


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in the house style inside this block; figures made in it keep their looks.

    Examples:
        >>> with drawing():
        ...     figure = Figure()
        >>> [float(inches) for inches in figure.get_size_inches()]
        [6.4, 4.4]
    """
    with mpl.rc_context(settings()):
        yield


def new_figure(size: tuple[float, float] = SIZE) -> tuple[Figure, Axes]:
    """Return an empty figure with one pair of axes; call it inside `drawing`.

    Args:
        size: width and height, inches.
    """
    figure = Figure(figsize=size)
    return figure, figure.add_subplot()
