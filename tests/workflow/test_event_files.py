"""Event files of a run are found from anywhere, by place or by checksum, and never taken for others."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hitlens.config import RunConfig
from hitlens.errors import DataError, NotFoundError
from hitlens.workflow import runs
from hitlens.workflow.event_files import (
    EventFiles,
    RecordedFile,
    file_records,
    find_event_files,
    match_given_files,
    recorded_files,
)
from hitlens.workflow.run_events import read_run_events

PIXELS = " ".join(["3"] * 256)


def write_events(path: Path, n: int, energy: float = 0.5) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{PIXELS} {energy} 3.25 4.5 0 -100 -100\n" * n)
    return path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two event files of one name and the record of a run on them, trained from there."""
    root = tmp_path / "project"
    given = [Path("data/a/events.txt"), Path("data/b/events.txt")]
    for number, path in enumerate(given):
        write_events(root / path, 3 + number)
    (root / "runs" / "one").mkdir(parents=True)
    monkeypatch.chdir(root)
    sha256 = runs.file_checksums(given)
    data = {"files": [path.as_posix() for path in given], "sha256": sha256}
    data["places"] = file_records(given, root / "runs" / "one", sha256)
    runs.write_provenance(root / "runs" / "one", {"status": "finished", "data": data})
    monkeypatch.chdir("/")
    return root


def recorded(run: Path) -> list[RecordedFile]:
    return recorded_files(run, runs.read_provenance(run), ())


def test_files_are_found_from_any_folder(project: Path) -> None:
    found = find_event_files(recorded(project / "runs" / "one"), "the run")
    assert [path.resolve() for path in found.paths] == [
        project / "data" / name / "events.txt" for name in "ab"
    ]


def test_a_run_moved_with_its_data_takes_the_data_beside_it(project: Path) -> None:
    moved = project.parent / "elsewhere"
    shutil.copytree(project, moved)
    write_events(project / "data/a/events.txt", 3, energy=0.75)
    found = find_event_files(recorded(moved / "runs" / "one"), "the run")
    assert [path.resolve() for path in found.paths] == [moved / "data" / name / "events.txt" for name in "ab"]


def test_a_run_moved_alone_finds_the_data_where_it_was(project: Path) -> None:
    moved = project.parent / "alone"
    shutil.move(project / "runs" / "one", moved)
    found = find_event_files(recorded(moved), "the run")
    assert found.paths[1] == project / "data/b/events.txt"


def test_renamed_files_are_told_by_checksum_and_their_events_keep_their_names(project: Path) -> None:
    run = project / "runs" / "one"
    config = RunConfig(detector="cebr", task="multiplicity")
    before = read_run_events(run, config).truth
    assert before["file"].unique(maintain_order=True).to_list() == ["a/events.txt", "b/events.txt"]
    (project / "data/a/events.txt").rename(project / "data/a/renamed.txt")
    assert read_run_events(run, config).truth.equals(before)
    loose = (project / "data/a/renamed.txt").rename(project / "loose.txt")
    given = [project / "data/b/events.txt", loose]
    assert read_run_events(run, config, given).truth.equals(before)


def test_a_missing_file_is_named_with_what_to_do(project: Path) -> None:
    (project / "data/b/events.txt").unlink()
    with pytest.raises(NotFoundError, match=r"'events\.txt' of the run is missing .*data/b.* --data FILE"):
        find_event_files(recorded(project / "runs" / "one"), "the run")


def test_a_folder_beside_is_not_taken_for_the_file_in_it(project: Path) -> None:
    (project / "data/b/away").mkdir()
    (project / "data/b/events.txt").rename(project / "data/b/away/events.txt")
    with pytest.raises(NotFoundError, match="--data FILE"):
        find_event_files(recorded(project / "runs" / "one"), "the run")


def test_a_file_made_again_under_its_name_is_another(project: Path) -> None:
    write_events(project / "data/b/events.txt", 4, energy=0.25)
    with pytest.raises(DataError, match="changed or made again since"):
        find_event_files(recorded(project / "runs" / "one"), "the run")


def test_given_files_are_the_runs_or_others_never_some_of_each(project: Path) -> None:
    known = recorded(project / "runs" / "one")
    other = write_events(project / "other.txt", 5)
    assert match_given_files(known, [other]) is None
    with pytest.raises(DataError, match=r"other\.txt' is no event file of the run"):
        match_given_files(known, [project / "data/a/events.txt", other])
    with pytest.raises(DataError, match=r"b/events\.txt' of the run is not among"):
        match_given_files(known, [project / "data/a/events.txt"])
    with pytest.raises(NotFoundError, match="nowhere"):
        match_given_files(known, [project / "nowhere.txt"])


def test_records_of_version_0_1_0_serve_where_they_were_made(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = project / "runs" / "one"
    record = runs.read_provenance(run)
    del record["data"]["places"]
    runs.write_provenance(run, record)
    with pytest.raises(NotFoundError, match="--data"):
        find_event_files(recorded(run), "the run")
    monkeypatch.chdir(project)
    assert find_event_files(recorded(run), "the run") == EventFiles(
        (Path("data/a/events.txt"), Path("data/b/events.txt"))
    )


def test_a_folder_of_arrays_has_one_checksum(tmp_path: Path) -> None:
    folder = tmp_path / "arrays"
    folder.mkdir()
    (folder / "x.npy").write_bytes(b"12")
    first = runs.file_checksum(folder)
    (folder / "x.npy").write_bytes(b"13")
    assert runs.file_checksum(folder) != first
    with pytest.raises(NotFoundError):
        runs.file_checksum(tmp_path / "nowhere")
