"""Predictions of files by many processes: those of one, in order, whoever is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil
import pytest
import torch

from hitlens.datasets.transforms import Scaling
from hitlens.detectors import get_detector
from hitlens.errors import ConfigError, FileFormatError, NotFoundError, RunError
from hitlens.evaluate.predictions import read_predictions
from hitlens.events import Events
from hitlens.models import build_network
from hitlens.models.preprocessing import Preprocessing
from hitlens.models.trained import ModelCard, TrainedModel, save_model
from hitlens.workflow import prediction_files
from hitlens.workflow.data import open_writer
from hitlens.workflow.event_ranges import EventRange
from hitlens.workflow.pool import SerialPool
from hitlens.workflow.prediction import open_model
from hitlens.workflow.prediction_files import PredictedRange, predict_files, predict_part, predict_to_file

CEBR = get_detector("cebr")
N_EVENTS, PART = 2000, 50


def save(path: Path, seed: int) -> Path:
    """Write a small network that was never trained."""
    task = CEBR.task("multiplicity")
    settings = {"features": [4, 4], "last_features": 8}
    card = ModelCard(
        detector="cebr",
        task=task,
        heads=(task,),
        architecture="plain_cnn",
        settings=settings,
        preprocessing=Preprocessing(
            scalings={"anode": (Scaling(curve="log1p", offset=4.0, scale=2.0),)}, targets={}
        ),
        split_hash="abc",
    )
    torch.manual_seed(seed)
    network = build_network("plain_cnn", settings, CEBR.views, 1, 1)
    save_model(TrainedModel(card, network.eval(), CEBR), path)
    return path


def write(path: Path, events: Events) -> Path:
    with open_writer(path, "cebr") as writer:
        writer.write(events)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, make_cebr: Callable[..., Events]) -> Path:
    """A model, and events in two native files and one of text."""
    folder = tmp_path_factory.mktemp("prediction")
    save(folder / "model.safetensors", 3)
    events = make_cebr(N_EVENTS, 4)
    write(folder / "b.h5", events.select(slice(1200, 1900)))
    write(folder / "a.h5", events.select(slice(0, 1200)))
    write(folder / "c.txt", events.select(slice(1900, None)))
    return folder


@pytest.fixture(scope="module")
def files(folder: Path) -> list[Path]:
    return [folder / name for name in ("b.h5", "c.txt", "a.h5")]


@pytest.fixture(scope="module")
def expected(folder: Path, files: list[Path]) -> pl.DataFrame:
    """What one process says."""
    made = predict_to_file(folder / "model.safetensors", files, folder / "expected.parquet", part_events=PART)
    assert made.n_events == N_EVENTS
    return read_predictions(made.path).table


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the cluster be this process."""
    pool = SerialPool()
    monkeypatch.setattr(
        prediction_files, "open_pool", lambda cluster, **options: contextlib.nullcontext(pool)
    )


def test_one_process_keeps_the_order_of_the_files(expected: pl.DataFrame, folder: Path) -> None:
    assert expected["event"].to_list() == [*range(1200, 1900), *range(100), *range(1200)]
    assert expected["file"].rle().struct.field("value").to_list() == ["made.txt", "c.txt", "made.txt"]
    assert not [path for path in folder.iterdir() if ".parts" in path.name]


