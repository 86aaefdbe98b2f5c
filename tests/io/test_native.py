from __future__ import annotations

import itertools
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from scipy import sparse

from hitlens.errors import DataError, FileFormatError, NotFoundError
from hitlens.events import Events, concat
from hitlens.io import native
from hitlens.io.hdf5 import has_checksums
from hitlens.io.native import (
    BATCH,
    ColumnInfo,
    NativeWriter,
    is_hdf5,
    is_native,
    open_native,
    read_native,
)
from hitlens.io.native_checksum import ATTRIBUTE, seal


def some_events(n: int, seed: int = 0, *, is_sparse: bool = False, first: int = 0) -> Events:
    rng = np.random.default_rng(seed)
    images: Any = rng.poisson(2.0, (n, 4, 3)).astype(np.uint16)
    truth = pl.DataFrame(
        {
            "file": pl.Series([f"f{i % 3}.txt" for i in range(n)], dtype=pl.String),
            "event": np.arange(first, first + n),
            "n_electrons": rng.integers(1, 3, n).astype(np.uint8),
            "energy_mev": np.where(rng.random(n) < 0.2, np.nan, rng.random(n)),
            "is_good": rng.random(n) < 0.5,
        }
    )
    if is_sparse:
        images = sparse.csr_array(images.reshape(n, 12))
    return Events({"anode": images}, truth, "demo")


def write(path: Path, *blocks: Events, **options: Any) -> Path:
    with NativeWriter(path, "demo", **options) as writer:
        for block in blocks:
            writer.write(block)
    return path


def assert_same(one: Events, other: Events) -> None:
    assert one.detector == other.detector
    assert list(one.images) == list(other.images)
    for view in one.images:
        a, b = one.images[view], other.images[view]
        assert a.dtype == b.dtype
        if sparse.issparse(a):
            assert sparse.issparse(b)
            assert a.indices.dtype == b.indices.dtype == b.indptr.dtype == np.int32
            a, b = a.toarray(), b.toarray()
        np.testing.assert_array_equal(a, b)
    assert_frame_equal(one.truth, other.truth)


@pytest.mark.parametrize("is_sparse", [False, True])
def test_round_trip(tmp_path: Path, is_sparse: bool) -> None:
    events = some_events(20_000, is_sparse=is_sparse)
    path = write(tmp_path / "a.h5", events, provenance={"seed": 3, "files": ["a"]})
    assert_same(read_native(path), events)
    assert_same(read_native(path, start=16_000, stop=17_000), events.select(slice(16_000, 17_000)))
    with open_native(path) as file:
        assert len(file) == 20_000
        assert file.provenance == {"seed": 3, "files": ["a"]}
        assert file.views == {"anode": (12,) if is_sparse else (4, 3)}
        blocks = list(file.blocks(7_000))
        assert [len(block) for block in blocks] == [7_000, 7_000, 6_000]
        assert_same(concat(blocks), events)
        assert_frame_equal(file.truth(), events.truth)
        assert len(file.read(slice(5, 5))) == 0
        with pytest.raises(DataError, match="step 1"):
            file.read(slice(0, 10, 2))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.booleans())
def test_blocks_of_any_size_come_back(sizes: list[int], is_sparse: bool) -> None:
    import tempfile

    blocks = [some_events(n, seed=i, is_sparse=is_sparse, first=100 * i) for i, n in enumerate(sizes)]
    with tempfile.TemporaryDirectory() as folder:
        assert_same(read_native(write(Path(folder) / "a.h5", *blocks)), concat(blocks))


def test_bytes_do_not_depend_on_blocks_time_or_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = some_events(40_000)
    one = write(tmp_path / "one.h5", events).read_bytes()
    time.sleep(1.1)
    cuts = [0, 1, 5_000, 5_000, 23_000, 40_000]
    parts = [events.select(slice(a, b)) for a, b in itertools.pairwise(cuts)]
    assert write(tmp_path / "two.h5", *parts).read_bytes() == one
    monkeypatch.setenv("BLOSC_NTHREADS", "4")
    assert write(tmp_path / "three.h5", events).read_bytes() == one
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from test_native import some_events, write;"
        "from pathlib import Path; write(Path(sys.argv[2]), some_events(40_000))"
    )
    four = tmp_path / "four.h5"
    subprocess.run([sys.executable, "-c", code, str(Path(__file__).parent), str(four)], check=True)
    assert four.read_bytes() == one


