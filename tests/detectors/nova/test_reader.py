"""Public HDF5 files into sparse views: the order of pixels, every fault, any storage, memory."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
from scipy import sparse

from hitlens.detector import ReadReport
from hitlens.detectors.nova.members import MEMBERS
from hitlens.detectors.nova.reader import is_nova, read_nova
from hitlens.errors import FileFormatError, NotFoundError
from hitlens.events import Events
from hitlens.workflow.data import read_events
from hitlens.workflow.growing import GrowingSparse

Make = Callable[..., Events]

TYPES = {
    "run": "u4",
    "subrun": "u4",
    "evt": "u4",
    "subevt": "u2",
    "cycle": "i4",
    "interaction": "u4",
    "finalstate": "u4",
    "finalstateprong": "u4",
    "nuenergy": "f4",
    "lepenergy": "f4",
    "vtxx": "f8",
    "vtxy": "f8",
    "vtxz": "f8",
    "parent": "u4",
    "particles": "u4",
    "rec.training.trainingdata_idx": "u4",
}


def pixels_of(n_events: int, seed: int = 1) -> np.ndarray:
    """Images (event, view, plane, cell), 1 % of the pixels hit, with corners and full and blank images."""
    rng = np.random.default_rng(seed)
    images = rng.integers(1, 256, (n_events, 2, 100, 80)) * (rng.random((n_events, 2, 100, 80)) < 0.01)
    images[0] = 0
    images[-1] = 255
    images[1, 0, 0, 0] = images[1, 0, 99, 79] = images[1, 1, 0, 79] = images[1, 1, 99, 0] = 7
    return images.astype(np.uint8)


def write_file(
    path: Path, images: np.ndarray, changes: dict[str, Any] | None = None, **storage: Any
) -> dict[str, np.ndarray]:
    """Write a file as the course's are, by plain h5py, and return its columns; None leaves a member out."""
    n_events = len(images)
    rng = np.random.default_rng(2)
    columns: dict[str, Any] = {
        name: rng.integers(0, 13, (n_events, 1)).astype(kind)
        if np.dtype(kind).kind != "f"
        else rng.random((n_events, 1)).astype(kind)
        for name, kind in TYPES.items()
    }
    columns["evt"] = np.arange(n_events, dtype="u4")[:, None]
    everything = {"cvnmap": images.reshape(n_events, 16000), **columns} | (changes or {})
    with h5py.File(path, "w") as file:
        group = file.create_group("neutrino")
        for name, values in everything.items():
            where = file if name == "cvnmap" else group
            if isinstance(values, np.ndarray):
                where.create_dataset(name, data=values, **(storage if name == "cvnmap" else {}))
            elif values is not None:
                where.create_group(name)
    return columns


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "neutrino1.h5"
    write_file(path, pixels_of(30))
    return path


def test_a_file_becomes_sparse_views_and_truth(tmp_path: Path) -> None:
    path, images = tmp_path / "neutrino3.h5", pixels_of(30)
    columns = write_file(path, images)
    events = read_events(path)
    assert events.detector == "nova"
    for number, view in enumerate(("x", "y")):
        found = events.images[view]
        assert isinstance(found, sparse.csr_array)
        assert found.dtype == np.uint8
        assert found.indices.dtype == found.indptr.dtype == np.int32
        np.testing.assert_array_equal(events.dense(view, (100, 80)), images[:, number])
        check = sparse.csr_array(images[:, number].reshape(30, 8000))
        np.testing.assert_array_equal(found.indices, check.indices)  # ascending, and nothing that is zero
        np.testing.assert_array_equal(found.data, check.data)
    for member in MEMBERS:
        np.testing.assert_array_equal(events.truth[member.column].to_numpy(), columns[member.name][:, 0])
    assert set(events.truth["file"]) == {"neutrino3.h5"}
    assert "rec.training.trainingdata_idx" not in events.truth.columns
    assert events.truth["flavour"].null_count() == 0


def test_every_documented_member_has_its_documented_type() -> None:
    assert {member.name: np.dtype(member.dtype) for member in MEMBERS} == {
        name: np.dtype(kind) for name, kind in TYPES.items()
    }


def test_the_interleaving_order_differs_and_cannot_be_had(path: Path) -> None:
    """The row of an event is (view, plane, cell); students read (plane, cell, view), which mixes cells."""
    with h5py.File(path) as file:
        rows = file["cvnmap"][:]
    right, wrong = rows.reshape(-1, 2, 100, 80), rows.reshape(-1, 100, 80, 2)
    differ = [not np.array_equal(right[:, k], wrong[..., k]) for k in (0, 1)]
    assert differ == [True, True]
    for block in (1, 7, 4096):
        for number, view in enumerate(("x", "y")):
            dense = np.concatenate([events.dense(view, (100, 80)) for events in read_nova(path, block)])
            np.testing.assert_array_equal(dense, right[:, number])
            assert not np.array_equal(dense, wrong[..., number])


