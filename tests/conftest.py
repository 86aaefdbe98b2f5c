"""Fixtures shared by all tests."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from hitlens.detector import Task
from hitlens.detectors import get_detector
from hitlens.evaluate.predictions import Predictions, value_column, write_predictions
from hitlens.events import Events
from hitlens.io.native_writer import NativeWriter

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


@pytest.fixture(scope="session")
def make_predictions(make_cebr: Callable[..., Events]) -> Callable[..., tuple[Predictions, Events]]:
    """Make what a fair model would say of made events: ``make_predictions(task, n_events, seed)``.

    Scores fail where two electrons are close or one is weak; values are 0.02 MeV and 0.05 px off; the
    members of a set stand in random order. A third of the events is validation, the others test.
    """

    def make(task_name: str, n_events: int = 900, seed: int = 1) -> tuple[Predictions, Events]:
        rng = np.random.default_rng([seed, 7])
        events = make_cebr(n_events, seed)
        detector = get_detector("cebr")
        task, truth = detector.task(task_name), events.truth
        columns: dict[str, Any] = {"file": truth["file"], "event": truth["event"]}
        columns["split"] = np.where(np.arange(n_events) % 3 == 0, "validation", "test")
        columns |= {f"true_{name}": truth[name] for name in truth.columns[2:]}
        for head in detector.heads(task):
            columns |= _class_columns(head, truth, rng) if head.class_names else {}
            for name, values in _value_columns(head, truth, rng).items():
                columns[value_column(task, head, name)] = values
        table = pl.DataFrame(columns)
        return Predictions(table, task, detector.heads(task), "cebr", {"model": "made"}), events

    return make


def _class_columns(head: Task, truth: pl.DataFrame, rng: np.random.Generator) -> dict[str, Any]:
    separation = np.hypot(truth["x_1_px"] - truth["x_2_px"], truth["y_1_px"] - truth["y_2_px"]).to_numpy()
    double = truth["n_electrons"].to_numpy() == 2
    logit = np.where(double, np.minimum(np.nan_to_num(separation), 4), -3) + rng.normal(0, 1.5, len(truth))
    score = 1 / (1 + np.exp(-logit))
    names = np.array(head.class_names)
    return {
        f"score_{head.name}": score.astype(np.float32),
        f"pred_{head.name}": names[(score >= 0.5).astype(int)],
        f"true_{head.name}": names[double.astype(int)],
    }


def _value_columns(head: Task, truth: pl.DataFrame, rng: np.random.Generator) -> dict[str, Any]:
    swapped = rng.random(len(truth)) < 0.5
    members = head.elements or ((head.columns,) if head.columns else ())
    found = {}
    for number, member in enumerate(members):
        for name, other in zip(member, members[len(members) - 1 - number], strict=True):
            value = np.where(swapped, truth[other], truth[name])
            spread = 0.02 if name.startswith("energy") else 0.05
            found[name] = np.nan_to_num(value, nan=8.0) + rng.normal(0, spread, len(truth))
    return found


@pytest.fixture
def make_run(
    make_predictions: Callable[..., tuple[Predictions, Events]], tmp_path: Path
) -> Callable[..., Path]:
    """Make a finished run folder with made events and predictions: ``make_run(task, n_events)``."""

    def make(task_name: str, n_events: int = 900, **evaluate: Any) -> Path:
        predictions, events = make_predictions(task_name, n_events)
        data = tmp_path / "made.h5"
        with NativeWriter(data, "cebr") as writer:
            writer.write(events)
        folder = tmp_path / task_name
        folder.mkdir()
        settings = {"n_bootstrap": 20, "n_bootstrap_slices": 20, "baseline_events": 40} | evaluate
        config = {"title": f"Made {task_name}", "detector": "cebr", "task": task_name}
        config |= {"data": {"files": [str(data)]}, "evaluate": settings}
        (folder / "config.yaml").write_text(json.dumps(config))
        write_predictions(predictions, folder / "predictions.parquet")
        epochs = np.arange(4)
        history = {"epoch": epochs, "train_loss": 0.5**epochs, "val_loss": 0.6**epochs}
        history |= {"val_metric": 1 - 0.3**epochs, "lr": 0.001 / (1 + epochs), "seconds": 1.0 + 0 * epochs}
        pl.DataFrame(history).write_csv(folder / "history.csv")
        record = {"status": "finished", "monitor": "val_accuracy", "best_epoch": 3, "validation_score": 0.97}
        record |= {"data": {"files": [str(data)], "left_out": {"malformed": 2}}, "split": {"n_train": 0}}
        (folder / "provenance.json").write_text(json.dumps(record))
        return folder

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
