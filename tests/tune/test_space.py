"""The search space: read from YAML, checked before anything is trained."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from hitlens.config import RunConfig
from hitlens.errors import ConfigError
from hitlens.models import MODELS
from hitlens.tune.results import Parameter, Value
from hitlens.tune.space import (
    Range,
    decoded,
    encoded,
    grid_points,
    known_settings,
    n_points,
    parameters_of,
    probes,
    read_space,
)

OWN = {name: field.annotation for name, field in MODELS["plain_cnn"].config.model_fields.items()}
KNOWN = known_settings(RunConfig, OWN)


def parameters(text: str) -> tuple[Parameter, ...]:
    return parameters_of(read_space(yaml.safe_load(text)), KNOWN)


def test_choices_and_ranges_are_read_as_yaml_writes_them() -> None:
    space = read_space(
        yaml.safe_load(
            "{a: [1e-3, 0.01], b: [adam, adamw], c: [[16, 32], [32, 64]], d: [true, null], "
            "e: {low: 1e-4, high: 1e-2, log: true}}"
        )
    )
    assert space["a"] == (0.001, 0.01)
    assert space["b"] == ("adam", "adamw")
    assert space["c"] == ((16, 32), (32, 64))
    assert space["d"] == (True, None)
    assert space["e"] == Range(low=0.0001, high=0.01, log=True)


def test_a_space_reads_back_from_its_own_settings() -> None:
    space = read_space({"a": [(1, 2), (3,)], "b": {"low": 1, "high": 9, "step": 2}})
    assert read_space(space) == space
    dumped = {"a": [[1, 2], [3]], "b": space["b"].model_dump(mode="json")}  # type: ignore[union-attr]
    assert read_space(dumped) == space


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "there is nothing to search"),
        (None, "there is nothing to search"),
        ({"a": [1]}, "'a' has one choice"),
        ({"a": []}, "'a' has no choice"),
        ({"a": [1, 2, 1]}, "'a' has the choice 1 twice"),
        ({"a": [[1], [1]]}, "'a' has the choice \\(1,\\) twice"),
        ({"a": 5}, "needs a list of choices or a range"),
        ({"a": [{"b": 1}, {"b": 2}]}, "a choice must be a number"),
        ({"a": {"low": 1}}, "a range needs low and high"),
        ({"a": {"low": 2, "high": 1}}, "'a': low must be below high"),
        ({"a": {"low": 1, "high": 1}}, "low must be below high"),
        ({"a": {"low": 0, "high": 1, "log": True}}, "logarithmic range must begin above 0"),
        ({"a": {"low": 1, "high": 2, "log": True, "step": 0.5}}, "Leave out one of log and step"),
        ({"a": {"low": 0, "high": 1, "step": 0.3}}, "step 0.3 does not lead from 0 to 1"),
        ({"a": {"low": 0, "high": 1, "step": -0.5}}, "step must be above 0"),
        ({"a": {"low": 0, "high": 1, "stepp": 0.5}}, "a range has no 'stepp'. Did you mean 'step'"),
        ({"a": {"low": "x", "high": 1}}, "low must be a number"),
        ({"a": {"low": 0, "high": float("inf")}}, "low and high must be numbers"),
        ({"a": [1, 2], "a.b": [1, 2]}, "'a.b' is part of 'a'"),
    ],
)
def test_a_space_that_makes_no_sense_is_one_error(content: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_space(content)


def test_true_is_not_one() -> None:
    assert read_space({"a": [True, 1]}) == {"a": (True, 1)}
    values: tuple[Value, ...] = (True, 1, 1.0, "1", None, (1, 2))
    assert len({encoded(one) for one in values}) == len(values)
    assert [decoded(encoded(one)) for one in values] == list(values)


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("train.learning_rat", "train.learning_rate"),
        ("learning_rate", "train.learning_rate"),
        ("model.settings.droput", "model.settings.dropout"),
        ("model.dropout", "model.settings.dropout"),
        ("dropout_final", "model.settings.dropout_final"),
        ("model.settings.hidden", None),  # of another architecture
        ("zzz", None),
    ],
)
def test_an_unknown_path_names_the_nearest_right_one(path: str, nearest: str | None) -> None:
    with pytest.raises(ConfigError, match=f"'{path}' is not a setting") as caught:
        parameters_of({path: (1, 2)}, KNOWN)
    assert nearest is None or f"Did you mean '{nearest}'?" in str(caught.value)


@pytest.mark.parametrize(
    "path",
    [
        *("detector", "task", "data.files", "data.max_events", "split.seed", "split", "evaluate.cut"),
        *("title", "train.seed", "train.monitor"),
    ],
)
def test_what_trials_must_share_cannot_be_searched(path: str) -> None:
    with pytest.raises(ConfigError, match=f"'{path}' cannot be searched"):
        parameters_of({path: (1, 2)}, KNOWN)


def test_settings_by_name_are_reached_below_their_mapping() -> None:
    (found,) = parameters_of({"train.task_weights.energy": (1, 2)}, KNOWN)
    assert found.path == "train.task_weights.energy"
    with pytest.raises(ConfigError, match="not a setting"):
        parameters_of({"train.epochs.energy": (1, 2)}, KNOWN)


def test_a_range_of_a_fraction_is_not_of_whole_numbers() -> None:
    (dropout,) = parameters("model.settings.dropout: {low: 0, high: 1, step: 1}")
    assert not dropout.whole
    assert [type(one) for one in dropout.choices] == [float, float]
    (features,) = parameters("model.settings.last_features: {low: 16, high: 64, log: true}")
    assert features.whole
    assert features.choices == ()
    with pytest.raises(ConfigError, match="takes whole numbers"):
        parameters("train.epochs: {low: 1.5, high: 4.5}")


def test_a_grid_has_every_point_once_in_order() -> None:
    found = parameters(
        "{model.settings.dropout: [0.4, 0.5], train.epochs: {low: 2, high: 6, step: 2}, "
        "train.batch_size: [8, 9]}"
    )
    points = list(grid_points(found))
    assert len(points) == n_points(found) == 12
    assert len({tuple(point.values()) for point in points}) == 12
    assert [tuple(point.values()) for point in points[:3]] == [(0.4, 2, 8), (0.4, 2, 9), (0.4, 4, 8)]
    assert n_points(parameters("train.learning_rate: {low: 0.1, high: 0.2}")) is None


def test_probes_have_every_choice_and_both_ends() -> None:
    found = parameters(
        "{model.settings.dropout: [0.4, 0.5, 0.6], train.learning_rate: {low: 0.001, high: 0.1, log: true}, "
        "train.epochs: {low: 1, high: 9}}"
    )
    seen = [tuple(point.values()) for point in probes(found)]
    assert {one[0] for one in seen} == {0.4, 0.5, 0.6}
    assert {one[1] for one in seen} == {0.001, 0.1}
    assert {one[2] for one in seen} == {1, 9}
    assert len(seen) == 5
