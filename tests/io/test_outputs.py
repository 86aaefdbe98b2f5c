"""What cannot be written is refused before any work, in one sentence, and nothing is left behind."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from hitlens.errors import ConfigError
from hitlens.io.outputs import cannot_write, check_name, check_output


@pytest.mark.parametrize(
    "name", ["events.h5", "new/deep/events.h5", "a::b.parquet", "run[1]", "ümläut", "$x"]
)
def test_what_can_be_written_leaves_no_trace(name: str, tmp_path: Path) -> None:
    check_output(tmp_path / name)
    check_output(tmp_path / name, "folder")
    assert not list(tmp_path.iterdir())


def test_a_folder_is_no_file_and_a_file_no_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"folder' is a folder. Give the name of a file"):
        check_output(tmp_path / "folder")
    with pytest.raises(ConfigError, match=r"file' is a file. Give the name of a folder"):
        check_output(tmp_path / "file", "folder")
    with pytest.raises(
        ConfigError, match=r"file' is a file, so nothing can be written below|cannot be written"
    ):
        check_output(tmp_path / "file" / "below" / "x.h5")
    check_output(tmp_path / "folder", "either")
    check_output(tmp_path / "file", "either")
    check_output(tmp_path / "file")


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EACCES, "Permission denied.*the right to write there"),
        (errno.EROFS, "Read-only file system.*another place"),
        (errno.ENOSPC, "No space left.*Make room"),
        (errno.EMFILE, "Too many open files.*ulimit"),
        (errno.EIO, "another place"),
    ],
)
def test_the_system_s_reason_is_told(
    number: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", refuse)
    with pytest.raises(ConfigError, match=said):
        check_output(tmp_path / "events.h5")


def test_a_name_that_is_too_long_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"too long.*shorter name"):
        check_output(tmp_path / ("a" * 300))


@pytest.mark.parametrize("raw", [b"caf\xe9.npz", b"\xff\xfe", b"l\xe9/run"])
def test_names_in_other_letters_are_refused(raw: bytes) -> None:
    with pytest.raises(ConfigError, match=r"is not written in UTF-8. Rename it"):
        check_name(Path(os.fsdecode(raw)))


def test_a_reason_without_a_number_is_quoted() -> None:
    assert "cannot be written (odd)" in str(cannot_write("a", OSError("odd")))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(ConfigError, match="Permission denied"):
        check_output(tmp_path / "closed" / "events.h5")
