"""`hitlens fetch`, in process."""

from __future__ import annotations

import gzip

import typer
from typer.testing import CliRunner

from hitlens.cli.fetch import fetch
from hitlens.detectors import get_detector
from hitlens.workflow import fetching


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


def test_numbered_files_one_line_each(file_server, monkeypatch, tmp_path):
    described = get_detector("nova")
    url = {3: "missing"}
    files = tuple(
        file.model_copy(update={"url": file_server.url(url.get(file.number, file.name))})
        for file in described.downloads
    )
    local = described.model_copy(update={"downloads": files})
    monkeypatch.setattr(fetching, "get_detector", lambda name: local)
    file_server.content = b"\x89HDF " * 100
    result = run("nova", "--files", "1-2,10", "--parallel", "2", "--folder", str(tmp_path))
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stdout.splitlines() if "sha256" in line]
    assert sorted(line.split()[0] for line in lines) == [
        str(tmp_path / f"neutrino{number}.h5") for number in (1, 10, 2)
    ]
    broken = run("nova", "--files", "2-4", "--folder", str(tmp_path))
    assert "1 of 3 files could not be fetched" in str(broken.exception)
    assert "neutrino2.h5  500 bytes" in broken.output
    assert "neutrino4.h5  500 bytes" in broken.output
