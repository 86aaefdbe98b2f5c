"""Classes that cannot be learnt or judged are told before the first step."""

from __future__ import annotations

import logging

import polars as pl
import pytest

from hitlens.detector import Task
from hitlens.errors import ConfigError, DataError
from hitlens.workflow.class_checks import check_classes

TWO = Task(name="two", kind="binary", meaning="", target="c = 1", class_names=("bkg", "sig"))
THREE = Task(name="three", kind="multiclass", meaning="", target="c", class_names=("a", "b", "c"))


def events(*classes: int | None) -> pl.DataFrame:
    return pl.DataFrame({"c": pl.Series(classes, dtype=pl.Int64)})


@pytest.mark.parametrize("task", [TWO, THREE])
@pytest.mark.parametrize("classes", [(0, 0, None), (1, 1), (None,)])
def test_one_class_cannot_be_learnt(task: Task, classes: tuple[int | None, ...]) -> None:
    with pytest.raises(DataError, match=f"'{task.name}' cannot be learnt"):
        check_classes((task,), events(*classes), events(0, 1, 2), "auto")


@pytest.mark.parametrize("monitor", ["auc", "balanced_accuracy", "balanced_loss"])
def test_a_monitor_of_each_class_needs_each_class(monitor: str) -> None:
    for task, classes, absent in ((TWO, (0, 0), "sig"), (TWO, (1,), "bkg"), (THREE, (0, 2), "b")):
        with pytest.raises(ConfigError, match=rf"train\.monitor = {monitor} needs .* none of {absent}"):
            check_classes((task,), events(0, 1, 2), events(*classes), monitor)
        check_classes((task,), events(0, 1, 2), events(*classes), "accuracy")
        check_classes((task,), events(0, 1, 2), events(*classes), "loss")
    check_classes((TWO, THREE), events(0, 1, 2), events(2, 1, 0), monitor)


def test_a_class_without_training_events_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        check_classes((THREE,), events(0, 2), events(0, 1, 2), "auc")
    assert "no training event is of class b" in caplog.text
