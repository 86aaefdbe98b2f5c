from __future__ import annotations

import pickle
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from hitlens.detectors.dune.cvn import CvnWriter, event_files, is_cvn, read_cvn
from hitlens.detectors.dune.npz import read_npz
from hitlens.errors import DataError, FileFormatError, NotFoundError
from hitlens.events import Events, concat

Make = Callable[..., Events]


def write(path: Path, *blocks: Events) -> Path:
    with CvnWriter(path) as writer:
        for block in blocks:
            writer.write(block)
    return path


def lines(file: Path, **changes: str) -> None:
    """Change lines of a .info file: ``lines(file, l1="13")``."""
    content = file.read_text().split()
    for name, text in changes.items():
        content[int(name[1:]) - 1] = text
    file.write_text("\n".join(content))


@pytest.fixture
def folder(tmp_path: Path, make_dune: Make) -> Path:
    return write(tmp_path / "made", make_dune(12))


def test_write_read_compare(tmp_path: Path, make_dune: Make) -> None:
    events = make_dune(12)
    folder = write(tmp_path / "made", events.select(slice(0, 5)), events.select(slice(5, 12)))
    blocks = list(read_cvn(folder, 5))
    assert [len(block) for block in blocks] == [5, 5, 2]
    read = concat(blocks)
    for view, image in events.images.items():
        assert (image != read.images[view]).nnz == 0
        assert read.images[view].has_sorted_indices  # type: ignore[union-attr]
    assert_frame_equal(read.truth, events.truth, check_exact=True)


def test_the_folder_is_as_the_collaboration_s_notebook_reads_it(folder: Path, make_dune: Make) -> None:
    events = make_dune(12)
    labels = pickle.loads((folder / "partition_made.p").read_bytes())
    for row in (0, 3, 11):
        stream = zlib.decompress((folder / f"event{row}.gz").read_bytes())
        image = np.frombuffer(stream, dtype=np.uint8).reshape(3, 500, 500)
        for number, view in enumerate("uvz"):
            np.testing.assert_array_equal(image[number], events.dense(view, (500, 500))[row])
        info = (folder / f"event{row}.info").read_text().splitlines()
        truth = events.truth.row(row, named=True)
        assert labels[str(row)][1] == truth["flavour"]
        assert int(info[0]) == (13 if row % 4 == 3 else 4 * truth["flavour"] + truth["interaction"])
        assert float(info[1]) == pytest.approx(truth["nu_energy_gev"])
        assert [int(info[line]) for line in (7, 8, 11)] == [
            truth[name] for name in ("nu_pdg", "n_proton", "n_neutron")
        ]


def test_events_come_in_the_order_of_their_numbers(folder: Path) -> None:
    assert list(event_files(folder)) == list(range(12))
    assert concat(list(read_cvn(folder, 3))).truth["event"].to_list() == list(range(12))
    for ending in ("gz", "info"):
        (folder / f"event2.{ending}").rename(folder / f"event40.{ending}")
    (folder / "partition_made.p").unlink()
    assert next(read_cvn(folder, 99)).truth["event"].to_list() == [0, 1, *range(3, 12), 40]


def test_later_versions_write_more_lines_and_earlier_ones_fewer(folder: Path) -> None:
    expected = next(read_cvn(folder, 99)).truth
    for number in range(12):
        file = folder / f"event{number}.info"
        content = file.read_text().split()
        file.write_text("\n".join(content[:14] if number % 2 else [*content, "0.31"]))
    assert_frame_equal(next(read_cvn(folder, 99)).truth, expected)


def test_without_info_the_partition_says_the_kind_and_nothing_of_energies(folder: Path) -> None:
    expected = next(read_cvn(folder, 99)).truth
    for file in folder.glob("*.info"):
        file.unlink()
    truth = next(read_cvn(folder, 99)).truth
    assert truth["nu_energy_gev"].null_count() == 12
    same = ["file", "event", "flavour", "nu_pdg", "interaction", "n_proton", "n_neutron"]
    assert_frame_equal(truth.select(same), expected.select(same))
    (folder / "partition_made.p").unlink()
    with pytest.raises(FileFormatError, match=r"event0\.info: it is missing"):
        list(read_cvn(folder, 99))