@pytest.mark.parametrize("name", ["out.parquet", "out.h5", "out.root", "out.csv"])
def test_parts_give_what_one_process_gives(
    name: str, expected: pl.DataFrame, folder: Path, files: list[Path], tmp_path: Path, one_by_one: None
) -> None:
    model = folder / "model.safetensors"
    seen: list[int] = []
    made = predict_to_file(
        model, files, tmp_path / name, cluster="faked", part_events=PART, progress=seen.append
    )
    assert sum(seen) == made.n_events == N_EVENTS
    assert len(seen) == 700 // PART + 1 + 1200 // PART
    found = read_predictions(tmp_path / name)
    predict_to_file(model, files, tmp_path / f"alone-{name}", part_events=PART)
    alone = read_predictions(tmp_path / f"alone-{name}")
    assert found.table.equals(alone.table)
    assert (found.metadata, found.task) == (alone.metadata, alone.task)
    assert found.table["event"].equals(expected["event"])
    whole = predict_files(model, files, tmp_path / f"whole-{name}").table
    np.testing.assert_allclose(whole["score_multiplicity"], found.table["score_multiplicity"], atol=1e-5)
    names = [name, f"alone-{name}", f"whole-{name}"]
    names += [f"{one}.json" for one in names if one.endswith(".csv")]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_files_with_and_without_truth_come_together(
    folder: Path, make_cebr: Callable[..., Events], tmp_path: Path, one_by_one: None
) -> None:
    events = make_cebr(40, 5)
    bare = Events(events.images, events.truth.select("file", "event"), "cebr")
    files = [write(tmp_path / "bare.h5", bare), write(tmp_path / "whole.h5", events)]
    predict_to_file(
        folder / "model.safetensors", files, tmp_path / "many.parquet", cluster="faked", part_events=30
    )
    predict_files(folder / "model.safetensors", files, tmp_path / "one.parquet")
    many, one = (read_predictions(tmp_path / f"{name}.parquet").table for name in ("many", "one"))
    assert many["true_n_electrons"].null_count() == 40
    assert many.columns == one.columns
    assert many.drop("score_multiplicity").equals(one.drop("score_multiplicity"))


def test_bad_events_are_refused_or_listed(
    folder: Path, files: list[Path], tmp_path: Path, one_by_one: None
) -> None:
    lines = (folder / "c.txt").read_text().splitlines()
    bad = tmp_path / "bad.txt"
    bad.write_text("\n".join([*lines[:3], "1 2 3", *lines[3:]]))
    arguments: dict[str, Any] = {"cluster": "faked", "part_events": PART}
    model, output = folder / "model.safetensors", tmp_path / "out.parquet"
    with pytest.raises(FileFormatError, match="line 4"):
        predict_to_file(model, [files[0], bad], output, **arguments)
    assert not output.exists()
    with pytest.raises(RunError, match='on_bad_event is "raise" there, "skip" here'):
        predict_to_file(model, [files[0], bad], output, on_bad_event="skip", **arguments)
    made = predict_to_file(model, [files[0], bad], output, on_bad_event="skip", force=True, **arguments)
    assert made.n_events == 800
    assert len(made.skipped) == 1 and "line 4" in made.skipped[0]


