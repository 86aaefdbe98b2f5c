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
from hitlens.evaluate.crossvalidation import CrossValidatedHead, CrossValidation, read_cross_validation
from hitlens.evaluate.results import MetricResult
from hitlens.report.labels import metric_label, metric_text
from hitlens.workflow import runs
from hitlens.workflow.crossvalidation import CrossValidationConfig, cross_validate

HERE = Path(__file__).resolve().parent
FOLDS, REPEATS, TRIAL_SEED = 5, 3, 101

#: What is shown of each task, and by what its trials are judged.
SHOWN = {
    "flavour": ("accuracy", "auc"),
    "nu_energy": ("r2", "rmse", "mae", "resolution"),
}

#: Settings tried, as changes of the shipped recipe; the first is the recipe itself.
TRIALS: dict[str, dict[str, list[str]]] = {
    "flavour": {
        "recipe": [],
    },
    "nu_energy": {
        "recipe": [],
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


def metric(head: CrossValidatedHead, name: str) -> MetricResult:
    return next(one for one in head.metrics if one.name == name and (not one.column or not head.class_names))


def rows_of(found: CrossValidation, task: str) -> list[str]:
    head = found.head(task)
    lines = []
    for position, mine in enumerate(head.metrics):
        of_class = bool(head.class_names and mine.column)
        if mine.name not in SHOWN[task] or (of_class and mine.name != "auc"):
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


def trial_rows(folder: Path) -> list[str]:
    lines = []
    for task, trials in TRIALS.items():
        name = SHOWN[task][0]
        found = {
            trial: read_cross_validation(folder / f"trial_{task}_{trial}" / "cv.json")
            for trial in trials
            if done(folder / f"trial_{task}_{trial}")
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
                    options.folder / f"trial_{task}_{trial}",
                )
    found = {}
    for task in options.only:
        config = CrossValidationConfig(
            folds=FOLDS, repeats=REPEATS, run=settings(task, options.data, ["evaluate.n_bootstrap=2000"])
        )
        found[task] = run(config, options.folder / task)
    text = table(found, options.folder)
    (HERE / "RESULTS.md").write_text(text, encoding="utf-8")
    print(text)


def table(found: dict[str, CrossValidation], folder: Path) -> str:
    """Return RESULTS.md."""
    one = next(iter(found.values()))
    machine = runs.read_provenance(folder / one.task / "repeat1" / "fold1")["machine"]
    columns = (
        "task | metric | network | constant | calorimetric | boosting | network - boosting | sd of repeats"
    )
    lines = [
        (HERE / "ABOUT.md").read_text(encoding="utf-8").rstrip("\n"),
        "",
        "## Numbers",
        "",
        f"{one.n_events} events, {one.n_folds} folds, {one.n_repeats} repeats; brackets are 95 % intervals",
        "over events, values and bounds averaged over the repeats.",
        "",
        f"| {columns} |",
        "|---" * 8 + "|",
        *(row for task, result in found.items() for row in rows_of(result, task)),
        "",
        "## Settings that were tried",
        "",
        f"One repeat each, dealt and trained with seed {TRIAL_SEED}; the numbers above are of other deals of",
        "the same events.",
        "",
        "| task | trial | change | |",
        "|---|---|---|---|",
        *trial_rows(folder),
        "",
        "| task | weights | trainings | time |",
        "|---|---|---|---|",
        *(
            f"| {task} | {result.n_parameters:,} | {result.n_folds * result.n_repeats} | "
            f"{result.seconds / 60:.1f} min |"
            for task, result in found.items()
        ),
        "",
        f"Machine: {machine['processor']}, one core, {machine['system']}; Python {machine['python']}, "
        f"torch {machine['versions']['torch']}.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
