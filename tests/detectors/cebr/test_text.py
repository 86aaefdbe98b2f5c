from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from polars.testing import assert_frame_equal
from scipy import sparse

from hitlens.detectors.cebr.text import TextWriter, read_text
from hitlens.detectors.cebr.truth import VALUES, truth_table
from hitlens.errors import DataError, FileFormatError
from hitlens.events import Events, concat

Make = Callable[..., Events]


def write(path: Path, *blocks: Events) -> Path:
    with TextWriter(path, gzipped=path.suffix == ".gz") as writer:
        for block in blocks:
            writer.write(block)
    return path


def six_digits(events: Events, file: str) -> pl.DataFrame:
    """Return the truth as a text file keeps it."""
    rounded = [
        pl.Series(
            name,
            [None if value is None else float(f"{value:.6g}") for value in events.truth[name]],
            dtype=pl.Float64,
        )
        for name in VALUES
    ]
    key = {"file": pl.lit(file), "event": pl.Series(np.arange(len(events)))}
    return events.truth.with_columns(rounded).with_columns(**key).select(events.truth.columns)


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_write_read_compare(tmp_path: Path, make_cebr: Make, name: str) -> None:
    events = make_cebr(500)
    path = write(tmp_path / name, events.select(slice(0, 123)), events.select(slice(123, 500)))
    blocks = list(read_text(path, 200))
    assert [len(block) for block in blocks] == [200, 200, 100]
    read = concat(blocks)
    assert read.detector == "cebr"
    assert read.images["anode"].dtype == np.uint16
    np.testing.assert_array_equal(read.images["anode"], events.images["anode"])
    assert_frame_equal(read.truth, six_digits(events, name), check_exact=True)
    again = write(tmp_path / f"again-{name}", read)
    assert again.read_bytes() == path.read_bytes()


@st.composite
def cebr_events(draw: st.DrawFn) -> Events:
    n = draw(st.integers(1, 6))
    images = draw(hnp.arrays(np.uint16, (n, 16, 16), elements=st.integers(0, 65535), fill=st.just(3)))
    position = st.floats(0.0, 16.0, allow_subnormal=False)
    energy = st.floats(1e-200, 1e200)
    rows = []
    for _ in range(n):
        first = [draw(energy), draw(position), draw(position)]
        second = [0.0, -100.0, -100.0]
        if draw(st.booleans()):
            second = [draw(energy), draw(position), draw(position)]
        rows.append(first + second)
    return Events({"anode": images}, truth_table("made", np.arange(n), np.array(rows)), "cebr")


@settings(max_examples=50, deadline=None)
@given(cebr_events(), st.booleans())
def test_any_event_comes_back(events: Events, gzipped: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / ("a.txt.gz" if gzipped else "a.txt"), events)
        read = concat(list(read_text(path, 4)))
        np.testing.assert_array_equal(read.images["anode"], events.images["anode"])
        assert_frame_equal(read.truth, six_digits(events, path.name), check_exact=True)


def test_others_code_reads_our_events(tmp_path: Path, make_cebr: Make) -> None:
    events = make_cebr(50)
    table = np.loadtxt(write(tmp_path / "a.txt", events))
    assert table.shape == (50, 262)
    np.testing.assert_array_equal(table[:, :256].reshape(-1, 16, 16), events.images["anode"])
    single = (events.truth["n_electrons"] == 1).to_numpy()
    np.testing.assert_array_equal(table[single, 259:], [[0, -100, -100]] * single.sum())
    np.testing.assert_allclose(table[:, 256], events.truth["energy_1_mev"], rtol=5e-6)
    np.testing.assert_allclose(table[~single, 261], events.truth["y_2_px"].to_numpy()[~single], rtol=5e-6)


def test_sparse_and_other_integer_images_can_be_written(tmp_path: Path, make_cebr: Make) -> None:
    events = make_cebr(5)
    dense = np.asarray(events.images["anode"])
    expected = write(tmp_path / "dense.txt", events).read_bytes()
    for images in (sparse.csr_array(dense.reshape(5, 256)), dense.astype(np.int64), dense.astype(float)):
        other = Events({"anode": images}, events.truth, "cebr")
        assert write(tmp_path / "other.txt", other).read_bytes() == expected


def line(*values: object, pixels: object = 3) -> bytes:
    return (" ".join([str(pixels)] * 256 + [str(value) for value in values]) + "\n").encode()


