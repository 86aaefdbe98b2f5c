"""Train, validation and test: seeded, stratified, by event or by file, hashed, and guarded against leaks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from hitlens.datasets.duplicates import find_duplicates
from hitlens.errors import DataError, LeakageError
from hitlens.events import EventSource

NAMES = ("train", "validation", "test")

#: Leaks listed in full in an error; the rest is counted.
_LISTED = 20

#: Events whose keys are text at a time.
_HASHED = 1 << 16


class SplitConfig(BaseModel):
    """How events are dealt out.

    Attributes:
        train: fraction of the events in the training split; likewise `validation` and `test`.
        by: "event" deals out single events, "file" whole files, so that no file feeds two splits.
        seed: the same seed deals the same events the same way.
        on_duplicates: "refuse" raises with the list when an exact image or event key stands in two splits;
            "keep_first" drops the later copies and counts them.
        folds: 0 deals out by the fractions. Else the events are dealt into so many parts, of which one is the
            test split; `train` and `validation` share the others in their proportion. See
            ``hitlens crossvalidate``.
        fold: which part is the test split, from 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: float = Field(0.6, gt=0, lt=1)
    validation: float = Field(0.2, gt=0, lt=1)
    test: float = Field(0.2, ge=0, lt=1)
    by: Literal["event", "file"] = "event"
    seed: int = Field(1, ge=0)
    on_duplicates: Literal["refuse", "keep_first"] = "refuse"
    folds: int = Field(0, ge=0)
    fold: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _fractions_add_up(self) -> SplitConfig:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train + validation + test must be 1, got {total:g}")
        if self.folds == 1 or self.fold >= max(self.folds, 1):
            raise ValueError(
                f"folds must be 0 or at least 2, and fold below it, got fold {self.fold} of {self.folds}"
            )
        return self


@dataclass(frozen=True)
class Split:
    """Positions of the events of each split, ascending.

    Attributes:
        train: positions in the events, shape (n_train,); likewise `validation` and `test`.
        n_dropped: later copies of an event left out on request.
        hash: sha256 over the event keys of each split, the same for the same events in any order.
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    n_dropped: int
    hash: str

    def names(self, n_events: int) -> NDArray[np.str_]:
        """Return the split's name for each event, "none" where it is in no split."""
        names = np.full(n_events, "none", dtype="U10")
        for name in NAMES:
            names[getattr(self, name)] = name
        return names


def split_events(
    events: EventSource, config: SplitConfig, *, key: tuple[str, ...], strata: NDArray[np.int64] | None = None
) -> Split:
    """Deal events out to train, validation and test.

    Args:
        events: all events of one study.
        config: fractions, seed and what to do with duplicates.
        key: truth columns that together name an event.
        strata: class of each event, shape (event,), kept in the same proportion in every split.

    Raises:
        DataError: too few events or files for the fractions asked for.
        LeakageError: an exact image or key stands in more than one split (unless `on_duplicates` drops it).

    Examples:
        >>> from hitlens.events import Events
        >>> rng = np.random.default_rng(0)
        >>> truth = pl.DataFrame({"file": ["a"] * 10, "event": range(10)})
        >>> events = Events({"anode": rng.integers(0, 99, (10, 4, 4))}, truth, "demo")
        >>> split = split_events(events, SplitConfig(), key=("file", "event"))
        >>> len(split.train), len(split.validation), len(split.test)
        (6, 2, 2)
    """
    groups = duplicate_groups(events, key)
    keep = np.ones(len(events), dtype=bool)
    if config.on_duplicates == "keep_first":
        for group in groups:
            keep[list(group[1:])] = False
    rows = np.flatnonzero(keep)
    assignment = np.full(len(events), -1, dtype=np.int64)
    if config.by == "file":
        assignment[rows] = _assign_files(_files(events.truth)[rows], config)
    else:
        assignment[rows] = _assign_strata(
            np.zeros(len(rows), np.int64) if strata is None else strata[rows], config
        )
    parts = [np.flatnonzero(assignment == number) for number in range(3)]
    if min(len(parts[0]), len(parts[1])) == 0:
        raise DataError(f"Too few events ({len(events)}) to fill the training and the validation split.")
    if config.folds and len(parts[2]) == 0:
        raise DataError(f"Too few events ({len(events)}) for {config.folds} folds. Ask for fewer.")
    if config.on_duplicates == "refuse":
        _refuse_leaks(events.truth, groups, assignment, key)
    train, validation, test = parts
    return Split(train, validation, test, int((~keep).sum()), _hash_keys(events.truth, assignment, key))


def duplicate_groups(events: EventSource, key: tuple[str, ...]) -> list[tuple[int, ...]]:
    """Return groups of positions whose images (not blank) or whose event keys are identical."""
    groups = find_duplicates(events)
    keys = events.truth.select(key)
    repeated = keys.is_duplicated()
    if repeated.any():
        table = keys.with_row_index("row").filter(repeated).group_by(key, maintain_order=True).agg("row")
        groups += [tuple(rows) for rows in table["row"].to_list()]
    return groups


