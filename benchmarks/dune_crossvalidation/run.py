"""Cross-validate the DUNE recipes on the 160 tutorial events and write RESULTS.md.

    python benchmarks/dune_crossvalidation/run.py DUNE_CVN_160.npz [--trials]

The shipped recipes are cross-validated with 5 folds and 3 repeats (seeds 1 to 3). ``--trials`` first runs
every setting that was tried before they were written, with one repeat dealt by seed 101, so that everyone
can see between what was chosen and by how much the choice can flatter.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from hitlens.config import RunConfig, load_config
from hitlens.datasets.summaries import summarise
from hitlens.detectors import get_detector
from hitlens.evaluate.boosting import fit_boosting
from hitlens.evaluate.crossvalidation import CrossValidatedHead, CrossValidation, read_cross_validation
from hitlens.evaluate.results import MetricResult
from hitlens.report.labels import metric_label, metric_text
from hitlens.workflow import runs
from hitlens.workflow.crossvalidation import CrossValidationConfig, cross_validate
from hitlens.workflow.preparing import split_run
from hitlens.workflow.run_events import read_data

HERE = Path(__file__).resolve().parent
FOLDS, REPEATS, TRIAL_SEED = 5, 3, 101

COLUMNS = (
    "task | metric | network | constant | calorimetric | boosting | network - boosting | deviation of repeats"
)

#: What is shown of each task, and by what its trials are judged.
SHOWN = {
    "flavour": ("accuracy", "auc"),
    "nu_energy": ("r2", "rmse", "mae", "resolution", "relative_resolution", "bias"),
}

#: Settings tried, as changes of the shipped recipe; the first is the recipe itself.
TRIALS: dict[str, dict[str, list[str]]] = {
    "flavour": {
        "pool 10, 60 epochs": [],
        "pool 10, 20 epochs": ["train.epochs=20"],
        "pool 5, 20 epochs": ["model.regions={all: {pool: [5, 5]}}", "train.epochs=20"],
        "first 300 wires, pool 3, 20 epochs": [
            "model.regions={all: {crop: [300, 300], anchor: [fixed, mean], pool: [3, 3]}}",
            "train.epochs=20",
        ],
        "first 300 wires, pool 6, 20 epochs": [
            "model.regions={all: {crop: [300, 300], anchor: [fixed, mean], pool: [6, 6]}}",
            "train.epochs=20",
        ],
        "pool 10, places, 20 epochs": ["model.settings.head=places", "train.epochs=20"],
    },
    "nu_energy": {
        "pool 10": [],
        "pool 5": ["model.regions={all: {pool: [5, 5]}}"],
        "squared loss": ["train.loss=mse"],
        "linear target, squared loss": ["model.target_curve={}", "train.loss=mse"],
        "60 epochs, less dropout": ["train.epochs=60", "model.settings.dropout=0.2"],
        "logarithms alone": ["model.scaling=[log1p]"],
    },
}


def settings(task: str, data: Path, changes: list[str]) -> RunConfig:
    config = load_config(f"dune/{task}", [f"data.files=['{data}']", "train.accelerator=cpu", *changes])
    assert isinstance(config, RunConfig)
    return config


def done(folder: Path) -> bool:
    return (folder / "cv.json").is_file()


def run(config: CrossValidationConfig, folder: Path) -> CrossValidation:
    if not done(folder):
        begun = (folder / "crossvalidation.yaml").is_file()
        cross_validate(config, folder, resume=begun, progress=False)
    return read_cross_validation(folder / "cv.json")


def charge_lines(data: Path, found: dict[str, CrossValidation]) -> list[str]:
    if "flavour" not in found:
        return []
    mean, deviation = flavour_from_charge(data)
    return [
        f"Trees that know the total charge of an event and nothing else call {mean:.3f} of the flavours",
        f"right (deviation of the repeats {deviation:.3f}): so much is the composition of this sample.",
        "",
    ]


def joint_lines(folder: Path) -> list[str]:
    if not done(folder / "joint"):
        return []
    found = read_cross_validation(folder / "joint" / "cv.json")
    rows = []
    for head in found.heads:
        names = ("accuracy", "balanced_accuracy") if head.class_names else ("r2",)
        rows += rows_of(found, head.task, names)
    return [
        "## All tasks from one network",
        "",
        f"`dune/joint`: {found.n_parameters:,} weights, {found.n_folds} folds, one repeat; "
        "interaction and lepton energy are of the 120 charged currents.",
        "",
        f"| {COLUMNS} |",
        "|---" * 8 + "|",
        *rows,
        "",
    ]


def trial_folder(task: str, trial: str) -> str:
    return f"trial_{task}_{trial.replace(' ', '_').replace(',', '')}"


def metric(head: CrossValidatedHead, name: str) -> MetricResult:
    return next(one for one in head.metrics if one.name == name and (not one.column or not head.class_names))


def rows_of(found: CrossValidation, task: str, names: tuple[str, ...]) -> list[str]:
    head = found.head(task)
    lines = []
    for position, mine in enumerate(head.metrics):
        of_class = bool(head.class_names and mine.column)
        if mine.name not in names or (of_class and mine.name != "auc"):
            continue
        label = metric_label(mine.name) + (f", {mine.column} against the rest" if of_class else "")
        others = {one.name: one for one in head.baselines}
        cells = [
            metric_text(others[name].metrics[position]) if name in others else ""
            for name in ("constant", "calorimetric", "boosting")
        ]
        difference = metric_text(others["boosting"].differences[position])
        spread = head.by_fold[position].repeat_spread
        shown = "" if spread is None else f"{spread:.2g}"
        lines.append(
            f"| {task} | {label} | {metric_text(mine)} | {' | '.join(cells)} | {difference} | {shown} |"
        )
    return lines


def flavour_from_charge(data: Path) -> tuple[float, float]:
    """Return accuracy, mean and deviation over the repeats, of trees that know the total charge alone."""
    config = settings("flavour", data, [])
    events = read_data(config.data, "dune")
    task = get_detector("dune").task("flavour")
    charge = summarise(events, get_detector("dune")).select("seen_charge")
    true = events.truth["flavour"].to_numpy()
    found = []
    for repeat in range(REPEATS):
        called = np.full(len(events), -1)
        for fold in range(FOLDS):
            folds = CrossValidationConfig(folds=FOLDS, repeats=REPEATS, run=config)
            split = split_run(folds.fold_config(repeat, fold), events)
            taught = np.sort(np.concatenate([split.train, split.validation]))
            method = fit_boosting(task, charge[taught], true[taught, None].astype(float), False, 1)
            called[split.test] = method(charge[split.test])["flavour"].argmax(axis=1)
        found.append(float(np.mean(called == true)))
    return float(np.mean(found)), float(np.std(found, ddof=1))


def trial_rows(folder: Path) -> list[str]:
    lines = []
    for task, trials in TRIALS.items():
        name = SHOWN[task][0]
        found = {
            trial: read_cross_validation(folder / trial_folder(task, trial) / "cv.json")
            for trial in trials
            if done(folder / trial_folder(task, trial))
        }
        values = {trial: metric(one.head(task), name).interval for trial, one in found.items()}
        for trial, interval in values.items():
            changes = ", ".join(f"`{change}`" for change in trials[trial]) or "as shipped"
            lines.append(f"| {task} | {trial} | {changes} | {metric_label(name)} {interval} |")
        known = [interval.value for interval in values.values() if interval is not None]
        if len(known) > 1:
            lines.append(
                f"| {task} | | best minus mean of these {len(known)} | {max(known) - np.mean(known):.3f} |"
            )
    return lines


def main() -> None:
    """Run what is not there yet, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="dune_cvn_160.npz")
    parser.add_argument("--folder", type=Path, default=Path("runs/dune_crossvalidation"))
    parser.add_argument("--trials", action="store_true", help="run the settings tried, too")
    parser.add_argument("--only", nargs="*", choices=list(SHOWN), default=list(SHOWN))
    options = parser.parse_args()
    if options.trials:
        for task in options.only:
            for trial, changes in TRIALS[task].items():
                seeds = [f"split.seed={TRIAL_SEED}", f"train.seed={TRIAL_SEED}", "evaluate.n_bootstrap=200"]
                config = settings(task, options.data, [*changes, *seeds])
                run(
                    CrossValidationConfig(folds=FOLDS, run=config),
                    options.folder / trial_folder(task, trial),
                )
    found = {}
    for task in options.only:
        config = CrossValidationConfig(
            folds=FOLDS, repeats=REPEATS, run=settings(task, options.data, ["evaluate.n_bootstrap=2000"])
        )
        found[task] = run(config, options.folder / task)
    joint = settings("joint", options.data, ["evaluate.n_bootstrap=1000"])
    run(CrossValidationConfig(folds=FOLDS, run=joint), options.folder / "joint")
    text = table(found, options.folder, options.data)
    (HERE / "RESULTS.md").write_text(text, encoding="utf-8")
    print(text)


