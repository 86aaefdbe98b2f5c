"""Fixtures shared by all tests."""

from __future__ import annotations

import contextlib
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
import psutil
import pytest
from scipy import sparse

from hitlens.detector import Detector, SliceVariable, Symmetry, Task, TruthColumn, TruthLaw, View
from hitlens.detectors import get_detector
from hitlens.evaluate.predictions import Predictions, truth_column, value_column, write_predictions
from hitlens.events import Events
from hitlens.io.native_writer import NativeWriter

REAL = Path(__file__).resolve().parents[2] / "shared" / "data"


def _real(name: str) -> Path:
    folder = REAL / name
    if not folder.is_dir():
        pytest.skip(f"real samples not found: no folder {folder}")
    return folder


@pytest.fixture(scope="session")
def real_cebr() -> Path:
    """Folder of the real CeBr samples; skips where it is missing."""
    return _real("cebr")


@pytest.fixture(scope="session")
def real_nova() -> Path:
    """Folder of the real NOvA images; skips where it is missing."""
    return _real("nova")


@pytest.fixture(scope="session")
def real_dune() -> Path:
    """Folder of the DUNE sample; skips where it is missing."""
    return _real("dune")


@pytest.fixture(scope="session")
def make_nova() -> Callable[..., Events]:
    """Make events like NOvA's in columns and size, not in physics: ``make_nova(n_events, seed)``.

    A cloud of hits a view, longer and brighter with the energy; all kinds of interaction but nutau.
    """

    def make(n_events: int, seed: int = 1) -> Events:
        rng = np.random.default_rng([seed, 11])
        interaction = rng.choice([0, 1, 2, 3, 4, 6, 12, 13, 14, 15], n_events)
        with_neutrino = interaction < 14
        energy = np.where(with_neutrino, 1 + rng.gamma(1.5, 4, n_events), 0).astype(np.float32)
        images = {view: _nova_view(energy, rng) for view in ("x", "y")}
        block = np.array([0, 0, 0, 0, 1, 1, 1, 1])
        prongs = rng.integers(0, 4, (2, n_events))
        state = 16 * np.where(interaction < 8, block[interaction % 8], 2) + 4 * prongs[0] + prongs[1]
        state = np.where(with_neutrino, state, interaction + 34).astype(np.uint32)
        truth: dict[str, Any] = {"file": "made.h5", "run": np.full(n_events, 10_000 + seed)}
        truth |= {"subrun": np.arange(n_events) // 64, "evt": np.arange(n_events)}
        truth |= {"subevt": rng.integers(1, 4, n_events), "cycle": np.zeros(n_events, np.int64)}
        truth |= {"interaction": interaction.astype(np.uint32), "finalstate": state, "finalstateprong": state}
        truth |= {"nuenergy": energy, "lepenergy": (energy * rng.random(n_events)).astype(np.float32)}
        truth |= dict(zip(("vtxx", "vtxy", "vtxz"), rng.uniform(-700, 700, (3, n_events)), strict=True))
        truth |= {name: np.ones(n_events, np.uint32) for name in ("parent", "particles")}
        truth["trainingdata_idx"] = np.arange(n_events, dtype=np.uint32)
        return get_detector("nova").complete(Events(images, pl.DataFrame(truth), "nova"))

    return make


def _nova_view(energy: np.ndarray, rng: np.random.Generator) -> sparse.csr_array:
    n_hits = rng.poisson(20 + 8 * energy)
    event = np.repeat(np.arange(len(energy)), n_hits)
    plane = np.minimum(rng.exponential(5 + energy[event]), 99).astype(np.int64)
    cell = np.clip(rng.normal(40, 4, len(event)), 0, 79).astype(np.int64)
    value = np.minimum(1 + rng.gamma(1.5, 8, len(event)), 255).astype(np.uint8)
    place, first = np.unique(event * 8000 + plane * 80 + cell, return_index=True)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(place // 8000, minlength=len(energy)))])
    parts = (value[first], (place % 8000).astype(np.int32), indptr.astype(np.int32))
    return sparse.csr_array(parts, shape=(len(energy), 8000))


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


INTERACTIONS = ((0, "numu CC QE"), (2, "numu CC DIS"), (6, "nue CC DIS"), (13, "NC"))


@pytest.fixture(scope="session")
def two_views() -> Detector:
    """A described detector of two sparse views, planes and cells, with tasks of each kind."""
    shape, pitch = (100, 80), (133.2, 39.7)
    views = tuple(
        View(
            name=name,
            shape=shape,
            axes=("plane", f"{name}_cell"),
            pitch_mm=pitch,
            unit="counts of 1.085 MeV",
            dtype="uint8",
        )
        for name in ("x", "y")
    )
    energy = {"kind": "regression", "selection": "nuenergy > 0", "units": ("GeV",)}
    tasks = (
        Task(
            name="numu_cc",
            kind="binary",
            meaning="numu CC or not",
            target="flavour = 0",
            class_names=("other", "numu"),
        ),
        Task(
            name="flavour",
            kind="multiclass",
            meaning="flavour",
            target="flavour",
            class_names=("numu", "nue", "nc_other"),
        ),
        Task(name="nu_energy", meaning="energy of the neutrino", columns=("nuenergy",), **energy),
        Task(name="lepton_energy", meaning="energy of the lepton", columns=("lepenergy",), **energy),
        Task(
            name="joint",
            kind="joint",
            meaning="all",
            heads=("numu_cc", "flavour", "nu_energy", "lepton_energy"),
        ),
    )
    return Detector(
        name="two_views",
        title="Two views of planes and cells",
        views=views,
        truth=(
            TruthColumn(name="file", meaning="file", role="file"),
            TruthColumn(name="run", meaning="run", role="key"),
            TruthColumn(name="evt", meaning="event", role="key"),
            TruthColumn(name="interaction", meaning="kind of interaction", codes=INTERACTIONS),
            TruthColumn(name="nuenergy", meaning="energy of the neutrino", unit="GeV", symbol="E"),
            TruthColumn(name="lepenergy", meaning="energy of the lepton", unit="GeV"),
            TruthColumn(name="flavour", meaning="flavour", codes=((0, "numu"), (1, "nue"), (2, "NC"))),
        ),
        tasks=tasks,
        headline=("interaction", "nuenergy"),
        symmetries=(
            Symmetry(name="flip_x_cell", flips=("x_cell",)),
            Symmetry(name="flip_y_cell", flips=("y_cell",)),
        ),
        slices=(
            SliceVariable(
                name="nu_energy",
                label="true neutrino energy",
                unit="GeV",
                expression="nuenergy",
                edges=(0, 2, 4, 8, 20),
            ),
            SliceVariable(
                name="kind",
                label="interaction",
                expression="flavour",
                edges=(-0.5, 0.5, 1.5, 2.5),
                labels=("numu", "nue", "NC"),
            ),
        ),
        laws=(TruthLaw(name="numu share", kind="fraction", expression="flavour = 0", low=0.4, high=0.6),),
    )


@pytest.fixture(scope="session")
def make_two_views(two_views: Detector) -> Callable[..., Events]:
    """Make events of `two_views`, straight tracks and blobs: ``make_two_views(n_events, seed)``."""

    def make(n_events: int, seed: int = 1) -> Events:
        rng = np.random.default_rng([seed, 3])
        interaction = rng.choice([0, 2, 6, 13], n_events, p=[0.2, 0.3, 0.2, 0.3])
        energy = rng.lognormal(1.2, 0.6, n_events).clip(0.4, 60).astype(np.float32)
        flavour = np.select([interaction < 4, interaction < 8], [0, 1], 2)
        lepton = (energy * rng.uniform(0.2, 1.0, n_events)).astype(np.float32)
        n_hits = (12 + 12 * energy).astype(int).clip(15, 90)
        row = np.repeat(np.arange(n_events), n_hits)
        step = np.arange(len(row)) - np.repeat(np.cumsum(n_hits) - n_hits, n_hits)
        wide = (flavour[row] != 0) * 2.0 + 0.3
        images = {}
        for view in two_views.views:
            plane = np.clip(step * np.where(flavour[row] == 0, 1.0, 0.4), 0, 99).astype(int)
            slope = rng.uniform(-0.25, 0.25, n_events)[row]
            cell = np.clip(40 + slope * plane + rng.normal(0, wide), 0, 79).astype(int)
            charge = rng.gamma(3.0, np.where(flavour[row] == 0, 4.0, 15.0))
            counts = sparse.coo_array((charge, (row, plane * 80 + cell)), shape=(n_events, 8000)).tocsr()
            counts.data = np.ceil(counts.data).clip(1, 255)
            images[view.name] = sparse.csr_array(counts.astype(np.uint8))
        truth = pl.DataFrame(
            {
                "file": np.where(np.arange(n_events) % 2 == 0, "made1.h5", "made2.h5"),
                "run": np.full(n_events, 7),
                "evt": np.arange(n_events),
                "interaction": interaction.astype(np.uint32),
                "nuenergy": energy,
                "lepenergy": lepton,
                "flavour": flavour,
            }
        )
        return Events(images, truth, "two_views")

    return make


@pytest.fixture(scope="session")
def make_two_view_predictions(
    two_views: Detector, make_two_views: Callable[..., Events]
) -> Callable[..., tuple[Predictions, Events]]:
    """Make what a fair model says of `make_two_views`: ``make_two_view_predictions(n_events, seed)``."""

    def make(n_events: int = 600, seed: int = 1) -> tuple[Predictions, Events]:
        rng = np.random.default_rng([seed, 11])
        events, task = make_two_views(n_events, seed), two_views.task("joint")
        truth = events.truth
        flavour = truth["flavour"].to_numpy()
        names = np.array(two_views.task("flavour").class_names)
        logits = 2.5 * np.eye(3)[flavour] + rng.normal(0, 1, (n_events, 3))
        scores = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        columns: dict[str, Any] = {name: truth[name] for name in two_views.labels}
        columns["split"] = np.where(np.arange(n_events) % 3 == 0, "validation", "test")
        known = [c.name for c in two_views.truth if c.role == "truth"]
        columns |= {truth_column(two_views.heads(task), name): truth[name] for name in known}
        columns["score_numu_cc"] = scores[:, 0]
        columns["pred_numu_cc"] = np.where(scores[:, 0] >= 0.5, "numu", "other")
        columns["true_numu_cc"] = np.where(flavour == 0, "numu", "other")
        columns |= {f"score_flavour_{name}": scores[:, k] for k, name in enumerate(names)}
        columns |= {"pred_flavour": names[scores.argmax(1)]}
        columns["true_flavour"] = names[flavour]
        for head, column in (("nu_energy", "nuenergy"), ("lepton_energy", "lepenergy")):
            columns[f"{head}_pred_{column}"] = truth[column] * rng.lognormal(0, 0.2, n_events)
        return Predictions(
            pl.DataFrame(columns), task, two_views.heads(task), "two_views", {"model": "made"}
        ), events

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


@pytest.fixture
def kill_a_worker() -> Callable[..., contextlib.AbstractContextManager[list[int]]]:
    """Kill one worker process while parts are made: ``with kill_a_worker(folder) as killed: ...``.

    SIGKILL comes when the first part is there; ``killed`` gets the number of parts finished by then.
    """

    @contextlib.contextmanager
    def kill(folder: Path) -> Iterator[list[int]]:
        killed: list[int] = []
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.002):
                n_finished = len(list(folder.glob("part-*.json")))
                workers = [
                    one for one in psutil.Process().children() if "spawn_main" in " ".join(one.cmdline())
                ]
                if n_finished and workers:
                    workers[-1].kill()
                    killed.append(n_finished)
                    return

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield killed
        finally:
            over.set()
            thread.join()

    return kill
