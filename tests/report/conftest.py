"""Searches as `hitlens tune` leaves them, made up with noise, so that pages can be drawn without training."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hitlens.evaluate.results import MetricResult
from hitlens.evaluate.study import VariantHead, VariantResult, stability
from hitlens.metrics.interval import Interval
from hitlens.tune.results import Finalist, Objective, Parameter, TrialResult, TuneResults

ACCURACY = Objective("score", "validation accuracy", "", True)
LOSS = Objective("score", "validation loss", "", False)
N_VALIDATION = 4000


def interval(value: float, n: int = N_VALIDATION) -> Interval:
    half = 1.96 * (max(value * (1 - value), 1e-6) / n) ** 0.5
    return Interval(value, value - half, value + half)


def class_head(accuracy: float) -> tuple[VariantHead, tuple[tuple[int, ...], ...]]:
    half = N_VALIDATION // 2
    wrong = round((1 - accuracy) * N_VALIDATION)
    confusion = ((half - wrong // 3, wrong // 3), (wrong - wrong // 3, half - wrong + wrong // 3))
    values = {"accuracy": accuracy, "f1": accuracy - 0.0007, "mcc": 2 * accuracy - 1}
    metrics = tuple(MetricResult(name, interval(value)) for name, value in values.items())
    head = VariantHead(
        "multiplicity", N_VALIDATION, metrics, class_names=("single", "double"), class_counts=(half, half)
    )
    return head, confusion


def value_head(error: float, name: str = "double_energy") -> VariantHead:
    found = {"rmse": (error, "MeV"), "bias": (0.002, "MeV"), "r2": (1 - error**2, "")}
    metrics = tuple(
        MetricResult(metric, interval(value) if value < 1 else None, column, unit)
        for column in ("energy_1_mev", "energy_2_mev", "energy_1_mev, energy_2_mev")
        for metric, (value, unit) in found.items()
    )
    return VariantHead(name, N_VALIDATION, metrics)


def training(
    rng: np.random.Generator, top: float, n_epochs: int, *, higher: bool = True, swing: float = 0.001
) -> VariantResult:
    """A training that comes close to `top`, without heads."""
    epochs = np.arange(n_epochs)
    rise = np.exp(-epochs / (0.12 * n_epochs + 1))
    noise = rng.normal(0, swing, n_epochs) * (0.3 + 4 * rise)
    scores = top - (0.3 * rise + np.abs(noise)) * (1 if higher else -1)
    validation = 0.04 + 0.6 * rise + np.abs(rng.normal(0, 0.003, n_epochs))
    best = int(scores.argmax() if higher else scores.argmin())
    history = {
        "epoch": tuple(map(float, epochs)),
        "train_loss": tuple((0.06 + 0.62 * rise).tolist()),
        "val_loss": tuple((scores if not higher else validation).tolist()),
        "val_metric": tuple(scores.tolist()),
        "lr": (0.003,) * n_epochs,
    }
    swings = stability(scores.tolist(), higher)
    return VariantResult("", {}, (), history, best, swings, 11.3 * n_epochs, 0, "ab" * 32)


def classification(
    number: int, values: Mapping[str, Any], rng: np.random.Generator, top: float, **changes: Any
) -> TrialResult:
    n_epochs, swing = changes.pop("n_epochs", 20), changes.pop("swing", 0.001)
    run = training(rng, top, n_epochs, swing=swing)
    score = run.history["val_metric"][run.best_epoch]
    assert score is not None
    score = round(score * N_VALIDATION) / N_VALIDATION
    head, confusion = class_head(score)
    run = replace(run, heads=(head,), n_parameters=int(values.get("model.settings.last_features", 64)) * 5097)
    trial = TrialResult(
        number=number,
        stage="search",
        values=values,
        seed=1,
        state="finished",
        objectives={"score": score},
        run=run,
        confusion={"multiplicity": confusion},
        latency_us=38.0 + 0.2 * int(values.get("model.settings.last_features", 64)),
        folder=f"trials/{number:04d}",
    )
    return replace(trial, **changes)


def pruned(trial: TrialResult, n_epochs: int) -> TrialResult:
    assert trial.run is not None
    history = {name: values[:n_epochs] for name, values in trial.run.history.items()}
    scores = [value for value in history["val_metric"] if value is not None]
    best = int(np.argmax(scores))
    run = replace(trial.run, history=history, best_epoch=best, stability=stability(scores, True))
    objectives = {**trial.objectives, "score": scores[best]}
    return replace(trial, state="pruned", run=run, objectives=objectives)


def failed(trial: TrialResult, error: str) -> TrialResult:
    return replace(trial, state="failed", run=None, objectives={}, confusion={}, latency_us=None, error=error)


def search(**changes: Any) -> TuneResults:
    found = TuneResults(
        title="Dropout and width & more",
        question="Which dropout, and how wide a last layer, <classifies> best?",
        detector="cebr",
        task="multiplicity",
        monitor="val_accuracy",
        higher_is_better=True,
        method="grid",
        pruner="none",
        parameters=(),
        objectives=(ACCURACY,),
        trials=(),
        best=(),
        importances={},
        finalists=(),
        chosen=None,
        longer=None,
        reason="",
        n_events_by_split={"train": 32_000, "validation": N_VALIDATION, "test": 4000},
        split_hash="cd" * 32,
        level=0.95,
        n_bootstrap=1000,
        machine={"processor": "made", "hitlens": "0.1"},
        settings="detector: cebr\ntask: multiplicity\n",
        seconds=9876.0,
    )
    return replace(found, **changes)


def grid_search() -> TuneResults:
    """The 18 points of the seed's grid, three finalists over three seeds, the chosen one trained longer."""
    rng = np.random.default_rng(4)
    paths = ("model.settings.dropout", "model.settings.dropout_final", "model.settings.last_features")
    choices = ((0.4, 0.5, 0.6), (0.4, 0.5, 0.6), (64, 128))
    trials = []
    for number, values in enumerate(itertools.product(*choices)):
        top = 0.9855 - 0.02 * (values[0] - 0.4) - 0.006 * (values[1] - 0.4) + 0.001 * (values[2] == 128)
        settings = dict(zip(paths, values, strict=True))
        n_resumed = int(number in (3, 11))
        swing = 0.001 + 0.004 * (values[0] > 0.55)
        trials.append(
            classification(
                number, settings, rng, top + rng.normal(0, 0.0008), n_resumed=n_resumed, swing=swing
            )
        )
    order = sorted(trials, key=lambda t: -t.objectives["score"])
    finalists = []
    for first in order[:3]:
        repeats = [
            classification(len(trials) + k, first.values, rng, 0.985, seed=2 + k, stage="seeds")
            for k in (0, 1)
        ]
        repeats = [replace(one, folder=f"seeds/{one.number:04d}") for one in repeats]
        trials += repeats
        finalists.append(finalist((first, *repeats)))
    finalists.sort(key=lambda one: -one.mean)
    chosen = finalists[0].trial
    longer = classification(len(trials), trials[chosen].values, rng, 0.9875, n_epochs=60, stage="longer")
    trials.append(replace(longer, folder="longer"))
    return search(
        parameters=tuple(map(Parameter, paths, choices)),
        trials=tuple(trials),
        best=(order[0].number,),
        importances={"score": dict(zip(paths, (0.71, 0.08, 0.21), strict=True))},
        finalists=tuple(finalists),
        chosen=chosen,
        longer=longer.number,
        reason="It has the highest mean validation accuracy over three seeds.",
    )


