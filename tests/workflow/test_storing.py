"""Streamed runs: the same events, constants and truth as resident ones; refusals; nothing lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from hitlens.config import DataConfig, RunConfig
from hitlens.datasets.stored import StoredEvents
from hitlens.detectors import get_detector
from hitlens.errors import ConfigError, DataError, LeakageError, SelectionError
from hitlens.events import Events
from hitlens.io.native_writer import NativeWriter
from hitlens.models.trained import read_card
from hitlens.train import engine
from hitlens.workflow import runs, storing
from hitlens.workflow.evaluation import evaluate_run
from hitlens.workflow.preparing import prepare
from hitlens.workflow.storing import is_streamed, open_events
from hitlens.workflow.training import train

CEBR = get_detector("cebr")
QUICK: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 32,
    "precision": "float32",
    "accelerator": "cpu",
    "ema_decay": 0.9,
}
SMALL = {"name": "plain_cnn", "settings": {"features": [4, 4], "last_features": 8}}


def write(path: Path, events: Events) -> Path:
    named = Events(events.images, events.truth.with_columns(file=pl.lit(path.name)), events.detector)
    with NativeWriter(path, "cebr") as writer:
        writer.write(named)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, make_cebr: Callable[..., Events]) -> list[Path]:
    """One file of singles and one of doubles."""
    events, folder = make_cebr(700), tmp_path_factory.mktemp("data")
    return [
        write(folder / f"{name}.h5", events.filter(f"n_electrons = {n}"))
        for n, name in enumerate(("singles", "doubles"), 1)
    ]


def config_of(files: list[Path], memory: str = "streaming", **changes: Any) -> RunConfig:
    data = {"files": tuple(map(str, files)), "memory": memory, "shuffle_events": 128}
    data |= changes.pop("data", {})
    settings = {"detector": "cebr", "task": "multiplicity", "model": SMALL, "train": QUICK} | changes
    return RunConfig(data=data, **settings)


@pytest.fixture(scope="module")
def both(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A streamed and a resident run of the same settings."""
    folder = tmp_path_factory.mktemp("runs")
    for memory in ("streaming", "resident"):
        selected = {"selection": "event > 10", "max_events": 600}
        train(config_of(files, memory, data=selected), folder / memory, progress=False)
    return folder / "streaming", folder / "resident"


def test_a_streamed_run_starts_from_what_a_resident_one_does(both: tuple[Path, Path]) -> None:
    streamed, resident = map(runs.read_provenance, both)
    for part in ("split", "initial_weights"):
        assert streamed[part] == resident[part]
    assert (streamed["data"].pop("memory"), resident["data"].pop("memory")) == ("streaming", "resident")
    assert streamed["data"] == resident["data"]
    cards = [read_card(folder / "model.safetensors") for folder in both]
    assert cards[0].preprocessing == cards[1].preprocessing


def test_its_predictions_are_of_the_same_events_with_the_same_truth(both: tuple[Path, Path]) -> None:
    streamed, resident = (pl.read_parquet(folder / "predictions.parquet") for folder in both)
    own = ["score_multiplicity", "pred_multiplicity"]
    assert streamed.columns == resident.columns
    assert streamed.drop(own).equals(resident.drop(own))
    assert (streamed["pred_multiplicity"] == resident["pred_multiplicity"]).mean() > 0.7
    assert not list(both[0].glob(".*"))


