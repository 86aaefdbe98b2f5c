"""Cross sections: the recipe's curves, neutral currents, drawing by share."""

from __future__ import annotations

import numpy as np
import pytest

from hitlens.detectors.nova.cross_sections import (
    NC_RATIO,
    CrossSectionConfig,
    Process,
    charged_current,
    draw_process,
    electron_elastic,
    neutral_current,
)

PLAIN = CrossSectionConfig(qe_scale=1, other_scale=1, nc_scale=1)


@pytest.mark.parametrize("energy", [1.5, 2.0, 5.0, 20.0, 100.0])
def test_curves_of_the_recipe(energy: float) -> None:
    values = charged_current(PLAIN, np.array([energy]))[:, 0]
    assert values.sum() == pytest.approx(0.68 * energy * (1 + 0.25 / energy**0.9))
    assert values[Process.QE] == pytest.approx(0.5 * (1 - np.exp(-energy / 0.45)))
    assert values[Process.RES] == pytest.approx(0.75 * (1 - np.exp(-(energy - 0.35) / 0.75)))
    assert values[Process.MEC] + values[Process.COHERENT] == pytest.approx(
        0.1 * (1 - np.exp(-energy / 0.8)) + 0.004 * energy
    )


def test_no_cross_section_is_negative_and_dis_has_a_threshold() -> None:
    values = charged_current(PLAIN, np.linspace(0.3, 102, 500))
    assert (values >= 0).all()
    assert (values.sum(axis=0) > 0).all()
    assert charged_current(PLAIN, np.array([1.2]))[Process.DIS] == 0


def test_neutral_over_charged_current() -> None:
    energy = np.array([2.0, 10.0])
    ratio = neutral_current(PLAIN, energy) / charged_current(PLAIN, energy)
    assert ratio == pytest.approx(np.repeat(np.array(NC_RATIO)[:, np.newaxis], 2, axis=1))
    half = neutral_current(PLAIN.model_copy(update={"nc_scale": 0.5}), energy)
    assert half == pytest.approx(0.5 * neutral_current(PLAIN, energy))


def test_electrons_are_rare_targets_and_electron_neutrinos_like_them_more() -> None:
    energy = np.array([10.0, 10.0])
    value = electron_elastic(PLAIN, energy, np.array([False, True]))
    assert value[0] / charged_current(PLAIN, energy)[:, 0].sum() == pytest.approx(1.3e-4, rel=0.05)
    assert value[1] / value[0] == pytest.approx(9.5 / 1.6, rel=0.05)


def test_drawing_follows_the_shares() -> None:
    shares = np.repeat(np.array([[1.0], [0.0], [3.0]]), 40_000, axis=1)
    drawn = np.bincount(draw_process(shares, np.random.default_rng(1)), minlength=3) / 40_000
    assert drawn == pytest.approx([0.25, 0.0, 0.75], abs=0.01)
