"""Train, validation and test: seeded, stratified, by event or by file, hashed, and guarded against leaks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from scipy import sparse
from scipy.sparse import csgraph

from hitlens.datasets.duplicates import find_duplicates
from hitlens.errors import DataError, LeakageError
from hitlens.events import EventSource
from hitlens.io.names import expanded

NAMES = ("train", "validation", "test")

#: Leaks listed in full in an error; the rest is counted.
_LISTED = 20

#: Events whose keys are text at a time.
_HASHED = 1 << 16


class SplitConfig(BaseModel):
    """How events are dealt out: by fractions, or by lists of files.

    Where ``train``, ``test`` and, if wanted, ``validation`` are lists of files, these decide; they are kept
    as `train_files` and so on. Without a list the validation split is drawn from the training files.

    Attributes:
        train: fraction of the events in the training split; likewise `validation` and `test`.
        train_files: files whose events are trained on; likewise `validation_files` and `test_files`.
        by: "event" deals out single events, "file" whole files, so that no file feeds two splits.
        stratify: whose classes have the same share in each split: "detector" those of its first
            classification, so that all its tasks share one split; "task" those of the task that is learnt.
        seed: the same seed deals the same events the same way.
        on_duplicates: what is done with events whose images are equal. "refuse" raises with the list when an
            image stands in two splits; "keep_first" drops the later copies and counts them; "group" keeps all
            and deals copies to one split together, for detectors where different events can look alike, such
            as single hits on a small sensor. A repeated event key is never natural: "keep_first" drops it,
            the others refuse it.
        folds: 0 deals out by the fractions. Else the events are dealt into so many parts, of which one is the
            test split; `train` and `validation` share the others in their proportion. See
            ``hitlens crossvalidate``.
        fold: which part is the test split, from 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: float = Field(0.6, gt=0, lt=1)
    validation: float = Field(0.2, gt=0, lt=1)
    test: float = Field(0.2, ge=0, lt=1)
    train_files: tuple[str, ...] = ()
    validation_files: tuple[str, ...] = ()
    test_files: tuple[str, ...] = ()
    by: Literal["event", "file"] = "event"
    stratify: Literal["detector", "task"] = "detector"
    seed: int = Field(1, ge=0)
    on_duplicates: Literal["refuse", "keep_first", "group"] = "refuse"
    folds: int = Field(0, ge=0)
    fold: int = Field(0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _lists_are_files(cls, content: Any) -> Any:
        if not isinstance(content, dict):
            return content
        lists = {name for name in NAMES if isinstance(content.get(name), list | tuple)}
        return {f"{name}_files" if name in lists else name: value for name, value in content.items()}

    @field_validator("train_files", "validation_files", "test_files")
    @classmethod
    def _are_expanded(cls, files: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(expanded(file)) for file in files)

    @model_validator(mode="after")
    def _files_are_complete(self) -> SplitConfig:
        if not self.files:
            return self
        if not (self.train_files and self.test_files):
            raise ValueError("lists of files must be given for train and for test; validation may have one")
        if self.by == "file" or self.folds:
            raise ValueError("lists of files deal events out; they go neither with by: file nor with folds")
        paths = [Path(file) for file in self.files]
        twice = [str(path) for path in paths if paths.count(path) > 1]
        if twice:
            raise ValueError(
                f"'{twice[0]}' is listed twice: its events would be in two splits or count twice"
            )
        return self

    @property
    def files(self) -> tuple[str, ...]:
        """All files of the lists, none where fractions deal the events out."""
        return (*self.train_files, *self.validation_files, *self.test_files)

    def part_of(self, file: str) -> int:
        """Return the number of the split whose list names a file: 0 to 2, as in `NAMES`.

        Examples:
            >>> config = SplitConfig.model_validate({"train": ["a.h5"], "test": ["b.h5"]})
            >>> config.part_of("a.h5"), config.part_of("./b.h5")
            (0, 2)
        """
        lists = (self.train_files, self.validation_files, self.test_files)
        return next(part for part, files in enumerate(lists) if Path(file) in map(Path, files))

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
        copies: positions of events with equal images, a group each.
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    n_dropped: int
    hash: str
    copies: tuple[tuple[int, ...], ...] = ()

    def names(self, n_events: int) -> NDArray[np.str_]:
        """Return the split's name for each event, "none" where it is in no split."""
        names = np.full(n_events, "none", dtype="U10")
        for name in NAMES:
            names[getattr(self, name)] = name
        return names


def split_events(
    events: EventSource,
    config: SplitConfig,
    *,
    key: tuple[str, ...],
    strata: NDArray[np.int64] | None = None,
    listed: NDArray[np.int64] | None = None,
) -> Split:
    """Deal events out to train, validation and test.

    Args:
        events: all events of one study.
        config: fractions, seed and what to do with duplicates.
        key: truth columns that together name an event.
        strata: class of each event, shape (event,), kept in the same proportion in every split.
        listed: number of the split whose list names the file of each event, shape (event,); None where
            fractions deal the events out.

    Raises:
        DataError: too few events or files for the fractions asked for.
        LeakageError: an exact image stands in more than one split, or an event key twice (unless
            `on_duplicates` says what to do).

    Examples:
        >>> from hitlens.events import Events
        >>> rng = np.random.default_rng(0)
        >>> truth = pl.DataFrame({"file": ["a"] * 10, "event": range(10)})
        >>> events = Events({"anode": rng.integers(0, 99, (10, 4, 4))}, truth, "demo")
        >>> split = split_events(events, SplitConfig(), key=("file", "event"))
        >>> len(split.train), len(split.validation), len(split.test)
        (6, 2, 2)
    """
    repeated = _repeated_keys(events.truth, key)
    if config.on_duplicates != "keep_first":
        _refuse_repeated_keys(events.truth, repeated, key)
    copies = find_duplicates(events)
    keep = np.ones(len(events), dtype=bool)
    if config.on_duplicates == "keep_first":
        for group in (*copies, *repeated):
            keep[list(group[1:])] = False
    assignment = np.full(len(events), -1, dtype=np.int64)
    if listed is None:
        assignment[keep] = _assign(events.truth, np.flatnonzero(keep), copies, config, strata)
    else:
        assignment[keep] = listed[keep]
        if not config.validation_files:
            rows = np.flatnonzero(assignment == 0)
            assignment[rows] = _assign_validation(len(events), rows, copies, config, strata)
    parts = [np.flatnonzero(assignment == number) for number in range(3)]
    if min(len(parts[0]), len(parts[1])) == 0:
        raise DataError(f"Too few events ({len(events)}) to fill the training and the validation split.")
    if config.folds and len(parts[2]) == 0:
        raise DataError(f"Too few events ({len(events)}) for {config.folds} folds. Ask for fewer.")
    if config.on_duplicates == "refuse" or (listed is not None and config.on_duplicates == "group"):
        _refuse_leaks(events.truth, copies, assignment, key)
    train, validation, test = parts
    hashed = _hash_keys(events.truth, assignment, key)
    return Split(train, validation, test, int((~keep).sum()), hashed, tuple(copies))


def duplicate_groups(events: EventSource, key: tuple[str, ...]) -> list[tuple[int, ...]]:
    """Return groups of positions whose images (not blank) or whose event keys are identical."""
    return [*find_duplicates(events), *_repeated_keys(events.truth, key)]


def _repeated_keys(truth: pl.DataFrame, key: tuple[str, ...]) -> list[tuple[int, ...]]:
    """Return groups of positions with one event key.

    Raises:
        DataError: an event has no key.
    """
    keys = truth.select(key)
    undefined = keys.select(pl.any_horizontal(_is_missing(keys[name]) for name in key)).to_series()
    if undefined.any():
        rows = undefined.arg_true().to_list()
        listed = ", ".join(f"{row} ({_key_text(keys.row(row))})" for row in rows[:_LISTED])
        more = f" and {len(rows) - _LISTED:,} more" if len(rows) > _LISTED else ""
        raise DataError(
            f"{len(rows):,} of {len(keys):,} events have no key ({', '.join(key)}), which names them: "
            f"event {listed}{more}. Leave them out or give them one."
        )
    doubled = keys.is_duplicated()
    if not doubled.any():
        return []
    table = keys.with_row_index("row").filter(doubled).group_by(key, maintain_order=True).agg("row")
    return [tuple(rows) for rows in table["row"].to_list()]


def _is_missing(column: pl.Series) -> pl.Series:
    if column.dtype.is_float():
        return column.is_null() | column.is_nan().fill_null(False)
    return (
        column.is_null() | (column == "").fill_null(False) if column.dtype == pl.String else column.is_null()
    )


def _assign(
    truth: pl.DataFrame,
    rows: NDArray[np.int64],
    copies: list[tuple[int, ...]],
    config: SplitConfig,
    strata: NDArray[np.int64] | None,
) -> NDArray[np.int64]:
    """Return the split number of each of the chosen rows."""
    kinds = np.zeros(len(rows), np.int64) if strata is None else strata[rows]
    grouped = config.on_duplicates == "group" and bool(copies)
    if config.by == "file":
        files = _files(truth)[rows]
        return _assign_files(_joined_files(files, copies) if grouped else files, config)
    return (
        _assign_groups(_units(len(rows), copies), kinds, config) if grouped else _assign_strata(kinds, config)
    )


def _assign_validation(
    n_events: int,
    rows: NDArray[np.int64],
    copies: list[tuple[int, ...]],
    config: SplitConfig,
    strata: NDArray[np.int64] | None,
) -> NDArray[np.int64]:
    """Return 0 or 1 for each event of the training files: the validation split is drawn from them."""
    kinds = np.zeros(len(rows), np.int64) if strata is None else strata[rows]
    share = config.validation
    drawn = SplitConfig(train=1 - share, validation=share, test=0, seed=config.seed)
    if config.on_duplicates != "group" or not copies:
        return _assign_strata(kinds, drawn)
    units = np.unique(_units(n_events, copies)[rows], return_inverse=True)[1].astype(np.int64)
    return _assign_groups(units, kinds, drawn)


def _units(n_events: int, copies: list[tuple[int, ...]]) -> NDArray[np.int64]:
    """Return a number for each event that its copies share, in order of appearance."""
    first = np.arange(n_events)
    for group in copies:
        first[list(group)] = min(group)
    return np.unique(first, return_inverse=True)[1].astype(np.int64)


def _joined_files(files: pl.Series, copies: list[tuple[int, ...]]) -> pl.Series:
    """Return the name of each event's file, one name for all files that share an image."""
    names = files.unique().sort()
    number = np.searchsorted(names.to_numpy(), files.to_numpy())
    pairs = np.array([(number[group[0]], number[other]) for group in copies for other in group[1:]])
    links = sparse.coo_array((np.ones(len(pairs)), pairs.T), (len(names), len(names)))
    joined = csgraph.connected_components(links, directed=False)[1]
    first = np.unique(joined, return_index=True)[1]
    return names.gather(first[joined[number]])


def _assign_groups(
    units: NDArray[np.int64], strata: NDArray[np.int64], config: SplitConfig
) -> NDArray[np.int64]:
    """Deal out events whose copies go with them; a group counts for the class of its first event.

    Args:
        units: number of the group of each event, without gaps, shape (event,).
        strata: class of each event, shape (event,).
        config: fractions, seed and folds.
    """
    first, sizes = np.unique(units, return_index=True, return_counts=True)[1:]
    rng = np.random.default_rng(config.seed)
    part = np.full(len(sizes), 2, dtype=np.int64)
    for stratum in np.unique(strata[first]):
        rest = rng.permutation(np.flatnonzero(strata[first] == stratum))
        shares = config.train, config.validation
        if config.folds:
            fold = _dealt_by_size(sizes[rest], [1 / config.folds] * (config.folds - 1))
            rest = np.random.default_rng([config.seed, config.fold]).permutation(rest[fold != config.fold])
            shares = config.train / (config.train + config.validation), 1.0
        part[rest] = _dealt_by_size(sizes[rest], shares).clip(max=1 if config.folds else 2)
    return part[units]


def _dealt_by_size(sizes: NDArray[np.int64], shares: Sequence[float]) -> NDArray[np.int64]:
    """Return which share of all events each group falls into by its middle; the last share takes the rest."""
    middle = (np.cumsum(sizes) - sizes / 2) / max(sizes.sum(), 1)
    return np.asarray(np.searchsorted(np.cumsum(shares), middle, side="left"), dtype=np.int64)


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
        rows = zip(group, truth.select(key)[list(group)].rows(), strict=True)
        lines.append(" = ".join(f"{_key_text(row)} ({NAMES[assignment[at]]})" for at, row in rows))
    raise LeakageError(
        f"{len(leaks)} events stand in more than one split (identical image):\n"
        + _lines(lines, len(leaks))
        + "\nRemove the copies, or set split.on_duplicates=keep_first to drop and count them. Where "
        "different events can look alike, split.on_duplicates=group keeps all, and copies in one split."
    )


def _refuse_repeated_keys(truth: pl.DataFrame, repeated: list[tuple[int, ...]], key: tuple[str, ...]) -> None:
    if not repeated:
        return
    lines = [
        f"{_key_text(truth.select(key).row(group[0]))} (events {', '.join(map(str, group))})"
        for group in repeated[:_LISTED]
    ]
    raise LeakageError(
        f"{len(repeated):,} event keys ({', '.join(key)}) stand more than once, so that predictions cannot "
        f"be told apart and one event may stand in more than one split:\n{_lines(lines, len(repeated))}\n"
        "Give the key a column that tells them apart (such as the run, or 'file'), remove the copies, or set "
        "split.on_duplicates=keep_first to drop the later ones and count them."
    )


def _key_text(row: tuple[object, ...]) -> str:
    return ":".join(map(str, row))


def _lines(lines: list[str], n_all: int) -> str:
    more = f"\n  and {n_all - len(lines):,} more" if n_all > len(lines) else ""
    return "\n".join(f"  {line}" for line in lines) + more


def _hash_keys(truth: pl.DataFrame, assignment: NDArray[np.int64], key: tuple[str, ...]) -> str:
    named = truth.select(key).with_columns(part=pl.Series(assignment)).sort("part", *key)
    digest = hashlib.sha256()
    for number, part in enumerate(named.iter_slices(_HASHED)):
        text = part.select(pl.concat_str(pl.all().cast(pl.String), separator="|")).to_series()
        digest.update((("\n" if number else "") + "\n".join(text.to_list())).encode())
    return digest.hexdigest()
