"""Shares of batches: they cover each batch, in order, and hand out what one process would."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hitlens.datasets.resident import ResidentData, ResidentLoader
from hitlens.datasets.share import share_of

N = 50


@pytest.mark.parametrize("n_events", [0, 1, 7, 64])
@pytest.mark.parametrize("n_processes", [1, 2, 3, 8])
def test_the_shares_of_all_processes_are_the_batch(n_events: int, n_processes: int) -> None:
    whole = np.arange(n_events)
    shares = [share_of(n_events, (number, n_processes)) for number in range(n_processes)]
    np.testing.assert_array_equal(np.concatenate([whole[share.rows] for share in shares]), whole)
    sizes = [share.stop - share.start for share in shares]
    assert max(sizes) - min(sizes) <= 1
    assert {share.n_events for share in shares} == {n_events}


def resident() -> ResidentData:
    values = torch.arange(N)
    return ResidentData(
        {"anode": values[:, None, None].expand(N, 2, 2).to(torch.int16)},
        {"head": values[:, None].float()},
        {"head": values % 3 > 0},
    )


@pytest.mark.parametrize("drawn", [False, True])
@pytest.mark.parametrize("batch_size", [16, 64])
def test_several_loaders_hand_out_the_batches_of_one(drawn: bool, batch_size: int) -> None:
    chances = np.arange(1, N + 1) / np.arange(1, N + 1).sum() if drawn else None

    def batches(shard: tuple[int, int]) -> list:  # type: ignore[type-arg]
        rows = np.arange(N)
        keys = {"shuffle_seed": (3, 1), "drop_last": True, "chances": chances}
        return list(ResidentLoader(resident(), rows, batch_size, **keys, shard=shard))  # type: ignore[arg-type]

    wholes = batches((0, 1))
    parts = list(zip(*(batches((number, 3)) for number in range(3)), strict=True))
    assert len(wholes) == len(parts) == max(1, N // batch_size)
    for whole, shares in zip(wholes, parts, strict=True):
        assert whole.share is None
        assert [share.share.n_events for share in shares] == [len(whole)] * 3
        for name in ("rows", "weights"):
            assert torch.equal(torch.cat([getattr(share, name) for share in shares]), getattr(whole, name))
        assert torch.equal(torch.cat([share.images["anode"] for share in shares]), whole.images["anode"])
        assert torch.equal(torch.cat([share.targets["head"] for share in shares]), whole.targets["head"])