def table(found: dict[str, CrossValidation], folder: Path, data: Path) -> str:
    """Return RESULTS.md."""
    one = next(iter(found.values()))
    machine = runs.read_provenance(folder / one.task / "repeat1" / "fold1")["machine"]
    lines = [
        (HERE / "ABOUT.md").read_text(encoding="utf-8").rstrip("\n"),
        "",
        "## Numbers",
        "",
        f"{one.n_events} events, {one.n_folds} folds, {one.n_repeats} repeats; brackets are 95 % intervals",
        "over events, values and bounds averaged over the repeats.",
        "",
        f"| {COLUMNS} |",
        "|---" * 8 + "|",
        *(row for task, result in found.items() for row in rows_of(result, task, SHOWN[task])),
        "",
        *charge_lines(data, found),
        *joint_lines(folder),
        "## Settings that were tried",
        "",
        f"One repeat each, dealt and trained with seed {TRIAL_SEED}; the numbers above are of other deals of",
        "the same events.",
        "",
        "| task | trial | change | |",
        "|---|---|---|---|",
        *trial_rows(folder),
        "",
        "| task | weights | trainings | time, on a busy machine |",
        "|---|---|---|---|",
        *(
            f"| {task} | {result.n_parameters:,} | {result.n_folds * result.n_repeats} | "
            f"{result.seconds / 60:.1f} min |"
            for task, result in found.items()
        ),
        "",
        f"Machine: {machine['processor']}, one thread, {machine['system']}; Python {machine['python']}, "
        f"torch {machine['versions']['torch']}.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
