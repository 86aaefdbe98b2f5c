"""Events in their files: the same as in memory, and one clear error when a file is not what it was."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from hitlens.datasets import stored
from hitlens.datasets.duplicates import find_duplicates
from hitlens.datasets.pixels import view_pixels
from hitlens.datasets.regions import Region
from hitlens.datasets.splits import SplitConfig, split_events
from hitlens.datasets.stored import StoredEvents, open_stored
from hitlens.datasets.transforms import fit_scaling
from hitlens.detector import Detector
from hitlens.detectors import get_detector
from hitlens.errors import DataError, FileFormatError, NotFoundError
from hitlens.events import Events, concat
from hitlens.io.native import read_native
from hitlens.io.native_writer import NativeWriter

CEBR, NOVA = get_detector("cebr"), get_detector("nova")


def write(path: Path, events: Events) -> Path:
    with NativeWriter(path, events.detector) as writer:
        writer.write(events)
    return path


def cebr_events(n: int, seed: int) -> Events:
    rng = np.random.default_rng(seed)
    images = rng.poisson(20, (n, 16, 16)).astype(np.uint16)
    truth = pl.DataFrame(
        {"file": [f"{seed}.h5"] * n, "event": range(n), "n_electrons": rng.integers(1, 3, n)}
    )
    return CEBR.complete(Events({"anode": images}, truth, "cebr"))


@pytest.fixture(params=["dense", "sparse"])
def both(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    make_nova: Callable[..., Events],
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[StoredEvents, Events, Detector]:
    """Two files, their events in memory, and the detector; blocks far smaller than a file."""
    monkeypatch.setattr(stored, "BLOCK", 32)
    monkeypatch.setattr(stored, "_TRUTH_BLOCK", 50)
    detector = CEBR if request.param == "dense" else NOVA
    make = cebr_events if request.param == "dense" else make_nova
    parts = [make(150, 1), make(110, 2)]
    paths = [write(tmp_path / f"{number}.h5", part) for number, part in enumerate(parts)]
    resident = concat([detector.complete(read_native(path)) for path in paths])
    return open_stored(paths, detector), resident, detector


def same(one: Events, other: Events) -> bool:
    def dense(images: object) -> np.ndarray:
        return images if isinstance(images, np.ndarray) else images.toarray()  # type: ignore[attr-defined]

    return one.truth.equals(other.truth) and all(
        np.array_equal(dense(images), dense(other.images[view])) for view, images in one.images.items()
    )


def test_any_events_are_read_in_any_order(both: tuple[StoredEvents, Events, Detector]) -> None:
    events, resident, _ = both
    assert events.truth.equals(resident.truth)
    rng = np.random.default_rng(0)
    for which in (
        slice(140, 170),
        rng.permutation(len(resident))[:40],
        np.array([3, 3, 4, 200, 3]),
        [],
        rng.random(len(resident)) < 0.3,
    ):
        assert same(events.select(which), resident.select(which))


def test_blocks_of_some_events(both: tuple[StoredEvents, Events, Detector]) -> None:
    events, resident, _ = both
    rows = np.flatnonzero(np.random.default_rng(0).random(len(resident)) < 0.5)
    found = list(events.narrowed(rows).blocks(48))
    assert {len(block) for block in found[:-1]} == {48}
    assert same(concat(found), resident.select(rows))
    assert same(concat(list(resident.select(rows).blocks(48))), resident.select(rows))


def test_conditions_hold_without_an_image_read(
    both: tuple[StoredEvents, Events, Detector], monkeypatch: pytest.MonkeyPatch
) -> None:
    events, resident, detector = both
    column = "n_electrons = 1" if detector is CEBR else "nuenergy > 3"
    wanted = resident.filter(column)
    with monkeypatch.context() as patch:
        patch.setattr(stored.FileReader, "_file", lambda *_: pytest.fail("an image was read"))
        kept = events.filter(column)
    assert same(kept.select(slice(None)), wanted)


@pytest.mark.parametrize("region", [None, "crop"])
def test_constants_of_preprocessing_are_those_of_resident_data(
    both: tuple[StoredEvents, Events, Detector], region: str | None
) -> None:
    events, resident, detector = both
    view = detector.views[0]
    part = Region(crop=(view.shape[0] // 2,) * 2, anchor="first") if region else None
    rows = np.flatnonzero(np.random.default_rng(1).random(len(resident)) < 0.6)
    for curve in ("log1p", "sqrt"):
        mine = fit_scaling(curve, events.pixels(view, part), rows)
        assert mine == fit_scaling(curve, view_pixels(resident.images[view.name], view, part), rows)
    assert events.pixels(view, part)[torch.tensor([5])].shape[0] == 1


def test_the_split_is_that_of_resident_data(both: tuple[StoredEvents, Events, Detector]) -> None:
    events, resident, detector = both
    mine = split_events(events, SplitConfig(), key=detector.key)
    other = split_events(resident, SplitConfig(), key=detector.key)
    assert mine.hash == other.hash
    for name in ("train", "validation", "test"):
        assert np.array_equal(getattr(mine, name), getattr(other, name))


def test_copies_are_found_across_files(tmp_path: Path) -> None:
    first, second = cebr_events(120, 1), cebr_events(90, 2)
    images = second.images["anode"].copy()
    images[[7, 60]] = first.images["anode"][[100, 3]]
    images[8] = images[9] = 0
    second = Events({"anode": images}, second.truth, "cebr")
    events = open_stored([write(tmp_path / "a.h5", first), write(tmp_path / "b.h5", second)], CEBR)
    assert find_duplicates(events) == [(3, 180), (100, 127)]
    assert find_duplicates(events) == find_duplicates(concat([first, second]))


def test_only_the_columns_asked_for_are_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", cebr_events(20, 1))
    assert open_stored([path], CEBR, ["event", "n_electrons", "nonsense"]).truth.columns == [
        "event",
        "n_electrons",
    ]


def test_a_file_that_changed_or_vanished_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", cebr_events(20, 1))
    events = open_stored([path], CEBR)
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(DataError, match=r"a.h5' is gone since the run began. Put it back"):
        events.select([0])
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"a.h5' was changed since the run began"):
        events.select([0])
    with pytest.raises(FileFormatError, match="cut short or damaged"):
        open_stored([path], CEBR)


def test_damage_that_keeps_size_and_time_is_one_clear_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", cebr_events(400, 1))
    events = open_stored([path], CEBR)
    state, content = path.stat(), bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20_000] = bytes(20_000)
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    with pytest.raises(FileFormatError, match=r"a\.h5: the file is damaged .* make it again"):
        events.select(slice(None))


def test_other_files_are_refused(tmp_path: Path, make_nova: Callable[..., Events]) -> None:
    with pytest.raises(FileFormatError, match="events of detector 'nova', not of 'cebr'"):
        open_stored([write(tmp_path / "n.h5", make_nova(5))], CEBR)
    with pytest.raises(DataError, match=r"none.h5' holds no events. Leave it out"):
        open_stored([write(tmp_path / "none.h5", cebr_events(3, 1).select(slice(0, 0)))], CEBR)
    (tmp_path / "empty.h5").touch()
    with pytest.raises(FileFormatError, match="not a native events file"):
        open_stored([tmp_path / "empty.h5"], CEBR)
    with pytest.raises(NotFoundError, match="No file"):
        open_stored([tmp_path / "missing.h5"], CEBR)


def test_few_files_are_open_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "_OPEN_FILES", 2)
    paths = [write(tmp_path / f"{n}.h5", cebr_events(5, n)) for n in range(5)]
    events = open_stored(paths, CEBR)
    with events.reader() as reader:
        assert sum(map(len, reader.events(np.arange(25)))) == 25
        assert len(reader._open) == 2
    assert not reader._open


@pytest.mark.parametrize("which", [3, 40])
def test_events_with_pixels_that_are_no_numbers_are_refused_or_left_out(which: int, tmp_path: Path) -> None:
    events = cebr_events(50, 3)
    images = np.asarray(events.images["anode"], dtype=np.float32)
    images[which, 2, 5] = np.nan
    path = write(tmp_path / "floats.h5", Events({"anode": images}, events.truth, "cebr"))
    with pytest.raises(FileFormatError, match=rf"floats.h5: row {which} .*event {which}.*nan is no number"):
        open_stored([path], CEBR)
    skipped: list[str] = []
    stored = open_stored([path], CEBR, skipped=skipped)
    assert stored.truth["event"].to_list() == [n for n in range(50) if n != which]
    assert len(skipped) == 1
    np.testing.assert_array_equal(
        stored.pixels(CEBR.views[0])[torch.tensor([0, 45])].numpy(), np.delete(images, which, 0)[[0, 45]]
    )
