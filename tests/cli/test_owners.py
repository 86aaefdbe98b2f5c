"""An output has one owner: each command refuses a place another process works in, and says who that is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hitlens import cli
from hitlens.errors import HitlensError, RunError
from hitlens.events import Events
from hitlens.io.native_writer import NativeWriter
from hitlens.io.ownership import owned

RECIPE = """\
detector: cebr
task: multiplicity
data: {files: [made.h5]}
model: {name: dense, settings: {hidden: [4]}, symmetrise: false}
train: {epochs: 1, batch_size: 64, accelerator: cpu, precision: float32}
evaluate: {n_bootstrap: 20, n_bootstrap_slices: 20, baselines: false}
"""


def invoke(*arguments: str) -> None:
    result = CliRunner().invoke(cli.app, list(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output


@pytest.fixture(scope="module")
def place(make_cebr: Callable[..., Events], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with events, a recipe and a finished run."""
    folder = tmp_path_factory.mktemp("owners")
    with NativeWriter(folder / "made.h5", "cebr") as writer:
        writer.write(make_cebr(200))
    (folder / "r.yaml").write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        invoke("train", "r.yaml", "-o", "run", "--quiet")
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("output", "command"),
    [
        ("run", "train r.yaml -o run --quiet --resume --set train.epochs=2"),
        ("run", "train r.yaml -o run --quiet --force"),
        ("run", "evaluate run"),
        ("new", "crossvalidate r.yaml --folds 2 -o new --quiet"),
        ("new", "train r.yaml -o new --quiet --seeds 1-2"),
        ("p.parquet", "predict run made.h5 -o p.parquet"),
        ("p.csv", "predict run made.h5 -o p.csv --force"),
        ("c.txt", "convert made.h5 c.txt"),
        ("s.h5", "simulate cebr -n 5 -o s.h5"),
    ],
)
def test_a_second_process_is_refused_with_the_first_one_s_number(
    place: Path, output: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    with owned(Path(output), is_folder="." not in output):
        before = content(place)
        with pytest.raises(RunError, match=f"{output} is in use: process {os.getpid()} on .* works on it"):
            invoke(*command.split())
        assert content(place) == before


@pytest.mark.parametrize("umask", [0o022, 0o027])
def test_every_file_has_the_mode_of_new_files(
    place: Path, umask: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    before = os.umask(umask)
    try:
        invoke("train", "r.yaml", "-o", str(tmp_path / "run"), "--quiet")
        invoke("evaluate", str(tmp_path / "run"))
        for name in ("p.parquet", "p.h5", "p.csv"):
            invoke("predict", "run", "made.h5", "-o", str(tmp_path / name))
        invoke("convert", "made.h5", str(tmp_path / "c.txt"))
        invoke("simulate", "cebr", "-n", "5", "-o", str(tmp_path / "s.h5"))
    finally:
        os.umask(before)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 10
    modes = {str(path.relative_to(tmp_path)): path.stat().st_mode & 0o777 for path in files}
    assert {name for name, mode in modes.items() if mode != 0o666 & ~umask} == set()


@pytest.mark.parametrize("name", ["p.parquet", "p.h5", "p.csv"])
def test_what_a_killed_prediction_left_is_removed_by_the_next(
    place: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    (tmp_path / f".{name}.parts-{2**22 + 1}").mkdir()
    invoke("predict", "run", "made.h5", "-o", str(tmp_path / name))
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("output", ["p.parquet", "p.h5", "p.csv", "c.h5"])
def test_a_full_disk_ends_in_a_sentence_and_leaves_nothing(
    place: Path, output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    command = ("predict", "run") if output.startswith("p") else ("convert",)
    target = ("-o", str(tmp_path / output)) if output.startswith("p") else (str(tmp_path / output),)

    def full(path: Path, *_: object) -> Path:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(HitlensError, match="no space is left"):
            invoke(*command, "made.h5", *target)
    assert list(tmp_path.iterdir()) == []
    invoke(*command, "made.h5", *target)
    assert (tmp_path / output).stat().st_size > 0
