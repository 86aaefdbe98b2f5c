"""`hitlens inspect`, in process."""

from __future__ import annotations

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from hitlens.cli.inspect import inspect
from hitlens.events import Events
from hitlens.io.native_writer import NativeWriter
from hitlens.workflow.data import open_writer


def run(*arguments):
    app = typer.Typer()
    app.command()(inspect)
    return CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "140"})


def write(path, events):
    with NativeWriter(path, events.detector) as writer:
        writer.write(events)
    return path


def test_faithful_sample(make_cebr, tmp_path):
    result = run(write(tmp_path / "good.h5", make_cebr(1500)))
    assert result.exit_code == 0, result.output
    for part in (
        "1,500 events",
        "multiplicity: single",
        "brightest pixel holds a true position",
        "energy of electron 1 is uniform",
        "agrees",
        "Nothing unusual",
    ):
        assert part in result.output


def test_flaws_and_page(make_cebr, tmp_path):
    events = make_cebr(1000)
    images = events.images["anode"].copy()
    images[:, 15] = 0
    images[4] = images[2]
    path = write(tmp_path / "bad.h5", Events({"anode": images}, events.truth, "cebr"))
    result = run(path, "--html", tmp_path / "page.html")
    assert result.exit_code == 0, result.output
    for part in ("Deserves a look", "16 dead pixels", "made.txt 2; made.txt 4", "page.html"):
        assert part in result.output
    assert (tmp_path / "page.html").stat().st_size > 10_000


def test_experiment_without_truth(make_cebr, tmp_path):
    events = make_cebr(30)
    bare = Events(events.images, events.truth.select("file", "event"), "cebr")
    result = run(write(tmp_path / "bare.h5", bare))
    assert result.exit_code == 0, result.output
    assert "Not in these files: n_electrons" in result.output
    assert "Truth laws" not in result.output


@pytest.mark.parametrize("n_copies", [3, 30])
def test_long_lists_are_cut(make_cebr, tmp_path, n_copies):
    events = make_cebr(100)
    images = events.images["anode"].copy()
    images[1 : 1 + n_copies] = images[0]
    result = run(write(tmp_path / "copies.h5", Events({"anode": np.asarray(images)}, events.truth, "cebr")))
    assert ("made.txt 9 ..." in " ".join(result.output.split())) == (n_copies == 30)
    assert str(n_copies + 1) in result.output


def test_folder_of_public_nova_files(make_nova, tmp_path):
    """From numbered files to the report: kinds of interaction, both views, unknown codes, the page."""
    events = make_nova(300)
    odd = events.truth["interaction"].to_numpy().copy()
    odd[:2] = 16
    for number, rows in ((1, slice(0, 100)), (2, slice(100, 200)), (10, slice(200, 300))):
        part = events.select(rows)
        if number == 1:
            part = Events(part.images, part.truth.with_columns(interaction=odd[:100]), "nova")
        with open_writer(tmp_path / f"neutrino{number}.h5", "nova") as writer:
            writer.write(part)
    page = tmp_path / "page.html"
    result = run(tmp_path, "--html", page)
    assert result.exit_code == 0, result.output
    for words in (
        "300 events",
        "Images, view x",
        "Images, view y",
        "numu_cc: numu CC",
        "interaction",
        "3 different",
    ):
        assert words in result.output
    assert "16" in result.output.split("Deserves a look")[1]
    assert "neutrino1.h5" in page.read_text()