def _deal(order: NDArray[np.int64], config: SplitConfig, first_fold: int = 0) -> NDArray[np.int64]:
    """Return the split number of each of some events or files of one kind.

    Args:
        order: the numbers 0 to n - 1 in random order.
        config: folds and fractions.
        first_fold: the fold the first one goes to, so that few of each of many kinds spread over all folds.
    """
    part = np.full(len(order), 2, dtype=np.int64)
    rest = order
    if config.folds:
        rest = order[(np.arange(len(order)) + first_fold) % config.folds != config.fold]
        # Every fold shuffles what it keeps: else the same events would stand in the validation split.
        rest = np.random.default_rng([config.seed, config.fold, first_fold]).permutation(rest)
        n_train = round(len(rest) * config.train / (config.train + config.validation))
        n_validation = len(rest) - n_train
    else:
        n_train, n_validation = _shares(len(order), config)
    part[rest[:n_train]] = 0
    part[rest[n_train : n_train + n_validation]] = 1
    return part


def _shares(n: int, config: SplitConfig) -> tuple[int, int]:
    n_train = round(n * config.train)
    return n_train, min(n - n_train, round(n * config.validation))


def _assign_strata(strata: NDArray[np.int64], config: SplitConfig) -> NDArray[np.int64]:
    rng = np.random.default_rng(config.seed)
    assignment = np.full(len(strata), 2, dtype=np.int64)
    n_dealt = 0
    for stratum in np.unique(strata):
        rows = rng.permutation(np.flatnonzero(strata == stratum))
        assignment[rows] = _deal(np.arange(len(rows)), config, n_dealt % max(config.folds, 1))
        n_dealt += len(rows)
    return assignment


def _files(truth: pl.DataFrame) -> pl.Series:
    if "file" not in truth.columns:
        raise DataError("split.by = file needs the truth column 'file', which these events do not have.")
    return truth["file"]


def _assign_files(files: pl.Series, config: SplitConfig) -> NDArray[np.int64]:
    names = files.unique().sort()
    if len(names) < (3 if config.test else 2):
        raise DataError(
            f"split.by = file needs at least {3 if config.test else 2} files. Got {len(names)}: "
            f"{', '.join(map(str, names[:5]))}. Give more files or use split.by = event."
        )
    order = np.random.default_rng(config.seed).permutation(len(names))
    part = _deal_files(order, config)
    table = pl.DataFrame({"name": names, "part": part})
    return (
        pl.DataFrame({"name": files})
        .join(table, on="name", how="left", maintain_order="left")["part"]
        .to_numpy()
    )


def _deal_files(order: NDArray[np.int64], config: SplitConfig) -> NDArray[np.int64]:
    if config.folds:
        if len(order) < max(config.folds, 3):
            raise DataError(
                f"split.by = file with {config.folds} folds needs at least {max(config.folds, 3)} files. "
                f"Got {len(order)}. Give more files, ask for fewer folds, or use split.by = event."
            )
        return _deal(order, config)
    n_train, n_validation = _shares(len(order), config)
    n_train = min(max(n_train, 1), len(order) - (2 if config.test else 1))
    part = np.full(len(order), 2, dtype=np.int64)
    part[order[:n_train]] = 0
    part[order[n_train : n_train + max(n_validation, 1)]] = 1
    return part


def _refuse_leaks(
    truth: pl.DataFrame, groups: list[tuple[int, ...]], assignment: NDArray[np.int64], key: tuple[str, ...]
) -> None:
    leaks = [group for group in groups if len(set(assignment[list(group)].tolist())) > 1]
    if not leaks:
        return
    lines = []
    for group in leaks[:_LISTED]:
        rows = truth.select(key)[list(group)].rows()
        lines.append(
            "  "
            + " = ".join(
                f"{':'.join(map(str, row))} ({NAMES[assignment[position]]})"
                for position, row in zip(group, rows, strict=True)
            )
        )
    more = f"\n  and {len(leaks) - _LISTED} more" if len(leaks) > _LISTED else ""
    raise LeakageError(
        f"{len(leaks)} events stand in more than one split (identical image or key):\n"
        + "\n".join(lines)
        + more
        + "\nRemove the copies, or set split.on_duplicates=keep_first to drop and count them."
    )


def _hash_keys(truth: pl.DataFrame, assignment: NDArray[np.int64], key: tuple[str, ...]) -> str:
    named = truth.select(key).with_columns(part=pl.Series(assignment)).sort("part", *key)
    digest = hashlib.sha256()
    for number, part in enumerate(named.iter_slices(_HASHED)):
        text = part.select(pl.concat_str(pl.all().cast(pl.String), separator="|")).to_series()
        digest.update((("\n" if number else "") + "\n".join(text.to_list())).encode())
    return digest.hexdigest()
