from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hitlens.simulate.deposits import (
    N_WAITING,
    add_spot,
    isotropic,
    new_record,
    push,
    turned,
    with_room,
)


def test_a_record_grows_and_keeps_what_it_holds() -> None:
    record = new_record(2)
    for k in range(5):
        record = with_room(record, 1)
        add_spot(record, k, k + 0.25, 2.0, 3.0, 10.0 * k)
    assert record.sizes[0] == 5
    assert record.owner[:5].tolist() == [0, 1, 2, 3, 4]
    assert record.spots[:5, 0].tolist() == [0.25, 1.25, 2.25, 3.25, 4.25]
    assert record.spots[4].tolist() == [4.25, 2.0, 3.0, 40.0]


def test_a_full_queue_refuses() -> None:
    record = new_record(1)
    added = [push(record, 3, (1.0, 2.0, 3.0), (0.0, 0.0, 1.0), 5.0) for _ in range(N_WAITING + 2)]
    assert added == [True] * N_WAITING + [False] * 2
    assert record.waiting[-1].tolist() == [3, 1, 2, 3, 0, 0, 1, 5]


@given(
    cosine=st.floats(-1, 1),
    azimuth=st.floats(-4, 4),
    polar=st.floats(-1, 1),
    phi=st.floats(0, 6.3),
)
def test_turned_directions(cosine: float, azimuth: float, polar: float, phi: float) -> None:
    across = np.sqrt(1 - polar**2)
    way = (float(across * np.cos(phi)), float(across * np.sin(phi)), polar)
    new = turned(way, cosine, float(np.sqrt(1 - cosine**2)), azimuth)
    assert np.dot(new, new) == pytest.approx(1, abs=1e-6)
    assert np.dot(way, new) == pytest.approx(cosine, abs=2e-6)


def test_isotropic_directions() -> None:
    rng = np.random.default_rng(1)
    ways = np.array([isotropic(rng) for _ in range(20_000)])
    np.testing.assert_allclose((ways**2).sum(axis=1), 1)
    np.testing.assert_allclose(ways.mean(axis=0), 0, atol=0.02)
    np.testing.assert_allclose((ways**2).mean(axis=0), 1 / 3, atol=0.01)
