"""What is kept of one of several runs that are set side by side: in a study, in a search."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hitlens.evaluate.results import Histogram, TaskResult
from hitlens.evaluate.study import VariantResult, stability, variant_head
from hitlens.train.callbacks import read_history
from hitlens.workflow import runs


def variant_result(
    name: str,
    folder: Path,
    settings: Mapping[str, str],
    heads: Sequence[TaskResult],
    *,
    higher_is_better: bool,
    inputs: tuple[Histogram, ...] = (),
) -> VariantResult:
    """Return what one run reached, from its folder and its evaluation.

    Args:
        name: of the run.
        folder: run folder.
        settings: those it differs in from the others, as text.
        heads: its evaluation.
        higher_is_better: of the monitored score.
        inputs: what its network is given.
    """
    record, rows = runs.read_provenance(folder), read_history(folder / runs.HISTORY)
    return VariantResult(
        name=name,
        settings=settings,
        heads=tuple(variant_head(head) for head in heads),
        history={key: tuple(_number(row[key]) for row in rows) for key in rows[0]},
        best_epoch=record["best_epoch"],
        stability=stability([float(row["val_metric"]) for row in rows], higher_is_better),
        seconds=record["seconds"],
        n_parameters=record["n_parameters"],
        initial_weights=record["initial_weights"],
        n_train=record["split"]["n_train"],
        inputs=inputs,
    )


def machine_facts(records: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return what computed several runs, by name: files and machine of the first, precision of all.

    Args:
        records: provenance of each.
    """
    machine = records[0]["machine"]
    return {
        "event files": ", ".join(records[0]["data"]["files"]),
        "processor": f"{machine['processor']}, {machine['n_cores']} cores",
        "precision": ", ".join(dict.fromkeys(str(record["precision"]) for record in records)),
        "versions": ", ".join(f"{name} {version}" for name, version in machine["versions"].items()),
    }


def as_text(value: Any) -> str:
    """Return a setting's value as a table shows it.

    Examples:
        >>> as_text((32, 64)), as_text(0.5)
        ('32, 64', '0.5')
    """
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _number(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None
