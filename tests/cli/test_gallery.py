"""`hitlens gallery`, in process."""

from __future__ import annotations

import typer
from typer.testing import CliRunner

from hitlens.cli.gallery import gallery
from hitlens.errors import SelectionError


def run(*arguments):
    app = typer.Typer()
    app.command()(gallery)
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_a_selection_of_a_run(make_run, tmp_path) -> None:
    folder = make_run("multiplicity", 90)
    where = "score_multiplicity < .2 AND true_multiplicity = 'single'"
    done = run(folder, "--select", where, "-n", 2, "-o", tmp_path / "out.html")
    assert done.exit_code == 0, done.output
    assert "out.html" in done.output
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "score_multiplicity &lt; .2 AND" in page
    assert "2 of" in page
    assert isinstance(run(folder, "-s", "score_multiplicity > 2").exception, SelectionError)
