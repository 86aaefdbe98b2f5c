"""The seed's grid of 18 networks, trained the seed notebook's way and our way on the same events.

    python benchmarks/seed_grid/run.py [--events N] [--points N]

Simulates CeBr events (seed 11) and trains every point of ``cebr/seed_grid_plain`` and of ``cebr/seed_grid``,
one after the other, on the same split. RESULTS.md is written anew after every pair, so an interruption loses
nothing; finished runs are not run again, unfinished ones go on; `--force` starts over.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

from hitlens.config import RunConfig, TuneConfig, load_config
from hitlens.detectors import get_detector
from hitlens.evaluate.config import EvaluateConfig
from hitlens.evaluate.evaluation import evaluate
from hitlens.evaluate.predictions import read_predictions
from hitlens.metrics import Interval
from hitlens.train.callbacks import read_history
from hitlens.workflow import runs
from hitlens.workflow.simulation import simulate_to_file
from hitlens.workflow.training import train

HERE = Path(__file__).resolve().parent
SEED = 11
#: What the notebook trained on, and checked on.
NOTEBOOK_EVENTS = (120_000, 40_000)
PLAIN, OURS = "seed_grid_plain", "seed_grid"
#: Epochs at the end whose lowest validation accuracy says how steady a training is.
LAST = 5
#: Points that are trained first: opposite corners, then the middle.
FIRST = ((0.4, 0.4, 128), (0.6, 0.6, 64), (0.4, 0.6, 64), (0.6, 0.4, 128), (0.5, 0.5, 128), (0.5, 0.5, 64))

Point = tuple[float, float, int]


@dataclass(frozen=True)
class Trained:
    """What came of one training, on the validation split.

    Attributes:
        accuracy: of the weights that are shipped.
        best: highest accuracy of an epoch.
        lowest: lowest of the last five epochs.
        seconds: of the training.
        machine: it ran on.
        n_train: events an epoch.
        n_validation: events these numbers are of.
    """

    accuracy: Interval
    best: float
    lowest: float
    seconds: float
    machine: Mapping[str, object]
    n_train: int
    n_validation: int


def points_of(recipe: str, settings: tuple[str, ...]) -> dict[Point, RunConfig]:
    """Return the settings of every point of a grid, those to be trained first in front."""
    config = load_config(f"cebr/{recipe}", settings)
    if not isinstance(config, TuneConfig):
        raise TypeError(f"{recipe} is no search")
    points: dict[Point, RunConfig] = {}
    for run in config.run_configs().values():
        values = run.model.settings
        points[values["dropout"], values["dropout_final"], values["last_features"]] = run
    order = [*FIRST, *(point for point in points if point not in FIRST)]
    return {point: points[point] for point in order}


def train_point(config: RunConfig, folder: Path) -> Trained:
    """Train one point, or read what is there."""
    if not runs.is_finished(folder):
        train(config, folder, resume=(folder / runs.PROVENANCE).is_file(), progress=False)
    predictions = read_predictions(folder / runs.PREDICTIONS)
    quick = EvaluateConfig(split="validation", baselines=False, metadata=False)
    results = evaluate(predictions, get_detector("cebr"), quick)
    accuracies = [float(row["val_accuracy"]) for row in read_history(folder / runs.HISTORY)]
    record = runs.read_provenance(folder)
    return Trained(
        results.head("multiplicity").metric("accuracy").interval,
        max(accuracies),
        min(accuracies[-LAST:]),
        record["seconds"],
        record["machine"],
        record["split"]["n_train"],
        record["split"]["n_validation"],
    )


def render(pairs: Mapping[Point, tuple[Trained, Trained]], n_points: int, epochs: tuple[int, int]) -> str:
    """Return RESULTS.md."""
    ways = tuple(zip(*pairs.values(), strict=True))
    some = next(iter(pairs.values()))[0]
    head = ["dropout", "dropout_final", "last_features"]
    head += [f"{way}: {what}" for way in ("notebook", "ours") for what in _COLUMNS]
    rows = [
        [*map(str, point), *(cell for one in pair for cell in _cells(one))] for point, pair in pairs.items()
    ]
    lines = [" | ".join(["", *cells, ""]).strip() for cells in (head, ["---"] * len(head), *rows)]
    swing = [max(one.best - one.lowest for one in way) for way in ways]
    better = sum(pair[1].accuracy.value > pair[0].accuracy.value for pair in pairs.values())
    machine = some.machine
    ratio = NOTEBOOK_EVENTS[0] / some.n_train
    minutes = [sum(one.seconds for one in way) / 60 for way in ways]
    hours = [time / 60 * n_points / len(pairs) * ratio for time in minutes]
    about = (
        f"{len(pairs)} of {n_points} points. {some.n_train:,} simulated training events and "
        f"{some.n_validation:,} of validation, seed {SEED}, the same for all: the notebook had "
        f"{NOTEBOOK_EVENTS[0]:,} and {NOTEBOOK_EVENTS[1]:,}, {ratio:.0f} times as many steps an epoch. "
        "Statistics of batch normalisation that follow a batch by .01, as the notebook's do, settle slowly "
        "in so few steps: part of its swings here comes from the small sample. "
        f"The notebook's way is `cebr/{PLAIN}`: its network, flips, Keras' Adam, {epochs[0]} epochs of "
        "batches of 64 in float32, the last epoch's weights. It differs from the notebook in the "
        "sample, in the range of the pixels, which is that of the training split instead of each "
        f"split's own, and in dropout rounded to 1/256. Ours is `cebr/{OURS}`: the same network with our "
        f"training, {epochs[1]} epochs, the best epoch's weights. Accuracies are of the validation "
        "split; that of the weights that are kept has its 95 % interval; the best epoch of ours is "
        "chosen on the same events. Made by `run.py` beside this file, which writes it after every "
        "pair."
    )
    summary = (
        f"The accuracy of the kept weights is higher with our training in {better} of {len(pairs)} "
        f"points, surely or not. Largest difference of best and lowest of the last {LAST} epochs: the "
        f"notebook's way {swing[0]:.4f}, ours {swing[1]:.4f}. Time: {minutes[0]:.0f} minutes the "
        f"notebook's way, {minutes[1]:.0f} minutes ours, on a machine that others used too. All points "
        f"on the notebook's {NOTEBOOK_EVENTS[0]:,} events would take about {hours[0]:,.0f} and "
        f"{hours[1]:,.0f} hours at that speed. Machine: {machine['processor']}, {machine['n_cores']} "
        "cores."
    )
    parts = ["# CeBr: the seed's grid of 18 networks", fill(about, 110), "\n".join(lines), fill(summary, 110)]
    return "\n\n".join(parts) + "\n"


_COLUMNS = ("accuracy", "best epoch", f"lowest of last {LAST}", "difference")


def _cells(one: Trained) -> list[str]:
    return [str(one.accuracy), *(f"{value:.4f}" for value in (one.best, one.lowest, one.best - one.lowest))]


def main() -> None:
    """Train all pairs and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=40_000, help="simulated events, of all splits")
    parser.add_argument(
        "--points", type=int, default=18, help="points of the grid to train, the first so many"
    )
    parser.add_argument("--folder", type=Path, default=Path("runs/seed_grid"), help="where runs go")
    parser.add_argument("--results", type=Path, default=HERE / "RESULTS.md", help="the table")
    parser.add_argument("--force", action="store_true", help="start over")
    options = parser.parse_args()
    if options.force:
        shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True, exist_ok=True)
    data = options.folder / f"events_{options.events}.h5"
    if not data.exists():
        simulate_to_file(data, "cebr", options.events, SEED)
    settings = (f"data.files=['{data}']", "train.precision=float32")
    plain, ours = points_of(PLAIN, settings), points_of(OURS, settings)
    epochs = tuple(next(iter(configs.values())).train.epochs for configs in (plain, ours))
    pairs: dict[Point, tuple[Trained, Trained]] = {}
    for point in list(plain)[: options.points]:
        name = "_".join(map(str, point))
        pairs[point] = (
            train_point(plain[point], options.folder / PLAIN / name),
            train_point(ours[point], options.folder / OURS / name),
        )
        options.results.write_text(render(pairs, len(plain), (epochs[0], epochs[1])), encoding="utf-8")
        print(f"{len(pairs)} of {options.points} pairs; {options.results} written", flush=True)


if __name__ == "__main__":
    main()
