"""Drawing events of several views: side by side, in pixels and in cm, charge in colour."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator
from numpy.typing import NDArray

from hitlens.detector import View
from hitlens.report.gallery import Gallery
from hitlens.report.labels import axis_label
from hitlens.report.style import drawing

#: Width of the whole picture and panels in a row, inches.
WIDTH, N_PANELS = 12.6, 4
#: Around a panel: left, right, below and above for the axes in cm; for a caption line; for the colour bar.
_LEFT, _RIGHT, _BELOW, _ABOVE, _LINE, _BAR = 0.52, 0.42, 0.44, 0.27, 0.17, 0.95
#: A panel's height over its width.
_ASPECT = {1: 0.75, 2: 1.0, 3: 0.75}
#: A view is drawn whole where its hits span this fraction of it; else it is cut to them with a margin.
_WHOLE, _MARGIN, _SMALLEST = 0.7, 0.08, 16
#: Axes of one name show the same part where all hits along them span at most so much more than one view's.
_APART = 1.6

#: Where all but this share of the charge at either end spans less than this fraction of all hits, the stray
#: hits are left out, and counted in the picture.
_STRAY, _COMPACT = 0.02, 0.5
#: Most pixels of a view drawn along an axis; of more, the largest value of each few is drawn.
_N_DRAWN = 170

#: First pixel and end along an axis.
Span = tuple[int, int]

_TEXT, _SOFT = 8.5, "#586474"


def charge_colours() -> Colormap:
    """Return colours from orange for few counts to black for many; nothing hit is white."""
    from matplotlib import colormaps

    shades = colormaps["magma_r"](np.linspace(0.17, 1.0, 256))
    return LinearSegmentedColormap.from_list("charge", list(shades)).with_extremes(bad="white")


@dataclass(frozen=True)
class Window:
    """The part of a view that is drawn, in pixels: row and column, first and end."""

    row: tuple[int, int]
    col: tuple[int, int]


def projected(image: NDArray[Any]) -> NDArray[Any]:
    """Return an image as it is drawn, shape (row, col): of a view with a depth, the sum over it."""
    return np.asarray(image.sum(axis=tuple(range(image.ndim - 2))) if image.ndim > 2 else image)


def find_windows(images: Sequence[NDArray[Any]], views: Sequence[View]) -> list[Window]:
    """Return which part of each view of one event is drawn: its hits.

    Axes of one name, such as the planes of two views, show the same part where the hits are at one place.

    Args:
        images: of one event, one a view, shape (row, col).
        views: their descriptions.

    Examples:
        >>> view = View(name="u", shape=(100, 80), axes=("wire", "time"), pitch_mm=(5, 5), unit="")
        >>> image = np.zeros((100, 80)); image[40:60, 10] = 1
        >>> find_windows([image], [view])
        [Window(row=(38, 62), col=(2, 19))]
    """
    spans: dict[str, list[Span]] = {}
    for image, view in zip(images, views, strict=True):
        for axis, name in enumerate(view.axes[-2:]):
            own = _span(image, axis)
            if own is not None:
                spans.setdefault(name, []).append(own)
    together = {name: _together(of_name) for name, of_name in spans.items()}
    found = []
    for image, view in zip(images, views, strict=True):
        ends = []
        for axis, name in enumerate(view.axes[-2:]):
            ends.append(_window(together.get(name) or _span(image, axis), image.shape[axis]))
        found.append(Window(*ends))
    return found


def _span(image: NDArray[Any], axis: int) -> Span | None:
    """Return where the hits are along an axis; a few far from nearly all of the charge are left out."""
    charge = np.abs(image).sum(axis=1 - axis, dtype=np.float64)
    lit = np.flatnonzero(charge)
    if not len(lit):
        return None
    running = np.cumsum(charge) / charge.sum()
    low, high = (int(np.searchsorted(running, share)) for share in (_STRAY, 1 - _STRAY))
    whole = int(lit[0]), int(lit[-1]) + 1
    return (low, high + 1) if high + 1 - low < _COMPACT * (whole[1] - whole[0]) else whole


def _together(spans: Sequence[Span]) -> Span | None:
    """Return what holds the hits of all views along an axis; None where they lie at different places."""
    low, high = min(span[0] for span in spans), max(span[1] for span in spans)
    longest = max(span[1] - span[0] for span in spans)
    return (low, high) if high - low <= _APART * longest else None


def _window(span: Span | None, length: int) -> Span:
    if span is None or span[1] - span[0] > _WHOLE * length:
        return 0, length
    low, high = span
    margin = max(2, round(_MARGIN * (high - low)), (_SMALLEST - (high - low) + 1) // 2)
    return max(0, low - margin), min(length, high + margin)


def draw_view(axes: Axes, image: NDArray[Any], view: View, norm: Normalize, window: Window) -> Any:
    """Draw one view of an event: rows to the right, columns upwards, in pixels; opposite in cm.

    Pixel i spans [i, i+1). Where nothing is hit, nothing is drawn. Hits outside the window are counted.

    Args:
        axes: where to.
        image: pixel values, shape (row, col).
        view: names of the axes and size of a pixel.
        norm: of the colours.
        window: the part drawn.
    """
    shown, extent = _largest(image, window)
    drawn = axes.imshow(
        np.where(shown > 0, shown, np.nan).T,
        origin="lower",
        extent=extent,
        norm=norm,
        cmap=charge_colours(),
        interpolation="nearest",
        aspect="auto",
    )
    inside = image[slice(*window.row), slice(*window.col)]
    n_outside = int(np.count_nonzero(image) - np.count_nonzero(inside))
    if n_outside:
        text = f"{n_outside} hit{'s' if n_outside > 1 else ''} outside"
        axes.text(0.98, 0.03, text, transform=axes.transAxes, fontsize=_TEXT - 1, ha="right", color=_SOFT)
    axes.set_xlim(*window.row)
    axes.set_ylim(*window.col)
    axes.tick_params(labelsize=_TEXT, direction="out", top=False, right=False, length=3, pad=2)
    axes.set_xlabel(axis_label(view.axes[-2]), fontsize=_TEXT, labelpad=1, loc="center")
    axes.set_ylabel(axis_label(view.axes[-1]), fontsize=_TEXT, labelpad=1, loc="center")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=3))
    _centimetres(axes, view)
    return drawn


def _largest(image: NDArray[Any], window: Window) -> tuple[NDArray[Any], tuple[float, float, float, float]]:
    """Return the window of an image with its extent; where it is finer than a picture, the largest of a few.

    No hit is lost in the drawing by this, as it would be by leaving out pixels.
    """
    part = image[slice(*window.row), slice(*window.col)]
    factors = [-(-length // _N_DRAWN) for length in part.shape]
    padding = [(0, -length % factor) for length, factor in zip(part.shape, factors, strict=True)]
    padded = np.pad(part, padding)
    n_row, n_col = (length // factor for length, factor in zip(padded.shape, factors, strict=True))
    blocks = padded.reshape(n_row, factors[0], n_col, factors[1])
    low_row, low_col = window.row[0], window.col[0]
    extent = (low_row, low_row + padded.shape[0], low_col, low_col + padded.shape[1])
    return blocks.max(axis=(1, 3)), extent


def _centimetres(axes: Axes, view: View) -> None:
    """Give an axis in cm to each side whose pixels have a size."""
    if len(view.pitch_mm) < 2:
        return
    row, col = (pitch / 10 for pitch in view.pitch_mm[-2:])
    top = axes.secondary_xaxis("top", functions=_both_ways(row))
    right = axes.secondary_yaxis("right", functions=_both_ways(col))
    for other, axis in ((top, top.xaxis), (right, right.yaxis)):
        other.tick_params(labelsize=_TEXT - 1, length=3, pad=1, colors=_SOFT, direction="out")
        axis.set_major_locator(MaxNLocator(4))
    place = axes.transAxes
    axes.text(1.03, 1.03, "cm", ha="left", va="bottom", fontsize=_TEXT - 1, color=_SOFT, transform=place)


def _both_ways(scale: float) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Return the functions from pixels to cm and back."""

    def forth(px: Any) -> Any:
        return px * scale

    def back(cm: Any) -> Any:
        return cm / scale

    return forth, back


