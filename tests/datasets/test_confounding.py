"""Classes in files of their own are told; mixed files, and files of a few events, are not."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hitlens.datasets.confounding import class_and_file, told_by_file
from hitlens.detectors import get_detector

NAMES = ("muon", "pion", "proton")


def told(files: list[str], classes: np.ndarray) -> str:
    return class_and_file(pl.Series(files), classes, NAMES, "particle")


def test_a_class_a_file_is_told_with_the_files() -> None:
    files = ["mu.h5"] * 30 + ["pi_1.h5"] * 20 + ["pi_2.h5"] * 20 + ["pi_3.h5"] * 20 + ["p.h5"] * 40
    sentence = told(files, np.repeat([0, 1, 2], [30, 60, 40]))
    assert "muon in mu.h5; pion in pi_1.h5, pi_2.h5 and 1 more; proton in p.h5" in sentence
    assert "100.0%" in sentence


def test_a_few_events_elsewhere_do_not_help() -> None:
    classes = np.repeat([0, 1], 500)
    classes[:10] = 1
    assert "99.0%" in told(["a"] * 500 + ["b"] * 500, classes)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_files_that_hold_several_classes_are_fine(share: float) -> None:
    """Even where one class has most of the events of a file."""
    rng = np.random.default_rng(1)
    files = rng.random(2000) < 0.5
    classes = np.where(rng.random(2000) < share, 1 - files, files).astype(np.int64)
    assert told(np.where(files, "a", "b").tolist(), classes) == ""


def test_a_rare_class_in_all_files_is_fine() -> None:
    rng = np.random.default_rng(2)
    files = rng.choice(["a", "b", "c"], 3000).tolist()
    assert told(files, (rng.random(3000) < 0.01).astype(np.int64)) == ""


def test_a_rare_class_in_a_file_of_its_own_is_told() -> None:
    assert told(["a"] * 2000 + ["b"] * 20, np.repeat([0, 1], [2000, 20]))


def test_a_file_an_event_says_nothing() -> None:
    assert told([f"{number}.png" for number in range(100)], np.arange(100) % 2) == ""


def test_one_class_one_file_and_no_class_are_nothing_to_tell() -> None:
    assert told(["a"] * 50 + ["b"] * 50, np.zeros(100, np.int64)) == ""
    assert told(["a"] * 100, np.arange(100) % 2) == ""
    assert told(["a"] * 50 + ["b"] * 50, np.full(100, -1)) == ""


def test_heads_are_looked_at_on_the_chosen_rows() -> None:
    detector = get_detector("cebr")
    truth = pl.DataFrame({"file": ["a"] * 20 + ["b"] * 20 + ["c"] * 40, "event": range(80)})
    truth = truth.with_columns(n_electrons=pl.Series([1] * 20 + [2] * 20 + [1, 2] * 20))
    head = detector.task("multiplicity")
    [sentence] = told_by_file(truth, [head, detector.task("single_position")][:1], np.arange(40))
    assert sentence.startswith("Task 'multiplicity'")
    assert told_by_file(truth, [head], np.arange(80)) == ()
    assert told_by_file(truth.drop("file"), [head], np.arange(40)) == ()
