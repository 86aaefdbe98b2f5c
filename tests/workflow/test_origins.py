"""Numbers of several runs are refused when one of them holds another model than they were made from."""

from __future__ import annotations

from pathlib import Path

import pytest

from hitlens.errors import RunError
from hitlens.evaluate.results import Reading
from hitlens.workflow import runs
from hitlens.workflow.origins import check_models, is_of_this_model, models_of, note_readings, readings_of


def test_a_run_trained_again_makes_the_page_of_several_outdated(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / runs.MODEL).write_text(name)
    (tmp_path / "study.json").write_text("numbers")
    expected = models_of(tmp_path, ["one", "two", "never trained"])
    assert sorted(expected) == ["one", "two"]
    check_models(tmp_path, expected, ["study.json"], "--resume")
    (tmp_path / "two" / runs.MODEL).write_text("again")
    with pytest.raises(RunError, match=r"two was trained again .* --resume"):
        check_models(tmp_path, expected, ["study.json", "study.html"], "--resume")
    assert (tmp_path / "outdated" / "1" / "study.json").read_text() == "numbers"
    assert not (tmp_path / "study.json").exists()


def test_models_that_were_thrown_away_leave_the_numbers(tmp_path: Path) -> None:
    check_models(tmp_path, {"trials/003": "1234"}, ["tune.json"], "--resume")


def test_a_reading_is_noted_once_and_finished_in_its_place(tmp_path: Path) -> None:
    runs.write_provenance(tmp_path, {"status": "finished"})
    begun = Reading("2026-01-01T00:00:00.000+00:00", "test", 0.5, model="a", finished=False)
    study = Reading("2026-01-02T00:00:00+00:00", "test", 0.5, "study")
    note_readings(tmp_path, [begun])
    note_readings(tmp_path, [study, Reading(begun.when, "test", 0.5, model="a")])
    assert [(one.by, one.finished) for one in readings_of(tmp_path)] == [("evaluate", True), ("study", True)]


def test_readings_without_a_checksum_are_told_by_their_time() -> None:
    reading = Reading("2026-01-02T00:00:00+00:00", "test", 0.5)
    assert is_of_this_model(reading, {"finished": "2026-01-01T00:00:00+00:00"}, "a")
    assert not is_of_this_model(reading, {"finished": "2026-01-03T00:00:00+00:00"}, "a")
