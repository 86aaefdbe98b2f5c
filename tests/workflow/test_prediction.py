"""Predictions of files: keys and order kept, with truth or without, nothing skipped in silence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from hitlens.config import RunConfig, load_config
from hitlens.datasets.transforms import Scaling
from hitlens.detector import ReadReport
from hitlens.detectors import get_detector
from hitlens.errors import ConfigError, DataError, FileFormatError, ModelFileError, NotFoundError
from hitlens.evaluate.predictions import read_predictions, write_predictions
from hitlens.events import Events
from hitlens.models import build_network
from hitlens.models.preprocessing import Preprocessing, TargetScaling
from hitlens.models.trained import ModelCard, TrainedModel, save_model
from hitlens.train import hardware
from hitlens.workflow.data import open_writer, read_events
from hitlens.workflow.prediction import open_model, predict_events, predicts_in_bfloat16
from hitlens.workflow.prediction_files import predict_files, predict_to_file
from hitlens.workflow.training import train

CEBR = get_detector("cebr")


def make_model(name: str) -> TrainedModel:
    task = CEBR.task(name)
    heads = CEBR.heads(task)
    targets = {
        head.name: TargetScaling(mean=(1.0,) * head.n_outputs, spread=(2.0,) * head.n_outputs)
        for head in heads
        if not head.is_classification
    }
    scalings = {"anode": (Scaling(curve="log1p", offset=4.0, scale=2.0),)}
    settings = {"features": [4, 4], "last_features": 8}
    card = ModelCard(
        detector="cebr",
        task=task,
        heads=heads,
        architecture="plain_cnn",
        settings=settings,
        preprocessing=Preprocessing(scalings=scalings, targets=targets),
        split_hash="abc",
    )
    torch.manual_seed(3)
    network = build_network("plain_cnn", settings, CEBR.views, 1, sum(head.n_outputs for head in heads))
    return TrainedModel(card, network.eval(), CEBR)


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "model.safetensors"
    save_model(make_model("joint"), path)
    return path


def write(path: Path, events: Events) -> Path:
    with open_writer(path, "cebr") as writer:
        writer.write(events)
    return path


@pytest.fixture(scope="module")
def events(make_cebr: Callable[..., Events]) -> Events:
    return make_cebr(50, 4)


def test_rows_keep_keys_and_order_over_files(model_file: Path, events: Events, tmp_path: Path) -> None:
    files = [
        write(tmp_path / "b.h5", events.select(slice(30, None))),
        write(tmp_path / "a.txt", events.select(slice(0, 30))),
    ]
    predictions = predict_files(model_file, files, tmp_path / "out.parquet")
    table = predictions.table
    assert table["event"].to_list() == [*range(30, 50), *range(30)]
    assert table["file"].to_list() == ["made.txt"] * 20 + ["a.txt"] * 30
    assert set(table["split"]) == {"none"}
    np.testing.assert_array_equal(table["true_n_electrons"][:20], events.truth["n_electrons"][30:])
    read = read_predictions(tmp_path / "out.parquet")
    assert read.table.equals(table)
    assert read.metadata["split_hash"] == "abc"
    whole = predict_events(open_model(model_file), events).table
    np.testing.assert_allclose(
        table.sort("event")["score_multiplicity"], whole["score_multiplicity"], atol=1e-5
    )


def test_shuffled_events_get_shuffled_answers(events: Events) -> None:
    model = make_model("joint")
    order = np.random.default_rng(1).permutation(len(events))
    straight, shuffled = (
        predict_events(model, events).table,
        predict_events(model, events.select(order)).table,
    )
    assert shuffled["event"].to_list() == order.tolist()
    for column in ("score_multiplicity", "single_pred_energy_1_mev", "double_pred_x_2_px"):
        np.testing.assert_allclose(shuffled[column], straight[column].to_numpy()[order], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [task.name for task in CEBR.tasks])
def test_every_task_gives_its_columns(name: str, events: Events) -> None:
    predictions = predict_events(make_model(name), events)
    for head in predictions.heads:
        for column in predictions.output_columns(head):
            assert predictions.table[column].null_count() == 0
        if head.is_classification:
            scores = predictions.table[f"score_{head.name}"].to_numpy()
            assert scores.dtype == np.float32
            called = np.where(scores > 0.5, "double", "single")
            np.testing.assert_array_equal(predictions.table[f"pred_{head.name}"].to_numpy(), called)


def test_events_without_truth_have_answers_and_no_truth(events: Events, tmp_path: Path) -> None:
    bare = Events(events.images, events.truth.select("file", "event"), "cebr")
    table = predict_events(make_model("joint"), bare).table
    assert not [column for column in table.columns if column.startswith("true_")]
    assert len(table) == len(events)
    assert table["pred_multiplicity"].is_in(["single", "double"]).all()


def test_files_with_and_without_truth_go_together(model_file: Path, events: Events, tmp_path: Path) -> None:
    bare = Events(events.images, events.truth.select("file", "event"), "cebr")
    files = [write(tmp_path / "known.h5", events), write(tmp_path / "bare.h5", bare)]
    table = predict_files(model_file, files, tmp_path / "out.parquet").table
    assert len(table) == 100
    assert table["true_multiplicity"].null_count() == 50
    assert table["true_energy_1_mev"].null_count() == 50


def test_bad_events_are_refused_or_skipped_and_counted(
    model_file: Path, events: Events, tmp_path: Path
) -> None:
    path = write(tmp_path / "some.txt", events)
    lines = path.read_text().splitlines()
    lines[7] = lines[7].rsplit(" ", 1)[0]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(FileFormatError, match="line 8"):
        predict_files(model_file, [path], tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()
    report = ReadReport([])
    predictions = predict_files(
        model_file, [path], tmp_path / "out.parquet", on_bad_event="skip", report=report
    )
    assert len(predictions) == 49
    assert len(report.skipped) == 1
    assert "line 8" in report.skipped[0]


def test_no_events_give_an_empty_table(model_file: Path, events: Events, tmp_path: Path) -> None:
    path = write(tmp_path / "none.h5", events.select(slice(0, 0)))
    predictions = predict_files(model_file, [path], tmp_path / "out.parquet")
    assert len(predictions) == 0
    assert "score_multiplicity" in read_predictions(tmp_path / "out.parquet").table.columns


@pytest.mark.parametrize("name", ["out.h5", "out.root", "out.csv"])
def test_other_formats_hold_the_same(name: str, model_file: Path, events: Events, tmp_path: Path) -> None:
    path = write(tmp_path / "some.h5", events)
    predict_files(model_file, [path], tmp_path / name)
    assert (tmp_path / name).stat().st_size > 1000
    beside = {"out.csv.json"} if name == "out.csv" else set()
    assert {entry.name for entry in tmp_path.iterdir()} == {"some.h5", name} | beside


def test_missing_models_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="No model file"):
        open_model(tmp_path)
    with pytest.raises(ModelFileError, match=r"none\.safetensors"):
        open_model(tmp_path / "none.safetensors")


def test_a_model_of_an_unknown_detector_is_named(tmp_path: Path) -> None:
    model = make_model("single")
    card = model.card.model_copy(update={"detector": "atlas"})
    save_model(TrainedModel(card, model.network, CEBR), tmp_path / "model.safetensors")
    with pytest.raises(NotFoundError, match="atlas"):
        open_model(tmp_path)


def test_events_of_another_detector_are_refused(events: Events) -> None:
    other = Events(events.images, events.truth, "nova")
    with pytest.raises(DataError, match="trained on detector 'cebr'"):
        predict_events(make_model("single"), other)


def test_truth_of_undefined_targets_is_null(events: Events) -> None:
    unknown = events.truth.with_columns(n_electrons=pl.Series([None] * 50, dtype=pl.UInt8))
    table = predict_events(make_model("multiplicity"), Events(events.images, unknown, "cebr")).table
    assert table["true_multiplicity"].null_count() == 50


def test_totals_over_the_images_stand_beside_the_predictions(events: Events) -> None:
    table = predict_events(make_model("multiplicity"), events).table
    images = events.dense("anode").reshape(len(events), -1)
    assert table["seen_hits"].to_list() == (images != 0).sum(1).tolist()
    assert table["seen_charge"].to_list() == images.sum(1, dtype=float).tolist()
    assert table.columns.index("seen_hits") == table.columns.index("split") + 1


@pytest.mark.parametrize(
    ("name", "tried", "expected"),
    [
        ("multiplicity", None, False),
        ("joint", None, False),
        ("multiplicity", False, False),
        ("joint", True, True),
    ],
)
def test_a_model_says_whether_it_tolerates_bfloat16(
    name: str, tried: bool | None, expected: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = make_model(name)
    card = made.card.model_copy(update={"predicts_in_bfloat16": tried})
    save_model(TrainedModel(card, made.network, made.detector), tmp_path / "model.safetensors")
    model = open_model(tmp_path)
    monkeypatch.setattr(hardware, "cpu_flags", lambda: ["amx_tile", "amx_bf16", "avx512_bf16"])
    assert predicts_in_bfloat16(model) is expected
    monkeypatch.setattr(hardware, "cpu_flags", lambda: ["avx512_bf16"])
    assert predicts_in_bfloat16(model) is False


@pytest.mark.parametrize("name", ["multiplicity", "joint"])
def test_outputs_that_are_known_give_the_same_predictions(name: str, events: Events) -> None:
    made = make_model(name)
    card = made.card.model_copy(update={"temperature": {"multiplicity": 2.5}})
    model = TrainedModel(card, made.network, made.detector)
    outputs = model.outputs(events, bfloat16=predicts_in_bfloat16(model))
    assert predict_events(model, events, None, outputs).table.equals(predict_events(model, events).table)
    answers = model.answers(outputs)["multiplicity"]
    np.testing.assert_allclose(answers, 1 / (1 + np.exp(-outputs["multiplicity"] / 2.5)), rtol=1e-6)


@pytest.mark.parametrize("stated", [False, True])
def test_files_are_averaged_as_the_card_or_the_caller_says(
    stated: bool, events: Events, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = make_model("joint")
    card = made.card.model_copy(update={"symmetrise": stated, "temperature": {"multiplicity": 1.5}})
    model = TrainedModel(card, made.network, CEBR)
    save_model(model, tmp_path / "model.safetensors")
    file = write(tmp_path / "events.h5", events)
    column = "single_pred_x_1_px"
    of_kind = {on: predict_events(model.averaging(on), events).table[column] for on in (False, True)}
    assert (of_kind[False] - of_kind[True]).abs().max() > 0.01
    for asked in (None, False, True):
        caplog.clear()
        written = predict_files(tmp_path, [file], tmp_path / "out.parquet", symmetrise=asked)
        expected = stated if asked is None else asked
        np.testing.assert_allclose(written.table[column], of_kind[expected], rtol=1e-4, atol=1e-4)
        assert written.metadata["symmetrise"] == str(expected).lower()
        assert caplog.text.count("not calibrated") == (expected != stated)


def spoilt(events: Events, value: float) -> Events:
    """Events as floats, one pixel of event 3 with this value."""
    images = np.asarray(events.images["anode"], dtype=np.float64)
    images[3, 4, 5] = value
    return Events({"anode": images}, events.truth, "cebr")


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
@pytest.mark.parametrize("name", ["joint", "multiplicity"])
def test_an_answer_that_is_no_number_is_missing_and_says_why(
    name: str, value: float, events: Events, tmp_path: Path
) -> None:
    predictions = predict_events(make_model(name), spoilt(events, value))
    table = predictions.table
    outputs = [column for head in predictions.heads for column in predictions.output_columns(head)]
    assert all(table[column].is_null().to_list() == [n == 3 for n in range(50)] for column in outputs)
    assert table["reason"].count() == 1
    assert "view 'anode': pixel value" in table["reason"][3]
    assert "(4, 5)" in table["reason"][3]
    assert table["seen_charge"].null_count() == (value != 1e300)
    clean = predict_events(make_model(name), events).table
    assert "reason" not in clean.columns
    others = [n for n in range(50) if n != 3]
    assert table[others].select(outputs).equals(clean[others].select(outputs))
    write_predictions(predictions, tmp_path / "p.csv")
    assert read_predictions(tmp_path / "p.csv").table["reason"].null_count() == 49


def test_an_overflow_in_the_network_is_missing_too(events: Events) -> None:
    model = make_model("joint")
    with torch.no_grad():
        for weights in model.network.parameters():
            weights.mul_(1e25)
    predictions = predict_events(model, events)
    outputs = [column for head in predictions.heads for column in predictions.output_columns(head)]
    assert predictions.table.select(outputs).null_count().row(0) == (50,) * len(outputs)
    assert predictions.table["reason"].str.contains("not a finite number: multiplicity, ").all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_files_with_such_a_pixel_are_refused_or_the_event_counted(
    value: float, model_file: Path, events: Events, tmp_path: Path
) -> None:
    file = write(tmp_path / "bad.h5", spoilt(events, value))
    with pytest.raises(FileFormatError, match=r"bad.h5: row 3 .*is no number"):
        predict_files(model_file, [file], tmp_path / "out.parquet")
    made = predict_to_file(model_file, [file], tmp_path / "out.parquet", on_bad_event="skip")
    assert made.n_events == 49
    assert len(made.skipped) == 1
    assert str(made).endswith("1 bad events skipped")


@pytest.mark.parametrize(
    ("target", "stated", "said"),
    [("x_1_px > 8", None, True), ("x_1_px > 8", {}, False), ("n_electrons > 1", None, False)],
)
def test_models_that_may_have_learnt_wrong_classes_are_told(
    target: str, stated: dict[str, str] | None, said: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = make_model("multiplicity")
    head = made.card.task.model_copy(update={"target": target})
    card = made.card.model_copy(update={"task": head, "heads": (head,), "symmetries": stated})
    save_model(TrainedModel(card, made.network, CEBR), tmp_path / "model.safetensors")
    model = open_model(tmp_path)
    assert ("its labels were wrong: train it again" in caplog.text) is said
    averaged = model.averaging(True)
    if "x_1_px" in target and stated is None:  # flip_y alone leaves it; the other six do not
        assert [symmetry.name for symmetry, _ in averaged._averaged_over()] == ["flip_y"]


def test_any_kept_epoch_is_opened_and_predicts(make_cebr: Callable[..., Events], tmp_path: Path) -> None:
    data = write(tmp_path / "events.h5", make_cebr(200, 5))
    settings = [f"data.files=['{data}']", "train.epochs=3", "train.keep_epochs=all", "train.batch_size=32"]
    config = load_config("cebr/logistic_multiplicity", settings)
    assert isinstance(config, RunConfig)
    train(config, tmp_path / "run", progress=False)
    shipped = open_model(tmp_path / "run")
    events = make_cebr(20, 6)
    answers = []
    for epoch in range(3):
        model = open_model(tmp_path / "run", epoch=epoch)
        assert model.card.best_epoch == epoch
        made = predict_to_file(tmp_path / "run", [data], tmp_path / f"{epoch}.parquet", epoch=epoch)
        assert made.n_events == 200
        answers.append(model.outputs(events)["multiplicity"])
        scores = read_predictions(tmp_path / f"{epoch}.parquet").table["score_multiplicity"].to_numpy()
        whole = read_events([data], "cebr")
        np.testing.assert_allclose(scores, model.predict(whole)["multiplicity"][:, 0], atol=1e-5)
    np.testing.assert_array_equal(answers[shipped.card.best_epoch], shipped.outputs(events)["multiplicity"])
    assert not np.array_equal(answers[0], answers[2])
    with pytest.raises(NotFoundError, match="no checkpoint of epoch 3"):
        open_model(tmp_path / "run", epoch=3)
    with pytest.raises(ConfigError, match="holds one epoch only"):
        open_model(tmp_path / "run" / "model.safetensors", epoch=1)
