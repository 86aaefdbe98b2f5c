"""Names of a detector's files -> files in the cache."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading

import pytest

from hitlens.detectors import get_detector
from hitlens.errors import ConfigError, FetchError, NotFoundError
from hitlens.io.download import DownloadSettings
from hitlens.io.fetch import LOCK_NAME, FetchedFile
from hitlens.workflow import fetching
from hitlens.workflow.fetching import read_numbers

NAME = "CeBr200k_Mix.txt.gz"


def test_files_go_into_a_folder_of_the_detector(file_server, monkeypatch, tmp_path):
    monkeypatch.setenv("HITLENS_DATA", str(tmp_path))
    file_server.content = gzip.compress(b"1 2 3\n")
    seen = []
    (fetched,) = fetching.fetch(
        "cebr", url=file_server.url(), progress=lambda name, done, total: seen.append((name, done, total))
    )
    assert fetched.path == tmp_path / "cebr" / NAME
    n_bytes = len(file_server.content)
    assert seen == [(NAME, n_bytes, n_bytes)]


@pytest.mark.parametrize(
    ("detector", "names", "message"),
    [("cebrr", (), "Did you mean 'cebr'"), ("cebr", ("CeBr200k_Mix.txt",), f"Did you mean '{NAME}'")],
)
def test_unknown_names(detector, names, message):
    with pytest.raises(NotFoundError, match=message):
        fetching.fetch(detector, names)


def test_one_address_is_not_for_several_files(monkeypatch, tmp_path):
    cebr = get_detector("cebr")
    twice = cebr.model_copy(
        update={"downloads": (*cebr.downloads, cebr.downloads[0].model_copy(update={"name": "b"}))}
    )
    monkeypatch.setattr(fetching, "get_detector", lambda name: twice)
    with pytest.raises(ConfigError, match="for one file"):
        fetching.fetch("cebr", url="http://127.0.0.1/x", folder=tmp_path)


def test_detector_without_files(monkeypatch):
    bare = get_detector("cebr").model_copy(update={"downloads": ()})
    monkeypatch.setattr(fetching, "get_detector", lambda name: bare)
    with pytest.raises(NotFoundError, match="no public files"):
        fetching.fetch("cebr")


@pytest.fixture
def nova(file_server, monkeypatch):
    """The numbered files of NOvA, on the test's server; number 13 is not there."""
    described = get_detector("nova")
    files = tuple(
        file.model_copy(update={"url": file_server.url("missing" if file.number == 13 else file.name)})
        for file in described.downloads
    )
    local = described.model_copy(update={"downloads": files})
    monkeypatch.setattr(fetching, "get_detector", lambda name: local)
    file_server.content = bytes(range(256)) * 4000
    return file_server


def test_numbered_files_come_in_parallel_and_are_recorded(nova, tmp_path):
    seen, there = {}, []
    fetched = fetching.fetch(
        "nova",
        numbers=range(1, 11),
        folder=tmp_path,
        parallel=3,
        progress=lambda name, done, total: seen.update({name: (done, total)}),
        finished=there.append,
    )
    names = [f"neutrino{number}.h5" for number in range(1, 11)]
    assert [file.name for file in fetched] == names
    assert sorted(there, key=lambda file: names.index(file.name)) == fetched
    n_bytes = len(nova.content)
    assert seen == dict.fromkeys(names, (n_bytes, n_bytes))
    sha256 = hashlib.sha256(nova.content).hexdigest()
    lock = json.loads((tmp_path / LOCK_NAME).read_text())
    assert {name: entry["sha256"] for name, entry in lock["files"].items()} == dict.fromkeys(names, sha256)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names, LOCK_NAME])
    asked = len(nova.asked)
    again = fetching.fetch("nova", numbers=range(1, 11), folder=tmp_path)
    assert {file.status for file in again} == {"cached"}
    assert len(nova.asked) == asked


