"""Pictures of single events, of a run's outcomes or of any selection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hitlens.config import DataConfig
from hitlens.detector import Detector, Task
from hitlens.detectors import get_detector, read_detector
from hitlens.errors import ConfigError, SelectionError
from hitlens.evaluate.predictions import Predictions, read_predictions
from hitlens.evaluate.regression import largest_errors
from hitlens.events import Events, evaluate_expression
from hitlens.report.embed import figure_to_bytes
from hitlens.report.event_display import draw_gallery
from hitlens.report.gallery import Gallery, make_gallery, outcomes
from hitlens.report.page import render_gallery
from hitlens.report.render import write_whole
from hitlens.workflow import runs
from hitlens.workflow.run_events import images_of, match_events, read_data, read_run_config
from hitlens.workflow.sources import DESCRIPTION

#: Events shown of each kind in a report.
N_SHOWN = 8

#: Resolution of a gallery, pixels an inch.
DPI = 110


@dataclass(frozen=True, eq=False)
class _Chosen:
    """Events for one gallery: positions in a table, in the order shown."""

    name: str
    title: str
    rows: NDArray[np.int64]
    order: str


def run_galleries(
    predictions: Predictions, events: Events, detector: Detector, cut: float, n: int = N_SHOWN
) -> tuple[Gallery, ...]:
    """Return the galleries of a report: each outcome of a binary head, the largest errors of the others.

    Args:
        predictions: of the evaluated split.
        events: among which they are, by their keys.
        detector: its description.
        cut: score from which an event is called signal.
        n: events shown of each kind.

    Raises:
        DataError: a predicted event is not among the events.
    """
    chosen = [one for head in predictions.heads for one in _kinds(predictions, head, cut)]
    return tuple(_gallery(predictions, events, detector, one, n) for one in chosen if len(one.rows))


def _kinds(predictions: Predictions, head: Task, cut: float) -> list[_Chosen]:
    if head.kind == "binary":
        right = ("true_positives", "true_negatives")
        return [
            _Chosen(
                f"gallery_{head.name}_{kind.name}",
                kind.title,
                kind.rows,
                "least sure first" if kind.name in right else "most wrong first",
            )
            for kind in outcomes(predictions.table, head, cut)
        ]
    if head.is_classification:
        return []
    title = f"Largest errors of {head.name}: {head.meaning}"
    rows = largest_errors(head, predictions)
    return [_Chosen(f"gallery_{head.name}_largest_errors", title, rows, "largest error first")]


def _gallery(
    predictions: Predictions, events: Events, detector: Detector, chosen: _Chosen, n: int
) -> Gallery:
    some = predictions.with_table(predictions.table[chosen.rows[:n]])
    positions = match_events(some.table, events, detector.key)
    view = detector.views[0]
    return make_gallery(
        some,
        images_of(events, positions, view.name, view.shape),
        detector,
        title=chosen.title,
        name=chosen.name,
        caption=f"{len(some):,} of {len(chosen.rows):,} events, {chosen.order}.",
    )


def gallery(
    source: Path,
    out: Path,
    *,
    select: str = "",
    order: str = "",
    n: int = 32,
    files: Sequence[Path] | None = None,
) -> Path:
    """Draw any selection of predicted events to a page or a picture.

    Args:
        source: a run folder, or a predictions file.
        out: ends in .html, .png or .svg.
        select: SQL condition over the predictions' columns; empty takes all.
        order: SQL expression, the lowest first; empty is most wrong first where the truth is known.
        n: at most so many events.
        files: event files; None takes those of the run's settings, which a predictions file does not have.

    Returns:
        The path written.

    Raises:
        ConfigError: an ending that is not one of these, or a predictions file without event files.
        SelectionError: the condition or the order cannot be read, or no event fulfils it.
    """
    if out.suffix not in (".html", ".png", ".svg"):
        raise ConfigError(f"A gallery must end in .html, .png or .svg. Got '{out}'.")
    predictions, events, detector = _open(source, files)
    chosen = predictions.filter(select) if select else predictions
    if not len(chosen):
        raise SelectionError(f"No event of {len(predictions):,} fulfils '{select}'.")
    rows, how = _ordered(chosen, order)
    found = _gallery(chosen, events, detector, _Chosen(out.stem, select or "All events", rows, how), n)
    figure = draw_gallery(found, detector.views[0])
    if out.suffix == ".html":
        page = render_gallery(found, figure_to_bytes(figure, "png", DPI), f"{source.name}: gallery")
        return write_whole(out, page)
    return write_whole(out, figure_to_bytes(figure, "svg" if out.suffix == ".svg" else "png", DPI))


def _open(source: Path, files: Sequence[Path] | None) -> tuple[Predictions, Events, Detector]:
    if source.is_dir():
        config = read_run_config(source)
        predictions = read_predictions(source / runs.PREDICTIONS)
        detector = get_detector(config.detector)
        return predictions, read_data(config.data, detector, files), detector
    predictions = read_predictions(source)
    if not files:
        raise ConfigError(
            f"{source} holds predictions but no images. Give the event files as well: --data FILE."
        )
    text = predictions.metadata.get(DESCRIPTION)
    detector = read_detector(text, f"{source} (its detector)") if text else get_detector(predictions.detector)
    return predictions, read_data(DataConfig(), detector, files), detector


def _ordered(predictions: Predictions, order: str) -> tuple[NDArray[np.int64], str]:
    table = predictions.table
    if order:
        values = evaluate_expression(table, order)
        return values.arg_sort(nulls_last=True).to_numpy().astype(np.int64), f"ordered by {order}"
    for head in predictions.heads:
        if head.kind == "binary" and f"true_{head.name}" in table.columns:
            return np.argsort(-_wrongness(table, head), kind="stable"), "most wrong first"
    return np.arange(len(table)), "in the order of the input"


def _wrongness(table: pl.DataFrame, head: Task) -> NDArray[Any]:
    """How far the score is from the truth, 0 to 1; -1 where the class is not known."""
    score = table[f"score_{head.name}"].cast(pl.Float64).to_numpy()
    true = table[f"true_{head.name}"].fill_null("").to_numpy()
    background, signal = head.class_names
    return np.where(true == signal, 1 - score, np.where(true == background, score, -1.0))
