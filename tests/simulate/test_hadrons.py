from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from hitlens.simulate.deposits import new_record
from hitlens.simulate.hadrons import (
    Cascade,
    cascade_constants,
    decay_kaon_at_rest,
    decay_neutral_pion,
    interact,
    move_neutral_hadron,
)
from hitlens.simulate.matter import (
    KAON,
    MASSES_MEV,
    MUON,
    NEUTRAL_PION,
    NEUTRON,
    PION,
    PROTON,
    Matter,
    constants,
)

ALONG = (0.0, 0.0, 1.0)
HERE = (0.0, 0.0, 0.0)


def secondaries(kind: int, kinetic: float, n: int, **settings: float) -> list[NDArray[np.float64]]:
    """Return what waits after each of n interactions: kind, place, direction, kinetic energy."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(n):
        record = new_record(10)
        interact(kind, HERE, ALONG, kinetic, 0, cascade_constants(Cascade(**settings)), record, rng)
        found.append(record.waiting[: record.sizes[1]].copy())
    return found


@pytest.mark.parametrize("kinetic", [1.0, 300.0, 20_000.0])
def test_neutral_pions_decay_as_they_must(kinetic: float) -> None:
    rng = np.random.default_rng(1)
    energies = []
    for _ in range(500):
        one, a, two, b = decay_neutral_pion(ALONG, kinetic, rng)
        total = a * np.array(one) + b * np.array(two)
        mass2 = (a + b) ** 2 - (total**2).sum()
        assert a + b == pytest.approx(kinetic + MASSES_MEV[NEUTRAL_PION])
        np.testing.assert_allclose(total[:2], 0, atol=1e-6 * (a + b))
        assert total[2] == pytest.approx(np.sqrt((a + b) ** 2 - 134.977**2), rel=1e-6)
        assert mass2 == pytest.approx(134.977**2, rel=1e-4)
        energies.append(a)
    momentum = np.sqrt(kinetic * (kinetic + 2 * 134.977))
    low = (kinetic + 134.977 - momentum) / 2
    assert stats.kstest(energies, stats.uniform(low, momentum).cdf).pvalue > 1e-3


@pytest.mark.parametrize("kind", [PION, PROTON, NEUTRON, KAON])
@pytest.mark.parametrize("kinetic", [100.0, 800.0, 5000.0])
def test_interactions_make_no_energy(kind: int, kinetic: float) -> None:
    for waiting in secondaries(kind, kinetic, 300):
        kinds, energy = waiting[:, 0].astype(int), waiting[:, 7].copy()
        # A pion made costs its mass; the leading particle keeps that it had, an absorbed pion gives it.
        made = np.isin(kinds, (PION, NEUTRAL_PION))
        available = kinetic
        if kind == PION:
            available += 2 * 139.57 if made.any() else 139.57
        energy[made] += 134.9
        assert energy.sum() <= available + 1e-6
        assert (waiting[:, 7] >= 0).all()
        np.testing.assert_allclose((waiting[:, 4:7] ** 2).sum(axis=1), 1)


def test_charge_exchange_and_absorption() -> None:
    found = secondaries(PION, 250.0, 4000, charge_exchange=0.12, absorption=0.3)
    kinds = [set(waiting[:, 0].astype(int)) for waiting in found]
    exchanged = np.mean([NEUTRAL_PION in k for k in kinds])
    absorbed = np.mean([not k & {PION, NEUTRAL_PION} for k in kinds])
    assert exchanged == pytest.approx(0.12, abs=0.02)
    assert absorbed == pytest.approx(0.30, abs=0.025)


def test_fast_hadrons_make_pions_and_slow_ones_do_not() -> None:
    fast = Counter(np.concatenate([w[:, 0] for w in secondaries(PROTON, 8000.0, 300)]).astype(int).tolist())
    slow = Counter(np.concatenate([w[:, 0] for w in secondaries(PROTON, 300.0, 300)]).astype(int).tolist())
    assert fast[PION] > 300
    assert fast[NEUTRAL_PION] > 100
    assert not slow[PION]


def test_share_of_protons() -> None:
    none = np.concatenate([w[:, 0] for w in secondaries(PION, 200.0, 500, proton_share=0.02, absorption=1.0)])
    most = np.concatenate([w[:, 0] for w in secondaries(PION, 200.0, 500, proton_share=0.95, absorption=1.0)])
    assert np.mean(none == PROTON) < 0.1
    assert np.mean(most == PROTON) > 0.85


def test_half_of_the_slow_neutrons_are_unseen() -> None:
    rng, cascade = np.random.default_rng(1), cascade_constants(Cascade())
    seen, ways, light = 0, [], []
    for _ in range(2000):
        record = new_record(5)
        start = np.array([0, 0, 0, 0, 0.6, 0.8, 30.0])
        move_neutral_hadron(NEUTRON, start, 0, constants(Matter()), cascade, record, rng)
        seen += int(record.sizes[0])
        if record.sizes[0]:
            ways.append(float(np.linalg.norm(record.spots[0, :3])))
            light.append(float(record.spots[0, 3]))
    assert seen / 2000 == pytest.approx(0.5, abs=0.04)
    assert 45 < max(ways) <= 50
    assert min(light) >= 2
    assert max(light) <= 20


def test_fast_neutrons_interact_after_80_cm() -> None:
    rng, cascade = np.random.default_rng(1), cascade_constants(Cascade())
    places = []
    for _ in range(2000):
        record = new_record(5)
        start = np.array([0, 0, 0, 0, 0, 1.0, 900.0])
        move_neutral_hadron(NEUTRON, start, 0, constants(Matter()), cascade, record, rng)
        assert record.sizes[1] > 0
        places.append(record.waiting[0, 3])
    assert np.mean(places) == pytest.approx(80, rel=0.07)


def test_stopped_kaons() -> None:
    rng = np.random.default_rng(1)
    firsts = []
    for _ in range(3000):
        record = new_record(5)
        decay_kaon_at_rest(HERE, record, rng)
        firsts.append(int(record.waiting[0, 0]))
    assert np.mean(np.array(firsts) == MUON) == pytest.approx(0.64, abs=0.03)
