"""NOvA: the course's recipe beside the notebook's networks trained its own way, on the same events and split.

    python benchmarks/nova_accuracy/run.py [--events N] [--files N]

Simulates files (seed 1), trains ``nova/course`` and the six ``nova/seed_*`` recipes on 64 % of the events,
chooses epochs on 16 %, as the notebook did, and sets both side by side on the other 20 %, at natural
prevalence. RESULTS.md is written anew after every recipe, with the tasks that are there. Finished runs are
not run again, unfinished ones go on; `--force` starts over.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import fill

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hitlens.config import RunConfig, load_config
from hitlens.detector import Task
from hitlens.detectors import get_detector
from hitlens.errors import DataError
from hitlens.evaluate.baselines import BaselineColumns, class_shares
from hitlens.evaluate.config import EvaluateConfig
from hitlens.evaluate.evaluation import evaluate
from hitlens.evaluate.predictions import Predictions, read_predictions
from hitlens.evaluate.results import BaselineResult, MetricResult, Results
from hitlens.metrics import Interval
from hitlens.workflow import runs
from hitlens.workflow.simulation import simulate_to_files
from hitlens.workflow.training import train

HERE = Path(__file__).resolve().parent
SEED = 1
DEFAULT = "course"
#: Fractions of the events, those of the notebook.
SPLIT = ("split.train=0.64", "split.validation=0.16", "split.test=0.2")
#: Files of about 7,000 events that the notebook had for each task.
NOTEBOOK_FILES = {
    "numu_cc": 25,
    "nue_cc": 68,
    "flavour": 80,
    "interaction_mode": 20,
    "nu_energy": 5,
    "lepton_fraction": 5,
}
SEEDS = ("numu_cc", "nue_cc", "flavour", "interaction_mode", "nu_energy", "lepton_fraction")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        head: task.
        metric: name of the number in the results.
        label: what it is called.
        higher_is_better: of that number.
    """

    head: str
    metric: str
    label: str
    higher_is_better: bool = True


ROWS = (
    *(
        Row(head, metric, label)
        for head in SEEDS[:4]
        for metric, label in (("auc", "AUC"), ("balanced_accuracy", "balanced accuracy"))
    ),
    Row("nu_energy", "resolution", "resolution (68 % half width), GeV", higher_is_better=False),
    Row("nu_energy", "r2", "R2"),
    Row("lepton_fraction", "resolution", "resolution (68 % half width)", higher_is_better=False),
    Row("lepton_fraction", "r2", "R2"),
)


def read_config(source: Path | str, overrides: Sequence[str] = ()) -> RunConfig:
    """Return the settings of a run (not of a study)."""
    config = load_config(source, overrides)
    if not isinstance(config, RunConfig):
        raise TypeError(f"{source} describes a study; the table is about single runs")
    return config


def run_recipe(name: str, data: Path, folder: Path, *, force: bool) -> Predictions:
    """Train one recipe, or read what is there."""
    if force or not runs.is_finished(folder):
        unfinished = (folder / runs.PROVENANCE).is_file() and not force
        settings = [f"data.files=['{data}']", "train.precision=float32", *SPLIT]
        config = read_config(f"nova/{name}", settings)
        train(config, folder, resume=unfinished, force=force, progress=False)
    return read_predictions(folder / runs.PREDICTIONS)


def balanced(predictions: Predictions, head: Task, shares: NDArray[np.float64]) -> Predictions:
    """Return predictions whose scores are divided by the classes' shares in the training split.

    A network trained at natural prevalence names the likeliest class; divided by the shares, the one whose
    balanced accuracy is highest. The seed's networks, trained on classes of equal size, give such scores.
    """
    names = predictions.output_columns(head)[:-1]
    scores = predictions.table.select(names).to_numpy().astype(np.float64)
    if head.kind == "binary":
        scores = np.column_stack([1 - scores[:, 0], scores[:, 0]])
    scores = scores / shares
    scores /= scores.sum(axis=1, keepdims=True)
    called = np.array(head.class_names)[scores.argmax(axis=1)]
    kept = scores[:, 1:] if head.kind == "binary" else scores
    columns = [pl.Series(name, kept[:, number]) for number, name in enumerate(names)]
    columns.append(pl.Series(f"pred_{head.name}", called))
    return replace(predictions, table=predictions.table.with_columns(columns))


def seed_columns(seeds: dict[str, Predictions], test: pl.DataFrame, key: list[str]) -> BaselineColumns:
    """Return the predictions of all seed networks as one method beside the default."""
    columns: dict[str, dict[str, NDArray[np.float64]]] = {}
    for name, predictions in seeds.items():
        chosen = predictions.split("test")
        head = chosen.heads[0]
        outputs = chosen.output_columns(head)
        outputs = outputs[:-1] if head.is_classification else outputs
        # A task alone has no answer for events it is not defined for; those are not evaluated either.
        found = test.select(key).join(
            chosen.table.select(*key, *outputs), on=key, how="left", maintain_order="left"
        )
        if found[outputs[0]].is_not_null().sum() < len(chosen):
            raise DataError(f"seed_{name} was tested on other events than {DEFAULT}.")
        values = found.select(pl.col(outputs).cast(pl.Float64).fill_null(float("nan"))).to_numpy()
        output = name if head.is_classification else head.target_columns[0]
        columns[name] = {output: values if head.kind == "multiclass" else values[:, 0]}
    return BaselineColumns("seed", "the seed's network", np.arange(len(test)), columns)


