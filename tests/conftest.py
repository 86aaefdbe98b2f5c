"""Fixtures shared by all tests."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hitlens.events import Events

REAL = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_cebr() -> Path:
    """Folder of the real CeBr samples; skips where it is missing."""
    folder = REAL / "cebr"
    if not folder.is_dir():
        pytest.skip(f"real samples not found: no folder {folder}")
    return folder


@pytest.fixture(scope="session")
def make_cebr() -> Callable[..., Events]:
    """Make events like CeBr's, simple spots of light, half of them doubles: ``make_cebr(n_events, seed)``."""

    def make(n_events: int, seed: int = 1) -> Events:
        rng = np.random.default_rng(seed)
        n_electrons = np.where(rng.random(n_events) < 0.5, 1, 2)
        energy, x, y = rng.random((2, n_events)), *rng.uniform(8 - 22 / 3, 8 + 22 / 3, (2, 2, n_events))
        single = n_electrons == 1
        energy[1, single] = 0.0
        centres = np.arange(16) + 0.5
        rows, cols = centres - x[..., None], centres - y[..., None]
        spots = 1 / (1 + rows[..., :, None] ** 2 + cols[..., None, :] ** 2) ** 1.5
        images = rng.poisson(9000 * np.einsum("an,anij->nij", energy, spots)).astype(np.uint16)
        x[1, single] = y[1, single] = np.nan
        truth = {
            "file": "made.txt",
            "event": np.arange(n_events),
            "n_electrons": n_electrons.astype(np.uint8),
        }
        for number in (0, 1):
            truth[f"energy_{number + 1}_mev"] = energy[number]
            truth[f"x_{number + 1}_px"], truth[f"y_{number + 1}_px"] = x[number], y[number]
        return Events({"anode": images}, pl.DataFrame(truth), "cebr")

    return make


class FileServer(ThreadingHTTPServer):
    """Serves `content` under every path but the misbehaving ones, and remembers what it was asked.

    Attributes:
        break_after: bytes of a body after which the connection is cut, one entry a request, used up in order.
        statuses: statuses to answer with before behaving, used up in order.
        ranges: whether Range is honoured.
        validator: whether an ETag is sent.
        asked: (path, Range header) of every request.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = b""
        self.break_after: list[int] = []
        self.statuses: list[int] = []
        self.ranges = True
        self.validator = True
        self.content_type = "application/octet-stream"
        self.encoding = ""
        self.asked: list[tuple[str, str | None]] = []

    def url(self, path: str = "data.bin") -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"


class _Handler(BaseHTTPRequestHandler):
    server: FileServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        server = self.server
        wanted = self.headers.get("Range")
        server.asked.append((self.path, wanted))
        self.close_connection = True
        if self.path.startswith("/missing"):
            return self._plain(404)
        if self.path.startswith("/forbidden"):
            return self._plain(403)
        if server.statuses:
            return self._plain(server.statuses.pop(0))
        etag = f'"{hashlib.sha256(server.content).hexdigest()}"'
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and server.ranges else 0
        if self.headers.get("If-Range", etag) != etag:
            start = 0
        if start and start >= len(server.content):
            return self._plain(416, {"Content-Range": f"bytes */{len(server.content)}"})
        return self._file(start, etag)

    def _file(self, start: int, etag: str) -> None:
        server = self.server
        body = server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", server.content_type)
        self.send_header("Content-Length", str(len(body)))
        if server.encoding:
            self.send_header("Content-Encoding", server.encoding)
        if server.validator:
            self.send_header("ETag", etag)
        if start:
            self.send_header(
                "Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}"
            )
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body[: server.break_after.pop(0)] if server.break_after else body)

    def _plain(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()


@pytest.fixture
def file_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A running `FileServer`."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    with FileServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
