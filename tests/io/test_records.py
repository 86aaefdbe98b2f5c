"""Records that were cut, overwritten or made by something else are told, never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from hitlens.errors import FileFormatError
from hitlens.io.records import read_record
from hitlens.train.callbacks import read_history


@pytest.mark.parametrize("content", [b"", b'{"a": ', b"\xff\xfe\x00", b"[1, 2]", b"7", b"[" * 100_000])
def test_damage_is_one_sentence_with_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "begun.json"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"begun\.json.*Start over\."):
        read_record(path, "Start over.")


def test_a_record_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "begun.json"
    path.write_text('{"stop_after": null, "n_resumed": 2}', encoding="utf-8")
    assert read_record(path, "") == {"stop_after": None, "n_resumed": 2}


@pytest.mark.parametrize(
    "content", [b"epoch,val_loss\n0,\xff\xfe\n", b'epoch,val_loss\n0,"' + b"x" * 200_000]
)
def test_a_history_that_is_no_text_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "history.csv"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"history\.csv"):
        read_history(path)
