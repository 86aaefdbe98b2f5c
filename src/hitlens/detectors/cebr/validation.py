"""Simulated CeBr events beside the real ones: the numbers known of the real sample, and real events fitted.

The real values come from figures and outputs that the authors of the data published, and from 10,000 real
truth rows; where a definition had to be chosen, it is in the quantity's name. Tolerances are stated beside
each value: about 2.5 standard errors of both samples, or the precision at which a figure can be read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hitlens.detectors.cebr.description import ANODE, POSITION_HIGH_PX, POSITION_LOW_PX, SINGLE
from hitlens.detectors.cebr.fit import fit_singles
from hitlens.detectors.cebr.real_events import find_second_peaks, fit_real_events
from hitlens.detectors.cebr.response import SimulationConfig
from hitlens.errors import DataError
from hitlens.events import Events
from hitlens.simulate.comparison import Comparison, FittedEvent, PixelMap, Quantity, Spectrum
from hitlens.simulate.light import Float64

#: Statistical errors come from this many parts of the sample.
N_PARTS = 20
#: The real maximum is that of 200,000 events; that of a much smaller sample says nothing.
_MAXIMUM_EVENTS = (150_000, 250_000)

_WALLS = (
    "The response, whose shape is that of ten real events, loses more light at the walls than the real "
    "sample does: one reflectivity for all light is too simple. "
)
#: Why some quantities disagree, by name.
KNOWN = {
    "mean image, corner": _WALLS + "Corners are 6 % too dark.",
    "brightest pixel of doubles, edge over inner pixels": _WALLS
    + "Near a wall the outermost pixel is too seldom the brightest.",
    "singles with sum over energy above 54.3k per MeV": _WALLS
    + "The sum over energy depends on the position: its spread is 2.6 %, that of real events 2.0 %.",
    "singles with sum over energy above 55.5k per MeV": _WALLS + "See the value at 54.3k.",
    "correlation of energy and sum, singles": "Real singles scatter more about proportionality than light "
    "yield and lost photons make them; what else does is not known.",
}

HIGHEST = "highest pixel of 200,000 events"
_STATISTICS = "2.5 standard errors of both samples"

#: Thresholds of the spectra known of the real events, and the values there.
PLATEAU_EDGE = ((52_200, 53_100, 54_300, 55_500), (0.90, 0.73, 0.26, 0.04))
BRIGHTEST = ((4500, 5500, 6500, 7500), (22_300, 8_700, 1_900, 380))
LOSS = ((0.2, 0.3, 0.4), (0.71, 0.34, 0.16))


class Singles(NamedTuple):
    """What the comparison needs of single events.

    Attributes:
        energy_mev: true energy, shape (event,).
        total: photons of the image, shape (event,).
        brightest: photons of the brightest pixel, shape (event,).
    """

    energy_mev: Float64
    total: Float64
    brightest: Float64

    @property
    def yield_per_mev(self) -> Float64:
        """Photons per MeV of events above 0.5 MeV, where photon statistics matter little."""
        hard = self.energy_mev > 0.5
        ratio: Float64 = self.total[hard] / self.energy_mev[hard]
        return ratio

    @property
    def lost_mev(self) -> Float64:
        """True energy less that of the image at the middle yield."""
        lost: Float64 = self.energy_mev - self.total / np.median(self.yield_per_mev)
        return lost


class Sample(NamedTuple):
    """Events reduced to what the comparison needs.

    Attributes:
        singles: of the single events.
        mean: mean image, by number of electrons, shape (2, 16, 16).
        sd: standard deviation of each pixel, by number of electrons, shape (2, 16, 16).
        mix: mean image of all events, shape (16, 16).
        brightest_map: how often each pixel is the brightest of a double, shape (16, 16).
        largest: highest pixel of all.
        separation_px: of the doubles, shape (event,).
        truth: energies, positions by column name, doubles' second ones included.
        ordered: doubles with energy 1 above energy 2, shape (event,).
        single_fraction: singles among all events.
    """

    singles: Singles
    mean: Float64
    sd: Float64
    mix: Float64
    brightest_map: Float64
    largest: float
    separation_px: Float64
    truth: dict[str, Float64]
    ordered: NDArray[np.bool_]
    single_fraction: float


def reduce_events(events: Events) -> Sample:
    """Return what the comparison needs of events.

    Raises:
        DataError: events without truth, or without singles or doubles.
    """
    if "n_electrons" not in events.truth.columns:
        raise DataError("A comparison needs events with truth. These have no column 'n_electrons'.")
    images, double = events.dense(ANODE.name, ANODE.shape), events.truth["n_electrons"].to_numpy() == 2
    if double.all() or not double.any():
        raise DataError("A comparison needs singles and doubles. Simulate the mix.")
    truth = {name: events.truth[name].to_numpy() for name in events.truth.columns[3:]}
    truth |= {name: values[double] for name, values in truth.items() if "_2_" in name}
    moments = [_moments(images[mask]) for mask in (~double, double)]
    apart = np.hypot(truth["x_1_px"][double] - truth["x_2_px"], truth["y_1_px"][double] - truth["y_2_px"])
    single_images = images[~double].reshape(-1, images[0].size)
    brightest = np.bincount(
        images[double].reshape(-1, images[0].size).argmax(axis=1), minlength=images[0].size
    )
    return Sample(
        singles=Singles(
            truth["energy_1_mev"][~double],
            single_images.sum(axis=1, dtype=np.float64),
            single_images.max(axis=1).astype(np.float64),
        ),
        mean=np.stack([mean for mean, _ in moments]),
        sd=np.stack([sd for _, sd in moments]),
        mix=moments[0][0] * np.mean(~double) + moments[1][0] * np.mean(double),
        brightest_map=brightest.reshape(ANODE.shape).astype(np.float64),
        largest=float(images.max()),
        separation_px=apart,
        truth=truth,
        ordered=truth["energy_1_mev"][double] > truth["energy_2_mev"],
        single_fraction=float(np.mean(~double)),
    )


def _moments(images: NDArray[np.uint16]) -> tuple[Float64, Float64]:
    """Return mean and standard deviation of each pixel, a slice at a time to save memory."""
    total, square = np.zeros(images.shape[1:]), np.zeros(images.shape[1:])
    for start in range(0, len(images), 8192):
        part = images[start : start + 8192].astype(np.float64)
        total += part.sum(axis=0)
        square += np.square(part, out=part).sum(axis=0)
    mean = total / len(images)
    return mean, np.sqrt(np.maximum(square / len(images) - mean**2, 0.0))


def edge_over_inner(image: Float64) -> float:
    """Return the mean of the border pixels without the corners over that of all inner pixels.

    Examples:
        >>> edge_over_inner(np.ones((16, 16)))
        1.0
    """
    return edge_mean(image) / float(image[1:-1, 1:-1].mean())


def edge_mean(image: Float64) -> float:
    """Return the mean of the border pixels without the corners.

    Examples:
        >>> image = np.zeros((16, 16)); image[0] = image[:, 0] = 1.0
        >>> edge_mean(image)
        0.5
    """
    border = np.concatenate([image[0, 1:-1], image[-1, 1:-1], image[1:-1, 0], image[1:-1, -1]])
    return float(border.mean())


def _corner_mean(image: Float64) -> float:
    return float(image[[0, 0, -1, -1], [0, -1, 0, -1]].mean())


def _share_above(quantity: str, threshold: float, scale: float, sample: Sample) -> float:
    return float(np.mean(getattr(sample.singles, quantity) > threshold)) * scale


def _separation_quantile(share: float, sample: Sample) -> float:
    return float(np.quantile(sample.separation_px, share))


class _Row(NamedTuple):
    """A quantity before it is evaluated: its name, real value and tolerance, and how to compute it."""

    name: str
    real: float
    tolerance: float
    basis: str
    value: Callable[[Sample], float]
    unit: str = ""


def _rows() -> tuple[_Row, ...]:
    return (*_pixel_rows(), *_spectrum_rows(), *_truth_rows())


def _pixel_rows() -> tuple[_Row, ...]:
    scale = "1.5 %: so far apart are the light yields quoted"
    figure = "precision of a figure"
    centre, edge = "mean image, centre (2 x 2 pixels)", "mean image, edge (border without corners)"
    ratio = "brightest pixel of doubles, edge over inner pixels"
    return (
        _Row("mean pixel, singles", 104.9, 0.5, _STATISTICS, lambda s: float(s.mean[0].mean()), "photons"),
        _Row("mean pixel, doubles", 210.3, 0.7, _STATISTICS, lambda s: float(s.mean[1].mean()), "photons"),
        _Row("sd of a pixel, mean of singles", 347.6, 5.2, scale, lambda s: float(s.sd[0].mean()), "photons"),
        _Row("sd of a pixel, mean of doubles", 492.8, 7.4, scale, lambda s: float(s.sd[1].mean()), "photons"),
        _Row(centre, 188, 2.0, figure, lambda s: float(s.mix[7:9, 7:9].mean()), "photons"),
        _Row(edge, 105, 2.0, figure, lambda s: edge_mean(s.mix), "photons"),
        _Row("mean image, corner", 68, 2.0, figure, lambda s: _corner_mean(s.mix), "photons"),
        _Row(ratio, 0.435, 0.02, figure, lambda s: edge_over_inner(s.brightest_map)),
        _Row(
            HIGHEST,
            12_697,
            1500,
            "2.5 times the spread from sample to sample",
            lambda s: s.largest,
            "photons",
        ),
    )


def _spectrum_rows() -> tuple[_Row, ...]:
    rows = [
        _Row(
            "correlation of energy and sum, singles",
            0.989,
            0.0015,
            _STATISTICS,
            lambda s: float(np.corrcoef(s.singles.energy_mev, s.singles.total)[0, 1]),
        )
    ]
    rows += [
        _Row(
            f"singles with sum over energy above {threshold / 1000:.1f}k per MeV",
            real,
            0.06,
            "precision of a figure: 150 photons along the axis",
            partial(_share_above, "yield_per_mev", threshold, 1.0),
        )
        for threshold, real in zip(*PLATEAU_EDGE, strict=True)
    ]
    rows += [
        _Row(
            f"brightest pixel above {threshold}, of 100,000 singles",
            real,
            float(np.hypot(2.5 * np.sqrt(real), 0.02 * real)),
            _STATISTICS + ", and 2 % of rounding",
            partial(_share_above, "brightest", threshold, 1e5),
        )
        for threshold, real in zip(*BRIGHTEST, strict=True)
    ]
    rows += [
        _Row(
            f"singles that lose more than {threshold} MeV",
            real,
            float(2.5 * np.sqrt(real / 1000)),
            _STATISTICS,
            partial(_share_above, "lost_mev", threshold, 100.0),
            "%",
        )
        for threshold, real in zip(*LOSS, strict=True)
    ]
    return tuple(rows)


def _truth_rows() -> tuple[_Row, ...]:
    rows = [
        _Row("share of singles", 0.5, 0.01, _STATISTICS, lambda s: s.single_fraction),
        _Row(
            "doubles with energy 1 above energy 2",
            0.509,
            0.018,
            _STATISTICS,
            lambda s: float(s.ordered.mean()),
        ),
        _Row("separation, mean", 7.65, 0.13, _STATISTICS, lambda s: float(s.separation_px.mean()), "px"),
        _Row("separation, sd", 3.64, 0.10, _STATISTICS, lambda s: float(s.separation_px.std()), "px"),
        _Row(
            "separation below 1 px",
            1.38,
            0.42,
            _STATISTICS,
            lambda s: float(np.mean(s.separation_px < 1.0) * 100),
            "%",
        ),
    ]
    rows += [
        _Row(
            f"separation, {100 * share:.0f} % below",
            real,
            0.2,
            _STATISTICS,
            partial(_separation_quantile, share),
            "px",
        )
        for share, real in ((0.25, 4.81), (0.5, 7.51), (0.75, 10.33))
    ]
    return tuple(rows)


def compare_quantities(events: Events) -> tuple[Quantity, ...]:
    """Return the numbers known of the real events beside those of simulated ones.

    Args:
        events: with truth, singles and doubles; 100,000 or more make the statistical errors small.

    Raises:
        DataError: events without truth, or without singles or doubles.
    """
    whole = reduce_events(events)
    bounds = np.linspace(0, len(events), N_PARTS + 1).astype(int)
    parts = [reduce_events(events.select(slice(int(a), int(b)))) for a, b in pairwise(bounds)]
    low, high = _MAXIMUM_EVENTS
    quantities = []
    for row in _rows():
        is_maximum = row.name == HIGHEST
        if is_maximum and not low <= len(events) <= high:
            continue
        values = [row.value(part) for part in parts]
        error = float("nan") if is_maximum else float(np.std(values, ddof=1) / np.sqrt(N_PARTS))
        tolerance = row.tolerance if is_maximum else float(np.hypot(row.tolerance, 2.5 * error))
        quantities.append(
            Quantity(
                row.name,
                row.real,
                row.value(whole),
                error,
                tolerance,
                row.basis,
                row.unit,
                KNOWN.get(row.name, ""),
            )
        )
    return (*quantities, *_law_quantities(whole))


def _law_quantities(sample: Sample) -> list[Quantity]:
    """Return the largest distance of each truth column from its uniform law (Kolmogorov-Smirnov)."""
    quantities = []
    for name, values in sample.truth.items():
        low, high = (0.0, 1.0) if name.startswith("energy") else (POSITION_LOW_PX, POSITION_HIGH_PX)
        distance = float(stats.kstest(values, stats.uniform(low, high - low).cdf).statistic)
        tolerance = 1.95 / np.sqrt(len(values))
        quantities.append(
            Quantity(
                f"{name}: distance from uniform ({low:.3g} to {high:.4g})",
                real=0.0,
                ours=distance,
                error=0.5 / np.sqrt(len(values)),
                tolerance=float(tolerance),
                basis="Kolmogorov-Smirnov at 0.1 %",
            )
        )
    return quantities


def spectra(events: Events) -> tuple[Spectrum, ...]:
    """Return the spectra for which real values are known.

    Args:
        events: with truth, singles and doubles.
    """
    sample = reduce_events(events)
    singles = sample.singles
    yields = np.linspace(44_000, 62_000, 91)
    bright = np.linspace(0, 13_000, 131)
    lost = np.linspace(0.05, 0.8, 76)
    apart = np.linspace(0, 21, 43)
    quartiles = np.array([4.81, 7.51, 10.33])
    return (
        Spectrum(
            "Sum over energy, singles above 0.5 MeV",
            "photons per MeV",
            "share of singles above",
            yields,
            _above(singles.yield_per_mev, yields),
            *_points(PLATEAU_EDGE),
        ),
        Spectrum(
            "Brightest pixel, singles",
            "photons in the brightest pixel",
            "of 100,000 singles above",
            bright,
            _above(singles.brightest, bright) * 1e5,
            *_points(BRIGHTEST),
            logarithmic=True,
        ),
        Spectrum(
            "Energy lost by singles",
            "true energy less measured energy / MeV",
            "percent of singles above",
            lost,
            _above(singles.lost_mev, lost) * 100,
            *_points(LOSS),
            logarithmic=True,
        ),
        Spectrum(
            "Separation of the two electrons, doubles",
            "separation / px",
            "share of doubles above",
            apart,
            _above(sample.separation_px, apart),
            quartiles,
            np.array([0.75, 0.5, 0.25]),
        ),
    )


def _above(values: Float64, x: Float64) -> Float64:
    """Return the share of values above each x."""
    ordered = np.sort(values)
    share: Float64 = 1.0 - np.searchsorted(ordered, x, side="right") / len(ordered)
    return share


def _points(pairs: tuple[tuple[float, ...], tuple[float, ...]]) -> tuple[Float64, Float64]:
    return np.array(pairs[0], dtype=np.float64), np.array(pairs[1], dtype=np.float64)


def maps(events: Events) -> tuple[PixelMap, ...]:
    """Return the maps whose edges and corners are compared.

    Args:
        events: with truth, singles and doubles.
    """
    sample = reduce_events(events)
    return (
        PixelMap("Mean image of all events", "photons", sample.mix),
        PixelMap("Brightest pixel of doubles", "doubles", sample.brightest_map),
    )


def two_peak_examples(events: Events, n_examples: int = 4) -> tuple[PixelMap, ...]:
    """Return singles that show two peaks, the most energetic first.

    Args:
        events: with truth.
        n_examples: at most so many.
    """
    which = np.flatnonzero(events.truth["n_electrons"].to_numpy() == 1)
    images = events.dense(ANODE.name, ANODE.shape)
    chunks = [which[start : start + 8192] for start in range(0, len(which), 8192)]
    apart = np.concatenate([find_second_peaks(images[chunk]) for chunk in chunks])
    energy = events.truth["energy_1_mev"].to_numpy()[which]
    found = np.flatnonzero(~np.isnan(apart))
    order = found[np.argsort(-energy[found], kind="stable")][:n_examples]
    return tuple(
        PixelMap(
            f"Single of {energy[i]:.2f} MeV, second peak {apart[i]:.1f} px away",
            "photons",
            images[which[i]].astype(np.float64),
            logarithmic=True,
        )
        for i in order
    )


def compare(events: Events, config: SimulationConfig, real: Events | None = None) -> Comparison:
    """Return everything the comparison page shows.

    Args:
        events: simulated, with truth, singles and doubles.
        config: what they were simulated with.
        real: real events with truth, to be fitted with the response.

    Raises:
        DataError: events without truth, or without singles or doubles.
    """
    fitted: tuple[FittedEvent, ...] = ()
    reference = np.empty(0)
    if real is not None:
        fitted = fit_real_events(real, config)
        singles = events.filter(SINGLE).select(slice(0, 2000))
        fit = fit_singles(singles.dense(ANODE.name, ANODE.shape), config)
        reference = fit.deviance / fit.dof
    return Comparison(
        detector="cebr",
        n_events=len(events),
        settings=config.model_dump(mode="json"),
        quantities=compare_quantities(events),
        spectra=spectra(events),
        maps=maps(events),
        examples=two_peak_examples(events),
        examples_title="Singles with two peaks",
        examples_meaning="A bremsstrahlung photon absorbed elsewhere makes a second spot; real singles show "
        "the same. The most energetic ones of this sample, colour logarithmic.",
        fitted=fitted,
        reference_deviance=reference,
    )
