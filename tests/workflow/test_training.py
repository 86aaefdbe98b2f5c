"""From a recipe to a run folder: what it holds, what is refused, what is counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from safetensors.torch import load_file

from hitlens.config import RunConfig
from hitlens.datasets.duplicates import CopyCount
from hitlens.datasets.resident import ResidentData
from hitlens.detectors import get_detector
from hitlens.errors import ConfigError, DataError, LeakageError, NotFoundError, RunError, SelectionError
from hitlens.evaluate.predictions import read_predictions
from hitlens.events import Events, concat
from hitlens.io.native_writer import NativeWriter
from hitlens.models.trained import TrainedModel, read_card
from hitlens.train.callbacks import read_history
from hitlens.train.engine import TrainingResult
from hitlens.workflow import runs, training
from hitlens.workflow.prediction import open_model, predict_events
from hitlens.workflow.preparing import build_module, prepare, weights_hash
from hitlens.workflow.run_events import read_run_config
from hitlens.workflow.training import train

N = 400
SMALL: dict[str, Any] = {
    "name": "plain_cnn",
    "settings": {"features": [4, 4], "last_features": 8, "dropout": 0.1},
    "symmetrise": False,
}
QUICK: dict[str, Any] = {"epochs": 2, "batch_size": 64, "precision": "float32", "accelerator": "cpu"}

Settings = Callable[..., RunConfig]


def write(path: Path, events: Events) -> Path:
    with NativeWriter(path, "cebr") as writer:
        writer.write(events)
    return path


@pytest.fixture(scope="module")
def data(make_cebr: Callable[..., Events], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "made.h5", make_cebr(N))


@pytest.fixture(scope="module")
def settings(data: Path) -> Settings:
    def make(task: str = "multiplicity", **changes: Any) -> RunConfig:
        content = {"detector": "cebr", "task": task, "data": {"files": (str(data),)}}
        content |= {"model": SMALL, "train": QUICK}
        for key, value in changes.items():
            content[key] = {**content.get(key, {}), **value} if isinstance(value, dict) else value
        return RunConfig(**content)

    return make


@pytest.fixture(scope="module")
def run(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainingResult]:
    folder = tmp_path_factory.mktemp("runs") / "run"
    selected = settings(data={"files": settings().data.files, "selection": "energy_1_mev > 0.05"})
    return folder, train(selected, folder, progress=False)


def test_the_run_folder_is_complete(run: tuple[Path, TrainingResult]) -> None:
    folder, result = run
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "config.yaml",
        "history.csv",
        "checkpoints",
        "model.safetensors",
        "predictions.parquet",
        "provenance.json",
    }
    assert len(read_history(folder / "history.csv")) == result.n_epochs == 2
    written = yaml.safe_load((folder / "config.yaml").read_text())
    assert written["model"]["settings"]["features"] == [4, 4]


def test_the_record_says_how_it_came_about(run: tuple[Path, TrainingResult], data: Path) -> None:
    folder, result = run
    record = runs.read_provenance(folder)
    assert record["status"] == "finished"
    assert record["data"]["files"] == [str(data)]
    assert list(record["data"]["sha256"]) == ["made.h5"]
    assert record["best_epoch"] == result.best_epoch
    assert record["validation_score"] == pytest.approx(result.best_score)
    assert record["monitor"] == "val_accuracy"
    assert record["n_parameters"] > 500
    assert len(record["initial_weights"]) == 64
    n_left = record["data"]["left_out"]["outside data.selection"]
    assert 0 < n_left == N - record["data"]["n_events"]
    split = record["split"]
    assert split["n_train"] + split["n_validation"] + split["n_test"] == record["data"]["n_events"]


def test_predictions_are_of_validation_and_test_in_the_order_of_the_events(
    run: tuple[Path, TrainingResult],
) -> None:
    folder, _ = run
    predictions = read_predictions(folder / "predictions.parquet")
    table, split = predictions.table, runs.read_provenance(folder)["split"]
    assert set(table["split"]) == {"validation", "test"}
    assert len(predictions.split("validation")) == split["n_validation"]
    assert len(predictions.split("test")) == split["n_test"]
    assert table["event"].is_sorted()
    assert table["event"].n_unique() == len(table)
    assert table.columns[:3] == ["file", "event", "split"]


def test_the_kept_weights_are_those_of_the_recorded_score(run: tuple[Path, TrainingResult]) -> None:
    folder, result = run
    table = read_predictions(folder / "predictions.parquet").split("validation").table
    accuracy = float((table["pred_multiplicity"] == table["true_multiplicity"]).mean() or 0)
    assert accuracy == pytest.approx(result.best_score, abs=0.03)  # bfloat16 may move an event or two


def test_the_card_carries_what_prediction_needs(run: tuple[Path, TrainingResult]) -> None:
    folder, result = run
    card, record = read_card(folder / "model.safetensors"), runs.read_provenance(folder)
    assert (card.detector, card.task.name, card.architecture) == ("cebr", "multiplicity", "plain_cnn")
    assert card.split_hash == record["split"]["hash"]
    assert card.data_checksums == record["data"]["sha256"]
    assert card.versions["torch"] == record["machine"]["versions"]["torch"]
    assert card.seed == 1
    assert card.best_epoch == result.best_epoch
    assert card.monitor == "val_accuracy"
    assert card.temperature.keys() == {"multiplicity"}
    assert 0.1 <= card.temperature["multiplicity"] <= 10
    assert [scaling.curve for scaling in card.preprocessing.scalings["anode"]] == ["log1p"]


def test_predictions_are_those_of_the_model_file(run: tuple[Path, TrainingResult]) -> None:
    folder, _ = run
    table = read_predictions(folder / "predictions.parquet").table
    prepared = prepare(read_run_config(folder))
    rows = np.sort(np.concatenate([prepared.split.validation, prepared.split.test]))
    again = predict_events(open_model(folder), prepared.events.select(rows)).table
    assert again["event"].equals(table["event"])
    np.testing.assert_allclose(again["score_multiplicity"], table["score_multiplicity"], atol=1e-6)


@pytest.mark.parametrize("native", [True, False])
def test_bfloat16_is_tried_where_the_machine_has_it(
    native: bool, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def tolerates(model: TrainedModel, events: Events) -> bool:
        tried.append(set(events.truth["event"]))
        return True

    monkeypatch.setattr(training, "N_TRIED", 30)
    monkeypatch.setattr(training, "has_bfloat16", lambda device: native)
    monkeypatch.setattr(training, "tolerates_bfloat16", tolerates)
    train(settings("single_energy", train={"epochs": 1}), tmp_path / "run", progress=False)
    assert read_card(tmp_path / "run" / "model.safetensors").predicts_in_bfloat16 is (
        True if native else None
    )
    known = read_predictions(tmp_path / "run" / "predictions.parquet").split("validation").table
    assert [len(one) for one in tried] == ([30] if native else [])
    assert all(one <= set(known["event"]) for one in tried)


def test_constants_come_from_the_training_split_alone(settings: Settings) -> None:
    prepared = prepare(settings())
    images = prepared.events.dense("anode")
    module = build_module(
        settings(), prepared, ResidentData.from_events(prepared.events, prepared.detector, prepared.heads)
    )
    (scaling,) = module.preprocessing.scalings["anode"]
    expected = np.log1p(images[prepared.split.train].astype(float))
    assert scaling.offset == pytest.approx(expected.mean())
    assert scaling.scale == pytest.approx(expected.std())


def test_equal_images_are_counted_and_kept_on_one_side(
    settings: Settings, make_cebr: Callable[..., Events], tmp_path: Path
) -> None:
    events = make_cebr(N)
    images = events.dense("anode").copy()
    images[20:40] = images[:20]
    path = write(tmp_path / "alike.h5", Events({"anode": images}, events.truth, "cebr"))
    config = settings(data={"files": (str(path),)}, split={"on_duplicates": "group"})
    prepared = prepare(config)
    n_electrons = events.truth["n_electrons"].to_numpy()
    n_other = 2 * int((n_electrons[20:40] != n_electrons[:20]).sum())
    assert prepared.copies == CopyCount(n_images=20, n_events=40, n_other_truth=n_other) and n_other
    assert "later copies of an event" not in prepared.left_out
    names = prepared.split.names(N)
    assert (names[20:40] == names[:20]).all()


@pytest.mark.parametrize("task", ["single_energy", "double", "joint"])
def test_other_tasks_train(task: str, settings: Settings, tmp_path: Path) -> None:
    train(settings(task, train=QUICK | {"epochs": 1}), tmp_path / task, progress=False)
    predictions = read_predictions(tmp_path / task / "predictions.parquet")
    detector = get_detector("cebr")
    for head in detector.heads(detector.task(task)):
        values = predictions.table.select(predictions.output_columns(head))
        assert values.null_count().sum_horizontal().item() == 0
    card = read_card(tmp_path / task / "model.safetensors")
    assert card.monitor == "val_loss"
    assert card.temperature.keys() == ({"multiplicity"} if task == "joint" else set())
    counted = runs.read_provenance(tmp_path / task)
    n_used = sum(counted["split"][f"n_{name}"] for name in ("train", "validation", "test"))
    assert n_used + counted["data"]["left_out"].get(f"no target for {task}", 0) == N


def test_a_target_large_beside_its_spread_is_learnt_and_given_back(
    settings: Settings, make_cebr: Callable[..., Events], tmp_path: Path
) -> None:
    """As float32, 1.7e9 has steps of 128, a hundred times the spread."""
    events = make_cebr(N)
    truth = events.truth.with_columns(energy_1_mev=pl.col("energy_1_mev") + 1_700_000_000.0)
    path = write(tmp_path / "late.h5", Events(events.images, truth, "cebr"))
    train(settings("single_energy", data={"files": (str(path),)}), tmp_path / "run", progress=False)
    table = read_predictions(tmp_path / "run" / "predictions.parquet").table
    true, pred = table["true_energy_1_mev"], table["pred_energy_1_mev"]
    assert true.n_unique() == len(true) and pred.n_unique() == len(pred)
    assert (true - pred).abs().max() < 2


def test_all_tasks_of_one_detector_share_the_test_events(settings: Settings) -> None:
    def test_events(task: str) -> set[int]:
        return set(prepare(settings(task)).split.test.tolist())

    everything = test_events("multiplicity")
    assert test_events("single_energy") | test_events("double") == everything
    assert prepare(settings("double")).split.hash == prepare(settings()).split.hash


def test_a_run_is_never_overwritten_unasked(run: tuple[Path, TrainingResult], settings: Settings) -> None:
    folder, _ = run
    before = (folder / "provenance.json").read_bytes()
    with pytest.raises(RunError, match=r"holds a run \(finished\)\. Use --force"):
        train(settings(), folder)
    with pytest.raises(RunError, match="is finished"):
        train(settings(), folder, resume=True)
    assert (folder / "provenance.json").read_bytes() == before


def test_force_throws_the_old_run_away_only_when_the_new_one_can_start(
    settings: Settings, tmp_path: Path
) -> None:
    runs.write_provenance(tmp_path, {"status": "finished"})
    (tmp_path / "report.html").write_text("old")
    for wrong in (settings(model={"settings": {"featurs": [4]}}), settings(data={"files": ("none.h5",)})):
        with pytest.raises((ConfigError, NotFoundError)):
            train(wrong, tmp_path, force=True)
        assert (tmp_path / "report.html").is_file()
    train(settings(train=QUICK | {"epochs": 1}), tmp_path, force=True, progress=False)
    assert not (tmp_path / "report.html").exists()
    assert runs.read_provenance(tmp_path)["status"] == "finished"


def interrupted(config: RunConfig, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave what a run holds that was killed when its training was done and its model not yet written."""

    class Killed(BaseException):
        pass

    def kill(*args: object) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(training, "save_model", kill)
        train(config, folder, progress=False)


