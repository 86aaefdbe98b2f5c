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
#: Photons below which an image is searched for the best place of a spot.
_DIM = 2000.0
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


class SpotResult(NamedTuple):
    """What fits of one number of spots to many images end with.

    Attributes:
        spots: energy, x, y, depth of each spot, shape (event, spot, 4).
        numbers: Poisson deviance, and the minimum of what was minimised, shape (event, 2).
        information: Fisher's matrix with what is known before the fit, shape (event, 4 spot, 4 spot).
        expected: fitted mean counts, shape (event, pixel), or (0, pixel) if they are not wanted.
    """

    spots: Float64
    numbers: Float64
    information: Float64
    expected: Float64


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
    matrix, downhill, free = np.empty((n, n)), np.empty((n, 1)), np.empty(n)
    for a in range(n):
        k, p = a // N_PARAMETERS, a % N_PARAMETERS
        at_low = spots[k, p] <= _lower(p, constants) and gradient[a] > 0.0
        at_high = spots[k, p] >= _upper(p, constants) and gradient[a] < 0.0
        free[a] = 0.0 if at_low or at_high else 1.0
        downhill[a, 0] = -gradient[a] * free[a]
    for a in range(n):
        for b in range(n):
            matrix[a, b] = information[a, b] * free[a] * free[b]
        matrix[a, a] += damping * matrix[a, a] + (1.0 - free[a])
    change = np.linalg.solve(matrix, downhill)
    trial = np.empty((spots.shape[0], N_PARAMETERS))
    for a in range(n):
        k, p = a // N_PARAMETERS, a % N_PARAMETERS
        trial[k, p] = min(max(spots[k, p] + change[a, 0], _lower(p, constants)), _upper(p, constants))
    return trial


@compiled
def _copy(source: Float64, target: Float64) -> None:
    for k in range(source.shape[0]):
        for p in range(source.shape[1]):
            target[k, p] = source[k, p]


@compiled
def _minimise(
    counts: Float64, spots: Float64, constants: SpotConstants, work: Workspace, most_steps: int
) -> float:
    """Move the spots to the minimum, in place; return it. The workspace holds the last trial's numbers."""
    n = work.gradient.size
    gradient, information = np.empty(n), np.empty((n, n))
    trial = spots
    damping = 1e-2
    value = _evaluate(counts, spots, constants, work)
    for _ in range(most_steps):
        for a in range(n):
            gradient[a] = work.gradient[a]
        _copy(work.information, information)
        gain = -1.0
        for _ in range(_MOST_TRIES):
            trial = _step(spots, gradient, information, damping, constants)
            gain = value - _evaluate(counts, trial, constants, work)
            if gain >= 0.0:
                break
            damping *= 8.0
        if gain < 0.0:
            break
        _copy(trial, spots)
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
def _likeliest(counts: Float64, constants: SpotConstants) -> int:
    """Return the pixel from whose middle a spot gives this pattern with the highest likelihood."""
    good = constants.good.ravel()
    best, found = -1e300, 0
    for at in range(counts.size):
        template = constants.templates[at]
        along, seen = 0.0, 0.0
        for pixel in range(counts.size):
            if good[pixel] > 0.0:
                seen += template[pixel]
                if counts[pixel] > 0.0:
                    along += counts[pixel] * np.log(template[pixel])
        value = along - counts.sum() * np.log(seen)
        if value > best:
            best, found = value, at
    return found


