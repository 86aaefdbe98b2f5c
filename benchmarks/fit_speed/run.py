"""Events per second of the likelihood fit, and what it reaches on the same simulated events.

    python benchmarks/fit_speed/run.py

Compiling is not counted. Prints a table; the goal is 200 events/s for both hypotheses on two cores.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hitlens import metrics
from hitlens.detectors.cebr.fit import DOUBLE_THRESHOLD, FitResult, fit_events, fit_singles
from hitlens.detectors.cebr.response import SimulationConfig
from hitlens.detectors.cebr.simulate import BLOCK_EVENTS, CebrSimulator
from hitlens.events import Events, concat

GOAL = 200


def events_per_second(work: Callable[[], object], n_events: int, repeats: int) -> float:
    """Return the median rate of several runs."""
    rates = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        rates.append(n_events / (time.perf_counter() - start))
    return statistics.median(rates)


def truth_sets(events: Events) -> NDArray[np.float64]:
    """Return energy, x and y of both electrons, shape (event, 2, 3)."""
    return np.stack(
        [
            np.stack([events.truth[f"{name}_{k}_{unit}"].to_numpy() for name, unit in QUANTITIES], axis=1)
            for k in (1, 2)
        ],
        axis=1,
    )


QUANTITIES = (("energy", "mev"), ("x", "px"), ("y", "px"))


def show_accuracy(events: Events, result: FitResult) -> None:
    """Print classification and regression metrics with their intervals."""
    rng = np.random.default_rng(0)
    double = events.truth["n_electrons"].to_numpy() == 2
    called = result.score >= DOUBLE_THRESHOLD
    truth = truth_sets(events)
    separation = np.hypot(*(truth[:, 0, 1:] - truth[:, 1, 1:]).T)
    close = double & (separation < 1)
    position = metrics.match_sets(truth[double][:, :, 1:], result.double.position_px[double])
    energy = metrics.match_sets(truth[double][:, :, :1], result.double.energy_mev[double][:, :, np.newaxis])
    rows: tuple[tuple[str, metrics.Interval], ...] = (
        ("accuracy", metrics.bootstrap(metrics.accuracy, double, called, rng=rng)),
        ("AUC", metrics.bootstrap(metrics.auc, double, result.score, rng=rng)),
        ("singles called double", metrics.binomial(int((called & ~double).sum()), int((~double).sum()))),
        ("doubles called single", metrics.binomial(int((~called & double).sum()), int(double.sum()))),
        ("recall, separation < 1 px", metrics.binomial(int((called & close).sum()), int(close.sum()))),
        *_regression("single position (px)", truth[~double, 0, 1:], result.single.position_px[~double, 0]),
        *_regression("single energy (MeV)", truth[~double, 0, 0], result.single.energy_mev[~double, 0]),
        *_regression("double positions (px)", truth[double][:, :, 1:], position),
        *_regression("double energies (MeV)", truth[double][:, :, :1], energy),
    )
    for name, interval in rows:
        print(f"| {name} | {interval} |")


def _regression(
    name: str, y_true: NDArray[np.float64], y_pred: NDArray[np.float64]
) -> list[tuple[str, metrics.Interval]]:
    measures = {"mae": metrics.mae, "rmse": metrics.rmse, "R2": metrics.r2}
    found = metrics.bootstrap_all(measures, y_true, y_pred, rng=np.random.default_rng(1))
    return [(f"{name} {measure}", interval) for measure, interval in found.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=4 * BLOCK_EVENTS)
    parser.add_argument("--seed", type=int, default=9001)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    config = SimulationConfig.model_validate({})
    events = concat(list(CebrSimulator().blocks(config, arguments.events, arguments.seed)))
    images = events.dense("anode")
    timed = images[: min(len(images), BLOCK_EVENTS)]
    fit_events(images[:2])
    print(f"{platform.machine()}, {arguments.workers} threads on {os.cpu_count()} cores, {len(timed)} events")
    for name, fit in (("one spot", fit_singles), ("both hypotheses", fit_events)):
        rate = events_per_second(
            lambda fit=fit: fit(timed, workers=arguments.workers),  # type: ignore[misc]
            len(timed),
            arguments.repeats,
        )
        goal = f" (goal {GOAL}: {'reached' if rate >= GOAL else 'missed'})" if fit is fit_events else ""
        print(f"{name}: {rate:,.0f} events/s, median of {arguments.repeats}{goal}")
    print(f"\n| {len(events)} events, seed {arguments.seed} | value, 95 % interval |\n|---|---|")
    show_accuracy(events, fit_events(images, workers=arguments.workers))


if __name__ == "__main__":
    main()
