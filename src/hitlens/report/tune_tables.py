"""Trials of a search -> tables: what was searched, every training, the repeats over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hitlens.evaluate.study import VariantHead, is_uneven
from hitlens.metrics.interval import Interval
from hitlens.report.labels import interval_text, metric_label, metric_title, monitor_label, with_unit
from hitlens.report.tables import Cell, Table, overall_metrics, table
from hitlens.report.tune_seeds import seed_difference, seed_scores
from hitlens.report.tune_trials import (
    by_number,
    decimals,
    finished,
    fixed,
    objective_label,
    range_text,
    ranked,
    reached,
    score_decimals,
    settings_text,
    short_names,
    value_of,
    worst_of_last,
)
from hitlens.tune.results import Finalist, Objective, TrialResult, TuneResults

#: Metrics of a head a table of trials shows; the rest is in tune.json.
SHOWN = ("accuracy", "balanced_accuracy", "auc", "f1", "mcc", "rmse", "bias", "r2", "relative_resolution")
_CLASSES = ("accuracy", "f1", "mcc")

#: Trials in a table that is not folded away.
MOST_ROWS = 60

_DASH = "-"


def searched_table(found: TuneResults) -> Table:
    """Return the settings that were searched, with their values."""
    rows = [[parameter.path, range_text(parameter)] for parameter in found.parameters]
    return table("What was searched", ["setting", "values"], rows, numeric=99)


def trial_tables(found: TuneResults, trials: Sequence[TrialResult], caption: str) -> list[Table]:
    """Return every training as a row, the best first, in parts: all after the first are to be folded away.

    Args:
        found: for names, objectives and what was chosen.
        trials: of one stage or several.
        caption: what they are.
    """
    rows = _trial_rows(found, ranked(trials, found.objectives[0]))
    columns, numeric = _trial_columns(found, trials)
    parts = [rows[start : start + MOST_ROWS] for start in range(0, len(rows), MOST_ROWS)]
    first, *others = parts or [[]]
    tables = [table(caption, columns, first, numeric=numeric)]
    start = len(first)
    for part in others:
        tables.append(table(f"Rows {start + 1} to {start + len(part)}", columns, part, numeric=numeric))
        start += len(part)
    return tables


def _trial_columns(found: TuneResults, trials: Sequence[TrialResult]) -> tuple[list[str], int]:
    names = short_names(found.parameters)
    # A long name may be broken behind an underscore.
    settings = [names[p.path].replace("_", "_\N{ZERO WIDTH SPACE}") for p in found.parameters]
    seeds = ["seed"] if _with_seeds(trials) else []
    first = ["trial", *settings, *seeds, "state"]
    columns = [*first, *(objective_label(one) for one in _scores(found))]
    head = lone_head(found)
    if head is not None:
        columns += [_metric_column(head, position) for position in _positions(head)]
    columns += [worst_label(found), "best epoch", "time [s]"]
    latency = ["latency [µs]"] if _timed(found) else []
    return [*columns, *latency, "parameters"], len(first)


def _timed(found: TuneResults) -> bool:
    return any(trial.latency_us is not None for trial in found.trials)


def _trial_rows(found: TuneResults, trials: Sequence[TrialResult]) -> list[list[str | Cell]]:
    scores = _scores(found)
    n_decimals = [decimals(reached(trial, one.name) for trial in finished(found)) for one in scores]
    n_worst = decimals(worst_of_last(trial) for trial in finished(found))
    head = lone_head(found)
    seeded = _with_seeds(trials)
    rows: list[list[str | Cell]] = []
    for trial in trials:
        row: list[str | Cell] = [str(trial.number)]
        row += [value_of(trial, parameter) for parameter in found.parameters]
        row += [str(trial.seed)] if seeded else []
        row.append(_state(found, trial))
        pairs = zip(scores, n_decimals, strict=True)
        row += [fixed(reached(trial, one.name), n) for one, n in pairs]
        if head is not None:
            row += _head_cells(trial, head)
        row += [fixed(worst_of_last(trial), n_worst), *_cost(trial, _timed(found))]
        rows.append(row)
    return rows


def _with_seeds(trials: Sequence[TrialResult]) -> bool:
    return any(trial.stage != "search" for trial in trials)


def _scores(found: TuneResults) -> list[Objective]:
    """Return the objectives without those that have a column of their own."""
    others = ("latency", "parameters", "score") if score_is_metric(found) else ("latency", "parameters")
    return [one for one in found.objectives if one.name not in others]


def score_is_metric(found: TuneResults) -> bool:
    """Return whether the score of every trial is a metric of the only head, which has a column."""
    head, name = lone_head(found), found.monitor.removeprefix("val_")
    places = [] if head is None else [p for p in _positions(head) if head.metrics[p].name == name]
    pairs = [(trial, reached(trial, "score")) for trial in found.trials]
    return bool(places) and all(
        trial.run is not None
        and len(trial.run.heads) == 1
        and (interval := trial.run.heads[0].metrics[places[0]].interval) is not None
        and math.isclose(interval.value, score, abs_tol=1e-7)
        for trial, score in pairs
        if score is not None
    )


def _state(found: TuneResults, trial: TrialResult) -> Cell:
    if trial.number == found.chosen:
        return Cell("chosen", "good")
    if trial.number == found.longer:
        return Cell("trained longer", "good")
    if trial.state == "failed":
        return Cell("failed", "bad")
    if trial.number in found.best and trial.state == "finished":
        return Cell("best" if len(found.best) == 1 else "on the front", "good")
    return Cell(trial.state)


def _cost(trial: TrialResult, timed: bool) -> list[str | Cell]:
    """Best epoch, time, latency where it was measured, parameters."""
    latency = [_DASH if trial.latency_us is None else _three_digits(trial.latency_us)] if timed else []
    run = trial.run
    if run is None:
        return [_DASH, _DASH, *latency, _DASH]
    n_epochs = len(run.history.get("val_metric", ()))
    space = "\N{NO-BREAK SPACE}"
    epochs = f"{run.best_epoch + 1}{space}of{space}{n_epochs}" if n_epochs else _DASH
    return [epochs, f"{run.seconds:,.0f}", *latency, f"{run.n_parameters:,}"]


def _three_digits(value: float) -> str:
    """Return a number with three digits, whole from a thousand.

    Examples:
        >>> _three_digits(25.678), _three_digits(12345.6)
        ('25.7', '12,346')
    """
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def worst_label(found: TuneResults) -> str:
    """Return what the worst score of the last epochs is called, for a column or an axis."""
    numbers = [trial.run.stability.n_epochs for trial in found.trials if trial.run is not None]
    last = f"last {max(numbers)}" if numbers and max(numbers) > 1 else "last"
    extreme = "lowest" if found.higher_is_better else "highest"
    return f"{extreme} {monitor_label(found.monitor)} of {last} epochs"


def heads(found: TuneResults) -> dict[str, VariantHead]:
    """Return the heads of the search by name, each from the first trial that has it."""
    known: dict[str, VariantHead] = {}
    for trial in found.trials:
        for head in trial.run.heads if trial.run is not None else ():
            known.setdefault(head.task, head)
    return known


def lone_head(found: TuneResults) -> VariantHead | None:
    """Return the head of a search with one; None where there are several or none."""
    known = list(heads(found).values())
    return known[0] if len(known) == 1 else None


def head_table(found: TuneResults, head: VariantHead, trials: Sequence[TrialResult]) -> Table:
    """Return the numbers of one of several heads, one training a row, the best first.

    Args:
        found: for the names of the settings.
        head: of any trial; says which metrics there are.
        trials: with and without numbers.
    """
    rows = [
        [f"{trial.number}: {settings_text(found, trial)}", *_head_cells(trial, head)]
        for trial in ranked(trials, found.objectives[0])
        if trial.run is not None and any(one.task == head.task for one in trial.run.heads)
    ]
    caption = f"{head.n_events:,} validation events"
    columns = ["trial", *(_metric_column(head, position) for position in _positions(head))]
    return table(caption, columns, rows[:MOST_ROWS])


def _positions(head: VariantHead) -> list[int]:
    """Return the metrics of a head that are shown: for classes accuracy, F1 and MCC, else what there is.

    Where classes are of very different size, or several so that there is no F1, balanced accuracy too.
    """
    known = {metric.name for metric in head.metrics if not metric.column}
    if "accuracy" in known and head.class_names:
        further = ("balanced_accuracy", "auc") if is_uneven(head) else ()
        further = further if "f1" in known else ("balanced_accuracy", *further[1:])
        return overall_metrics(head, (*_CLASSES, *further))
    found = overall_metrics(head, SHOWN)
    columns = list(dict.fromkeys(head.metrics[position].column for position in found))
    return sorted(found, key=lambda position: columns.index(head.metrics[position].column))


def _metric_column(head: VariantHead, position: int) -> str:
    metric = head.metrics[position]
    alone = len({m.column for m in (head.metrics[p] for p in _positions(head))}) == 1
    return with_unit(metric_label(metric.name) if alone else metric_title(metric), metric.unit)


def _head_cells(trial: TrialResult, head: VariantHead) -> list[str | Cell]:
    """Value above interval, so that a table of many columns stays narrow."""
    mine = next((one for one in trial.run.heads if one.task == head.task), None) if trial.run else None
    if mine is None:
        return [_DASH] * len(_positions(head))
    texts = (interval_text(mine.metrics[position].interval) for position in _positions(head))
    return [text.replace(" [", "\n[").replace(", ", ",\N{NO-BREAK SPACE}") for text in texts]


def failed_table(found: TuneResults) -> Table | None:
    """Return the trials that failed with their errors; None where none did."""
    rows = [
        [f"{trial.number}: {settings_text(found, trial)}", trial.error or "no reason recorded", trial.folder]
        for trial in found.trials
        if trial.state == "failed"
    ]
    if not rows:
        return None
    return table("Trials that failed", ["trial", "error", "folder"], rows, numeric=99)


def finalist_table(found: TuneResults) -> Table:
    """Return the finalists with their mean and spread over seeds, the chosen one first."""
    trials, objective = by_number(found), found.objectives[0]
    n_decimals = min(6, score_decimals(found) + 1)
    rows: list[list[str | Cell]] = []
    for one in found.finalists:
        known = len(seed_scores(found, one))
        rows.append(
            [
                f"{one.trial}: {settings_text(found, trials[one.trial])}",
                f"{known}" if known == len(one.trials) else f"{known} of {len(one.trials)}",
                fixed(one.mean, n_decimals),
                fixed(one.spread, n_decimals) if known > 1 else _DASH,
                fixed(one.worst, n_decimals),
                _difference_cell(found, one),
            ]
        )
    columns = ["trial", "seeds", f"mean {objective.label}", "standard deviation", "worst seed"]
    columns.append("mean \N{MINUS SIGN} that of the chosen one")
    caption = (
        f"The best trials, each trained with several seeds; brackets are {100 * found.level:g} % "
        "intervals of the difference of the means, from the scatter of the seeds (Welch)"
    )
    return table(caption, columns, rows)


def _difference_cell(found: TuneResults, one: Finalist) -> Cell:
    if one.trial == found.finalists[0].trial:
        return Cell("")
    interval = seed_difference(found, one)
    if interval is None:
        return Cell(_DASH)
    sign = 1 if found.objectives[0].higher_is_better else -1
    return Cell(interval_text(interval), signed_verdict(interval, sign))


def signed_verdict(interval: Interval, sign: int) -> str:
    """Return "good" or "bad" for a difference whose interval leaves out zero, else nothing.

    Examples:
        >>> signed_verdict(Interval(-0.2, -0.3, -0.1), -1)
        'good'
    """
    if interval.contains(0):
        return ""
    return "good" if interval.value * sign > 0 else "bad"
