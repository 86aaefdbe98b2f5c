"""The description of NOvA: every expression can be evaluated, and means what it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hitlens.detector import SliceVariable, Task, TruthLaw
from hitlens.detectors.nova import DETECTOR
from hitlens.detectors.nova.description import COUNT_MEV
from hitlens.events import Events, evaluate_condition, evaluate_expression

Make = Callable[..., Events]


@pytest.fixture(scope="module")
def truth(make_nova: Make) -> pl.DataFrame:
    made = make_nova(400).truth
    return made.with_columns(seen_hits=pl.lit(150), seen_charge=pl.lit(2000))


def test_columns_are_those_of_the_files(make_nova: Make) -> None:
    assert make_nova(3).truth.columns == [column.name for column in DETECTOR.truth]
    assert DETECTOR.key == ("run", "subrun", "evt", "subevt", "cycle")
    assert DETECTOR.labels == ("file", *DETECTOR.key)


@pytest.mark.parametrize(
    "task", [task for task in DETECTOR.tasks if task.kind != "joint"], ids=lambda t: t.name
)
def test_tasks_have_a_target_for_every_event_they_select(task: Task, truth: pl.DataFrame) -> None:
    chosen = truth.filter(pl.Series(evaluate_condition(truth, task.selection)))
    assert len(chosen)
    if task.is_classification:
        target = evaluate_expression(chosen, task.target).cast(pl.Int64)
        assert target.null_count() == 0
        n_classes = len(task.class_names) - len(task.optional_classes)
        assert sorted(target.unique()) == list(range(n_classes))
    for column in task.target_columns:
        assert np.isfinite(chosen[column].to_numpy()).all()
        assert DETECTOR.unit(column) == task.units[task.target_columns.index(column)]


def test_heads_are_tasks() -> None:
    for task in DETECTOR.tasks:
        assert all(DETECTOR.task(head).kind != "joint" for head in task.heads)
    assert len(DETECTOR.task("joint").heads) == 10


@pytest.mark.parametrize("variable", DETECTOR.slices, ids=lambda v: v.name)
def test_slices(variable: SliceVariable, truth: pl.DataFrame) -> None:
    chosen = truth.filter(pl.Series(evaluate_condition(truth, variable.selection)))
    values = evaluate_expression(chosen, variable.expression).drop_nulls().cast(pl.Float64)
    assert len(values)
    assert values.min() >= variable.edges[0]
    assert values.max() <= variable.edges[-1]
    assert list(variable.edges) == sorted(variable.edges)
    assert len(variable.labels) in (0, len(variable.edges) - 1)


def test_muon_energy_is_the_lepton_s_in_numu_cc_only(truth: pl.DataFrame) -> None:
    (variable,) = (v for v in DETECTOR.slices if v.name == "muon_energy_gev")
    chosen = truth.filter(pl.Series(evaluate_condition(truth, variable.selection)))
    assert set(chosen["interaction"]) == {0, 1, 2, 3}
    assert variable.expression == "lepenergy"


@pytest.mark.parametrize("law", DETECTOR.laws, ids=lambda law: law.name)
def test_laws_can_be_checked(law: TruthLaw, truth: pl.DataFrame) -> None:
    chosen = truth.filter(pl.Series(evaluate_condition(truth, law.selection)))
    assert evaluate_condition(chosen, law.expression).shape == (len(chosen),)
    assert 0 <= law.low <= law.high <= 1


def test_views_and_symmetries() -> None:
    x, y = DETECTOR.views
    assert (x.name, x.shape, x.dtype, y.name) == ("x", (100, 80), "uint8", "y")
    assert x.pitch_mm == (133.2, 39.7)
    assert set(x.axes) & set(y.axes) == {"plane"}
    for symmetry in DETECTOR.symmetries:
        assert set(symmetry.flips) <= {"x_cell", "y_cell"}
        assert not symmetry.truth
    assert COUNT_MEV == 1.085


def test_published_results_are_of_our_tasks() -> None:
    assert {result.task for result in DETECTOR.published} <= {task.name for task in DETECTOR.tasks}
    values = {(r.task, r.value) for r in DETECTOR.published}
    assert {
        ("numu_cc", ".825"),
        ("nue_cc", ".988"),
        ("flavour", ".827"),
        ("lepton_fraction", ".0449"),
    } <= values


def test_downloads_are_numbered() -> None:
    assert [file.number for file in DETECTOR.downloads] == list(range(1, 201))
    assert DETECTOR.downloads[9].url.endswith("/nova/neutrino10.h5")
    assert Path(DETECTOR.downloads[9].url).name == DETECTOR.downloads[9].name
