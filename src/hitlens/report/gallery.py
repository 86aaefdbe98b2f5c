"""Which events to look at, and what to write beside them: truth, score, prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hitlens.detector import Detector, Task, View
from hitlens.evaluate.predictions import Predictions
from hitlens.events import evaluate_condition
from hitlens.report.captions import event_captions, score_text
from hitlens.report.labels import column_label
from hitlens.sql import columns_of


@dataclass(frozen=True, eq=False)
class Gallery:
    """Some events to be looked at.

    Attributes:
        title: what they have in common.
        images: pixel values by view, each of shape (event, row, col), or with a depth before the row.
        captions: one a picture.
        true_points: (along rows, along columns), pixels, NaN where there is none, shape (event, point, 2).
        pred_points: the same, predicted; shape (event, 0, 2) where the model predicts no positions.
        caption: how many there are, and how these were chosen.
        name: file name without its ending.
    """

    title: str
    images: Mapping[str, NDArray[Any]]
    captions: tuple[str, ...]
    true_points: NDArray[np.float64]
    pred_points: NDArray[np.float64]
    caption: str = ""
    name: str = "selection"

    @property
    def alt(self) -> str:
        """The pictures in words."""
        what = "; ".join(text.replace("\n", ", ") for text in self.captions)
        views = f" in {len(self.images)} views" if len(self.images) > 1 else ""
        marked = " with the positions marked" if np.isfinite(self.true_points).any() else ""
        return f"{self.title}: images of {len(self.captions)} events{views}{marked}. {what}."


def position_columns(detector: Detector, view: View) -> tuple[tuple[str, str], ...]:
    """Return the pairs of truth columns that hold positions in a view: (along rows, along columns).

    They are the columns that a flip of one axis reverses, as the detector's symmetries say. A volume is shown
    as its sum over the depth, so that positions along the depth have no place in it.

    Examples:
        >>> from hitlens.detector import dihedral_group
        >>> view = View(name="v", shape=(4, 4), axes=("x", "y"), pitch_mm=(1, 1), unit="")
        >>> symmetries = dihedral_group(view, [("x1", "y1"), ("x2", "y2")])
        >>> position_columns(Detector(name="d", title="", views=(view,), truth=(), tasks=(),
        ...                           symmetries=symmetries), view)
        (('x1', 'y1'), ('x2', 'y2'))
    """
    along = []
    for axis in view.axes[-2:]:
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
    return values.astype(np.float64).reshape(len(table), len(known), 2)


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


def class_outcomes(table: pl.DataFrame, head: Task, class_name: str) -> tuple[Kind, Kind]:
    """Return the events of one true class that were called another, the surest first, and the right ones.

    Args:
        table: predictions.
        head: a classification of several classes.
        class_name: the true class.

    Examples:
        >>> names = ("a", "b", "c")
        >>> head = Task(name="t", kind="multiclass", meaning="", target="t", class_names=names)
        >>> table = pl.DataFrame({"true_t": ["a", "a", "a"], "pred_t": ["b", "a", "c"],
        ...     "score_t_a": [0.4, 0.9, 0.1], "score_t_b": [0.6, 0.1, 0.0], "score_t_c": [0.0, 0.0, 0.9]})
        >>> [kind.rows.tolist() for kind in class_outcomes(table, head, "a")]
        [[2, 0], [1]]
    """
    columns = [f"score_{head.name}_{name}" for name in head.class_names]
    scores = table.select(pl.col(columns).cast(pl.Float64).fill_null(float("nan"))).to_numpy()
    mine = (table[f"true_{head.name}"].fill_null("") == class_name).to_numpy()
    right = (table[f"pred_{head.name}"].fill_null("") == class_name).to_numpy()
    known = mine & np.isfinite(scores).all(axis=1)
    highest = np.where(known, np.nan_to_num(scores).max(axis=1), 0.0)
    wrong_rows, right_rows = np.flatnonzero(known & ~right), np.flatnonzero(known & right)
    surest = [rows[np.argsort(-highest[rows], kind="stable")] for rows in (wrong_rows, right_rows)]
    return (
        Kind(
            f"{class_name}_mistakes", f"Most confident mistakes of {head.name}: true {class_name}", surest[0]
        ),
        Kind(f"{class_name}_best", f"Most confident right answers of {head.name}: {class_name}", surest[1]),
    )


def make_gallery(
    predictions: Predictions,
    images: Mapping[str, NDArray[Any]],
    detector: Detector,
    *,
    title: str,
    name: str,
    caption: str = "",
    heads: Sequence[Task] = (),
) -> Gallery:
    """Return events with their captions and positions.

    Predicted positions are those of the heads whose selection the truth of an event fulfils: of a joint
    network, those of the double head for a true double, whatever it was called.

    Args:
        predictions: of these events alone.
        images: pixel values by view, each of shape (event, row, col).
        detector: its description.
        title: what the events have in common.
        name: file name without its ending.
        caption: how many there are, and how these were chosen.
        heads: those whose answers are written beside the events; empty takes all.
    """
    # In several views a position has a coordinate in each: nothing is marked there.
    pairs = position_columns(detector, detector.views[0]) if len(detector.views) == 1 else ()
    table = predictions.table
    if detector.headline:
        captions = event_captions(predictions, detector, heads or predictions.heads)
    else:
        captions = _captions(predictions, detector, {column for pair in pairs for column in pair})
    return Gallery(
        title=title,
        images=images,
        captions=captions,
        true_points=points(table, pairs),
        pred_points=_predicted_points(predictions, pairs),
        caption=caption,
        name=name,
    )


def _predicted_points(predictions: Predictions, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
    found = []
    for head in predictions.heads:
        if not head.is_classification:
            prefix = predictions.value_column(head, "")
            at = points(predictions.table, [p for p in pairs if p[0] in head.target_columns], prefix)
            at[~_fulfils(predictions, head)] = np.nan
            found.append(at)
    return np.concatenate(found, axis=1) if found else np.empty((len(predictions), 0, 2))


def _fulfils(predictions: Predictions, head: Task) -> NDArray[np.bool_]:
    """Whether a head's target is defined; where the truth is not known, it is taken to be."""
    truth = predictions.truth()
    if not columns_of(head.selection) <= set(truth.columns):
        return np.ones(len(predictions), dtype=bool)
    return evaluate_condition(truth, head.selection)


