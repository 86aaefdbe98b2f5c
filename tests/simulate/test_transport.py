from __future__ import annotations

import numpy as np
import pytest

from hitlens.simulate.deposits import Deposits
from hitlens.simulate.matter import (
    ELECTRON,
    KAON,
    MUON,
    NEUTRAL_KAON,
    NEUTRAL_PION,
    NEUTRON,
    PHOTON,
    PION,
    PROTON,
    Matter,
)
from hitlens.simulate.transport import Transport, kinds_of, propagate


def run(kind: int, kinetic: float, n: int = 200, seed: int = 1, **settings: object) -> Deposits:
    start = np.tile([0, 0, 0, 0, 0, 1.0, kinetic], (n, 1))
    box = np.tile([-1e4, 1e4] * 3, (n, 1))
    transport = Transport.model_validate(settings)
    return propagate(transport, np.full(n, kind), start, box, np.random.default_rng(seed))


def visible(deposits: Deposits, n: int = 200) -> float:
    return float(deposits.light_mev.sum(dtype=np.float64)) / n


def test_kinds_by_code() -> None:
    codes = np.array([-11, 13, 22, 111, -211, 321, 2112, -2212, 130, 310, 12, -16, 1000060120], np.int32)
    expected = [ELECTRON, MUON, PHOTON, NEUTRAL_PION, PION, KAON, NEUTRON, PROTON, NEUTRAL_KAON]
    assert kinds_of(codes).tolist() == [*expected, NEUTRAL_KAON, -1, -1, -1]
    assert kinds_of(np.empty(0, np.int32)).tolist() == []


@pytest.mark.parametrize(
    ("kind", "kinetic", "low", "high"),
    [
        (MUON, 1000.0, 0.97, 1.06),
        (ELECTRON, 1000.0, 0.97, 1.03),
        (PHOTON, 1000.0, 0.97, 1.03),
        (NEUTRAL_PION, 1000.0, 1.1, 1.17),  # its mass is seen too
        (PROTON, 100.0, 0.75, 0.95),
        (PION, 1000.0, 0.65, 0.95),
        (KAON, 1000.0, 0.7, 1.1),
        (NEUTRON, 1000.0, 0.35, 0.75),
        (NEUTRON, 30.0, 0.1, 0.3),
    ],
)
def test_share_of_the_energy_that_is_seen(kind: int, kinetic: float, low: float, high: float) -> None:
    assert low < visible(run(kind, kinetic)) / kinetic < high


def test_deposits_are_ordered_by_owner_and_neutrinos_leave_none() -> None:
    kind = np.array([MUON, -1, ELECTRON, NEUTRAL_PION])
    start = np.tile([0, 0, 0, 0, 0, 1.0, 300.0], (4, 1))
    box = np.tile([-1e4, 1e4] * 3, (4, 1))
    deposits = propagate(Transport(), kind, start, box, np.random.default_rng(1))
    assert (np.diff(deposits.owner) >= 0).all()
    assert set(deposits.owner.tolist()) == {0, 2, 3}


def test_nothing_to_propagate() -> None:
    nothing = propagate(
        Transport(), np.empty(0, np.int64), np.empty((0, 7)), np.empty((0, 6)), np.random.default_rng(1)
    )
    assert len(nothing.owner) == 0


def test_the_same_stream_gives_the_same_deposits() -> None:
    one, two, other = run(PION, 2000.0, 20), run(PION, 2000.0, 20), run(PION, 2000.0, 20, seed=2)
    assert one.light_mev.tobytes() == two.light_mev.tobytes()
    assert one.light_mev.tobytes() != other.light_mev.tobytes()


def test_large_records_lose_nothing() -> None:
    assert visible(run(ELECTRON, 50_000.0, 60), 60) == pytest.approx(50_000.0, rel=0.03)


def test_nothing_starts_outside_its_box() -> None:
    start = np.tile([200.0, 0, 0, 0, 0, 1.0, 300.0], (3, 1))
    box = np.tile([-100.0, 100.0] * 3, (3, 1))
    deposits = propagate(Transport(), np.array([MUON, PION, PHOTON]), start, box, np.random.default_rng(1))
    assert len(deposits.owner) == 0


def test_michel_electrons() -> None:
    clean = {"matter": {"birks_cm_per_mev": 0.0}}
    without, always = (
        visible(run(MUON, 200.0, 500, michel_fraction=fraction, **clean), 500) for fraction in (0.0, 1.0)
    )
    assert always - without == pytest.approx(35.2, rel=0.1)  # 2/3 of 52.8 MeV


def test_interaction_length() -> None:
    """Protons that interact are seen less: a longer way to the interaction shows."""
    short = visible(run(PROTON, 800.0, matter=Matter(interaction_length_cm=10.0)))
    long = visible(run(PROTON, 800.0, matter=Matter(interaction_length_cm=1e5)))
    assert long > 1.15 * short