def test_an_unfinished_run_goes_on_with_the_same_data_and_settings_only(
    settings: Settings,
    make_cebr: Callable[..., Events],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "run"
    interrupted(settings(), folder, monkeypatch)
    before = runs.read_provenance(folder)
    assert before["status"] == "running"
    with pytest.raises(RunError, match=r"holds a run \(running\)\. Use --resume to continue it, --force"):
        train(settings(), folder)
    other = write(tmp_path / "made.h5", make_cebr(N, seed=2))
    with pytest.raises(ConfigError, match="The data changed since the run began"):
        train(settings(data={"files": (str(other),)}), folder, resume=True)
    with pytest.raises(ConfigError, match=r"began with train.learning_rate = 0.003.* cannot go on with 0.1"):
        train(settings(train=QUICK | {"learning_rate": 0.1}), folder, resume=True)
    with pytest.raises(ConfigError, match=r"began with split\.seed"):
        train(settings(split={"seed": 5}), folder, resume=True)
    assert runs.read_provenance(folder) == before
    result = train(settings(title="Another title"), folder, resume=True, progress=False)
    after = runs.read_provenance(folder)
    assert result.n_epochs == 2
    assert after["status"] == "finished"
    assert after["started"] == before["started"]
    assert after["initial_weights"] == before["initial_weights"]


def test_there_must_be_something_to_resume(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run to resume"):
        train(settings(), tmp_path, resume=True)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"data": {"files": ()}}, ConfigError, "names no files"),
        ({"task": "multiplicities"}, NotFoundError, "Did you mean 'multiplicity'"),
        ({"detector": "cebra"}, NotFoundError, "Did you mean 'cebr'"),
        ({"model": {"name": "plane_cnn"}}, NotFoundError, "Did you mean 'plain_cnn'"),
        ({"model": {"settings": {"features": [0.5]}}}, ConfigError, "features"),
        ({"data": {"selection": "energy > 1"}}, SelectionError, "energy"),
        (
            {"task": "double", "data": {"selection": "n_electrons = 1"}},
            DataError,
            "has a target for task 'double'",
        ),
        ({"train": {"augment": ("flip_z",)}}, ConfigError, "flip_z.* is not a symmetry of cebr"),
    ],
)
def test_mistakes_are_named_and_leave_nothing_behind(
    changes: dict[str, Any], error: type[Exception], message: str, settings: Settings, tmp_path: Path
) -> None:
    content = dict(changes)
    if "data" in content:
        content["data"] = {"files": settings().data.files} | content["data"]
    task = content.pop("task", "multiplicity")
    with pytest.raises(error, match=message):
        train(settings(task, **content), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_copies_in_two_splits_are_refused_or_dropped_and_counted(
    make_cebr: Callable[..., Events], settings: Settings, tmp_path: Path
) -> None:
    events = make_cebr(60)
    path = write(tmp_path / "twice.h5", concat([events, events]))
    with pytest.raises(LeakageError, match="more than one split"):
        prepare(settings(data={"files": (str(path),)}))
    kept = prepare(settings(data={"files": (str(path),)}, split={"on_duplicates": "keep_first"}))
    assert kept.left_out == {"later copies of an event": 60}


def test_events_beyond_the_limit_are_counted(settings: Settings) -> None:
    prepared = prepare(settings(data={"files": settings().data.files, "max_events": 150}))
    assert len(prepared.events) == 150
    assert prepared.events.truth["event"].to_list() == list(range(150))
    assert prepared.left_out == {"beyond data.max_events": N - 150}


def test_balanced_weights_undo_the_training_split_s_imbalance(settings: Settings) -> None:
    config = settings(
        data={"files": settings().data.files, "selection": "n_electrons = 1 OR energy_1_mev > 0.7"},
        train=QUICK | {"class_weights": "balanced"},
    )
    prepared = prepare(config)
    data = ResidentData.from_events(prepared.events, prepared.detector, prepared.heads)
    weights = build_module(config, prepared, data).class_weights["multiplicity"]
    n_double = int((prepared.events.truth["n_electrons"].to_numpy()[prepared.split.train] == 2).sum())
    n = len(prepared.split.train)
    torch.testing.assert_close(weights, torch.tensor([n / (2 * (n - n_double)), n / (2 * n_double)]))
    assert build_module(settings(), prepared, data).class_weights == {}


def test_initial_weights_depend_on_seed_and_architecture_alone(settings: Settings) -> None:
    prepared = prepare(settings())
    data = ResidentData.from_events(prepared.events, prepared.detector, prepared.heads)

    def start(**changes: Any) -> str:
        return weights_hash(build_module(settings(**changes), prepared, data).network)

    assert start() == start(train={"learning_rate": 0.1, "augment": False}, model={"scaling": ["linear"]})
    assert start() != start(train={"seed": 2})
    assert start() != start(model={"settings": {"features": [4, 8], "last_features": 8}})


def test_the_model_of_a_run_opens(run: tuple[Path, TrainingResult]) -> None:
    model = open_model(run[0])
    assert not model.network.training
    assert model.card == read_card(run[0] / "model.safetensors")


@pytest.fixture(scope="module")
def nova(
    make_nova: Callable[..., Events], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., RunConfig]:
    path = tmp_path_factory.mktemp("nova") / "made.h5"
    with NativeWriter(path, "nova") as writer:
        writer.write(make_nova(N))
    settings = {"features": [4, 4], "blocks": [1, 1], "hidden": 8, "stem_kernel": 8, "stem_stride": 8}

    def make(task: str = "flavour", **changes: Any) -> RunConfig:
        content: dict[str, Any] = {"detector": "nova", "task": task, "data": {"files": (str(path),)}}
        content |= {"model": {"settings": settings, "symmetrise": False}, "train": QUICK | {"epochs": 1}}
        for key, value in changes.items():
            content[key] = {**content[key], **value}
        return RunConfig(**content)

    return make


def test_sparse_views_train_and_predict_through_a_region(nova: Settings, tmp_path: Path) -> None:
    region = {"all": {"crop": [96, 64], "pool": [2, 2], "anchor": ["first", "mean"]}}
    config = nova("joint", model={"regions": region, "target_curve": {"nu_energy": "log"}})
    config = config.model_copy(update={"train": config.train.model_copy(update={"task_weights": "learned"})})
    train(config, tmp_path / "run", progress=False)
    model = open_model(tmp_path / "run" / "model.safetensors")
    assert model.card.preprocessing.regions["all"].pool == (2, 2)
    assert model.card.preprocessing.targets["nu_energy"].curve == "log"
    prepared = prepare(config)
    some = prepared.events.select(prepared.split.test)
    dense = {view: some.dense(view, (100, 80)) for view in ("x", "y")}
    one, other = model.predict(some), model.predict(Events(dense, some.truth, "nova"))
    for head in model.card.heads:
        np.testing.assert_allclose(one[head.name], other[head.name], rtol=1e-5, atol=1e-6)
    assert (one["nu_energy"] > 0).all()
    weights = runs.read_provenance(tmp_path / "run")["task_weights"]
    assert weights.keys() == {head.name for head in model.card.heads}
    assert len(set(weights.values())) > 1


def test_a_class_without_a_training_event_has_no_output(nova: Settings) -> None:
    prepared = prepare(nova())
    assert prepared.heads[0].class_names == ("numu", "nue", "nc_other")
    assert prepared.heads[0].n_outputs == 3


def test_a_selection_of_training_events_leaves_the_other_splits_whole(nova: Settings) -> None:
    everything, part = prepare(nova()), prepare(nova(train={"selection": "nuenergy > 4"}))
    np.testing.assert_array_equal(part.split.test, everything.split.test)
    np.testing.assert_array_equal(part.split.validation, everything.split.validation)
    shown = part.events.truth[part.split.train]["nuenergy"]
    assert 0 < len(shown) < len(everything.split.train)
    assert float(shown.min()) > 4  # type: ignore[arg-type]
    n_left = part.left_out["outside train.selection, in the training split"]
    assert n_left == len(everything.split.train) - len(part.split.train)


def test_a_mix_changes_the_draws_of_the_training_split_alone(nova: Settings) -> None:
    prepared = prepare(nova(train={"mix": "balanced"}))
    assert prepared.chances is not None
    assert len(prepared.chances) == len(prepared.split.train)
    flavour = prepared.events.truth[prepared.split.train]["flavour"].to_numpy()
    for number in np.unique(flavour):
        assert prepared.chances[flavour == number].sum() == pytest.approx(1 / 3)
    named = prepare(nova(train={"mix": {"flavour = 0": 3, "flavour = 1": 1}}))
    assert named.chances is not None
    assert named.chances[flavour == 0].sum() == pytest.approx(0.75)
    np.testing.assert_array_equal(prepared.split.test, prepare(nova()).split.test)


def test_a_selection_of_nothing_is_refused(nova: Settings) -> None:
    with pytest.raises(
        DataError, match=r"train\.selection: no event of the training split fulfils 'nuenergy > 1e9'"
    ):
        prepare(nova(train={"selection": "nuenergy > 1e9"}))


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("train", {"loss": {"nu_enrgy": "mse"}}, r"train\.loss.*'nu_enrgy'.*Did you mean 'nu_energy'"),
        ("train", {"task_weights": {"flavor": 2.0}}, r"train\.task_weights.*Did you mean 'flavour'"),
        ("model", {"target_curve": {"flavour": "log"}}, r"model\.target_curve.*no such head as 'flavour'"),
        ("model", {"regions": {"z": {"pool": [2, 2]}}}, r"model\.regions: there is no view 'z'"),
        ("model", {"regions": {"all": {"pool": [3, 2]}}}, r"along 'plane' of view 'x'.*multiple of pool"),
    ],
)
def test_settings_by_head_or_view_must_name_one(
    part: str, changes: dict[str, Any], message: str, nova: Settings, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        train(nova("joint", **{part: changes}), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_trainings_may_share_events_and_are_the_same_as_alone(settings: Settings, tmp_path: Path) -> None:
    config = settings()
    prepared = prepare(config)
    shared = train(config, tmp_path / "shared", progress=False, prepared=prepared)
    alone = train(config, tmp_path / "alone", progress=False)
    assert shared == alone
    files = [tmp_path / name / runs.PREDICTIONS for name in ("shared", "alone")]
    assert read_predictions(files[0]).table.equals(read_predictions(files[1]).table)


def test_trainings_of_other_events_may_not_share_them(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot differ in split"):
        train(settings(split={"seed": 7}), tmp_path / "run", prepared=prepare(settings()))
    with pytest.raises(ConfigError, match=r"cannot differ in train.mix. Got natural and balanced"):
        train(settings(train={"mix": "balanced"}), tmp_path / "run", prepared=prepare(settings()))
    assert not (tmp_path / "run").exists()


def test_a_watch_hears_every_epoch_and_may_end_the_training(settings: Settings, tmp_path: Path) -> None:
    heard: list[tuple[int, float]] = []

    def watch(epoch: int, score: float) -> bool:
        heard.append((epoch, score))
        return epoch == 1

    result = train(settings(train={"epochs": 5}), tmp_path / "run", progress=False, watch=watch)
    rows = read_history(tmp_path / "run" / "history.csv")
    assert [epoch for epoch, _ in heard] == [0, 1]
    assert [f"{score:.6g}" for _, score in heard] == [row["val_metric"] for row in rows]
    assert result.stopped and result.n_epochs == 2
    assert runs.read_provenance(tmp_path / "run")["status"] == "stopped"
    assert (tmp_path / "run" / "model.safetensors").is_file()


def test_only_the_splits_asked_for_are_predicted(settings: Settings, tmp_path: Path) -> None:
    train(settings(), tmp_path / "run", progress=False, predicted=("validation",))
    table = read_predictions(tmp_path / "run" / runs.PREDICTIONS).table
    assert set(table["split"]) == {"validation"}


@pytest.mark.parametrize("failing", ["write_event_predictions", "save_model"])
def test_a_run_whose_outputs_could_not_be_written_is_finished_without_training_again(
    failing: str,
    settings: Settings,
    run: tuple[Path, TrainingResult],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, config = tmp_path / "run", settings()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def never(*_: object, **__: object) -> TrainingResult:
        raise AssertionError("trained again")

    with monkeypatch.context() as patch:
        patch.setattr(training, failing, full)
        with pytest.raises(RunError, match=r"error\.log says where\. --resume goes on"):
            train(config, folder, progress=False)
    assert runs.read_provenance(folder)["status"] == "failed"
    assert "Traceback" in (folder / "error.log").read_text()
    assert "in full" in (folder / "error.log").read_text()
    history = (folder / "history.csv").read_bytes()
    monkeypatch.setattr(training, "run_training", never)
    train(config, folder, resume=True, progress=False)
    monkeypatch.undo()
    train(config, tmp_path / "whole", progress=False)
    assert (folder / "history.csv").read_bytes() == history
    assert not (folder / "error.log").exists()
    assert runs.is_finished(folder)
    after, whole = (
        load_file(folder / "model.safetensors"),
        load_file(tmp_path / "whole" / "model.safetensors"),
    )
    assert after.keys() == whole.keys()
    assert all(torch.equal(after[name], whole[name]) for name in whole)
    tables = [read_predictions(path / "predictions.parquet").table for path in (folder, tmp_path / "whole")]
    assert tables[0].equals(tables[1])
    assert {path.name for path in folder.iterdir()} == {path.name for path in run[0].iterdir()}


@pytest.mark.parametrize("way", ["resume", "force"])
def test_a_training_that_failed_says_where_and_can_be_resumed_or_begun_anew(
    way: str, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> TrainingResult:
        raise ZeroDivisionError("odd")

    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(training, "run_training", broken)
        with pytest.raises(RunError, match=r"failed \(ZeroDivisionError: odd\)"):
            train(settings(), folder, progress=False)
    assert "in broken" in (folder / "error.log").read_text()
    assert runs.read_provenance(folder)["status"] == "failed"
    train(settings(), folder, resume=way == "resume", force=way == "force", progress=False)
    assert runs.is_finished(folder)
    assert not (folder / "error.log").exists()
