"""Templates and the files they become."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest

from hitlens.report.render import render, write_whole


def test_text_is_escaped() -> None:
    page = render("base.html", title="<script>alert(1)</script>")
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_unknown_variables_are_errors() -> None:
    with pytest.raises(jinja2.UndefinedError):
        render("base.html")


def test_pages_ask_the_network_for_nothing() -> None:
    page = render("base.html", title="a")
    assert "http" not in page
    assert "@import" not in page


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    path = write_whole(tmp_path / "deep" / "page.html", "é")
    assert path.read_bytes() == "é".encode()
    write_whole(path, b"\x00")
    assert path.read_bytes() == b"\x00"
    assert [p.name for p in path.parent.iterdir()] == ["page.html"]
