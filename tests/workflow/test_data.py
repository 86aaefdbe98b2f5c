from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from scipy import sparse

from hitlens import __version__
from hitlens.detector import ReadReport
from hitlens.detectors import DETECTORS
from hitlens.detectors.cebr import DETECTOR
from hitlens.errors import ConfigError, DataError, FileFormatError, NotFoundError
from hitlens.events import Events, concat
from hitlens.io.native import open_native
from hitlens.workflow import data
from hitlens.workflow.data import convert, iterate_events, layouts_of, open_writer, read_events

Make = Callable[..., Events]


def write(path: Path, events: Events, **options: Any) -> Path:
    with open_writer(path, events.detector, **options) as writer:
        writer.write(events)
    return path


@pytest.fixture
def text(tmp_path: Path, make_cebr: Make) -> Path:
    return write(tmp_path / "a.txt", make_cebr(40))


def assert_same(one: Events, other: Events) -> None:
    for view in one.images:
        np.testing.assert_array_equal(one.images[view], other.images[view])
    assert_frame_equal(one.truth, other.truth)


@pytest.mark.parametrize("name", ["b.h5", "b.hdf5", "b.txt", "b.txt.gz", "b"])
def test_every_layout_gives_the_same_events(text: Path, tmp_path: Path, name: str) -> None:
    events = read_events(text)
    other = read_events(write(tmp_path / name, events))
    assert_same(events, Events(other.images, other.truth.with_columns(file=pl.lit("a.txt")), "cebr"))


def test_blocks_join_to_the_whole(tmp_path: Path, make_cebr: Make) -> None:
    one, two = write(tmp_path / "one.txt", make_cebr(25)), write(tmp_path / "two.h5", make_cebr(13, seed=2))
    blocks = list(iterate_events([one, two], block=10))
    assert [len(block) for block in blocks] == [10, 10, 5, 10, 3]
    whole = read_events([one, two])
    assert_same(whole, concat(blocks))
    assert whole.images["anode"].flags.owndata
    assert whole.truth["file"].unique(maintain_order=True).to_list() == ["one.txt", "made.txt"]
    assert whole.truth["event"].to_list() == [*range(25), *range(13)]


def test_files_of_one_name_keep_different_keys(tmp_path: Path, make_cebr: Make) -> None:
    paths = [write(tmp_path / folder / "a.txt", make_cebr(2)) for folder in ("run1", "run2")]
    assert read_events(paths).truth["file"].to_list() == ["run1/a.txt"] * 2 + ["run2/a.txt"] * 2
    with pytest.raises(DataError, match="given twice"):
        read_events([paths[0], paths[0]])


def test_files_with_different_columns_are_joined_with_nulls(tmp_path: Path, text: Path) -> None:
    anode = tmp_path / "anodedata_1.txt"
    anode.write_text(" ".join(["7", "1", *["2.5"] * 256]))
    events = read_events([text, anode])
    assert events.images["anode"].dtype == np.float32
    assert events.truth["descriptor"].null_count() == 40
    assert events.truth["n_electrons"].null_count() == 1
    trace = tmp_path / "trace.dat"
    trace.write_text(" ".join(["1", "200", *["1"] * 5, *["0"] * 4, *["9"] * 200]))
    with pytest.raises(DataError, match="Read them one by one"):
        read_events([text, trace])


def test_sparse_native_files_stay_sparse(tmp_path: Path, make_cebr: Make) -> None:
    events = make_cebr(20)
    thin = Events(
        {"anode": sparse.csr_array(np.asarray(events.images["anode"]).reshape(20, 256))}, events.truth, "cebr"
    )
    one, two = write(tmp_path / "one.h5", thin), write(tmp_path / "two.h5", events)
    assert sparse.issparse(read_events(one).images["anode"])
    for paths in ([one, two], [two, one]):
        both = read_events(paths)
        assert sparse.issparse(both.images["anode"])
        np.testing.assert_array_equal(
            both.dense("anode", (16, 16)), np.concatenate([events.images["anode"]] * 2)
        )


