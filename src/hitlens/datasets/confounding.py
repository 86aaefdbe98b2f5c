"""Classes that each came in files of their own: a network may learn the file instead of the class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hitlens.datasets.targets import encode_target
from hitlens.detector import Task

#: Truth column that says which file an event came from.
FILE = "file"

#: Events a file holds at least to say something of its class.
_N_FILE = 10
#: Files tell the class where guessing by the file is wrong at most so often as guessing without.
_SHARE_LEFT = 0.05
#: Files named for a class.
_N_NAMED = 2


def class_and_file(
    files: pl.Series, classes: NDArray[np.integer], class_names: Sequence[str], task: str
) -> str:
    """Say that the file of an event tells its class, where it does; "" where it does not.

    Args:
        files: name of the file of each event, shape (event,).
        classes: class of each event, below 0 where it has none, shape (event,).
        class_names: by class index.
        task: name of the classification.

    Examples:
        >>> files = pl.Series(["a"] * 20 + ["b"] * 20)
        >>> class_and_file(files, np.repeat([0, 1], 20), ("single", "double"), "multiplicity")[:52]
        "Task 'multiplicity': the file of an event tells its "
        >>> class_and_file(files, np.tile([0, 1], 20), ("single", "double"), "multiplicity")
        ''
    """
    table = pl.DataFrame({"file": files.cast(pl.String), "class": classes}).filter(pl.col("class") >= 0)
    table = table.filter(pl.len().over("file") >= _N_FILE, pl.col("file").is_not_null())
    counts = table.group_by("file", "class").agg(n=pl.len())
    sizes = counts.group_by("class").agg(pl.col("n").sum())["n"]
    if len(sizes) < 2 or 2 * len(table) < (classes >= 0).sum():
        return ""
    wrong = len(table) - int(counts.group_by("file").agg(pl.col("n").max())["n"].sum())
    if wrong > _SHARE_LEFT * (len(table) - int(str(sizes.max()))):
        return ""
    largest = counts.sort("n", "file", descending=[True, False]).unique(
        "file", keep="first", maintain_order=True
    )
    listed = []
    for key, group in largest.group_by("class", maintain_order=True):
        names = group["file"].sort().to_list()
        more = f" and {len(names) - _N_NAMED} more" if len(names) > _N_NAMED else ""
        listed.append(f"{class_names[int(str(key[0]))]} in {', '.join(names[:_N_NAMED])}{more}")
    share = 1 - wrong / len(table)
    return (
        f"Task '{task}': the file of an event tells its class for {share:.1%} of the events "
        f"({'; '.join(sorted(listed))}). A network may learn what else differs between the files (noise, "
        "gain, how they were made) and no number from these files can tell. Take files that hold "
        "several classes."
    )


def told_by_file(truth: pl.DataFrame, heads: Sequence[Task], rows: NDArray[np.int64]) -> tuple[str, ...]:
    """Return a sentence for each classification whose class the file tells.

    Args:
        truth: of all events.
        heads: what is learnt.
        rows: positions of the events that are looked at.
    """
    if FILE not in truth.columns:
        return ()
    some = truth[rows]
    sentences = []
    for head in heads:
        if head.is_classification:
            target = encode_target(some, head)
            classes = np.where(target.defined, target.values[:, 0], -1).astype(np.int64)
            sentences.append(class_and_file(some[FILE], classes, head.class_names, head.name))
    return tuple(filter(None, sentences))