def test_missing_values_stay_missing(tmp_path: Path) -> None:
    full = some_events(3)
    holes = Events(
        full.images,
        full.truth.with_columns(
            pl.Series("energy_mev", [0.5, None, np.nan], dtype=pl.Float64),
            pl.Series("file", [None, "x", "f0.txt"], dtype=pl.String),
            pl.Series("is_good", [None, True, False]),
        ),
        "demo",
    )
    path = write(tmp_path / "a.h5", full, holes, full)
    assert_same(read_native(path), concat([full, holes, full]))


def test_units_and_meaning(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", some_events(2), columns={"energy_mev": ColumnInfo("MeV", "energy")})
    with open_native(path) as file:
        assert file.columns["energy_mev"] == ColumnInfo("MeV", "energy")
        assert file.columns["file"] == ColumnInfo()
    with h5py.File(path) as plain:
        assert plain["truth/energy_mev"].attrs["unit"] == "MeV"
        assert plain.attrs["format"] == "hitlens events"
        assert plain.attrs["format_version"] == native.VERSION


def test_a_compressed_file_is_much_smaller(tmp_path: Path) -> None:
    events = some_events(BATCH)
    size = write(tmp_path / "a.h5", events).stat().st_size
    assert size < 0.5 * (np.asarray(events.images["anode"]).nbytes + events.truth.estimated_size())


def test_an_exception_leaves_nothing_and_keeps_the_old_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", some_events(2))
    with pytest.raises(KeyError), NativeWriter(path, "demo") as writer:
        writer.write(some_events(20_000))
        raise KeyError
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]
    assert len(read_native(path)) == 2


