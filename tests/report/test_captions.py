"""What stands over a picture: truth in words, and the answers asked for."""

from __future__ import annotations

import polars as pl

from hitlens.report.captions import LETTERS, event_captions, quantity_text, true_words


def test_truth_is_in_words_and_answers_are_those_of_the_heads(two_views, make_two_view_predictions) -> None:
    predictions, _ = make_two_view_predictions(30)
    flavour, energy = predictions.head("flavour"), predictions.head("nu_energy")
    captions = event_captions(predictions, two_views, [flavour, energy])
    codes = dict(two_views.truth[3].codes)
    for caption, row in zip(captions, predictions.table.to_dicts(), strict=True):
        first, *rest = caption.split("\n")
        assert first.startswith(f"{codes[row['true_interaction']]}, E = ")
        assert first.endswith(" GeV")
        answers = " ".join(rest)
        key = [f"{name} {row[name]}" for name in two_views.key if name != "file"]
        assert answers.endswith(", ".join(key))
        assert f"flavour: called {row['pred_flavour']}, score " in answers
        assert (f"(true {row['true_flavour']})" in answers) == (row["pred_flavour"] != row["true_flavour"])
        assert "nu_energy: predicted " in answers
        assert "numu_cc" not in answers
        assert all(len(line) <= LETTERS for line in rest)


def test_unknown_truth_and_unknown_codes_are_said(two_views) -> None:
    assert true_words({"interaction": None, "nuenergy": float("nan")}, two_views) == "truth unknown"
    assert true_words({"interaction": 99, "nuenergy": 0.5}, two_views) == "interaction 99, E = 0.50 GeV"


def test_events_without_truth_still_have_a_caption(two_views, make_two_view_predictions) -> None:
    predictions, _ = make_two_view_predictions(3)
    bare = predictions.with_table(predictions.table.select(pl.exclude("^true_.*$")))
    captions = event_captions(bare, two_views, bare.heads)
    assert all(caption.startswith("truth unknown\nnumu_cc: score ") for caption in captions)


def test_digits_follow_the_size() -> None:
    assert quantity_text("E", 123.4, "GeV") == "E = 123 GeV"
    assert quantity_text("n", 1234, "") == "n = 1,234"