def test_bad_events_are_refused_or_listed(text: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = text.read_text().splitlines()
    lines[3] = lines[3].replace(" ", " -", 1)
    text.write_text("\n".join(lines))
    with pytest.raises(FileFormatError, match="line 4, column 2"):
        read_events(text)
    report = ReadReport([])
    with caplog.at_level(logging.WARNING):
        events = read_events(text, on_bad_event="skip", report=report)
    assert len(events) == 39
    assert len(report.skipped) == 1
    assert "1 bad events skipped" in caplog.text
    with pytest.raises(ConfigError, match="'raise' or 'skip'"):
        read_events(text, on_bad_event="ignore")  # type: ignore[arg-type]


def test_which_layout(tmp_path: Path, text: Path) -> None:
    junk = tmp_path / "junk.bin"
    junk.write_bytes(bytes(100))
    with pytest.raises(FileFormatError, match=r"junk\.bin: .*neither.*text \(public.*npy \(folder.*traces"):
        read_events(junk)
    with pytest.raises(FileFormatError, match="line 1, column 1: this is not text"):
        read_events(junk, layout="text")
    with pytest.raises(NotFoundError, match=r"no layout 'txet'\. Did you mean 'text'"):
        read_events(text, layout="txet")
    with pytest.raises(NotFoundError, match="No file or folder"):
        read_events(tmp_path / "missing.txt")
    with pytest.raises(NotFoundError, match=r"No detector is called 'cerb'\. Did you mean 'cebr'"):
        read_events(text, "cerb")
    with pytest.raises(DataError, match="at least one"):
        read_events([])
    with pytest.raises(FileFormatError, match="not HDF5"):
        read_events(text, layout="native")
    assert len(read_events(text, layout="text")) == 40


def test_the_detector_may_be_left_out(tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    native = write(tmp_path / "a.h5", read_events(text))
    assert read_events([text, native], None).detector == "cebr"
    with pytest.raises(FileFormatError, match="neither"):
        (tmp_path / "x.dat").write_text("1 2")
        read_events(tmp_path / "x.dat", None)
    assert len(read_events(text, None, layout="text")) == 40
    twin = DETECTOR.model_copy(update={"name": "twin"})
    monkeypatch.setitem(DETECTORS, "twin", twin)
    for layout in (None, "text"):
        with pytest.raises(ConfigError, match="could be of cebr, twin"):
            read_events(text, None, layout=layout)
    with pytest.raises(FileFormatError, match="events of detector 'cebr', not of 'twin'"):
        read_events(native, "twin")
    with pytest.raises(DataError, match="one detector"):
        convert(
            [
                write(
                    tmp_path / "t.h5",
                    Events({"anode": np.zeros((1, 16, 16))}, pl.DataFrame({"event": [1]}), "twin"),
                ),
                native,
            ],
            tmp_path / "c.h5",
            None,
        )


def test_options(tmp_path: Path, text: Path) -> None:
    events = read_events(text)
    arrays = write(tmp_path / "arrays", events)
    images = np.load(arrays / "images.npy")
    np.save(arrays / "images.npy", images.swapaxes(1, 2))
    np.testing.assert_array_equal(
        read_events([text, arrays], options={"axes": "yx"}).images["anode"], np.concatenate([images] * 2)
    )
    with pytest.raises(ConfigError, match="Layout text has no option 'axes'"):
        read_events(text, options={"axes": "yx"})
    with pytest.raises(ConfigError, match="Did you mean 'axes'"):
        read_events(arrays, options={"axis": "yx"})
    native = write(tmp_path / "a.h5", events)
    with pytest.raises(ConfigError, match="Layout native has no option"):
        read_events(native, options={"axes": "yx"})


def test_the_name_chooses_the_layout_to_write(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError,
        match=r"fits no layout.*native \(\.h5, \.hdf5\), text \(\.txt, \.txt\.gz\), npy \(no ending\)",
    ):
        open_writer(tmp_path / "a.csv")
    with pytest.raises(ConfigError, match="only read"):
        open_writer(tmp_path / "a.txt", layout="anodedata")
    with pytest.raises(NotFoundError, match="no layout"):
        open_writer(tmp_path / "a.txt", layout="nope")
    assert type(open_writer(tmp_path / "a.csv", layout="text")).__name__ == "TextWriter"
    assert type(open_writer(tmp_path / "a.txt", layout="native")).__name__ == "NativeWriter"
    (tmp_path / "run.1").mkdir()
    assert type(open_writer(tmp_path / "run.1")).__name__ == "NpyWriter"


def test_native_files_carry_units_and_provenance(text: Path, tmp_path: Path) -> None:
    native = tmp_path / "a.h5"
    convert(text, native)
    convert(native, tmp_path / "b.h5")
    with open_native(native) as file:
        assert file.columns["energy_1_mev"].unit == "MeV"
        assert "first electron" in file.columns["x_1_px"].meaning
        first = file.provenance
        assert first == {"hitlens": __version__, "sources": [{"file": "a.txt", "layout": "text"}]}
    with open_native(tmp_path / "b.h5") as file:
        assert file.provenance["sources"] == [{"file": "a.h5", "layout": "native", "provenance": first}]


def test_convert(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "BLOCK", 16)
    steps: list[int] = []
    result = convert(text, tmp_path / "b.txt.gz", progress=steps.append)
    assert steps == [16, 16, 8]
    assert result.n_events == {"a.txt": 40}
    assert str(result) == f"40 events from 1 file to {tmp_path / 'b.txt.gz'} (text)"
    back = convert(tmp_path / "b.txt.gz", tmp_path / "c.txt")
    assert (tmp_path / "c.txt").read_bytes() == text.read_bytes()
    assert back.layout == "text"
    both = convert([text, tmp_path / "c.txt"], tmp_path / "d.h5")
    assert str(both).startswith("80 events from 2 files")


def test_convert_lists_what_it_skips(text: Path, tmp_path: Path) -> None:
    text.write_text(text.read_text() + "1 2 3\n")
    with pytest.raises(FileFormatError, match="line 41"):
        convert(text, tmp_path / "b.h5")
    assert not (tmp_path / "b.h5").exists()
    result = convert(text, tmp_path / "b.h5", on_bad_event="skip")
    assert result.n_events == {"a.txt": 40}
    assert ["line 41" in message for message in result.skipped] == [True]


def test_convert_replaces_only_on_demand(text: Path, tmp_path: Path) -> None:
    out = tmp_path / "b.h5"
    convert(text, out)
    before = out.read_bytes()
    with pytest.raises(ConfigError, match=r"exists.*force"):
        convert(text, out)
    convert(text, out, force=True)
    assert out.read_bytes() == before
    with pytest.raises(ConfigError, match="one of the files to read"):
        convert(text, text, force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.h5"]


def test_layouts_are_listed() -> None:
    names = [name for name, _, _ in layouts_of("cebr")]
    assert names == ["native", "text", "npy", "anodedata", "decaydata", "traces"]


@pytest.mark.real
def test_real_events_through_the_native_file(real_cebr: Path, tmp_path: Path) -> None:
    names = ["CeBr10.txt", "CeBr10k_1_row0.txt"]
    convert([real_cebr / name for name in names], tmp_path / "a.h5")
    convert(tmp_path / "a.h5", tmp_path / "b.txt")
    assert (tmp_path / "b.txt").read_bytes() == b"".join((real_cebr / name).read_bytes() for name in names)
