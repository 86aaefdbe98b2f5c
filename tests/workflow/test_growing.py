"""Views that grow in place: dense, sparse, and both."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from hitlens.errors import DataError
from hitlens.events import Events
from hitlens.workflow import growing
from hitlens.workflow.growing import GrowingArray, GrowingSparse, appended, join_blocks


def blocks(*lengths: int) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [(rng.integers(0, 9, (n, 4, 3)) * (rng.random((n, 4, 3)) < 0.3)).astype(np.uint8) for n in lengths]


def thin(images: np.ndarray) -> sparse.csr_array:
    return sparse.csr_array(images.reshape(len(images), 12))


@pytest.mark.parametrize("kinds", ["dddd", "ssss", "dsds", "sddd", "ddds"])
def test_all_orders_of_dense_and_sparse(kinds: str) -> None:
    parts = blocks(3, 0, 1, 5)
    grown = None
    for kind, part in zip(kinds, parts, strict=True):
        grown = appended(grown, part if kind == "d" else thin(part))
    assert grown is not None
    result = grown.array
    dense = result.toarray().reshape(-1, 4, 3) if sparse.issparse(result) else result
    np.testing.assert_array_equal(dense, np.concatenate(parts))
    assert sparse.issparse(result) == ("s" in kinds)


def test_blocks_are_copied_not_kept() -> None:
    (part,) = blocks(4)
    grown = GrowingArray()
    grown.append(part)
    part[:] = 99
    assert grown.array.max() < 9


def test_wider_numbers_widen_what_is_there() -> None:
    grown = GrowingArray()
    grown.append(np.full((1, 2), 7, np.uint8))
    grown.append(np.full((1, 2), 700, np.uint16))
    assert grown.array.tolist() == [[7, 7], [700, 700]]


def test_sizes_must_agree() -> None:
    for grown, other in ((GrowingArray(), np.zeros((1, 5))), (GrowingSparse(), thin(blocks(1)[0])[:, :5])):
        grown.append(blocks(2)[0] if isinstance(grown, GrowingArray) else thin(blocks(2)[0]))
        with pytest.raises(DataError, match="cannot be joined"):
            grown.append(other)


def test_row_ends_take_64_bits_only_where_the_hits_need_them(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = blocks(20, 20)
    for limit, bits in ((10**6, 32), (30, 64)):
        monkeypatch.setattr(growing, "_MOST_OF_32_BITS", limit)
        grown = GrowingSparse()
        for part in parts:
            grown.append(thin(part))
        assert grown.array.indptr.itemsize * 8 == bits
        np.testing.assert_array_equal(grown.array.toarray().reshape(-1, 4, 3), np.concatenate(parts))


def test_unordered_hits_are_not_said_to_be_in_order() -> None:
    scrambled = sparse.csr_array(
        (np.array([1, 2], np.uint8), np.array([5, 1]), np.array([0, 2])), shape=(1, 12)
    )
    grown = GrowingSparse()
    grown.append(scrambled)
    assert not grown.array.has_canonical_format


def test_blocks_of_different_things_are_not_joined() -> None:
    first, second = (Events({view: blocks(2)[0]}, pl.DataFrame({"event": [0, 1]}), "demo") for view in "ab")
    assert join_blocks([first, first]).truth["event"].to_list() == [0, 1, 0, 1]
    with pytest.raises(DataError, match=r"demo \['a'\], then demo \['b'\]"):
        join_blocks([first, second])
    with pytest.raises(DataError, match="no events"):
        join_blocks([])
