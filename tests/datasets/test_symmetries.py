"""Targets, selections and answers follow the truth that a symmetry changes."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hitlens.datasets.augment import Augmentation
from hitlens.datasets.regions import Region
from hitlens.datasets.resident import ResidentData
from hitlens.datasets.symmetries import (
    OutputEffect,
    changed_truth,
    check_invariant,
    check_whole_views,
    columns_behind,
    learnt_effect,
    moved_columns,
    stated_effect,
)
from hitlens.datasets.targets import encode_target
from hitlens.detector import Detector, Symmetry, Task, TruthColumn, TruthEffect, View
from hitlens.errors import ConfigError
from hitlens.events import Events, evaluate_condition

N = 60
VIEW = View(name="a", shape=(6, 6), axes=("y", "x"), pitch_mm=(1, 1), unit="counts")
TRUTH = (
    *(TruthColumn(name=name, meaning="") for name in ("x", "y", "q", "e", "right")),
    TruthColumn(name="slope", meaning="", expression="y - x"),
    TruthColumn(name="steep", meaning="", expression="slope > 1"),
    TruthColumn(name="sum", meaning="", expression="x + y"),
)


def task(name: str, target: str, names: str, selection: str = "TRUE") -> Task:
    classes = tuple(names.split())
    kind = "binary" if len(classes) == 2 else "multiclass"
    return Task(name=name, kind=kind, meaning="", target=target, class_names=classes, selection=selection)


THIRD = task("third", "CASE WHEN x < 2 THEN 0 WHEN x > 4 THEN 2 ELSE 1 END", "left middle right", "x >= 0")
SIGN = task("sign", "q > 0", "minus plus", "e > 0.1")
ABOVE = task("above", "slope > 0", "below above")
STEEP = task("steep", "steep", "flat steep", "y < 5")
EDGE = task("edge", "x >= 3", "low high")
SIDE = task("side", "right", "left right")
PLACE = Task(name="place", kind="regression", meaning="", columns=("y", "x"), units=("px", "px"))
LONE = Task(name="lone", kind="regression", meaning="", columns=("x",), units=("px",), selection="y > 1")
TILT = Task(name="tilt", kind="regression", meaning="", columns=("slope", "e"), units=("", "MeV"))
SUM = Task(name="sum", kind="regression", meaning="", columns=("sum",), units=("",))
PAIR = Task(
    name="pair", kind="set_regression", meaning="", elements=(("x", "e"), ("y", "q")), units=("px", "")
)
TASKS = (THIRD, SIGN, ABOVE, STEEP, EDGE, SIDE, PLACE, LONE, TILT, SUM, PAIR)

FLIP = Symmetry(
    name="flip_x",
    flips=("x",),
    truth={
        "x": TruthEffect(source="x", scale=-1, offset=6),
        "q": TruthEffect(source="q", scale=-1),
        "right": TruthEffect(source="right", scale=-1, offset=1),
    },
)
SWAP = Symmetry(
    name="swap", transpose=True, truth={"x": TruthEffect(source="y"), "y": TruthEffect(source="x")}
)


def detector_of(*symmetries: Symmetry) -> Detector:
    return Detector(name="d", title="", views=(VIEW,), truth=TRUTH, tasks=TASKS, symmetries=symmetries)


def truth_of(seed: int = 1, n: int = N, *, holes: float = 0.0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    columns = {name: rng.uniform(0, 6, n) for name in ("x", "y", "e")} | {"q": rng.uniform(-1, 1, n)}
    table = pl.DataFrame(columns | {"right": rng.integers(0, 2, n).astype(bool)})
    if holes:
        table = table.with_columns(
            pl.when(pl.Series(rng.random(n) >= holes)).then(pl.col(name)).alias(name) for name in "xyq"
        )
    return with_derived(table)


def with_derived(table: pl.DataFrame) -> pl.DataFrame:
    table = table.with_columns(slope=pl.col("y") - pl.col("x"), sum=pl.col("x") + pl.col("y"))
    return table.with_columns(steep=pl.col("slope") > 1)


def by_hand(table: pl.DataFrame, symmetry: Symmetry) -> pl.DataFrame:
    """The changed truth, written out event by event in plain Python."""
    rows = []
    for row in table.select("x", "y", "e", "q", "right").to_dicts():
        new = dict(row)
        for column, effect in symmetry.truth.items():
            value = row[effect.source]
            new[column] = None if value is None else type(value)(effect.scale * value + effect.offset)
        rows.append(new)
    return with_derived(pl.DataFrame(rows, schema=table.select("x", "y", "e", "q", "right").schema))


numbers = st.sampled_from([-2.0, -1.0, -0.5, 0.5, 1.0, 2.0])
effects = st.builds(
    TruthEffect,
    source=st.sampled_from(["x", "y", "q"]),
    scale=numbers,
    offset=st.sampled_from([0.0, 0.25, 3.0, 6.0]),
)
symmetries = st.builds(
    Symmetry,
    name=st.just("any"),
    flips=st.just(("x",)),
    truth=st.dictionaries(st.sampled_from(["x", "y", "q"]), effects, min_size=1),
)


@settings(deadline=None, max_examples=60)
@given(
    symmetry=symmetries, head=st.sampled_from(TASKS), seed=st.integers(0, 99), holes=st.sampled_from([0, 0.3])
)
def test_training_targets_are_those_of_the_changed_truth(
    symmetry: Symmetry, head: Task, seed: int, holes: float
) -> None:
    table, detector = truth_of(seed, holes=holes), detector_of(symmetry)
    columns = list(head.target_columns)
    if columns:  # missing values of a regression are left out beforehand
        known = table.select(pl.all_horizontal(pl.col(columns).is_not_null())).to_series()
        table = table.filter(known)
    hand = by_hand(table, symmetry)
    images = np.zeros((len(table), 6, 6), np.uint8)
    data = ResidentData.from_events(Events({"a": images}, table, "d"), detector, (head,))
    rows = np.arange(0, len(table), 2)
    augmentation = Augmentation(detector, [head], table, rows)
    number = torch.arange(len(rows)) % 2
    targets, defined = augmentation.targets(data.take(torch.from_numpy(rows)), number)
    for position, row in enumerate(rows):
        shown = (hand if number[position] else table)[[int(row)]]
        if any(shown[name][0] is None for name in columns):
            assert not defined[head.name][position]
            continue
        expected = encode_target(shown, head)
        assert defined[head.name][position] == expected.defined[0]
        if expected.defined[0]:
            np.testing.assert_allclose(targets[head.name][position], expected.values[0], rtol=1e-5, atol=1e-5)


def test_changed_truth_computes_derived_columns_again() -> None:
    table = truth_of(holes=0.2)
    for symmetry in (FLIP, SWAP):
        changed = changed_truth(table, detector_of(symmetry), symmetry)
        assert changed.columns == table.columns
        hand = by_hand(table, symmetry).select(table.columns)
        assert changed["right"].equals(hand["right"])
        assert changed["steep"].equals(hand["steep"])
        for name in ("x", "y", "q", "slope", "sum"):
            assert (changed[name] - hand[name]).drop_nulls().abs().max() < 1e-12
            assert changed[name].is_null().equals(hand[name].is_null())


@pytest.mark.parametrize(
    ("values", "effect", "expected"),
    [
        (pl.Series([0, 1, None], dtype=pl.UInt8), {"scale": -1, "offset": 1}, [1, 0, None]),
        (pl.Series([1, 200], dtype=pl.UInt8), {"scale": -1}, [-1, -200]),
        (pl.Series([2**60 + 1]), {"scale": -1, "offset": 1}, [-(2**60)]),
        (pl.Series([True, False, None]), {"scale": -1, "offset": 1}, [False, True, None]),
        (pl.Series([3]), {"scale": 0.5}, [1.5]),
        (pl.Series(["a", "b"]), {}, ["a", "b"]),
    ],
)
def test_an_effect_keeps_the_kind_of_its_column(values: pl.Series, effect: dict, expected: list) -> None:
    symmetry = Symmetry(name="s", flips=("x",), truth={"c": TruthEffect(source="c", **effect)})
    changed = changed_truth(pl.DataFrame({"c": values}), detector_of(symmetry), symmetry)
    assert changed["c"].to_list() == expected
    assert changed["c"].dtype.is_integer() == (values.dtype.is_integer() and isinstance(expected[0], int))


def test_effects_that_cannot_be_applied_are_refused() -> None:
    mirror = {"c": TruthEffect(source="c", scale=-1)}
    symmetry = Symmetry(name="mirror", flips=("x",), truth=mirror)
    for values, problem in ((["a"], "column of numbers"), ([True], "other numbers than 0 and 1")):
        with pytest.raises(ConfigError, match=f"mirror.*'c'.*{problem}"):
            changed_truth(pl.DataFrame({"c": values}), detector_of(symmetry), symmetry)


def test_what_cannot_be_known_of_the_changed_event_is_missing() -> None:
    symmetry = Symmetry(name="s", flips=("x",), truth={"x": TruthEffect(source="y")})
    table = truth_of().select("x", "slope", "e")  # the file has no y any more
    changed = changed_truth(table, detector_of(symmetry), symmetry)
    assert changed["x"].null_count() == changed["slope"].null_count() == N
    assert changed["e"].equals(table["e"])
    defined = Augmentation(detector_of(symmetry), [EDGE], table, np.arange(N)).tables["edge"].defined
    assert defined[0].all()
    assert not defined[1].any()


def test_columns_that_move_and_those_behind_them() -> None:
    detector = detector_of(FLIP, SWAP)
    assert moved_columns(detector, FLIP) == {"x", "q", "right", "slope", "steep", "sum"}
    assert moved_columns(detector, SWAP) == {"x", "y", "slope", "steep", "sum"}
    nothing = Symmetry(name="n", flips=("x",), truth={"x": TruthEffect(source="x")})
    assert moved_columns(detector, nothing) == frozenset()
    assert columns_behind(detector, ["steep"]) == {"steep", "slope", "x", "y"}
    assert columns_behind(detector_of(SWAP), ["x"]) == {"x", "y"}
    assert columns_behind(detector_of(FLIP), ["e"]) == {"e"}


def test_classes_that_a_task_does_not_have_are_refused() -> None:
    few = task("few", "CASE WHEN x < 3 THEN 0 WHEN x < 5 THEN 1 ELSE 7 END", "a b c", "x < 5")
    symmetry = Symmetry(name="far", flips=("x",), truth={"x": TruthEffect(source="x", scale=-1, offset=9)})
    wide = few.model_copy(update={"selection": "TRUE"})
    table = truth_of().filter(pl.col("x") < 5)
    with pytest.raises(ConfigError, match=r"'far', which changes 'x'.*'few' has classes 0 to 2"):
        Augmentation(detector_of(symmetry), [wide], table, np.arange(len(table)))


MIRRORED = {
    "third": [2, 1, 0],
    "sign": [1, 0],
    "side": [1, 0],
}


@pytest.mark.parametrize("name", MIRRORED)
def test_classes_that_change_places_are_undone(name: str) -> None:
    head = next(one for one in TASKS if one.name == name)
    assert stated_effect(detector_of(FLIP), FLIP, head) is None
    effect = learnt_effect(detector_of(FLIP), FLIP, head, truth_of(n=400))
    raw = torch.randn(5, head.n_outputs)
    if head.kind == "binary":
        assert torch.equal(effect.undo(raw), -raw)
    else:
        assert torch.equal(effect.undo(raw), raw[:, MIRRORED[name]])


def test_a_permutation_that_is_no_exchange_is_undone() -> None:
    turn = Symmetry(
        name="turn", flips=("x",), truth={"q": TruthEffect(source="e"), "e": TruthEffect(source="q")}
    )
    head = task("which", "q", "a b c d")
    table = pl.DataFrame({"q": [0, 1, 2, 3] * 3, "e": [1, 2, 3, 0] * 3})
    effect = learnt_effect(detector_of(turn), turn, head, table)
    original = torch.randn(3, 4)
    changed = torch.empty_like(original)
    for old, new in enumerate([1, 2, 3, 0]):
        changed[:, new] = original[:, old]
    assert torch.equal(effect.undo(changed), original)


def test_one_class_without_an_event_becomes_what_is_left_two_do_not() -> None:
    table = truth_of(n=400)
    detector = detector_of(FLIP)
    without_middle = table.filter((pl.col("x") < 2) | (pl.col("x") > 4))
    assert learnt_effect(detector, FLIP, THIRD, without_middle).source == (2, 1, 0)
    with pytest.raises(ConfigError, match=r"'third' cannot be averaged over symmetry 'flip_x'.*'x'"):
        learnt_effect(detector, FLIP, THIRD, table.filter(pl.col("x") > 4))


@pytest.mark.parametrize(
    ("head", "symmetry"),
    [
        (EDGE, Symmetry(name="s", flips=("x",), truth={"x": TruthEffect(source="x", scale=-1, offset=5)})),
        (ABOVE, FLIP),  # depends on where y is
        (LONE, SWAP),  # needs y, which is not predicted
        (TILT, FLIP),
        (STEEP, SWAP),
        (PLACE, Symmetry(name="s", flips=("x",), truth={"x": TruthEffect(source="y")})),  # y is lost
        (task("near", "e > 1", "far near", "x < 3"), FLIP),  # events leave the selection
    ],
    ids=lambda one: one.name,
)
def test_what_is_not_the_same_for_all_events_is_not_averaged(head: Task, symmetry: Symmetry) -> None:
    with pytest.raises(
        ConfigError, match=f"'{head.name}' cannot be averaged over symmetry '{symmetry.name}'"
    ):
        learnt_effect(detector_of(symmetry), symmetry, head, truth_of(n=400))


@pytest.mark.parametrize(("head", "symmetry"), [(ABOVE, SWAP), (SUM, SWAP), (PLACE, SWAP), (PLACE, FLIP)])
def test_what_is_the_same_for_all_events_is_averaged(head: Task, symmetry: Symmetry) -> None:
    table = truth_of(n=400)
    effect = learnt_effect(detector_of(symmetry), symmetry, head, table)
    changed = encode_target(changed_truth(table, detector_of(symmetry), symmetry), head).values
    if not head.is_classification:
        expected = encode_target(table, head).values
        np.testing.assert_allclose(effect.undo(torch.from_numpy(changed)), expected, rtol=1e-5, atol=1e-5)
    else:
        assert effect == OutputEffect(source=(0,), scale=(-1.0,), offset=(0.0,))


@pytest.mark.parametrize(
    ("text", "column"), [("x < 3", "'x'"), ("steep", "'steep'"), ("sum + q > 6", "'q', 'sum'")]
)
def test_settings_that_tell_an_event_from_its_image_are_refused(text: str, column: str) -> None:
    def labels(truth: pl.DataFrame) -> np.ndarray:
        return evaluate_condition(truth, text)

    detector = detector_of(FLIP)
    with pytest.raises(ConfigError, match=f"train.selection tells.*'flip_x', which changes {column}"):
        check_invariant(detector, [FLIP], truth_of(), "train.selection", [text], labels)


def test_settings_that_hold_for_the_image_too_pass() -> None:
    for text in ("x > -1 AND x < 7", "ABS(x - 3) < 2", "e > 1"):
        check_invariant(
            detector_of(FLIP), [FLIP], truth_of(), "s", [text], lambda t, s=text: evaluate_condition(t, s)
        )


def test_a_part_of_a_flipped_axis_is_refused_for_what_moves() -> None:
    detector = detector_of(FLIP, SWAP)
    regions = {"a": Region(crop=(6, 4))}
    for head in (THIRD, PLACE, ABOVE):
        with pytest.raises(ConfigError, match="4 of 6 pixels of view 'a' along 'x', which symmetry 'flip_x'"):
            check_whole_views(detector, FLIP, head, regions)
        check_whole_views(detector, FLIP, head, {"a": Region(crop=(4, 6))})
        check_whole_views(detector, SWAP, head, regions)
    check_whole_views(detector, FLIP, task("hot", "e > 1", "cold hot"), regions)
