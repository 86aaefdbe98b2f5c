"""Files of the cache: recorded at the first download, checked ever after, never half there."""

from __future__ import annotations

import gzip
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import numpy as np
import pytest

from hitlens.errors import FetchError
from hitlens.io.download import DownloadSettings
from hitlens.io.fetch import LOCK_NAME, cache_folder, fetch_file, read_lock

QUICK = DownloadSettings(attempts=2, wait_s=0.001, timeout_s=5.0)
CONTENT = np.random.default_rng(2).bytes(300_000)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def server(file_server):
    file_server.content = CONTENT
    return file_server


def fetch(server, folder, **options):
    return fetch_file("data.bin", options.pop("url", server.url()), folder, settings=QUICK, **options)


def test_first_download_is_recorded(server, tmp_path):
    fetched = fetch(server, tmp_path)
    assert (fetched.status, fetched.sha256, fetched.n_bytes) == ("downloaded", sha256(CONTENT), 300_000)
    assert fetched.path.read_bytes() == CONTENT
    assert names(tmp_path) == ["data.bin", LOCK_NAME]
    entry = read_lock(tmp_path / LOCK_NAME)["data.bin"]
    assert (entry.sha256, entry.n_bytes, entry.url) == (sha256(CONTENT), 300_000, server.url())


def test_second_call_asks_nobody(server, tmp_path):
    fetch(server, tmp_path)
    server.asked.clear()
    assert fetch(server, tmp_path).status == "cached"
    assert server.asked == []


@pytest.mark.parametrize("damage", ["change", "remove"])
def test_damaged_or_lost_file_is_repaired(server, tmp_path, damage):
    path = fetch(server, tmp_path).path
    recorded = (tmp_path / LOCK_NAME).read_bytes()
    path.write_bytes(CONTENT[:-1] + b"?") if damage == "change" else path.unlink()
    assert fetch(server, tmp_path).status == "repaired"
    assert path.read_bytes() == CONTENT
    assert (tmp_path / LOCK_NAME).read_bytes() == recorded


def test_other_content_is_refused_and_the_old_file_kept(server, tmp_path):
    path = fetch(server, tmp_path).path
    path.write_bytes(b"damaged")
    server.content = b"something else"
    with pytest.raises(FetchError, match=r"expected sha256 .* was left as it is.*--accept"):
        fetch(server, tmp_path)
    assert path.read_bytes() == b"damaged"
    assert names(tmp_path) == ["data.bin", LOCK_NAME]
    assert read_lock(tmp_path / LOCK_NAME)["data.bin"].sha256 == sha256(CONTENT)


def test_accept_takes_the_new_content(server, tmp_path):
    fetch(server, tmp_path)
    server.content = b"new version"
    fetched = fetch(server, tmp_path, accept=True)
    assert (fetched.status, fetched.path.read_bytes()) == ("accepted", b"new version")
    assert fetch(server, tmp_path).status == "cached"


def test_failed_accept_changes_nothing(server, tmp_path):
    fetch(server, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(FetchError):
        fetch(server, tmp_path, accept=True, url=server.url("missing.bin"))
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir() if ".part" not in path.name}
    assert after == before


def test_broken_off_download_leaves_no_file_and_goes_on_later(server, tmp_path):
    server.break_after = [100_000, 0, 0, 0]
    with pytest.raises(FetchError):
        fetch(server, tmp_path)
    assert names(tmp_path) == ["data.bin.part", "data.bin.part.json"]
    server.break_after = []
    fetched = fetch(server, tmp_path)
    assert fetched.resumed
    assert fetched.path.read_bytes() == CONTENT
    assert names(tmp_path) == ["data.bin", LOCK_NAME]


def test_spoilt_part_is_thrown_away_when_the_checksum_says_so(server, tmp_path):
    path = fetch(server, tmp_path).path
    path.unlink()
    (tmp_path / "data.bin.part").write_bytes(b"x" * 1000)
    (tmp_path / "data.bin.part.json").write_text(json.dumps({"url": server.url()}))
    assert fetch(server, tmp_path).path.read_bytes() == CONTENT


