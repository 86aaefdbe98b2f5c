"""Run folders: which may be touched, what is recorded."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from hitlens.errors import ConfigError, RunError
from hitlens.workflow import runs


def make_run(folder: Path, status: str) -> Path:
    folder.mkdir()
    runs.write_provenance(folder, {"status": status})
    (folder / "checkpoints").mkdir()
    (folder / "history.csv").write_text("epoch\n")
    return folder


def contents(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_new_or_empty_folder_is_ready(tmp_path: Path) -> None:
    runs.open_run(tmp_path / "deep" / "run", resume=False, force=False)
    assert (tmp_path / "deep" / "run").is_dir()
    runs.open_run(tmp_path / "deep" / "run", resume=False, force=True)


@pytest.mark.parametrize("status", ["running", "interrupted", "finished"])
def test_a_run_is_kept_unless_asked(status: str, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", status)
    hint = "Use --force" if status == "finished" else "Use --resume to continue it, --force"
    with pytest.raises(RunError, match=rf"holds a run \({status}\)\. {hint}"):
        runs.open_run(folder, resume=False, force=False)
    assert len(contents(folder)) == 3
    runs.check_run(folder, resume=False, force=True)
    assert len(contents(folder)) == 3
    runs.open_run(folder, resume=False, force=True)
    assert contents(folder) == set()


def test_only_a_run_is_resumed(tmp_path: Path) -> None:
    for status in ("running", "interrupted", "finished"):
        folder = make_run(tmp_path / status, status)
        runs.open_run(folder, resume=True, force=False)
        assert len(contents(folder)) == 3
    with pytest.raises(RunError, match="no run to resume"):
        runs.open_run(tmp_path / "none", resume=True, force=False)
    with pytest.raises(ConfigError, match="Give one of them"):
        runs.open_run(tmp_path / "running", resume=True, force=True)


@pytest.mark.parametrize("force", [False, True])
def test_what_is_no_run_is_never_thrown_away(force: bool, tmp_path: Path) -> None:
    thesis = tmp_path / "thesis.tex"
    thesis.write_text("years of work")
    with pytest.raises(RunError, match="not a run of hitlens"):
        runs.open_run(tmp_path, resume=False, force=force)
    with pytest.raises(RunError, match="is a file"):
        runs.open_run(thesis, resume=False, force=force)
    assert thesis.read_text() == "years of work"


@pytest.mark.parametrize("content", ["", "{", "[1]", "\x00"])
def test_a_damaged_record_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "provenance.json").write_text(content)
    with pytest.raises(RunError, match=re.escape(str(tmp_path))):
        runs.read_provenance(tmp_path)
    with pytest.raises(RunError, match=re.escape(str(tmp_path))):
        runs.open_run(tmp_path, resume=False, force=False)


def test_a_record_comes_back(tmp_path: Path) -> None:
    record = {"status": "running", "machine": runs.describe_machine(), "started": runs.now()}
    runs.write_provenance(tmp_path, record)
    assert runs.read_provenance(tmp_path) == record
    assert contents(tmp_path) == {"provenance.json"}
    assert record["machine"]["n_cores"] >= 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", record["started"])
    json.dumps(record)


def test_versions_name_the_libraries_that_decide_a_result() -> None:
    versions = runs.library_versions()
    assert {"hitlens", "torch", "numpy"} <= set(versions)
    assert "not installed" not in versions.values()


def test_checksums_are_those_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one")
    folder = tmp_path / "npy"
    folder.mkdir()
    (folder / "x.npy").write_bytes(b"two")
    found = runs.file_checksums([tmp_path / "a.txt", folder])
    assert found == {
        "a.txt": hashlib.sha256(b"one").hexdigest(),
        "npy": hashlib.sha256(b"two").hexdigest(),
    }


def test_files_with_one_name_keep_two_checksums(tmp_path: Path) -> None:
    paths = [tmp_path / name / "events.txt" for name in "ab"]
    for path in paths:
        path.parent.mkdir()
        path.write_text(path.parent.name)
    found = runs.file_checksums(paths)
    assert set(found) == {path.as_posix() for path in paths}
    assert len(set(found.values())) == 2
