"""``hitlens tune``: parse, call, print; errors of a user are one message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hitlens import cli
from hitlens.errors import ConfigError, HitlensError
from hitlens.events import Events
from hitlens.io.native_writer import NativeWriter

SMALL = {
    "model.settings": "{features: [4, 4]}",
    "model.symmetrise": "false",
    "train.epochs": "1",
    "train.batch_size": "64",
    "train.accelerator": "cpu",
    "evaluate.n_bootstrap": "20",
    "search.space": "{model.settings.dropout: [0.1, 0.4]}",
    "finalists": "{count: 0, seeds: []}",
    "longer.epochs": "2",
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
        writer.write(make_cebr(200))
    return path


@pytest.fixture(scope="module")
def searched(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("searches") / "search"
    database = f"sqlite:///{folder.parent / 'trials.db'}"
    options = ("--quiet", "--storage", database, *SETTINGS)
    return folder, invoke("tune", "cebr/seed_grid", "-d", data, "-o", folder, *options)


def test_tune_says_what_was_chosen_and_what_is_next(searched: tuple[Path, str]) -> None:
    folder, output = searched
    assert "3 trainings. Trial " in output
    assert "Chosen: model.settings.dropout = 0." in output
    assert f"Next: hitlens evaluate {folder / 'best'}" in output
    assert (folder.parent / "trials.db").is_file()
    assert (folder / "tune.html").is_file()


def test_report_writes_the_page_again(searched: tuple[Path, str]) -> None:
    folder, _ = searched
    (folder / "tune.html").unlink()
    assert f"Report: {folder / 'tune.html'}" in invoke("report", folder)
    assert (folder / "tune.html").is_file()


def test_train_and_tune_name_each_other(data: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"describes a search for settings\. Start it: hitlens tune cebr/seed_grid"
    ):
        invoke("train", "cebr/seed_grid", "-d", data, "-o", tmp_path)
    for recipe, kind in (("cebr/multiplicity", "a single run"), ("cebr/scaling_study", "a study")):
        with pytest.raises(
            ConfigError, match=f"describes {kind}, not a search. Train it: hitlens train {recipe}"
        ):
            invoke("tune", recipe, "-d", data, "-o", tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--set", "search.space={model.settings.droput: [0.1, 0.4]}"),
            "Did you mean 'model.settings.dropout'",
        ),
        (("--set", "search.space={}"), "there is nothing to search"),
        (("--set", "search.space={train.batch_size: {low: 9, high: 2}}"), "low must be below high"),
        (("--set", "search.trials=50"), "the grid has 18 points"),
        (("--set", "serach.trials=50"), "'base.serach' is not a setting"),
        (
            ("--storage", "sqlite:////no/such/folder/a.db"),
            "storage of the search, sqlite:////no/such/folder/a.db",
        ),
        (
            ("--storage", "postgresql://me:secret@127.0.0.1:1/a"),
            r"postgresql://me:\*\*\*@127.0.0.1:1/a, (cannot be used|needs a driver)",
        ),
        (("--resume",), "no search to resume"),
        (("--cluster", "nowhere"), "no cluster 'nowhere'"),
        (("--cluster", "tcp://127.0.0.1:1"), "No scheduler answers at tcp://127.0.0.1:1"),
    ],
)
def test_mistakes_are_one_message(data: Path, tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    with pytest.raises(HitlensError, match=message):
        invoke("tune", "cebr/seed_grid", "-d", data, "-o", tmp_path / "search", "--quiet", *options)
    assert not (tmp_path / "search" / "trials").exists()


def test_other_settings_are_named_on_going_on(searched: tuple[Path, str], data: Path) -> None:
    folder, _ = searched
    changed = [*SETTINGS, "--set", "search.space={model.settings.dropout: [0.1, 0.5]}"]
    with pytest.raises(
        ConfigError, match=r"search.space.model.settings.dropout = \[0.1, 0.4\].*go on with \[0.1, 0.5\]"
    ):
        invoke("tune", "cebr/seed_grid", "-d", data, "-o", folder, "--resume", *changed)
    assert (folder / "tune.json").is_file()
