"""Events are found again by their keys."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hitlens.config import DataConfig
from hitlens.errors import DataError, RunError
from hitlens.workflow.run_events import images_of, match_events, read_data, read_run_config

KEY = ("file", "event")


def test_rows_are_matched_whatever_their_order(make_cebr) -> None:
    events = make_cebr(20)
    order = np.random.default_rng(1).permutation(20)
    table = events.truth[order].with_columns(pl.col("file").cast(pl.Categorical).cast(pl.String))
    rows = match_events(table, events, KEY)
    assert rows.tolist() == order.tolist()
    np.testing.assert_array_equal(images_of(events, rows, "anode", (16, 16)), events.dense("anode")[order])


def test_a_missing_event_is_named(make_cebr) -> None:
    events = make_cebr(5)
    table = events.truth.with_columns(event=pl.col("event") + 1)
    with pytest.raises(DataError, match=r"1 of 5 .*'event': 5"):
        match_events(table, events, KEY)


def test_predictions_that_share_a_key_are_refused(make_cebr) -> None:
    events = make_cebr(5)
    table = events.truth.with_columns(event=pl.Series([0, 1, 1, 3, 4]))
    with pytest.raises(DataError, match=r"2 of 5 predicted events share their key .*'event': 1"):
        match_events(table, events, KEY)


def test_data_is_read_as_the_training_did(make_run) -> None:
    folder = make_run("multiplicity", 60)
    config = read_run_config(folder).data
    assert len(read_data(config, "cebr")) == 60
    chosen = DataConfig(files=config.files, selection="n_electrons = 2", max_events=7)
    some = read_data(chosen, "cebr")
    assert some.truth["n_electrons"].to_list() == [2] * 7


def test_studies_are_no_runs(make_run) -> None:
    folder = make_run("multiplicity", 60)
    (folder / "config.yaml").write_text(
        "title: a\nquestion: b\nbase: {detector: cebr, task: multiplicity}\n"
        "variants: {one: {train.epochs: 1}, two: {train.epochs: 2}}\n"
    )
    with pytest.raises(RunError, match="several runs"):
        read_run_config(folder)