def test_as_many_at_a_time_as_asked_for(nova, monkeypatch, tmp_path):
    together = threading.Barrier(3, timeout=10)
    running, most = [0], [0]

    def slow(name, url, folder, **options):
        running[0] += 1
        most[0] = max(most[0], running[0])
        together.wait()
        running[0] -= 1
        together.wait()
        return FetchedFile(name, folder / name, "", 1, "downloaded")

    monkeypatch.setattr(fetching, "fetch_file", slow)
    fetched = fetching.fetch("nova", numbers=range(1, 10), folder=tmp_path, parallel=3)
    assert len(fetched) == 9
    assert most == [3]


def test_a_broken_download_goes_on_where_it_stopped(nova, tmp_path):
    patience = DownloadSettings(attempts=1, wait_s=0.01)
    nova.break_after = [300_000]
    with pytest.raises(FetchError, match="1 of 2 files could not be fetched; the others are there"):
        fetching.fetch("nova", numbers=[4, 5], folder=tmp_path, parallel=1, settings=patience)
    assert (tmp_path / "neutrino5.h5").read_bytes() == nova.content
    assert not (tmp_path / "neutrino4.h5").exists()
    four, five = fetching.fetch("nova", numbers=[4, 5], folder=tmp_path, settings=patience)
    assert (four.status, four.resumed, five.status) == ("downloaded", True, "cached")
    assert nova.asked[-1] == ("/neutrino4.h5", "bytes=300000-")
    assert (tmp_path / "neutrino4.h5").read_bytes() == nova.content


def test_files_that_fail_are_listed_and_the_others_come(nova, tmp_path):
    with pytest.raises(FetchError, match=r"1 of 3 files.*\n  There is no file at .*missing"):
        fetching.fetch("nova", numbers=[12, 13, 14], folder=tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.h5")) == ["neutrino12.h5", "neutrino14.h5"]
    with pytest.raises(FetchError, match=r"^There is no file at"):
        fetching.fetch("nova", numbers=[13], folder=tmp_path)


def test_an_interrupt_ends_the_others(nova, tmp_path):
    def interrupt(file):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetching.fetch("nova", numbers=range(1, 9), folder=tmp_path, parallel=1, finished=interrupt)
    assert len(list(tmp_path.glob("*.h5"))) < 8


def test_a_series_is_not_fetched_by_accident(nova, tmp_path):
    with pytest.raises(ConfigError, match=r"200 public files. Say which: --files 1-25"):
        fetching.fetch("nova", folder=tmp_path)
    assert nova.asked == []
    with pytest.raises(NotFoundError, match=r"number 201. They are 1 to 200"):
        fetching.fetch("nova", numbers=[200, 201], folder=tmp_path)
    with pytest.raises(NotFoundError, match="Did you mean 'neutrino1"):
        fetching.fetch("nova", ["neutrino1h5"], folder=tmp_path)
    with pytest.raises(ConfigError, match="At least one"):
        fetching.fetch("nova", numbers=[1], folder=tmp_path, parallel=0)


def test_numbers_of_files_without():
    with pytest.raises(NotFoundError, match="Its files have no numbers"):
        fetching.list_downloads("cebr", numbers=[1])


def test_names_and_numbers_together_name_a_file_once():
    files = fetching.list_downloads("nova", ["neutrino2.h5"], [1, 2])
    assert [file.name for file in files] == ["neutrino2.h5", "neutrino1.h5"]


@pytest.mark.parametrize(
    ("text", "numbers"), [("7", [7]), ("1-3", [1, 2, 3]), ("9, 2-4 ,3", [9, 2, 3, 4]), ("5-5", [5])]
)
def test_numbers_and_ranges(text, numbers):
    assert read_numbers(text) == numbers


@pytest.mark.parametrize("text", ["", "a", "3-1", "1-", "-2", "1,,2", "1.5", "neutrino1.h5"])
def test_what_is_no_range(text):
    with pytest.raises(ConfigError, match="numbers and ranges such as 1-25"):
        read_numbers(text)
