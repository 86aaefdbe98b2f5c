"""Streamed batches: the events of the files, exactly once an epoch, in lanes that processes can share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hitlens.datasets import stored
from hitlens.datasets.mix import balanced_kinds, mixed_kinds
from hitlens.datasets.resident import Batch, ResidentData
from hitlens.datasets.stored import open_stored
from hitlens.datasets.streaming import OrderedLoader, StreamedData, StreamingLoader
from hitlens.detectors import get_detector
from hitlens.errors import DataError
from hitlens.events import Events, concat
from hitlens.io.native_writer import NativeWriter

CEBR, NOVA = get_detector("cebr"), get_detector("nova")
BATCH, POOL = 32, 256


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "BLOCK", 64)


def write(path: Path, events: Events) -> Path:
    with NativeWriter(path, events.detector) as writer:
        writer.write(events)
    return path


@pytest.fixture
def files(tmp_path: Path, make_cebr: Callable[..., Events]) -> tuple[list[Path], Events]:
    """One file of singles and one of doubles."""
    events = make_cebr(1500)
    parts = [events.filter(f"n_electrons = {n}") for n in (1, 2)]
    return [write(tmp_path / f"{n}.h5", part) for n, part in enumerate(parts)], concat(parts)


def streamed(files: list[Path], pool: int = POOL, mix: object = None) -> tuple[StreamedData, np.ndarray]:
    heads = (CEBR.task("multiplicity"),)
    events = open_stored(files, CEBR)
    rows = np.flatnonzero(np.random.default_rng(0).random(len(events)) < 0.6)
    kinds = None
    if mix == "balanced":
        kinds = balanced_kinds(events.truth[rows], heads)
    elif isinstance(mix, dict):
        kinds = mixed_kinds(events.truth[rows], mix)
    return StreamedData.from_events(events, CEBR, heads, shuffle_events=pool, kinds=kinds), rows


def batches_of(
    data: StreamedData, rows: np.ndarray, epoch: int = 0, shard: tuple[int, int] = (0, 1), draws: int = 0
) -> list[Batch]:
    return list(StreamingLoader(data, data.shuffle(rows, BATCH, draws, 5), epoch, shard=shard))


def same(one: Batch, other: Batch) -> bool:
    return all(
        torch.equal(mine[name], others[name])
        for mine, others in (
            (one.images, other.images),
            (one.targets, other.targets),
            (one.defined, other.defined),
            ({"rows": one.rows}, {"rows": other.rows}),
        )
        for name in mine
    )


def test_batches_are_those_of_resident_data_for_the_same_events(files: tuple[list[Path], Events]) -> None:
    data, rows = streamed(files[0])
    resident = ResidentData.from_events(files[1], CEBR, (CEBR.task("multiplicity"),))
    for batch in batches_of(data, rows):
        assert same(batch, resident.take(batch.rows))


def test_every_training_event_comes_once_and_classes_mix(files: tuple[list[Path], Events]) -> None:
    data, rows = streamed(files[0])
    batches = batches_of(data, rows)
    shown = torch.cat([batch.rows for batch in batches]).numpy()
    assert len(batches) == len(rows) // BATCH
    assert len(np.unique(shown)) == len(shown) == len(batches) * BATCH
    assert np.isin(shown, rows).all()
    for batch in batches:
        assert 0.1 < batch.targets["multiplicity"].mean() < 0.9


def test_sparse_views_are_streamed_as_well(tmp_path: Path, make_nova: Callable[..., Events]) -> None:
    events = make_nova(300)
    heads = (NOVA.task("flavour") if "flavour" in {t.name for t in NOVA.tasks} else NOVA.tasks[0],)
    data = StreamedData.from_events(
        open_stored([write(tmp_path / "n.h5", events)], NOVA), NOVA, heads, shuffle_events=128
    )
    resident = ResidentData.from_events(events, NOVA, heads)
    rows = np.arange(0, 300, 2)
    seen = 0
    for batch in batches_of(data, rows):
        assert same(batch, resident.take(batch.rows))
        seen += len(batch)
    assert seen == 128


@pytest.mark.parametrize("world", [2, 4, 8])
def test_the_shards_are_the_whole_batches_in_order(files: tuple[list[Path], Events], world: int) -> None:
    data, rows = streamed(files[0])
    whole = batches_of(data, rows, epoch=1)
    shards = [batches_of(data, rows, 1, (rank, world)) for rank in range(world)]
    for number, batch in enumerate(whole):
        parts = [shard[number] for shard in shards]
        assert torch.equal(torch.cat([part.rows for part in parts]), batch.rows)
        assert torch.equal(torch.cat([part.images["anode"] for part in parts]), batch.images["anode"])
        assert [part.share.rows.start for part in parts if part.share] == list(
            range(0, BATCH, BATCH // world)
        )


def test_a_process_reads_its_own_blocks_only(
    files: tuple[list[Path], Events], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, rows = streamed(files[0])
    read: list[int] = []
    original = stored.FileReader.images

    def images(self: stored.FileReader, rows: np.ndarray, views: list[str]) -> object:
        read.extend(rows.tolist())
        return original(self, rows, views)

    monkeypatch.setattr(stored.FileReader, "images", images)
    mine = torch.cat([batch.rows for batch in batches_of(data, rows, 0, (1, 4))])
    assert sorted(read) == sorted(data.events.rows[mine].tolist())


@pytest.mark.parametrize("start", [0, 1, 7, 20])
def test_a_loader_goes_on_at_any_batch(files: tuple[list[Path], Events], start: int) -> None:
    data, rows = streamed(files[0])
    whole = batches_of(data, rows)
    loader = StreamingLoader(data, data.shuffle(rows, BATCH, 0, 5), 0)
    loader.load_state_dict({"n_batches": start})
    rest = list(loader)
    assert len(rest) == len(whole) - start
    assert all(same(one, other) for one, other in zip(rest, whole[start:], strict=True))
    assert loader.state_dict() == {"n_batches": len(whole)}


@pytest.mark.parametrize(
    ("mix", "share"),
    [("balanced", 0.5), ({"n_electrons = 1": 0.2, "n_electrons = 2": 0.8}, 0.8), ({"n_electrons = 2": 1}, 1)],
)
def test_mixes_have_exact_shares(files: tuple[list[Path], Events], mix: object, share: float) -> None:
    data, rows = streamed(files[0], mix=mix)
    batches = batches_of(data, rows, draws=1280)
    doubles = sum(int(batch.targets["multiplicity"].sum()) for batch in batches)
    assert sum(map(len, batches)) == 1280
    assert doubles == round(share * 1280)
    counts = np.bincount(torch.cat([batch.rows for batch in batches]).numpy())
    shown = counts[counts > 0]
    assert shown.max() - shown.min() <= 2


def test_files_are_kinds_by_the_truth_column_file(
    files: tuple[list[Path], Events], tmp_path: Path, make_cebr: Callable[..., Events]
) -> None:
    import polars as pl

    events = make_cebr(400)
    paths = [
        write(
            tmp_path / f"{name}.h5",
            Events(events.images, events.truth.with_columns(file=pl.lit(f"{name}.h5")), "cebr"),
        )
        for name in ("signal", "other")
    ]
    data, rows = streamed(paths, mix={"file = 'signal.h5'": 0.75, "file = 'other.h5'": 0.25})
    shown = torch.cat([batch.rows for batch in batches_of(data, rows)]).numpy()
    assert (shown < 400).mean() == 0.75


def test_events_in_order_for_the_validation(files: tuple[list[Path], Events]) -> None:
    data, rows = streamed(files[0])
    resident = ResidentData.from_events(files[1], CEBR, (CEBR.task("multiplicity"),))
    loader = OrderedLoader(data, rows, 50)
    batches = list(loader)
    assert len(batches) == len(loader)
    assert np.array_equal(torch.cat([batch.rows for batch in batches]).numpy(), rows)
    assert all(same(batch, resident.take(batch.rows)) for batch in batches)


def test_a_file_that_goes_in_the_middle_of_an_epoch_is_one_clear_error(
    files: tuple[list[Path], Events],
) -> None:
    data, rows = streamed(files[0], pool=64)
    batches = iter(StreamingLoader(data, data.shuffle(rows, BATCH, 0, 5), 0))
    next(batches)
    files[0][0].unlink()
    with pytest.raises(DataError, match="is gone since the run began"):
        list(batches)
    assert not [thread for thread in threading.enumerate() if thread.name == "prefetch"]