def test_no_option_changes_the_order(path: Path) -> None:
    from hitlens.detectors.nova import DETECTOR
    from hitlens.errors import ConfigError

    (layout,) = (layout for layout in DETECTOR.layouts if layout.name == "nova")
    assert list(layout.options or {}) == ["external"]
    for options in ({"axes": "yx"}, {"order": "F"}):
        with pytest.raises(ConfigError, match="no option"):
            read_events(path, options=options)


def test_file_shaped_the_wrong_way_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "neutrino1.h5"
    for shape in ((30, 100, 80, 2), (30, 2, 100, 80), (30, 8000), (16000,)):
        write_file(path, pixels_of(30), {"cvnmap": np.zeros(shape, np.uint8)})
        with pytest.raises(
            FileFormatError, match=r"'cvnmap' must be uint8 of shape \(\d+, 16000\). Found uint8"
        ):
            read_events(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cvnmap": None}, "must hold 'cvnmap'. Found neutrino/cycle, neutrino/evt"),
        ({"lepenergy": None}, "must hold 'neutrino/lepenergy'. Found cvnmap, neutrino/cycle"),
        ({"run": None, "vtxz": None}, "must hold 'neutrino/run', 'neutrino/vtxz'"),
        ({"evt": np.zeros(30, "u4")}, r"'neutrino/evt' must be integers of shape \(30, 1\). Found .*\(30,\)"),
        ({"evt": np.zeros((31, 1), "u4")}, r"shape \(30, 1\). Found uint32 of shape \(31, 1\)"),
        ({"vtxx": np.zeros((29, 1))}, r"'neutrino/vtxx' must be float64 .*Found float64 of shape \(29, 1\)"),
        ({"nuenergy": np.zeros((30, 1))}, "'neutrino/nuenergy' must be float32 .* Found float64"),
        ({"interaction": np.zeros((30, 1), "f4")}, "'neutrino/interaction' must be uint32 .* Found float32"),
        ({"run": np.zeros((30, 1), "f4")}, "'neutrino/run' must be integers .* Found float32"),
        ({"cvnmap": np.zeros((30, 16000), "u2")}, "'cvnmap' must be uint8 .* Found uint16"),
        ({"cvnmap": np.zeros((0, 16000), "u1")}, "'cvnmap' is empty"),
        ({"cycle": {}}, "'neutrino/cycle' must be an array. Found a group"),
        ({"cvnmap": {}}, "'cvnmap' must be an array. Found a group"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "neutrino1.h5"
    write_file(path, pixels_of(30), changes)
    with pytest.raises(FileFormatError, match=message) as caught:
        read_events(path)
    assert str(path) in str(caught.value)


def test_hdf5_without_any_member_is_foreign(tmp_path: Path) -> None:
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["weights"] = [1, 2]
    with pytest.raises(FileFormatError, match="not one with hitlens events; it holds weights"):
        read_events(path)
    with pytest.raises(FileFormatError, match=r"must hold 'cvnmap', 'neutrino/run'.* Found weights"):
        read_events(path, "nova", layout="nova")


@pytest.mark.parametrize("share", [0.999, 0.5, 0.001])
def test_truncated_file(share: float, path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(
        FileFormatError, match=r"neutrino1\.h5: the file is damaged or cut short \(.*\)\. Copy or"
    ):
        read_events(path)


def test_truncated_file_of_any_name_is_told_so(path: Path) -> None:
    cut = path.with_name("mine.h5")
    cut.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(FileFormatError, match=r"mine\.h5: the file is cut short"):
        read_events(cut)


def test_damaged_chunk(tmp_path: Path) -> None:
    path = tmp_path / "neutrino1.h5"
    write_file(path, pixels_of(30), chunks=(10, 16000), compression="gzip")
    with h5py.File(path) as file:
        chunk = file["cvnmap"].id.get_chunk_info(1)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"neutrino1\.h5: the file is damaged"):
        read_events(path)


def test_web_page_in_place_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "neutrino7.h5"
    path.write_text("<html>log in first</html>")
    with pytest.raises(FileFormatError, match="this is not an HDF5 file"):
        read_events(path)
    with pytest.raises(NotFoundError, match="Check the name"):
        next(read_nova(tmp_path / "neutrino8.h5", 10))


@pytest.mark.parametrize(
    "storage",
    [
        {"chunks": (4, 16000)},
        {"chunks": (30, 80), "compression": "gzip"},
        {"compression": "lzf"},
        {"chunks": (7, 16000), "compression": "gzip", "shuffle": True, "fletcher32": True},
        {"chunks": (30, 16000), **hdf5plugin.Blosc2()},
        {"maxshape": (None, 16000)},
    ],
    ids=lambda storage: "-".join(map(str, storage)),
)
def test_any_storage_of_the_file_gives_the_same_events(storage: dict[str, Any], tmp_path: Path) -> None:
    path, images = tmp_path / "x.h5", pixels_of(30)
    write_file(path, images, **storage)
    for block in (3, 64):
        blocks = list(read_nova(path, block))
        assert [len(b) for b in blocks] == ([3] * 10 if block == 3 else [30])
        dense = np.concatenate([b.dense("y", (100, 80)) for b in blocks])
        np.testing.assert_array_equal(dense, images[:, 1])


def test_stretches_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, images = tmp_path / "x.h5", pixels_of(30)
    write_file(path, images)
    for stretch in (1, 4, 30, 31):
        monkeypatch.setattr("hitlens.detectors.nova.reader.STRETCH", stretch)
        (events,) = read_nova(path, 1000)
        np.testing.assert_array_equal(events.dense("x", (100, 80)), images[:, 0])


def test_big_endian_and_other_integers_of_the_key(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    changes = {"run": np.full((30, 1), 7, "i8"), "nuenergy": np.full((30, 1), 2.5, ">f4")}
    write_file(path, pixels_of(30), changes)
    truth = read_events(path).truth
    assert truth["run"].to_list() == [7] * 30
    assert truth["nuenergy"].to_list() == [2.5] * 30


def test_unknown_codes_are_counted_and_listed(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    codes = np.zeros((30, 1), "u4")
    codes[:3], codes[3] = 16, 99
    write_file(path, pixels_of(30), {"interaction": codes})
    report = ReadReport([])
    with caplog.at_level(logging.WARNING):
        events = read_events(path, report=report)
    (message,) = report.odd
    assert "16 (3 events), 99 (1 events)" in message
    assert message in caplog.text
    assert report.skipped == []
    assert events.truth["flavour"].null_count() == events.truth["mode"].null_count() == 4
    assert len(events) == 30


def test_recognised_by_content(path: Path, tmp_path: Path) -> None:
    renamed = path.rename(tmp_path / "simulated.hdf5")
    assert is_nova(renamed)
    assert len(read_events(renamed)) == 30
    assert not is_nova(tmp_path)


def test_natural_order_of_files_and_folders(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        write_file(tmp_path / f"neutrino{number}.h5", pixels_of(number + 2))
    (tmp_path / "neutrino_notes.h5").write_text("not one of them")
    (tmp_path / "README").write_text("")
    names = ["neutrino1.h5", "neutrino2.h5", "neutrino10.h5"]
    for given in (tmp_path, [tmp_path / name for name in sorted(names)], [tmp_path / n for n in names[::-1]]):
        events = read_events(given)
        assert events.truth["file"].unique(maintain_order=True).to_list() == names
        assert len(events) == 3 + 4 + 12
    with pytest.raises(FileFormatError, match="neither"):
        (tmp_path / "empty").mkdir()
        read_events(tmp_path / "empty")


def test_files_of_one_name_in_two_folders_are_told_apart(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_file(tmp_path / folder / "neutrino1.h5", pixels_of(4))
    events = read_events([tmp_path / "b", tmp_path / "a"])
    assert events.truth["file"].unique(maintain_order=True).to_list() == ["b/neutrino1.h5", "a/neutrino1.h5"]


def test_joined_files_are_in_memory_once(
    tmp_path: Path, make_nova: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks are appended in place; the growing arrays are those of the result."""
    seen: list[int] = []
    append = GrowingSparse.append

    def watched(self: GrowingSparse, block: Any) -> None:
        append(self, block)
        seen.append(id(self))

    monkeypatch.setattr(GrowingSparse, "append", watched)
    for number in (1, 2, 3):
        write_file(tmp_path / f"neutrino{number}.h5", pixels_of(5, number))
    events = read_events(tmp_path)
    assert len(seen) == 6
    assert len(set(seen)) == 2
    expected = np.concatenate([pixels_of(5, number)[:, 0] for number in (1, 2, 3)])
    np.testing.assert_array_equal(events.dense("x", (100, 80)), expected)
    view = events.images["x"]
    assert view.has_canonical_format
    assert view.indptr.dtype == np.int32


def test_another_file_is_not_read_unasked(path: Path) -> None:
    whole = path.rename(path.with_name("store.h5"))
    with h5py.File(path, "w") as file, h5py.File(whole) as store:
        for name in store:
            file[name] = h5py.ExternalLink("store.h5", f"/{name}")
    with pytest.raises(FileFormatError, match=r"link to another file, 'store.h5', .*external=allow"):
        read_events(path, "nova")
    assert len(read_events(path, "nova", options={"external": "allow"})) == len(read_events(whole, "nova"))