def test_nothing_to_write(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no events"), NativeWriter(tmp_path / "a.h5", "demo"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_blocks_that_do_not_fit(tmp_path: Path) -> None:
    events = some_events(2)
    others = {
        "cannot go to a file": Events(events.images, events.truth, "other"),
        "same views and truth columns": Events(events.images, events.truth.drop("file"), "demo"),
        "must stay UInt8": Events(
            events.images, events.truth.with_columns(pl.col("n_electrons").cast(pl.Int64)), "demo"
        ),
        "dense uint16 images": some_events(2, is_sparse=True),
    }
    for words, other in others.items():
        with pytest.raises(DataError, match=words):
            write(tmp_path / "a.h5", events, other)
    with pytest.raises(DataError, match="sparse images of 12"):
        write(tmp_path / "a.h5", some_events(2, is_sparse=True), events)
    with pytest.raises(DataError, match="'with' block"):
        NativeWriter(tmp_path / "a.h5", "demo").write(events)


def test_truncated(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", some_events(20_000))
    content = path.read_bytes()
    for length in (10, 1000, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(FileFormatError, match=r"a\.h5: .*cut short or damaged"):
            read_native(path)


def test_damaged_inside(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", some_events(20_000))
    with h5py.File(path) as file:
        chunk = file["images/anode"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + 200] = bytes(200)
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="damaged"):
        read_native(path)
    with h5py.File(path, "a") as file:
        del file["truth/energy_mev"]
    with pytest.raises(FileFormatError, match="damaged"):
        open_native(path)


def test_a_view_that_ends_too_early(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", some_events(10))
    with h5py.File(path, "a") as file:
        file["truth/event"].resize(9, axis=0)
        seal(file)
    with pytest.raises(FileFormatError, match="'truth/event' is int64 of shape"):
        open_native(path)
    with h5py.File(path, "a") as file:
        file["truth/event"].resize(10, axis=0)
        file["images/anode"].resize(9, axis=0)
        seal(file)
    with pytest.raises(FileFormatError, match="not images of 10 events"):
        read_native(path)


def test_foreign(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("1 2 3\n")
    assert not is_native(text)
    assert not is_native(tmp_path)
    with pytest.raises(FileFormatError, match=r"a\.txt: .*not HDF5"):
        read_native(text)
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["weights"] = [1, 2]
    with pytest.raises(FileFormatError, match="it holds weights"):
        read_native(other)
    with pytest.raises(NotFoundError, match="No file"):
        read_native(tmp_path / "missing.h5")


def test_newer_version(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", some_events(2))
    with h5py.File(path, "a") as file:
        file.attrs["format_version"] = native.VERSION + 1
    with pytest.raises(FileFormatError, match=r"version 3 of the events format.*Upgrade"):
        open_native(path)


def test_wrong_detector(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", some_events(2))
    with pytest.raises(FileFormatError, match="detector 'demo', not of 'cebr'"):
        read_native(path, detector="cebr")


def test_what_is_native_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", some_events(5))
    assert is_native(path)
    assert is_hdf5(path)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["x"] = 1
    cut = tmp_path / "c.h5"
    cut.write_bytes(path.read_bytes()[:2000])
    for other in (tmp_path / "b.h5", cut):
        assert is_hdf5(other)
        assert not is_native(other)


@pytest.mark.parametrize(
    ("part", "at", "value", "problem"),
    [
        ("indices", 0, 12, "at pixel 12 of 12"),
        ("indices", 3, -5, "at pixel -5 of 12"),
        ("indices", 2, 2**31 - 1, "at pixel 2147483647 of 12"),
        ("indptr", 0, 1, "have not all of its"),
        ("indptr", -1, 10**9, "have not all of its"),
        ("indptr", 2, -7, "do not follow each other"),
        ("indptr", 1, 10**12, "do not follow each other"),
    ],
)
def test_hits_that_lead_astray_are_refused(
    part: str, at: int, value: int, problem: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.h5", some_events(10, is_sparse=True))
    with h5py.File(path, "a") as file:
        node = file[f"images/anode/{part}"]
        values = node[:]
        values[at] = value
        node[:] = values
    with pytest.raises((FileFormatError, DataError), match=problem):
        read_native(path)


@pytest.mark.parametrize("part", ["data", "indices", "indptr"])
def test_parts_of_other_lengths_are_refused(part: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", some_events(10, is_sparse=True))
    with h5py.File(path, "a") as file:
        node = file[f"images/anode/{part}"]
        node.resize(len(node) - 1, axis=0)
        seal(file)
    with pytest.raises(FileFormatError, match=r"a\.h5: the file is damaged"):
        read_native(path)


@pytest.mark.parametrize("name", ["images/anode", "truth/event", "provenance"])
def test_a_native_file_names_no_other_file_unasked(name: str, tmp_path: Path) -> None:
    write(tmp_path / "whole.h5", some_events(5))
    path = write(tmp_path / "a.h5", some_events(5, seed=1))
    with h5py.File(path, "a") as file:
        attributes = dict(file[name].attrs)
        del file[name]
        file[name] = h5py.ExternalLink("whole.h5", f"/{name}")
        assert attributes == dict(file[name].attrs)
    with pytest.raises(FileFormatError, match=r"is a link to another file, 'whole.h5'"):
        read_native(path)
    assert len(read_native(path, external=True)) == 5


@pytest.mark.parametrize("is_sparse", [False, True])
def test_no_flipped_bit_goes_unnoticed(is_sparse: bool, tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", some_events(120, is_sparse=is_sparse))
    content, whole = path.read_bytes(), read_native(path)
    rng = np.random.default_rng(5)
    n_refused = 0
    for bit in rng.integers(8 * len(content), size=60).tolist():
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            assert_same(read_native(path), whole)
        except FileFormatError:
            n_refused += 1
    assert n_refused > 20


def test_every_column_has_checksums(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", some_events(5, is_sparse=True))
    with h5py.File(path) as file:
        names = ["images/anode/data", "images/anode/indices", "images/anode/indptr"]
        names += [f"truth/{name}" for name in file["truth"]]
        assert all(has_checksums(file[name]) for name in names)


@pytest.mark.parametrize(("name", "attribute"), [("truth/energy_mev", "unit"), ("/", "detector")])
def test_a_changed_description_is_refused(name: str, attribute: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", some_events(5))
    with h5py.File(path, "a") as file:
        file[name].attrs[attribute] = "other"
    with pytest.raises(FileFormatError, match="does not have the checksum"):
        read_native(path)


def test_a_file_of_version_1_is_read_without_checksums(tmp_path: Path) -> None:
    events = some_events(30)
    path = write(tmp_path / "a.h5", events)
    with h5py.File(path) as new, h5py.File(tmp_path / "old.h5", "w") as old:
        for name in new:
            new.copy(name, old)
        old.attrs.update({key: value for key, value in new.attrs.items() if key != ATTRIBUTE})
        old.attrs["format_version"] = 1
    assert_same(read_native(tmp_path / "old.h5"), events)