def test_a_mirror_must_have_the_same_content(server, tmp_path):
    path = fetch(server, tmp_path).path
    path.unlink()
    assert fetch(server, tmp_path, url=server.url("mirror/data.bin")).status == "repaired"


def test_file_put_there_by_hand_is_recorded(server, tmp_path):
    (tmp_path / "data.bin").write_bytes(b"by hand")
    assert fetch(server, tmp_path).status == "recorded"
    assert server.asked == []
    assert fetch(server, tmp_path).status == "cached"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"plain text", "not gzip"),
    ],
)
def test_implausible_first_content_is_not_recorded(server, tmp_path, content, problem):
    server.content = content
    with pytest.raises(FetchError, match=problem):
        fetch_file("data.txt.gz", server.url(), tmp_path, settings=QUICK)
    assert names(tmp_path) == []


def test_gzip_is_kept_compressed(server, tmp_path):
    server.content = gzip.compress(b"1 2 3\n")
    fetched = fetch_file("data.txt.gz", server.url(), tmp_path, settings=QUICK)
    assert fetched.path.read_bytes() == server.content


def test_files_in_parallel_all_reach_the_lock(server, tmp_path):
    wanted = [f"data{number}.bin" for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: fetch_file(name, server.url(name), tmp_path, settings=QUICK), wanted))
    assert sorted(read_lock(tmp_path / LOCK_NAME)) == wanted


def test_lock_elsewhere(server, tmp_path):
    lock = tmp_path / "analysis" / "data.lock.json"
    fetch(server, tmp_path / "cache", lock=lock)
    assert list(read_lock(lock)) == ["data.bin"]
    assert names(tmp_path / "cache") == ["data.bin"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [("{", "cannot be read"), ('{"version": 9, "files": {}}', "version 9"), ("[]", "cannot be read")],
)
def test_unreadable_lock_stops_everything(server, tmp_path, text, problem):
    (tmp_path / LOCK_NAME).write_text(text)
    with pytest.raises(FetchError, match=problem):
        fetch(server, tmp_path)
    assert server.asked == []


@pytest.mark.parametrize("name", ["../data.bin", "a/b", "..", ""])
def test_name_cannot_leave_the_folder(tmp_path, name):
    with pytest.raises(FetchError, match="plain name"):
        fetch_file(name, "http://127.0.0.1/", tmp_path)


def test_cache_folder_honours_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("HITLENS_DATA", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("HITLENS_DATA")
    assert cache_folder().name == "hitlens"


def test_passwords_and_tokens_are_kept_nowhere(server, tmp_path, caplog):
    secret = server.url().replace("http://", "http://me:geheim@") + "?token=abcdef&version=2"
    fetch(server, tmp_path, url=secret)
    (entry,) = read_lock(tmp_path / LOCK_NAME).values()
    assert entry.url == server.url() + "?token=...&version=2"
    with pytest.raises(FetchError) as told:
        fetch_file("other.bin", secret.replace("data.bin", "missing.bin"), tmp_path, settings=QUICK)
    kept = "".join(path.read_text(errors="replace") for path in tmp_path.iterdir())
    for text in (kept, str(told.value), caplog.text):
        assert "geheim" not in text
        assert "abcdef" not in text


@pytest.mark.parametrize("kept", [0.3, 1.0])
def test_a_download_without_a_length_is_not_whole(tmp_path, kept):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(CONTENT[: int(kept * len(CONTENT))])

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as own:
        thread = Thread(target=own.serve_forever, daemon=True)
        thread.start()
        try:
            url = f"http://127.0.0.1:{own.server_port}/data.bin"
            with pytest.raises(FetchError, match="did not say how long the file is"):
                fetch_file("data.bin", url, tmp_path, settings=QUICK)
        finally:
            own.shutdown()
            thread.join()
    assert "data.bin" not in names(tmp_path)
