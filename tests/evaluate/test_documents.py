"""Versioned JSON documents: whole, and read back equal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from hitlens.errors import FileFormatError, NotFoundError
from hitlens.evaluate.documents import read_document, write_document


@dataclass(frozen=True)
class Finding:
    name: str
    value: float


ADAPTER = TypeAdapter(Finding)


def read(path: Path, version: int = 1) -> Finding:
    return read_document(ADAPTER, version, path, what="a finding", made_by="A test")


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = write_document(Finding("auc", 0.97), ADAPTER, 1, tmp_path / "a.json")
    assert read(path) == Finding("auc", 0.97)


def test_a_missing_file_is_named_with_who_writes_it(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"No finding '.*b\.json'\. A test writes it\."):
        read(tmp_path / "b.json")


def test_another_version_is_refused(tmp_path: Path) -> None:
    path = write_document(Finding("auc", 0.97), ADAPTER, 2, tmp_path / "a.json")
    with pytest.raises(FileFormatError, match="has version 2; this hitlens reads 1"):
        read(path)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"version": 1, "name": 5}'])
def test_a_damaged_file_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(FileFormatError, match="does not hold a finding"):
        read(tmp_path / "a.json")


def test_numbers_that_are_not_finite_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_document(Finding("auc", float("nan")), ADAPTER, 1, tmp_path / "a.json")
    assert not list(tmp_path.iterdir())
