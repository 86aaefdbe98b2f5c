from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hitlens.detectors.cebr.columns import DESCRIPTORS
from hitlens.detectors.cebr.experiment import read_experiment
from hitlens.errors import FileFormatError
from hitlens.events import Events, concat


def put(path: Path, heads: list[tuple[object, ...]], pixels: np.ndarray) -> Path:
    lines = [" ".join(map(str, (*head, *row.tolist()))) for head, row in zip(heads, pixels, strict=True)]
    path.write_text("\n".join(lines) + "\n")
    return path


def pixels(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 5000, (n, 256)) + 0.25


def read(path: Path, kind: str, skipped: list[str] | None = None) -> Events:
    return concat(list(read_experiment(path, kind, 2, skipped)))


def test_anodedata(tmp_path: Path) -> None:
    values = pixels(3)
    path = put(tmp_path / "anodedata_1.txt", [(900, 1), (901, 16), (17, 9)], values)
    events = read(path, "anodedata")
    assert events.detector == "cebr"
    assert events.truth.columns == ["file", "event", "event_id", "descriptor"]
    assert events.truth.rows() == [
        ("anodedata_1.txt", 900, 900, 1),
        ("anodedata_1.txt", 901, 901, 16),
        ("anodedata_1.txt", 17, 17, 9),
    ]
    assert events.images["anode"].dtype == np.float32
    np.testing.assert_array_equal(events.images["anode"], values.reshape(-1, 16, 16))
    assert DESCRIPTORS[16] == "double in space"


def test_numbers_given_twice_are_not_the_key(tmp_path: Path) -> None:
    path = put(tmp_path / "anodedata_1.txt", [(5, 1), (6, 1), (5, 2)], pixels(3))
    events = read(path, "anodedata")
    assert events.truth["event"].to_list() == [0, 1, 2]
    assert events.truth["event_id"].to_list() == [5, 6, 5]


def test_decaydata(tmp_path: Path) -> None:
    path = put(tmp_path / "decaydata_1.txt", [(5, 100.5, 99.25), (6, 1e3, 0)], pixels(2))
    events = read(path, "decaydata")
    assert events.truth.columns == ["file", "event", "event_id", "ddas_energy", "fit_energy"]
    assert events.truth.row(0) == ("decaydata_1.txt", 5, 5, 100.5, 99.25)


@pytest.mark.parametrize(
    ("head", "pixel", "column", "words"),
    [
        ((1.5, 1), 3, 1, "event_id must be a whole number"),
        ((1, -1), 3, 2, "descriptor must be a whole number"),
        ((1, 1), -2.5, 2 + 8, "must not be negative"),
        ((1, "x"), 3, 2, "finite number"),
        ((1, 1), np.nan, 2 + 8, "finite number"),
    ],
)
def test_bad_events(tmp_path: Path, head: tuple[object, ...], pixel: float, column: int, words: str) -> None:
    values = pixels(3)
    values[1, 7] = pixel
    path = put(tmp_path / "anodedata_1.txt", [(8, 1), head, (9, 1)], values)
    with pytest.raises(FileFormatError, match=words) as caught:
        read(path, "anodedata")
    assert (caught.value.line, caught.value.column) == (2, column)
    skipped: list[str] = []
    assert read(path, "anodedata", skipped).truth["event"].to_list() == [8, 9]
    assert skipped == [str(caught.value)]