GOOD = line(0.5, 3.5, 4.5, 0, -100, -100)
BAD = {
    line(0.5, 3.5, 4.5, 0, -100): 262,
    line(0.5, 3.5, 4.5, 0, -100, -100, 1): 263,
    line(0.5, 3.5, 4.5, 0, -100, -100, pixels=-3): 1,
    line(0.5, 3.5, 4.5, 0, -100, -100, pixels=3.5): 1,
    line("nan", 3.5, 4.5, 0, -100, -100): 257,
    line(0.5, 3.5, "inf", 0, -100, -100): 259,
    line(-0.5, 3.5, 4.5, 0, -100, -100): 257,
    line(0.5, 3.5, 4.5, -1, 5, 5): 260,
    line(0.5, -100, 4.5, 0, -100, -100): 258,
    line(0.5, 3.5, 4.5, 0, 5, -100): 261,
    line(0.5, 3.5, 4.5, 0.25, 5, -100): 262,
    b"\x00\x01\x02\n": 1,
}


@pytest.mark.parametrize("bad", BAD, ids=lambda text: text.decode("latin-1")[-40:-1])
def test_bad_events(tmp_path: Path, bad: bytes) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(GOOD + bad + GOOD)
    with pytest.raises(FileFormatError) as caught:
        list(read_text(path, 10))
    assert (caught.value.line, caught.value.column) == (2, BAD[bad])
    skipped: list[str] = []
    events = concat(list(read_text(path, 10, skipped)))
    assert events.truth["event"].to_list() == [0, 2]
    assert skipped == [str(caught.value)]


def test_exponents(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(line("9.67989e-05", "1.5E+1", 2, "1e-3", 1, 1))
    assert next(read_text(path, 1)).truth.row(0)[2:] == (2, 9.67989e-05, 15.0, 2.0, 0.001, 1.0, 1.0)


def test_what_cannot_be_written(tmp_path: Path, make_cebr: Make) -> None:
    events = make_cebr(20)
    truth, images = events.truth, np.asarray(events.images["anode"])
    double = int(np.argmax(truth["n_electrons"].to_numpy() == 2))
    negative = images.astype(np.int64)
    negative[7, 2, 3] = -1
    mark = pl.int_range(pl.len()) == double
    cases = {
        "have no energy_2_mev, y_2_px": Events(events.images, truth.drop("energy_2_mev", "y_2_px"), "cebr"),
        "events of 'cebr'": Events(events.images, truth, "other"),
        r"Event 7 has -1 at \(2, 3\)": Events({"anode": negative}, truth, "cebr"),
        r"shape \(16, 16\)": Events({"anode": images[:, :8]}, truth, "cebr"),
        f"Event {double} has n_electrons 1": Events(
            events.images, truth.with_columns(n_electrons=pl.lit(1, pl.UInt8)), "cebr"
        ),
        f"Event {double}, column x_2_px: the value must be a finite number": Events(
            events.images,
            truth.with_columns(x_2_px=pl.when(mark).then(None).otherwise("x_2_px")),
            "cebr",
        ),
    }
    for words, case in cases.items():
        with pytest.raises(DataError, match=words):
            write(tmp_path / "a.txt", case)
        assert list(tmp_path.iterdir()) == []


def test_nothing_half_written(tmp_path: Path, make_cebr: Make) -> None:
    path = write(tmp_path / "a.txt", make_cebr(2))
    before = path.read_bytes()
    with pytest.raises(DataError, match="no events"):
        write(path)
    with pytest.raises(KeyboardInterrupt), TextWriter(path) as writer:
        writer.write(make_cebr(100))
        raise KeyboardInterrupt
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]
    with pytest.raises(DataError, match="'with' block"):
        TextWriter(path).write(make_cebr(1))


@pytest.mark.real
def test_real_events_come_back_byte_for_byte(tmp_path: Path, real_cebr: Path) -> None:
    for name in ("CeBr10.txt", "CeBr10k_1_row0.txt"):
        events = next(read_text(real_cebr / name, 100))
        assert write(tmp_path / name, events).read_bytes() == (real_cebr / name).read_bytes()


@pytest.mark.real
def test_the_brightest_pixel_of_real_events_is_where_the_electron_is(real_cebr: Path) -> None:
    events = next(read_text(real_cebr / "CeBr10.txt", 100))
    assert events.truth["n_electrons"].to_list() == [1] * 10
    brightest = np.asarray(events.images["anode"]).reshape(10, -1).argmax(axis=1)
    assert (brightest // 16).tolist() == events.truth["x_1_px"].floor().to_list()
    assert (brightest % 16).tolist() == events.truth["y_1_px"].floor().to_list()
