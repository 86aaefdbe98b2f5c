"""The page of a search: whole, self-contained, with the numbers of the results, and what is missing said."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import pytest

from hitlens.detectors import get_detector
from hitlens.report.tune_page import (
    longer_training,
    render_tuning,
    what_is_missing,
)
from hitlens.report.tune_trials import finished, fixed, score_decimals
from hitlens.tune.results import TuneResults

NAMES = ("grid", "tpe", "two_objectives", "single", "joint")


@pytest.fixture(scope="module")
def pages(searches: dict[str, TuneResults]) -> dict[str, str]:
    return {name: render_tuning(found, get_detector(found.detector)) for name, found in searches.items()}


def words(page: str) -> str:
    """The text of a page without its tags."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", page)))


@pytest.mark.parametrize("name", NAMES)
def test_every_page_is_whole_and_needs_no_network(pages: dict[str, str], name: str) -> None:
    page = pages[name]
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert all(address.startswith(("data:", "#")) for address in addresses)
    inside = set(re.findall(r'<section id="([^"]*)"', page))
    assert {address[1:] for address in addresses if address.startswith("#")} <= inside
    assert "<script" not in page
    alternatives = re.findall(r'<img [^>]*alt="([^"]*)"', page)
    assert min(map(len, alternatives)) > 40
    assert len(alternatives) == len(re.findall("<figcaption>", page))
    assert "nan" not in words(page).lower().split()
    assert "The test split was not read." in words(page)


def test_the_numbers_of_the_results_are_on_the_page(
    searches: dict[str, TuneResults], pages: dict[str, str]
) -> None:
    found, text = searches["grid"], words(pages["grid"])
    n = score_decimals(found)
    for trial in found.trials:
        assert trial.run is not None
        for metric in trial.run.heads[0].metrics:
            assert re.sub(r"\s+", " ", str(metric.interval)) in text
        assert fixed(trial.run.stability.worst, n) in text
        assert f"{trial.run.n_parameters:,}" in text
        assert f"{trial.run.best_epoch + 1} of {len(trial.run.history['val_metric'])}" in text
    assert "Dropout and width &amp; more" in pages["grid"]
    assert "&lt;classifies&gt;" in pages["grid"]
    assert "<code>hitlens evaluate longer</code>" in pages["grid"]
    assert found.reason in text


def test_failed_trials_stand_there_with_their_errors(pages: dict[str, str]) -> None:
    text = words(pages["tpe"])
    assert text.count("TrainingError: loss is not finite in epoch 3. Lower train.learning_rate.") == 3
    assert text.count(" failed ") >= 3
    assert "trials/0017" in text


def test_what_cannot_be_drawn_is_left_out_with_a_sentence(
    searches: dict[str, TuneResults], pages: dict[str, str]
) -> None:
    for section in ("maps", "overview", "seeds", "longer"):
        assert f'id="{section}"' not in pages["single"]
        assert f'id="{section}"' in pages["grid"]
    missing = " ".join(what_is_missing(searches["single"]))
    for sentence in (
        "there is 1.",
        "two settings that take few values",
        "With one objective there is no front",
        "No trial was repeated with other seeds.",
        "were not trained longer.",
        "Too few trials finished to say which setting matters.",
    ):
        assert sentence in missing
        assert sentence in words(pages["single"])
    assert what_is_missing(searches["grid"]) == ["With one objective there is no front of compromises."]


def test_figures_come_as_the_search_allows(pages: dict[str, str]) -> None:
    figures = {
        "in the order they were begun": ("grid", "tpe", "two_objectives", "joint"),
        "Every finished trial is a line": ("grid", "tpe", "two_objectives", "joint"),
        "against each setting, the other settings": ("grid", "tpe", "two_objectives", "joint"),
        "How much of the scatter": ("grid", "tpe", "two_objectives"),
        "Numbered diamonds": ("two_objectives",),
        "Brighter is better; the frame": ("grid", "tpe"),
        "validation events by true (row)": ("grid", "tpe", "single", "joint"),
    }
    for sentence, names in figures.items():
        shown = tuple(name for name in NAMES if sentence in words(pages[name]))
        assert shown == names, sentence


def test_captions_say_what_a_map_is_of(pages: dict[str, str]) -> None:
    assert "one panel for each last_features" in words(pages["grid"])
    assert "A cell is the mean" not in words(pages["grid"])
    assert "averaged over learning_rate and weight_decay" in words(pages["tpe"])


def test_of_many_trials_the_best_are_drawn_and_it_is_said(pages: dict[str, str]) -> None:
    tpe, grid = words(pages["tpe"]), words(pages["grid"])
    assert tpe.count("Of 37 trials the best 36 are shown.") == 2
    assert "Grey is what a pruned trial was spared." in tpe
    assert "are shown" not in grid
    assert grid.count("its number, then dropout / dropout_final / last_features") == 2
    (confusion,) = re.findall(r'alt="(Confusion matrices[^"]*)"', pages["grid"])
    assert confusion.count("trial ") == 18


def test_the_longer_training_stands_beside_that_of_the_search(searches: dict[str, TuneResults]) -> None:
    found = longer_training(searches["grid"])
    assert found is not None
    table, figures = found
    assert [row[0].text for row in table.rows] == ["in the search, 20 epochs", "longer, 60 epochs"]
    assert [figure.name for figure in figures] == ["metric", "losses"]
    assert longer_training(searches["tpe"]) is None


def test_numbers_of_several_heads_have_tables_of_their_own(pages: dict[str, str]) -> None:
    assert "<summary>multiplicity</summary>" in pages["joint"]
    assert "<summary>double_energy</summary>" in pages["joint"]
    assert "<summary>multiplicity</summary>" not in pages["grid"]


def test_a_search_in_which_nothing_finished_has_a_page(searches: dict[str, TuneResults]) -> None:
    found = searches["tpe"]
    lost = tuple(t for t in found.trials if t.state == "failed")
    page = words(render_tuning(replace(found, trials=lost, best=(), chosen=None), get_detector("cebr")))
    assert "No trial finished, so there is nothing to choose from." in page
    assert "3 trials" in page
    none = words(render_tuning(replace(found, trials=(), best=(), chosen=None), get_detector("cebr")))
    assert "None was begun." in none


def test_trials_without_numbers_do_not_break_the_page(searches: dict[str, TuneResults]) -> None:
    found = searches["grid"]
    bare = []
    for trial in found.trials[:4]:
        assert trial.run is not None
        history = {name: values[:1] for name, values in trial.run.history.items()}
        run = replace(trial.run, heads=(), history={**history, "val_loss": (None,)}, best_epoch=0)
        bare.append(replace(trial, run=run, confusion={}, latency_us=None))
    odd = (replace(bare[0], objectives={"score": float("nan")}), *bare[1:])
    changed = replace(found, trials=odd, finalists=(), longer=None)
    assert len(finished(changed)) == 3
    assert "Best validation accuracy" in words(render_tuning(changed, get_detector("cebr")))
