from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hitlens.detectors.dune.partition import read_partition, read_plain_pickle
from hitlens.errors import FileFormatError


class Bomb:
    """What a malicious pickle does: it calls a function of its choice when it is loaded."""

    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.touched),))


def dump(path: Path, content: Any, protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "content",
    [
        {"0": [0, 1, 2], "17": [1, 3, -5]},
        (["0", "1"], {"0": [0] * 7, "1": [1] * 7}),
        [{}, [], (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
        {"big": 10**30, "float": 0.25, "none": None, "true": True, "text": "µ" * 300, "n": -7},
        list(range(3000)),
    ],
)
def test_plain_content_is_read_as_it_is(tmp_path: Path, content: Any, protocol: int) -> None:
    assert read_plain_pickle(dump(tmp_path / "p.p", content, protocol)) == content


def test_shared_content_stays_shared(tmp_path: Path) -> None:
    one = [1, 2]
    first, second = read_plain_pickle(dump(tmp_path / "p.p", [one, one]))
    assert first is second


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_code_is_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    touched = tmp_path / "touched"
    file = dump(tmp_path / "p.p", {"0": [0] * 7, "1": Bomb(touched)}, protocol)
    with pytest.raises(FileFormatError, match="holds code or objects"):
        read_partition(file)
    assert not touched.exists()
    pickle.loads(file.read_bytes())  # it would have
    assert touched.is_dir()


@pytest.mark.parametrize("content", [np.arange(3), {1, 2}, b"bytes", Path("a"), 1j, os.getcwd])
def test_objects_are_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(FileFormatError, match="are never loaded"):
        read_plain_pickle(dump(tmp_path / "p.p", content, 4))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x02",
        b"\x80\x02}q\x00(X\x01",
        b"plain text",
        b"\x80\x02u.",
        b"\x80\x02(K\x01e.",
        b"h\x05.",
        b".",
    ],
)
def test_half_a_pickle_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p.p").write_bytes(content)
    with pytest.raises(FileFormatError, match="pickle"):
        read_plain_pickle(tmp_path / "p.p")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "labels by event number. Got list"),
        ({"a": [0] * 7}, "Event 'a' has"),
        ({"0": [0] * 6}, "7 whole numbers"),
        ({"0": ["x"] * 7}, "7 whole numbers"),
        ({-1: [0] * 7}, "Event -1 has"),
    ],
)
def test_another_content_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        read_partition(dump(tmp_path / "p.p", content))


def test_labels_by_number(tmp_path: Path) -> None:
    labels = read_partition(dump(tmp_path / "p.p", {"3": [1, 1, 2, 0, 1, 0, 3], 4: (0,) * 7}))
    assert labels == {3: (1, 1, 2, 0, 1, 0, 3), 4: (0,) * 7}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"(" * 200_000 + b".", id="marks"),
        pytest.param(b"\x80\x02" + b"]q\x00" + b"h\x00a" * 5_000 + b".", id="holds itself"),
        pytest.param(pickle.dumps({"0": [float("nan")] * 7}), id="not whole numbers"),
        pytest.param(pickle.dumps({"\u00b2": [0] * 7}), id="no number"),
        pytest.param(b"\x80\x02}q\x00K\x00" + b"(" * 3000 + b"t" * 3000 + b"s.", id="deep"),
    ],
)
def test_hostile_partitions_are_refused_at_once(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "partition.p"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"partition\.p"):
        read_partition(path)
