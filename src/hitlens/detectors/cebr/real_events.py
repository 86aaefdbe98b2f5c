"""Single images looked at closely: real events fitted with the response, and second peaks of singles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hitlens.detectors.cebr.description import ANODE
from hitlens.detectors.cebr.fit import SpotFit, fit_events, fit_singles
from hitlens.detectors.cebr.response import SimulationConfig
from hitlens.errors import DataError
from hitlens.events import Events
from hitlens.simulate.comparison import FittedEvent


def fit_real_events(events: Events, config: SimulationConfig) -> tuple[FittedEvent, ...]:
    """Return real events fitted with the response, each as what its truth says it is.

    Args:
        events: real events with truth.
        config: the response.

    Raises:
        DataError: the events have no truth.
    """
    if "n_electrons" not in events.truth.columns:
        raise DataError("Real events must come with truth to be compared. These have none.")
    n_electrons = events.truth["n_electrons"].to_numpy()
    fitted: dict[int, FittedEvent] = {}
    for n in (1, 2):
        which = np.flatnonzero(n_electrons == n)
        if len(which):
            part = events.select(which)
            fitted |= dict(zip(which.tolist(), _fitted(part, n, config), strict=True))
    return tuple(fitted[i] for i in range(len(events)))


def _fitted(events: Events, n_electrons: int, config: SimulationConfig) -> list[FittedEvent]:
    images = events.dense(ANODE.name, ANODE.shape).astype(np.float64)
    if n_electrons == 1:
        fit = fit_singles(images, config, keep_expected=True)
    else:
        fit = fit_events(images, config, keep_expected=True).double
    expected = images if fit.expected is None else fit.expected
    pulls = _pulls(events, fit, n_electrons)
    names = [f"{file} event {event}" for file, event in events.truth.select("file", "event").rows()]
    return [
        FittedEvent(name, images[i], expected[i], float(fit.deviance[i]), fit.dof, pulls[i])
        for i, name in enumerate(names)
    ]


def _pulls(events: Events, fit: SpotFit, n_electrons: int) -> list[dict[str, float]]:
    """Return (fitted - true) / error by truth column; electrons in the order that is nearest in position."""
    numbers = range(1, n_electrons + 1)
    energy, x, y = (
        np.stack([events.truth[name.format(k)].to_numpy() for k in numbers], axis=1)
        for name in ("energy_{}_mev", "x_{}_px", "y_{}_px")
    )
    distance = [
        np.hypot(fit.position_px[:, order, 0] - x, fit.position_px[:, order, 1] - y).sum(axis=1)
        for order in (list(range(n_electrons)), list(range(n_electrons))[::-1])
    ]
    swap = distance[1] < distance[0]
    order = np.where(swap[:, np.newaxis], np.arange(n_electrons)[::-1], np.arange(n_electrons))
    event = np.arange(len(events))[:, np.newaxis]
    position, error = fit.position_px[event, order], fit.position_error_px[event, order]
    pulls = {
        "energy_{}_mev": (fit.energy_mev[event, order] - energy) / fit.energy_error_mev[event, order],
        "x_{}_px": (position[..., 0] - x) / error[..., 0],
        "y_{}_px": (position[..., 1] - y) / error[..., 1],
    }
    return [
        {name.format(k): float(values[i, k - 1]) for name, values in pulls.items() for k in numbers}
        for i in range(len(events))
    ]


def find_second_peaks(images: NDArray[np.uint16], distance_px: float = 3.0) -> NDArray[np.float64]:
    """Return how far from the brightest pixel each image has a second peak, NaN where it has none.

    A second peak is an inner pixel above its eight neighbours that exceeds their mean by more than six
    standard deviations of its photon noise.

    Args:
        images: photon counts, shape (event, row, col).
        distance_px: nearest a second peak may be to the brightest pixel.

    Examples:
        >>> image = np.full((1, 16, 16), 20, np.uint16)
        >>> image[0, 4, 4], image[0, 4, 10] = 900, 200
        >>> find_second_peaks(image).tolist()
        [6.0]
    """
    counts = images.astype(np.float64)
    inner = counts[:, 1:-1, 1:-1]
    rows, cols = counts.shape[1:]
    neighbours = np.stack(
        [
            counts[:, 1 + dx : rows - 1 + dx, 1 + dy : cols - 1 + dy]
            for dx in (-1, 0, 1)
            for dy in (-1, 0, 1)
            if (dx, dy) != (0, 0)
        ]
    )
    excess = inner - neighbours.mean(axis=0)
    peak = (inner > neighbours.max(axis=0)) & (excess > 6 * np.sqrt(np.maximum(inner, 1.0)))
    first_x, first_y = np.divmod(counts.reshape(len(counts), -1).argmax(axis=1), cols)
    at_x, at_y = np.arange(1, rows - 1), np.arange(1, cols - 1)
    distance = np.hypot(
        at_x[np.newaxis, :, np.newaxis] - first_x[:, np.newaxis, np.newaxis],
        at_y[np.newaxis, np.newaxis, :] - first_y[:, np.newaxis, np.newaxis],
    )
    score = np.where(peak & (distance >= distance_px), excess, 0.0).reshape(len(counts), -1)
    best = score.argmax(axis=1)
    chosen = distance.reshape(len(counts), -1)[np.arange(len(counts)), best]
    return np.where(score.max(axis=1, initial=0.0) > 0, chosen, np.nan)
