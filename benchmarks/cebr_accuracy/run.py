"""What the shipped CeBr recipes reach on 200,000 simulated events, in one table beside its goals.

    python benchmarks/cebr_accuracy/run.py

Simulates (seed 1), trains each recipe on 120,000 events, chooses the epoch on 40,000, evaluates once on the
other 40,000, and writes RESULTS.md. Finished runs are not run again, unfinished ones go on; `--force` starts
over.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hitlens.config import RunConfig, load_config
from hitlens.errors import NotFoundError
from hitlens.evaluate.results import Results, read_results
from hitlens.metrics import Interval
from hitlens.workflow import runs
from hitlens.workflow.evaluation import evaluate_run
from hitlens.workflow.simulation import simulate_to_file
from hitlens.workflow.training import train

HERE = Path(__file__).resolve().parent
RECIPES = ("joint", "multiplicity", "single_position", "seed_multiplicity")
N_EVENTS, SEED = 200_000, 1
#: Names of positions and energies in the results, of singles and of doubles.
XY_1, XY, E_1, E = "x_1_px, y_1_px", "x_px, y_px", "energy_1_mev", "energy_mev"
#: Epochs at the end whose lowest validation accuracy says how steady a training is.
LAST = 5


@dataclass(frozen=True)
class Row:
    """One number of the table and what it has to be."""

    recipe: str
    quantity: str
    value: Callable[[Results], Interval | None]
    goal: str
    reached: Callable[[float], bool] | None = None


def metric(head: str, name: str, column: str = "") -> Callable[[Results], Interval | None]:
    """Return a reader of one of the model's numbers."""
    return lambda results: results.head(head).metric(name, column).interval


def close_pairs(method: str) -> Callable[[Results], Interval | None]:
    """Return a reader of the share of doubles closer than 1 px that a method finds."""

    def read(results: Results) -> Interval | None:
        return (
            results.head("multiplicity").slice("separation_px", "signal_efficiency", method=method).values[0]
        )

    return read


def of_fit(head: str, name: str, column: str = "") -> Callable[[Results], Interval | None]:
    """Return a reader of one of the likelihood fit's numbers."""

    def read(results: Results) -> Interval | None:
        found = results.head(head).baseline("likelihood_fit").metrics
        return next(m.interval for m in found if (m.name, m.column) == (name, column))

    return read


ROWS = (
    Row("joint", "accuracy", metric("multiplicity", "accuracy"), ">= .991", lambda v: v >= 0.991),
    Row("joint", "AUC", metric("multiplicity", "auc"), ">= .997", lambda v: v >= 0.997),
    Row("joint", "F1", metric("multiplicity", "f1"), ""),
    Row("joint", "MCC", metric("multiplicity", "mcc"), ""),
    Row("joint", "recall below 1 px separation", close_pairs("model"), "beside the fit's"),
    Row("multiplicity", "accuracy", metric("multiplicity", "accuracy"), ">= .991", lambda v: v >= 0.991),
    Row("multiplicity", "AUC", metric("multiplicity", "auc"), ">= .997", lambda v: v >= 0.997),
    Row("multiplicity", "recall below 1 px separation", close_pairs("model"), "beside the fit's"),
    Row("seed_multiplicity", "accuracy", metric("multiplicity", "accuracy"), "the seed's recipe"),
    Row("seed_multiplicity", "AUC", metric("multiplicity", "auc"), "the seed's recipe"),
    Row("seed_multiplicity", "recall below 1 px separation", close_pairs("model"), "the seed's recipe"),
    Row("joint", "fit: accuracy", of_fit("multiplicity", "accuracy"), ""),
    Row("joint", "fit: AUC", of_fit("multiplicity", "auc"), ""),
    Row("joint", "fit: recall below 1 px separation", close_pairs("likelihood_fit"), ""),
    Row("joint", "single position rmse, px", metric("single", "rmse", XY_1), "<= .06", lambda v: v <= 0.06),
    Row(
        "single_position",
        "position rmse, px",
        metric("single_position", "rmse", XY_1),
        "<= .06",
        lambda v: v <= 0.06,
    ),
    Row("joint", "single position, 68 % half width, px", metric("single", "resolution", XY_1), ""),
    Row("joint", "fit: single position rmse, px", of_fit("single", "rmse", XY_1), ""),
    Row("joint", "single energy mae, MeV", metric("single", "mae", E_1), "<= .012", lambda v: v <= 0.012),
    Row("joint", "fit: single energy mae, MeV", of_fit("single", "mae", E_1), ""),
    Row("joint", "double positions mae, px", metric("double", "mae", XY), "<= .15", lambda v: v <= 0.15),
    Row("joint", "double positions R2", metric("double", "r2", XY), ">= .98", lambda v: v >= 0.98),
    Row("joint", "fit: double positions mae, px", of_fit("double", "mae", XY), ""),
    Row("joint", "fit: double positions R2", of_fit("double", "r2", XY), ""),
    Row("joint", "double energies mae, MeV", metric("double", "mae", E), ""),
    Row("joint", "double energies R2", metric("double", "r2", E), ""),
    Row("joint", "fit: double energies mae, MeV", of_fit("double", "mae", E), ""),
    Row("joint", "fit: double energies R2", of_fit("double", "r2", E), ""),
)


