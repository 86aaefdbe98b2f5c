"""Pages are written again from the numbers of a folder, whatever it holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hitlens.config import StudyConfig
from hitlens.errors import NotFoundError, RunError
from hitlens.events import Events
from hitlens.io.native_writer import NativeWriter
from hitlens.workflow import studies
from hitlens.workflow.evaluation import evaluate_run
from hitlens.workflow.pages import write_page
from hitlens.workflow.studies import train_study


def test_the_page_of_a_run(make_run: Callable[..., Path]) -> None:
    folder = make_run("multiplicity", 300, baselines=False, metadata=False)
    with pytest.raises(NotFoundError):
        write_page(folder)
    evaluate_run(folder)
    (folder / "report.html").unlink()
    assert write_page(folder) == folder / "report.html"
    assert (folder / "report.html").is_file()


def test_the_page_of_a_study_and_its_numbers(
    make_cebr: Callable[..., Events], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with NativeWriter(tmp_path / "made.h5", "cebr") as writer:
        writer.write(make_cebr(200))
    base = {
        "detector": "cebr",
        "task": "multiplicity",
        "data": {"files": [str(tmp_path / "made.h5")]},
        "model": {"name": "dense", "settings": {"hidden": [4]}, "symmetrise": False},
        "train": {"epochs": 1, "batch_size": 32, "precision": "float32", "accelerator": "cpu"},
        "evaluate": {"n_bootstrap": 20},
    }
    variants = {"one": {}, "other": {"model.scaling": ["linear"]}}
    folder = tmp_path / "study"
    train_study(
        StudyConfig(title="A", question="Which?", base=base, variants=variants), folder, progress=False
    )
    before = (folder / "study.html").read_text()
    (folder / "study.html").unlink()
    monkeypatch.setattr(studies, "evaluate_variants", lambda *_: pytest.fail("evaluated again"))
    assert write_page(folder) == folder / "study.html"
    assert len((folder / "study.html").read_text()) == pytest.approx(len(before), rel=0.01)


def test_a_folder_without_numbers_has_no_page(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run"):
        write_page(tmp_path)
    (tmp_path / "tune.yaml").write_text("title: A search")
    with pytest.raises(RunError):
        write_page(tmp_path)
