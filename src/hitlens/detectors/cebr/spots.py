"""Compiled Poisson likelihood fit of one or two light spots to a CeBr image.

A spot is (energy in MeV, x in px, y in px, depth in units of its usual spread). Its mean image is
`hitlens.simulate.light`'s, the one the simulator uses, with depth shift u = -scale * energy * depth. What is
minimised is half the Poisson deviance plus depth^2 / 2, the half-normal prior of the depth, by Fisher
scoring with Levenberg damping; parameters stay inside their bounds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hitlens.simulate.compile import compiled
from hitlens.simulate.light import Float64, LightConstants, gradient_work, spot_gradient

#: Parameters of a spot: energy, x, y, depth.
N_PARAMETERS = 4
#: Largest depth, in units of its usual spread.
_DEEPEST = 3.5
#: Smallest and largest energy a spot can take, MeV.
_ENERGY_LOW, _ENERGY_HIGH = 1e-4, 3.0
#: Smallest mean count of a pixel, keeps logarithms finite.
_SMALLEST = 1e-6
#: A fit has converged when a step gains less than this in half the deviance.
_TOLERANCE = 2e-3
_MOST_STEPS, _EXPLORING_STEPS, _MOST_TRIES = 40, 4, 8
#: Pairs a fit of two spots starts from. Of 1,200 simulated events the three together missed the deepest
#: minimum that seven starts followed to the end had found in none (by more than 1 in half the deviance).
_N_STARTS = 3


class SpotConstants(NamedTuple):
    """What the compiled fit needs to know of the detector.

    Attributes:
        light: constants of the light model.
        photons_per_mev: light yield.
        depth_scale: spread of the depth shift, px per MeV.
        low: smallest position, px.
        high: largest position, px.
        good: 1 for a pixel that is used, 0 for a dead one, shape (row, col).
        flat: 1 / variance of energy, x, y, depth before the fit; it only steadies the matrix.
        templates: share of light of a spot in the middle of each pixel, shape (pixel, pixel).
    """

    light: LightConstants
    photons_per_mev: float
    depth_scale: float
    low: float
    high: float
    good: Float64
    flat: Float64
    templates: Float64


class Workspace(NamedTuple):
    """Arrays one thread uses again and again.

    Attributes:
        corners: scratch space of the light model.
        share: share of light and its derivatives, shape (4, row, col).
        expected: mean counts, shape (pixel,).
        slopes: derivatives of the mean counts, shape (pixel, 2 * 4).
        gradient: of half the deviance, shape (2 * 4,).
        information: Fisher's matrix, shape (2 * 4, 2 * 4).
    """

    corners: Float64
    share: Float64
    expected: Float64
    slopes: Float64
    gradient: Float64
    information: Float64


@compiled
def _workspace(constants: SpotConstants) -> Workspace:
    rows, cols = constants.good.shape
    n = 2 * N_PARAMETERS
    return Workspace(
        gradient_work(constants.light),
        np.empty((4, rows, cols)),
        np.empty(rows * cols),
        np.empty((rows * cols, n)),
        np.empty(n),
        np.empty((n, n)),
    )


@compiled
def _predict(spots: Float64, constants: SpotConstants, work: Workspace) -> None:
    """Fill the mean counts and their derivatives."""
    rows, cols = constants.good.shape
    scale, depth_scale = constants.photons_per_mev, constants.depth_scale
    work.expected[:] = 0.0
    for k in range(spots.shape[0]):
        energy, x, y, depth = spots[k]
        spot_gradient(work.share, x, y, -depth_scale * energy * depth, constants.light, work.corners)
        first = N_PARAMETERS * k
        for i in range(rows):
            for j in range(cols):
                pixel = cols * i + j
                share, by_depth = work.share[0, i, j], -depth_scale * energy * work.share[3, i, j]
                work.expected[pixel] += scale * energy * share
                work.slopes[pixel, first] = scale * (share + depth * by_depth)
                work.slopes[pixel, first + 1] = scale * energy * work.share[1, i, j]
                work.slopes[pixel, first + 2] = scale * energy * work.share[2, i, j]
                work.slopes[pixel, first + 3] = scale * energy * by_depth


@compiled
def _half_deviance(counts: Float64, expected: Float64, good: Float64) -> float:
    total = 0.0
    for pixel in range(counts.size):
        if good[pixel] > 0.0:
            mean, n = max(expected[pixel], _SMALLEST), counts[pixel]
            total += mean - n
            if n > 0.0:
                total += n * np.log(n / mean)
    return total


@compiled
def _evaluate(counts: Float64, spots: Float64, constants: SpotConstants, work: Workspace) -> float:
    """Return the function to minimise and fill its gradient and Fisher's matrix."""
    n = N_PARAMETERS * spots.shape[0]
    good = constants.good.ravel()
    _predict(spots, constants, work)
    work.gradient[:] = 0.0
    work.information[:] = 0.0
    for pixel in range(counts.size):
        if good[pixel] == 0.0:
            continue
        mean = max(work.expected[pixel], _SMALLEST)
        excess, slope = 1.0 - counts[pixel] / mean, work.slopes[pixel]
        for a in range(n):
            work.gradient[a] += excess * slope[a]
            scaled = slope[a] / mean
            for b in range(a + 1):
                work.information[a, b] += scaled * slope[b]
    penalty = 0.0
    for k in range(spots.shape[0]):
        last = N_PARAMETERS * k + 3
        penalty += 0.5 * spots[k, 3] ** 2
        work.gradient[last] += spots[k, 3]
    for a in range(n):
        work.information[a, a] += constants.flat[a % N_PARAMETERS]
        for b in range(a):
            work.information[b, a] = work.information[a, b]
    return _half_deviance(counts, work.expected, good) + penalty


