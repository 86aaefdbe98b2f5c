"""Every command takes ``~`` and ``$VARIABLES`` where the shell leaves them, and odd names as they are."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hitlens.cli import app
from hitlens.errors import HitlensError
from hitlens.events import Events
from hitlens.workflow.data import open_writer, read_events


def test_names_of_files_are_expanded(
    make_cebr: Callable[..., Events], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with open_writer(tmp_path / "A[1].TXT.GZ") as writer:
        writer.write(make_cebr(5))
    arguments = ["convert", "$DATA/A[1].TXT.GZ", "~/b*.H5", "--detector", "cebr"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["A[1].TXT.GZ", "b*.H5"]
    assert len(read_events("~/b*.H5")) == 5


@pytest.mark.parametrize("name", ["a\\tb.h5", 'it\'s "x".h5', "a, b].h5", "\u00e9#{.h5"])
def test_data_is_named_as_it_is_called(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HitlensError, match=re.escape(f"'{name}'")):
        CliRunner().invoke(app, ["train", "cebr/multiplicity", "--data", name], catch_exceptions=False)
