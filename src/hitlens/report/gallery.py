"""Pictures of single events: what the detector saw, where the electrons were, what the model said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from hitlens.detector import Detector, Task, View
from hitlens.report.labels import with_unit
from hitlens.report.style import drawing

#: Columns of pictures, and the size of one, inches.
N_COLUMNS, PANEL = 4, 2.55


@dataclass(frozen=True, eq=False)
class Gallery:
    """Some events to be looked at.

    Attributes:
        title: what they have in common.
        images: pixel values, shape (event, row, col).
        captions: one a picture.
        true_points: (along rows, along columns), pixels, NaN where there is none, shape (event, point, 2).
        pred_points: the same, predicted; shape (event, 0, 2) where the model predicts no positions.
        n_found: how many events there are of the kind, of which these are the first.
    """

    title: str
    images: NDArray[Any]
    captions: tuple[str, ...]
    true_points: NDArray[np.float64]
    pred_points: NDArray[np.float64]
    n_found: int = 0
    name: str = field(default="selection")


def position_columns(detector: Detector, view: View) -> tuple[tuple[str, str], ...]:
    """Return the pairs of truth columns that hold positions in a view: (along rows, along columns).

    They are the columns that a flip of one axis reverses, as the detector's symmetries say.

    Examples:
        >>> from hitlens.detector import dihedral_group
        >>> view = View(name="v", shape=(4, 4), axes=("x", "y"), pitch_mm=(1, 1), unit="")
        >>> symmetries = dihedral_group(view, [("x1", "y1"), ("x2", "y2")])
        >>> position_columns(Detector(name="d", title="", views=(view,), truth=(), tasks=(),
        ...                           symmetries=symmetries), view)
        (('x1', 'y1'), ('x2', 'y2'))
    """
    along = []
    for axis in view.axes:
        flips = [s for s in detector.symmetries if s.flips == (axis,) and not s.transpose]
        along.append([c for s in flips[:1] for c, effect in s.truth.items() if effect.scale < 0])
    return tuple(zip(*along, strict=False))


def points(
    table: pl.DataFrame, pairs: Sequence[tuple[str, str]], prefix: str = "true_"
) -> NDArray[np.float64]:
    """Return positions from the columns of a predictions table, pixels, shape (event, point, 2).

    Args:
        table: predictions.
        pairs: truth columns, (along rows, along columns) of each point; a pair not in the table is left out.
        prefix: what stands before the truth column's name, "true_", "pred_" or "<head>_pred_".

    Examples:
        >>> table = pl.DataFrame({"true_x": [1.5], "true_y": [None]}, schema_overrides={"true_y": pl.Float64})
        >>> points(table, [("x", "y"), ("x2", "y2")])
        array([[[1.5, nan]]])
    """
    known = [pair for pair in pairs if all(prefix + column in table.columns for column in pair)]
    columns = [prefix + column for pair in known for column in pair]
    values = table.select(pl.col(columns).cast(pl.Float64).fill_null(float("nan"))).to_numpy()
    return values.reshape(len(table), len(known), 2)


@dataclass(frozen=True)
class Kind:
    """One kind of outcome of a binary head.

    Attributes:
        name: "true_positive" and so on.
        title: heading.
        rows: positions in the table, most wrong (or least sure) first.
    """

    name: str
    title: str
    rows: NDArray[np.int64]


def outcomes(table: pl.DataFrame, head: Task, cut: float) -> tuple[Kind, ...]:
    """Sort the events of a binary head by outcome: false negatives and positives, then the right ones.

    Examples:
        >>> head = Task(name="many", kind="binary", meaning="", target="n > 1", class_names=("one", "many"))
        >>> table = pl.DataFrame({"score_many": [0.1, 0.4, 0.9], "true_many": ["many", "many", "many"]})
        >>> [(kind.name, kind.rows.tolist()) for kind in outcomes(table, head, 0.5)][0]
        ('false_negatives', [0, 1])
    """
    background, signal = head.class_names
    score = table[f"score_{head.name}"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    true = table[f"true_{head.name}"].fill_null("").to_numpy()
    called, good = score >= cut, np.isfinite(score)
    kinds = (
        ("false_negatives", f"False negatives: {signal} called {background}", signal, False),
        ("false_positives", f"False positives: {background} called {signal}", background, True),
        ("true_positives", f"True positives: {signal} called {signal}", signal, True),
        ("true_negatives", f"True negatives: {background} called {background}", background, False),
    )
    found = []
    for name, title, of_class, is_called in kinds:
        rows = np.flatnonzero(good & (true == of_class) & (called == is_called))
        # Signal is most wrong at the lowest score, background at the highest.
        order = np.argsort(score[rows] if of_class == signal else -score[rows], kind="stable")
        found.append(Kind(name, title, rows[order]))
    return tuple(found)


def caption(row: dict[str, Any], key: Sequence[str], heads: Sequence[Task]) -> str:
    """Return the text above a picture: event number, scores and, below, true and predicted values.

    Examples:
        >>> head = Task(name="many", kind="binary", meaning="", target="n > 1", class_names=("one", "many"))
        >>> caption({"file": "a.txt", "event": 7, "score_many": 0.25}, ("file", "event"), [head])
        'event 7   score 0.25'
    """
    number = row.get(key[-1], "?") if key else "?"
    scores = [f"score {_score(row[f'score_{head.name}'])}" for head in heads if f"score_{head.name}" in row]
    return "   ".join([f"event {number}", *scores])


def _score(value: float | None) -> str:
    if value is None:
        return "?"
    return (
        f"{value:.3g}"
        if 0.001 <= value <= 0.999 or value in (0, 1)
        else f"{value:.2e}"
        if value < 0.5
        else f"1 - {1 - value:.1e}"
    )


def draw_gallery(gallery: Gallery, view: View) -> Figure:
    """Draw events in a grid with one colour scale, logarithmic in the pixel value.

    The first axis runs to the right, the second upwards; pixel i spans [i, i+1), so that a position of
    3.5 is the middle of pixel 3.

    Args:
        gallery: at least one event.
        view: geometry, axes and unit.
    """
    n = len(gallery.images)
    n_columns = min(n, N_COLUMNS)
    n_rows = -(-n // n_columns)
    with drawing():
        figure = Figure(figsize=(PANEL * max(n_columns, 2) + 1.0, (PANEL + 0.28) * n_rows + 0.75))
        grid = np.atleast_1d(figure.subplots(n_rows, n_columns, squeeze=False)).ravel()
        top = float(np.log1p(max(float(gallery.images.max()), 1.0)))
        image = None
        for number, axes in enumerate(grid):
            if number >= n:
                axes.set_axis_off()
                continue
            image = draw_event(axes, gallery.images[number], view, top)
            draw_points(axes, gallery.true_points[number], gallery.pred_points[number])
            axes.set_title(gallery.captions[number], fontsize=10)
            axes.tick_params(labelbottom=number >= n - n_columns, labelleft=number % n_columns == 0)
        _label(figure, grid, n_columns, n, view)
        if image is not None:
            _colour_bar(figure, image, grid, view)
        _legend(figure, gallery)
        return figure


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
        axis.set_tick_params(which="minor", size=0)
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
            grid[number].set_xlabel(with_unit(view.axes[0], "px"), fontsize=10)
        if number % n_columns == 0:
            grid[number].set_ylabel(with_unit(view.axes[1], "px"), fontsize=10)


def _colour_bar(figure: Figure, image: AxesImage, grid: NDArray[Any], view: View) -> None:
    bar = figure.colorbar(image, ax=list(grid), aspect=35, pad=0.015, fraction=0.03)
    top = float(np.expm1(image.get_clim()[1]))
    values = [0] + [10**power for power in range(int(np.log10(max(top, 1))) + 1)]
    bar.set_ticks(list(np.log1p(values)))
    bar.ax.minorticks_off()
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
