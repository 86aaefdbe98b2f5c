"""The description of a detector."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hitlens.detector import Task, TruthColumn
from hitlens.detectors import CEBR
from hitlens.events import Events


def test_a_derived_column_is_computed_where_its_sources_are_known_and_not_yet_there():
    detector = CEBR.model_copy(
        update={
            "truth": (
                *CEBR.truth,
                TruthColumn(name="sum_mev", meaning="", expression="energy_1_mev + energy_2_mev"),
                TruthColumn(name="unknown", meaning="", expression="not_there * 2"),
            )
        }
    )
    truth = pl.DataFrame({"file": ["a"], "event": [0], "energy_1_mev": [0.5], "energy_2_mev": [0.25]})
    events = Events({"anode": np.zeros((1, 16, 16))}, truth, "cebr")
    complete = detector.complete(events)
    assert complete.truth["sum_mev"].to_list() == [0.75]
    assert "unknown" not in complete.truth.columns
    given = Events(events.images, truth.with_columns(sum_mev=pl.lit(9.0)), "cebr")
    assert detector.complete(given).truth["sum_mev"].to_list() == [9.0]


def test_labels_name_the_key_and_the_file():
    columns = (
        TruthColumn(name="file", meaning="", role="file"),
        TruthColumn(name="run", meaning="", role="key"),
        TruthColumn(name="energy", meaning=""),
    )
    detector = CEBR.model_copy(update={"truth": columns})
    assert detector.key == ("run",)
    assert detector.labels == ("file", "run")


def test_an_optional_class_must_be_one_of_the_classes():
    with pytest.raises(ValueError, match="optional class 'tau'"):
        Task(
            name="t",
            kind="multiclass",
            meaning="",
            target="a",
            class_names=("e", "mu"),
            optional_classes=("tau",),
        )


@pytest.mark.parametrize("names", [("a", "a"), ("mu", "e", "mu")])
def test_two_classes_of_one_name_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=f"two classes are called '{names[0]}'"):
        Task(name="t", kind="multiclass", meaning="", target="c", class_names=names)
