"""``hitlens train``, ``predict`` and ``recipes``: parse, call, print."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from hitlens import cli
from hitlens.config import RunConfig, StudyConfig, list_recipes, load_config
from hitlens.errors import ConfigError, RunError
from hitlens.evaluate.predictions import read_predictions
from hitlens.events import Events
from hitlens.io.native_writer import NativeWriter
from hitlens.train.engine import TrainingResult
from hitlens.workflow import runs, studies, training

SMALL = {
    "model.name": "plain_cnn",
    "model.settings": "{features: [4, 4], last_features: 8}",
    "model.symmetrise": "false",
    "train.epochs": "1",
    "train.batch_size": "64",
    "train.accelerator": "cpu",
}
SETTINGS = [part for key, value in SMALL.items() for part in ("--set", f"{key}={value}")]


def invoke(*arguments: object) -> str:
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def data(make_cebr: Callable[..., Events], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "made.h5"
    with NativeWriter(path, "cebr") as writer:
        writer.write(make_cebr(300))
    return path


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("runs") / "run"
    return folder, invoke("train", "cebr/multiplicity", "-d", data, "-o", folder, "--quiet", *SETTINGS)


def test_train_reports_to_what_is_asked_for(data: Path, tmp_path: Path) -> None:
    asked = ("train", "cebr/multiplicity", "-d", data, "-o", tmp_path / "run", "--quiet", *SETTINGS)
    invoke(*asked, "--track", "tensorboard")
    assert list((tmp_path / "run" / "tensorboard").glob("events.out*"))
    with pytest.raises(ConfigError, match=r"track.loggers.0: Input should be 'mlflow' or 'tensorboard'"):
        invoke(*asked, "--force", "--track", "mflow")


def test_train_says_what_came_out_and_what_is_next(trained: tuple[Path, str]) -> None:
    folder, output = trained
    assert "Training finished, 1 epoch. Best epoch 1: val_accuracy 0." in output
    assert f"Next: hitlens evaluate {folder}" in output
    assert (folder / "model.safetensors").is_file()
    config = load_config(folder / "config.yaml")
    assert isinstance(config, RunConfig)
    assert config.train.epochs == 1


def test_a_finished_run_is_neither_overwritten_nor_resumed(trained: tuple[Path, str], data: Path) -> None:
    for extra, message in (((), "holds a run"), (("--resume",), "is finished")):
        with pytest.raises(RunError, match=message):
            invoke("train", "cebr/multiplicity", "-d", data, "-o", trained[0], *SETTINGS, *extra)


def test_a_finished_run_goes_on_for_more_epochs_and_back(data: Path, tmp_path: Path) -> None:
    asked = ("train", "cebr/multiplicity", "-d", data, "-o", tmp_path / "run", "--quiet", *SETTINGS)
    invoke(*asked, "--set", "train.keep=last")
    longer = (*asked, "--set", "train.keep=last", "--resume", "--set", "train.epochs=2")
    assert "Training finished, 2 epochs. Best epoch 2" in invoke(*longer)
    assert f"The model of {tmp_path / 'run'} is now that of epoch 0" in invoke(
        "rollback", tmp_path / "run", 0
    )
    with pytest.raises(RunError, match="is finished"):
        invoke(*longer)


def test_an_interrupted_run_exits_with_130_and_resumes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def train(
        config: RunConfig, folder: Path, *, resume: bool, force: bool, progress: bool
    ) -> TrainingResult:
        asked.append((config.data.files, folder, resume, force, progress))
        return TrainingResult(0, 0.5, "val_accuracy", 1, not resume, "32-true")

    monkeypatch.setattr(training, "train", train)
    call = ["train", "cebr/multiplicity", "-d", str(data), "-o", str(tmp_path / "run")]
    stopped = CliRunner().invoke(cli.app, call)
    assert stopped.exit_code == 130
    assert "--resume continues the training" in stopped.output
    assert "Training finished" in invoke(*call, "--resume", "--quiet")
    run = ((str(data),), tmp_path / "run")
    assert asked == [(*run, False, False, True), (*run, True, False, False)]


def test_the_folder_is_named_after_the_recipe(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = []

    def train(config: object, folder: Path, **kwargs: object) -> TrainingResult:
        folders.append(folder)
        return TrainingResult(0, 0.5, "val_accuracy", 1, False, "32-true")

    monkeypatch.setattr(training, "train", train)
    monkeypatch.chdir(tmp_path)
    invoke("train", "cebr/joint", "-d", data)
    assert folders == [Path("runs/joint")]


def test_a_study_is_trained_as_one(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def train_study(config: object, folder: Path, **kwargs: object) -> Path:
        assert kwargs == {"resume": False, "force": True, "progress": False}
        return folder / "study.html"

    monkeypatch.setattr(studies, "train_study", train_study)
    output = invoke("train", "cebr/scaling_study", "-d", data, "-o", tmp_path, "--force", "--quiet")
    assert str(tmp_path / "study.html") in output.replace("\n", "")


def test_several_seeds_are_a_study(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def train_study(config: StudyConfig, folder: Path, **kwargs: object) -> Path:
        asked.append(({name: one.train.seed for name, one in config.run_configs().items()}, folder))
        return folder / "study.html"

    monkeypatch.setattr(studies, "train_study", train_study)
    monkeypatch.chdir(tmp_path)
    invoke("train", "cebr/joint", "-d", data, "--seeds", "1-2,9")
    assert asked == [({"seed1": 1, "seed2": 2, "seed9": 9}, Path("runs/joint_seeds"))]
    with pytest.raises(ConfigError, match="this one describes a study"):
        invoke("train", "cebr/scaling_study", "-d", data, "--seeds", "1-2")
    with pytest.raises(ConfigError, match="two seeds or more"):
        invoke("train", "cebr/joint", "-d", data, "--seeds", "1")


def test_predict_writes_one_row_an_event(trained: tuple[Path, str], data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    output = invoke("predict", trained[0], data, "-o", out)
    assert "Wrote 300 predictions of 'multiplicity'" in output
    assert read_predictions(out).table["event"].to_list() == list(range(300))
    with pytest.raises(RunError, match="exists"):
        invoke("predict", trained[0], data, "-o", out)
    invoke("predict", trained[0], data, "-o", out, "--force", "--symmetrise")
    assert read_predictions(out).metadata["symmetrise"] == "true"


def test_predict_counts_what_it_skips(trained: tuple[Path, str], tmp_path: Path, data: Path) -> None:
    text = tmp_path / "some.txt"
    invoke("convert", data, text)
    lines = text.read_text().splitlines()
    text.write_text("\n".join([lines[0], "broken", *lines[2:]]) + "\n")
    output = invoke("predict", trained[0], text, "-o", tmp_path / "out.csv", "--on-bad-event", "skip")
    assert "Wrote 299 predictions" in output
    wrong = ["predict", str(trained[0]), str(text), "-o", "out.csv", "--on-bad-event", "ignore"]
    assert CliRunner().invoke(cli.app, wrong).exit_code == 2


def test_recipes_are_listed_and_shown_in_full() -> None:
    assert invoke("recipes").split() == list_recipes()
    shown = yaml.safe_load(invoke("recipes", "cebr/joint"))
    assert shown["task"] == "joint"
    assert shown["train"]["learning_rate"] == 0.003
    assert "variants" in yaml.safe_load(invoke("recipes", "cebr/scaling_study"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "cebr/multiplicty"], "Did you mean 'cebr/multiplicity'"),
        (["train", "cebr/multiplicity"], "names no files"),
        (["train", "cebr/multiplicity", "--set", "train.epoch=3"], "Did you mean 'epochs'"),
        (["predict", "none", "none.h5", "-o", "out.parquet"], "No model file"),
        (["recipes", "nova"], "No recipe is called 'nova'"),
    ],
)
def test_mistakes_are_one_message_and_exit_status_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["hitlens", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("Error: ")
    assert message in printed.err
    assert "Traceback" not in printed.err
    assert not list(tmp_path.iterdir())


def test_the_status_is_kept_in_the_record(trained: tuple[Path, str]) -> None:
    assert runs.read_provenance(trained[0])["status"] == "finished"
