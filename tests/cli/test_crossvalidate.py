from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hitlens import cli
from hitlens.errors import ConfigError, RunError
from hitlens.events import Events
from hitlens.io.native_writer import NativeWriter

SETTINGS = {
    "model.name": "plain_cnn",
    "model.settings": "{features: [4], last_features: 4}",
    "model.symmetrise": "false",
    "train.epochs": "1",
    "train.batch_size": "16",
    "train.accelerator": "cpu",
    "evaluate.n_bootstrap": "20",
    "evaluate.n_bootstrap_slices": "20",
    "evaluate.baselines": "false",
}


def invoke(*arguments: object) -> str:
    result = CliRunner().invoke(cli.app, ["crossvalidate", *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_it_says_what_came_out(make_cebr: Callable[..., Events], tmp_path: Path) -> None:
    data = tmp_path / "made.h5"
    with NativeWriter(data, "cebr") as writer:
        writer.write(make_cebr(60))
    settings = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={value}")]
    call = ["cebr/multiplicity", "-d", data, "--folds", 2, "-o", tmp_path / "cv", "--quiet", *settings]
    output = invoke(*call)
    assert "60 events predicted by a model that never saw it: 2 folds, 1 repeat" in output.replace("\n", " ")
    assert str(tmp_path / "cv" / "cv.html") in output.replace("\n", "")
    with pytest.raises(RunError, match="holds a cross-validation"):
        invoke(*call)
    assert "cv.html" in invoke(*call, "--resume")


def test_a_study_is_refused() -> None:
    with pytest.raises(ConfigError, match="describes several runs"):
        invoke("cebr/scaling_study", "-d", "a.h5")


def test_lists_of_files_are_refused(tmp_path: Path) -> None:
    lists = 'split={"train": ["a.h5"], "test": ["b.h5"]}'
    with pytest.raises(ConfigError, match="holds out parts of all of them"):
        invoke("cebr/multiplicity", "-o", str(tmp_path / "cv"), "--set", lists)
    assert not (tmp_path / "cv").exists()
