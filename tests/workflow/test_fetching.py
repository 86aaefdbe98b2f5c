"""Names of a detector's files -> files in the cache."""

from __future__ import annotations

import gzip

import pytest

from hitlens.errors import ConfigError, NotFoundError
from hitlens.workflow import fetching

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
    from hitlens.detectors import get_detector

    cebr = get_detector("cebr")
    twice = cebr.model_copy(
        update={"downloads": (*cebr.downloads, cebr.downloads[0].model_copy(update={"name": "b"}))}
    )
    monkeypatch.setattr(fetching, "get_detector", lambda name: twice)
    with pytest.raises(ConfigError, match="for one file"):
        fetching.fetch("cebr", url="http://127.0.0.1/x", folder=tmp_path)


def test_detector_without_files(monkeypatch):
    from hitlens.detectors import get_detector

    bare = get_detector("cebr").model_copy(update={"downloads": ()})
    monkeypatch.setattr(fetching, "get_detector", lambda name: bare)
    with pytest.raises(NotFoundError, match="no public files"):
        fetching.fetch("cebr")
