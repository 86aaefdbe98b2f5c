"""Simulated NOvA events beside the real ones: truth laws, what images look like, three decoded events.

The real values are those of 7,001 events of the public sample and of three events decoded from figures;
tolerances are 2.5 standard errors of both samples, the spread among events where the real value is that of
one event, or the precision to which a value is known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hitlens.detectors.nova.counterparts import (
    REAL_EVENTS,
    Counterparts,
    draw_pairs,
    find_counterparts,
)
from hitlens.detectors.nova.description import SHAPE
from hitlens.detectors.nova.interactions import Interaction
from hitlens.detectors.nova.measures import Sparse, as_sparse, energies_mev
from hitlens.detectors.nova.single_particles import (
    conversion_gap_cm,
    hadronic_energies,
    muon_columns,
    vertex_columns,
)
from hitlens.errors import DataError
from hitlens.events import Events, evaluate_condition
from hitlens.simulate.comparison import Comparison, PixelMap, Quantity, Spectrum
from hitlens.simulate.matter import MASSES_MEV, MUON, PROTON, mean_range_cm

if TYPE_CHECKING:
    from hitlens.detectors.nova.simulate import NovaConfig

Float64 = NDArray[np.float64]

#: Events of the real sample from which the truth laws are known.
N_REAL = 7001
#: Fewer simulated events say nothing.
_LEAST_EVENTS = 1000
_STATISTICS = "2.5 standard errors of both samples"
_ONE_EVENT = "twice the spread of such events: the real value is that of one"
_KNOWN_TO = "precision to which it is known"

#: Why some quantities disagree, by name.
KNOWN = {
    "share with lepton energy from 3.72 to 7.44 GeV": "Between the narrow peak and the broad part of the "
    "spectrum the recipe is smooth; the real sample has fewer leptons of 4 to 7 GeV and more of 11 to 15.",
    "share with lepton energy of 40.92 GeV or more": "No real lepton has more than 44.6 GeV, although "
    "neutrinos reach 82 GeV and inelasticities near 0 occur; what cuts them off is not known.",
}

#: Shares of the real events by condition on the truth.
SHARES = (
    ("charged current of muon neutrinos", "interaction <= 3", 0.882),
    ("numu QE", "interaction = 0", 0.126),
    ("numu RES", "interaction = 1", 0.188),
    ("numu DIS", "interaction = 2", 0.539),
    ("numu Other", "interaction = 3", 0.028),
    ("charged current of electron neutrinos", "interaction BETWEEN 4 AND 7", 0.0123),
    ("nue QE", "interaction = 4", 0.0012),
    ("nue DIS", "interaction = 6", 0.0087),
    ("charged current of tau neutrinos", "interaction BETWEEN 8 AND 11", 0.0),
    ("neutral currents and scattering on electrons", "interaction IN (12, 13)", 0.099),
    ("cosmic muons", "interaction = 14", 0.0),
    ("code 15", "interaction = 15", 0.0083),
    ("code 15 with a neutrino energy", "interaction = 15 AND nuenergy > 0", 0.0),
    ("neutrino energy above 3.5 GeV", "nuenergy > 3.5", 0.644),
)
#: Real events in bins of the neutrino energy and of the lepton energy, and the width of a bin, GeV.
NU_BINS = 8.22, (3339, 1887, 1016, 387, 194, 81, 48, 16, 16, 16)
LEPTON_BINS = 3.72, (3650, 1058, 811, 652, 317, 194, 106, 88, 53, 35, 18, 18)


def compare(events: Events, config: NovaConfig, real: Events | None = None) -> Comparison:
    """Return everything the comparison page shows.

    Args:
        events: simulated, with truth; 1,000 or more.
        config: what they were simulated with; muons, hadrons and special events are simulated for the
            comparison alone.
        real: decoded real events to be drawn; the numbers known of them are compared without.

    Raises:
        DataError: too few events.
    """
    if len(events) < _LEAST_EVENTS:
        raise DataError(f"A comparison needs {_LEAST_EVENTS:,} events or more. Got {len(events):,}.")
    counterparts = tuple(find_counterparts(config, one) for one in REAL_EVENTS)
    quantities = (
        *truth_quantities(events.truth),
        *image_quantities(events, config),
        *response_quantities(config),
        *(quantity for part in counterparts for quantity in event_quantities(part)),
    )
    return Comparison(
        detector="nova",
        n_events=len(events),
        settings=config.model_dump(mode="json"),
        quantities=quantities,
        spectra=spectra(events, counterparts, real),
        maps=maps(events, counterparts),
        examples=draw_pairs(counterparts, real),
        examples_title="Events of three kinds" + (", real and simulated" if real is not None else ""),
        examples_meaning="Beam from left to right; colour logarithmic. Of the simulated events with the "
        "charge of the real one, that with the most similar hits and length in each view. Real events are "
        "those of the experiment's own far-detector simulation, decoded from published figures.",
    )


def truth_quantities(truth: pl.DataFrame) -> tuple[Quantity, ...]:
    """Return the truth laws: shares of kinds of events, and of events by energy.

    Args:
        truth: of simulated events.
    """
    rows = [
        (f"share of {name}", share, evaluate_condition(truth, condition)) for name, condition, share in SHARES
    ]
    for label, column, (width, counts) in (
        ("neutrino energy", "nuenergy", NU_BINS),
        ("lepton energy", "lepenergy", LEPTON_BINS),
    ):
        values = truth[column].to_numpy()
        for i, count in enumerate(counts):
            low, high = i * width, (i + 1) * width
            is_last = i == len(counts) - 1
            inside = (values >= low) & ((values < high) | is_last)
            where = f"of {low:.4g} GeV or more" if is_last else f"from {low:.4g} to {high:.4g} GeV"
            rows.append((f"share with {label} {where}", count / sum(counts), inside))
    fractions = [_share(name, real, values) for name, real, values in rows]
    ratio = truth.filter(pl.col("nuenergy") > 0).select(pl.col("lepenergy") / pl.col("nuenergy")).to_series()
    spread = float(ratio.to_numpy().var())
    error = float(np.sqrt(2 / len(ratio)) * spread)
    return (
        *fractions,
        Quantity(
            "variance of lepton over neutrino energy",
            0.074,
            spread,
            error,
            0.006,
            _KNOWN_TO,
            known=_known("variance of lepton over neutrino energy"),
        ),
    )


def _known(name: str) -> str:
    return KNOWN.get(name, "")


def _share(name: str, real: float, values: NDArray[np.bool_]) -> Quantity:
    """Return the share of events in percent beside that of the real events."""
    ours = float(values.mean())
    both = max(real, ours, 1.5 / N_REAL)
    error, real_error = (float(np.sqrt(both * (1 - both) / n)) for n in (len(values), N_REAL))
    tolerance = 2.5 * float(np.hypot(error, real_error))
    return Quantity(
        name, 100 * real, 100 * ours, 100 * error, 100 * tolerance, _STATISTICS, "%", _known(name)
    )


def image_quantities(events: Events, config: NovaConfig) -> tuple[Quantity, ...]:
    """Return what is known of all images: where they begin, where they are centred, what hits look like.

    Args:
        events: simulated.
        config: their settings.
    """
    energies = energies_mev(events)
    edges = np.arange(0, 40, 1.085)
    counts = np.histogram(energies, edges)[0]
    peak = float(edges[counts.argmax()] + 0.54)
    medians = np.concatenate([_median_cells(as_sparse(events, name)) for name in ("x", "y")])
    rows = (
        ("most frequent energy of a hit", 7.6, peak, 1.7, "MeV", _KNOWN_TO),
        (
            "lowest energy of a hit (1 of 1,000 lies below)",
            1.0,
            float(np.quantile(energies, 1e-3)),
            0.8,
            "MeV",
            _KNOWN_TO,
        ),
        ("median cell of a view", 40.0, float(medians.mean()), 0.5, "", "39.5 to 41.5 in the real events"),
    )
    return tuple(
        Quantity(name, real, ours, float("nan"), tolerance, basis, unit, _known(name))
        for name, real, ours, tolerance, unit, basis in rows
    )


def _median_cells(view: Sparse) -> Float64:
    """Return the median cell of the hits of each event that has any."""
    cells = view.indices % SHAPE[1]
    event = np.repeat(np.arange(view.shape[0]), np.diff(view.indptr))
    cells = cells[np.lexsort((cells, event))]
    size = np.diff(view.indptr)
    start, size = view.indptr[:-1][size > 0], size[size > 0]
    medians: Float64 = (cells[start + (size - 1) // 2] + cells[start + size // 2]) / 2.0
    return medians


def response_quantities(config: NovaConfig) -> tuple[Quantity, ...]:
    """Return what is known of muons, protons and hadrons in the detector.

    Args:
        config: every setting.
    """
    far, near = muon_columns(config)
    visible, true = hadronic_energies(config)
    slope, offset = np.polyfit(visible, true, 1)
    matter = config.transport.matter
    mass = MASSES_MEV[MUON]
    columns = vertex_columns(config)
    near_start = 100 * float(np.mean((columns >= 0) & (columns <= 2)))
    ranges = [mean_range_cm(matter, MUON, 1000 * (0.17 + 0.00204 * cm) - mass) / cm for cm in (300, 900)]
    proton = mean_range_cm(matter, PROTON, 200.0)
    rows = (
        ("muon, columns hit, far from the readout", 0.55, far.efficiency, 0.08, "", _KNOWN_TO),
        ("muon, columns hit, near the readout", 0.96, near.efficiency, 0.02, "", _KNOWN_TO),
        ("muon, lowest hit, far from the readout", 6, far.smallest, 1.0, "counts", _KNOWN_TO),
        ("muon, lowest hit, near the readout", 1, near.smallest, 1.0, "counts", _KNOWN_TO),
        ("muon, hits of a column", 1.3, near.hits, 0.3, "", "1 to 1.6 in the real events"),
        ("muon, charge of a column", 9.0, near.counts, 1.5, "counts", _KNOWN_TO),
        ("muon range over that of E = .17 + .00204 L, 3 m", 1.0, ranges[0], 0.08, "", _KNOWN_TO),
        ("muon range over that of E = .17 + .00204 L, 9 m", 1.0, ranges[1], 0.05, "", _KNOWN_TO),
        ("proton of 200 MeV, range", 0.0022 * 200**1.77, proton, 3.0, "cm", _KNOWN_TO),
        ("photon, way to its first hit", 49.0, conversion_gap_cm(config), 6.0, "cm", _KNOWN_TO),
        (
            "vertex in columns 0 to 2",
            100.0,
            near_start,
            63.0,
            "%",
            "three of three real events: 95 % confidence",
        ),
        ("hadrons, true over visible energy, slope", 1.67, float(slope), 0.1, "", _KNOWN_TO),
        ("hadrons, true energy where none is visible", 0.22, float(offset), 0.1, "GeV", _KNOWN_TO),
    )
    return tuple(
        Quantity(name, real, ours, float("nan"), tolerance, basis, unit, _known(name))
        for name, real, ours, tolerance, unit, basis in rows
    )


class _EventRow(NamedTuple):
    """A number of a real event and how to find it of its counterparts."""

    name: str
    real: float
    value: Callable[[Counterparts], NDArray[np.int64] | Float64]
    unit: str = ""


def event_quantities(part: Counterparts) -> tuple[Quantity, ...]:
    """Return the numbers of a real event beside those of simulated events of its kind and charge.

    Args:
        part: the simulated events.

    Raises:
        DataError: there are too few of them.
    """
    real, n = part.real, len(part.events)
    if n < 10:
        raise DataError(
            f"Of the events like '{real.name}' only {n} have its charge: the settings are too far off."
        )
    rows: tuple[_EventRow, ...] = (
        _EventRow("hits", sum(real.hits), lambda k: k.hits),
        _EventRow("occupancy", 100 * sum(real.hits) / 2 / np.prod(SHAPE), lambda k: k.hits / 160.0, "%"),
        _EventRow("median hit", sum(real.middle) / 2, lambda k: k.middle, "counts"),
        _EventRow("highest hit", max(real.largest), lambda k: k.largest, "counts"),
        _EventRow("hits above 50 MeV", real.high_percent, lambda k: k.high_percent, "%"),
        _EventRow("stray hits", real.strays, lambda k: k.strays),
    )
    if real.interaction != Interaction.NUMU_DIS:  # muons leave the image
        rows += (
            _EventRow(
                "length of the longer view",
                max(real.length),
                lambda k: np.maximum(k.x.length, k.y.length),
                "columns",
            ),
        )
    if real.interaction == Interaction.NUE_DIS:
        rows += (
            _EventRow(
                "hits of a column",
                sum(real.hits) / sum(real.length),
                lambda k: k.hits / np.maximum(k.x.length + k.y.length, 1),
            ),
        )
    quantities = []
    for row in rows:
        name = f"{real.name}: {row.name}"
        low, middle, high = np.quantile(row.value(part), (0.16, 0.5, 0.84))
        error = float((high - low) / 2 * 1.25 / np.sqrt(n))
        tolerance = float(max(high - middle, middle - low, 1e-9) * 2)
        quantities.append(
            Quantity(
                name, float(row.real), float(middle), error, tolerance, _ONE_EVENT, row.unit, _known(name)
            )
        )
    return tuple(quantities)


def spectra(
    events: Events, counterparts: tuple[Counterparts, ...], real: Events | None
) -> tuple[Spectrum, ...]:
    """Return the spectra for which real values are known.

    Args:
        events: simulated.
        counterparts: simulated events like the real ones.
        real: decoded real events, or None.
    """
    curves = [
        _binned(f"{label[0].upper()}{label[1:]}", f"{label} / GeV", events.truth[column].to_numpy(), *bins)
        for label, column, bins in (
            ("neutrino energy", "nuenergy", NU_BINS),
            ("lepton energy", "lepenergy", LEPTON_BINS),
        )
    ]
    if real is not None:
        x = np.geomspace(1.0, 120.0, 60)
        points = np.array([2.0, 5.0, 8.0, 12.0, 20.0, 35.0, 60.0])
        for part in counterparts:
            mine = real.filter(f"interaction = {part.real.interaction}")
            if len(mine):
                curves.append(
                    Spectrum(
                        f"Hits above an energy, {part.real.name}",
                        "energy of a hit / MeV",
                        "share of the hits above",
                        x,
                        np.maximum(_above(energies_mev(part.events), x), 1e-4),
                        points,
                        _above(energies_mev(mine), points),
                        logarithmic=True,
                    )
                )
    return tuple(curves)


def _binned(name: str, label: str, values: Float64, width: float, counts: tuple[int, ...]) -> Spectrum:
    """Return the share of events in each bin; the simulated ones as steps."""
    edges = width * np.arange(len(counts) + 1)
    shares = np.histogram(values, edges)[0] / len(values)
    centres = (edges[1:] + edges[:-1]) / 2
    real = np.array(counts) / sum(counts)
    x = np.repeat(edges, 2)[1:-1]
    return Spectrum(
        name,
        label,
        "share of the events in a bin",
        x,
        np.maximum(np.repeat(shares, 2), 1e-5),
        centres,
        real,
        True,
    )


def _above(values: Float64, x: Float64) -> Float64:
    """Return the share of values above each x."""
    share: Float64 = 1.0 - np.searchsorted(np.sort(values), x, side="right") / max(len(values), 1)
    return share


def maps(events: Events, counterparts: tuple[Counterparts, ...]) -> tuple[PixelMap, ...]:
    """Return mean images: of muon-neutrino events, and of those like the real electron-neutrino event.

    Args:
        events: simulated.
        counterparts: simulated events like the real ones.
    """
    muons = events.filter("interaction <= 3")
    groups = [("charged currents of muon neutrinos", muons)]
    groups += [(f"events like the real {part.real.name}", part.events) for part in counterparts[1:2]]
    return tuple(
        PixelMap(
            f"Mean image of {name}, view {view}",
            "counts",
            np.asarray(as_sparse(some, view).mean(axis=0)).reshape(SHAPE),
            logarithmic=True,
            view=view,
        )
        for name, some in groups
        if len(some)
        for view in ("x", "y")
    )
