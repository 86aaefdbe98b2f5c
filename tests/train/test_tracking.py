"""A training told to MLflow and TensorBoard: what they hold, and that they cannot end it."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pytorch_lightning.utilities import rank_zero_only

from hitlens.config import RunConfig
from hitlens.errors import ConfigError, RunError
from hitlens.io.native_writer import NativeWriter
from hitlens.train import tracking
from hitlens.train.callbacks import read_history
from hitlens.train.config import TrackConfig
from hitlens.train.tracking import Summary, finish_loggers, make_loggers, record_of
from hitlens.workflow import runs
from hitlens.workflow.training import train

MODEL = {"name": "plain_cnn", "settings": {"features": [4, 4], "last_features": 8}, "symmetrise": False}
TRAIN = {"epochs": 3, "batch_size": 64, "precision": "float32", "accelerator": "cpu"}
HISTORY = [{"epoch": str(e), "val_loss": str(1 / (1 + e)), "val_metric": str(e / 10)} for e in range(4)]


@pytest.fixture(autouse=True)
def no_settings_of_ours(monkeypatch):
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """A SQLite database of MLflow; making its tables takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture(scope="module")
def data(make_cebr, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "made.h5"
    with NativeWriter(path, "cebr") as writer:
        writer.write(make_cebr(300))
    return path


def settings(data, track, **changes):
    content = {"detector": "cebr", "task": "multiplicity", "data": {"files": (str(data),)}, "model": MODEL}
    return RunConfig(**content, train=TRAIN | changes, track=track)


def mlflow_client(uri):
    from mlflow.tracking import MlflowClient

    return MlflowClient(uri)


def told_to_mlflow(uri, run_id, name="val_loss"):
    with tracking._patient_mlflow():
        points = mlflow_client(uri).get_metric_history(run_id, name)
    return [(point.step, point.value) for point in sorted(points, key=lambda point: point.step)]


def told_to_tensorboard(folder, name="val_loss"):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    return [(event.step, event.value) for event in events.Scalars(name)]


def summary(folder, status="finished"):
    model = folder / "model.safetensors"
    folder.mkdir(exist_ok=True)
    model.write_bytes(b"weights")
    return Summary(status, 2, 0.25, "val_loss", model)


def write_history(folder, rows=HISTORY):
    folder.mkdir(exist_ok=True)
    lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
    (folder / "history.csv").write_text("\n".join(lines) + "\n")
    return folder / "history.csv"


def test_both_hold_every_epoch_of_a_training(data, database, tmp_path):
    folder = tmp_path / "run"
    track = {"loggers": ("mlflow", "tensorboard"), "uri": database, "upload_model": True}
    result = train(settings(data, track), folder, progress=False)
    history = read_history(folder / "history.csv")
    run_id = runs.read_provenance(folder)["tracking"]["mlflow"]["run_id"]
    for name in ("train_loss", "val_loss", "val_metric", "val_accuracy", "lr"):
        expected = [(int(row["epoch"]), pytest.approx(float(row[name]), rel=1e-5)) for row in history]
        assert len(expected) == 3
        assert told_to_mlflow(database, run_id, name) == expected
        assert told_to_tensorboard(folder, name) == expected
    with tracking._patient_mlflow():
        client = mlflow_client(database)
        run = client.get_run(run_id)
        experiment = client.get_experiment(run.info.experiment_id).name
        artifacts = [one.path for one in client.list_artifacts(run_id)]
    assert experiment == "cebr/multiplicity"
    assert run.info.status == "FINISHED"
    assert run.info.run_name == folder.as_posix()
    assert run.data.params["train.batch_size"] == "64"
    assert run.data.params["model.name"] == "plain_cnn"
    assert not [name for name in run.data.params if name.startswith("track.")]
    assert run.data.metrics["best_epoch"] == result.best_epoch
    assert run.data.metrics["best_score"] == pytest.approx(result.best_score, rel=1e-5)
    assert run.data.tags["hitlens.model_file"] == str(folder / "model.safetensors")
    assert artifacts == ["model.safetensors"]
    assert told_to_tensorboard(folder, "best_score") == [
        (result.best_epoch, pytest.approx(result.best_score, rel=1e-5))
    ]


def test_a_resumed_training_goes_on_in_the_same_places(data, database, tmp_path):
    def interrupt(epoch, score):
        if epoch == 1:
            raise RuntimeError("power cut")
        return False

    folder = tmp_path / "run"
    track = {"loggers": ("mlflow", "tensorboard"), "uri": database}
    with pytest.raises(RunError, match="power cut"):
        train(settings(data, track), folder, progress=False, watch=interrupt)
    run_id = runs.read_provenance(folder)["tracking"]["mlflow"]["run_id"]
    with tracking._patient_mlflow():
        assert mlflow_client(database).get_run(run_id).info.status == "FAILED"
    train(settings(data, track | {"run_name": "another"}), folder, progress=False, resume=True)
    assert runs.read_provenance(folder)["tracking"]["mlflow"]["run_id"] == run_id
    history = read_history(folder / "history.csv")
    expected = [(int(row["epoch"]), pytest.approx(float(row["val_loss"]), rel=1e-5)) for row in history]
    assert len(expected) == 3
    assert told_to_mlflow(database, run_id) == expected
    assert told_to_tensorboard(folder) == expected
    with tracking._patient_mlflow():
        assert mlflow_client(database).get_run(run_id).info.status == "FINISHED"


def test_tracking_asked_for_when_resumed_gets_the_earlier_epochs_too(database, tmp_path):
    folder = tmp_path / "run"
    config = TrackConfig(loggers=("mlflow", "tensorboard"), uri=database, experiment="later")
    loggers = make_loggers(config, folder, {}, experiment="unused", earlier={})
    for logger in loggers:
        logger.log_metrics({"val_loss": 0.25}, step=3)
    finish_loggers(loggers, write_history(folder), summary(folder))
    expected = [(row_epoch, pytest.approx(1 / (1 + row_epoch))) for row_epoch in range(4)]
    run_id = record_of(loggers)["mlflow"]["run_id"]
    assert told_to_mlflow(database, run_id) == expected
    assert sorted(told_to_tensorboard(folder)) == expected


def test_an_interrupted_training_is_called_so(database, tmp_path):
    config = TrackConfig(loggers=("mlflow",), uri=database)
    loggers = make_loggers(config, tmp_path / "run", {}, experiment="interrupted")
    finish_loggers(loggers, write_history(tmp_path / "run"), summary(tmp_path / "run", "interrupted"))
    with tracking._patient_mlflow():
        run = mlflow_client(database).get_run(record_of(loggers)["mlflow"]["run_id"])
    assert (run.info.status, run.data.tags["hitlens.status"]) == ("KILLED", "interrupted")


def test_settings_with_odd_names_are_taken(database, tmp_path):
    config = TrackConfig(loggers=("mlflow", "tensorboard"), uri=database)
    odd = {"train.mix.nuenergy > 3": 0.5, "data.files": ["a.h5"], "train.augment": True, "none": None}
    loggers = make_loggers(config, tmp_path / "run", odd, experiment="odd")
    finish_loggers(loggers, write_history(tmp_path / "run"), summary(tmp_path / "run"))
    with tracking._patient_mlflow():
        found = mlflow_client(database).get_run(record_of(loggers)["mlflow"]["run_id"]).data.params
    assert found["train.mix.nuenergy _ 3"] == "0.5"
    assert found["data.files"] == "['a.h5']"


def test_nothing_is_left_behind_in_the_process(database, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database)
    before = {name: text for name, text in os.environ.items() if name.startswith("MLFLOW")}
    levels = [logging.getLogger(name).level for name in ("mlflow", "alembic")]
    loggers = make_loggers(TrackConfig(loggers=("mlflow",)), tmp_path / "run", {}, experiment="env")
    assert record_of(loggers)["mlflow"]["uri"] == database
    assert {name: text for name, text in os.environ.items() if name.startswith("MLFLOW")} == before
    assert [logging.getLogger(name).level for name in ("mlflow", "alembic")] == levels


def test_where_there_is_no_address_a_file_in_the_working_folder_is_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert tracking._tracking_uri(TrackConfig()) == f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert tracking._tracking_uri(TrackConfig(uri="http://host:5000")) == "http://host:5000"


def test_only_the_first_process_of_a_shared_training_tells(tmp_path, monkeypatch):
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    config = TrackConfig(loggers=("tensorboard",))
    assert make_loggers(config, tmp_path, {}, experiment="e") == []


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("file:mlruns", "no longer keeps its records in a folder"),
        ("mlruns", "no longer keeps its records in a folder"),
        ("sqlite:///nowhere/to/be/found.db", "there is no folder"),
        ("http://127.0.0.1:9", "MLflow does not answer at http://127.0.0.1:9"),
        ("http://me:secret@127.0.0.1:9", "MLflow does not answer at http://127.0.0.1:9"),
        ("postgresql://127.0.0.1:9/mlflow", "MLflow does not answer"),
    ],
)
def test_an_address_that_cannot_be_used_is_one_error_before_anything_is_made(uri, words, data, tmp_path):
    track = {"loggers": ("mlflow",), "uri": uri}
    with pytest.raises(ConfigError, match=words) as caught:
        train(settings(data, track), tmp_path / "run", progress=False)
    assert "secret" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("module", "logger"), [("mlflow.tracking", "mlflow"), ("tensorboard", "tensorboard")]
)
def test_a_missing_extra_is_named(module, logger, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"needs the extra 'track'. Install hitlens\[track\]"):
        make_loggers(TrackConfig(loggers=(logger,)), tmp_path / "run", {}, experiment="e")


