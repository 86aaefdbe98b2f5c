"""The methods beside a run's model: the detector's own, and those that learn from the training events."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hitlens.config import RunConfig
from hitlens.datasets.mix import undersampled
from hitlens.datasets.splits import duplicate_groups
from hitlens.datasets.summaries import summarise
from hitlens.datasets.targets import strata_of
from hitlens.detector import Baseline, Detector, Task
from hitlens.errors import DataError
from hitlens.evaluate.baselines import BaselineColumns
from hitlens.evaluate.config import EvaluateConfig
from hitlens.evaluate.learned import Summaries, learned_baselines
from hitlens.evaluate.predictions import Predictions
from hitlens.events import EventSource, evaluate_condition
from hitlens.workflow.run_events import match_events

#: Called with what is being done, and how much of it: (words, done, total).
Progress = Callable[[str, int, int], None]

#: Events a physics method is given at once, so that progress shows.
_BLOCK = 500
#: Events made numbers of at once, which bounds the images in memory.
_SUMMARY_BLOCK = 16384


def training_rows(
    predictions: Predictions,
    events: EventSource,
    detector: Detector,
    run: RunConfig,
    provenance: dict[str, Any],
) -> NDArray[np.int64] | None:
    """Return the positions of a run's training events, None where they cannot be told.

    They are those without a prediction but with a target that the training was shown, later copies of an
    event left out; there must be as many as the training had.

    Args:
        predictions: of the run, of all splits but training.
        events: all events of the run.
        detector: its description.
        run: settings of the run.
        provenance: its record.
    """
    key = list(detector.key)
    numbered = events.truth.select(key).with_row_index("position")
    rest = numbered.join(predictions.table.select(key), on=key, how="anti")["position"].to_numpy()
    rows = rest[strata_of(events.truth[rest], predictions.heads) > 0].astype(np.int64)
    if run.train.selection:
        rows = rows[evaluate_condition(events.truth[rows], run.train.selection, setting="train.selection")]
    expected = provenance.get("split", {}).get("n_train")
    undersamples = run.train.mix == "undersampled"
    if run.split.on_duplicates == "keep_first" and (undersamples or len(rows) != expected):
        copies = [position for group in duplicate_groups(events, detector.key) for position in group[1:]]
        rows = np.setdiff1d(rows, copies)
    if undersamples:  # drawn again as the training drew them
        rows = rows[undersampled(events.truth[rows], predictions.heads, run.split.seed)]
    return rows if len(rows) and len(rows) == expected else None


def run_baselines(
    predictions: Predictions,
    events: EventSource,
    detector: Detector,
    config: EvaluateConfig,
    training: NDArray[np.int64] | None,
    run: RunConfig,
    progress: Progress | None = None,
    *,
    taught: EventSource | None = None,
) -> list[BaselineColumns]:
    """Return what the methods beside the model say of the evaluated split.

    Args:
        predictions: of the model, all splits.
        events: among which the evaluated ones are, by their keys.
        detector: its description.
        config: which methods, on how many events.
        training: positions of the training events; without them nothing is learnt.
        run: settings of the run: how its classes were weighed.
        progress: told what is being done.
        taught: events among which the training events are; None where they are the same.

    Raises:
        DataError: an evaluated event is not among the events, or a method gives no answer for a task.
    """
    chosen = predictions.split(config.split)
    if not config.baselines or not len(chosen):
        return []
    found = _own(chosen, events, detector, config, progress)
    if training is not None and len(training) and config.learned:
        found += _learned(chosen, events, taught or events, detector, config, training, run, progress)
    return found


def _learned(
    chosen: Predictions,
    events: EventSource,
    taught: EventSource,
    detector: Detector,
    config: EvaluateConfig,
    training: NDArray[np.int64],
    run: RunConfig,
    progress: Progress | None,
) -> list[BaselineColumns]:
    """Teach the methods that learn with some of the training events, and ask them about the split."""
    if config.learned_events and len(training) > config.learned_events:
        rng = np.random.default_rng([config.seed, 1])
        training = np.sort(rng.choice(training, config.learned_events, replace=False))
    positions = match_events(chosen.table, events, detector.key)
    balanced = "balanced" in (run.train.class_weights, run.train.mix)
    found = []
    for number, one in enumerate(
        learned_baselines(
            config.learned,
            chosen.heads,
            _summaries(taught, training, detector),
            _summaries(events, positions, detector),
            np.arange(len(chosen)),
            balanced=balanced,
            seed=config.seed,
        )
    ):
        found.append(one)
        if progress is not None:
            progress("methods that learn", number + 1, len(config.learned))
    return found


def _summaries(events: EventSource, rows: NDArray[np.int64], detector: Detector) -> Summaries:
    """Numbers of the events at these positions; a block of their images is in memory at a time."""
    started = time.perf_counter()
    parts = np.split(rows, range(_SUMMARY_BLOCK, len(rows), _SUMMARY_BLOCK))
    features = pl.concat([summarise(events.select(part), detector) for part in parts])
    return Summaries(features, events.truth[rows], time.perf_counter() - started)


def _own(
    chosen: Predictions,
    events: EventSource,
    detector: Detector,
    config: EvaluateConfig,
    progress: Progress | None,
) -> list[BaselineColumns]:
    """Run the detector's own methods on some events of the split."""
    names = {head.name for head in chosen.heads}
    methods = [one for one in detector.baselines if names & set(one.tasks)]
    if not methods:
        return []
    truth = chosen.truth()
    defined = np.zeros(len(chosen), dtype=bool)
    for head in chosen.heads:
        defined |= evaluate_condition(truth, head.selection)
    rows = np.flatnonzero(defined)
    if config.baseline_events and len(rows) > config.baseline_events:
        rng = np.random.default_rng(config.seed)
        rows = np.sort(rng.choice(rows, config.baseline_events, replace=False))
    some = chosen.with_table(chosen.table[rows])
    positions = match_events(some.table, events, detector.key)
    return [_run_baseline(one, some, events, positions, rows, progress) for one in methods]


