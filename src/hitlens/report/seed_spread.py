"""How much the numbers of one recipe change from seed to seed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from hitlens.evaluate.study import StudyResults, VariantResult, primary_metrics
from hitlens.report.labels import metric_title
from hitlens.report.tables import Cell, Table, overall_metrics, table

#: Metrics of a head that a study's tables show; the rest is in study.json and in each run's report.
SHOWN = (
    *("accuracy", "balanced_accuracy", "auc", "average_precision", "mcc"),
    *("signal_efficiency", "background_rejection", "purity"),
    *("rmse", "mae", "r2", "bias", "relative_resolution"),
)

#: The setting in which trainings of one recipe differ that are repeated.
_SEED = "train.seed"


def is_of_seeds(variants: Sequence[VariantResult]) -> bool:
    """Return whether the variants differ in the seed of the training alone."""
    return all(set(variant.settings) == {_SEED} for variant in variants)


def spread_sentences(study: StudyResults, head: int) -> list[str]:
    """Return how much the numbers of one head change from seed to seed, one sentence a metric.

    Args:
        study: its results; the variants differ in their seeds.
        head: position of the head.
    """
    first = study.variants[0].heads[head]
    about = f"{first.task}: " if len(study.variants[0].heads) > 1 else ""
    found = []
    for position in primary_metrics(first):
        values = _values(study, head, position)
        if len(values) > 1:
            mean, spread = statistics.fmean(values), statistics.stdev(values)
            found.append(
                f"{about}{metric_title(first.metrics[position])} is {mean:.5g} on average over "
                f"{len(values)} seeds, with a standard deviation of {spread:.2g}. Where two settings are "
                f"trained once each, a difference below {2 * math.sqrt(2) * spread:.2g} may be the luck of "
                "their seeds."
            )
    return found


def spread_table(study: StudyResults, head: int) -> Table:
    """Return mean and standard deviation over the seeds of each metric of one head.

    Args:
        study: its results; the variants differ in their seeds.
        head: position of the head.
    """
    first = study.variants[0].heads[head]
    rows: list[list[str | Cell]] = []
    for position in sorted(overall_metrics(first, SHOWN)):
        values = _values(study, head, position)
        if len(values) < 2:
            continue
        numbers = (statistics.fmean(values), statistics.stdev(values), min(values), max(values))
        texts = (f"{numbers[0]:.5g}", f"{numbers[1]:.2g}", f"{numbers[2]:.5g}", f"{numbers[3]:.5g}")
        rows.append([metric_title(first.metrics[position]), *texts, str(len(values))])
    columns = ["metric", "mean", "standard deviation", "lowest", "highest", "seeds"]
    return table(f"{first.task}: from seed to seed", columns, rows)


def _values(study: StudyResults, head: int, position: int) -> list[float]:
    """Return a metric's value in every variant that has one."""
    intervals = [variant.heads[head].metrics[position].interval for variant in study.variants]
    return [one.value for one in intervals if one is not None and math.isfinite(one.value)]
