"""Names of files are names: nothing in them is a pattern, and only home and variables are replaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from hitlens.config import DataConfig
from hitlens.errors import DataError
from hitlens.io.names import expanded, has_ending, inside


def test_home_and_variables_are_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DATA", "/data")
    assert expanded("~/a.h5") == tmp_path / "a.h5"
    assert str(expanded("$DATA/b.h5")) == "/data/b.h5"
    assert DataConfig(files=("~/a.h5", "${DATA}/b.h5", "run[1].h5")).files == (
        str(tmp_path / "a.h5"),
        "/data/b.h5",
        "run[1].h5",
    )


@pytest.mark.parametrize("name", ["~a.h5", "a~b.h5", "$NOWHERE/a.h5", "cost$5.h5", "a*b.h5", "-x.h5"])
def test_all_else_is_the_name(name: str) -> None:
    assert str(expanded(name)) == name


def test_a_file_of_just_that_name_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA", "/data")
    Path("$DATA").mkdir()
    (Path("$DATA") / "a.h5").touch()
    assert str(expanded("$DATA/a.h5")) == "$DATA/a.h5"
    assert str(expanded("$DATA/b.h5")) == "/data/b.h5"


def test_endings_are_of_any_case() -> None:
    assert has_ending(Path("a/EVENTS.TXT.GZ"), (".txt", ".txt.gz"))
    assert not has_ending(Path("a.h5/events"), ".h5")


@pytest.mark.parametrize("name", ["/etc/passwd", "../x.png", "a/b.png", "..", "", "a\\b", "C:x", "link.png"])
def test_names_from_files_stay_inside_the_folder(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "figures"
    folder.mkdir()
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(DataError, match="no plain file name"):
        inside(folder, name)
    assert inside(folder, "gallery_1.png") == folder / "gallery_1.png"
