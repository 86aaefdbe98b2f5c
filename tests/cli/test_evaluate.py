"""`hitlens evaluate` and `hitlens report`, in process."""

from __future__ import annotations

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from hitlens.cli.evaluate import evaluate
from hitlens.cli.report import report
from hitlens.detectors.cebr import DETECTOR
from hitlens.errors import RunError
from hitlens.workflow import evaluation, reporting


@pytest.fixture(autouse=True)
def without_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their figures take most of the time of an evaluation."""
    quick = DETECTOR.model_copy(update={"slices": ()})
    for module in (evaluation, reporting):
        monkeypatch.setattr(module, "get_detector", lambda name: quick)


def run(command, *arguments):
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "120"})


def test_a_run_is_evaluated_once_and_its_report_written_again(make_run) -> None:
    folder = make_run("single_energy", 90)
    done = run(evaluate, folder, "--no-baselines", "--cut", "0.6")
    assert done.exit_code == 0, done.output
    for part in ("Results on the test split", "rmse of energy", "metrics.json", "report.html"):
        assert part in done.output
    (folder / "report.html").unlink()
    done = run(report, folder)
    assert done.exit_code == 0, done.output
    assert (folder / "report.html").is_file()
    again = run(evaluate, folder)
    assert isinstance(again.exception, RunError)
    assert run(evaluate, folder, "--again", "--split", "validation", "--no-baselines").exit_code == 0


def test_events_without_an_answer_are_counted_on_the_terminal_and_on_the_page(
    make_run, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_run("single_energy", 90)
    read = evaluation.read_run_predictions

    def with_two_missing(path):
        predictions = read(path)
        nth = pl.int_range(pl.len()).over("split")
        missing = pl.when((pl.col("split") == "test") & (nth < 2) & (pl.col("true_energy_2_mev") == 0))
        holes = [missing.then(None).otherwise(pl.col(c)).alias(c) for c in ("pred_energy_1_mev",)]
        return predictions.with_table(predictions.table.sort("true_energy_2_mev").with_columns(holes))

    monkeypatch.setattr(evaluation, "read_run_predictions", with_two_missing)
    done = run(evaluate, folder, "--no-baselines")
    assert done.exit_code == 0, done.output
    assert "2 prediction not finite" in done.output
    assert "prediction not finite" in (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_likelihood_fit_stands_beside_the_model(make_run) -> None:
    folder = make_run("multiplicity", 90)
    done = run(evaluate, folder, "--baseline-events", "20")
    assert done.exit_code == 0, done.output
    assert "likelihood fit" in (folder / "report.html").read_text(encoding="utf-8")
