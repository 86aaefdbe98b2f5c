"""What is written over the picture of one event: what it truly is, and what the model says of it."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from hitlens.detector import Detector, Task, TruthColumn
from hitlens.evaluate.predictions import Predictions
from hitlens.report.labels import column_label

#: Heads whose answers fit over a picture.
N_HEADS = 4
#: Letters in a line.
LETTERS = 88


def event_captions(predictions: Predictions, detector: Detector, heads: Sequence[Task]) -> tuple[str, ...]:
    """Return a caption an event: its truth in words on the first line, the answers of some heads below.

    The last line says which event of which file it is, so that it can be looked up.

    Args:
        predictions: of these events.
        detector: its description; `Detector.headline` says which truth columns are written.
        heads: those whose answers are written, the first few of them.
    """
    found = []
    for row, known in zip(predictions.table.to_dicts(), predictions.truth().to_dicts(), strict=True):
        truth = true_words(known, detector)
        answers = [answer for head in heads[:N_HEADS] if (answer := _answer(row, head, predictions))]
        lines = textwrap.wrap("; ".join(answers), LETTERS)
        found.append("\n".join([truth, *lines, *textwrap.wrap(event_words(row, detector), LETTERS)]))
    return tuple(found)


def event_words(row: Mapping[str, Any], detector: Detector) -> str:
    """Return which event a row is of, by its file and its key.

    Args:
        row: values of the key columns by name.
        detector: its description.

    Examples:
        >>> event = TruthColumn(name="event", meaning="", role="key")
        >>> demo = Detector(name="demo", title="", views=(), truth=(event,), tasks=())
        >>> event_words({"event": 17}, demo)
        'event 17'
    """
    known = {name: row[name] for name in detector.labels if row.get(name) is not None}
    return ", ".join(str(value) if name == "file" else f"{name} {value}" for name, value in known.items())


def true_words(row: Mapping[str, Any], detector: Detector) -> str:
    """Return what an event truly is, for example "numu CC DIS, E = 3.2 GeV, y = 0.40".

    Args:
        row: values of truth columns by name.
        detector: its description.

    Examples:
        >>> kind = TruthColumn(name="kind", meaning="", codes=((2, "numu CC DIS"),))
        >>> energy = TruthColumn(name="nuenergy", meaning="", unit="GeV", symbol="E")
        >>> demo = Detector(name="demo", title="", views=(), truth=(kind, energy), tasks=(),
        ...                 headline=("kind", "nuenergy"))
        >>> true_words({"kind": 2, "nuenergy": 3.21}, demo)
        'numu CC DIS, E = 3.2 GeV'
    """
    columns = {column.name: column for column in (*detector.truth, *detector.extra_columns)}
    parts = [_true_part(columns[name], row.get(name)) for name in detector.headline]
    return ", ".join(part for part in parts if part) or "truth unknown"


def _true_part(column: TruthColumn, value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if column.codes:
        return dict(column.codes).get(value, f"{column.name} {value}")
    return quantity_text(column.symbol or column_label(column.name), value, column.unit)


def quantity_text(name: str, value: float, unit: str) -> str:
    """Return a quantity with two digits, or three from ten.

    Examples:
        >>> quantity_text("E", 3.214, "GeV"), quantity_text("y", 0.5, ""), quantity_text("tracks", 2, "")
        ('E = 3.2 GeV', 'y = 0.50', 'tracks = 2')
    """
    if isinstance(value, int):
        text = f"{value:,}"
    else:
        decimals = 2 if abs(value) < 1 else 1 if abs(value) < 100 else 0
        text = f"{value:,.{decimals}f}"
    return f"{name} = {text}" + (f" {unit}" if unit else "")


def _answer(row: Mapping[str, Any], head: Task, predictions: Predictions) -> str:
    if head.is_classification:
        called = row.get(f"pred_{head.name}")
        column = f"score_{head.name}" if head.kind == "binary" else f"score_{head.name}_{called}"
        score = row.get(column)
        if head.kind == "binary":
            return f"{head.name}: score {score_text(score)}"
        true = row.get(f"true_{head.name}")
        was = f" (true {true})" if true is not None and true != called else ""
        return f"{head.name}: called {called}, score {score_text(score)}{was}"
    values = []
    for column, unit in zip(head.target_columns, head.units * len(head.target_columns), strict=False):
        value, true = row.get(predictions.value_column(head, column)), row.get(f"true_{column}")
        if value is not None and math.isfinite(value):
            was = "" if true is None else f" (true {quantity_text('', true, '').removeprefix(' = ')})"
            values.append(quantity_text(f"{head.name}: predicted", value, unit).replace(" =", "") + was)
    return ", ".join(values)


def score_text(value: float | None) -> str:
    """Return a score; one close to 1 as its distance from it.

    Examples:
        >>> score_text(0.25), score_text(0.99995), score_text(None)
        ('0.25', '1 - 5.0e-05', '?')
    """
    if value is None:
        return "?"
    if value > 0.999 and value < 1:
        return f"1 - {1 - value:.1e}"
    return f"{value:.3g}"