@compiled
def _lower(parameter: int, constants: SpotConstants) -> float:
    if parameter == 0:
        return _ENERGY_LOW
    return 0.0 if parameter == 3 else constants.low


@compiled
def _upper(parameter: int, constants: SpotConstants) -> float:
    if parameter == 0:
        return _ENERGY_HIGH
    return _DEEPEST if parameter == 3 else constants.high


@compiled
def _step(
    spots: Float64, gradient: Float64, information: Float64, damping: float, constants: SpotConstants
) -> Float64:
    """Return the spots after one damped step; parameters that press against a bound stay on it."""
    n = N_PARAMETERS * spots.shape[0]
    matrix = information[:n, :n].copy()
    downhill = -gradient[:n]
    for a in range(n):
        k, p = a // N_PARAMETERS, a % N_PARAMETERS
        at_low = spots[k, p] <= _lower(p, constants) and downhill[a] < 0.0
        at_high = spots[k, p] >= _upper(p, constants) and downhill[a] > 0.0
        if at_low or at_high:
            matrix[a, :] = 0.0
            matrix[:, a] = 0.0
            matrix[a, a] = 1.0
            downhill[a] = 0.0
        else:
            matrix[a, a] *= 1.0 + damping
    change = np.linalg.solve(matrix, downhill)
    trial = spots.copy()
    for a in range(n):
        k, p = a // N_PARAMETERS, a % N_PARAMETERS
        trial[k, p] = min(max(spots[k, p] + change[a], _lower(p, constants)), _upper(p, constants))
    return trial


@compiled
def _minimise(
    counts: Float64, spots: Float64, constants: SpotConstants, work: Workspace, most_steps: int
) -> float:
    """Move the spots to the minimum, in place; return it. The workspace holds the last trial's numbers."""
    damping = 1e-2
    value = _evaluate(counts, spots, constants, work)
    for _ in range(most_steps):
        gradient, information = work.gradient.copy(), work.information.copy()
        gain = -1.0
        for _ in range(_MOST_TRIES):
            trial = _step(spots, gradient, information, damping, constants)
            gain = value - _evaluate(counts, trial, constants, work)
            if gain >= 0.0:
                break
            damping *= 8.0
        if gain < 0.0:
            break
        spots[:] = trial
        value -= gain
        damping = max(damping / 8.0, 1e-6)
        if gain < _TOLERANCE:
            break
    return value


@compiled
def _brightest(image: Float64, good: Float64) -> int:
    best, found = -np.inf, 0
    for pixel in range(image.size):
        if good[pixel] > 0.0 and image[pixel] > best:
            best, found = image[pixel], pixel
    return found


@compiled
def _inside(position: float, constants: SpotConstants) -> float:
    return min(max(position, constants.low), constants.high)


