from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hitlens.detectors.nova.counterparts import (
    CHARGE_WINDOW,
    REAL_EVENTS,
    Counterparts,
    draw_pairs,
    find_counterparts,
)
from hitlens.detectors.nova.measures import measure
from hitlens.detectors.nova.simulate import NovaConfig
from hitlens.workflow.data import read_events


@pytest.fixture(scope="module")
def electrons() -> Counterparts:
    return find_counterparts(NovaConfig(), REAL_EVENTS[1])


def test_they_are_of_the_kind_and_charge(electrons: Counterparts) -> None:
    assert len(electrons.events) > 50
    assert set(electrons.events.truth["interaction"]) == {6}
    total = electrons.x.total + electrons.y.total
    assert np.abs(total / electrons.real.total - 1).max() < CHARGE_WINDOW
    assert (electrons.hits == electrons.x.hits + electrons.y.hits).all()
    assert (electrons.largest >= electrons.y.largest).all()
    assert ((electrons.high_percent >= 0) & (electrons.high_percent < 60)).all()


def test_without_real_events_only_simulated_ones_are_drawn(electrons: Counterparts) -> None:
    pictures = draw_pairs((electrons,), None)
    assert [picture.view for picture in pictures] == ["x", "y"]
    assert {picture.name for picture in pictures} == {pictures[0].name}
    assert pictures[0].name.startswith("simulated nue DIS, ")
    assert pictures[0].values.shape == (100, 80)
    hits = [int((picture.values > 0).sum()) for picture in pictures]
    assert np.log(np.array(hits) / electrons.real.hits) == pytest.approx([0, 0], abs=0.4)


@pytest.mark.real
def test_the_numbers_of_the_real_events(real_nova: Path) -> None:
    decoded = read_events(real_nova / "nova_thesis_pixelmaps_counts.npz", "nova")
    for real in REAL_EVENTS:
        one = decoded.filter(f"interaction = {real.interaction}")
        measured = measure(one)
        part = Counterparts(real, one, measured["x"], measured["y"])
        views = measured["x"], measured["y"]
        assert tuple(int(view.hits[0]) for view in views) == real.hits
        assert tuple(float(view.middle[0]) for view in views) == real.middle
        assert tuple(int(view.largest[0]) for view in views) == real.largest
        assert tuple(int(view.length[0]) for view in views) == real.length
        assert sum(int(view.total[0]) for view in views) == real.total
        assert int(part.strays[0]) == real.strays
        assert float(part.high_percent[0]) == pytest.approx(real.high_percent, abs=0.05)


@pytest.mark.real
def test_real_and_simulated_events_side_by_side(electrons: Counterparts, real_nova: Path) -> None:
    decoded = read_events(real_nova / "nova_thesis_pixelmaps_counts.npz", "nova")
    pictures = draw_pairs((electrons,), decoded)
    assert [picture.name.split(",")[0] for picture in pictures[::2]] == ["real nue DIS", "simulated nue DIS"]
    assert [picture.view for picture in pictures] == ["x", "y", "x", "y"]
    assert (pictures[0].values > 0).sum() == 126
