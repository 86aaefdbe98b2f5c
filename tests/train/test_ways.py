"""Ways to train several models: which are tried, and which is taken."""

from __future__ import annotations

import pytest

from hitlens.train.bundle import ONE_BY_ONE, Way
from hitlens.train.ways import Choice, candidate_ways, fastest


@pytest.mark.parametrize(
    ("n_models", "n_threads", "stackable", "ways"),
    [
        (1, 2, True, (ONE_BY_ONE,)),
        (2, 2, True, (ONE_BY_ONE, Way(2, 1), Way(1, 2))),
        (8, 2, True, (ONE_BY_ONE, Way(2, 1), Way(1, 8), Way(2, 4))),
        (3, 2, True, (ONE_BY_ONE, Way(2, 1), Way(1, 3))),
        (8, 1, True, (ONE_BY_ONE, Way(1, 8))),
        (8, 2, False, (ONE_BY_ONE, Way(2, 1))),
        (2, 16, False, (ONE_BY_ONE, Way(2, 1))),
    ],
)
def test_no_way_is_tried_twice_or_in_vain(
    n_models: int, n_threads: int, stackable: bool, ways: tuple[Way, ...]
) -> None:
    assert candidate_ways(n_models, n_threads, stackable=stackable) == ways
    assert all(way.n_models <= max(n_models, 1) for way in ways)


def test_another_way_must_gain_clearly() -> None:
    assert fastest({ONE_BY_ONE: 1.0, Way(2): 1.04, Way(1, 4): 0.7}) == ONE_BY_ONE
    assert fastest({ONE_BY_ONE: 1.0, Way(2): 1.2, Way(2, 2): 1.3}) == Way(2, 2)
    assert Choice(Way(2), {ONE_BY_ONE: 1.0, Way(2): 1.2}).ratio == 1.2
    assert Choice(Way(2), {}).ratio is None