def test_the_first_form_of_the_partition_is_read_too(folder: Path) -> None:
    labels = pickle.loads((folder / "partition_made.p").read_bytes())
    (folder / "partition_made.p").write_bytes(pickle.dumps((list(labels), labels)))
    for file in folder.glob("*.info"):
        file.unlink()
    assert next(read_cvn(folder, 99)).truth["flavour"].to_list() == [0, 1, 2, 3] * 3


def test_a_partition_that_contradicts_is_refused(folder: Path) -> None:
    file = folder / "partition_made.p"
    labels = pickle.loads(file.read_bytes())
    file.write_bytes(pickle.dumps(labels | {"5": [0, 3, 0, 0, 0, 0, 0]}))
    with pytest.raises(FileFormatError, match=r"event5\.info, line 1: category .* but the partition says 3"):
        list(read_cvn(folder, 99))
    file.write_bytes(pickle.dumps(labels | {"77": [0, 3, 0, 0, 0, 0, 0]}))
    with pytest.raises(FileFormatError, match=r"lists event 77, but there is no event77\.gz"):
        list(read_cvn(folder, 99))


def test_damage_is_named_once_and_can_be_skipped(folder: Path) -> None:
    good = (folder / "event1.gz").read_bytes()
    (folder / "event1.gz").write_bytes(good[:-20])
    with pytest.raises(FileFormatError, match=r"event1\.gz: an image must have 750,000 bytes .* cut short"):
        list(read_cvn(folder, 99))
    (folder / "event2.gz").write_bytes(zlib.compress(bytes(750_001)))
    (folder / "event3.gz").write_bytes(b"not a stream")
    (folder / "event4.info").write_text("1\n2\n")
    lines(folder / "event5.info", l2="much")
    lines(folder / "event6.info", l1="14")
    lines(folder / "event8.info", l9="-1")
    skipped: list[str] = []
    read = concat(list(read_cvn(folder, 3, skipped)))
    assert read.truth["event"].to_list() == [0, 7, 9, 10, 11]
    words = (
        "cut short",
        "Got more than 750,000",
        "not a zlib stream",
        "Got 2",
        "Got 'much'",
        "Got 14",
        "a count",
    )
    assert len(skipped) == len(words)
    for message, word in zip(skipped, words, strict=True):
        assert word in message


def test_other_folders_are_not_taken_for_events(tmp_path: Path, folder: Path) -> None:
    assert is_cvn(folder)
    assert not is_cvn(tmp_path)
    with pytest.raises(FileFormatError, match="Give the folders in it: made"):
        event_files(tmp_path)
    with pytest.raises(NotFoundError):
        event_files(tmp_path / "none")
    (folder / "event07.gz").write_bytes(b"")
    with pytest.raises(FileFormatError, match="event 7 is there twice"):
        event_files(folder)
    (folder / "event07.gz").rename(folder / "event_r1.gz")
    with pytest.raises(FileFormatError, match="images are called"):
        event_files(folder)


def test_nothing_foreign_is_replaced(tmp_path: Path, make_dune: Make) -> None:
    folder = write(tmp_path / "made", make_dune(3))
    assert len(list(write(folder, make_dune(2)).iterdir())) == 5
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(DataError, match="holds other things"):
        write(folder, make_dune(2))
    with pytest.raises(DataError, match="no events"):
        write(tmp_path / "empty")
    assert not (tmp_path / "empty").exists()
    unknown = make_dune(2)
    unknown = Events(unknown.images, unknown.truth.with_columns(n_pion=pl.lit(None)), "dune")
    with pytest.raises(DataError, match="unknown n_pion"):
        write(tmp_path / "unknown", unknown)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made"]


@pytest.mark.real
def test_real_events_survive_a_round_trip(real_dune: Path, tmp_path: Path) -> None:
    some = next(read_npz(real_dune / "dune_cvn_160.npz", 1000)).select([0, 45, 90, 125])
    read = next(read_cvn(write(tmp_path / "some", some), 99))
    for view, image in some.images.items():
        assert (image != read.images[view]).nnz == 0
    columns = [name for name in some.truth.columns if name not in ("file", "event")]
    assert_frame_equal(read.truth.select(columns), some.truth.select(columns), rel_tol=1e-5)