@compiled
def _place(spot: Float64, energy: float, x: float, y: float, constants: SpotConstants) -> None:
    spot[0] = min(max(energy, 5e-3), _ENERGY_HIGH)
    spot[1], spot[2] = _inside(x, constants), _inside(y, constants)
    spot[3] = 0.6


@compiled
def _fit_one(counts: Float64, spots: Float64, constants: SpotConstants, work: Workspace) -> float:
    """Fit one spot, starting in the brightest pixel; spots has shape (1, 4)."""
    good = constants.good.ravel()
    cols = constants.good.shape[1]
    pixel = _brightest(counts, good)
    energy = counts.sum() / (0.93 * constants.photons_per_mev)
    _place(spots[0], energy, pixel // cols + 0.5, pixel % cols + 0.5, constants)
    return _minimise(counts, spots, constants, work, _MOST_STEPS)


@compiled
def _score_map(counts: Float64, constants: SpotConstants, work: Workspace) -> tuple[Float64, Float64]:
    """Return what a weak second spot in each pixel would gain over the fitted first, and its energy.

    The score test: the slope of the likelihood by the second spot's energy at 0, over its information once
    the first spot's parameters have been refitted.
    """
    n_pixels, n = counts.size, N_PARAMETERS
    good = constants.good.ravel()
    inverse = np.linalg.inv(work.information[:n, :n])
    weight = np.empty(n_pixels)
    excess = np.empty(n_pixels)
    for pixel in range(n_pixels):
        mean = max(work.expected[pixel], _SMALLEST)
        weight[pixel] = good[pixel] / mean
        excess[pixel] = good[pixel] * (counts[pixel] / mean - 1.0)
    scale = constants.photons_per_mev
    slope = scale * (constants.templates @ excess)
    own = scale**2 * ((constants.templates * constants.templates) @ weight)
    weighted = np.empty((n_pixels, n))
    for pixel in range(n_pixels):
        for a in range(n):
            weighted[pixel, a] = work.slopes[pixel, a] * weight[pixel]
    shared = scale * (constants.templates @ weighted)
    gains, energies = np.zeros(n_pixels), np.zeros(n_pixels)
    for pixel in range(n_pixels):
        left = own[pixel] - shared[pixel] @ inverse @ shared[pixel]
        if left > 1e-3 * own[pixel] and slope[pixel] > 0.0:
            gains[pixel] = slope[pixel] ** 2 / left
            energies[pixel] = slope[pixel] / left
    return gains, energies


@compiled
def _residual_start(counts: Float64, pair: Float64, constants: SpotConstants) -> None:
    """Place spots in the brightest pixel and in the most significant one of what that leaves."""
    good, cols = constants.good.ravel(), constants.good.shape[1]
    first = _brightest(counts, good)
    template = constants.templates[first]
    amplitude = counts[first] / template[first]
    left = np.empty(counts.size)
    for pixel in range(counts.size):
        mean = amplitude * template[pixel]
        left[pixel] = (counts[pixel] - mean) / np.sqrt(mean + 10.0)
    second = _brightest(left, good)
    rest = max(counts[second] - amplitude * template[second], 1.0) / constants.templates[second, second]
    scale = constants.photons_per_mev
    _place(pair[0], amplitude / scale, first // cols + 0.5, first % cols + 0.5, constants)
    _place(pair[1], rest / scale, second // cols + 0.5, second % cols + 0.5, constants)


@compiled
def _split_axis(counts: Float64, single: Float64, constants: SpotConstants, work: Workspace) -> float:
    """Return the angle along which the light is wider than one spot's, from residual second moments."""
    cols = constants.good.shape[1]
    difference, mixed = 0.0, 0.0
    for pixel in range(counts.size):
        dx, dy = pixel // cols + 0.5 - single[1], pixel % cols + 0.5 - single[2]
        r2 = dx * dx + dy * dy
        if r2 < 16.0 and constants.good[pixel // cols, pixel % cols] > 0.0:
            residual = (counts[pixel] - work.expected[pixel]) / (1.0 + r2)
            difference += residual * (dx * dx - dy * dy)
            mixed += residual * 2.0 * dx * dy
    return 0.5 * np.arctan2(mixed, difference)


@compiled
def _starts(counts: Float64, single: Float64, constants: SpotConstants, work: Workspace) -> Float64:
    """Return pairs to start from, shape (start, 2, 4); the workspace holds the fit of one spot.

    The brightest pixel and the residual; the fitted spot and where a second one gains most; two halves
    along the axis in which the light is too wide.
    """
    cols = constants.good.shape[1]
    pairs = np.empty((_N_STARTS, 2, N_PARAMETERS))
    _residual_start(counts, pairs[0], constants)
    gains, energies = _score_map(counts, constants, work)
    best = int(np.argmax(gains))
    energy, x, y = single[0], single[1], single[2]
    second = min(max(energies[best], 0.02 * energy), 0.5 * energy)
    _place(pairs[1, 0], energy - second, x, y, constants)
    _place(pairs[1, 1], second, best // cols + 0.5, best % cols + 0.5, constants)
    axis = _split_axis(counts, single, constants, work)
    dx, dy = 0.5 * np.cos(axis), 0.5 * np.sin(axis)
    _place(pairs[2, 0], 0.5 * energy, x + dx, y + dy, constants)
    _place(pairs[2, 1], 0.5 * energy, x - dx, y - dy, constants)
    return pairs


@compiled
def _fit_two(
    counts: Float64, single: Float64, spots: Float64, constants: SpotConstants, work: Workspace
) -> float:
    """Fit two spots from several starts: a few steps each, then all but the worst to the end."""
    pairs = _starts(counts, single, constants, work)
    values = np.empty(_N_STARTS)
    for k in range(_N_STARTS):
        values[k] = _minimise(counts, pairs[k], constants, work, _EXPLORING_STEPS)
    worst = int(np.argmax(values))
    best = float(np.inf)
    for k in range(_N_STARTS):
        if k == worst:
            continue
        value = _minimise(counts, pairs[k], constants, work, _MOST_STEPS)
        if value < best:
            best = value
            spots[:] = pairs[k]
    return best


@compiled
def _summarise(
    counts: Float64, spots: Float64, constants: SpotConstants, work: Workspace, errors: Float64
) -> tuple[float, float, float]:
    """Return deviance, minimum and log determinant of the information; fill the errors, shape (spot, 4)."""
    n = N_PARAMETERS * spots.shape[0]
    minimum = _evaluate(counts, spots, constants, work)
    deviance = 2.0 * _half_deviance(counts, work.expected, constants.good.ravel())
    information = work.information[:n, :n].copy()
    covariance = np.linalg.inv(information)
    for a in range(n):
        errors[a // N_PARAMETERS, a % N_PARAMETERS] = np.sqrt(max(covariance[a, a], 0.0))
    return deviance, minimum, float(np.linalg.slogdet(information)[1])


@compiled
def fit_images(
    images: Float64,
    constants: SpotConstants,
    n_spots: int,
    spots: Float64,
    errors: Float64,
    numbers: Float64,
    expected: Float64,
) -> None:
    """Fit every image with one spot or with two, in place.

    Args:
        images: photon counts, shape (event, row, col).
        constants: of the detector.
        n_spots: 1 or 2; the second needs the result of the first.
        spots: fitted spots, shape (event, 1 + 2, 4): the single's, then the pair's.
        errors: their standard errors from Fisher's matrix, same shape.
        numbers: deviance, minimum and log determinant, shape (event, 2, 3).
        expected: fitted mean counts, shape (event, 2, row, col), or no events to leave them out.
    """
    work = _workspace(constants)
    for event in range(images.shape[0]):
        counts = images[event].ravel()
        fitted = np.empty((1, N_PARAMETERS))
        _fit_one(counts, fitted, constants, work)
        spots[event, :1] = fitted
        numbers[event, 0] = _summarise(counts, fitted, constants, work, errors[event, :1])
        if expected.shape[0]:
            expected[event, 0] = work.expected.reshape(constants.good.shape)
        if n_spots == 2:
            pair = np.empty((2, N_PARAMETERS))
            _fit_two(counts, fitted[0], pair, constants, work)
            spots[event, 1:] = pair
            numbers[event, 1] = _summarise(counts, pair, constants, work, errors[event, 1:])
            if expected.shape[0]:
                expected[event, 1] = work.expected.reshape(constants.good.shape)
