"""Energies of the neutrinos that interact: the narrow off-axis peak, a step near 15 GeV and a broad tail.

The spectrum is that of interactions, flux times cross section.

The recipe's constants (weights .345 .08 .575, a step at 13 +- 3 GeV, tail 2.5 + Gamma(1.5, 9.5)) put 900 of
7001 events into 16.4-24.7 GeV where 1016 are documented, and 540 leptons into 11.2-14.9 GeV for 652. A step
at 15.4 +- 2 GeV with more weight, and a tail that starts at 2 GeV, meet both histograms; the peak and
P(E > 3.5 GeV) stay.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hitlens.detector import Description

Float64 = NDArray[np.float64]


class FluxConfig(Description):
    """Three components and their weights, which need not add up to 1.

    Attributes:
        peak_weight: log-normal peak of the narrow band.
        peak_median_gev: its median.
        peak_sigma: its width in ln E.
        bump_weight: normal component.
        bump_mean_gev: its mean.
        bump_sigma_gev: its standard deviation.
        tail_weight: gamma component.
        tail_start_gev: where it starts.
        tail_shape: its shape k.
        tail_scale_gev: its scale theta.
        nue_peak_weight: peak_weight for electron neutrinos, which decays of kaons make harder.
        lowest_gev: energies below are drawn anew.
        highest_gev: energies above are drawn anew.
        energy_scale: factor on every energy drawn.

    Examples:
        >>> energy = draw_energies(FluxConfig(), 10_000, np.random.default_rng(1))
        >>> bool(np.isclose(energy[energy < 3.5].mean(), 2.1, atol=0.1))
        True
    """

    peak_weight: float = Field(default=0.345, ge=0)
    peak_median_gev: float = Field(default=2.0, gt=0)
    peak_sigma: float = Field(default=0.23, gt=0)
    bump_weight: float = Field(default=0.145, ge=0)
    bump_mean_gev: float = Field(default=15.4, gt=0)
    bump_sigma_gev: float = Field(default=2.0, gt=0)
    tail_weight: float = Field(default=0.51, ge=0)
    tail_start_gev: float = Field(default=2.0, gt=0)
    tail_shape: float = Field(default=1.4, gt=0)
    tail_scale_gev: float = Field(default=10.8, gt=0)
    nue_peak_weight: float = Field(default=0.12, ge=0)
    lowest_gev: float = Field(default=0.3, ge=0.25)
    highest_gev: float = Field(default=102.0, gt=5)
    energy_scale: float = Field(default=1.0, gt=0.5, lt=2)


def draw_energies(
    config: FluxConfig, n: int, rng: np.random.Generator, flavour: Literal["numu", "nue"] = "numu"
) -> Float64:
    """Return energies of interacting neutrinos, GeV, shape (n,).

    Args:
        config: the spectrum.
        n: how many.
        rng: random stream.
        flavour: electron neutrinos have a smaller peak.
    """
    peak = config.peak_weight if flavour == "numu" else config.nue_peak_weight
    weights = np.array([peak, config.bump_weight, config.tail_weight])
    energy = np.empty(n)
    todo = np.arange(n)
    while len(todo):
        component = np.searchsorted(np.cumsum(weights)[:-1], rng.random(len(todo)) * weights.sum())
        trial = np.choose(
            component,
            [
                config.peak_median_gev * np.exp(config.peak_sigma * rng.standard_normal(len(todo))),
                rng.normal(config.bump_mean_gev, config.bump_sigma_gev, len(todo)),
                config.tail_start_gev + rng.gamma(config.tail_shape, config.tail_scale_gev, len(todo)),
            ],
        )
        trial *= config.energy_scale
        good = (trial >= config.lowest_gev) & (trial <= config.highest_gev)
        energy[todo[good]] = trial[good]
        todo = todo[~good]
    return energy