def finalist(trials: tuple[TrialResult, ...]) -> Finalist:
    scores = [trial.objectives["score"] for trial in trials]
    return Finalist(
        trials[0].number,
        tuple(trial.number for trial in trials),
        float(np.mean(scores)),
        float(np.std(scores, ddof=1)),
        min(scores),
    )


def tpe_search() -> TuneResults:
    """Forty trials over ranges and choices; some were pruned, three failed, one never left chance."""
    rng = np.random.default_rng(7)
    trials = []
    for number in range(40):
        rate = float(10 ** rng.normal(-2.6 if number > 10 else -3.0, 0.3 if number > 10 else 0.6))
        values = {
            "train.learning_rate": float(np.clip(rate, 1e-4, 1e-2)),
            "train.weight_decay": float(rng.uniform(0, 0.1)),
            "model.settings.n_blocks": int(rng.integers(2, 7)),
            "train.optimizer": str(rng.choice(["adam", "adamw"])),
            "model.scaling": [("log1p",), ("log1p", "shape"), ("linear",)][int(rng.integers(0, 3))],
        }
        top = 0.986 - 0.004 * (np.log10(rate) + 2.6) ** 2 - 0.001 * (values["model.settings.n_blocks"] < 4)
        one = classification(number, values, rng, top + rng.normal(0, 0.001))
        if number == 5:
            one = classification(number, values, rng, 0.53)
        if number > 8 and one.objectives["score"] < 0.9845 and number % 2:
            one = pruned(one, int(rng.integers(4, 12)))
        if number in (6, 17, 31):
            one = failed(one, "TrainingError: loss is not finite in epoch 3. Lower train.learning_rate.")
        trials.append(one)
    best = max((t for t in trials if t.state == "finished"), key=lambda t: t.objectives["score"])
    parameters = (
        Parameter("train.learning_rate", low=1e-4, high=1e-2, log=True),
        Parameter("train.weight_decay", low=0.0, high=0.1),
        Parameter("model.settings.n_blocks", low=2, high=6),
        Parameter("train.optimizer", ("adam", "adamw")),
        Parameter("model.scaling", (("log1p",), ("log1p", "shape"), ("linear",))),
    )
    shares = (0.62, 0.03, 0.2, 0.05, 0.1)
    return search(
        method="tpe",
        pruner="median",
        question="",
        parameters=parameters,
        trials=tuple(trials),
        best=(best.number,),
        importances={"score": {p.path: s for p, s in zip(parameters, shares, strict=True)}},
        chosen=best.number,
        reason="It has the highest validation accuracy.",
    )