def test_parts_of_another_model_or_of_changed_files_are_refused(
    folder: Path, files: list[Path], tmp_path: Path, one_by_one: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(SerialPool):
        def run(self, function: Any, tasks: Any) -> Any:
            done = super().run(function, tasks)
            yield next(done)
            raise RunError("the cluster is gone")

    output = tmp_path / "out.parquet"
    mine = tmp_path / "mine.h5"
    mine.write_bytes(files[0].read_bytes())
    arguments: dict[str, Any] = {"cluster": "faked", "part_events": PART}
    with monkeypatch.context() as patch, pytest.raises(RunError, match="the cluster is gone"):
        patch.setattr(
            prediction_files, "open_pool", lambda cluster, **options: contextlib.nullcontext(Stopped())
        )
        predict_to_file(folder / "model.safetensors", [mine], output, **arguments)
    with pytest.raises(RunError, match="model is"):
        predict_to_file(save(tmp_path / "other.safetensors", 4), [mine], output, **arguments)
    os.utime(mine, ns=(1, 1))
    with pytest.raises(RunError, match=r"files is .*--force"):
        predict_to_file(folder / "model.safetensors", [mine], output, **arguments)
    assert (
        predict_to_file(folder / "model.safetensors", [mine], output, force=True, **arguments).n_events == 700
    )


def test_a_model_that_changes_under_way_is_refused(folder: Path, files: list[Path], tmp_path: Path) -> None:
    work = PredictedRange(
        folder / "model.safetensors", "0123", EventRange(files[0], "cebr", "", "native", "b.h5", 0, 5)
    )
    with pytest.raises(RunError, match="has changed"):
        predict_part(work, tmp_path / "part.parquet")
    assert str(work).startswith("prediction of ") and "events 0 to 5" in str(work)


@pytest.mark.parametrize(
    ("output", "options", "error", "message"),
    [
        ("out.xls", {}, NotFoundError, "cannot be kept as '.xls'"),
        ("out.parquet", {"cluster": "lokal"}, ConfigError, "There is no cluster 'lokal'"),
        ("out.parquet", {"options": {"axis": "yx"}}, ConfigError, "no option 'axis'"),
        ("there.parquet", {}, RunError, "exists. Choose another name, or --force"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_made(
    output: str,
    options: dict[str, Any],
    error: type[Exception],
    message: str,
    folder: Path,
    files: list[Path],
    tmp_path: Path,
) -> None:
    (tmp_path / "there.parquet").touch()
    with pytest.raises(error, match=message):
        predict_to_file(
            folder / "model.safetensors", files, tmp_path / output, **({"cluster": "local"} | options)
        )
    assert [path.name for path in tmp_path.iterdir()] == ["there.parquet"]


@pytest.mark.slow
def test_a_killed_worker_changes_no_prediction(
    expected: pl.DataFrame,
    folder: Path,
    files: list[Path],
    tmp_path: Path,
    kill_a_worker: Callable[..., Any],
    capfd: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "out.parquet"
    with kill_a_worker(tmp_path / "out.parquet.parts") as killed:
        made = predict_to_file(
            folder / "model.safetensors", files, output, cluster="local", workers=2, part_events=PART
        )
    assert killed and 0 < killed[0] < 39
    assert made.n_events == N_EVENTS
    assert read_predictions(output).table.equals(expected)
    assert not (tmp_path / "out.parquet.parts").exists()
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_killed_command_goes_on_where_it_was(
    expected: pl.DataFrame,
    folder: Path,
    files: list[Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    output, parts = tmp_path / "out.parquet", tmp_path / "out.parquet.parts"
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "from hitlens.workflow.prediction_files import predict_to_file\n"
        "if __name__ == '__main__':\n"
        f"    files = [Path(name) for name in {list(map(str, files))!r}]\n"
        f"    model, output = Path({str(folder / 'model.safetensors')!r}), Path({str(output)!r})\n"
        f"    predict_to_file(model, files, output, cluster='local', workers=2, part_events={PART})\n"
    )
    process = subprocess.Popen([sys.executable, str(script)])
    try:
        end = time.monotonic() + 300
        while not list(parts.glob("part-*.json")):
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.002)
        workers = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGKILL)
        process.wait()
        _, alive = psutil.wait_procs(workers, timeout=30)
        assert not alive
    finally:
        process.kill()
        process.wait()
    finished = {path.name: path.stat().st_mtime_ns for path in parts.glob("part-*.json")}
    assert 0 < len(finished) < 39
    assert not output.exists()
    again: dict[str, int] = {}

    def look(n_events: int) -> None:
        again.update({path.name: path.stat().st_mtime_ns for path in parts.glob("part-*.json")})

    options: dict[str, Any] = {"cluster": "local", "workers": 1, "part_events": PART, "progress": look}
    predict_to_file(folder / "model.safetensors", files, output, **options)
    assert f"{len(finished)} of 39 parts were finished before and are kept" in caplog.text
    assert {name: again[name] for name in finished} == finished
    assert read_predictions(output).table.equals(expected)


def test_the_model_is_read_once_a_process(folder: Path, files: list[Path], tmp_path: Path) -> None:
    opened: list[Path] = []

    def counted(path: Path) -> TrainedModel:
        opened.append(path)
        return open_model(path)

    with pytest.MonkeyPatch.context() as patch:
        prediction_files._model.cache_clear()
        patch.setattr(prediction_files, "open_model", counted)
        predict_to_file(folder / "model.safetensors", files, tmp_path / "out.parquet", part_events=PART)
    assert len(opened) == 2  # by the command, and for its parts


def test_events_that_share_a_key_are_told(
    tmp_path: Path, make_cebr: Callable[..., Events], caplog: pytest.LogCaptureFixture
) -> None:
    events = make_cebr(6)
    merged = events.truth.with_columns(event=pl.Series([0, 1, 2, 0, 1, 3]))
    for name in ("once", "twice"):
        truth = events.truth if name == "once" else merged
        write(tmp_path / f"{name}.h5", Events(events.images, truth, "cebr"))
    model = save(tmp_path / "model.safetensors", 1)
    assert predict_to_file(model, [tmp_path / "once.h5"], tmp_path / "once.parquet").odd == ()
    (message,) = predict_to_file(model, [tmp_path / "twice.h5"], tmp_path / "twice.parquet").odd
    assert "4 predicted events share their key (file, event) with another" in message
    assert message in caplog.text