def side_by_side(default: Predictions, seeds: dict[str, Predictions], training: pl.DataFrame) -> Results:
    """Return the default's results with the seed's networks as a method beside it."""
    detector = get_detector("nova")
    for head in default.heads:
        if head.name in seeds and head.is_classification:
            default = balanced(default, head, class_shares(training, head))
    chosen = default.split("test")
    columns = seed_columns(seeds, chosen.table, list(detector.key))
    default = replace(default, heads=tuple(head for head in default.heads if head.name in SEEDS))
    return evaluate(default, detector, EvaluateConfig(), baselines=(columns,), training=training)


def found(metrics: Sequence[MetricResult], name: str) -> Interval | None:
    """Return the interval of a number over all classes or columns."""
    return next((m.interval for m in metrics if m.name == name), None)


def line(row: Row, beside: BaselineResult) -> str:
    """Return one line of the table."""
    ours, theirs = found(beside.model_metrics, row.metric), found(beside.metrics, row.metric)
    difference = found(beside.differences, row.metric)
    if ours is None or theirs is None or difference is None:
        verdict = "undefined"
    else:
        sign = 1 if row.higher_is_better else -1
        sure = min(sign * difference.low, sign * difference.high) > 0
        verdict = "better" if sure else "not surely better" if sign * difference.value > 0 else "not better"
    return f"| {row.head} | {row.label} | {theirs} | {ours} | {difference} | {verdict} |"


def table(results: Results, folder: Path, tasks: Sequence[str]) -> list[str]:
    """Return the lines of RESULTS.md."""
    first = runs.read_provenance(folder / DEFAULT)
    machine, n_files = first["machine"], len(list((folder / "files").iterdir()))
    missing = [task for task in SEEDS if task not in tasks]
    about = (
        f"{first['data']['n_events']:,} simulated events in {n_files} file"
        f"{'s' * (n_files > 1)}, seed {SEED}: 64 % training, "
        "16 % validation, 20 % test. The same events and split for all; every number is of the test "
        "split at natural prevalence, with its 95 % bootstrap interval; differences are paired. The "
        "notebook's networks are trained its own way (`nova/seed_*`): pixels / 255, dropouts of .25, "
        ".25, .4 and .5, Keras' Adam or RMSprop, at most 50 epochs in float32, stopped after 5 without "
        "a lower validation loss, the best weights; classes cut to the size of the rarest, which of few "
        "events leaves few (second table). The notebook had more files for most tasks, cut classes by "
        "files, and checked on equal classes; here the stopping loss is the mean of the classes', and "
        "dropout is rounded to 1/256. Classes are called so that balanced accuracy is highest: the "
        "default's scores are divided by the classes' shares; the notebook's, trained on equal classes, "
        "are so already. Made by `run.py` beside this file."
    )
    lines = ["# NOvA: the course's recipe beside the notebook's networks", "", fill(about, 110), ""]
    if missing:
        lines += [f"Not trained yet: {', '.join(missing)}.", ""]
    lines += [
        "| task | quantity | notebook | default | difference | default is |",
        "|---|---|---|---|---|---|",
    ]
    lines += [line(row, results.head(row.head).baseline("seed")) for row in ROWS if row.head in tasks]
    lines += [
        "",
        "| recipe | network | training events | epochs (best) | time | notebook's files | with as many |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in (DEFAULT, *(f"seed_{task}" for task in tasks)):
        record = runs.read_provenance(folder / name)
        model = read_config(folder / name / runs.CONFIG).model.name
        notebook = NOTEBOOK_FILES.get(name.removeprefix("seed_"))
        hours = record["seconds"] / 3600 * (notebook or 0) * 7000 / record["data"]["n_events"]
        lines.append(
            f"| {name} | {model}, {record['n_parameters']:,} weights | {record['split']['n_train']:,} | "
            f"{record['n_epochs']} ({record['best_epoch'] + 1}) | {record['seconds'] / 60:.1f} min | "
            + (f"{notebook} | about {hours:.1f} h |" if notebook else "- | - |")
        )
    return [
        *lines,
        "",
        f"Machine: {machine['processor']}, {machine['n_cores']} cores that others used too, "
        f"{machine['system']}; "
        f"Python {machine['python']}, torch {machine['versions']['torch']}.",
        "",
    ]


def main() -> None:
    """Run everything and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/nova_accuracy"), help="where the runs are kept"
    )
    parser.add_argument(
        "--only", nargs="*", default=(DEFAULT, *SEEDS), help="runs to make; the table needs all"
    )
    parser.add_argument("--events", type=int, default=70_000, help="simulated events, of all splits")
    parser.add_argument("--files", type=int, default=10, help="files they are in")
    parser.add_argument("--results", type=Path, default=HERE / "RESULTS.md", help="the table")
    parser.add_argument("--force", action="store_true", help="start over")
    options = parser.parse_args()
    data = options.folder / "files"
    if not data.is_dir():
        options.folder.mkdir(parents=True, exist_ok=True)
        simulate_to_files(data, "nova", options.events, options.files, SEED)
    for name in options.only:
        recipe = name if name == DEFAULT else f"seed_{name}"
        run_recipe(recipe, data, options.folder / recipe, force=options.force)
        write_table(options.folder, options.results)


def write_table(folder: Path, path: Path) -> None:
    """Write RESULTS.md of the recipes that are trained so far, once the default is among them."""
    tasks = [name for name in SEEDS if runs.is_finished(folder / f"seed_{name}")]
    if not tasks or not runs.is_finished(folder / DEFAULT):
        return
    default = read_predictions(folder / DEFAULT / runs.PREDICTIONS)
    seeds = {name: read_predictions(folder / f"seed_{name}" / runs.PREDICTIONS) for name in tasks}
    results = side_by_side(default, seeds, default.split("validation").truth())
    path.write_text("\n".join(table(results, folder, tasks)))
    print(f"{path} written: {', '.join(tasks)}", flush=True)


if __name__ == "__main__":
    main()