class Server(ThreadingHTTPServer):
    """As much of an MLflow server as a training talks to; silent where it was told to be."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.steps: list[int] = []
        self.broken = False
        self.asked_while_broken = 0


class Answer(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        server, path = self.server, self.path.partition("?")[0]
        if server.broken:
            server.asked_while_broken += 1
            return self.send(503, {"error_code": "TEMPORARILY_UNAVAILABLE", "message": "closed"})
        info = {"run_id": "r1", "experiment_id": "1", "status": "RUNNING", "artifact_uri": "file:///nowhere"}
        if path.endswith("experiments/get-by-name"):
            return self.send(404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none"})
        if path.endswith("runs/log-batch"):
            server.steps += [
                int(one["step"]) for one in json.loads(body).get("metrics", []) if one["key"] == "val_loss"
            ]
        known = {"experiments/create": {"experiment_id": "1"}, "runs/create": {"run": {"info": info}}}
        known |= {"runs/get": {"run": {"info": info}}, "runs/update": {"run_info": info}}
        return self.send(200, next((value for end, value in known.items() if path.endswith(end)), {}))

    do_GET = do_POST = do_PATCH = answer

    def send(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server():
    with Server() as one:
        thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield one
        finally:
            one.shutdown()
            thread.join()


def test_a_server_that_dies_does_not_end_the_training(data, server, tmp_path, caplog):
    def pull_the_plug(epoch, score):
        server.broken = epoch >= 0
        return False

    track = {"loggers": ("mlflow",), "uri": f"http://127.0.0.1:{server.server_address[1]}"}
    with caplog.at_level(logging.WARNING, logger="hitlens.train.tracking"):
        result = train(settings(data, track), tmp_path / "run", progress=False, watch=pull_the_plug)
    assert result.n_epochs == 3
    assert (tmp_path / "run" / "model.safetensors").is_file()
    assert runs.read_provenance(tmp_path / "run")["status"] == "finished"
    assert server.asked_while_broken
    assert len([one for one in caplog.records if "the training goes on" in one.message]) == 1


def test_what_a_server_missed_it_is_told_when_it_is_back(server, tmp_path, monkeypatch):
    monkeypatch.setattr(tracking, "RETRY_S", 3600)
    uri = f"http://127.0.0.1:{server.server_address[1]}"
    folder = tmp_path / "run"
    loggers = make_loggers(TrackConfig(loggers=("mlflow",), uri=uri), folder, {}, experiment="e")
    loggers[0].log_metrics({"val_loss": 1.0}, step=0)
    assert server.steps == [0]
    server.broken = True
    for epoch in (1, 2):
        loggers[0].log_metrics({"val_loss": 0.5}, step=epoch)
    assert server.asked_while_broken == 1  # it is left in peace for a while
    server.broken = False
    finish_loggers(loggers, write_history(folder), summary(folder))
    assert server.steps == [0, 1, 2, 3]


def test_a_server_that_says_nothing_is_given_up_after_seconds(tmp_path, monkeypatch):
    import socket

    monkeypatch.setattr(tracking, "PATIENCE_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(ConfigError, match="MLflow does not answer"):
            make_loggers(TrackConfig(loggers=("mlflow",), uri=uri), tmp_path / "run", {}, experiment="e")
        assert time.monotonic() - started < 100  # MLflow's own patience is some ten times longer


def test_the_folder_of_tensorboard_is_the_run_folders(tmp_path):
    loggers = make_loggers(TrackConfig(loggers=("tensorboard",)), tmp_path / "run", {}, experiment="e")
    finish_loggers(loggers, write_history(tmp_path / "run"), summary(tmp_path / "run"))
    assert [path.name[:10] for path in (tmp_path / "run" / "tensorboard").glob("events*")] == ["events.out"]
    assert Path(loggers[0].inner.log_dir) == tmp_path / "run" / "tensorboard"
