"""The example notebooks: kept without outputs, and what they say can be done."""

from __future__ import annotations

import json
import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))

#: Settings of a notebook that make it quick, by notebook and by what they replace.
QUICK = {"nova_course": {r"N_EVENTS, N_EPOCHS = 6_000, 4": "N_EVENTS, N_EPOCHS = 1_200, 1"}}


def code_cells(notebook: Path) -> list[str]:
    content = json.loads(notebook.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_kept_without_outputs(notebook: Path) -> None:
    content = json.loads(notebook.read_text(encoding="utf-8"))
    assert content["nbformat"] == 4
    assert len({cell["id"] for cell in content["cells"]}) == len(content["cells"])
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
            compile("".join(cell["source"]), notebook.name, "exec")


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs(notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the cells in order, as a kernel would, with fewer events; pictures are collected, not shown."""
    shown: list[Any] = []
    stub = types.ModuleType("IPython.display")
    stub.Image, stub.HTML = bytes, str  # type: ignore[attr-defined]
    parent = types.ModuleType("IPython")
    parent.version_info = (9, 0)  # type: ignore[attr-defined]  # matplotlib asks for it
    monkeypatch.setitem(sys.modules, "IPython", parent)
    monkeypatch.setitem(sys.modules, "IPython.display", stub)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"display": shown.append}
    replaced = set()
    for source in code_cells(notebook):
        text = source
        for pattern, quick in QUICK.get(notebook.stem, {}).items():
            text, n = re.subn(re.escape(pattern), quick, text)
            replaced |= {pattern} if n else set()
        exec(compile(text, notebook.name, "exec"), names)
    assert replaced == set(QUICK.get(notebook.stem, {}))
    pictures = [one for one in shown if isinstance(one, bytes)]
    assert len(pictures) >= 5
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)
