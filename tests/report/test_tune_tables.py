"""Tables of a search: every training, failed ones, the finalists."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hitlens.report.tables import Table
from hitlens.report.tune_tables import (
    failed_table,
    finalist_table,
    head_table,
    heads,
    score_is_metric,
    searched_table,
    trial_tables,
    worst_label,
)
from hitlens.report.tune_trials import of_stage
from hitlens.tune.results import TuneResults

_SPACE = "\N{NO-BREAK SPACE}"


def texts(table: Table) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]


def test_every_trial_of_a_grid_is_a_row_the_best_first(searches: dict[str, TuneResults]) -> None:
    found = searches["grid"]
    (table,) = trial_tables(found, of_stage(found, "search"), "trials")
    columns = [name.replace("\N{ZERO WIDTH SPACE}", "") for name in table.columns]
    assert columns == [
        *("trial", "dropout", "dropout_final", "last_features", "state", "accuracy", "F1", "MCC"),
        *("lowest accuracy of last 5 epochs", "best epoch", "time [s]", "latency [µs]", "parameters"),
    ]
    assert len(table.rows) == 18
    row = texts(table)[0]
    trial = found.trials[int(row[0])]
    assert trial.number == found.best[0]
    assert trial.run is not None
    assert row[1:4] == ["0.4", "0.5", "128"]
    accuracy = trial.run.heads[0].metrics[0].interval
    assert row[5].replace("\n", " ").replace(_SPACE, " ") == str(accuracy)
    assert row[8] == f"{trial.run.stability.worst:.4f}"
    assert row[9] == f"{trial.run.best_epoch + 1}{_SPACE}of{_SPACE}20"
    assert row[10:] == ["226", "63.6", "652,416"]


def test_a_score_that_is_no_metric_has_a_column(searches: dict[str, TuneResults]) -> None:
    assert score_is_metric(searches["grid"])
    assert not score_is_metric(searches["two_objectives"])
    # A pruned trial's score is that of the epoch it reached.
    assert not score_is_metric(searches["tpe"])
    found = searches["tpe"]
    (table,) = trial_tables(found, of_stage(found, "search"), "trials")
    position = table.columns.index("validation accuracy")
    pruned = next(row for row in texts(table) if "pruned" in row)
    assert pruned[position] == f"{found.trials[int(pruned[0])].objectives['score']:.4f}"


def test_states_are_said_and_coloured(searches: dict[str, TuneResults]) -> None:
    found = searches["tpe"]
    (table,) = trial_tables(found, found.trials, "trials")
    position = table.columns.index("state")
    cells = [row[position] for row in table.rows]
    assert (cells[0].text, cells[0].verdict) == ("chosen", "good")
    assert [cell.text for cell in cells].count("failed") == 3
    assert {cell.verdict for cell in cells if cell.text == "failed"} == {"bad"}
    front = searches["two_objectives"]
    (table,) = trial_tables(front, front.trials, "trials")
    states = [row[table.columns.index("state")].text for row in table.rows]
    assert states.count("on the front") == len(front.best) - 1


def test_a_regression_has_its_own_numbers(searches: dict[str, TuneResults]) -> None:
    found = searches["two_objectives"]
    (table,) = trial_tables(found, found.trials, "trials")
    assert list(table.columns[3:8]) == ["state", "validation loss", "rmse [MeV]", "bias [MeV]", "R²"]
    assert table.columns[8] == worst_label(found) == "highest loss of last 5 epochs"


def test_long_tables_come_in_parts(searches: dict[str, TuneResults]) -> None:
    found = searches["grid"]
    many = [replace(found.trials[k % 18], number=k) for k in range(130)]
    tables = trial_tables(found, many, "trials")
    assert [len(table.rows) for table in tables] == [60, 60, 10]
    assert [table.caption for table in tables[1:]] == ["Rows 61 to 120", "Rows 121 to 130"]


def test_repeats_show_their_seed(searches: dict[str, TuneResults]) -> None:
    found = searches["grid"]
    (table,) = trial_tables(found, [t for t in found.trials if t.stage != "search"], "repeats")
    position = table.columns.index("seed")
    assert sorted(row[position] for row in texts(table)) == ["1", "2", "2", "2", "3", "3", "3"]


def test_failed_trials_keep_settings_error_and_folder(searches: dict[str, TuneResults]) -> None:
    table = failed_table(searches["tpe"])
    assert table is not None
    first = texts(table)[0]
    assert first[0].startswith("6: learning_rate ")
    assert first[1:] == [
        "TrainingError: loss is not finite in epoch 3. Lower train.learning_rate.",
        "trials/0006",
    ]
    assert failed_table(searches["grid"]) is None


def test_each_of_several_heads_has_a_table(searches: dict[str, TuneResults]) -> None:
    found = searches["joint"]
    known = heads(found)
    assert list(known) == ["multiplicity", "double_energy"]
    table = head_table(found, known["double_energy"], found.trials)
    assert table.columns == ("trial", "rmse [MeV]", "bias [MeV]", "R²")
    assert len(table.rows) == 6


def test_finalists_stand_beside_the_chosen_one(searches: dict[str, TuneResults]) -> None:
    found = searches["grid"]
    rows = texts(finalist_table(found))
    assert [row[0].split(":")[0] for row in rows] == [str(one.trial) for one in found.finalists]
    for row, one in zip(rows, found.finalists, strict=True):
        assert row[1:5] == ["3", f"{one.mean:.5f}", f"{one.spread:.5f}", f"{one.worst:.5f}"]
    assert rows[0][5] == ""
    assert "[" in rows[1][5]


@pytest.mark.parametrize("name", ["grid", "tpe"])
def test_what_was_searched_is_listed_with_its_path(searches: dict[str, TuneResults], name: str) -> None:
    found = searches[name]
    rows = texts(searched_table(found))
    assert [row[0] for row in rows] == [parameter.path for parameter in found.parameters]
    assert rows[0][1] == {"grid": "0.4, 0.5, 0.6", "tpe": "0.0001 to 0.01, logarithmic"}[name]


def test_uneven_classes_are_judged_by_more_than_accuracy(searches: dict[str, TuneResults]) -> None:
    found = searches["grid"]
    names = ("accuracy", "f1", "mcc", "balanced_accuracy", "auc")

    def columns(counts: tuple[int, int], which: tuple[str, ...]) -> tuple[str, ...]:
        trial = found.trials[0]
        assert trial.run is not None
        metrics = tuple(replace(trial.run.heads[0].metrics[0], name=name) for name in which)
        head = replace(trial.run.heads[0], metrics=metrics, class_counts=counts)
        return head_table(found, head, [replace(trial, run=replace(trial.run, heads=(head,)))]).columns[1:]

    assert columns((2000, 2000), names) == ("accuracy", "F1", "MCC")
    assert columns((3900, 100), names) == ("accuracy", "F1", "MCC", "balanced accuracy", "AUC")
    without = tuple(name for name in names if name != "f1")
    assert columns((2000, 2000), without) == ("accuracy", "MCC", "balanced accuracy")
