"""The truth of described files: all of it, none of it, or an error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from hitlens.detector import ReadReport
from hitlens.detectors import read_detector
from hitlens.errors import ConfigError
from hitlens.events import Events

Read = Callable[..., Events]


@pytest.fixture
def read(make_toy: Callable[..., Any], toy_yaml: Callable[..., str], tmp_path: Path) -> Read:
    """Read toy events whose truth has other columns: ``read(columns, extra)``."""

    def reads(columns: dict[str, Any], extra: str = "") -> Events:
        toy = make_toy()
        path = tmp_path / "toy.npz"
        np.savez(path, **columns, **toy.images)
        detector = read_detector(toy_yaml("npz", "dense", extra), "toy.yaml")
        (events,) = detector.layouts[0].read(path, 100, "raise", ReadReport([]), {})
        return detector.complete(events)

    return reads


@pytest.fixture
def truth(make_toy: Callable[..., Any]) -> dict[str, Any]:
    return dict(make_toy().truth)


def test_columns_are_found_under_their_own_or_another_name(read: Read, truth: dict[str, Any]) -> None:
    truth["E"] = truth.pop("energy_gev")[:, None]
    table = read(truth, "    truth: {energy_gev: E}\n").truth
    assert table.columns == ["file", "event", "is_muon", "energy_gev", "entry_px", "double_gev"]
    np.testing.assert_array_equal(table["energy_gev"], truth["E"][:, 0])


def test_a_missing_column_is_named_with_the_nearest(read: Read, truth: dict[str, Any]) -> None:
    truth["energy"] = truth.pop("energy_gev")
    said = (
        r"^toy.yaml, line 9: truth\[energy_gev\].name: .* has no column 'energy_gev'. Did you mean 'energy'"
    )
    with pytest.raises(ConfigError, match=said):
        read(truth)
    said = r"files\[dense\].truth.energy_gev: .*toy.npz has no column 'enrgy'. Did you mean 'energy'"
    with pytest.raises(ConfigError, match=said):
        read(truth, "    truth: {energy_gev: enrgy}\n")


def test_a_lone_misspelt_column_is_not_taken_for_data_without_truth(read: Read) -> None:
    with pytest.raises(ConfigError, match=r"has no column 'is_muon'. Did you mean 'is_muons'"):
        read({"is_muons": np.zeros(40)})


def test_optional_columns_may_be_missing(read: Read, truth: dict[str, Any]) -> None:
    del truth["entry_px"]
    table = read(truth, "    optional: [entry_px]\n").truth
    assert table.columns == ["file", "event", "is_muon", "energy_gev", "double_gev"]


def test_data_without_truth_has_its_key(read: Read) -> None:
    assert read({}).truth.columns == ["file", "event"]


def test_text_and_small_floats_are_truth_too(read: Read, truth: dict[str, Any]) -> None:
    truth["is_muon"] = np.array([b"yes", b"no"] * 20)
    truth["energy_gev"] = truth["energy_gev"].astype(np.float16)
    table = read(truth).truth
    assert table["is_muon"].dtype == pl.String
    assert table["energy_gev"].dtype == pl.Float32


def test_more_than_one_value_an_event_is_refused(read: Read, truth: dict[str, Any]) -> None:
    truth["energy_gev"] = np.zeros((40, 3))
    with pytest.raises(ConfigError, match=r"has shape \(3,\) in each row, not one .* is 'energy_gev\[0\]'"):
        read(truth)


def test_one_of_several_values_is_taken(read: Read, truth: dict[str, Any]) -> None:
    truth["p"] = np.stack([truth.pop("energy_gev"), truth["entry_px"]], axis=1)
    table = read(truth, "    truth: {energy_gev: 'p[0]', entry_px: 'p[1]'}\n").truth
    np.testing.assert_array_equal(table["energy_gev"], truth["p"][:, 0])
    np.testing.assert_array_equal(table["entry_px"], truth["p"][:, 1])
    with pytest.raises(ConfigError, match=r"'p\[2\]' of .*: its rows have shape \(2,\)"):
        read(truth, "    truth: {energy_gev: 'p[2]'}\n")
    with pytest.raises(ConfigError, match=r"has no column 'q\[0\]'"):
        read(truth, "    truth: {energy_gev: 'q[0]'}\n")


def test_a_list_in_each_row_is_refused(
    make_toy: Callable[..., Any], toy_yaml: Callable[..., str], tmp_path: Path
) -> None:
    toy = make_toy()
    path = tmp_path / "toy.parquet"
    toy.write(path, "parquet", "dense")
    pl.read_parquet(path).with_columns(is_muon=pl.concat_list("energy_gev")).write_parquet(path)
    detector = read_detector(toy_yaml("parquet", "dense"), "toy.yaml")
    with pytest.raises(ConfigError, match=r"'is_muon' of .* has a list in each row"):
        next(detector.layouts[0].read(path, 100, "raise", ReadReport([]), {}))
