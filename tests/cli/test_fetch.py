"""`hitlens fetch`, in process."""

from __future__ import annotations

import gzip

import typer
from typer.testing import CliRunner

from hitlens.cli.fetch import fetch


def run(*arguments: str):
    app = typer.Typer()
    app.command()(fetch)
    return CliRunner().invoke(app, list(arguments))


def test_prints_where_the_file_is(file_server, tmp_path):
    file_server.content = gzip.compress(b"1 2 3\n")
    result = run("cebr", "--url", file_server.url(), "--folder", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert str(tmp_path / "CeBr200k_Mix.txt.gz") in result.output
    assert "downloaded" in result.output
    again = run("cebr", "--url", file_server.url(), "--folder", str(tmp_path))
    assert "cached" in again.output


def test_errors_come_through(file_server, tmp_path):
    result = run("cebr", "--url", file_server.url("missing"), "--folder", str(tmp_path))
    assert "no file at" in str(result.exception)
    assert list(tmp_path.glob("*.gz")) == []
