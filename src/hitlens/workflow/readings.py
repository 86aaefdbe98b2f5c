"""Who looked at a split of a run, and when: by evaluating the run, or in a study it is a variant of."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from hitlens.evaluate.results import Reading, read_results
from hitlens.workflow import runs
from hitlens.workflow.reporting import METRICS

#: Name in provenance.json under which a study notes its readings of a variant.
_NOTED = "readings"


def earlier_readings(folder: Path) -> tuple[Reading, ...]:
    """Return every reading of a run's splits, in the order they were made.

    Args:
        folder: run folder.

    Raises:
        RunError: it is not a run.
        FileFormatError: its metrics.json is damaged.
    """
    path = folder / METRICS
    found = list(read_results(path).readings) if path.is_file() else []
    noted = [Reading(**one) for one in runs.read_provenance(folder).get(_NOTED, ())]
    found += [one for one in noted if one not in found]
    return tuple(sorted(found, key=lambda one: one.when))


def note_reading(folder: Path, reading: Reading) -> None:
    """Note in a run's provenance that a study read one of its splits.

    Args:
        folder: run folder.
        reading: of the split.
    """
    record = runs.read_provenance(folder)
    record[_NOTED] = [*record.get(_NOTED, ()), asdict(reading)]
    runs.write_provenance(folder, record)
