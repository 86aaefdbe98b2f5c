"""Downloads from a server on the loopback that breaks off, changes its mind and refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hitlens.errors import FetchError
from hitlens.io.download import DownloadSettings, download

QUICK = DownloadSettings(attempts=3, wait_s=0.001, timeout_s=5.0)
CONTENT = np.random.default_rng(1).bytes(400_000)


@pytest.fixture
def paths(tmp_path):
    return tmp_path / "data.bin", tmp_path / "data.bin.part"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_whole_file_comes_and_nothing_else_stays(file_server, paths, tmp_path):
    file_server.content = CONTENT
    seen = []
    resumed = download(
        file_server.url(), *paths, settings=QUICK, progress=lambda done, total: seen.append((done, total))
    )
    assert not resumed
    assert paths[0].read_bytes() == CONTENT
    assert names(tmp_path) == ["data.bin"]
    assert seen[-1] == (400_000, 400_000)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_goes_on_within_one_call_after_the_connection_broke(file_server, paths):
    file_server.content = CONTENT
    file_server.break_after = [150_000, 100_000]
    download(file_server.url(), *paths, settings=QUICK)
    assert paths[0].read_bytes() == CONTENT
    starts = [int(wanted[6:-1]) for _, wanted in file_server.asked if wanted]
    assert len(starts) == 2
    assert 0 < starts[0] < starts[1] <= 250_000


def test_goes_on_in_a_later_call(file_server, paths, tmp_path):
    file_server.content = CONTENT
    file_server.break_after = [200_000, 0, 0, 0]
    with pytest.raises(FetchError, match="bytes are kept"):
        download(file_server.url(), *paths, settings=QUICK)
    assert names(tmp_path) == ["data.bin.part", "data.bin.part.json"]
    kept = paths[1].stat().st_size
    assert 0 < kept <= 200_000
    file_server.break_after, file_server.asked = [], []
    assert download(file_server.url(), *paths, settings=QUICK)
    assert file_server.asked == [("/data.bin", f"bytes={kept}-")]
    assert paths[0].read_bytes() == CONTENT


@pytest.mark.parametrize("validator", [True, False], ids=["etag", "no etag"])
def test_two_versions_are_never_joined(file_server, paths, validator):
    file_server.validator = validator
    file_server.content = CONTENT
    file_server.break_after = [200_000, 0, 0, 0]
    with pytest.raises(FetchError):
        download(file_server.url(), *paths, settings=QUICK)
    file_server.break_after = []
    file_server.content = CONTENT[::-1] + b"longer"
    download(file_server.url(), *paths, settings=QUICK)
    assert paths[0].read_bytes() == file_server.content


def test_part_of_another_address_is_not_used(file_server, paths):
    file_server.content = CONTENT
    paths[1].write_bytes(b"something else")
    paths[1].with_name("data.bin.part.json").write_text(json.dumps({"url": "http://elsewhere/data.bin"}))
    assert not download(file_server.url(), *paths, settings=QUICK)
    assert paths[0].read_bytes() == CONTENT


def test_server_without_ranges_starts_over(file_server, paths):
    file_server.content = CONTENT
    file_server.ranges = False
    file_server.break_after = [200_000]
    download(file_server.url(), *paths, settings=QUICK)
    assert paths[0].read_bytes() == CONTENT
    assert len(file_server.asked) == 2


def test_complete_part_is_recognised(file_server, paths):
    file_server.content = CONTENT
    paths[1].write_bytes(CONTENT)
    origin = {"url": file_server.url(), "validator": "", "n_bytes": len(CONTENT)}
    paths[1].with_name("data.bin.part.json").write_text(json.dumps(origin))
    assert download(file_server.url(), *paths, settings=QUICK)
    assert paths[0].read_bytes() == CONTENT


def test_part_longer_than_the_file_starts_over(file_server, paths):
    file_server.content = CONTENT[:1000]
    paths[1].write_bytes(CONTENT)
    paths[1].with_name("data.bin.part.json").write_text(json.dumps({"url": file_server.url()}))
    download(file_server.url(), *paths, settings=QUICK)
    assert paths[0].read_bytes() == CONTENT[:1000]


def test_content_labelled_as_encoded_is_kept_as_sent(file_server, paths):
    file_server.content = b"\x1f\x8b" + CONTENT[:1000]
    file_server.encoding = "gzip"
    download(file_server.url(), *paths, settings=QUICK)
    assert paths[0].read_bytes() == file_server.content


def test_busy_server_is_asked_again(file_server, paths):
    file_server.content = CONTENT
    file_server.statuses = [503, 429]
    download(file_server.url(), *paths, settings=QUICK)
    assert len(file_server.asked) == 3


def test_gives_up_after_the_attempts(file_server, paths, tmp_path, caplog):
    file_server.statuses = [503] * 9
    with pytest.raises(FetchError, match=r"in 3 attempts: HTTP 503"):
        download(file_server.url(), *paths, settings=QUICK)
    assert len(file_server.asked) == 3
    assert names(tmp_path) == []
    assert "HTTP 503 Service Unavailable. Trying again" in caplog.text


@pytest.mark.parametrize(
    ("path", "message"), [("missing.bin", "no file at .*--url"), ("forbidden.bin", "refused .* HTTP 403")]
)
def test_what_is_not_there_is_said_at_once(file_server, paths, path, message):
    with pytest.raises(FetchError, match=message):
        download(file_server.url(path), *paths, settings=QUICK)
    assert len(file_server.asked) == 1
    assert not any(path.exists() for path in paths)


def test_web_page_is_not_a_file(file_server, paths):
    file_server.content, file_server.content_type = b"<html>log in</html>", "text/html; charset=utf-8"
    with pytest.raises(FetchError, match="web page"):
        download(file_server.url(), *paths, settings=QUICK)
    assert not paths[0].exists()


def test_refused_connection(file_server, paths):
    url = file_server.url()
    file_server.server_close()
    with pytest.raises(FetchError, match="refused the connection"):
        download(url, *paths, settings=DownloadSettings(attempts=2, wait_s=0.001))


def test_unknown_host(paths, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    with pytest.raises(FetchError, match="was not found"):
        download("http://no-such-host.invalid/x", *paths, settings=DownloadSettings(attempts=1))


def test_silent_server(paths):
    import socket

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/x"
        with pytest.raises(FetchError, match=r"did not answer within 0\.05 s"):
            download(url, *paths, settings=DownloadSettings(attempts=1, timeout_s=0.05))


@pytest.mark.parametrize("url", ["data.bin", "ftp://example.org/x", "http://"])
def test_not_an_address(paths, url):
    with pytest.raises(FetchError, match="not an address"):
        download(url, *paths, settings=QUICK)


def test_second_process_is_turned_away(file_server, paths):
    fcntl = pytest.importorskip("fcntl")
    with paths[1].open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(FetchError, match="Another process"):
            download(file_server.url(), *paths, settings=QUICK)
    assert file_server.asked == []


def test_a_part_another_process_has_just_begun_is_left_alone(file_server, paths):
    fcntl = pytest.importorskip("fcntl")
    with paths[1].open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(FetchError):
            download(file_server.url(), *paths, settings=QUICK)
        assert paths[1].exists()