def read_config(source: Path | str, overrides: Sequence[str] = ()) -> RunConfig:
    """Return the settings of a run (not of a study)."""
    config = load_config(source, overrides)
    if not isinstance(config, RunConfig):
        raise TypeError(f"{source} describes a study; the table is about single runs")
    return config


def run_recipe(name: str, data: Path, folder: Path, *, force: bool) -> Results:
    """Train and evaluate one recipe, or read what is there."""
    config = read_config(f"cebr/{name}", [f"data.files=['{data}']"])
    if force or not runs.is_finished(folder):
        unfinished = (folder / runs.PROVENANCE).is_file() and not force
        train(config, folder, resume=unfinished, force=force, progress=False)
    try:
        return read_results(folder / "metrics.json")
    except NotFoundError:
        return evaluate_run(folder)


def steadiness(folder: Path) -> str:
    """Return best and lowest-of-the-last validation accuracy of a run, or its best loss without classes."""
    with (folder / runs.HISTORY).open() as file:
        history = list(csv.DictReader(file))
    name = next((name for name in history[0] if name.endswith("accuracy")), None)
    if name is None:
        return f"best loss {min(float(row['val_loss']) for row in history):.3g}"
    scores = [float(row[name]) for row in history]
    return f"best accuracy {max(scores):.4f}, lowest of the last {LAST} epochs {min(scores[-LAST:]):.4f}"


def table(results: dict[str, Results], folder: Path) -> list[str]:
    """Return the lines of RESULTS.md."""
    first = runs.read_provenance(folder / next(iter(results)))
    machine = first["machine"]
    lines = [
        "# CeBr: what the shipped recipes reach",
        "",
        f"{N_EVENTS:,} simulated events, seed {SEED}: 60 % training, 20 % validation, 20 % test; each number",
        "is of the test split, read once, with its 95 % interval (bootstrap; recall: binomial). The fit is",
        "the two-spot Poisson likelihood fit, on part of the same events. Made by `run.py` beside this file.",
        "",
        "| recipe | quantity | value | goal | |",
        "|---|---|---|---|---|",
    ]
    for row in ROWS:
        if row.recipe in results:
            interval = row.value(results[row.recipe])
            verdict = ""
            if row.reached is not None and interval is not None:
                verdict = "reached" if row.reached(interval.value) else "not reached"
            lines.append(f"| {row.recipe} | {row.quantity} | {interval} | {row.goal} | {verdict} |")
    lines += [
        "",
        "| recipe | network | epochs | training time | precision | on validation |",
        "|---|---|---|---|---|---|",
    ]
    for name in results:
        record = runs.read_provenance(folder / name)
        config = read_config(folder / name / runs.CONFIG)
        lines.append(
            f"| {name} | {config.model.name}, {record['n_parameters']:,} weights | {record['n_epochs']} | "
            f"{record['seconds'] / 60:.1f} min | {record['precision']} | {steadiness(folder / name)} |"
        )
    lines += [
        "",
        f"Machine: {machine['processor']}, {machine['n_cores']} cores, {machine['system']}; "
        f"Python {machine['python']}, torch {machine['versions']['torch']}.",
        "",
    ]
    return lines


def main() -> None:
    """Run everything and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/cebr_accuracy"), help="where the runs are kept"
    )
    parser.add_argument("--only", nargs="*", choices=RECIPES, default=RECIPES, help="recipes to run")
    parser.add_argument("--force", action="store_true", help="start over")
    options = parser.parse_args()
    data = options.folder / f"cebr_{N_EVENTS}_{SEED}.h5"
    if not data.is_file():
        options.folder.mkdir(parents=True, exist_ok=True)
        simulate_to_file(data, "cebr", N_EVENTS, SEED)
    for name in options.only:
        run_recipe(name, data, options.folder / name, force=options.force)
    done = {
        name: read_results(options.folder / name / "metrics.json")
        for name in RECIPES
        if runs.is_finished(options.folder / name)
    }
    text = "\n".join(table(done, options.folder))
    (HERE / "RESULTS.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
