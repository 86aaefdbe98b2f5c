"""Trials of a search -> one small panel each: how it trained, and what it confuses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from hitlens.evaluate.study import VariantResult
from hitlens.report.figures import confusion_cells, plain_log_ticks
from hitlens.report.labels import monitor_label
from hitlens.report.study_figures import history_column
from hitlens.report.style import COLOURS, SIZE, drawing
from hitlens.report.tune_trials import (
    bare_settings,
    fixed,
    ranked,
    reached,
    score_decimals,
    shown_range,
)
from hitlens.tune.results import TrialResult, TuneResults

#: Panels there are room for; of more trials the best are drawn.
MOST_PANELS = 36
#: Panels in a row.
N_COLUMNS = 6
#: Classes up to which a small confusion matrix is written in numbers.
_MOST_WRITTEN = 5

_METRIC, _TRAINING, _VALIDATION = COLOURS[0], COLOURS[1], COLOURS[3]


def best_few(found: TuneResults, trials: Sequence[TrialResult]) -> list[TrialResult]:
    """Return the trials there are panels for, in order of their number: all, or the best by score."""
    few = ranked(trials, found.objectives[0])[:MOST_PANELS]
    return sorted(few, key=lambda trial: trial.number)


def page_width(n_trials: int) -> float:
    """Return the width of a figure of so many panels, inches: that of a page, or half of it for a few."""
    return SIZE[0] if n_trials <= N_COLUMNS // 2 else 2 * SIZE[0]


def history_panels(found: TuneResults, trials: Sequence[TrialResult]) -> Figure:
    """Draw the validation metric of each trial above its losses, on axes that all trials share.

    Where the loss is what is monitored there is no other metric, and the losses stand alone.

    Args:
        found: for names and the monitored score.
        trials: that have a history.
    """
    with_metric = found.monitor != "val_loss"
    metric = monitor_label(found.monitor)
    shape = -(-len(trials) // N_COLUMNS), min(len(trials), N_COLUMNS)
    with drawing():
        height = (2.6 if with_metric else 2.0) * shape[0] + 1.0
        figure = Figure(figsize=(page_width(len(trials)), height))
        # Constrained layout of so many axes takes long.
        figure.set_layout_engine("none")
        scale = _Scale(found, trials)
        pairs = _pairs(figure, shape, len(trials), with_metric)
        for number, (trial, (upper, lower)) in enumerate(zip(trials, pairs, strict=True)):
            if trial.run is not None:
                _draw_losses(lower, trial, trial.run, scale)
                _draw_metric(upper, trial, trial.run, scale)
            (upper or lower).set_title(_title(found, trial, scale.n_decimals), fontsize=9, pad=4)
            _clear_inner(upper, lower, (number, len(trials), shape[1]))
            if number % shape[1] == 0:
                _label_left(upper, lower, metric, -0.56 * shape[1] / (0.93 * (figure.get_figwidth() - 1.04)))
        _legend(figure, metric if with_metric else "", height)
        return figure


class _Scale:
    """Limits and digits that all panels share."""

    def __init__(self, found: TuneResults, trials: Sequence[TrialResult]) -> None:
        runs = [trial.run for trial in trials if trial.run is not None]
        # The later half: the rise at the beginning would hide how the end swings.
        late = [history_column(run, "val_metric")[len(run.history["val_metric"]) // 2 :] for run in runs]
        losses = np.concatenate([history_column(run, name) for run in runs for name in _LOSSES])
        losses = losses[np.isfinite(losses)]
        self.n_epochs = max(len(run.history["val_metric"]) for run in runs)
        self.metric = shown_range(np.concatenate(late).tolist(), found.higher_is_better)
        self.logarithmic = bool(len(losses)) and float(losses.min()) > 0
        low, high = (float(losses.min()), float(losses.max())) if len(losses) else (0.1, 1.0)
        self.loss = (low / 1.15, high * 1.15) if self.logarithmic else (low, high)
        self.n_decimals = score_decimals(found)


_LOSSES = ("train_loss", "val_loss")


def _pairs(
    figure: Figure, shape: tuple[int, int], n_panels: int, with_metric: bool
) -> Iterator[tuple[Axes | None, Axes]]:
    """Yield the axes of the metric and of the losses of each panel."""
    n_rows, n_columns = shape
    width, height = figure.get_size_inches()
    outer = GridSpec(
        n_rows,
        n_columns,
        figure,
        left=0.92 / width,
        right=1 - 0.12 / width,
        top=1 - 0.78 / height,
        bottom=0.5 / height,
        hspace=0.29 if with_metric else 0.42,
        wspace=0.09,
    )
    for number in range(n_panels):
        place = outer[number // n_columns, number % n_columns]
        if with_metric:
            inner = place.subgridspec(2, 1, height_ratios=(1.35, 1), hspace=0.06)
            yield figure.add_subplot(inner[0]), figure.add_subplot(inner[1])
        else:
            yield None, figure.add_subplot(place)


def _draw_metric(axes: Axes | None, trial: TrialResult, run: VariantResult, scale: _Scale) -> None:
    if axes is None:
        return
    values = history_column(run, "val_metric")
    axes.plot(_epochs(values), values, color=_METRIC, linewidth=1.3)
    _mark_best(axes, run, values)
    _mark_end(axes, trial, values, scale)
    axes.set_ylim(*scale.metric)
    if not np.any((values >= scale.metric[0]) & (values <= scale.metric[1])):
        axes.text(
            0.5, 0.5, "beyond the axis", ha="center", fontsize=8.5, color="#586474", transform=axes.transAxes
        )
    axes.yaxis.set_major_locator(MaxNLocator(4))


def _draw_losses(axes: Axes, trial: TrialResult, run: VariantResult, scale: _Scale) -> None:
    for name, colour, style in zip(_LOSSES, (_TRAINING, _VALIDATION), ("--", "-"), strict=True):
        values = history_column(run, name)
        axes.plot(_epochs(values), values, color=colour, linestyle=style, linewidth=1.1)
    _mark_best(axes, run, values)
    _mark_end(axes, trial, values, scale)
    axes.set_ylim(*scale.loss)
    if scale.logarithmic:
        axes.set_yscale("log")
        plain_log_ticks(axes)


def _epochs(values: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.arange(len(values)) + 1


def _mark_best(axes: Axes, run: VariantResult, values: NDArray[np.float64]) -> None:
    if 0 <= run.best_epoch < len(values):
        axes.plot(
            [run.best_epoch + 1],
            [values[run.best_epoch]],
            marker="o",
            markersize=6.5,
            markerfacecolor="none",
            markeredgecolor="black",
            markeredgewidth=1.2,
        )


def _mark_end(axes: Axes, trial: TrialResult, values: NDArray[np.float64], scale: _Scale) -> None:
    axes.set_xlim(0.2, scale.n_epochs + 0.8)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
    if trial.state == "pruned":
        axes.axvspan(len(values) + 0.5, scale.n_epochs + 1, color="#e8ebef", linewidth=0)


def _clear_inner(upper: Axes | None, lower: Axes, place: tuple[int, int, int]) -> None:
    """Keep numbers and labels at the left and at the bottom of the grid only."""
    number, n_panels, n_columns = place
    for axes in filter(None, (upper, lower)):
        axes.tick_params(labelsize=8.5, length=3, labelleft=number % n_columns == 0)
    if upper is not None:
        upper.tick_params(labelbottom=False)
    is_lowest = number + n_columns >= n_panels
    lower.tick_params(labelbottom=is_lowest)
    if is_lowest:
        lower.set_xlabel("epoch", fontsize=9.5)


def _label_left(upper: Axes | None, lower: Axes, metric: str, x: float) -> None:
    """Label the axes of the first column, `x` of their width beside them."""
    lower.set_ylabel("loss", fontsize=9.5)
    if upper is not None:
        upper.set_ylabel(f"validation\n{metric}", fontsize=9.5)
    for axes in filter(None, (upper, lower)):
        axes.yaxis.set_label_coords(x, 0.5)


def _title(found: TuneResults, trial: TrialResult, n_decimals: int) -> str:
    value = fixed(reached(trial, found.objectives[0].name), n_decimals)
    state = "" if trial.state == "finished" else f", {trial.state}"
    settings = bare_settings(found, trial)
    first = f"{trial.number}: {settings}" if settings else f"trial {trial.number}"
    return f"{first}\n{value}{state}"


def _legend(figure: Figure, metric: str, height: float) -> None:
    entries = [Line2D([], [], color=_METRIC, linewidth=1.6)] if metric else []
    names = [f"validation {metric}"] if metric else []
    entries += [
        Line2D([], [], color=_TRAINING, linestyle="--", linewidth=1.4),
        Line2D([], [], color=_VALIDATION, linewidth=1.4),
        Line2D([], [], color="black", marker="o", markerfacecolor="none", linestyle="none"),
    ]
    names += ["training loss", "validation loss", "best epoch"]
    place = (0.5, 1 - 0.05 / height)
    fontsize = 11 if figure.get_size_inches()[0] > SIZE[0] else 8.5
    figure.legend(
        entries, names, loc="upper center", ncols=len(names), bbox_to_anchor=place, fontsize=fontsize
    )


def confusion_panels(
    found: TuneResults, head: str, trials: Sequence[TrialResult], classes: Sequence[str]
) -> Figure:
    """Draw the confusion matrix of each trial, shares of the true class in percent.

    Args:
        found: for the names of the settings.
        head: that classifies.
        trials: that have a confusion matrix of this head.
        classes: names of its classes, by class index.
    """
    n = len(classes)
    n_columns = min(len(trials), N_COLUMNS)
    n_rows = -(-len(trials) // N_COLUMNS)
    with drawing():
        width = page_width(len(trials))
        figure = Figure(figsize=(width, (width / max(n_columns, 2) + 0.02) * n_rows + 0.15))
        grid = list(figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True).flat)
        for axes in grid[len(trials) :]:
            axes.set_axis_off()
        fontsize = {2: 9.0, 3: 10.0, 4: 9.0, 5: 7.5}.get(n, 0.0)
        for number, (trial, axes) in enumerate(zip(trials, grid, strict=False)):
            confusion_cells(axes, trial.confusion[head], fontsize=fontsize, counted=n == 2)
            settings = bare_settings(found, trial)
            axes.set_title(f"{trial.number}: {settings}" if settings else f"trial {trial.number}", fontsize=9)
            axes.set_xticks(range(n), classes, rotation=0 if n == 2 else 90)
            axes.set_yticks(range(n), classes, rotation=90 if n == 2 else 0, va="center")
            axes.tick_params(which="both", length=0, labelsize=8.5 if n <= _MOST_WRITTEN else 7)
            # A shared axis hides its numbers above panels that are not there.
            axes.tick_params(labelbottom=number + n_columns >= len(trials))
        figure.supxlabel("predicted class", fontsize=10.5)
        figure.supylabel("true class", fontsize=10.5)
        return figure
