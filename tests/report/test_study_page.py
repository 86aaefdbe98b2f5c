"""The page of a study: question, answer with intervals, how it trained; needs no network."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hitlens.evaluate.results import Histogram, MetricResult, Reading, SliceResult
from hitlens.evaluate.study import (
    StudyResults,
    VariantHead,
    VariantResult,
    read_study,
    stability,
    write_study,
)
from hitlens.metrics.interval import Interval
from hitlens.report.study_figures import close_range, input_panels
from hitlens.report.study_page import (
    answer_table,
    answers,
    constant_notes,
    reading_warning,
    render_study,
    settings_table,
    slice_figures,
    training_table,
    weights_sentence,
)


def metric(name: str, value: float, half: float = 0.01, column: str = "") -> MetricResult:
    return MetricResult(name, Interval(value, value - half, value + half), column, "px" if column else "")


def variant(name: str, accuracy: float, difference: float | None, scores: list[float]) -> VariantResult:
    differences = () if difference is None else (metric("accuracy", difference), metric("f1", difference))
    head = VariantHead(
        "multiplicity", 500, (metric("accuracy", accuracy), metric("f1", accuracy)), differences
    )
    epochs = range(len(scores))
    history = {"epoch": tuple(map(float, epochs)), "val_metric": tuple(scores), "lr": (0.1,) * len(scores)}
    history |= {loss: tuple(0.5**epoch for epoch in epochs) for loss in ("train_loss", "val_loss")}
    counts = {name: (1000, 10, 0, 1)}
    return VariantResult(
        name=name,
        settings={"model.scaling": name},
        heads=(head,),
        history=history,
        best_epoch=int(np.argmax(scores)),
        stability=stability(scores, True),
        seconds=1234.5,
        n_parameters=326_081,
        initial_weights="ab" * 32,
        inputs=(Histogram("anode", "scaled pixel value", (0.0, 0.25, 0.5, 0.75, 1.0), counts),),
    )


@pytest.fixture
def study() -> StudyResults:
    return StudyResults(
        title="Scaling & more",
        question="Which <scaling> is better?",
        detector="cebr",
        task="multiplicity",
        monitor="val_accuracy",
        higher_is_better=True,
        n_events_by_split={"train": 1500, "validation": 500, "test": 500},
        split_hash="cd" * 32,
        level=0.95,
        n_bootstrap=50,
        constants={"multiplicity": (metric("accuracy", 0.5), metric("f1", 0.0))},
        variants=(
            variant("linear", 0.9, None, [0.5, 0.8, 0.7, 0.9]),
            variant("log1p", 0.95, 0.05, [0.5, 0.9, 0.94, 0.95]),
            variant("sqrt", 0.905, 0.005, [0.5, 0.7, 0.905, 0.9]),
        ),
        machine={"processor": "made"},
        settings="detector: cebr\n",
    )


def texts(rows: tuple[tuple[object, ...], ...]) -> list[list[str]]:
    return [[cell.text for cell in row] for row in rows]  # type: ignore[attr-defined]


def test_the_answer_says_better_only_beyond_the_interval(study: StudyResults) -> None:
    better, alike = answers(study, 0)
    assert better.startswith("log1p is better than linear: accuracy 0.950 [0.940, 0.960] against 0.900 [")
    assert "difference 0.050 [0.040, 0.060]" in better
    assert alike.startswith("sqrt and linear do not differ beyond the interval: accuracy")
    worse = replace(study, variants=(study.variants[0], variant("log1p", 0.85, -0.05, [0.85])))
    assert answers(worse, 0)[0].startswith("log1p is worse than linear")


def test_less_error_is_better(study: StudyResults) -> None:
    def changed(one: VariantResult, difference: float) -> VariantResult:
        errors = (metric("rmse", 0.5, column="x_px"), metric("rmse", 0.5, column="x_px, y_px"))
        paired = (
            tuple(metric("rmse", difference, column=e.column) for e in errors)
            if one.heads[0].differences
            else ()
        )
        return replace(one, heads=(VariantHead("single_position", 500, errors, paired),))

    variants = tuple(changed(one, -0.1) for one in study.variants[:2])
    regression = replace(study, variants=variants, constants={})
    assert answers(regression, 0)[0].startswith("log1p is better than linear: rmse of x and y 0.500")
    # x alone is part of x and y.
    assert [row[0] for row in texts(answer_table(regression, 0).rows)] == ["rmse of x and y", ""]


def test_the_answer_table_sets_all_variants_and_a_constant_side_by_side(study: StudyResults) -> None:
    table = answer_table(study, 0)
    assert [row[:2] for row in texts(table.rows)] == [
        ["accuracy", "linear"],
        ["", "log1p"],
        ["", "sqrt"],
        ["", "constant answer"],
    ]
    assert [row[3].verdict for row in table.rows] == ["", "good", "", ""]
    assert "validation split" in table.caption


def test_stability_and_cost_are_shown(study: StudyResults) -> None:
    table = training_table(study.variants, "accuracy", True)
    assert table.columns[3] == "lowest of last 4"
    assert texts(table.rows)[0] == [
        *("linear", "4 of 4", "0.9", "0.5", "0.4", "0.4", "1,234 s", "326,081", "abababab")
    ]


def test_equal_initial_weights_are_said_to_be_equal(study: StudyResults) -> None:
    a, b, c = study.variants
    assert weights_sentence((a, b, c)) == "All variants began with the same initial weights."
    other = replace(c, initial_weights="00" * 32)
    assert "had linear and log1p. Other" in weights_sentence((a, b, other))
    assert "networks differ" in weights_sentence((a, other))


def test_only_what_differs_is_listed(study: StudyResults) -> None:
    table = settings_table(study.variants)
    assert table.columns == ("setting", "linear", "log1p", "sqrt")
    assert texts(table.rows) == [["model.scaling", "linear", "log1p", "sqrt"]]


def test_variants_with_one_input_share_a_panel(study: StudyResults) -> None:
    first, second, _ = study.variants
    same = replace(second, inputs=first.inputs)
    assert [title for title, _ in input_panels((first, same))] == ["linear, log1p"]
    assert [title for title, _ in input_panels((first, second))] == ["linear", "log1p"]
    two_views = replace(first, inputs=(*first.inputs, replace(first.inputs[0], name="side")))
    assert [title for title, _ in input_panels((two_views,))] == ["linear (anode)", "linear (side)"]


def test_the_close_up_holds_the_best_epoch() -> None:
    scores = [np.array([0.5, 0.98, 0.99]), np.array([0.6, np.nan, 0.97])]
    low, high = close_range(scores, True)
    assert 0.9 < low < 0.97 < 0.99 < high
    low, high = close_range([np.array([5.0, 0.2, 0.1])], False)
    assert low < 0.1 < 0.2 < high < 1
    low, high = close_range([np.array([0.5, 0.5])], True)
    assert low < 0.5 < high


def test_the_page_is_whole_and_says_what_was_not_used(study: StudyResults) -> None:
    page = render_study(study)
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert all(address.startswith(("data:", "#")) for address in addresses)
    for name in ("answer", "training", "inputs", "settings", "provenance"):
        assert f'id="{name}"' in page
    assert "Which &lt;scaling&gt; is better?" in page
    assert "No number here is from the test split" in page
    alternatives = re.findall(r'<img [^>]*alt="([^"]*)"', page)
    assert len(alternatives) == 3
    assert min(map(len, alternatives)) > 40
    assert "<script" not in page


def test_the_page_stands_after_one_epoch_without_inputs(study: StudyResults) -> None:
    short = [replace(variant(v.name, 0.9, 0.0, [0.9]), inputs=()) for v in study.variants]
    page = render_study(replace(study, variants=tuple(short)))
    assert 'id="inputs"' not in page
    assert "lowest of last<" in page


def test_results_come_back_from_their_file(study: StudyResults, tmp_path: Path) -> None:
    assert read_study(write_study(study, tmp_path / "study.json")) == study


def rare(study: StudyResults) -> StudyResults:
    """A study of a rare signal: the constant answer is accurate and worthless."""
    names = ("accuracy", "balanced_accuracy", "auc")

    def changed(
        one: VariantResult, values: tuple[float, ...], differences: tuple[float, ...]
    ) -> VariantResult:
        head = VariantHead(
            "nue",
            1000,
            tuple(map(metric, names, values)),
            tuple(map(metric, names, differences)),
            class_names=("other", "nue CC"),
            class_counts=(988, 12),
        )
        return replace(one, heads=(head,))

    natural = changed(study.variants[0], (0.988, 0.55, 0.8), ())
    balanced = changed(study.variants[1], (0.9, 0.8, 0.81), (-0.088, 0.25, 0.005))
    constants = {"nue": tuple(map(metric, names, (0.988, 0.5, 0.5)))}
    return replace(study, variants=(natural, balanced), constants=constants)


def test_the_accuracy_paradox_is_said(study: StudyResults) -> None:
    accuracy, balanced, auc = answers(rare(study), 0)
    assert accuracy.startswith("log1p is worse than linear: accuracy")
    assert balanced.startswith("log1p is better than linear: balanced accuracy")
    assert auc.startswith("log1p and linear do not differ beyond the interval: AUC")
    (note,) = constant_notes(rare(study), 0)
    assert note.startswith("nue: 988 of 1,000 events are other.")
    assert "accuracy 0.988 [0.978, 0.998] and balanced accuracy 0.500" in note
    assert constant_notes(study, 0) == []


def test_readings_of_the_test_split_are_listed(study: StudyResults) -> None:
    assert "No number here is from the test split" in reading_warning(study)
    first = Reading("2026-11-22T03:00:00+00:00", "test", 0.5, "study")
    once = replace(study, split="test", readings=(first,))
    assert reading_warning(once).endswith("Read 2026-11-22 03:00 (by study).")
    twice = replace(once, readings=(first, replace(first, by="evaluate")))
    assert "It was read 2 times" in reading_warning(twice)
    assert "compared on the same 500 events of the test split" in render_study(once).replace("\n", " ")


def test_variants_shown_different_events_are_said_to_be(study: StudyResults) -> None:
    numbers = zip(study.variants, (1500, 700, 800), strict=True)
    some = replace(study, variants=tuple(replace(one, n_train=n) for one, n in numbers))
    assert "trained on 700 to 1,500 events of one training split" in render_study(some)


def test_variants_stand_side_by_side_in_slices(study: StudyResults) -> None:
    def sliced(one: VariantResult) -> VariantResult:
        found = tuple(
            SliceResult(
                "e",
                "energy",
                "GeV",
                "model",
                name,
                "",
                "",
                (0.0, 1.0, 2.0),
                (9, 9),
                (Interval(0.5, 0.4, 0.6), None),
            )
            for name in ("accuracy", "signal_efficiency", "background_rejection")
        )
        return replace(one, heads=(replace(one.heads[0], slices=found),))

    (figure,) = slice_figures(replace(study, variants=tuple(map(sliced, study.variants))))
    assert figure.name == "multiplicity_against_e"
    assert "signal efficiency of log1p 0.5, none" in figure.alt
    assert "accuracy" not in figure.alt
    assert slice_figures(study) == ()
