"""What a search found, in sentences."""

from __future__ import annotations

from dataclasses import replace

from hitlens.report.tune_seeds import scatter_of_seeds
from hitlens.report.tune_words import (
    evaluate_command,
    how_many_are_alike,
    means_over_seeds,
    reading_note,
    summary,
    what_longer_training_gave,
    what_they_were_judged_by,
    what_was_best,
    what_was_chosen,
    what_was_tried,
)
from hitlens.tune.results import TrialResult, TuneResults


def test_what_was_tried_is_counted(searches: dict[str, TuneResults]) -> None:
    assert what_was_tried(searches["grid"]) == (
        "18 trials, a grid of every combination of dropout (0.4, 0.5, 0.6), dropout_final (0.4, 0.5, 0.6) "
        "and "
        "last_features (64, 128). All finished; 2 went on after their process had died. All trainings "
        "together "
        "took 2.7 h."
    )
    tpe = what_was_tried(searches["tpe"])
    assert "40 trials, with settings proposed from the trials before (TPE): learning_rate (0.0001 to" in tpe
    assert "29 finished, 8 were ended early because others were better and 3 failed." in tpe
    assert what_was_tried(searches["single"]).startswith("1 trial, ")


def test_objectives_are_named_with_their_direction(searches: dict[str, TuneResults]) -> None:
    assert what_they_were_judged_by(searches["grid"]) == (
        "Judged by validation accuracy (higher is better), on 4,000 validation events."
    )
    several = what_they_were_judged_by(searches["two_objectives"])
    assert "time to predict an event (lower is better) and parameters (lower is better)" in several
    assert f"{len(searches['two_objectives'].best)} trials are beaten by no other one" in several


def test_the_best_and_those_like_it(searches: dict[str, TuneResults]) -> None:
    found = searches["grid"]
    best = found.trials[found.best[0]]
    assert best.run is not None
    assert what_was_best(found) == (
        f"Best validation accuracy: trial {best.number} (dropout 0.4, dropout_final 0.5, last_features 128) "
        "with "
        f"{best.objectives['score']:.4f}, the lowest of its last 5 epochs {best.run.stability.worst:.4f}."
    )
    interval = best.run.heads[0].metrics[0].interval
    assert interval is not None
    inside = sum(interval.contains(trial.objectives["score"]) for trial in found.trials[:18]) - 1
    assert f"{interval}; {inside} of the 17 other finished trials" in how_many_are_alike(found)
    assert how_many_are_alike(searches["single"]) == ""
    assert how_many_are_alike(searches["joint"]) == ""


def test_differences_within_the_luck_of_the_seeds_are_said_to_be(searches: dict[str, TuneResults]) -> None:
    found = searches["grid"]
    text = " ".join(means_over_seeds(found))
    for one in found.finalists:
        assert f"trial {one.trial}: {one.mean:.4f} \N{PLUS-MINUS SIGN} {one.spread:.4f}" in text
    others = " and ".join(str(one.trial) for one in found.finalists[1:])
    assert f"The chosen one and trials {others} differ by no more than the luck of their seeds (95 %)" in text
    assert f"One training scatters by {scatter_of_seeds(found):.2g} from seed to seed" in text


def test_differences_beyond_the_luck_of_the_seeds_are_said_to_be(searches: dict[str, TuneResults]) -> None:
    found = searches["grid"]
    last = found.finalists[-1]

    def lowered(trial: TrialResult) -> TrialResult:
        if trial.number not in last.trials:
            return trial
        return replace(trial, objectives={"score": trial.objectives["score"] - 0.2})

    text = " ".join(means_over_seeds(replace(found, trials=tuple(map(lowered, found.trials)))))
    assert f"From trial {last.trial} it differs by more than the luck of the seeds (95 %)." in text
    alone = replace(last, trials=last.trials[:1])
    one_seed = replace(found, finalists=(*found.finalists[:-1], alone))
    assert f"no telling it from trial {last.trial}." in " ".join(means_over_seeds(one_seed))


def test_without_repeats_the_luck_is_said_to_be_unknown(searches: dict[str, TuneResults]) -> None:
    (text,) = means_over_seeds(searches["tpe"])
    assert text.startswith("Nothing was repeated with another seed")


def test_the_choice_and_its_reason(searches: dict[str, TuneResults]) -> None:
    found = searches["grid"]
    assert what_was_chosen(found).endswith(f"last_features 128). {found.reason}")
    assert what_was_chosen(searches["joint"]) == "No settings were chosen yet."


def test_the_longer_training_is_judged_by_the_scatter(searches: dict[str, TuneResults]) -> None:
    found = searches["grid"]
    text = what_longer_training_gave(found)
    assert found.longer is not None
    after = found.trials[found.longer].objectives["score"]
    gain = after - found.finalists[0].mean
    assert text.startswith("Trained for 60 epochs instead of 20, the chosen settings reach ")
    assert f"{after:.4f} against " in text
    assert f"that is {gain:.4f} better than the mean over the seeds" in text
    assert what_longer_training_gave(searches["tpe"]) == ""
    lost = replace(
        found.trials[found.longer], state="failed", objectives={}, run=None, error="Out of memory."
    )
    failed = replace(found, trials=(*found.trials[: found.longer], lost))
    assert what_longer_training_gave(failed) == "Training the chosen settings longer failed: Out of memory."
    assert evaluate_command(failed) == f"hitlens evaluate trials/{found.chosen:04d}"


def test_the_test_split_was_not_read_and_how_to_read_it(searches: dict[str, TuneResults]) -> None:
    assert reading_note(searches["grid"]).startswith("The test split was not read.")
    assert "the best of 25 trainings looks better there than it is" in reading_note(searches["grid"])
    assert "the best of" not in reading_note(searches["single"])
    assert evaluate_command(searches["grid"]) == "hitlens evaluate longer"
    assert evaluate_command(searches["tpe"]) == f"hitlens evaluate trials/{searches['tpe'].chosen:04d}"
    assert evaluate_command(searches["joint"]) == "hitlens evaluate FOLDER"


def test_the_summary_is_a_few_paragraphs(searches: dict[str, TuneResults]) -> None:
    assert len(summary(searches["grid"])) == 4
    assert len(summary(searches["single"])) == 3
    assert all(text.endswith(".") for found in searches.values() for text in summary(found))
