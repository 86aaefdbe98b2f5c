"""Pictures of single events, of a run's outcomes or of any selection."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hitlens.config import DataConfig
from hitlens.detector import Detector, Task
from hitlens.detectors import get_detector, read_detector
from hitlens.errors import ConfigError, DataError, SelectionError
from hitlens.evaluate.predictions import Predictions, read_predictions
from hitlens.evaluate.regression import largest_errors
from hitlens.evaluate.results import Picture
from hitlens.events import EventSource, evaluate_expression
from hitlens.io.names import has_ending
from hitlens.io.outputs import check_output
from hitlens.report.drawn import DrawnFigure
from hitlens.report.embed import figure_to_bytes
from hitlens.report.event_display import draw_gallery
from hitlens.report.gallery import Gallery, class_outcomes, make_gallery, outcomes
from hitlens.report.labels import file_name
from hitlens.report.page import render_gallery
from hitlens.report.render import write_whole
from hitlens.report.summary import FEW_HEADS
from hitlens.workflow.origins import read_run_predictions
from hitlens.workflow.run_events import match_events, read_data, read_run_config, read_run_events
from hitlens.workflow.sources import DESCRIPTION

log = logging.getLogger(__name__)

#: Events shown of each kind in a report: of one view, and of several, which take more room.
N_SHOWN, N_SHOWN_VIEWS = 8, 4

#: Resolution of a gallery, pixels an inch.
DPI = 120


@dataclass(frozen=True, eq=False)
class _Chosen:
    """Events for one gallery: positions in a table, in the order shown."""

    name: str
    title: str
    rows: NDArray[np.int64]
    order: str
    heads: tuple[Task, ...] = ()
    n_all: int = 0


def run_galleries(
    predictions: Predictions, events: EventSource, detector: Detector, cut: float, n: int | None = None
) -> tuple[Gallery, ...]:
    """Return the galleries of a report: outcomes of each classification, largest errors of the others.

    Of a binary head they are mistakes and right answers of either class; of several classes, for each true
    class the most confident mistakes and the most confident right answers.

    Args:
        predictions: of the evaluated split.
        events: among which they are, by their keys.
        detector: its description.
        cut: score from which an event is called signal.
        n: events shown of each kind; None takes `N_SHOWN`, or of several views `N_SHOWN_VIEWS`, half of it
            where there are many heads.

    Raises:
        DataError: a predicted event is not among the events.
    """
    n = n or _n_shown(len(detector.views), len(predictions.heads))
    chosen = [one for head in predictions.heads for one in _kinds(predictions, head, cut)]
    drawn = [replace(one, rows=one.rows[:n], n_all=len(one.rows)) for one in chosen if len(one.rows)]
    if not drawn:
        return ()
    rows = np.unique(np.concatenate([one.rows for one in drawn]))
    found = _positions(predictions.table[rows], events, detector)
    where = dict(zip(rows.tolist(), found.tolist(), strict=True))
    return tuple(
        _gallery(predictions, events, detector, one, [where[row] for row in one.rows.tolist()])
        for one in drawn
    )


def drawn_galleries(
    predictions: Predictions, events: EventSource, detector: Detector, cut: float
) -> list[tuple[Picture, DrawnFigure]]:
    """Return the galleries of a report as results keep them, with their drawings; as `run_galleries`."""
    drawn = []
    for one in run_galleries(predictions, events, detector, cut):
        content = figure_to_bytes(draw_gallery(one, detector.views), "png", DPI)
        sha256 = hashlib.sha256(content).hexdigest()
        picture = Picture(one.name, one.title, one.caption, one.alt, sha256)
        drawn.append((picture, DrawnFigure(one.name, content, "png", one.caption, one.alt, wide=True)))
    return drawn


def _n_shown(n_views: int, n_heads: int) -> int:
    """Return how many events a gallery of a report shows: few where there are many galleries."""
    if n_views == 1:
        return N_SHOWN
    return N_SHOWN_VIEWS if n_heads <= FEW_HEADS else N_SHOWN_VIEWS // 2


def _kinds(predictions: Predictions, head: Task, cut: float) -> list[_Chosen]:
    table, several = predictions.table, len(predictions.heads) > 1
    if head.kind == "binary":
        right = ("true_positives", "true_negatives")
        found = []
        for kind in outcomes(table, head, cut):
            order = "least sure first" if kind.name in right else "most wrong first"
            title = f"{head.name}: {kind.title[0].lower()}{kind.title[1:]}" if several else kind.title
            name = file_name("gallery", head.name, kind.name)
            found.append(_Chosen(name, title, kind.rows, order, (head,)))
        return found
    if head.is_classification:
        return [
            _Chosen(
                file_name("gallery", head.name, kind.name), kind.title, kind.rows, "surest first", (head,)
            )
            for name in head.class_names
            for kind in class_outcomes(table, head, name)
        ]
    title = f"Largest errors of {head.name}: {head.meaning}"
    rows = largest_errors(head, predictions)
    return [_Chosen(f"gallery_{head.name}_largest_errors", title, rows, "largest error first", (head,))]


def _positions(table: pl.DataFrame, events: EventSource, detector: Detector) -> NDArray[np.int64]:
    """Return where events are, by key and file; by key alone where the files have other names now."""
    both = [n for n in detector.labels if n in table.columns and n in events.truth.columns]
    if set(both) > set(detector.key):
        try:
            return match_events(table, events, both)
        except DataError:
            log.debug("The files have other names than in the predictions: events are found by key alone.")
    return match_events(table, events, detector.key)


def _gallery(
    predictions: Predictions,
    events: EventSource,
    detector: Detector,
    chosen: _Chosen,
    positions: Sequence[int],
) -> Gallery:
    """Return the pictures of the chosen events; only these are made dense."""
    some = events.select(np.asarray(positions, dtype=np.int64))
    return make_gallery(
        predictions.with_table(predictions.table[chosen.rows]),
        {view.name: some.dense(view.name, view.shape) for view in detector.views},
        detector,
        title=chosen.title,
        name=chosen.name,
        caption=f"{len(chosen.rows):,} of {chosen.n_all:,} events, {chosen.order}.",
        heads=chosen.heads if len(detector.views) > 1 else (),
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
    if not has_ending(out, (".html", ".png", ".svg")):
        raise ConfigError(f"A gallery must end in .html, .png or .svg. Got '{out}'.")
    check_output(out)
    predictions, events, detector = _open(source, files)
    chosen = predictions.filter(select) if select else predictions
    if not len(chosen):
        raise SelectionError(f"No event of {len(predictions):,} fulfils '{select}'.")
    rows, how = _ordered(chosen, order)
    one = _Chosen(out.stem, select or "All events", rows[:n], how, n_all=len(rows))
    positions = _positions(chosen.table[one.rows], events, detector)
    found = _gallery(chosen, events, detector, one, positions.tolist())
    figure = draw_gallery(found, detector.views)
    if has_ending(out, ".html"):
        page = render_gallery(found, figure_to_bytes(figure, "png", DPI), f"{source.name}: gallery")
        return write_whole(out, page)
    return write_whole(out, figure_to_bytes(figure, "svg" if has_ending(out, ".svg") else "png", DPI))


def _open(source: Path, files: Sequence[Path] | None) -> tuple[Predictions, EventSource, Detector]:
    if source.is_dir():
        config = read_run_config(source)
        predictions = read_run_predictions(source)
        detector = get_detector(config.detector)
        return predictions, read_run_events(source, config, files), detector
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
        if head.is_classification and f"true_{head.name}" in table.columns:
            return np.argsort(-_wrongness(table, head), kind="stable"), "most wrong first"
    return np.arange(len(table)), "in the order of the input"


def _wrongness(table: pl.DataFrame, head: Task) -> NDArray[Any]:
    """How far the score of the true class is from 1; -1 where the class is not known."""
    true = table[f"true_{head.name}"].fill_null("").to_numpy()
    if head.kind == "binary":
        signal = table[f"score_{head.name}"].cast(pl.Float64).to_numpy()
        scores = dict(zip(head.class_names, (1 - signal, signal), strict=True))
    else:
        scores = {n: table[f"score_{head.name}_{n}"].cast(pl.Float64).to_numpy() for n in head.class_names}
    return np.select([true == name for name in scores], [1 - score for score in scores.values()], -1.0)
