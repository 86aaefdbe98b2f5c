"""Splits: proportions, the guard against leaks, and hashes."""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from hitlens.datasets.splits import NAMES, Split, SplitConfig, split_events
from hitlens.errors import DataError, LeakageError
from hitlens.events import Events

KEY = ("file", "event")


def events_of(n: int, n_files: int = 1) -> Events:
    rng = np.random.default_rng(n)
    truth = pl.DataFrame({"file": [f"f{i % n_files}" for i in range(n)], "event": list(range(n))})
    return Events({"anode": rng.integers(1, 60_000, (n, 4, 4)).astype(np.uint16)}, truth, "demo")


def with_copy(events: Events, source: int, target: int) -> Events:
    images = events.dense("anode").copy()
    images[target] = images[source]
    return Events({"anode": images}, events.truth, events.detector)


def strata(n: int) -> NDArray[np.int64]:
    return (np.arange(n) % 10 == 0).astype(np.int64)


@given(n=st.integers(20, 300), seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_every_event_is_in_exactly_one_split(n: int, seed: int) -> None:
    split = split_events(events_of(n), SplitConfig(seed=seed), key=KEY, strata=strata(n))
    together = np.sort(np.concatenate([split.train, split.validation, split.test]))
    assert np.array_equal(together, np.arange(n))


def test_fractions_and_strata_are_kept() -> None:
    split = split_events(events_of(1000), SplitConfig(), key=KEY, strata=strata(1000))
    assert [len(split.train), len(split.validation), len(split.test)] == [600, 200, 200]
    assert strata(1000)[split.test].sum() == 20


@given(n=st.integers(30, 200), folds=st.integers(2, 8), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_every_event_is_held_out_in_exactly_one_fold(n: int, folds: int, seed: int) -> None:
    events, held_out = events_of(n), []
    for fold in range(folds):
        config = SplitConfig(folds=folds, fold=fold, seed=seed)
        split = split_events(events, config, key=KEY, strata=strata(n))
        together = np.sort(np.concatenate([split.train, split.validation, split.test]))
        assert np.array_equal(together, np.arange(n))
        held_out.append(split.test)
        for stratum in (0, 1):
            share = (strata(n)[split.test] == stratum).sum()
            assert abs(share - (strata(n) == stratum).sum() / folds) < 1
    assert max(map(len, held_out)) - min(map(len, held_out)) <= 1
    assert np.array_equal(np.sort(np.concatenate(held_out)), np.arange(n))


def test_training_and_validation_share_the_rest_of_a_fold_and_every_fold_differently() -> None:
    def split(fold: int) -> Split:
        return split_events(events_of(160), SplitConfig(folds=5, fold=fold), key=KEY, strata=strata(160))

    assert [len(split(0).train), len(split(0).validation), len(split(0).test)] == [96, 32, 32]
    assert split(0).hash == split(0).hash != split(1).hash
    both = np.setdiff1d(np.arange(160), np.concatenate([split(0).test, split(1).test]))
    first, second = (np.isin(both, split(fold).validation) for fold in (0, 1))
    assert (first != second).sum() > 10


def test_whole_files_are_held_out_together() -> None:
    events = events_of(200, n_files=10)
    for fold in range(5):
        split = split_events(events, SplitConfig(by="file", folds=5, fold=fold), key=KEY)
        files = [
            set(events.truth["file"].gather(rows)) for rows in (split.train, split.validation, split.test)
        ]
        assert len(files[2]) == 2
        assert not files[2] & (files[0] | files[1])
    with pytest.raises(DataError, match=r"needs at least 5 files\. Got 3"):
        split_events(events_of(20, n_files=3), SplitConfig(by="file", folds=5), key=KEY)


def test_folds_that_cannot_be_are_refused() -> None:
    for wrong in ({"folds": 1}, {"folds": 3, "fold": 3}, {"fold": 1}):
        with pytest.raises(ValidationError, match="folds must be 0 or at least 2"):
            SplitConfig(**wrong)
    with pytest.raises(DataError, match="for 30 folds"):
        split_events(events_of(20), SplitConfig(folds=30, fold=25), key=KEY)
    with pytest.raises(LeakageError):
        for fold in range(2):
            split_events(with_copy(events_of(40), 3, 4), SplitConfig(folds=2, fold=fold), key=KEY)


def test_the_seed_decides() -> None:
    events = events_of(100)
    first = split_events(events, SplitConfig(seed=1), key=KEY)
    assert first.hash == split_events(events, SplitConfig(seed=1), key=KEY).hash
    assert first.hash != split_events(events, SplitConfig(seed=2), key=KEY).hash


def test_whole_files_stay_together() -> None:
    events = events_of(200, n_files=10)
    split = split_events(events, SplitConfig(by="file"), key=KEY)
    files = [
        set(events.truth["file"][part].to_list()) for part in (split.train, split.validation, split.test)
    ]
    assert all(files)
    assert not files[0] & files[1] and not files[0] & files[2] and not files[1] & files[2]
    assert len(files[0]) == 6


def test_too_few_files_are_refused() -> None:
    with pytest.raises(DataError, match="at least 3 files"):
        split_events(events_of(50, n_files=2), SplitConfig(by="file"), key=KEY)


def leaking() -> Events:
    events = events_of(100)
    split = split_events(events, SplitConfig(), key=KEY)
    return with_copy(events, int(split.train[0]), int(split.test[0]))


def test_a_copied_image_across_splits_is_refused_with_the_list() -> None:
    with pytest.raises(
        LeakageError, match=r"1 events stand in more than one split[\s\S]*f0:\d+ \((train|test)\) = "
    ):
        split_events(leaking(), SplitConfig(), key=KEY)


def test_a_repeated_key_across_splits_is_refused() -> None:
    events = events_of(100)
    split = split_events(events, SplitConfig(), key=KEY)
    event = events.truth["event"].to_numpy().copy()
    event[split.test[0]] = event[split.train[0]]
    doubled = Events(events.images, events.truth.with_columns(event=pl.Series(event)), "demo")
    with pytest.raises(LeakageError, match=r"1 event keys .* stand more than once[\s\S]*keep_first"):
        split_events(doubled, SplitConfig(), key=KEY)


def test_copies_can_be_dropped_and_are_counted() -> None:
    split = split_events(leaking(), SplitConfig(on_duplicates="keep_first"), key=KEY)
    assert split.n_dropped == 1
    assert len(split.train) + len(split.validation) + len(split.test) == 99
    assert (split.names(100) == "none").sum() == 1


def test_blank_events_are_no_copies() -> None:
    events = Events({"anode": np.zeros((50, 4, 4), np.uint16)}, events_of(50).truth, "demo")
    assert split_events(events, SplitConfig(), key=KEY).n_dropped == 0


def test_too_few_events_are_refused() -> None:
    with pytest.raises(DataError, match="Too few events"):
        split_events(events_of(1), SplitConfig(), key=KEY)


def test_fractions_must_add_up() -> None:
    with pytest.raises(ValidationError, match="must be 1"):
        SplitConfig(train=0.8, validation=0.3, test=0.2)


def alike(n: int, n_images: int) -> Events:
    """Many events of few images, as single hits of a small sensor make."""
    images = np.zeros((n, 4, 4), np.uint16)
    images.reshape(n, 16)[np.arange(n), np.random.default_rng(n).integers(0, n_images, n)] = 1
    return Events({"anode": images}, events_of(n, n_files=9).truth, "demo")


@pytest.mark.parametrize("folds", [0, 4])
def test_copies_can_stay_on_one_side(folds: int) -> None:
    events = alike(400, 16)
    config = SplitConfig(on_duplicates="group", folds=folds, fold=0)
    with pytest.raises(LeakageError, match="on_duplicates=group keeps all"):
        split_events(events, config.model_copy(update={"on_duplicates": "refuse"}), key=KEY)
    held_out = []
    for fold in range(max(folds, 1)):
        split = split_events(events, config.model_copy(update={"fold": fold}), key=KEY, strata=strata(400))
        names = split.names(400)
        assert split.n_dropped == 0 and (names != "none").all()
        assert len(split.copies) == 16 and sum(map(len, split.copies)) == 400
        assert all(len(set(names[list(group)])) == 1 for group in split.copies)
        assert 0.4 < len(split.train) / 400 < 0.8
        held_out.append(split.test)
    if folds:
        assert np.array_equal(np.sort(np.concatenate(held_out)), np.arange(400))


def test_files_that_share_images_stay_on_one_side() -> None:
    events = events_of(90, n_files=9)
    doubled = with_copy(with_copy(events, 0, 1), 4, 2)  # f0 = f1, f2 = f4
    split = split_events(doubled, SplitConfig(by="file", on_duplicates="group"), key=KEY)
    files = {name: set(events.truth["file"].gather(getattr(split, name))) for name in NAMES}
    for pair in ({"f0", "f1"}, {"f2", "f4"}):
        assert sum(pair <= there for there in files.values()) == 1
    assert sum(map(len, files.values())) == 9


@pytest.mark.parametrize("choice", ["refuse", "group"])
def test_a_repeated_key_is_never_natural(choice: Literal["refuse", "group"]) -> None:
    events = events_of(100)
    split = split_events(events, SplitConfig(), key=KEY)
    event = events.truth["event"].to_numpy().copy()
    event[split.train[1]] = event[split.train[0]]  # both would be learnt from
    doubled = Events(events.images, events.truth.with_columns(event=pl.Series(event)), "demo")
    with pytest.raises(LeakageError, match=r"1 event keys \(file, event\) stand more than once"):
        split_events(doubled, SplitConfig(on_duplicates=choice), key=KEY)
    assert split_events(doubled, SplitConfig(on_duplicates="keep_first"), key=KEY).n_dropped == 1


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_events_without_a_key_are_refused(missing: float | None) -> None:
    events = events_of(20)
    event = pl.Series([missing, *map(float, range(1, 20))])
    undefined = Events(events.images, events.truth.with_columns(event=event), "demo")
    with pytest.raises(DataError, match=r"1 of 20 events have no key .*event 0 \(f0:"):
        split_events(undefined, SplitConfig(), key=KEY)


LISTS = {"train": ["a.h5", "b.h5"], "test": ["c.h5"]}


def test_lists_of_files_decide_and_the_validation_split_comes_from_the_training_files() -> None:
    listed = np.repeat([0, 2, 0], [100, 40, 60])
    split = split_events(events_of(200), SplitConfig.model_validate(LISTS), key=KEY, listed=listed)
    assert split.test.tolist() == list(range(100, 140))
    assert (len(split.train), len(split.validation)) == (128, 32)
    assert np.array_equal(np.sort([*split.train, *split.validation]), np.flatnonzero(listed == 0))


def test_a_list_of_its_own_is_the_validation_split() -> None:
    config = SplitConfig.model_validate(LISTS | {"validation": ["d.h5"]})
    listed = np.repeat([0, 1, 2], [5, 3, 2])
    split = split_events(events_of(10), config, key=KEY, listed=listed)
    assert (split.train.tolist(), split.validation.tolist(), split.test.tolist()) == (
        [0, 1, 2, 3, 4],
        [5, 6, 7],
        [8, 9],
    )


@pytest.mark.parametrize("on_duplicates", ["refuse", "group"])
def test_an_image_in_files_of_two_lists_is_a_leak(on_duplicates: Literal["refuse", "group"]) -> None:
    config = SplitConfig.model_validate(LISTS | {"on_duplicates": on_duplicates})
    events = with_copy(events_of(50), 3, 45)
    listed = np.repeat([0, 2], [40, 10])
    with pytest.raises(LeakageError):
        split_events(events, config, key=KEY, listed=listed)
    kept = config.model_copy(update={"on_duplicates": "keep_first"})
    split = split_events(events, kept, key=KEY, listed=listed)
    assert split.n_dropped == 1 and 45 not in split.test


def test_copies_within_the_training_files_stay_together() -> None:
    config = SplitConfig.model_validate(LISTS | {"on_duplicates": "group"})
    events = with_copy(events_of(50), 3, 35)
    split = split_events(events, config, key=KEY, listed=np.repeat([0, 2], [40, 10]))
    names = split.names(50)
    assert names[3] == names[35] and len(split.test) == 10


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"train": ["a"]}, "for train and for test"),
        ({"train": ["a"], "test": ["./a"]}, "'a' is listed twice"),
        (LISTS | {"by": "file"}, "neither with by: file nor with folds"),
        (LISTS | {"folds": 3}, "neither with by: file nor with folds"),
    ],
)
def test_lists_that_contradict_are_refused(content: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        SplitConfig.model_validate(content)