def _captions(predictions: Predictions, detector: Detector, positions: set[str]) -> tuple[str, ...]:
    columns = [c.name for c in detector.truth if c.role == "truth" and c.unit and c.name not in positions]
    defined = {head.name: _fulfils(predictions, head) for head in predictions.heads}
    texts = []
    for number, row in enumerate(predictions.table.to_dicts()):
        lines = [_first_line(row, detector.key, predictions.heads)]
        lines += _values("true", {column: row.get(f"true_{column}") for column in columns}, detector)
        for head in predictions.heads:
            if not head.is_classification and defined[head.name][number]:
                shown = [column for column in columns if column in head.target_columns]
                values = {c: row.get(predictions.value_column(head, c)) for c in shown}
                lines += _values("predicted", values, detector)
        lines += [str(row["file"])] if row.get("file") and "file" in detector.labels else []
        texts.append("\n".join(lines))
    return tuple(texts)


def _first_line(row: Mapping[str, Any], key: Sequence[str], heads: Sequence[Task]) -> str:
    number = row.get(key[-1], "?") if key else "?"
    scores = [f"score {score_text(row[f'score_{head.name}'])}" for head in heads if head.kind == "binary"]
    return "   ".join([f"event {number}", *scores])


def _values(kind: str, values: Mapping[str, float | None], detector: Detector) -> list[str]:
    """Values of one quantity on one line; 0 and NaN stand for an electron that is not there."""
    groups: dict[tuple[str, str], list[str]] = {}
    for column, value in values.items():
        if value is not None and np.isfinite(value) and value != 0:
            groups.setdefault((column_label(column), detector.unit(column)), []).append(f"{value:.3f}")
    return [f"{kind} {label} {', '.join(texts)} {unit}" for (label, unit), texts in groups.items()]
