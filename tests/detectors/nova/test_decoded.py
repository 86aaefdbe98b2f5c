from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hitlens.detectors.nova.decoded import is_decoded, read_decoded
from hitlens.errors import FileFormatError, NotFoundError
from hitlens.workflow.data import read_events


def write(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


def image(plane: int, cell: int, value: int = 9) -> np.ndarray:
    pixels = np.zeros((80, 100), np.uint8)
    pixels[cell, plane] = value
    return pixels


def test_views_come_as_planes_of_cells(tmp_path: Path) -> None:
    path = write(
        tmp_path / "some.npz",
        truetype13_caltype6_event144_x=image(3, 41),
        truetype13_caltype6_event144_y=image(0, 0, 255),
        truetype2_caltype2_event7_y=image(99, 79),
        truetype2_caltype2_event7_x=image(5, 6),
    )
    assert is_decoded(path)
    events = read_events(path, "nova")
    assert events.truth["interaction"].to_list() == [13, 2]
    assert events.truth["evt"].to_list() == [144, 7]
    x, y = (events.dense(view, (100, 80)) for view in ("x", "y"))
    assert x[0, 3, 41] == 9
    assert y[0, 0, 0] == 255
    assert y[1, 99, 79] == 9
    assert x.astype(int).sum() == 18


def test_other_files_are_not_decoded_events(tmp_path: Path) -> None:
    assert not is_decoded(write(tmp_path / "other.npz", something=np.zeros(3)))
    assert not is_decoded(tmp_path / "missing.npz")
    (tmp_path / "text.npz").write_text("no archive")
    assert not is_decoded(tmp_path / "text.npz")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"truetype2_caltype2_event7_x": image(1, 1).T}, "must be uint8 of shape"),
        ({"truetype2_caltype2_event7_x": image(1, 1).astype(float)}, "Found float64"),
        ({"truetype2_caltype2_event7_x": image(1, 1)}, "event 7 of type 2 lacks a view"),
        ({"truetype2_caltype2_event7_x": image(1, 1), "more": image(1, 1)}, "'more' is not the name"),
    ],
)
def test_broken_files(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        list(read_decoded(write(tmp_path / "bad.npz", **arrays)))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="No file"):
        list(read_decoded(tmp_path / "no.npz"))


@pytest.mark.real
def test_the_three_events(real_nova: Path) -> None:
    events = read_events(real_nova / "nova_thesis_pixelmaps_counts.npz", "nova")
    assert sorted(events.truth["interaction"].to_list()) == [2, 6, 13]
