"""Which folders a command may touch."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from hitlens.errors import ConfigError, RunError
from hitlens.workflow.folders import check_folder, check_same_settings


def test_an_empty_or_missing_folder_may_be_used(tmp_path: Path) -> None:
    for force in (False, True):
        check_folder(tmp_path, "study", "study.yaml", resume=False, force=force)
        check_folder(tmp_path / "new", "study", "study.yaml", resume=False, force=force)


def test_one_that_holds_it_is_asked_about(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").touch()
    with pytest.raises(RunError, match=r"holds a study\. Use --resume to continue it, --force"):
        check_folder(tmp_path, "study", "study.yaml", resume=False, force=False)
    with pytest.raises(RunError, match=r"holds a study \(finished\)\. Use --force"):
        check_folder(tmp_path, "study", "study.yaml", resume=False, force=False, status="finished")
    check_folder(tmp_path, "study", "study.yaml", resume=True, force=False)
    check_folder(tmp_path, "study", "study.yaml", resume=False, force=True)
    with pytest.raises(ConfigError, match="Give one of them"):
        check_folder(tmp_path, "study", "study.yaml", resume=True, force=True)


def test_what_is_somebody_else_s_is_never_touched(tmp_path: Path) -> None:
    thesis = tmp_path / "thesis.tex"
    thesis.touch()
    for force in (False, True):
        with pytest.raises(RunError, match="not a study of hitlens"):
            check_folder(tmp_path, "study", "study.yaml", resume=False, force=force)
        with pytest.raises(RunError, match="is a file"):
            check_folder(thesis, "study", "study.yaml", resume=False, force=force)
    check_folder(tmp_path, "study", "study.yaml", resume=False, force=False, harmless=("thesis.tex",))


class Inner(BaseModel):
    rate: float = 0.1
    note: str = ""


class Settings(BaseModel):
    epochs: int = 3
    inner: Inner = Inner()


def test_other_settings_are_named_with_both_values(tmp_path: Path) -> None:
    begun = Settings()
    check_same_settings(tmp_path, "run", begun, Settings())
    noted = Settings(inner=Inner(note="second try"))
    check_same_settings(tmp_path, "run", begun, noted, free=("inner.note",))
    with pytest.raises(ConfigError, match=r"began with inner\.rate = 0\.1, so it cannot go on with 0\.2"):
        check_same_settings(tmp_path, "run", begun, Settings(inner=Inner(rate=0.2)), free=("inner.note",))