def test_it_is_evaluated_without_its_images_in_memory(
    both: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    original = StoredEvents.select

    def select(self: StoredEvents, which: Any) -> Events:
        found = original(self, which)
        read.append(len(found))
        return found

    monkeypatch.setattr(StoredEvents, "select", select)
    monkeypatch.setattr(storing, "read_events", lambda *_, **__: pytest.fail("all events were read"))
    evaluate_run(both[0], baseline_events=20, learned_events=50, n_bootstrap=20)
    assert (both[0] / "report.html").is_file()
    assert max(read) <= 120


def test_only_needed_columns_stay_in_memory(files: list[Path]) -> None:
    events = prepare(config_of(files, data={"selection": "energy_1_mev > 0"})).events
    assert isinstance(events, StoredEvents)
    assert {"file", "event", "n_electrons", "energy_1_mev"} <= set(events.truth.columns)
    assert "x_1_px" not in events.truth.columns


def test_auto_streams_what_is_large_for_the_memory(
    files: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    n_bytes = sum(storing._image_bytes(file, CEBR) for file in files)
    text = tmp_path / "one.txt"
    text.write_text(f"{' '.join(['3'] * 256)} 0.5 3.25 4.5 0 -100 -100")
    for free, expected in ((3 * n_bytes, False), (n_bytes, True)):
        monkeypatch.setattr(storing, "available_memory", lambda free=free: free)
        assert is_streamed(DataConfig(), CEBR, files) is expected
        assert isinstance(open_events(DataConfig(), CEBR, files), StoredEvents) is expected
        assert not is_streamed(DataConfig(), CEBR, [*files, text])
        assert not is_streamed(DataConfig(memory="resident"), CEBR, files)


def test_what_cannot_be_streamed_is_refused(files: list[Path], tmp_path: Path) -> None:
    text = tmp_path / "one.txt"
    text.write_text(f"{' '.join(['3'] * 256)} 0.5 3.25 4.5 0 -100 -100")
    with pytest.raises(
        ConfigError, match=r"needs native files. '.*one.txt' is none: convert it, hitlens conv"
    ):
        prepare(config_of([*files, text]))
    with pytest.raises(ConfigError, match=r"train.hard_sampling draws single events"):
        prepare(config_of(files, train=QUICK | {"hard_sampling": 0.5}))
    with pytest.raises(ConfigError, match="given twice"):
        prepare(config_of([files[0], files[0]]))
    with pytest.raises(SelectionError, match=r"Did you mean 'energy_1_mev'"):
        prepare(config_of(files, data={"selection": "energy_1_mv > 0"}))
    with pytest.raises(SelectionError, match="unknown column"):
        prepare(config_of(files, train=QUICK | {"mix": {"fil = 'a'": 1.0}}))


def test_copies_in_different_splits_are_refused(tmp_path: Path, make_cebr: Callable[..., Events]) -> None:
    events = make_cebr(120)
    copies = Events(events.images, events.truth.with_columns(pl.col("event") + 1000), events.detector)
    paths = [write(tmp_path / "a.h5", events), write(tmp_path / "b.h5", copies)]
    with pytest.raises(LeakageError, match="stand in more than one split"):
        prepare(config_of(paths))
    kept = prepare(config_of(paths, split={"on_duplicates": "keep_first"}))
    assert kept.left_out["later copies of an event"] == 120


def test_a_mix_by_file(files: list[Path], tmp_path: Path) -> None:
    mix = {"file = 'singles.h5'": 0.9, "file = 'doubles.h5'": 0.1}
    config = config_of(files, train=QUICK | {"mix": mix, "epochs": 1, "draws": 320})
    prepared = prepare(config)
    assert prepared.kinds is not None
    assert prepared.kinds.shares == (0.9, 0.1)
    assert train(config, tmp_path / "run", progress=False, prepared=prepared).n_epochs == 1


def test_a_file_that_is_cut_while_a_run_trains_loses_nothing(
    files: list[Path], tmp_path: Path, make_cebr: Callable[..., Events], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytorch_lightning.callbacks import Callback

    path = write(tmp_path / "events.h5", make_cebr(400))
    content = path.read_bytes()

    class Cut(Callback):
        def on_train_batch_end(
            self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            if (trainer.current_epoch, batch_idx) == (1, 1):
                path.write_bytes(content[: len(content) // 2])

    config = config_of([path], data={"shuffle_events": 32}, train=QUICK | {"checkpoint_minutes": 1e-9})
    original = engine._callbacks
    folder = tmp_path / "run"
    with (
        monkeypatch.context() as patch,
        pytest.raises(DataError, match=r"events.h5' was changed since the run"),
    ):
        patch.setattr(engine, "_callbacks", lambda *args: [*original(*args), Cut()])
        train(config, folder, progress=False)
    assert (folder / "checkpoints" / "within.ckpt").is_file()
    path.write_bytes(content)
    with pytest.raises(
        ConfigError, match=r"began with streaming data; .* Resume it with data.memory=streaming"
    ):
        train(
            config_of([path], "resident", data={"shuffle_events": 32}, train=config.train),
            folder,
            resume=True,
        )
    assert train(config, folder, resume=True, progress=False).n_epochs == 2
    assert runs.read_provenance(folder)["status"] == "finished"