def draw_views(gallery: Gallery, views: Sequence[View]) -> Figure:
    """Draw events, the views of each side by side under its caption, with one colour scale for all.

    Args:
        gallery: at least one event, with an image in each view.
        views: descriptions of the views, in the order drawn.
    """
    n_views, n = len(views), len(gallery.captions)
    per_row = max(1, N_PANELS // n_views)
    n_rows = -(-n // per_row)
    n_lines = max(text.count("\n") + 1 for text in gallery.captions)
    cell_width = (WIDTH - _BAR) / (per_row * n_views)
    panel_width = cell_width - _LEFT - _RIGHT
    panel_height = panel_width * _ASPECT.get(n_views, 0.75)
    row_height = panel_height + _BELOW + _ABOVE + _LINE * n_lines + 0.12
    height = row_height * n_rows + 0.05
    images = {view.name: [projected(image) for image in gallery.images[view.name]] for view in views}
    norm = charge_norm(images)
    with drawing():
        figure = Figure(figsize=(WIDTH, height))
        figure.set_layout_engine("none")
        drawn = None
        for number in range(n):
            row, place = divmod(number, per_row)
            top = height - row * row_height - 0.05
            left = place * n_views * cell_width
            corner = ((left + _LEFT) / WIDTH, top / height)
            _write_caption(figure, gallery.captions[number], corner, n_views * cell_width)
            shown = [images[view.name][number] for view in views]
            windows = find_windows(shown, views)
            for k, view in enumerate(views):
                x = left + k * cell_width + _LEFT
                y = top - _LINE * n_lines - _ABOVE - panel_height
                box = (x / WIDTH, y / height, panel_width / WIDTH, panel_height / height)
                axes = figure.add_axes(box)
                drawn = draw_view(axes, shown[k], view, norm, windows[k])
                label = f"view {view.name}"
                behind = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1.0}
                whole = axes.transAxes
                axes.text(0.02, 0.97, label, transform=whole, fontsize=_TEXT, va="top", bbox=behind)
        bar = figure.add_axes(((WIDTH - _BAR + 0.2) / WIDTH, 0.6 / height, 0.16 / WIDTH, 1 - 1.2 / height))
        signed = any((image < 0).any() for many in images.values() for image in many)
        _colour_bar(figure, drawn, bar, views[0].unit, signed=signed)
    return figure


def _write_caption(figure: Figure, caption: str, corner: tuple[float, float], width: float) -> None:
    """Write truth and answers over the views of an event, no wider than they are."""
    first, *rest = caption.split("\n")
    for number, text in enumerate((first, *rest)):
        size = min(_TEXT + (1.5 if number == 0 else 0.5), 1.75 * 72 * width / max(len(text), 1))
        y = corner[1] - number * _LINE / figure.get_figheight()
        weight = "bold" if number == 0 else "normal"
        figure.text(corner[0], y, text, va="top", fontsize=size, fontweight=weight)


def charge_norm(images: Mapping[str, Sequence[NDArray[Any]]]) -> LogNorm:
    """Return one logarithmic scale from the smallest hit of all images to the largest.

    Of real numbers it spans four decades at most: the rest is noise, in the darkest colour.
    """
    hits = [image[(image > 0) & np.isfinite(image)] for many in images.values() for image in many]
    found = np.concatenate([np.ravel(one) for one in hits]) if hits else np.zeros(0)
    low = float(found.min()) if found.size else 1.0
    high = float(found.max()) if found.size else 10.0
    if found.dtype.kind == "f":
        low = max(low, high * 1e-4)
    return LogNorm(low, max(high, 2 * low), clip=True)


def _colour_bar(figure: Figure, drawn: Any, axes: Axes, unit: str, *, signed: bool) -> None:
    bar = figure.colorbar(drawn, cax=axes)
    bar.locator = LogLocator(subs=(1.0, 2.0, 5.0))
    bar.formatter = FuncFormatter(lambda value, _: f"{value:,.3g}" if value < 1e4 else f"{value:,.0f}")
    bar.minorticks_off()
    bar.update_ticks()
    axes.tick_params(labelsize=_TEXT)
    words = "; pixels below 0 are blank" if signed else ""
    axes.set_ylabel(f"{unit} per pixel{words}", fontsize=_TEXT + 0.5, loc="center")