def _run_baseline(
    baseline: Baseline,
    some: Predictions,
    events: EventSource,
    positions: NDArray[np.int64],
    rows: NDArray[np.int64],
    progress: Progress | None,
) -> BaselineColumns:
    started = time.perf_counter()
    n_solved = 0
    columns = {}
    for head in some.heads:
        if head.name not in baseline.tasks:
            continue
        wanted = np.flatnonzero(evaluate_condition(events.truth[positions], head.selection))
        columns[head.name] = _solve(baseline, head, events, positions, wanted, progress)
        n_solved += len(wanted)
    seconds = time.perf_counter() - started
    # Heads that need only some of the events make an event cheaper: the time is that of a head and event.
    per_event = seconds / max(n_solved, 1)
    return BaselineColumns(baseline.name, baseline.meaning, rows, columns, per_event * len(rows))


def _solve(
    baseline: Baseline,
    head: Task,
    events: EventSource,
    positions: NDArray[np.int64],
    wanted: NDArray[np.int64],
    progress: Progress | None,
) -> dict[str, NDArray[np.float64]]:
    """Return a method's columns for one head, NaN for the events it was not asked about."""
    outputs = (head.name,) if head.is_classification else head.target_columns
    n = len(positions)
    shape = (n, len(head.class_names)) if head.kind == "multiclass" else (n,)
    columns = {name: np.full(shape, np.nan) for name in outputs}
    for start in range(0, len(wanted), _BLOCK):
        block = wanted[start : start + _BLOCK]
        found = baseline.predict(events.select(positions[block]), head)
        missing = [name for name in outputs if name not in found]
        if missing:
            raise DataError(
                f"Baseline '{baseline.name}' must give {', '.join(outputs)} for task '{head.name}'. "
                f"Got {', '.join(found)}."
            )
        for name in outputs:
            columns[name][block] = np.asarray(found[name], dtype=np.float64)
        if progress is not None:
            progress(f"{baseline.name.replace('_', ' ')}: {head.name}", start + len(block), len(wanted))
    return columns
