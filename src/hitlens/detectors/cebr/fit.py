"""The likelihood fit: one electron or two in a CeBr image, without learning.

Each image is fitted twice by Poisson likelihood, with one spot and with two, using the mean image and the
numbers of the simulator's response (`hitlens.detectors.cebr.spots`). Which of the two happened is decided by
their posterior odds, for which both ways to an image of two spots are counted: a second electron, of any
energy and anywhere, or a bremsstrahlung photon of the first one absorbed elsewhere, which is soft and near.
The volume of parameters that fit comes from Fisher's matrix (Laplace's method). Nothing is tuned on
simulated events.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, log_ndtr

from hitlens.detector import Task
from hitlens.detectors.cebr import description
from hitlens.detectors.cebr.response import Bremsstrahlung, SimulationConfig
from hitlens.detectors.cebr.spots import (
    N_PARAMETERS,
    SpotConstants,
    SpotResult,
    fit_double_images,
    fit_single_images,
)
from hitlens.errors import DataError, NotFoundError
from hitlens.events import Events
from hitlens.simulate.light import Float64, spot_image

#: A double where the score is at or above this: the odds are even.
DOUBLE_THRESHOLD = 0.5
#: Closer than this the distance of two deposits is not measured, px.
_NEAREST = 0.05
#: Nodes of the integral over the depth of a photon's absorption.
_ANGLES = 8
#: Deviance per degree of freedom of the response on the real single events it was fitted to: no image is
#: trusted to be described better than that.
_MISFIT = 1.17
_N_PIXELS = description.ANODE.shape[0] * description.ANODE.shape[1]
#: Events one thread fits in one go.
_BLOCK_EVENTS = 128
#: Positions may be fitted this far outside the active area, px.
_MARGIN = 0.2
#: Depth shift of a middling electron, in units of its spread and of the highest energy.
_TYPICAL_DEPTH = 0.3
#: The energy of a photon is only measured: its spectrum is taken to start at this part of the threshold.
_SOFT_THRESHOLD = 0.8


@dataclass(frozen=True, eq=False)
class SpotFit:
    """The fit of one number of electrons to many images.

    Errors hold the photon statistics of the image and the spread of light yield and position from electron to
    electron, so that pulls against the truth have width 1.

    Attributes:
        energy_mev: fitted energies, the highest first, shape (event, electron).
        position_px: fitted x and y, shape (event, electron, 2).
        energy_error_mev: standard errors, shape (event, electron).
        position_error_px: standard errors, shape (event, electron, 2).
        depth_shift_px: fitted depth shifts u, shape (event, electron).
        deviance: Poisson deviance of the image, shape (event,).
        dof: pixels used less the fitted parameters.
        minimum: half the deviance plus the penalty of the depth shifts, shape (event,).
        log_volume: logarithm of the volume of parameters that fit, shape (event,).
        expected: fitted mean images, shape (event, 16, 16), or None if they were not kept.
    """

    energy_mev: Float64
    position_px: Float64
    energy_error_mev: Float64
    position_error_px: Float64
    depth_shift_px: Float64
    deviance: Float64
    dof: int
    minimum: Float64
    log_volume: Float64
    expected: Float64 | None


@dataclass(frozen=True, eq=False)
class FitResult:
    """Both hypotheses for many images and the odds between them.

    Attributes:
        single: the fit of one electron.
        double: the fit of two electrons.
        delta_deviance: by how much two electrons fit better, shape (event,).
        log_odds: logarithm of the posterior odds of a double, shape (event,).
        score: posterior probability of a double, shape (event,); compare with `DOUBLE_THRESHOLD`.
    """

    single: SpotFit
    double: SpotFit
    delta_deviance: Float64
    log_odds: Float64
    score: Float64


def fit_events(
    images: ArrayLike,
    config: SimulationConfig | None = None,
    *,
    workers: int | None = None,
    keep_expected: bool = False,
) -> FitResult:
    """Fit images with one electron and with two, and weigh the two against each other.

    Args:
        images: photon counts, shape (event, 16, 16).
        config: response of the detector, dead pixels and share of singles; None takes the shipped one.
        workers: threads; None takes one a core.
        keep_expected: whether to keep the fitted mean images.

    Raises:
        DataError: images of another shape, negative or not finite.

    Examples:
        >>> from hitlens.detectors.cebr.response import SimulationConfig
        >>> from hitlens.detectors.cebr.simulate import simulate_block
        >>> apart = SimulationConfig.model_validate({"sample": {"separation_px": [4, 8]}})
        >>> events = simulate_block(apart, 1, 0, 4)
        >>> result = fit_events(events.dense("anode"))
        >>> (1 + (result.score > DOUBLE_THRESHOLD)).tolist() == events.truth["n_electrons"].to_list()
        True
    """
    response = config or SimulationConfig.model_validate({})
    singles, doubles = _fit(images, response, (1, 2), workers, keep_expected)
    single, double = _spot_fit(singles, response), _spot_fit(doubles, response)
    log_odds = log_odds_of_double(single, double, response)
    return FitResult(single, double, single.deviance - double.deviance, log_odds, expit(log_odds))


def fit_singles(
    images: ArrayLike,
    config: SimulationConfig | None = None,
    *,
    workers: int | None = None,
    keep_expected: bool = False,
) -> SpotFit:
    """Fit images with one electron only, which takes a tenth of the time.

    Args:
        images: photon counts, shape (event, 16, 16).
        config: response of the detector and dead pixels; None takes the shipped one.
        workers: threads; None takes one a core.
        keep_expected: whether to keep the fitted mean images.

    Raises:
        DataError: images of another shape, negative or not finite.

    Examples:
        >>> from hitlens.detectors.cebr.response import SimulationConfig
        >>> from hitlens.detectors.cebr.simulate import simulate_block
        >>> config = SimulationConfig.model_validate({"sample": {"single_fraction": 1.0}})
        >>> events = simulate_block(config, 1, 0, 4)
        >>> found = fit_singles(events.dense("anode"))
        >>> bool(np.abs(found.position_px[:, 0, 0] - events.truth["x_1_px"].to_numpy()).max() < 0.2)
        True
    """
    response = config or SimulationConfig.model_validate({})
    return _spot_fit(_fit(images, response, (1,), workers, keep_expected)[0], response)


def log_odds_of_double(single: SpotFit, double: SpotFit, config: SimulationConfig) -> Float64:
    """Return the logarithm of the posterior odds of two electrons against one, shape (event,).

    With V the volume of parameters that fit, A the area and L the likelihood at the best fit,

        two electrons:         L_double V_double 2 / A^2            (the pair is unordered)
        one electron:          L_single V_single / A
        one and its photon:    L_double V_double / A * (density of such a photon; either spot may be it)

    each times the chance that no energy is above its range. The depth shifts' prior is in L and V. Deviances
    are divided by that of the two-spot fit per degree of freedom where it is above what the response reaches
    on real singles: an image that neither describes well does not decide between them.

    Args:
        single: fits of one electron.
        double: fits of two electrons to the same images.
        config: bremsstrahlung, ranges of energies and positions, share of singles.
    """
    sample = config.sample
    log_area = 2 * np.log(sample.position_px[1] - sample.position_px[0])
    first, second = double.energy_mev.T
    offset = double.position_px[:, 0] - double.position_px[:, 1]
    apart = np.hypot(offset[:, 0], offset[:, 1])
    photon = photon_density(config.bremsstrahlung, first, second, apart) + photon_density(
        config.bremsstrahlung, second, first, apart
    )
    misfit = np.maximum(_MISFIT, double.deviance / double.dof)
    fits_double = double.log_volume - double.minimum / misfit
    two = fits_double + np.log(2) - 2 * log_area
    two += _log_in_range(first, config) + _log_in_range(second, config)
    one = single.log_volume - single.minimum / misfit - log_area
    one += _log_in_range(single.energy_mev[:, 0], config)
    with np.errstate(divide="ignore"):  # no photon can be made: log(0) is meant
        one_and_photon = fits_double - log_area + np.log(photon) + _log_in_range(first + second, config)
        prior = np.log1p(-sample.single_fraction) - np.log(sample.single_fraction)
    odds: Float64 = prior + two - np.logaddexp(one, one_and_photon)
    return odds


def photon_density(
    config: Bremsstrahlung, electron_mev: Float64, photon_mev: Float64, distance_px: Float64
) -> Float64:
    """Return the density of bremsstrahlung photons absorbed in the crystal, per MeV and px^2.

    An electron that keeps `electron_mev` makes a photon of `photon_mev` in the middle of the crystal, which
    is absorbed at a distance seen from above: exp(-mu R) mu / (4 pi R^2), integrated over the depth.

    Args:
        config: spectrum, crystal and attenuation.
        electron_mev: energy the electron deposits itself, shape (event,).
        photon_mev: energy of the photon, shape (event,).
        distance_px: of the two deposits in the plane, shape (event,).
    """
    low = config.threshold_mev * _SOFT_THRESHOLD
    photon = np.maximum(photon_mev, low)
    spectrum = np.where(photon_mev > low, config.amplitude_per_mev * electron_mev / photon, 0.0)
    attenuation = config.attenuation_per_px(photon)
    half = config.thickness_px / 2
    distance = np.maximum(distance_px, _NEAREST)
    # With depth = distance tan(angle), dz / R^2 is d(angle) / distance: smooth, and few nodes do.
    nodes, weights = np.polynomial.legendre.leggauss(_ANGLES)
    widest = np.arctan(half / distance)[:, np.newaxis]
    path = (attenuation * distance)[:, np.newaxis] / np.cos(widest * nodes)
    over_depth = widest[:, 0] * (np.exp(-path) @ weights)
    density: Float64 = spectrum * attenuation / (4 * np.pi) * over_depth / distance
    return density


def predict(events: Events, task: Task) -> dict[str, NDArray[Any]]:
    """Return the fit's answer to a task, as `hitlens.detector.Baseline` wants it.

    Args:
        events: CeBr events.
        task: of multiplicity, energies or positions.

    Raises:
        NotFoundError: a task the fit does not solve.
        DataError: images that cannot be fitted.
    """
    images = events.dense(description.ANODE.name, description.ANODE.shape)
    if task.kind == "binary" and task.target == description.DOUBLE:
        return {task.name: fit_events(images).score}
    values: dict[str, NDArray[Any]] = {}
    if task.kind == "regression":
        values = _columns(fit_singles(images))
    elif task.kind == "set_regression":
        values = _columns(fit_events(images).double)
    missing = [column for column in task.target_columns if column not in values]
    if missing or not values:
        raise NotFoundError(f"The likelihood fit does not solve task '{task.name}'.")
    return {column: values[column] for column in task.target_columns}


def _fit(
    images: ArrayLike,
    config: SimulationConfig,
    hypotheses: tuple[int, ...],
    workers: int | None,
    keep_expected: bool,
) -> list[SpotResult]:
    """Return the result of each number of spots, 1 or 1 and 2."""
    counts = _checked(images)
    constants = _constants(config)
    results = [_empty_result(counts.shape, n_spots, keep_expected) for n_spots in hypotheses]

    def fit_block(start: int) -> None:
        part = slice(start, start + _BLOCK_EVENTS)
        block = np.ascontiguousarray(counts[part], dtype=np.float64)
        blocks = [SpotResult(*(array[part] for array in result)) for result in results]
        fit_single_images(block, constants, blocks[0])
        if len(blocks) > 1:
            fit_double_images(block, constants, blocks[0].spots, blocks[1])

    _run(fit_block, range(0, len(counts), _BLOCK_EVENTS), workers)
    return results


def _empty_result(shape: tuple[int, ...], n_spots: int, keep_expected: bool) -> SpotResult:
    n_events, n_pixels = shape
    n = n_spots * N_PARAMETERS
    return SpotResult(
        spots=np.zeros((n_events, n_spots, N_PARAMETERS)),
        numbers=np.zeros((n_events, 2)),
        information=np.zeros((n_events, n, n)),
        expected=np.zeros((n_events if keep_expected else 0, n_pixels)),
    )


def _run(work: Callable[[int], None], starts: range, workers: int | None) -> None:
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        for done in pool.map(work, starts):
            del done


def _checked(images: ArrayLike) -> NDArray[Any]:
    counts = np.asarray(images)
    if counts.ndim != 3 or counts.shape[1:] != description.ANODE.shape:
        raise DataError(f"images must have shape (event, 16, 16). Got {counts.shape}.")
    good = np.isfinite(counts).all(axis=(1, 2)) & (counts >= 0).all(axis=(1, 2))
    if not good.all():
        raise DataError(
            "Photon counts must be finite and not negative. "
            f"{int((~good).sum())} events are not, the first is event {int(np.argmin(good))}."
        )
    return counts.reshape(len(counts), _N_PIXELS)


def _constants(config: SimulationConfig) -> SpotConstants:
    light = config.effective_light.constants
    low, high = config.sample.position_px
    good = np.ones(description.ANODE.shape)
    for ix, iy in config.dead_pixels:
        good[ix, iy] = 0.0
    depth_scale = config.electron.depth_shift_px_per_mev
    rows, cols = good.shape
    centres = [(row + 0.5, col + 0.5) for row in range(rows) for col in range(cols)]
    flat_position = 12 / (high - low) ** 2
    return SpotConstants(
        light=light,
        photons_per_mev=config.electron.photons_per_mev * config.nuisance.light_yield_scale,
        depth_scale=depth_scale,
        low=low - _MARGIN,
        high=high + _MARGIN,
        good=good,
        flat=np.array([12.0, flat_position, flat_position, 1.0]),
        templates=np.array(
            [spot_image(x, y, -_TYPICAL_DEPTH * depth_scale, light).ravel() for x, y in centres]
        ),
    )


def _spot_fit(result: SpotResult, config: SimulationConfig) -> SpotFit:
    n_spots = result.spots.shape[1]
    variances = np.diagonal(np.linalg.inv(result.information), axis1=1, axis2=2)
    order = np.argsort(-result.spots[:, :, 0], axis=1, kind="stable")[:, :, np.newaxis]
    spots = np.take_along_axis(result.spots, order, axis=1)
    errors = np.sqrt(np.take_along_axis(variances.reshape(result.spots.shape), order, axis=1))
    deviance, minimum = result.numbers.T
    electron = config.electron
    energy, n_parameters = spots[..., 0], n_spots * N_PARAMETERS
    shift = electron.lateral_shift_px_per_mev * energy
    # Of the depth's half-normal prior, sqrt(2 / pi) for each spot, the rest is in the minimum.
    constant = n_parameters / 2 * np.log(2 * np.pi) + n_spots / 2 * np.log(2 / np.pi)
    return SpotFit(
        energy_mev=energy,
        position_px=spots[..., 1:3],
        energy_error_mev=np.hypot(errors[..., 0], electron.yield_spread * energy),
        position_error_px=np.hypot(errors[..., 1:3], shift[..., np.newaxis]),
        depth_shift_px=-electron.depth_shift_px_per_mev * energy * spots[..., 3],
        deviance=deviance,
        dof=_N_PIXELS - len(config.dead_pixels) - n_parameters,
        minimum=minimum,
        log_volume=constant - np.linalg.slogdet(result.information)[1] / 2,
        expected=result.expected.reshape(-1, *description.ANODE.shape) if len(result.expected) else None,
    )


def _log_in_range(energy: Float64, config: SimulationConfig) -> Float64:
    """Return the log of the chance that a true energy below the highest gives this much light."""
    spread = np.maximum(config.electron.yield_spread * energy, 1e-6)
    inside: Float64 = log_ndtr((config.sample.energy_1_mev[1] - energy) / spread)
    return inside


def _columns(fit: SpotFit) -> dict[str, NDArray[Any]]:
    values: dict[str, NDArray[Any]] = {}
    for k in range(fit.energy_mev.shape[1]):
        values[f"energy_{k + 1}_mev"] = fit.energy_mev[:, k]
        values[f"x_{k + 1}_px"] = fit.position_px[:, k, 0]
        values[f"y_{k + 1}_px"] = fit.position_px[:, k, 1]
    return values