@compiled
def _fit_one(counts: Float64, spots: Float64, constants: SpotConstants, work: Workspace) -> float:
    """Fit one spot, starting in the brightest or likeliest pixel; spots has shape (1, 4)."""
    good = constants.good.ravel()
    cols = constants.good.shape[1]
    # Of few photons the brightest pixel may be anywhere.
    pixel = _likeliest(counts, constants) if counts.sum() < _DIM else _brightest(counts, good)
    energy = counts.sum() / (0.93 * constants.photons_per_mev)
    _place(spots[0], energy, pixel // cols + 0.5, pixel % cols + 0.5, constants)
    return _minimise(counts, spots, constants, work, _MOST_STEPS)


@compiled
def _overlaps(counts: Float64, constants: SpotConstants, work: Workspace) -> tuple[Float64, Float64, Float64]:
    """Return how a spot of 1 MeV in each pixel goes with the residual, with itself and with the fitted spot.

    Shapes (pixel,), (pixel,), (4, pixel): the slope of the likelihood by that spot's energy at 0, its Fisher
    information, and the information it shares with the four parameters of the fitted spot.
    """
    n_pixels = counts.size
    good, scale = constants.good.ravel(), constants.photons_per_mev
    slope, own, shared = np.empty(n_pixels), np.empty(n_pixels), np.empty((N_PARAMETERS, n_pixels))
    weight = np.empty(n_pixels)
    for pixel in range(n_pixels):
        weight[pixel] = scale * good[pixel] / max(work.expected[pixel], _SMALLEST)
    for at in range(n_pixels):
        template = constants.templates[at]
        along, square, s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for pixel in range(n_pixels):
            share, mean_slope = template[pixel] * weight[pixel], work.slopes[pixel]
            along += share * (counts[pixel] - work.expected[pixel])
            square += share * template[pixel]
            s0 += share * mean_slope[0]
            s1 += share * mean_slope[1]
            s2 += share * mean_slope[2]
            s3 += share * mean_slope[3]
        slope[at], own[at] = along, scale * square
        shared[0, at], shared[1, at], shared[2, at], shared[3, at] = s0, s1, s2, s3
    return slope, own, shared


@compiled
def _best_second(counts: Float64, constants: SpotConstants, work: Workspace) -> tuple[int, float]:
    """Return the pixel in which a weak second spot gains most over the fitted first, and its energy.

    The score test: the slope of the likelihood by the second spot's energy at 0, squared, over its
    information once the first spot's parameters have been refitted.
    """
    slope, own, shared = _overlaps(counts, constants, work)
    information = np.empty((N_PARAMETERS, N_PARAMETERS))
    for a in range(N_PARAMETERS):
        for b in range(N_PARAMETERS):
            information[a, b] = work.information[a, b]
    absorbed = np.linalg.solve(information, shared)
    most, best, energy = -1.0, 0, 0.0
    for pixel in range(counts.size):
        left = own[pixel]
        for a in range(N_PARAMETERS):
            left -= shared[a, pixel] * absorbed[a, pixel]
        if left > 1e-3 * own[pixel] and slope[pixel] > 0.0 and slope[pixel] ** 2 / left > most:
            most, best, energy = slope[pixel] ** 2 / left, pixel, slope[pixel] / left
    return best, energy


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
    return 0.5 * float(np.arctan2(mixed, difference))


@compiled
def _starts(counts: Float64, single: Float64, constants: SpotConstants, work: Workspace) -> Float64:
    """Return pairs to start from, shape (start, 2, 4); the workspace holds the fit of one spot.

    The brightest pixel and the residual; the fitted spot and where a second one gains most; two halves
    along the axis in which the light is too wide.
    """
    cols = constants.good.shape[1]
    pairs = np.empty((_N_STARTS, 2, N_PARAMETERS))
    _residual_start(counts, pairs[0], constants)
    best, weak = _best_second(counts, constants, work)
    energy, x, y = single[0], single[1], single[2]
    second = min(max(weak, 0.02 * energy), 0.5 * energy)
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
    worst, best = np.argmax(values), 1e300
    for k in range(_N_STARTS):
        if k == worst:
            continue
        value = _minimise(counts, pairs[k], constants, work, _MOST_STEPS)
        if value < best:
            best = value
            _copy(pairs[k], spots)
    return best


@compiled
def _record(
    counts: Float64, spots: Float64, constants: SpotConstants, work: Workspace, result: SpotResult, event: int
) -> None:
    """Write down what the fit of one event ended with."""
    n = N_PARAMETERS * spots.shape[0]
    result.numbers[event, 1] = _evaluate(counts, spots, constants, work)
    result.numbers[event, 0] = 2.0 * _half_deviance(counts, work.expected, constants.good.ravel())
    _copy(spots, result.spots[event])
    for a in range(n):
        for b in range(n):
            result.information[event, a, b] = work.information[a, b]
    if result.expected.shape[0] > 0:
        for pixel in range(counts.size):
            result.expected[event, pixel] = work.expected[pixel]


@compiled
def fit_single_images(images: Float64, constants: SpotConstants, result: SpotResult) -> None:
    """Fit every image with one spot.

    Args:
        images: photon counts, shape (event, pixel).
        constants: of the detector.
        result: filled.
    """
    work = _workspace(constants)
    spots = np.empty((1, N_PARAMETERS))
    for event in range(images.shape[0]):
        counts = images[event]
        _fit_one(counts, spots, constants, work)
        _record(counts, spots, constants, work, result, event)


@compiled
def fit_double_images(
    images: Float64, constants: SpotConstants, singles: Float64, result: SpotResult
) -> None:
    """Fit every image with two spots.

    Args:
        images: photon counts, shape (event, pixel).
        constants: of the detector.
        singles: fits of one spot to these images, shape (event, 1, 4).
        result: filled.
    """
    work = _workspace(constants)
    spots = np.empty((2, N_PARAMETERS))
    for event in range(images.shape[0]):
        counts = images[event]
        _evaluate(counts, singles[event], constants, work)
        _fit_two(counts, singles[event, 0], spots, constants, work)
        _record(counts, spots, constants, work, result, event)
