"""The report of a run shows what is in the run, and nothing else."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hitlens.errors import DataError
from hitlens.evaluate.results import Picture
from hitlens.workflow import reporting

PICTURE = b"\x89PNG\r\n\x1a\nof somebody else"


def galleries(run: Path, name: str) -> Any:
    results: Any = SimpleNamespace(galleries=(Picture(name, "title", "caption", "words"),))
    return reporting._galleries(run, results)


@pytest.mark.parametrize("way", ["absolute", "above", "link"])
def test_a_picture_outside_the_run_is_not_shown(way: str, tmp_path: Path) -> None:
    figures = tmp_path / "run" / "figures"
    figures.mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(PICTURE)
    (figures / "link.png").symlink_to(tmp_path / "secret.png")
    name = {"absolute": str(tmp_path / "secret"), "above": "../../secret", "link": "link"}[way]
    with pytest.raises(DataError, match="no plain file name"):
        galleries(tmp_path / "run", name)


def test_only_pictures_are_shown(tmp_path: Path) -> None:
    figures = tmp_path / "figures"
    figures.mkdir()
    (figures / "good.png").write_bytes(PICTURE)
    (figures / "bad.png").write_bytes(b"<script>")
    assert [title for title, _ in galleries(tmp_path, "good")[0]] == ["title"]
    assert galleries(tmp_path, "bad") == ([], ["title"])