def two_objectives() -> TuneResults:
    """A regression judged by its loss, the time of an event and its size; judged by its own loss."""
    rng = np.random.default_rng(11)
    paths = ("model.settings.width", "train.learning_rate")
    trials = []
    for number in range(24):
        width = (16, 32, 64, 128)[number % 4]
        rate = float(10 ** rng.uniform(-4, -2))
        top = 0.03 + 0.08 / width**0.5 + 0.006 * (np.log10(rate) + 2.8) ** 2 + abs(rng.normal(0, 0.002))
        run = training(rng, top, 15, higher=False)
        loss = run.history["val_metric"][run.best_epoch]
        assert loss is not None
        run = replace(run, heads=(value_head(2 * loss),), n_parameters=width * width * 37)
        latency = 12.0 + 0.9 * width + rng.normal(0, 1)
        trials.append(
            TrialResult(
                number=number,
                stage="search",
                values=dict(zip(paths, (width, rate), strict=True)),
                seed=1,
                state="finished",
                objectives={"score": loss, "latency": latency, "parameters": float(run.n_parameters)},
                run=run,
                confusion={},
                latency_us=latency,
                folder=f"trials/{number:04d}",
            )
        )
    objectives = (
        LOSS,
        Objective("latency", "time to predict an event", "µs", False),
        Objective("parameters", "parameters", "", False),
    )
    values = np.array([[t.objectives[o.name] for o in objectives] for t in trials])
    front = [
        number
        for number, one in enumerate(values)
        if not any((other <= one).all() and (other < one).any() for other in values)
    ]
    return search(
        title="Energies of two electrons: width and learning rate",
        question="How wide must the network be?",
        task="double_energy",
        monitor="val_loss",
        higher_is_better=False,
        method="random",
        parameters=(
            Parameter(paths[0], (16, 32, 64, 128)),
            Parameter(paths[1], low=1e-4, high=1e-2, log=True),
        ),
        objectives=objectives,
        trials=tuple(trials),
        best=tuple(front),
        importances={
            "score": {paths[0]: 0.55, paths[1]: 0.45},
            "latency": {paths[0]: 0.99, paths[1]: 0.01},
            "parameters": {paths[0]: 1.0, paths[1]: 0.0},
        },
        chosen=min(trials, key=lambda t: t.objectives["score"]).number,
        reason="Of the front it has the lowest validation loss.",
    )


def single_trial() -> TuneResults:
    """One trial, finished, nothing else."""
    rng = np.random.default_rng(3)
    one = classification(0, {"model.settings.dropout": 0.5}, rng, 0.98)
    parameter = Parameter("model.settings.dropout", (0.5,))
    return search(parameters=(parameter,), trials=(one,), best=(0,), chosen=0)


def joint_search() -> TuneResults:
    """A few trials of a task with two heads, monitored by the loss."""
    found = two_objectives()
    trials = []
    for trial in found.trials[:6]:
        assert trial.run is not None
        head, confusion = class_head(0.98)
        run = replace(trial.run, heads=(head, *trial.run.heads))
        objectives = {"score": trial.objectives["score"]}
        trials.append(replace(trial, run=run, confusion={"multiplicity": confusion}, objectives=objectives))
    return replace(
        found, task="joint", trials=tuple(trials), objectives=(LOSS,), best=(2,), importances={}, chosen=None
    )


SEARCHES = {
    "grid": grid_search,
    "tpe": tpe_search,
    "two_objectives": two_objectives,
    "single": single_trial,
    "joint": joint_search,
}


@pytest.fixture(scope="session")
def searches() -> dict[str, TuneResults]:
    return {name: make() for name, make in SEARCHES.items()}
